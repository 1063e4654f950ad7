"""`urbanpipe explain`."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    run: Annotated[Path, typer.Argument(help="Folder of `train`, or of one run of `crossval`.")],
    video: Annotated[Path, typer.Argument(help="The video.")],
    out: Annotated[Path, typer.Option("--out", help="Folder: VIDEO.CODE.png and .npz a class, VIDEO.json.")] = Path(
        "explained"
    ),
    class_: Annotated[
        list[str] | None,
        typer.Option("--class", help="Code, again for each; by default those of .5 or more, else the best."),
    ] = None,
    layer: Annotated[
        str | None, typer.Option(help="Module of the backbone; by default the last with a map of 6 places a side.")
    ] = None,
    fold: Annotated[int | None, typer.Option(help="Which network of a cross-validation; by default the first.")] = None,
    top: Annotated[int, typer.Option(min=1, help="Frames or clips a class: those with its highest scores.")] = 9,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    batch_size: Annotated[int, typer.Option(min=1, help="Frames or clips at once.")] = 8,
) -> None:
    """Show where and when a network saw a class in a video: heat maps over its frames (Grad-CAM)."""
    from urbanpipe.explain.explain import explain

    made = explain(run, video, out, class_ or [], layer, fold, top, device, batch_size)
    for line in made.lines():
        print(line)
    print(f"results: {made.summary} and {len(made.pictures) + len(made.data)} files beside it")
