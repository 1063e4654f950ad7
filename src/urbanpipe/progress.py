"""Progress of long operations: a bar with the time left on a terminal, plain lines in a log; times and sizes."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")
LOG_EVERY_SECONDS = 15.0
_bars_shown = True


def show_bars(shown: bool) -> None:
    """Show bars on a terminal, or log plain lines there too; this holds for the whole process."""
    global _bars_shown
    _bars_shown = shown


def track(items: Iterable[T], total: int, label: str, unit: str = "videos") -> Iterator[T]:
    """Yield `items` unchanged while standard error shows how many of `total` are done.

    A terminal shows a bar with the time left; elsewhere a line is logged every `LOG_EVERY_SECONDS` and at the end.
    """
    return _bar(items, total, label, unit) if draws_bars() else _lines(items, total, label, unit)


def draws_bars() -> bool:
    """Return whether standard error is a terminal on which progress is drawn."""
    return _bars_shown and sys.stderr.isatty()


def duration_text(seconds: float) -> str:
    """Return a duration for people: seconds below two minutes, minutes below two hours, hours below two days.

    Example:
        >>> duration_text(50), duration_text(600), duration_text(9000), duration_text(864000)
        ('50 s', '10 min', '2.5 h', '10.0 days')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172800 else f"{seconds / 86400:.1f} days"


def size_text(size_bytes: float) -> str:
    """Return a size for people, in decimal units.

    Example:
        >>> size_text(900), size_text(1_500_000)
        ('900 B', '1.5 MB')
    """
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= size:
            return f"{size_bytes / size:.1f} {unit}"
    return f"{size_bytes:.0f} B"


def _bar(items: Iterable[T], total: int, label: str, unit: str) -> Iterator[T]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),  # names in it may look like markup
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    printed = sys.stdout.isatty()  # what is printed meanwhile goes above the bar, or where it was redirected to
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=printed) as progress:
        task = progress.add_task(label, total=total)
        for item in items:
            yield item
            progress.advance(task)


def _lines(items: Iterable[T], total: int, label: str, unit: str) -> Iterator[T]:
    started = logged = time.monotonic()
    done = 0
    for item in items:
        yield item
        done += 1
        now = time.monotonic()
        if now - logged >= LOG_EVERY_SECONDS and done < total:
            logged = now
            left = (now - started) / done * (total - done)
            log.info("%s: %d/%d %s, %s left", label, done, total, unit, duration_text(left))
    if time.monotonic() - started >= LOG_EVERY_SECONDS:
        log.info("%s: %d/%d %s in %.0f s", label, done, total, unit, time.monotonic() - started)
