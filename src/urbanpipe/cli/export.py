"""`urbanpipe export`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """What to write."""

    cjj181 = "cjj181"
    pacp = "pacp"
    qvpipe = "qvpipe"
    cctvpipe = "cctvpipe"
    jsonl = "jsonl"


class Words(StrEnum):
    """Language of headings and words; the other stands beside the headings."""

    en = "en"
    zh = "zh"


def command(
    inspections: Annotated[Path, typer.Argument(help="The --out folder of `inspect`, or one video's folder in it.")],
    to: Annotated[
        Format,
        typer.Option("--to", help="CJJ 181 table, PACP-shaped CSVs, VideoPipe track 1 or 2, or JSON lines."),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", help="File: .xlsx or .csv (cjj181), .json (qvpipe, cctvpipe), .jsonl; folder (pacp)."),
    ],
    language: Annotated[Words, typer.Option(help="Language of the CJJ 181 table.")] = Words.en,
    taxonomy: Annotated[
        Path | None, typer.Option(help="TOML table of your own classes, for their PACP crosswalk.")
    ] = None,
) -> None:
    """Write inspections as a table to grade, or for other tools. All of it is a proposal that nobody has reviewed."""
    from urbanpipe.exports.export import export

    done = export(inspections, out, to.value, language.value, taxonomy)
    warning = "; made by a demonstration model, not to be relied on" if done.demonstration else ""
    print(f"{done.videos} videos, {done.rows} proposals, not reviewed{warning}")
    print(f"results: {' '.join(map(str, done.files))}")
