"""Defects, and harmless objects that look like them."""
