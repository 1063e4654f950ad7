"""`urbanpipe condition`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from urbanpipe.cli.options import InspectionSources
from urbanpipe.cli.output import complain, show
from urbanpipe.cli.verb import Result

MAX_LINES = 200


class Words(StrEnum):
    """Language of the texts."""

    en = "en"
    zh = "zh"


def command(
    table: Annotated[
        str,
        typer.Argument(
            help="XLSX file from `export --to cjj181`, filled in; with --store the folder of `inspect`, or an archive."
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", help="Output file: .json, .csv with a row per segment, or .html, ranked.")
    ],
    store: Annotated[Path | None, typer.Option(help="Decisions of `review`, with grades and distances.")] = None,
    inspection_data: InspectionSources = None,
    rules: Annotated[Path | None, typer.Option(help="TOML file with other rules; default: CJJ 181-2012.")] = None,
    language: Annotated[Words, typer.Option(help="Language of the texts.")] = Words.en,
    allow_repeats: Annotated[
        bool,
        typer.Option(
            "--allow-repeats", help="Rows with the same code and distance, or video and time, are different defects."
        ),
    ] = False,
) -> Result:
    """Compute condition figures from grades given by a person. Exit status 3: some segments are not filled in yet."""
    from urbanpipe.errors import InspectionError, TableError
    from urbanpipe.exports.condition_report import condition

    try:
        done = condition(
            table,
            out=out,
            store=store,
            inspection_data=inspection_data,
            rules=rules,
            language=language.value,
            allow_repeats=allow_repeats,
        )
    except TableError as error:
        if len(error.mistakes) == 1:
            raise
        for mistake in error.mistakes[:MAX_LINES]:
            complain(str(mistake))
        listed = "listed above" if len(error.mistakes) <= MAX_LINES else f"the first {MAX_LINES} are listed above"
        raise InspectionError(f"{table} has {len(error.mistakes)} mistakes, {listed}; no figure was computed") from None
    for line in done.lines():
        show(line)
    segments = f"{len(done.segments)} segment{'' if len(done.segments) == 1 else 's'}"
    show(f"{segments} after {done.rules.name}, {len(done.refused)} without figures")
    show(f"results: {out}")
    return Result({**done.to_json(), "notes": done.notes, "results": out}, status=3 if done.refused else 0)
