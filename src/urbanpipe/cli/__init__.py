"""Command line: one small module per verb; none imports torch before it runs."""
