"""`urbanpipe inspect`."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def command(
    videos: Annotated[list[Path], typer.Argument(help="Videos, or folders with videos.")],
    out: Annotated[Path, typer.Option("--out", help="Folder: one a video with its report, and index.html.")],
    bundle: Annotated[
        Path | None, typer.Option(help="Folder of `bundle`; by default a demonstration, not to be relied on.")
    ] = None,
    language: Annotated[str, typer.Option(help="Of the reports: en or zh.")] = "en",
    distance_region: Annotated[
        str | None, typer.Option(help="LEFT,TOP,WIDTH,HEIGHT, shares of the picture that shows the distance.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    batch_size: Annotated[int, typer.Option(min=1, help="Frames or clips at once.")] = 8,
) -> None:
    """Find what videos show, when and where, for a person to check. Exit status 3: some videos could not be read."""
    from urbanpipe.archive.inspect import InspectedVideo, inspect
    from urbanpipe.inspection.distance import region_of

    def say(video: InspectedVideo) -> None:
        for line in video.lines():
            print(line, flush=True)

    region = region_of(distance_region) if distance_region else None
    made = inspect(videos, out, bundle, language, region, device, batch_size, say)
    if made.demonstration:
        warning = "a demonstration, trained on simulated videos: rely on nothing that it says of real pipes"
        print(f"urbanpipe: the bundle is {warning}", file=sys.stderr)
    print(f"reports: {made.index}")
    if made.failures:
        raise typer.Exit(3)
