"""`urbanpipe ensemble`."""

from pathlib import Path
from typing import Annotated

import typer

from urbanpipe.cli.output import show, show_text
from urbanpipe.cli.verb import Result


def command(
    runs: Annotated[list[Path], typer.Argument(help="Run folders of `urbanpipe crossval` on the same data.")],
    out: Annotated[Path, typer.Option("--out", help="Output folder of the ensemble, for `predict` and `bundle`.")],
    weights: Annotated[
        str,
        typer.Option(
            metavar="equal|search|bagged|simplex|report|0.3,0.7|FILE.toml",
            help="Weights of the runs; numbers follow the order of RUNS. search: greedily by out-of-fold scores; "
            "bagged: the mean of such searches on resampled videos; simplex: finer and slower; report: those of the "
            "UrbanPipe report, by recipe name (super-image-swin-l, ...), scaled to sum to 1.",
        ),
    ] = "equal",
    exclusive_threshold: Annotated[
        str,
        typer.Option(metavar="0.9|off", help="Set every defect to 0 above this probability of no defect."),
    ] = "0.9",
    recall: Annotated[
        float | None, typer.Option(help="Choose thresholds for this recall per class; default: best F1.")
    ] = None,
) -> Result:
    """Combine several runs into an ensemble; print single models and ensembles side by side."""
    from urbanpipe.ensembling.ensemble import ensemble
    from urbanpipe.reproduce.report_models import report_weights

    given = report_weights(runs) if weights == "report" else weights
    made = ensemble(runs, out=out, weights=given, exclusive_threshold=_threshold(exclusive_threshold), recall=recall)
    show_text(made.table.to_markdown())
    show(f"results: {made.folder}")
    weights_by_run = dict(zip(made.names, made.weights.tolist(), strict=True))
    return Result({"results": made.folder, "weights": weights_by_run, "exclusive_threshold": made.exclusive_threshold})


def _threshold(text: str) -> float | None:
    from urbanpipe.errors import RecipeError

    if text.strip().lower() == "off":
        return None
    try:
        return float(text)
    except ValueError:
        raise RecipeError(f"--exclusive-threshold is {text!r}; give a number in [0, 1], or off") from None
