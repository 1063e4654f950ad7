"""`urbanpipe scan`."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from urbanpipe.cli.options import TaxonomyFile
from urbanpipe.cli.output import show
from urbanpipe.cli.verb import Result

if TYPE_CHECKING:
    from urbanpipe.catalog.scan import ScanReport

SHOWN = 10


def command(
    videos: Annotated[Path, typer.Argument(help="Folder with the videos; it is searched recursively.")],
    out: Annotated[Path, typer.Option(help="Catalog (CSV) to write or update; unchanged videos are not read again.")],
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Label file: QV-Pipe JSON, CSV or XLSX with a `video` column, CCTV-Pipe JSON, or coded inspections as "
            "ISYBAU XML or EN 13508-2 text."
        ),
    ] = None,
    taxonomy: TaxonomyFile = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Number of processes that read videos; default: one per CPU core.")
    ] = None,
) -> Result:
    """Create the catalog of a folder: one row per video. Exit status 3: some videos or folders could not be read."""
    from urbanpipe.catalog.scan import scan_report

    report = scan_report(videos, out, labels, taxonomy, workers)
    _print(report)
    show(f"catalog: {out}")
    unread = len(report.catalog.ok) < len(report.catalog.videos) or report.closed
    return Result(_data(report, out), status=3 if unread else 0)


def _print(report: "ScanReport") -> None:
    from urbanpipe.catalog.grouping import catalog_group_warnings
    from urbanpipe.contracts.name_matching import near_text

    catalog = report.catalog
    bad = [f"{video.name}: {video.status}" for video in catalog.videos if video.status != "ok"]
    damaged = [f"{video.name}: {video.damage}" for video in catalog.ok if video.damage]
    hours = sum(video.duration_seconds for video in catalog.ok) / 3600
    show(f"{len(catalog.videos)} videos, {report.reused} of them unchanged since an earlier scan")
    show(f"{len(catalog.ok)} can be read ({hours:.2f} hours), {len(catalog.labelled)} of them are labelled")
    _list("cannot be read", bad)
    _list("can be read but are damaged", damaged)
    _list("have notes", [f"{video.name}: {video.notes}" for video in catalog.ok if video.notes])
    for note in report.label_notes:
        show(f"labels: {note}")
    _list("labelled names differ from those of their files", [f"{a} is {b}" for a, b in report.differing.items()])
    _list("labelled names have no file", [f"{name}{near_text(near)}" for name, near in report.near.items()])
    _list("videos have no label", report.without_labels)
    _list("videos have moments after their end, and none of their moments is used", report.late)
    _list("earlier rows with labels or your own columns were removed, as their videos are gone", report.lost)
    _list("videos are copies of another video", [f"{a} is a copy of {b}" for a, b in _copies(report).items()])
    _list("folders cannot be opened", report.closed)
    if report.left_out:
        kinds = ", ".join(f"{count} {kind}" for kind, count in report.left_out.most_common(SHOWN))
        show(f"{report.left_out.total()} files have no video extension: {kinds}")
    for warning in catalog_group_warnings(catalog):
        show(f"warning: {warning}")
    if report.without_file or report.without_labels:
        show(f"full list of mismatches: {report.unmatched}")


def _data(report: "ScanReport", out: Path) -> dict[str, object]:
    from urbanpipe.catalog.grouping import catalog_group_warnings

    catalog = report.catalog
    return {
        "catalog": out,
        "videos": len(catalog.videos),
        "reused": report.reused,
        "readable": len(catalog.ok),
        "labelled": len(catalog.labelled),
        "seconds": sum(video.duration_seconds for video in catalog.ok),
        "unreadable": {video.name: video.status for video in catalog.videos if video.status != "ok"},
        "damaged": {video.name: video.damage for video in catalog.ok if video.damage},
        "notes": {video.name: video.notes for video in catalog.ok if video.notes},
        "label_notes": report.label_notes,
        "differing_names": report.differing,
        "labels_without_file": report.near,
        "videos_without_labels": report.without_labels,
        "late_moments": report.late,
        "lost_rows": report.lost,
        "copies": _copies(report),
        "closed_folders": report.closed,
        "other_files": report.left_out,
        "warnings": [*catalog_group_warnings(catalog)],
        "unmatched": report.unmatched,
    }


def _copies(report: "ScanReport") -> dict[str, str]:
    """Return the first video with the same content, for each video that is a copy."""
    digests = Counter(video.digest for video in report.catalog.ok if video.digest)
    first: dict[str, str] = {}
    pairs = [
        (video.name, first.setdefault(video.digest, video.name))
        for video in report.catalog.ok
        if digests[video.digest] > 1
    ]
    return {name: other for name, other in pairs if name != other}


def _list(what: str, items: Sequence[str]) -> None:
    if not items:
        return
    show(f"{len(items)} {what}:")
    for item in items[:SHOWN]:
        show(f"  {item}")
    if len(items) > SHOWN:
        show(f"  and {len(items) - SHOWN} more")
