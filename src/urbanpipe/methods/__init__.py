"""One object per method, and the recipes that configure them."""
