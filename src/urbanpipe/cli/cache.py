"""`urbanpipe cache`: what is kept for later runs."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from urbanpipe.cli.output import show
from urbanpipe.cli.verb import Result, verb

app = typer.Typer(help="Show what is kept for later runs, and remove it.", no_args_is_help=True, rich_markup_mode=None)

Folder = Annotated[
    Path | None, typer.Option("--cache", help="Folder of the frame cache; default: the one shared by all runs.")
]


class Kind(StrEnum):
    """What the frame cache holds."""

    frames = "frames"
    features = "features"


@app.command("show", short_help="Show sizes and ages.")
@verb
def show_cache(cache: Folder = None) -> Result:
    """Show frames of videos, features of frozen networks, and downloaded weights, with sizes and ages."""
    from urbanpipe.maintenance.cache import cache_show

    kinds = cache_show(cache)
    for kind in kinds:
        show(kind.line())
    show("`cache clear` removes frames and features; other programs may use the weights")
    return Result({"cache": [vars(kind) for kind in kinds]})


@app.command("clear", short_help="Remove frames and features.")
@verb
def clear(
    cache: Folder = None,
    older_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="Keep what was used within this time, such as 12h, 30d or 2w.")
    ] = None,
    kind: Annotated[list[Kind] | None, typer.Option(help="Remove only frames or only features; default: both.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> Result:
    """Remove frames and features of the frame cache; later runs decode and compute them again."""
    from urbanpipe.errors import UrbanpipeError
    from urbanpipe.maintenance.cache import KINDS, clear_entries, clearable, seconds_of
    from urbanpipe.progress import size_text

    age = seconds_of(older_than) if older_than else 0.0
    kinds = [name for name in KINDS if not kind or name in kind]
    entries = clearable(cache, older_than_seconds=age, kinds=kinds)
    size = sum(entry.size_bytes for entry in entries)
    what = f"{len(entries)} files, {size_text(size)}"
    if entries and not yes:
        if not sys.stdin.isatty():
            raise UrbanpipeError(f"this would remove {what}; give --yes where nobody can be asked")
        if not typer.confirm(f"Remove {what}?", err=True):
            show("nothing was removed")
            return Result({"removed": 0, "size_bytes": 0})
    clear_entries(cache, entries)
    show(f"removed: {what}")
    return Result({"removed": len(entries), "size_bytes": size})
