"""`urbanpipe ablate`."""

import os
from pathlib import Path
from typing import Annotated

import typer


def command(
    data: Annotated[Path | None, typer.Argument(help="Catalog (from `scan`).")] = None,
    recipe: Annotated[str | None, typer.Option("--recipe", "-r", help="The base: recipe name or TOML file.")] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for networks, which are kept, and the table, which is this call's."),
    ] = None,
    row: Annotated[
        list[str] | None, typer.Option("--row", help="This row alone; again for more: the table holds those named.")
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--change",
            help="A row of your own: section.key=value, *=factor, +=value or -=value against the base; again for more.",
        ),
    ] = None,
    list_rows: Annotated[
        bool, typer.Option("--list", help="Print the rows, and with --recipe what each changes.")
    ] = False,
    folds: Annotated[str, typer.Option(help="How many folds to make, or a CSV video,fold.")] = "5",
    only_fold: Annotated[
        list[int] | None, typer.Option(help="Train and judge this fold alone; again for more.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Trainings of each network, a seed each.")] = 1,
    test: Annotated[
        Path | None, typer.Option(help="Catalog of labelled videos no fold has, for fold-ensemble.")
    ] = None,
    override: Annotated[list[str] | None, typer.Option("--set", help="section.key=value, for the base.")] = None,
    taxonomy: Annotated[Path | None, typer.Option(help="Your own classes (TOML); the 17 of QV-Pipe without.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    cache: Annotated[Path | None, typer.Option(help="Folder for decoded frames; one for all runs by default.")] = None,
    cache_gb: Annotated[float, typer.Option(help="Largest size of that folder in GB; 0: decode every time.")] = 20.0,
) -> None:
    """Say what each trick of the report is worth on your data: a recipe with and without it, same folds and seeds."""
    from urbanpipe.errors import RecipeError

    if list_rows:
        from urbanpipe.reproduce.changes import listing

        print(listing(row or [], recipe, override or [], change or []))
        return
    if data is None or recipe is None or out is None:
        raise RecipeError("ablate needs a catalog, --recipe and --out; `urbanpipe ablate --list` shows the rows")
    from urbanpipe.cli.crossval import folds_given
    from urbanpipe.reproduce.ablate import ablate

    made = ablate(
        data=data,
        recipe=recipe,
        out=out,
        rows=row or [],
        changes=change or [],
        folds=folds_given(folds),
        only_folds=only_fold or [],
        seeds=seeds,
        overrides=override or [],
        test=test,
        taxonomy=taxonomy,
        device=device,
        cache=cache,
        cache_gb=cache_gb,
    )
    if int(os.environ.get("RANK", 0)) == 0:  # one process speaks for all
        print(made.to_markdown())
        print(f"results: {out}")
