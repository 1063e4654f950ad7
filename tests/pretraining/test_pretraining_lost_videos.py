"""Pretraining outlives its videos: what vanishes, crashes or hangs costs that video alone."""

import csv
import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.lost_videos import add_trouble, copied_archive
from helpers.training_runs import killed_at, metrics
from helpers.troubled_decoder import TROUBLES, troubled_decoders
from urbanpipe.catalog.catalog_file import read_catalog
from urbanpipe.catalog.scan import scan
from urbanpipe.errors import CatalogError, RecipeError, RunError
from urbanpipe.pretraining import loop
from urbanpipe.pretraining.pretrain import pretrain
from urbanpipe.training.options import RunOptions

pytestmark = pytest.mark.slow

SETTINGS = ("size=32", "every_seconds=0.4", "epochs=3", "batch_size=8", "precision=fp32", "workers=0")
BATCHES = 4  # at least, in an epoch of all videos


@pytest.fixture
def data(archive: Path, tmp_path: Path) -> Path:
    return copied_archive(archive, tmp_path, 12)


def run(data: Path, *settings: str) -> Path:
    return pretrain(
        data,
        "simclr",
        backbone="test_resnet",
        out=data.with_name("out"),
        overrides=(*SETTINGS, *settings),
        options=RunOptions(device="cpu", cache_gb=0),
    )


def left_out(folder: Path) -> dict[str, str]:
    with (folder / "left_out.csv").open(newline="", encoding="utf-8") as file:
        return {row["video"]: row["reason"] for row in csv.DictReader(file)}


def emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(("lose", "scanned"), [(Path.unlink, False), (Path.unlink, True), (emptied, True)])
def test_a_video_that_vanishes_costs_itself(
    lose: Callable[[Path], None], scanned: bool, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with killed_at(loop, "_step", 2 * BATCHES):
        run(data)
    epochs = metrics(data.with_name("out"))
    assert 1 <= len(epochs) < 3
    lost = read_catalog(data).videos[5]
    lose(lost.path)
    if scanned:
        scan(data.with_name("videos"), out=data)
    with caplog.at_level(logging.INFO):
        folder = run(data)
    assert list(left_out(folder)) == [lost.name]
    assert [line for line in caplog.messages if "left out" in line] == [
        f"left out {lost.name}: {left_out(folder)[lost.name]}"
    ]
    done = json.loads((folder / "done.json").read_text())
    assert (done["videos"], done["epochs"]) == (11, 3)
    assert [row["loss"] for row in metrics(folder)[: len(epochs)]] == [row["loss"] for row in epochs], "it goes on"
    assert run(data) == folder


def test_videos_that_make_trouble_are_left_out(data: Path) -> None:
    others = add_trouble(data)
    with troubled_decoders():
        folder = run(data, "epochs=1")
    assert left_out(folder) == TROUBLES
    assert json.loads((folder / "done.json").read_text())["videos"] == len(others)


def test_other_videos_and_too_few_are_still_refused(data: Path) -> None:
    with killed_at(loop, "_step", 2):
        run(data)
    text = data.read_text(encoding="utf-8")
    first, *others = read_catalog(data).videos
    data.write_text(
        text.replace(first.digest, "0" * len(first.digest)).replace(first.name, f"other-{first.name}"), encoding="utf-8"
    )
    with pytest.raises(RunError, match="was started with other videos"):
        run(data)
    data.write_text(text, encoding="utf-8")
    for video in others:
        video.path.unlink()
    with pytest.raises(RecipeError, match="batch_size = 8: there are"):
        run(data)
    first.path.unlink()
    with pytest.raises(CatalogError, match="none of the 12 videos can be read"):
        run(data)
    assert left_out(data.with_name("out")) == {}, "nothing is written"
