"""The command line: one small module a verb; none imports torch before it runs."""
