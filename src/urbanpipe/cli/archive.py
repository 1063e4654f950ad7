"""`urbanpipe archive`: many videos on several machines."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from urbanpipe.cli.options import Device, InspectionSources, Runtime, SegmentsPerBatch
from urbanpipe.cli.output import show, warn, warn_of_demonstration
from urbanpipe.cli.verb import Result, verb

if TYPE_CHECKING:
    from urbanpipe.archive.shards.query import QueryResult
    from urbanpipe.archive_store.outcomes import VideoOutcome

app = typer.Typer(
    help="Inspect many videos on several machines, and query what was found.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Archive = Annotated[str, typer.Argument(help="Folder or s3://bucket/prefix of the archive.")]


def _check_extra() -> None:
    """Fail with a line if the libraries of the extra are missing."""
    from urbanpipe.archive_store.extra import check_extra

    check_extra()


@app.command("plan", short_help="List videos into the manifest of an archive.")
@verb
def plan(
    sources: Annotated[list[str], typer.Argument(help="Folders, videos, or prefixes such as s3://bucket/videos.")],
    archive: Annotated[str, typer.Option("--archive", help="Folder or s3://bucket/prefix of the archive.")],
    shards: Annotated[
        int | None, typer.Option(min=1, help="Number of shards, fixed by the first plan; default: one per 50 videos.")
    ] = None,
) -> Result:
    """List videos into the manifest of an archive; run it again to add new videos and to note changed ones."""
    _check_extra()
    from urbanpipe.archive.shards.plan import archive_plan

    made = archive_plan(sources, archive, shards=shards)
    kept = f", {made.kept} of earlier plans" if made.kept else ""
    show(f"{made.videos} videos in {made.shards} shards: {made.added} new, {made.changed} changed{kept}")
    show(f"archive: {archive}")
    return Result(vars(made))


@app.command("run")
@verb
def run(
    archive: Archive,
    bundle: Annotated[
        Path | None, typer.Option(help="Bundle folder; default: a demonstration, not for real use.")
    ] = None,
    shard: Annotated[str, typer.Option(help="Share of this machine, i/n: the shards k with k % n = i.")] = "0/1",
    retries: Annotated[int, typer.Option(min=0, help="How often an error that may pass is tried again.")] = 2,
    workers: Annotated[int, typer.Option(min=1, help="Processes of this machine, each with its own networks.")] = 1,
    again: Annotated[
        bool, typer.Option("--again", help="Also try videos again that were missing, refused or failed.")
    ] = False,
    lease_seconds: Annotated[
        float, typer.Option(min=1.0, help="Take over the shard of a worker that shows no life for so long.")
    ] = 60.0,
    distance_region: Annotated[
        str | None,
        typer.Option(help="Where the frame shows the distance: LEFT,TOP,WIDTH,HEIGHT as fractions of it, or auto."),
    ] = None,
    ray: Annotated[
        str | None, typer.Option(help="Run the workers on a Ray cluster: its address, auto, or local.")
    ] = None,
    device: Device = "auto",
    runtime: Runtime = "auto",
    batch_size: SegmentsPerBatch = 8,
) -> Result:
    """Inspect the videos that have no result yet. Exit status 3: some could not be inspected."""
    _check_extra()
    from urbanpipe.archive.shards.run import archive_run
    from urbanpipe.archive.shards.workers import RunOptions, share_of
    from urbanpipe.inference.options import InferenceOptions
    from urbanpipe.inspection.region import distance_region_of

    made = archive_run(
        archive,
        bundle=bundle,
        distance_region=distance_region_of(distance_region) if distance_region else None,
        inference=InferenceOptions(device=device, batch_size=batch_size, runtime=runtime),
        options=RunOptions(
            shard=share_of(shard), retries=retries, workers=workers, again=again, lease_seconds=lease_seconds, ray=ray
        ),
        on_outcome=_show_failure,
    )
    if made.demonstration:
        warn_of_demonstration()
    counts = ", ".join(f"{count} {status}" for status, count in sorted(made.statuses.items())) or "nothing to do"
    show(f"{made.videos} videos, {made.before} of them done before: {counts}")
    show(f"archive: {archive}")
    data = {key: getattr(made, key) for key in ("archive", "demonstration", "videos", "before", "statuses")}
    return Result(data, status=3 if set(made.statuses) - {"ok"} else 0)


def _show_failure(outcome: "VideoOutcome") -> None:
    if outcome.status != "ok":
        show(f"{outcome.video.uri}: {outcome.status}: {outcome.message}", flush=True)


@app.command("status", short_help="Show how far an archive is.")
@verb
def status(archive: Archive) -> Result:
    """Show how far an archive is: shards, videos by status, speed, and failures by kind."""
    _check_extra()
    from urbanpipe.archive.shards.status import archive_status

    found = archive_status(archive)
    for line in found.lines():
        show(line)
    return Result(found.as_json())


@app.command("merge", short_help="Write one table of videos and one of findings.")
@verb
def merge(archive: Archive) -> Result:
    """Write merged/videos.parquet and merged/findings.parquet, if every video has one result."""
    _check_extra()
    from urbanpipe.archive.shards.merge import archive_merge

    made = archive_merge(archive)
    counts = " + ".join(f"{count} {status}" for status, count in sorted(made.statuses.items()))
    show(f"{made.videos} videos = {counts}; {made.findings} findings")
    results = f"{archive.rstrip('/')}/merged"
    show(f"results: {results}")
    return Result({**vars(made), "results": results})


@app.command("query", short_help="Run SQL over the videos and findings.")
@verb
def query(
    archive: Archive,
    sql: Annotated[str, typer.Argument(help="One SELECT statement over the tables videos and findings.")],
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
) -> Result:
    """Run SQL over the videos and findings of an archive; it can read nothing else, and write nothing."""
    _check_extra()
    from urbanpipe.archive.shards.query import archive_query

    found = archive_query(archive, sql)
    if not found.merged:
        warn("urbanpipe: not merged yet, these are the results so far")
    if csv:
        import sys

        from urbanpipe.csv_cells import write_rows

        write_rows(sys.stdout, [found.columns, *found.rows])
    else:
        _print_table(found)
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    return Result({"merged": found.merged, "columns": found.columns, "rows": rows})


def _print_table(found: "QueryResult") -> None:
    from urbanpipe.cli.tables import new_table, print_table
    from urbanpipe.outputs import plain_text

    table = new_table(*map(plain_text, found.columns))
    for row in found.rows:
        table.add_row(*("" if value is None else plain_text(str(value)) for value in row))
    print_table(f"{len(found.rows)} rows", table)


@app.command("report", short_help="Write the inspection of one video.")
@verb
def report(
    archive: Archive,
    video: Annotated[str, typer.Argument(help="Id or path of the video, or the end of its path.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the inspection: findings.json, pictures, report.")],
    language: Annotated[str, typer.Option(help="Language of the report: en or zh.")] = "en",
    inspection_data: InspectionSources = None,
) -> Result:
    """Write the inspection of one video as `inspect` does, for every other command to work on."""
    _check_extra()
    from urbanpipe.archive.shards.video_report import archive_report

    made = archive_report(archive, video, out=out, language=language, inspection_data=inspection_data)
    if inspection_data and made.data is None:
        warn(f"urbanpipe: the inspection data has nothing on {made.uri}")
    show(f"{made.uri}")
    show(f"report: {made.report}")
    return Result({"uri": made.uri, "report": made.report})
