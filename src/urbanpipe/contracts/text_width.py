"""Widths of texts in columns, and names that fit their place."""

from unicodedata import combining, east_asian_width


def columns_of(text: str) -> int:
    """Return the width of a text in columns: wide characters, such as Chinese ones, take two.

    >>> columns_of("CK"), columns_of("管道")
    (2, 4)
    """
    return sum(0 if combining(mark) else 2 if east_asian_width(mark) in "WF" else 1 for mark in text)


def cut(text: str, columns: int) -> str:
    """Return a text on one line that is at most so many columns wide, with an ellipsis in place of its middle.

    >>> cut("S12", 8), cut("2026-01-31 camera 2.mp4", 12)
    ('S12', '2026-01….mp4')
    """
    text = " ".join(text.split())
    if columns_of(text) <= columns:
        return text
    tail = text
    while columns_of(tail) > columns // 3:
        tail = tail[1:]
    head = text
    while columns_of(head) + columns_of(tail) > columns - 1:
        head = head[:-1]
    return f"{head}…{tail}"
