"""Writers of the exchange formats: ISYBAU XML and EN 13508-2 text."""
