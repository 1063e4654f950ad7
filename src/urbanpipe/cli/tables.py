"""Tables on standard output."""

import sys

from rich import box
from rich.console import Console
from rich.table import Table

_WIDTH_OF_A_FILE = 200


def new_table(*headings: str) -> Table:
    """An empty table: the first column flush left, the others, numbers, flush right."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place else "left", no_wrap=True)
    return table


def print_table(title: str, table: Table) -> None:
    """Print a table under its title, as wide as it is: no column is dropped where the output is not a terminal."""
    print(f"\n{title}")
    Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE).print(table)
