"""The review app: a local web server on which people decide about proposals."""
