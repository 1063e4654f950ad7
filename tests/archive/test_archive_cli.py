"""`urbanpipe archive` as a user meets it."""

import csv
import io
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from helpers.archive_material import make_clips, stub_run
from helpers.stub_inspector import StubSource
from urbanpipe import api
from urbanpipe.archive.shards import bundle_source
from urbanpipe.cli.main import app, interrupted
from urbanpipe.errors import ArchiveError

RUNNER = CliRunner()


def urbanpipe(*arguments: object) -> Result:
    return RUNNER.invoke(app, ["archive", *map(str, arguments)])


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive of 6 clips and a damaged one, planned."""
    videos = make_clips(tmp_path / "videos", 6)
    (videos / "damaged.mp4").write_bytes(b"damaged")
    done = urbanpipe("plan", videos, "--archive", tmp_path / "archive", "--shards", 2)
    assert done.exit_code == 0, done.output
    assert "7 videos in 2 shards: 7 new, 0 changed" in done.output
    return tmp_path / "archive"


def test_the_whole_chain_by_its_commands(archive: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bundle_source, "BundleSource", lambda *_: StubSource())
    run = urbanpipe("run", archive)
    assert run.exit_code == 3
    assert "damaged.mp4: damaged: no video stream" in run.output
    assert "7 videos, 0 of them done before: 1 damaged, 6 ok" in run.output
    assert "7 videos: 1 damaged, 6 ok, 0 open" in urbanpipe("status", archive).output
    assert json.loads(urbanpipe("status", archive, "--json").output)["statuses"] == {"damaged": 1, "ok": 6}
    assert "7 videos = 1 damaged + 6 ok; 24 findings" in urbanpipe("merge", archive).output
    report = urbanpipe("report", archive, "clip002.mp4", "--out", tmp_path / "report")
    assert report.exit_code == 0
    assert (tmp_path / "report" / "report.html").is_file()
    data = tmp_path / "data.csv"
    data.write_text("video,street\nclip001,High Street\n")
    report = urbanpipe("report", archive, "clip002.mp4", "--out", tmp_path / "report", "--inspection-data", data)
    assert report.exit_code == 0
    assert f"the inspection data has nothing on {archive.parent / 'videos' / 'clip002.mp4'}" in report.stderr
    assert urbanpipe("run", archive).output.startswith("7 videos, 7 of them done before: nothing to do")


def test_a_query_is_a_table_csv_or_json(archive: Path) -> None:
    stub_run(archive)
    sql = "SELECT name, status FROM videos WHERE name = 'clip001.mp4'"
    table = urbanpipe("query", archive, sql)
    assert "clip001.mp4" in table.stdout
    assert "not merged yet" in table.stderr
    assert [*csv.reader(io.StringIO(urbanpipe("query", archive, sql, "--csv").stdout))] == [
        ["name", "status"],
        ["clip001.mp4", "ok"],
    ]
    found = json.loads(urbanpipe("query", archive, sql, "--json").stdout)
    rows = [{"name": "clip001.mp4", "status": "ok"}]
    assert found == {"merged": False, "columns": ["name", "status"], "rows": rows}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("status", "{absent}"), "make it with `urbanpipe archive plan`"),
        (("run", "{absent}"), "make it with `urbanpipe archive plan`"),
        (("run", "{archive}", "--shard", "4/4"), "such as 0/4"),
        (("merge", "{archive}"), "no results yet"),
        (("query", "{archive}", "SELECT 1"), "no results yet"),
        (("report", "{archive}", "x.mp4", "--out", "{absent}"), "no results yet"),
        (("plan", "{absent}", "--archive", "{archive}"), "is missing"),
        (("status", "ftp://host/x"), "begins with s3://"),
    ],
)
def test_a_mistake_is_one_line(archive: Path, tmp_path: Path, arguments: tuple[str, ...], reason: str) -> None:
    given = [argument.format(archive=archive, absent=tmp_path / "absent") for argument in arguments]
    result = urbanpipe(*given)
    assert isinstance(result.exception, ArchiveError)
    assert reason in str(result.exception)
    assert "\n" not in str(result.exception)


def test_each_verb_is_a_function() -> None:
    for verb in ("plan", "run", "status", "merge", "query", "report"):
        assert callable(getattr(api, f"archive_{verb}"))
        assert urbanpipe(verb, "--help").exit_code == 0
    assert "finished work is kept" in interrupted(["urbanpipe", "archive", "run", "x"])
