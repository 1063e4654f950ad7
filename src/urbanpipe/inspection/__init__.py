"""Inspection of new videos with trained models."""
