"""Bundles in repositories of the Hugging Face Hub."""
