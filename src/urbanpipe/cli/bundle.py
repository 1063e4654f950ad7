"""`urbanpipe bundle`."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    model: Annotated[Path, typer.Argument(help="A run of `crossval`, an ensemble, or a experiment: its ensemble.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the bundle.")],
    data: Annotated[
        Path | None, typer.Option(help="Catalog that was trained on: teaches it to tell videos that are no pipes.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the bundle; by default the folder's.")] = None,
    miss_bound: Annotated[float, typer.Option(help="Wanted share of true classes that at most are rejected.")] = 0.05,
    precision: Annotated[float, typer.Option(help="Wanted share of accepted classes that are right.")] = 0.9,
    moments: Annotated[Path | None, typer.Option(help="Settings that `moments` wrote.")] = None,
    demonstration: Annotated[
        bool, typer.Option("--demonstration", help="Mark it as a demonstration, not to be relied on.")
    ] = False,
    half: Annotated[bool, typer.Option("--half", help="Weights in half precision: half the size.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
) -> None:
    """Make of a cross-validated run what `inspect` needs: networks, calibrated probabilities, three triage a class."""
    from urbanpipe.ensembling.bundling import bundle

    made = bundle(model, out, data, name, miss_bound, precision, moments, demonstration, half, device)
    for line in made.lines():
        print(line)
    print(f"bundle: {made.folder}")
