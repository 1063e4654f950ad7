"""`urbanpipe audit`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from urbanpipe.cli.options import TaxonomyFile
from urbanpipe.cli.output import show
from urbanpipe.cli.verb import Result

if TYPE_CHECKING:
    from rich.table import Table

    from urbanpipe.evaluation.audit import Audit


def command(
    source: Annotated[Path, typer.Argument(help="Catalog from `urbanpipe scan`, or a label file.")],
    taxonomy: TaxonomyFile = None,
) -> Result:
    """Count labels and groups, and test whether name, duration, size or rates predict a class."""
    from urbanpipe.evaluation.audit import audit

    found = audit(source, taxonomy=taxonomy)
    _print(found)
    return Result(found.as_json())


def _print(found: "Audit") -> None:
    from urbanpipe.cli.tables import print_table

    show(f"{found.videos} labelled videos, {found.cardinality:.2f} labels per video, {_groups(found)}")
    if found.unreadable or found.unlabelled:
        show(f"not counted: {found.unreadable} unreadable and {found.unlabelled} unlabelled videos")
    print_table("Labels", _label_table(found))
    show("labels per video: " + ", ".join(f"{count} with {labels}" for labels, count in found.labels_per_video.items()))
    show("videos per group: " + ", ".join(f"{count} with {size}" for size, count in found.group_sizes.items()))
    inside, across = found.likeness
    show(f"similarity of two videos' defects (Jaccard): {inside:.2f} within a group, {across:.2f} between groups")
    print_table(
        "Co-occurrence: % of the videos with the class on the left that also show the class above",
        _co_occurrence(found),
    )
    if found.shortcuts:
        title = "Shortcut test: AP of a class from one property alone (!! almost determines it, + clearly above chance)"
        print_table(title, _shortcut_table(found))
    else:
        show("shortcut test: too few videos to test (a class needs 10 videos in 5 groups)")
    for warning in found.warnings:
        show(f"warning: {warning}")


def _groups(found: "Audit") -> str:
    several = sum(count for size, count in found.group_sizes.items() if size > 1)
    return f"{sum(found.group_sizes.values())} groups, {several} of them with several videos"


def _label_table(found: "Audit") -> "Table":
    from urbanpipe.cli.tables import new_table

    table = new_table("class", "videos", "share", "groups", "meaning")
    table.columns[-1].justify = "left"
    for item, count, groups in zip(found.taxonomy.classes, found.counts, found.groups_with, strict=True):
        table.add_row(item.code, str(count), f"{100 * count / found.videos:.1f} %", str(groups), item.en)
    return table


def _co_occurrence(found: "Audit") -> "Table":
    from urbanpipe.cli.tables import new_table

    present = [index for index, count in enumerate(found.counts) if count]
    table = new_table("", *(found.taxonomy.codes[index] for index in present))
    for row in present:
        both = [found.co_occurrence[row, column] for column in present]
        shares = [f"{100 * count / found.counts[row]:.0f}" if count else "." for count in both]
        shares[present.index(row)] = ""
        table.add_row(found.taxonomy.codes[row], *shares)
    return table


def _shortcut_table(found: "Audit") -> "Table":
    from urbanpipe.cli.tables import new_table

    marks = {"shortcut": "!!", "clue": "+ ", "": "  "}
    properties = list(dict.fromkeys(row.of for row in found.shortcuts))
    table = new_table("class", "chance", *(f"{name}  " for name in properties))
    for code in dict.fromkeys(row.code for row in found.shortcuts):
        rows = {row.of: row for row in found.shortcuts if row.code == code}
        chance = next(iter(rows.values())).chance
        figures = (f"{100 * rows[name].ap:.1f}{marks[rows[name].level]}" for name in properties)
        table.add_row(code, f"{100 * chance:.1f}", *figures)
    return table
