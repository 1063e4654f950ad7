"""`urbanpipe ensemble`."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    runs: Annotated[list[Path], typer.Argument(help="Run folders of `urbanpipe crossval`, over the same data.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the ensemble; `predict` takes it.")],
    weights: Annotated[
        str,
        typer.Option(
            metavar="equal|search|simplex|report|0.3,0.7|FILE.toml",
            help="Weights of the runs: numbers in their order; report: the UrbanPipe report's, by the names of their "
            "recipes (super-image-swin-l, ...), scaled to sum 1.",
        ),
    ] = "equal",
    exclusive_threshold: Annotated[
        str,
        typer.Option(metavar="0.9|off", help="Above this P(nothing wrong), every defect is set to 0."),
    ] = "0.9",
    recall: Annotated[
        float | None, typer.Option(help="Choose thresholds that find this share of each class; by default best F1.")
    ] = None,
) -> None:
    """Make one predictor of several runs; print single models and ensembles side by side."""
    from urbanpipe.ensembling.ensemble import ensemble
    from urbanpipe.reproduce.report_models import report_weights

    given = report_weights(runs) if weights == "report" else weights
    made = ensemble(runs, out, given, _threshold(exclusive_threshold), recall)
    print(made.table.to_markdown())
    print(f"results: {made.folder}")


def _threshold(text: str) -> float | None:
    from urbanpipe.errors import RecipeError

    if text.strip().lower() == "off":
        return None
    try:
        return float(text)
    except ValueError:
        raise RecipeError(f"--exclusive-threshold is {text!r}; give a number in [0, 1], or off") from None
