"""`urbanpipe predict`."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    model: Annotated[
        Path, typer.Argument(help="The folder of a experiment (its ensemble predicts), of an ensemble, or of a run.")
    ],
    videos: Annotated[list[Path], typer.Argument(help="Videos, or folders of videos.")],
    out: Annotated[Path, typer.Option("--out", help="Predictions as JSON; the same as CSV goes beside it.")],
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    workers: Annotated[int, typer.Option(min=-1, help="Decoding processes; -1: as many as the machine allows.")] = -1,
    batch_size: Annotated[int, typer.Option(min=1, help="Videos at once.")] = 8,
    top: Annotated[int, typer.Option(min=1, help="How many classes to print a video.")] = 3,
) -> None:
    """Rank every class in every video with all folds' models. Exit status 3: some videos could not be read."""
    from urbanpipe.inference.predict import predict

    done = predict(model, videos, out, device=device, workers=workers, batch_size=batch_size)
    for line in done.lines(top):
        print(line)
    print(f"{len(done.predictions.names)} videos, {done.videos_per_second:.2f} videos/s, {len(done.failures)} left out")
    print(f"results: {out.with_suffix('.json')} and {out.with_suffix('.csv')}")
    if done.failures:
        raise typer.Exit(3)
