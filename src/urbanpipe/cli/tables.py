"""Tables on standard output."""

import sys

from rich import box
from rich.console import Console
from rich.table import Table

_WIDTH_OF_A_FILE = 200


def new_table(*headings: str) -> Table:
    """Return an empty table with the first column left-aligned and the others, numbers, right-aligned."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place else "left", no_wrap=True)
    return table


def print_table(title: str, table: Table) -> None:
    """Print a table under its title, at full width: no column is dropped if the output is not a terminal."""
    print(f"\n{title}")
    width = None if sys.stdout.isatty() else _WIDTH_OF_A_FILE
    Console(width=width, markup=False, emoji=False).print(table)  # names of classes may look like markup
