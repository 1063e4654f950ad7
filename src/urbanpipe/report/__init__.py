"""HTML reports of inspected videos, and indexes of them."""
