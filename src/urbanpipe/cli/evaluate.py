"""`urbanpipe evaluate`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from urbanpipe.cli.options import TaxonomyFile
from urbanpipe.cli.output import show_text


class EmptyRule(StrEnum):
    """How a class without positives counts in the means."""

    zero = "zero"
    skip = "skip"


def command(
    ctx: typer.Context,
    labels: Annotated[Path, typer.Option("--labels", "-l", help="Label file (JSON or CSV), or a catalog with labels.")],
    predictions: Annotated[
        Path, typer.Option("--predictions", "-p", help="Predictions to evaluate: QV-Pipe JSON or CSV.")
    ],
    taxonomy: TaxonomyFile = None,
    empty: Annotated[
        EmptyRule,
        typer.Option(
            help="Count a class without positives as 0 in the means, and one that every video shows as 100 "
            "(official), or skip both."
        ),
    ] = EmptyRule.zero,
    draws: Annotated[
        int, typer.Option(min=0, help="Number of bootstrap draws for the intervals; 0: no intervals.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON (fractions) instead of the table.")] = False,
    moments: Annotated[
        bool,
        typer.Option(
            "--moments", help="Evaluate time points; both files in CCTV-Pipe form. Excludes --empty, --draws, --seed."
        ),
    ] = False,
    subset: Annotated[
        str | None, typer.Option(help="With --moments: evaluate only this subset, such as testing.")
    ] = None,
) -> None:
    """Print the AP per class and the mAP over all classes and over the defects, computed as by the public scorer."""
    import json

    from urbanpipe.evaluation.evaluate import evaluate, evaluate_moments

    _check_options(ctx, moments)
    result = (
        evaluate_moments(labels, predictions, taxonomy=taxonomy, subset=subset)
        if moments
        else evaluate(labels, predictions, taxonomy=taxonomy, empty=empty.value, draws=draws, seed=seed)
    )
    if as_json:
        print(json.dumps(result.to_json(), ensure_ascii=False, indent=1, allow_nan=False))
    else:
        show_text(result.to_markdown())


def _check_options(ctx: typer.Context, moments: bool) -> None:
    """Reject options that have no effect."""
    from urbanpipe.errors import RecipeError

    idle = ("empty", "draws", "seed") if moments else ("subset",)
    for name in idle:
        source = ctx.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            with_it = "with --moments, which has one rule and no intervals" if moments else "without --moments"
            raise RecipeError(f"--{name} does nothing {with_it}; remove it")
