"""`urbanpipe export`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from urbanpipe.cli.options import Inspections, InspectionSources
from urbanpipe.cli.output import show
from urbanpipe.cli.verb import Result


class Format(StrEnum):
    """Output format."""

    cjj181 = "cjj181"
    isybau = "isybau"
    en13508 = "en13508"
    wincan = "wincan"
    pacp = "pacp"
    qvpipe = "qvpipe"
    cctvpipe = "cctvpipe"
    jsonl = "jsonl"
    labels = "labels"
    moments = "moments"


class Words(StrEnum):
    """Language of headings and terms; headings also show the other language."""

    en = "en"
    zh = "zh"


def command(
    inspections: Inspections,
    to: Annotated[
        Format,
        typer.Option(
            "--to",
            help="Format: CJJ 181 table, ISYBAU XML, EN 13508-2 text, WinCan-shaped SQLite, PACP-shaped CSVs, "
            "VideoPipe track 1 or 2, JSON lines, or labels to train on.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            help="Output file: .xlsx or .csv (cjj181), .xml (isybau), .txt (en13508), .db3 (wincan), .jsonl (jsonl), "
            ".json (others); for pacp a folder.",
        ),
    ],
    store: Annotated[
        Path | None, typer.Option(help="Decisions of `review`; without them nothing was reviewed.")
    ] = None,
    language: Annotated[Words, typer.Option(help="Language of the CJJ 181 table.")] = Words.en,
    taxonomy: Annotated[Path | None, typer.Option(help="Your own classes (TOML), for their crosswalks.")] = None,
    inspection_data: InspectionSources = None,
    date: Annotated[
        str | None, typer.Option(help="Date of inspections whose data has none, such as 2026-01-31; not for cjj181.")
    ] = None,
    unlikely: Annotated[
        bool, typer.Option("--unlikely", help="Also rows, marked, that are below 10 % and kept to miss few defects.")
    ] = False,
    undecided: Annotated[
        Literal["refuse", "mark"],
        typer.Option(help="With --store, proposals that nobody decided about: write nothing, or mark them."),
    ] = "mark",
    pictures: Annotated[
        bool, typer.Option(help="Name pictures; those of an archive are copied to a folder beside --out.")
    ] = True,
) -> Result:
    """Export inspections as a table to grade, or for other tools; with --store as people decided in `review`.

    Exit status 3: some inspections or defects lack data that the format demands.
    """
    from urbanpipe.exports.export import export
    from urbanpipe.exports.options import ExportOptions

    done = export(
        inspections,
        out=out,
        to=to.value,
        store=store,
        language=language.value,
        inspection_data=inspection_data,
        options=ExportOptions(taxonomy=taxonomy, date=date, unlikely=unlikely, pictures=pictures, undecided=undecided),
    )
    for line in done.lines():
        show(line)
    show(f"results: {' '.join(map(str, done.files))}")
    data = {name: value for name, value in vars(done).items() if name != "files"}
    return Result({"results": done.files, **data}, status=3 if done.incomplete else 0)
