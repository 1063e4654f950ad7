"""Review of inspected videos: people look at each proposal and decide."""
