"""Reviewing findings: what a person should look at, and in which order."""
