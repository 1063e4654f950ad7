"""`urbanpipe predict`."""

from pathlib import Path
from typing import Annotated

import typer

from urbanpipe.cli.options import Device, Runtime
from urbanpipe.cli.output import show
from urbanpipe.cli.verb import Result


def command(
    model: Annotated[
        Path, typer.Argument(help="Folder of a run, an ensemble, an experiment (its ensemble is used), or a bundle.")
    ],
    videos: Annotated[list[Path], typer.Argument(help="Video files or folders.")],
    out: Annotated[
        Path, typer.Option("--out", help="Output file (JSON); the same predictions go to a CSV file beside it.")
    ],
    device: Device = "auto",
    runtime: Runtime = "auto",
    workers: Annotated[
        int, typer.Option(min=-1, help="Number of decoding processes; -1: as many as the machine allows.")
    ] = -1,
    batch_size: Annotated[int, typer.Option(min=1, help="Videos per batch.")] = 8,
    top: Annotated[int, typer.Option(min=1, help="Number of classes to print per video.")] = 3,
) -> Result:
    """Rank the classes of every video with the models of all folds. Exit status 3: some videos could not be read."""
    from urbanpipe.inference.options import InferenceOptions
    from urbanpipe.inference.predict import predict

    options = InferenceOptions(device=device, batch_size=batch_size, runtime=runtime)
    done = predict(model, videos, out=out, workers=workers, options=options)
    for line in done.lines(top):
        show(line)
    show(f"{len(done.predictions.names)} videos, {done.videos_per_second:.2f} videos/s, {len(done.failures)} left out")
    written = out.with_suffix(".json"), out.with_suffix(".csv")
    show(f"results: {written[0]} and {written[1]}")
    data = {
        "results": written,
        "videos": len(done.predictions.names),
        "videos_per_second": done.videos_per_second,
        "classes": done.taxonomy.codes,
        "predictions": dict(zip(done.predictions.names, done.predictions.scores.tolist(), strict=True)),
        "failures": done.failures,
    }
    return Result(data, status=3 if done.failures else 0)
