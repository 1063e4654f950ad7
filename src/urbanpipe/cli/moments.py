"""`urbanpipe moments`."""

from pathlib import Path
from typing import Annotated

import typer

from urbanpipe.cli.output import show, show_text
from urbanpipe.cli.verb import Result


def command(
    source: Annotated[
        Path, typer.Argument(help="Run folder of `crossval`, or a NAME.segments.npz file from `predict`.")
    ],
    out: Annotated[
        Path, typer.Option("--out", help="Output file: CCTV-Pipe JSON; settings go to OUT's stem + .settings.toml.")
    ],
    truth: Annotated[
        Path | None, typer.Option(help="True moments (CCTV-Pipe JSON), to fit shifts and print scores.")
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Override a setting: key=value, such as apart_seconds=5; repeatable; see docs/moments.md."
        ),
    ] = None,
    settings: Annotated[
        Path | None, typer.Option(help="A .settings.toml file of an earlier call, including its shifts.")
    ] = None,
    taxonomy: Annotated[
        Path | None, typer.Option(help="Your own classes (TOML), for an .npz file; a run stores its own.")
    ] = None,
) -> Result:
    """Find when each defect is visible, from the scores of frames or clips; write a CCTV-Pipe submission."""
    from urbanpipe.inspection.moments import moments

    made = moments(source, out=out, truth=truth, overrides=override or [], settings=settings, taxonomy=taxonomy)
    show_text(made.to_markdown())
    show(f"results: {made.out} and {made.settings}")
    return Result(
        {
            "results": made.out,
            "settings": made.settings,
            "moments": sum(map(len, made.moments.values())),
            "scores": made.scores.to_json() if made.scores else None,
            "notes": made.notes,
        }
    )
