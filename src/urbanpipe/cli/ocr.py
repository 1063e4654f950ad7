"""`urbanpipe ocr`."""

from pathlib import Path
from typing import Annotated

import typer

from urbanpipe.cli.output import show
from urbanpipe.cli.verb import Result


def command(
    videos: Annotated[list[Path], typer.Argument(help="Video files or folders.")],
    out: Annotated[
        Path,
        typer.Option("--out", help="Table (CSV) to write or extend; --inspection-data takes its rows once checked."),
    ],
    previews: Annotated[
        Path | None,
        typer.Option(help="Folder for a picture per video with its numbered texts; their regions are printed."),
    ] = None,
) -> Result:
    """Read on-screen text as proposals for inspection data, and find where the distance is. Exit status 3: some failed.

    Needs the extra `ocr`. A person checks the table and writes yes in its column `checked`.
    """
    from urbanpipe.inspection.screen_text.propose import VideoText, ocr

    def show_video(video: VideoText) -> None:
        for line in video.lines():
            show(line, flush=True)

    made = ocr(videos, out=out, previews=previews, on_video=show_video)
    before = f" ({made.before} before)" if made.before else ""
    show(f"{made.read} of {len(made.videos)} videos read{before}")
    show(f"proposals to check: {out}")
    read = [{"name": one.name, "failure": one.failure, "preview": one.preview} for one in made.videos]
    return Result({"results": out, "videos": read}, 3 if made.failures else 0)
