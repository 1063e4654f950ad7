"""The commands of the guides, on tiny videos with tiny networks: each page in a folder that has what it names."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from helpers.command_lines import command_lines, runnable
from helpers.record_material import DATA, made_contract
from helpers.review_material import decide, finish
from helpers.tiny_recipes import TINY, TINY_DENSE, TINY_FRAME
from urbanpipe.cli.main import app
from urbanpipe.inference import ood
from urbanpipe.review_store.decision import DATA_KEY
from urbanpipe.review_store.store import ReviewStore

DOCS = Path(__file__).parents[1] / "docs"
GUIDES = [path for path in sorted(DOCS.glob("*.md")) if any(runnable(path.read_text(encoding="utf-8")))]
SETTINGS = {"small-mobilenetv2": TINY, "small-frame": TINY_FRAME, "small-dense": TINY_DENSE}
HANDED_IN = ("export.md", "record.md", "review.md")  # begin with an inspected contract
TRAINED = {  # what a page has from elsewhere
    "moments.md": ["--recipe", "small-frame", "--set", "name=RUN"],
    "explain.md": ["--recipe", "small-mobilenetv2", "--set", "training.epochs=1"],
}


@pytest.mark.slow
@pytest.mark.usefixtures("no_plots_of_folds")
@pytest.mark.parametrize("page", GUIDES, ids=lambda path: path.stem)
def test_commands_of_a_guide(page: Path, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _furnish(tmp_path, archive)
    if page.name in HANDED_IN:
        _furnish_contract(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ood, "MIN_VIDEOS", 2)
    if page.name in TRAINED:
        _run(["crossval", "catalog.csv", "--folds", "folds.csv", "--out", "experiment", *TRAINED[page.name]], page.name)
    for words in runnable(page.read_text(encoding="utf-8")):
        _run(words, page.name)
        if "--out" in words:
            assert Path(words[words.index("--out") + 1]).exists(), words


def test_some_commands_of_many_guides_are_run() -> None:
    ran = [words for page in GUIDES for words in runnable(page.read_text(encoding="utf-8"))]
    every = [words for page in GUIDES for words in command_lines(page.read_text(encoding="utf-8"))]
    assert all(words in every for words in ran)
    assert {words[0] for words in ran} >= {
        "scan",
        "audit",
        "folds",
        "crossval",
        "predict",
        "bundle",
        "export",
        "report",
    }


def _furnish(folder: Path, archive: Path) -> None:
    """Make the videos, labels, catalog and folds that the guides name."""
    for name in ("VIDEOS", "videos"):
        shutil.copytree(archive / "videos", folder / name)
    few = sorted((archive / "videos").iterdir())[:2]
    (folder / "NEW_VIDEOS").mkdir()
    for video in few:
        shutil.copy(video, folder / "NEW_VIDEOS")
    shutil.copy(few[0], folder / "video.mp4")
    for name in ("labels.json", "moments.json", "catalog.csv", "folds.csv"):
        shutil.copy(archive / name, folder)
    labels = json.loads((archive / "labels.json").read_text())
    (folder / "new_labels.json").write_text(json.dumps({video.name: labels[video.name] for video in few}))


def _furnish_contract(folder: Path) -> None:
    """Make an inspected contract, decided about in full, and its inspection data."""
    made_contract(folder).rename(folder / "inspected")
    store = ReviewStore(folder / "review.sqlite")
    for item in ("CK@12500", "CK@41000", "SL@28000", "CJ@52250"):
        decide(store, folder / "inspected" / "d2", item, status="rejected")
    finish(store, folder / "inspected" / "d2")
    data: dict[str, Any] = {"length_m": 40, "diameter_mm": 600, "region": "road", "soil": "general"}
    for video in ("d1_1", "d2"):
        decide(store, folder / "inspected" / video, DATA_KEY, segment=video, **data)
    store.close()
    shutil.copy(folder / "review.sqlite", folder / "inspected")
    (folder / "data.csv").write_text(DATA.replace("upstream,,600", "upstream,41.2,600"), encoding="utf-8")


def _run(words: list[str], page: str) -> None:
    """Run a command line; trainings get the settings of tiny networks."""
    tiny: tuple[str, ...] = ()
    if words[0] in ("crossval", "ablate"):
        tiny = (*SETTINGS[words[words.index("--recipe") + 1]], "model.weights=random")
    done = CliRunner().invoke(app, [*words, *(word for value in tiny for word in ("--set", value))])
    left_out = 3 if words[0] == "export" else 0  # the contract has occurrences without a distance
    assert done.exit_code in (0, left_out), f"{page}: urbanpipe {' '.join(words)}: {done.output} {done.exception}"
