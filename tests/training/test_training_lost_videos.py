"""A cross-validation outlives its videos: what vanishes, crashes or hangs costs that video alone."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.lost_videos import add_trouble, copied_archive
from helpers.tiny_recipes import TINY
from helpers.troubled_decoder import TROUBLES, troubled_decoders
from urbanpipe.catalog.catalog_file import Catalog, read_catalog, write_catalog
from urbanpipe.catalog.folds import folds
from urbanpipe.catalog.scan import scan
from urbanpipe.errors import RunError
from urbanpipe.methods.recipe import load_recipe, write_recipe
from urbanpipe.training.crossval import CrossvalResult, crossval
from urbanpipe.training.options import FoldOptions, RunOptions
from urbanpipe.training.train import train

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_plots_of_folds")]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    write_recipe(load_recipe("small-mobilenetv2", [*TINY, "name=tiny", "training.epochs=1"]), tmp_path / "tiny.toml")
    return tmp_path / "tiny.toml"


@pytest.fixture
def data(archive: Path, tmp_path: Path) -> Path:
    """A catalog of copies of twelve videos, with folds beside it."""
    data = copied_archive(archive, tmp_path, 12)
    folds(data, out=tmp_path / "folds.csv", folds=2)
    return data


def run(data: Path, recipe: Path, *only: int) -> CrossvalResult:
    split = FoldOptions(folds=data.with_name("folds.csv"), only=only)
    return crossval(
        data, [recipe], out=data.with_name("out"), split=split, options=RunOptions(cache_gb=0, device="cpu")
    )


def names_of(file: Path, column: str = "video") -> set[str]:
    with file.open(encoding="utf-8", newline="") as opened:
        return {row[column] for row in csv.DictReader(opened)}


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def changed(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


@pytest.mark.parametrize(
    ("lose", "scanned", "fold"),
    [(emptied, True, 1), (Path.unlink, True, 0), (Path.unlink, False, 1), (changed, True, 1), (changed, False, 0)],
)
def test_a_video_that_vanishes_between_folds_costs_itself(
    lose: Callable[[Path], None], scanned: bool, fold: int, data: Path, recipe: Path
) -> None:
    run(data, recipe, 0)
    done = (data.with_name("out") / "tiny" / "fold0" / "done.json").read_bytes()
    with data.with_name("folds.csv").open(newline="") as file:
        lost = next(row["video"] for row in csv.DictReader(file) if row["fold"] == str(fold))
    before = read_catalog(data)
    lose(next(video.path for video in before.videos if video.name == lost))
    if scanned:
        scan(data.with_name("videos"), out=data)
    made = run(data, recipe, 1)
    folder = made.runs[0]
    assert (folder / "fold0" / "done.json").read_bytes() == done
    assert names_of(folder / "left_out.csv") == {lost}
    everything = {video.name for video in before.videos}
    expected = everything if fold == 0 else everything - {lost}  # fold 0 has predicted its videos already
    assert json.loads((folder / "out_of_fold.json").read_text()).keys() == expected
    assert json.loads((folder / "labels.json").read_text()).keys() == expected
    assert (folder / "table6.md").exists()
    again = run(data, recipe)
    assert again.ensemble is not None


def test_videos_that_make_trouble_are_left_out(data: Path, recipe: Path) -> None:
    others = add_trouble(data)
    folds(data, out=data.with_name("folds.csv"), folds=2)
    with troubled_decoders():
        made = run(data, recipe)
    with (made.runs[0] / "left_out.csv").open(newline="") as file:
        assert {row["video"]: row["reason"] for row in csv.DictReader(file)} == TROUBLES
    assert names_of(made.runs[0] / "out_of_fold.csv") == others


def test_other_data_is_still_refused(data: Path, recipe: Path) -> None:
    run(data, recipe, 0)
    rows = read_catalog(data)
    first, *others = rows.videos
    write_catalog(Catalog((replace(first, labels=()), *others), rows.taxonomy), data)
    with pytest.raises(RunError, match="was started with other videos, labels, classes or folds"):
        run(data, recipe, 1)


def test_train_leaves_out_videos_that_make_trouble(data: Path, recipe: Path, tmp_path: Path) -> None:
    others = add_trouble(data)
    with troubled_decoders():
        folder = train(data, recipe, out=tmp_path / "run", options=RunOptions(cache_gb=0, device="cpu"))
    with (folder / "left_out.csv").open(newline="") as file:
        assert {row["video"]: row["reason"] for row in csv.DictReader(file)} == TROUBLES
    assert json.loads((folder / "labels.json").read_text()).keys() == others
    assert (folder / "done.json").exists()


def test_train_goes_on_without_a_lost_video(data: Path, recipe: Path, tmp_path: Path) -> None:
    options = RunOptions(cache_gb=0, device="cpu")
    folder = train(data, recipe, out=tmp_path / "run", options=options)
    (folder / "done.json").unlink()  # as if it had been interrupted
    lost = read_catalog(data).videos[0]
    lost.path.unlink()
    train(data, recipe, out=tmp_path / "run", options=options)
    assert names_of(folder / "left_out.csv") == {lost.name}
    assert (folder / "done.json").exists()
