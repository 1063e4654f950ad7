"""`urbanpipe evaluate`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from urbanpipe.cli.options import TaxonomyFile
from urbanpipe.cli.output import show_text
from urbanpipe.cli.verb import Result


class EmptyRule(StrEnum):
    """How a class without positives counts in the means."""

    zero = "zero"
    skip = "skip"


def command(
    ctx: typer.Context,
    run: Annotated[
        Path | None, typer.Argument(help="Run or ensemble of `urbanpipe crossval`, by its out-of-fold predictions.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", "-l", help="Label file (JSON or CSV), or a catalog with labels.")
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option("--predictions", "-p", help="Predictions to evaluate: QV-Pipe JSON or CSV.")
    ] = None,
    taxonomy: TaxonomyFile = None,
    empty: Annotated[
        EmptyRule | None,
        typer.Option(
            help="Count a class without positives as 0 in the means, and one that every video shows as 100 "
            "(official, default for files), or skip both (default for a run)."
        ),
    ] = None,
    draws: Annotated[
        int, typer.Option(min=0, help="Number of bootstrap draws for the intervals; 0: no intervals.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
    moments: Annotated[
        bool,
        typer.Option(
            "--moments", help="Evaluate time points; both files in CCTV-Pipe form. Excludes --empty, --draws, --seed."
        ),
    ] = False,
    subset: Annotated[
        str | None, typer.Option(help="With --moments: evaluate only this subset, such as testing.")
    ] = None,
) -> Result:
    """Print the AP per class and the mAP over all classes and over the defects, computed as by the public scorer.

    Give a run, whose table has every fold, or --labels and --predictions.
    """
    from urbanpipe.evaluation.evaluate import evaluate, evaluate_moments, evaluate_run

    _check_options(ctx, run, moments)
    if run is not None:
        table = evaluate_run(run, empty=(empty or EmptyRule.skip).value, draws=draws, seed=seed)
        figures, text = {"run": str(run), **table.to_json()}, table.to_markdown
    else:
        assert labels is not None
        assert predictions is not None
        result = (
            evaluate_moments(labels, predictions, taxonomy=taxonomy, subset=subset)
            if moments
            else evaluate(
                labels, predictions, taxonomy=taxonomy, empty=(empty or EmptyRule.zero).value, draws=draws, seed=seed
            )
        )
        figures, text = result.to_json(), result.to_markdown
    show_text(text())
    return Result(figures)


def _check_options(ctx: typer.Context, run: Path | None, moments: bool) -> None:
    """Reject missing options, and options that have no effect."""
    from urbanpipe.errors import RecipeError

    given = {
        name
        for name in ctx.params
        if (source := ctx.get_parameter_source(name)) is not None and source.name == "COMMANDLINE"
    }
    if run is None and None in (ctx.params["labels"], ctx.params["predictions"]):
        raise RecipeError("evaluate needs a run folder of `urbanpipe crossval`, or --labels and --predictions")
    idle: tuple[str, ...]
    if run is not None:
        idle, why = ("labels", "predictions", "taxonomy", "moments", "subset"), "with a run folder, which has its own"
    elif moments:
        idle, why = ("empty", "draws", "seed"), "with --moments, which has one rule and no intervals"
    else:
        idle, why = ("subset",), "without --moments"
    for name in idle:
        if name in given:
            raise RecipeError(f"--{name} does nothing {why}; remove it")
