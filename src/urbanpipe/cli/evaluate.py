"""`urbanpipe evaluate`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class EmptyRule(StrEnum):
    """What a class without positives counts in the means."""

    zero = "zero"
    skip = "skip"


def command(
    ctx: typer.Context,
    labels: Annotated[Path, typer.Option("--labels", "-l", help="Label file (JSON or CSV), or a catalog with labels.")],
    predictions: Annotated[Path, typer.Option("--predictions", "-p", help="What to judge: QV-Pipe JSON or CSV.")],
    taxonomy: Annotated[
        Path | None, typer.Option(help="TOML table of your own classes; by default the 17 of QV-Pipe.")
    ] = None,
    empty: Annotated[
        EmptyRule, typer.Option(help="A class without positives counts as 0 in the means (official), or is left out.")
    ] = EmptyRule.zero,
    draws: Annotated[int, typer.Option(min=0, help="Bootstrap draws for the intervals; 0 for none.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON (fractions) in place of the table.")] = False,
    moments: Annotated[
        bool,
        typer.Option("--moments", help="Judge time points, both files in CCTV-Pipe form; no --empty, --draws, --seed."),
    ] = False,
    subset: Annotated[
        str | None, typer.Option(help="With --moments: only videos of this subset, such as testing.")
    ] = None,
) -> None:
    """Print the AP of every class and mAP over all classes and over the defects, as the public scorer counts them."""
    import json

    from urbanpipe.evaluation.evaluate import evaluate, evaluate_moments

    _check_options(ctx, moments)
    result = (
        evaluate_moments(labels, predictions, taxonomy, subset)
        if moments
        else evaluate(labels, predictions, taxonomy, empty.value, draws, seed)
    )
    if as_json:
        print(json.dumps(result.to_json(), ensure_ascii=False, indent=1, allow_nan=False))
    else:
        print(result.to_markdown())


def _check_options(ctx: typer.Context, moments: bool) -> None:
    """Refuse options that would do nothing."""
    from urbanpipe.errors import RecipeError

    idle = ("empty", "draws", "seed") if moments else ("subset",)
    for name in idle:
        source = ctx.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            with_it = "with --moments, which has one rule and no intervals" if moments else "without --moments"
            raise RecipeError(f"--{name} does nothing {with_it}; leave it out")
