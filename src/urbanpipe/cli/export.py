"""`urbanpipe export`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from urbanpipe.cli.output import show


class Format(StrEnum):
    """Output format."""

    cjj181 = "cjj181"
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
    inspections: Annotated[
        str, typer.Argument(help="Output folder of `inspect`, one video's folder in it, or an archive (s3://... too).")
    ],
    to: Annotated[
        Format,
        typer.Option(
            "--to",
            help="Format: CJJ 181 table, PACP-shaped CSVs, VideoPipe track 1 or 2, JSON lines, or labels to train on.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", help="Output file: .xlsx or .csv (cjj181), .jsonl (jsonl), .json (others); for pacp a folder."
        ),
    ],
    store: Annotated[
        Path | None, typer.Option(help="Decisions of `review`; without them nothing was reviewed.")
    ] = None,
    language: Annotated[Words, typer.Option(help="Language of the CJJ 181 table.")] = Words.en,
    taxonomy: Annotated[Path | None, typer.Option(help="Your own classes (TOML), for their PACP crosswalk.")] = None,
    inspection_data: Annotated[
        Path | None, typer.Option(help="CSV `video,segment,length_m,diameter_mm,...`, for the segments of cjj181.")
    ] = None,
    unlikely: Annotated[
        bool, typer.Option("--unlikely", help="Also rows, marked, that are below 10 % and kept to miss few defects.")
    ] = False,
    pictures: Annotated[
        bool, typer.Option(help="Name pictures; those of an archive are copied to a folder beside --out.")
    ] = True,
) -> None:
    """Export inspections as a table to grade, or for other tools; with --store as people decided in `review`."""
    from urbanpipe.exports.export import export

    done = export(
        inspections,
        out=out,
        to=to.value,
        store=store,
        language=language.value,
        taxonomy=taxonomy,
        inspection_data=inspection_data,
        unlikely=unlikely,
        pictures=pictures,
    )
    for line in done.lines():
        show(line)
    show(f"results: {' '.join(map(str, done.files))}")
