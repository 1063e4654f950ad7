import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from helpers.catalog_material import write_video
from urbanpipe.catalog.catalog_file import read_catalog
from urbanpipe.cli.main import app
from urbanpipe.errors import CatalogError, LabelError, UrbanpipeError


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A folder with a catalog of 14 videos (12 labelled, one broken, one new), and what the scan printed."""
    folder = tmp_path_factory.mktemp("cli")
    labels = {f"v{i}_{j}.mp4": [1 + i % 2] for i in range(6) for j in range(2)} | {"gone.mp4": [3]}
    for number, name in enumerate([*labels, "new.mp4"]):
        if name != "gone.mp4":
            write_video(folder / "videos" / name, level=number)
    (folder / "videos" / "broken.mp4").write_text("x")
    (folder / "labels.json").write_text(json.dumps(labels))
    return folder, run("scan", folder / "videos", "--labels", folder / "labels.json", "--out", folder / "catalog.csv")


def test_scan(made: tuple[Path, Result]) -> None:
    folder, result = made
    assert result.exit_code == 3, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "14 videos, 0 of them unchanged since an earlier scan"
    assert "1 cannot be read:" in lines
    assert lines[lines.index("1 labelled names have no file:") + 1] == "  gone.mp4"
    assert {"  broken.mp4", "  new.mp4"} <= set(lines[lines.index("2 videos have no label:") :])
    assert lines[-1] == f"catalog: {folder / 'catalog.csv'}"
    again = run("scan", folder / "videos", "--out", folder / "catalog.csv", "--workers", "1")
    assert again.stdout.splitlines()[0] == "14 videos, 14 of them unchanged since an earlier scan"


NAMES = ["a.mp4", "B.MP4", "c.mp4", "3-12.mp4", "north/d_1.mp4", "e_10.mp4", "f.mp4"]
WRITTEN = {" a.mp4": 0, "b.mp4": 1, "D:\\x\\c": 2, "12-Mar": 3, "V/north/D_1.mp4": 4, "e_11.mp4": 5, "F.mp4": 6, "f": 6}


def test_names_that_differ_from_their_files_are_matched_and_reported(tmp_path: Path) -> None:
    for number, name in enumerate(NAMES):
        write_video(tmp_path / "videos" / name, level=number)
    (tmp_path / "labels.json").write_text(json.dumps({name: [number] for name, number in WRITTEN.items()}))
    result = run("scan", tmp_path / "videos", "--labels", tmp_path / "labels.json", "--out", tmp_path / "c.csv")
    assert result.exit_code == 0, result.output
    labels = {video.name: video.labels for video in read_catalog(tmp_path / "c.csv").videos}
    assert labels == {
        "a.mp4": (0,), "B.MP4": (1,), "c.mp4": (2,), "3-12.mp4": (3,), "d_1.mp4": (4,), "e_10.mp4": None, "f.mp4": (6,)
    }  # fmt: skip
    lines = result.stdout.splitlines()
    assert {"  12-Mar is 3-12.mp4", "  D:\\x\\c is c.mp4"} <= set(lines)
    assert {"  e_11.mp4 (near: e_10.mp4)", "  f (near: f.mp4)"} <= set(lines)
    unmatched = (tmp_path / "c-unmatched.csv").read_text().splitlines()
    assert unmatched[:3] == [
        "video,problem,near", "e_11.mp4,label without a file,e_10.mp4", "f,label without a file,f.mp4"
    ]  # fmt: skip


def test_labels_of_which_nothing_matches_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    write_video(tmp_path / "videos" / "pipe_1.mp4")
    (tmp_path / "labels.csv").write_text("video,labels\npipe_2.mp4,CJ\nx.mp4,CK\n")
    result = run("scan", tmp_path / "videos", "--labels", tmp_path / "labels.csv", "--out", tmp_path / "c.csv")
    assert isinstance(result.exception, LabelError)
    assert "none of the 2 names has a video, the first is 'pipe_2.mp4' (near: pipe_1.mp4)" in str(result.exception)
    assert not (tmp_path / "c.csv").exists()


@pytest.mark.slow
def test_folds_of_a_catalog(made: tuple[Path, Result], tmp_path: Path) -> None:
    folder, _ = made
    result = run(
        "folds", folder / "catalog.csv", "--folds", 3, "--out", tmp_path / "f.csv", "--plot", tmp_path / "f.png"
    )
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "12 videos in 6 groups, 3 folds"
    assert lines[1] == (
        "labels: 12 videos with classes, 0 with none of the classes (`-`), 1 not labelled (empty) and left out"
    )
    assert lines[2] == "without a fold: 1 unreadable and 1 unlabelled videos"
    assert [line.split() for line in lines if line.startswith(" CJ")] == [["CJ", "6", "2.0", "2", "2", "2", "0.0"]]
    assert "videos with a segment of the same inspection in another fold: 0" in lines
    assert lines[-1] == f"folds: {tmp_path / 'f.csv'}"
    assert len((tmp_path / "f.csv").read_text().splitlines()) == 13
    assert (tmp_path / "f.png").stat().st_size > 1000


def test_folds_without_groups_tell_the_leak(made: tuple[Path, Result], tmp_path: Path) -> None:
    folder, _ = made
    result = run("folds", folder / "catalog.csv", "--group-by", "none", "--seed", 4, "--out", tmp_path / "f.csv")
    assert result.exit_code == 0, result.output
    assert "warning: " in result.stdout
    assert "videos leak" in result.stdout


def test_audit(made: tuple[Path, Result]) -> None:
    folder, _ = made
    result = run("audit", folder / "catalog.csv")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(
        "12 labelled videos, 1.00 labels per video, 6 groups, 6 of them with several videos"
    )
    assert "shortcut test: too few videos" in result.stdout
    found = json.loads(run("audit", folder / "labels.json", "--json").stdout)
    assert (found["videos"], found["counts"]["CJ"], found["groups"]) == (13, 6, 7)


@pytest.mark.slow
def test_audit_of_the_real_labels(shared: Path) -> None:
    result = run("audit", shared / "data" / "qv_pipe_train_labels.json")
    assert result.exit_code == 0, result.output
    assert "warning: the name alone predicts ZC" in result.stdout
    assert [line.split()[2] for line in result.stdout.splitlines() if line.startswith(" ZC")][-1] == "100.0!!"


@pytest.mark.parametrize(
    "arguments",
    [
        ("scan", "{here}/none", "--out", "{here}/c.csv"),
        ("audit", "{here}/none.csv"),
        ("folds", "{here}/none.json", "--out", "{here}/f.csv"),
        ("folds", "{here}/labels.csv", "--folds", "1", "--out", "{here}/f.csv"),
        ("folds", "{here}/labels.csv", "--folds", "3", "--out", "{here}/f.csv"),
        ("folds", "{here}/labels.csv", "--folds", "2", "--group-by", "site", "--out", "{here}/f.csv"),
        ("audit", "{here}/labels.csv", "--taxonomy", "{here}/none.toml"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "labels.csv").write_text("video,labels\na.mp4,CJ\nb.mp4,CK\n")
    result = run(*(argument.format(here=tmp_path) for argument in arguments))
    assert isinstance(result.exception, UrbanpipeError)
    assert "\n" not in str(result.exception)
    assert not (tmp_path / "f.csv").exists()


@pytest.mark.parametrize("verb", ["scan", "audit", "folds"])
def test_help(verb: str) -> None:
    result = run(verb, "--help")
    assert result.exit_code == 0
    assert "--taxonomy" in result.stdout


def test_only_scan_needs_the_classes(tmp_path: Path) -> None:
    for number in range(4):
        write_video(tmp_path / "videos" / f"v{number}.mp4", level=number)
    (tmp_path / "own.toml").write_text('name = "mine"\n[[classes]]\ncode = "ROOT"\n[[classes]]\ncode = "CRACK"\n')
    (tmp_path / "other.toml").write_text('[[classes]]\ncode = "OTHER"\n')
    (tmp_path / "l.csv").write_text(
        "video,labels\n" + "".join(f"v{n}.mp4,{'ROOT' if n % 2 else 'CRACK'}\n" for n in range(4))
    )
    catalog = tmp_path / "c.csv"
    own = ("--taxonomy", tmp_path / "own.toml")
    assert run("scan", tmp_path / "videos", "--labels", tmp_path / "l.csv", "--out", catalog, *own).exit_code == 0
    assert run("scan", tmp_path / "videos", "--labels", tmp_path / "l.csv", "--out", catalog).exit_code == 0
    found = run("audit", catalog, "--json")
    assert json.loads(found.stdout)["counts"] == {"ROOT": 2, "CRACK": 2}
    assert run("folds", catalog, "--folds", 2, "--out", tmp_path / "f.csv").exit_code == 0
    assert run("audit", catalog, *own).exit_code == 0
    for verb in (("audit", catalog), ("scan", tmp_path / "videos", "--out", catalog)):
        refused = run(*verb, "--taxonomy", tmp_path / "other.toml")
        assert isinstance(refused.exception, CatalogError)
        assert "has the classes ROOT CRACK of c-taxonomy.toml, not OTHER" in str(refused.exception)
