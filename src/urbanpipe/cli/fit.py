"""`urbanpipe fit`."""

from pathlib import Path
from typing import Annotated

import typer

from urbanpipe.cli.options import (
    Device,
    FoldsOrFile,
    FrameCacheFolder,
    FrameCacheGB,
    LoggerName,
    TaxonomyFile,
    folds_given,
)
from urbanpipe.cli.output import show, show_text
from urbanpipe.cli.verb import Result


def command(
    data: Annotated[Path, typer.Argument(help="Catalog from `urbanpipe scan`, or a folder of videos with --labels.")],
    out: Annotated[
        Path, typer.Option("--out", help="Output folder; rerun to resume, or with a larger --budget to continue.")
    ],
    labels: Annotated[Path | None, typer.Option(help="Label file, if DATA is a folder of videos.")] = None,
    taxonomy: TaxonomyFile = None,
    budget: Annotated[str, typer.Option(help="Wall time for everything, such as 45m, 2h or 1h30m.")] = "2h",
    weights: Annotated[
        list[str] | None,
        typer.Option(
            help="BACKBONE=FILE, hub (download), package (extra `weights`) or random; repeatable. "
            "BACKBONE is a timm name. Default: tf_efficientnet_lite0 from its package, or from the hub."
        ),
    ] = None,
    folds: FoldsOrFile = "5",
    group_by: Annotated[
        str, typer.Option(help="root, folder, none or a catalog column; a group stays in one fold.")
    ] = "root",
    seed: Annotated[int, typer.Option(help="Seed of the folds.")] = 0,
    only_fold: Annotated[
        list[int] | None,
        typer.Option(help="Evaluate only this fold, and train on the others too; faster; repeatable, two or more."),
    ] = None,
    device: Device = "auto",
    cache: FrameCacheFolder = None,
    cache_gb: FrameCacheGB = 20.0,
    logger: LoggerName = "tensorboard",
) -> Result:
    """Find the best model that a time budget allows: frozen baselines, fine-tuned networks and their combination."""
    given = folds_given(folds)
    sources = weights_given(weights or [])
    from urbanpipe.training.options import FoldOptions, RunOptions
    from urbanpipe.tuning.fitting import fit

    result = fit(
        data,
        out=out,
        labels=labels,
        taxonomy=taxonomy,
        budget=budget,
        weights=sources or None,
        split=FoldOptions(folds=given, group_by=group_by, seed=seed, only=only_fold or []),
        options=RunOptions(device=device, cache=cache, cache_gb=cache_gb, logger=logger),
    )
    show_text((result.folder / "fit.md").read_text(encoding="utf-8"))
    if result.bundle:
        show(f"bundle: {result.bundle}")
    show(f"results: {result.folder / 'fit.html'}")
    return Result(result.to_json())


def weights_given(texts: list[str]) -> dict[str, str]:
    """Return the weights by backbone that were given as BACKBONE=SOURCE.

    Raises:
        RecipeError: a text has another form, or a backbone is given twice.
    """
    from urbanpipe.errors import RecipeError

    sources: dict[str, str] = {}
    for text in texts:
        backbone, equals, source = text.partition("=")
        if not (backbone and equals and source):
            raise RecipeError(f"--weights {text}: give BACKBONE=FILE, or hub, package or random instead of a file")
        if backbone in sources:
            raise RecipeError(f"--weights gives {backbone} twice; give each backbone once")
        sources[backbone] = source
    return sources
