"""`urbanpipe report`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from urbanpipe.cli.options import Inspections, InspectionSources
from urbanpipe.cli.output import show
from urbanpipe.cli.verb import Result


def command(
    inspections: Inspections,
    out: Annotated[Path, typer.Option("--out", help="Output file: .html, or .pdf (extra `pdf`).")],
    store: Annotated[
        Path | None, typer.Option(help="Decisions of `review`; without them all findings are marked as proposals.")
    ] = None,
    undecided: Annotated[
        Literal["refuse", "mark"],
        typer.Option(help="With --store, proposals that nobody decided about: write no record, or mark them in it."),
    ] = "refuse",
    inspection_data: InspectionSources = None,
    contractor: Annotated[str, typer.Option(help="Name on the cover and on each page; default: the operator.")] = "",
    video: Annotated[
        list[str] | None, typer.Option("--video", help="Only this video; may be given several times.")
    ] = None,
    date: Annotated[
        str | None, typer.Option(help="Only inspections of this day, such as 2026-01-31, by their inspection data.")
    ] = None,
    language: Annotated[Literal["en", "zh"], typer.Option(help="Language of the record.")] = "en",
) -> Result:
    """Write the record to hand in: cover, drawings, findings with pictures, condition figures, signature lines.

    Exit status 3: some inspections could not be read; the record lists them.
    """
    from urbanpipe.record.report import report
    from urbanpipe.record.selection import Selection

    done = report(
        inspections,
        out=out,
        store=store,
        inspection_data=inspection_data,
        select=Selection(video or (), date),
        language=language,
        contractor=contractor,
        undecided=undecided,
    )
    for line in done.lines():
        show(line)
    show(f"record: {done.out}")
    data = {name: value for name, value in vars(done).items() if name != "out"}
    return Result({"results": done.out, **data}, status=3 if done.failures else 0)
