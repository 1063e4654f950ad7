"""How a training step learns from a batch."""
