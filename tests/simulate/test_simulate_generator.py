"""`simulate` and its command line, from arguments to files."""

import hashlib
import json
import os
import shutil
import signal
from pathlib import Path

import av
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from urbanpipe.cli.simulate import command
from urbanpipe.errors import OutputError, TaxonomyError, UrbanpipeError
from urbanpipe.simulate import generator
from urbanpipe.simulate.generator import SimulatedSet, simulate
from urbanpipe.simulate.options import ClassMix, VideoOptions
from urbanpipe.simulate.render import Renderer
from urbanpipe.taxonomy import default_taxonomy


def small(out: Path, videos: int = 6, seed: int = 0, workers: int = 1, contact_sheets: bool = False) -> SimulatedSet:
    return simulate(
        out,
        videos=videos,
        seed=seed,
        workers=workers,
        contact_sheets=contact_sheets,
        mix=ClassMix(classes=None, balance=1.0),
        video=VideoOptions(size=(96, 64), fps=6.0, seconds=(1.5, 2.5)),
    )


def pixels(path: Path) -> str:
    """Hash of a video's decoded pictures."""
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return hashlib.sha256(np.stack(frames).tobytes()).hexdigest()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSet:
    return small(tmp_path_factory.mktemp("set"), contact_sheets=True)


def test_labels_name_every_video_and_every_video_decodes(made: SimulatedSet) -> None:
    labels = json.loads(made.labels.read_text(encoding="utf-8"))
    assert sorted(labels) == sorted(path.name for path in made.videos.iterdir())
    assert all(indices and all(0 <= index < 17 for index in indices) for indices in labels.values())
    assert all(indices == [0] or 0 not in indices for indices in labels.values())
    for name in labels:
        with av.open(str(made.videos / name)) as container:
            stream = container.streams.video[0]
            assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 96, 64)
            assert stream.average_rate == 6


def test_moments_agree_with_labels_and_lie_inside_the_videos(made: SimulatedSet) -> None:
    labels = json.loads(made.labels.read_text(encoding="utf-8"))
    database = json.loads(made.moments.read_text(encoding="utf-8"))["database"]
    assert {entry["file_name"] for entry in database.values()} == set(labels)
    codes = ("ZC", "CJ", "CK", "ZW", "JG", "SG", "PL", "BX", "CR", "FZ", "FS", "AJ", "CQ", "SL", "QF", "TJ", "TL")
    for name, entry in database.items():
        assert entry["file_name"] == f"{name}.mp4"
        assert entry["subset"] == "training"
        shown = {codes[index] for index in labels[entry["file_name"]]} - {"ZC"}
        assert {item["label"] for item in entry["annotations"]} == shown
        with av.open(str(made.videos / entry["file_name"])) as container:
            count = sum(1 for _ in container.decode(video=0))
        assert entry["duration"] == pytest.approx(count / entry["fps"], abs=1e-3)
        assert all(0 <= item["moment"] <= entry["duration"] + 1 / entry["fps"] for item in entry["annotations"])


def test_the_truth_agrees_with_the_labels_and_is_inside_the_pictures(made: SimulatedSet) -> None:
    labels = json.loads(made.labels.read_text(encoding="utf-8"))
    lines = [json.loads(line) for line in made.truth.read_text(encoding="utf-8").splitlines()]
    found: dict[str, set[int]] = {name: set() for name in labels}
    for line in lines:
        found[line["video"]].add(default_taxonomy().index(line["class"]))
        assert 1 <= line["grade"] <= 4
        assert 0 <= line["clock"] <= 12
        assert line["distance_m"] > 0
        assert line["intervals"]
        assert all(0 <= start <= stop <= 2.5 for start, stop in line["intervals"])
        assert any(start <= line["moment"] <= stop for start, stop in line["intervals"])
        assert line["boxes"]
        for _, left, top, right, bottom in line["boxes"]:
            assert 0 <= left < right <= 1
            assert 0 <= top < bottom <= 1
    assert {name: sorted(indices or {0}) for name, indices in found.items()} == labels


def test_a_contact_sheet_for_each_class_shown(made: SimulatedSet) -> None:
    sheets = sorted(path.stem for path in (made.labels.parent / "contact_sheets").iterdir())
    assert sheets == sorted(code for code, count in made.counts.items() if count)


@pytest.mark.multiprocess
def test_workers_do_not_change_the_result(made: SimulatedSet, tmp_path: Path) -> None:
    again = small(tmp_path, workers=2)
    assert again.labels.read_bytes() == made.labels.read_bytes()
    assert again.moments.read_bytes() == made.moments.read_bytes()
    assert again.truth.read_bytes() == made.truth.read_bytes()
    for path in again.videos.iterdir():
        assert pixels(path) == pixels(made.videos / path.name)


def dies(*_: object) -> None:
    """End this process as the system does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.multiprocess
def test_a_worker_that_the_system_ends_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "make_video", dies)
    with pytest.raises(
        UrbanpipeError, match="ended by the system, most often for lack of memory; give fewer --workers"
    ):
        small(tmp_path, workers=2)


@pytest.mark.slow
def test_another_seed_gives_other_videos(made: SimulatedSet, tmp_path: Path) -> None:
    other = small(tmp_path, videos=2, seed=1)
    assert not {path.name for path in other.videos.iterdir()} <= {path.name for path in made.videos.iterdir()}


@pytest.mark.slow
def test_a_failed_run_leaves_no_labels_and_no_half_video(
    made: SimulatedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_sheets = shutil.ignore_patterns("contact_sheets")
    shutil.copytree(made.labels.parent, tmp_path, dirs_exist_ok=True, ignore=without_sheets)
    assert (tmp_path / "labels.json").exists()
    calls = 0
    original = Renderer.frame

    def failing(self: Renderer, seconds: float) -> object:
        nonlocal calls
        calls += 1
        if calls > 20:
            raise KeyboardInterrupt
        return original(self, seconds)

    monkeypatch.setattr(Renderer, "frame", failing)
    with pytest.raises(KeyboardInterrupt):
        small(tmp_path)
    assert not (tmp_path / "labels.json").exists()
    assert not (tmp_path / "moments.json").exists()
    assert not (tmp_path / "truth.jsonl").exists()
    for path in (tmp_path / "videos").iterdir():
        assert path.suffix == ".mp4"
        assert not path.name.startswith(".")
        pixels(path)


@pytest.mark.slow
def test_videos_of_another_run_are_not_mixed_in(tmp_path: Path) -> None:
    small(tmp_path, videos=2)
    with pytest.raises(OutputError, match="holds other files"):
        small(tmp_path, videos=2, seed=9)


@pytest.mark.slow
def test_what_a_killed_run_left_is_cleared_away(tmp_path: Path) -> None:
    name = next(small(tmp_path, videos=2).videos.iterdir()).name
    left = tmp_path / "videos" / f".{name}.abcd1234.mp4"
    left.write_bytes(b"half")
    small(tmp_path, videos=2)
    assert not left.exists()


@pytest.mark.slow
def test_only_the_classes_asked_for(tmp_path: Path) -> None:
    counts = simulate(
        tmp_path,
        videos=4,
        seed=0,
        workers=1,
        mix=ClassMix(classes=["pl", "ZC"], balance=1.0),
        video=VideoOptions(size=(96, 64), fps=6.0, seconds=(1.5, 2.0)),
    ).counts
    assert counts.keys() == {"ZC", "PL"}
    assert sum(counts.values()) == 4
    assert min(counts.values()) >= 1


@pytest.mark.slow
def test_a_crawler_drives_through(tmp_path: Path) -> None:
    made = simulate(
        tmp_path,
        videos=1,
        seed=3,
        workers=1,
        mix=ClassMix(classes=["CJ", "PL", "BX"], balance=1.0),
        video=VideoOptions(size=(96, 64), fps=4.0, seconds=(20.0, 20.0), kind="cctv"),
    )
    truth = [json.loads(line) for line in made.truth.read_text(encoding="utf-8").splitlines()]
    assert {line["class"] for line in truth} <= {"CJ", "PL", "BX"}
    assert truth
    with av.open(str(next(made.videos.iterdir()))) as container:
        frames = [frame.to_ndarray(format="gray").astype(float) for frame in container.decode(video=0)]
    assert len(frames) == 80
    assert min(frame.mean() for frame in frames) > 15
    assert np.abs(frames[0] - frames[-1]).mean() > 5


@pytest.mark.slow
def test_a_larger_size_shows_the_same_scenes(tmp_path: Path) -> None:
    small, large = (
        simulate(
            tmp_path / str(side),
            videos=3,
            seed=2,
            workers=1,
            mix=ClassMix(classes=None),
            video=VideoOptions(size=(side, side * 3 // 4), fps=6.0, seconds=(1.5, 2.0)),
        )
        for side in (96, 192)
    )
    assert small.labels.read_bytes() == large.labels.read_bytes()
    assert small.truth.read_bytes() == large.truth.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (["--size", "320"], UrbanpipeError, "640x480"),
        (["--size", "321x240"], UrbanpipeError, "even"),
        (["--size", "62x64"], UrbanpipeError, "at least 64"),
        (["--size", "99.5x64"], UrbanpipeError, "whole pixels"),
        (["--seconds", "8:3"], UrbanpipeError, "shortest:longest"),
        (["--seconds", "0:3"], UrbanpipeError, "above 0"),
        (["--seconds", "5"], UrbanpipeError, "5:40"),
        (["--fps", "0"], UrbanpipeError, "1 to 240"),
        (["--fps", "nan"], UrbanpipeError, "1 to 240"),
        (["--videos", "0"], UrbanpipeError, "at least 1"),
        (["--seed", "-1"], UrbanpipeError, "negative"),
        (["--workers", "0"], UrbanpipeError, "at least 1"),
        (["--classes", "ZC,XX"], TaxonomyError, "unknown class 'XX'"),
        (["--classes", ","], UrbanpipeError, "choose from"),
        (["--brief", "1.5"], UrbanpipeError, "brief is 1.5"),
        (["--balance", "-1"], UrbanpipeError, "balance is -1"),
    ],
)
def test_a_bad_argument_is_one_clear_line(
    tmp_path: Path, arguments: list[str], error: type[UrbanpipeError], words: str
) -> None:
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, [str(tmp_path / "out"), *arguments])
    assert type(result.exception) is error
    assert words in str(result.exception)
    assert "\n" not in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"not a folder|file of this name"):
        small(tmp_path / "file" / "set")


@pytest.mark.slow
def test_the_command_says_what_it_made_and_where(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(command)
    arguments = [str(tmp_path), "--videos", "2", "--size", "64x64", "--fps", "5", "--seconds", "1:1", "--workers", "1"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "labels.json" in result.stdout.splitlines()[-1]
    assert (tmp_path / "labels.json").exists()
