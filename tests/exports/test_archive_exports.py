"""Exports and condition figures of an archive: the same as of the folders that `archive report` writes."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook
from typer.testing import CliRunner

from helpers.archive_material import make_clips, stub_run
from helpers.review_material import decide, finish
from helpers.stub_inspector import StubInspector
from urbanpipe.api import archive_merge, archive_plan, archive_report
from urbanpipe.archive_store import extra
from urbanpipe.archive_store.object_storage import open_storage
from urbanpipe.archive_store.open_source import open_inspections
from urbanpipe.archive_store.part_reading import pictures_of
from urbanpipe.archive_store.results import current_results
from urbanpipe.cli.main import app
from urbanpipe.contracts.findings import Inspection
from urbanpipe.errors import ArchiveError, InspectionError, ReviewError
from urbanpipe.exports.condition_report import condition
from urbanpipe.exports.export import export
from urbanpipe.exports.formats import FOR_TRAINING, FORMATS, WITH_DATA
from urbanpipe.exports.options import ExportOptions
from urbanpipe.exports.records import opened_records
from urbanpipe.exports.rules import read_rules
from urbanpipe.review_store.control_share import is_control
from urbanpipe.review_store.decision import DATA_KEY
from urbanpipe.review_store.store import ReviewStore

DISTANCES = ("isybau", "en13508", "wincan")
"""Formats that hold only defects with a distance, of which software alone has none here."""
NAMES = {
    "cjj181": "table.csv",
    "pacp": "pacp",
    "jsonl": "f.jsonl",
    "isybau": "i.xml",
    "en13508": "e.txt",
    "wincan": "w.db3",
}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of 12 clips and a damaged one, in which no test changes a file."""
    folder = tmp_path_factory.mktemp("archive")
    make_clips(folder / "videos", 12)
    (folder / "videos" / "broken.mp4").write_bytes(b"damaged")
    archive_plan([folder / "videos"], folder / "archive", shards=3)
    stub_run(folder / "archive")
    archive_merge(folder / "archive")
    return folder / "archive"


def reports(archive: Path, out: Path) -> Path:
    with opened_records(archive, pictures=out) as inspected:
        for one in inspected:
            archive_report(archive, one.inspection.video.path, out=one.folder)
    return out


@pytest.fixture(scope="module")
def folders(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of its inspections, named as the folders of pictures are."""
    return reports(archive, tmp_path_factory.mktemp("reports") / "inspected")


@pytest.fixture(scope="module")
def store(folders: Path) -> ReviewStore:
    """Four videos that are reviewed in full, with a graded defect where there is a proposal."""
    store = ReviewStore(folders.parent / "review.sqlite")
    data: dict[str, Any] = {"length_m": 40.0, "diameter_mm": 600.0, "region": "road", "soil": read_rules().soils[0].key}
    reviewed = [folder for folder in sorted(folders.iterdir()) if not is_control(_read(folder).video.digest)]
    for folder in reviewed[:4]:
        inspection = _read(folder)
        for finding in inspection.defects:
            item = f"{finding.code}@{round(1000 * finding.occurrences[0].seconds)}"
            decide(store, folder, item, status="accepted", code="CK", grade=2, distance_m=finding.score * 30)
        decide(store, folder, DATA_KEY, **data)
        finish(store, folder)
    return store


def _read(folder: Path) -> Inspection:
    return Inspection.model_validate_json((folder / "findings.json").read_text())


def written(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("form", "with_store"),
    [
        *((form, True) for form in FORMATS if form != "qvpipe"),
        *((form, False) for form in FORMATS if form not in (*FOR_TRAINING, *DISTANCES)),
    ],
)
def test_an_archive_is_exported_like_the_folders_of_its_reports(
    form: str, with_store: bool, archive: Path, folders: Path, store: ReviewStore, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"to": form, "store": store.path if with_store else None}
    if form in WITH_DATA:
        given["inspection_data"] = tmp_path / "data.csv"
        rows = [f"clip{n:03d}.mp4,K{n},M{n},downstream,40,2026-01-31" for n in range(12)]
        header = "video,segment,from_manhole,direction,length_m,date"
        given["inspection_data"].write_text("\n".join([header, *rows]) + "\n")
    name = NAMES.get(form, "out.json")
    pictures = tmp_path / "b" / ("pacp/pictures" if form == "pacp" else f"{Path(name).stem}-pictures")
    reports(archive, pictures)  # where the archive's pictures come to lie
    of_folders = export(pictures, out=tmp_path / "b" / name, **given)
    shutil.rmtree(pictures)
    of_archive = export(archive, out=tmp_path / "a" / name, **given)
    files = written(tmp_path / "a")
    named = {key: data for key, data in files.items() if key.endswith(".jpg")}
    assert {key: data for key, data in files.items() if key not in named} == written(tmp_path / "b")
    for key, data in named.items():
        assert (folders / Path(key).parent.name / Path(key).name).read_bytes() == data
    assert bool(named) == (form in NAMES)
    assert (of_archive.rows, of_archive.reviewed, of_archive.duplicates) == (
        of_folders.rows,
        of_folders.reviewed,
        of_folders.duplicates,
    )
    assert of_archive.left_out == ("left out, damaged: 1 video: broken.mp4", *of_folders.left_out)


def test_a_workbook_links_the_pictures_that_were_copied(archive: Path, tmp_path: Path) -> None:
    done = export(archive, out=tmp_path / "t.xlsx", to="cjj181")
    sheet = load_workbook(tmp_path / "t.xlsx")["defects"]
    links = [cell.value for (cell,) in sheet.iter_rows(min_row=5, min_col=13, max_col=13) if cell.value]
    codes = [cell.value for (cell,) in sheet.iter_rows(min_row=5, min_col=3, max_col=3) if cell.value]
    assert len(codes) == done.rows
    assert len(links) == len(codes) - codes.count("ZC") > 5
    assert all((tmp_path / str(link)).read_bytes().startswith(b"JPEGclip") for link in links)


def test_rows_come_in_the_order_of_paths_with_distinct_names(tmp_path: Path) -> None:
    for place in ("b", "a"):
        make_clips(tmp_path / "videos" / place, 5)
    archive_plan([tmp_path / "videos"], tmp_path / "archive", shards=3)
    stub_run(tmp_path / "archive")
    done = export(tmp_path / "archive", out=tmp_path / "q.json", to="qvpipe")
    names = [f"{place}/clip{number:03d}.mp4" for place in "ab" for number in range(5)]
    assert list(json.loads((tmp_path / "q.json").read_text())) == names
    assert done.duplicates == tuple((f"a/clip{number:03d}.mp4", f"b/clip{number:03d}.mp4") for number in range(5))
    assert "not merged: `urbanpipe archive merge" in done.left_out[0]


def test_pictures_can_be_left_out(archive: Path, folders: Path, tmp_path: Path) -> None:
    for source in (archive, folders):
        export(source, out=tmp_path / "f.jsonl", to="jsonl", options=ExportOptions(pictures=False))
        lines = [json.loads(line) for line in (tmp_path / "f.jsonl").read_text().splitlines()]
        assert {line["picture"] for line in lines if line["code"]} == {None}
    assert [path.name for path in tmp_path.iterdir()] == ["f.jsonl"]


def test_condition_figures_of_an_archive_are_those_of_its_folders(
    archive: Path, folders: Path, store: ReviewStore, tmp_path: Path
) -> None:
    for suffix in ("json", "csv", "html"):
        done = condition(archive, out=tmp_path / f"a.{suffix}", store=store.path)
        condition(folders, out=tmp_path / f"b.{suffix}", store=store.path)
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()
    assert len(done.segments) == 4
    assert [*done.lines()][-1] == "left out, damaged: 1 video: broken.mp4"


def test_every_video_without_an_inspection_is_counted_and_named(tmp_path: Path) -> None:
    videos, archive = make_clips(tmp_path / "videos", 8), tmp_path / "archive"
    for name in ("damaged", "bug"):
        (videos / f"{name}.mp4").write_bytes(name.encode())
    archive_plan([videos], archive, shards=1)
    (videos / "clip000.mp4").unlink()
    (videos / "clip001.mp4").write_bytes(b"changed")
    stub_run(archive, retries=0)
    make_clips(videos, 1, first=8)
    archive_plan([videos / "clip008.mp4"], archive)
    run = CliRunner().invoke(app, ["export", str(archive), "--to", "jsonl", "--out", str(tmp_path / "f.jsonl")])
    assert run.exit_code == 0, run.output
    first, *lines, last = run.output.splitlines()
    assert first.startswith("6 videos, ")
    assert lines == [
        "left out, damaged: 1 video: damaged.mp4",
        "left out, failed: 1 video: bug.mp4",
        "left out, missing: 1 video: clip000.mp4",
        "left out, refused: 1 video: clip001.mp4",
        f"left out, no result yet: 1 video: clip008.mp4; run `urbanpipe archive run {archive}`",
    ]
    assert last == f"results: {tmp_path / 'f.jsonl'}"


def test_a_store_of_other_inspections_is_said_to_be_one(archive: Path, tmp_path: Path) -> None:
    folder = archive_report(archive, "clip000.mp4", out=tmp_path / "report").report.parent
    (folder / "findings.json").write_text(
        (folder / "findings.json").read_text().replace(_read(folder).video.digest, "0" * 32)
    )
    other = ReviewStore(tmp_path / "other.sqlite")
    finish(other, folder)
    done = export(archive, out=tmp_path / "f.jsonl", to="jsonl", store=other.path)
    assert done.left_out[-1].startswith(f"{other.path} has decisions on 1 video and on none of these")
    with pytest.raises(ReviewError, match="does not exist"):
        export(archive, out=tmp_path / "f.jsonl", to="jsonl", store=tmp_path / "no.sqlite")


def cut_rows(archive: Path) -> None:
    path = min((archive / "results").rglob("*.videos.parquet"))
    data = path.read_bytes()
    path.write_bytes(data[:4] + bytes(1000) + data[1004:])


def test_damaged_inspections_can_be_skipped_and_are_named(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive_plan([make_clips(tmp_path / "videos", 8)], archive, shards=2)
    stub_run(archive)
    cut_rows(archive)
    failures: dict[str, str] = {}
    with opened_records(archive, failures=failures) as inspected:
        names = [one.name for one in inspected]
        assert names == inspected.names
    assert 0 < len(failures) < 8
    assert sorted([*names, *(f"{key.split('-')[0]}.mp4" for key in failures)]) == [f"clip{n:03d}.mp4" for n in range(8)]
    assert all("videos.parquet is damaged" in reason for reason in failures.values())


def cut_pack(archive: Path) -> None:
    path = min((archive / "results").rglob("*.evidence.pack"))
    path.write_bytes(path.read_bytes()[:10])


def cut_footer(archive: Path) -> None:
    path = min((archive / "results").rglob("*.videos.parquet"))
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize("damage", [cut_rows, cut_pack, cut_footer])
def test_a_damaged_part_ends_an_export_with_its_name(damage: Callable[[Path], None], tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive_plan([make_clips(tmp_path / "videos", 8)], archive, shards=1)
    with pytest.raises(ArchiveError, match="has no results yet; run `urbanpipe archive run"):
        export(archive, out=tmp_path / "f.jsonl", to="jsonl")
    stub_run(archive)
    damage(archive)
    with pytest.raises((ArchiveError, InspectionError), match=r"00001.*\.(parquet|pack) is damaged") as caught:
        export(archive, out=tmp_path / "f.jsonl", to="jsonl")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "f.jsonl").exists()


@pytest.mark.parametrize("name", ["../x.jpg", "..", "/x.jpg", "a\\b.jpg", ""])
def test_the_name_of_a_picture_never_leads_elsewhere(name: str, archive: Path) -> None:
    row = {"uri": "a.mp4", "part": "00000/00001", "pictures": [{"name": name, "offset": 0, "length": 1}]}
    storage = open_storage(str(archive))
    part = current_results(storage).parts[0]
    with pytest.raises(ArchiveError, match=r"the inspection of a\.mp4 in part 00000/00001 is damaged"):
        pictures_of(storage, part, row)


def test_decisions_during_an_export_are_not_in_it(archive: Path, folders: Path, tmp_path: Path) -> None:
    store = ReviewStore(tmp_path / "review.sqlite")
    first, second = sorted(folders.iterdir())[:2]
    finish(store, first)
    with opened_records(archive, store=store.path) as inspected:
        finish(store, second)
        assert sum(bool(one.decisions and one.decisions.is_reviewed) for one in inspected) == 1
    with opened_records(archive, store=store.path) as inspected:
        assert sum(bool(one.decisions and one.decisions.is_reviewed) for one in inspected) == 2


def test_a_missing_extra_is_one_line(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extra, "find_spec", lambda name: None)
    with pytest.raises(ArchiveError, match=r"needs the package pyarrow; run `pip install 'urbanpipe\[archive\]'`"):
        export(archive, out=tmp_path / "f.jsonl", to="jsonl")


@pytest.mark.slow
def test_folders_are_exported_and_reviewed_without_the_extra(folders: Path, tmp_path: Path) -> None:
    program = f"""
import sys
from pathlib import Path
sys.modules |= dict.fromkeys(("pyarrow", "obstore", "duckdb"))
from urbanpipe.exports.export import export
from urbanpipe.review.serve import review_server
out = Path({str(tmp_path)!r})
print(export(Path({str(folders)!r}), out=out / "f.jsonl", to="jsonl").videos)
print(review_server({str(folders)!r}, store=out / "review.sqlite", say=lambda line: None).videos)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["12", "12"], done.stderr


def test_pictures_of_single_videos_come_from_the_pack_in_any_order(archive: Path) -> None:
    source = open_inspections(archive)
    shown = 0
    for key in reversed([*source.versions()]):
        _, found = next(source.read([key]))
        assert isinstance(found, Inspection)
        inspected = StubInspector().inspect(Path(found.video.path))
        assert source.timeline(key) == inspected.inspection.timeline
        for name, data in inspected.pictures.items():
            assert source.picture(key, name) == data
            shown += 1
    assert shown > 5
    for call in (lambda: source.picture(key, "other.jpg"), lambda: source.timeline("absent-0123456789abcdef")):
        with pytest.raises(InspectionError, match=r"there is no picture|has no inspection"):
            call()
