"""Backbones that learn from frames without labels."""
