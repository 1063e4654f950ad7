"""`urbanpipe moments`."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    source: Annotated[
        Path, typer.Argument(help="Run folder of `crossval`, or the NAME.segments.npz that `predict` wrote.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Moments as CCTV-Pipe JSON; OUT's stem + .settings.toml beside.")],
    truth: Annotated[
        Path | None, typer.Option(help="True moments (CCTV-Pipe JSON): learn shifts, print scores.")
    ] = None,
    override: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, for example apart_seconds=5; see docs/moments.md.")
    ] = None,
    settings: Annotated[Path | None, typer.Option(help="A .settings.toml of an earlier call, shifts included.")] = None,
    taxonomy: Annotated[
        Path | None, typer.Option(help="TOML table of your own classes, for an .npz; a run has its own.")
    ] = None,
) -> None:
    """Find when each defect is to be seen, from the scores of frames or clips; a submission to CCTV-Pipe."""
    from urbanpipe.inspection.moments import moments

    made = moments(source, out, truth, override or [], settings, taxonomy)
    print(made.to_markdown())
    print(f"results: {made.out} and {made.settings}")
