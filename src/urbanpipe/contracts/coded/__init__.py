"""Coded inspections: what a person recorded in a sewer, in the exchange formats ISYBAU XML and EN 13508-2 text."""
