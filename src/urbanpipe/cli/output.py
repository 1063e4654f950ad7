"""What commands print: names of others cannot recolour or reorder a terminal, or forge a line."""

import sys

from urbanpipe.outputs import plain_text


def show(line: object, *, flush: bool = False) -> None:
    """Print one line, in which control and format characters are escaped."""
    print(plain_text(str(line)), flush=flush)


def complain(line: str) -> None:
    """Print one line on standard error, escaped in the same way."""
    print(plain_text(line), file=sys.stderr)


def show_text(text: str) -> None:
    """Print text of several lines, such as a table, and escape control and format characters in each."""
    for line in text.split("\n"):
        show(line)
