"""Sizes and ages as people read them."""


def size_text(size_bytes: float) -> str:
    """Return a size in decimal units.

    Example:
        >>> size_text(900), size_text(1_500_000)
        ('900 B', '1.5 MB')
    """
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= size:
            return f"{size_bytes / size:.1f} {unit}"
    return f"{size_bytes:.0f} B"


def age_text(seconds: float) -> str:
    """Return an age in minutes, hours or days.

    Example:
        >>> age_text(600), age_text(7200), age_text(864000)
        ('10 minutes', '2 hours', '10 days')
    """
    for unit, length in (("days", 86400), ("hours", 3600)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 60:.0f} minutes"
