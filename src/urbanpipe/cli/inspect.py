"""`urbanpipe inspect`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from urbanpipe.cli.options import Device, InspectionSources, Runtime, SegmentsPerBatch
from urbanpipe.cli.output import show, warn_of_demonstration
from urbanpipe.cli.verb import Result

if TYPE_CHECKING:
    from urbanpipe.archive.results import InspectedVideo


def command(
    videos: Annotated[list[Path], typer.Argument(help="Video files or folders.")],
    out: Annotated[
        Path, typer.Option("--out", help="Output folder: one folder per video with its report, and index.html.")
    ],
    bundle: Annotated[
        Path | None, typer.Option(help="Bundle folder; default: a demonstration, not for real use.")
    ] = None,
    language: Annotated[str, typer.Option(help="Language of the reports: en or zh.")] = "en",
    distance_region: Annotated[
        str | None,
        typer.Option(help="Where the frame shows the distance: LEFT,TOP,WIDTH,HEIGHT as fractions of it, or auto."),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read known videos again, in case that their content has changed.")
    ] = False,
    inspection_data: InspectionSources = None,
    device: Device = "auto",
    runtime: Runtime = "auto",
    batch_size: SegmentsPerBatch = 8,
    decoders: Annotated[
        int, typer.Option(min=1, help="Processes that decode a video, where the networks wait for its pictures.")
    ] = 1,
) -> Result:
    """Find defects in videos, when and where, for a person to review. Exit status 3: some videos could not be read."""
    from urbanpipe.archive.inspect import inspect
    from urbanpipe.archive.pages import PageOptions
    from urbanpipe.inference.options import InferenceOptions
    from urbanpipe.inspection.region import distance_region_of

    def show_video(video: "InspectedVideo") -> None:
        for line in video.lines():
            show(line, flush=True)

    region = distance_region_of(distance_region) if distance_region else None
    made = inspect(
        videos,
        out=out,
        bundle=bundle,
        distance_region=region,
        verify=verify,
        pages=PageOptions(language=language, inspection_data=inspection_data),
        on_video=show_video,
        options=InferenceOptions(device=device, batch_size=batch_size, runtime=runtime, decoders=decoders),
    )
    if made.demonstration:
        warn_of_demonstration()
    for name in made.unmatched:
        show(f"inspection data of a video that was not given: {name}")
    show(made.summary)
    show(f"reports: {made.index}")
    data = {
        "results": made.out,
        "index": made.index,
        "demonstration": made.demonstration,
        "unmatched": made.unmatched,
        "videos": [_entry(video) for video in made.videos],
    }
    return Result(data, status=3 if made.failures else 0)


def _entry(video: "InspectedVideo") -> dict[str, object]:
    return {
        "name": video.name,
        "status": "failed" if video.failure else "ok",
        "failure": video.failure or None,
        "reused": video.reused,
        "folder": video.folder,
        "summary": video.summary,
    }
