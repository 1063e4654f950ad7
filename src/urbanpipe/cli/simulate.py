"""`urbanpipe simulate`."""

import re
from pathlib import Path
from typing import Annotated

import typer

from urbanpipe.errors import UrbanpipeError


def command(
    out: Annotated[Path, typer.Argument(help="Folder to write to: videos/, labels.json and moments.json.")],
    videos: Annotated[int, typer.Option(help="How many videos.")] = 60,
    seed: Annotated[int, typer.Option(help="Same seed, same videos.")] = 0,
    classes: Annotated[
        str | None, typer.Option(help="Codes of the classes wanted, as ZC,CJ,PL; by default all that can be drawn.")
    ] = None,
    size: Annotated[str, typer.Option(help="Width x height in pixels.")] = "320x240",
    fps: Annotated[float, typer.Option(help="Frames a second.")] = 12.5,
    seconds: Annotated[str, typer.Option(help="Shortest:longest duration of a video.")] = "3:8",
    workers: Annotated[int | None, typer.Option(help="Processes; by default one a core.")] = None,
    contact_sheets: Annotated[
        bool, typer.Option("--contact-sheets", help="Also write a picture of each class, contact_sheets/CODE.png.")
    ] = False,
) -> None:
    """Make synthetic inspection videos whose labels and moments are known.

    They are caricatures of pipes, to try and to test with: a score on them says nothing of real pipes.
    """
    width, height = _pair(size, "x", "--size", "320x240")
    shortest, longest = _pair(seconds, ":", "--seconds", "3:8")
    wanted = None if classes is None else [code for code in re.split(r"[,\s]+", classes) if code]
    if not (width.is_integer() and height.is_integer()):
        raise UrbanpipeError(f"--size is {size!r}; give whole pixels, as 320x240")
    from urbanpipe.simulate.generator import simulate

    made = simulate(
        out, videos, seed, wanted, (int(width), int(height)), fps, (shortest, longest), workers, contact_sheets
    )
    print("class  videos")
    for code, count in made.counts.items():
        print(f"{code:5}  {count:6}")
    print(f"{videos} videos in {made.videos}, labels in {made.labels}, moments in {made.moments}")


def _pair(text: str, mark: str, option: str, example: str) -> tuple[float, float]:
    match = re.fullmatch(rf"\s*(\d+(?:\.\d+)?)\s*{mark}\s*(\d+(?:\.\d+)?)\s*", text.lower())
    if match is None:
        raise UrbanpipeError(f"{option} is {text!r}; write it as {example}")
    return float(match[1]), float(match[2])
