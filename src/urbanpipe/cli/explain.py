"""`urbanpipe explain`."""

from pathlib import Path
from typing import Annotated

import typer

from urbanpipe.cli.options import Device, SegmentsPerBatch
from urbanpipe.cli.output import show
from urbanpipe.cli.verb import Result


def command(
    run: Annotated[Path, typer.Argument(help="Run folder of `train` or `crossval`.")],
    video: Annotated[Path, typer.Argument(help="Video file.")],
    out: Annotated[
        Path, typer.Option("--out", help="Output folder: VIDEO.CODE.png and .npz per class, and VIDEO.json.")
    ] = Path("explained"),
    class_: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            help="Class code; repeatable. Default: classes with a score of at least 0.5, or else the best one.",
        ),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(help="Backbone module; default: the last with a map of at least 6 cells along the shorter side."),
    ] = None,
    fold: Annotated[int | None, typer.Option(help="Fold model of a cross-validation; default: the first.")] = None,
    top: Annotated[
        int, typer.Option(min=1, help="Number of frames or clips per class: those with its highest scores.")
    ] = 9,
    device: Device = "auto",
    batch_size: SegmentsPerBatch = 8,
) -> Result:
    """Show where and when a model detects a class in a video: heat maps over its frames (Grad-CAM)."""
    from urbanpipe.explain.explain import explain
    from urbanpipe.inference.options import InferenceOptions

    made = explain(
        run,
        video,
        out=out,
        classes=class_ or [],
        layer=layer,
        fold=fold,
        top=top,
        options=InferenceOptions(device=device, batch_size=batch_size),
    )
    for line in made.lines():
        show(line)
    show(f"results: {made.summary} and {len(made.pictures) + len(made.data)} files beside it")
    scores = dict(zip(made.taxonomy.codes, made.scores.tolist(), strict=True))
    return Result({"results": made.summary, "scores": scores, "pictures": made.pictures, "notes": made.notes})
