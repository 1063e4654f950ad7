"""Trained networks on videos, shared by training, `predict`, `inspect` and `explain`."""
