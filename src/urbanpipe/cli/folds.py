"""`urbanpipe folds`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from urbanpipe.cli.options import TaxonomyFile
from urbanpipe.cli.output import show
from urbanpipe.cli.verb import Result

if TYPE_CHECKING:
    from rich.table import Table

    from urbanpipe.catalog.folds import FoldPlan


def command(
    source: Annotated[Path, typer.Argument(help="Catalog from `urbanpipe scan`, or a label file.")],
    out: Annotated[Path, typer.Option(help="Output CSV file with columns video,fold.")],
    folds: Annotated[int, typer.Option(help="Number of folds.")] = 5,
    group_by: Annotated[
        str,
        typer.Option(
            metavar="root|folder|none|COLUMN",
            help="What to keep in one fold: `root`, the segments of one inspection, by their names; `folder`, the "
            "videos of a folder; `none`, nothing; or the videos with the same value in this column of the catalog.",
        ),
    ] = "root",
    seed: Annotated[
        int, typer.Option(min=0, help="Seed; the same seed gives the same folds, in any order of SOURCE.")
    ] = 0,
    taxonomy: TaxonomyFile = None,
    plot: Annotated[Path | None, typer.Option(help="Also plot the classes per fold (.png, .pdf, .svg).")] = None,
) -> Result:
    """Split labelled videos into folds: classes spread evenly, whole inspections in one fold."""
    from urbanpipe.catalog.folds import check_folds_out, plan_folds, write_folds

    check_folds_out(source, out)
    plan = plan_folds(source, folds, group_by, seed, taxonomy)
    _print(plan)
    write_folds(plan.folds, out)
    if plot is not None:
        from urbanpipe.evaluation.fold_plots import plot_folds

        labels = {name: tuple(row.nonzero()[0].tolist()) for name, row in zip(plan.names, plan.targets, strict=True)}
        plot_folds(plan.folds, labels, plan.taxonomy, plot)
        show(f"plot: {plot}")
    show(f"folds: {out}")
    return Result(
        {
            "folds": out,
            "plot": plot,
            "videos": len(plan.names),
            "groups": len(set(plan.groups)),
            "sizes": plan.sizes.tolist(),
            "counts": dict(zip(plan.taxonomy.codes, plan.counts.T.tolist(), strict=True)),
            "unreadable": plan.unreadable,
            "unlabelled": plan.unlabelled,
            "leaks": plan.leaks,
            "warnings": [*plan.warnings],
        }
    )


def _print(plan: "FoldPlan") -> None:
    from urbanpipe.catalog.labels import describe_labels
    from urbanpipe.cli.tables import print_table

    show(f"{len(plan.names)} videos in {len(set(plan.groups))} groups, {plan.n_folds} folds")
    show(describe_labels([row.nonzero()[0] for row in plan.targets], plan.unlabelled))
    if plan.unreadable or plan.unlabelled:
        show(f"without a fold: {plan.unreadable} unreadable and {plan.unlabelled} unlabelled videos")
    print_table("Videos per fold, and the largest deviation of a fold from an equal share", _deviations(plan))
    show(f"videos with a segment of the same inspection in another fold: {plan.leaks}")
    for warning in plan.warnings:
        show(f"warning: {warning}")


def _deviations(plan: "FoldPlan") -> "Table":
    from urbanpipe.cli.tables import new_table

    table = new_table("class", "all", "share", *(f"fold {fold}" for fold in range(plan.n_folds)), "off by")
    for code, counts in zip((*plan.taxonomy.codes, "videos"), (*plan.counts.T, plan.sizes), strict=True):
        share = counts.sum() / plan.n_folds
        if code == "videos":
            table.add_section()
        table.add_row(code, str(counts.sum()), f"{share:.1f}", *map(str, counts), f"{abs(counts - share).max():.1f}")
    return table
