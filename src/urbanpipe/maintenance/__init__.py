"""Maintenance of an installation: what is missing on this machine, and what the caches hold."""
