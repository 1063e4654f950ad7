"""Recipes and the loop that follows them. The loop knows nothing of methods."""
