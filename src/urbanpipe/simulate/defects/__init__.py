"""The defects, and innocent things that look like them."""
