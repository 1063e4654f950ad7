"""`urbanpipe reproduce`."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer


def command(
    what: Annotated[
        Literal["table1", "table2", "table3", "table4", "table5", "table6", "figure2", "figure3"],
        typer.Argument(help="Of the UrbanPipe report."),
    ],
    data: Annotated[Path, typer.Option("--data", help="Catalog (from `scan`).")],
    out: Annotated[Path, typer.Option("--out", help="Folder that all tables share; run again, it goes on.")] = Path(
        "reproduced"
    ),
    scale: Annotated[
        Literal["small", "paper"], typer.Option(help="paper: the report's networks; small: a laptop's.")
    ] = "small",
    folds: Annotated[str, typer.Option(help="How many folds to make, or a CSV video,fold.")] = "5",
    only_fold: Annotated[
        list[int] | None, typer.Option(help="Train and judge this fold alone; again for more.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Of tables 4 and 5: trainings of each network, a seed each.")] = 1,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=FILE",
            help="First weights of a model, a file, hub or random; base (clips: video-base) is that of tables 4 and 5.",
        ),
    ] = None,
    test: Annotated[Path | None, typer.Option(help="Catalog of labelled videos no fold has, for table 4.")] = None,
    override: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="[KEY:]SECTION.KEY=VALUE",
            help="A setting of all recipes, or of the model KEY alone: base:training.epochs=8. Without training.keep "
            "the last epoch is kept.",
        ),
    ] = None,
    taxonomy: Annotated[Path | None, typer.Option(help="Your own classes (TOML); the 17 of QV-Pipe without.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    cache: Annotated[Path | None, typer.Option(help="Folder for decoded frames; one for all runs by default.")] = None,
    cache_gb: Annotated[float, typer.Option(help="Largest size of that folder in GB; 0: decode every time.")] = 20.0,
) -> None:
    """Train what a table or figure of the report needs on your videos, and write it beside the report's numbers."""
    from urbanpipe.cli.crossval import folds_given

    given, folds_or_file = _weights(weights or []), folds_given(folds)
    from urbanpipe.reproduce.reproduce import reproduce

    text = reproduce(
        what=what,
        data=data,
        out=out,
        scale=scale,
        folds=folds_or_file,
        only_folds=only_fold or [],
        seeds=seeds,
        overrides=override or [],
        weights=given,
        test=test,
        taxonomy=taxonomy,
        device=device,
        cache=cache,
        cache_gb=cache_gb,
    )
    if int(os.environ.get("RANK", 0)) == 0:  # one process speaks for all
        print(text)
        print(f"results: {out}")


def _weights(pairs: list[str]) -> dict[str, str]:
    """Files by key."""
    from urbanpipe.errors import RecipeError

    if bad := [pair for pair in pairs if "=" not in pair]:
        raise RecipeError(f"--weights {bad[0]}: want KEY=FILE, for example --weights base=mobilenetv2_100.safetensors")
    keys = [pair.split("=", 1)[0] for pair in pairs]
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise RecipeError(f"--weights {twice[0]} is given twice; give one file")
    return dict(pair.split("=", 1) for pair in pairs)
