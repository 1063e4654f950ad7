"""`urbanpipe condition`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Words(StrEnum):
    """Language of the texts."""

    en = "en"
    zh = "zh"


def command(
    table: Annotated[
        Path, typer.Argument(help="XLSX file from `export --to cjj181`, with grades and segments filled in.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Output file: .json, or .csv with one row per segment.")],
    rules: Annotated[Path | None, typer.Option(help="TOML file with other rules; default: CJJ 181-2012.")] = None,
    language: Annotated[Words, typer.Option(help="Language of the texts.")] = Words.en,
) -> None:
    """Compute condition figures from grades given by a person. Exit status 3: some segments are not filled in yet."""
    from urbanpipe.exports.condition_report import condition

    done = condition(table, out=out, rules=rules, language=language.value)
    for line in done.lines():
        print(line)
    print(f"{len(done.segments)} segments after {done.rules.name}, {len(done.refused)} without figures")
    print(f"results: {out}")
    if done.refused:
        raise typer.Exit(3)
