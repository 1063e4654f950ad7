"""`urbanpipe simulate`."""

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from urbanpipe.cli.verb import Result
from urbanpipe.errors import UrbanpipeError


def command(
    out: Annotated[Path, typer.Argument(help="Output folder for videos/, labels.json, moments.json and truth.jsonl.")],
    videos: Annotated[int, typer.Option(help="Number of videos.")] = 60,
    seed: Annotated[int, typer.Option(help="Seed; the same seed gives the same videos.")] = 0,
    classes: Annotated[str | None, typer.Option(help="Class codes, such as ZC,CJ,PL; default: all 17.")] = None,
    size: Annotated[str, typer.Option(help="Width x height in pixels.")] = "640x480",
    fps: Annotated[float, typer.Option(help="Frames per second.")] = 25,
    seconds: Annotated[
        str | None, typer.Option(help="Shortest:longest duration; default: 5:40 for qv, 120:240 for cctv.")
    ] = None,
    kind: Annotated[
        Literal["qv", "cctv"], typer.Option(help="qv: a pole camera in the mouth of the pipe; cctv: a crawler.")
    ] = "qv",
    brief: Annotated[
        float, typer.Option(help="Share of the qv videos with a defect that nine uniform frames should miss.")
    ] = 0.15,
    balance: Annotated[float, typer.Option(help="0: class frequencies of QV-Pipe; 1: about equal frequencies.")] = 0.0,
    workers: Annotated[int | None, typer.Option(help="Number of processes; default: one per CPU core.")] = None,
    contact_sheets: Annotated[
        bool, typer.Option("--contact-sheets", help="Also write sample frames of each class, contact_sheets/CODE.png.")
    ] = False,
) -> Result:
    """Generate synthetic inspection videos with known labels, moments and boxes.

    They are for trials and tests: a score on them says nothing about real pipes.
    """
    width, height = _pair(size, "x", "--size", "640x480")
    span = None if seconds is None else _pair(seconds, ":", "--seconds", "5:40")
    wanted = None if classes is None else [code for code in re.split(r"[,\s]+", classes) if code]
    if not (width.is_integer() and height.is_integer()):
        raise UrbanpipeError(f"--size is {size!r}; give whole pixels, such as 640x480")
    from urbanpipe.simulate.generator import simulate
    from urbanpipe.simulate.options import ClassMix, VideoOptions

    pixels = int(width), int(height)
    made = simulate(
        out,
        videos=videos,
        seed=seed,
        workers=workers,
        contact_sheets=contact_sheets,
        mix=ClassMix(classes=wanted, brief=brief, balance=balance),
        video=VideoOptions(size=pixels, fps=fps, seconds=span, kind=kind),
    )
    print("class  videos")
    for code, count in made.counts.items():
        print(f"{code:5}  {count:6}")
    if made.missed_share == made.missed_share:
        print(f"nine uniform frames miss a defect in {made.missed_share:.1%} of the videos that have one")
    print(
        f"{videos} videos in {made.videos}, labels in {made.labels}, moments in {made.moments}, truth in {made.truth}"
    )
    return Result(vars(made))


def _pair(text: str, mark: str, option: str, example: str) -> tuple[float, float]:
    match = re.fullmatch(rf"\s*(\d+(?:\.\d+)?)\s*{mark}\s*(\d+(?:\.\d+)?)\s*", text.lower())
    if match is None:
        raise UrbanpipeError(f"{option} is {text!r}; write it as {example}")
    return float(match[1]), float(match[2])
