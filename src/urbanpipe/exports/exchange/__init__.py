"""Writers of the exchange formats: ISYBAU XML, EN 13508-2 text, and the shape of WinCan VX projects."""
