"""The scripts of `examples/` run as they are, except that networks are tiny and epochs few."""

import runpy
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from urbanpipe.api import inspect
from urbanpipe.contracts import read_inspection
from urbanpipe.inference import InferenceOptions
from urbanpipe.methods import table

EXAMPLES = Path(__file__).parents[1] / "examples"

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_plots_of_folds")]


def run(name: str, folder: Path, changes: dict[str, str]) -> dict[str, Any]:
    """Run a script, with parts of its text replaced, and return its variables."""
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    changed = folder / name
    changed.write_text(text, encoding="utf-8")
    return runpy.run_path(str(changed))


@pytest.fixture(scope="module")
def inspected(archive: Path, frame_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The findings of two videos."""
    out = tmp_path_factory.mktemp("findings") / "inspected"
    videos = sorted((archive / "videos").iterdir())[:2]
    inspect(videos, out=out, bundle=frame_bundle, options=InferenceOptions(device="cpu"))
    return out


@pytest.fixture
def practice(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of a script that trains, with videos and labels."""
    shutil.copytree(archive / "videos", tmp_path / "practice" / "videos")
    shutil.copy(archive / "labels.json", tmp_path / "practice")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_train_on_your_folder(practice: Path) -> None:
    tiny = {
        "model.backbone=tf_efficientnet_lite0": "model.backbone=test_resnet",
        "model.weights=package": "model.weights=random",
        '"training.workers=0",': '"training.workers=0", "input.size=32", "training.precision=fp32",',
        "EPOCHS = 6": "EPOCHS = 1",
        ', data=OUT / "catalog.csv")': ")",  # too few videos for OOD detection
    }
    done = run("train_on_your_folder.py", practice, tiny)
    assert len(done["inspected"].videos) == 2
    assert not done["inspected"].failures
    assert (practice / done["inspected"].index).is_file()


def test_read_findings(
    inspected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(inspected, tmp_path / "inspected")
    done = run("read_findings.py", tmp_path, {})
    folders = [path.parent for path in inspected.glob("*/findings.json")]
    names = {read_inspection(folder).video.name for folder in folders}
    assert set(done["table"]["video"]) == names
    likely = done["likely"]
    probabilities = list(likely["probability"])
    assert probabilities == sorted(probabilities, reverse=True)
    assert min(probabilities) > 0.1
    assert done["per_class"]["videos"].to_dict() == {
        code: len(set(likely["video"][likely["code"] == code])) for code in set(likely["code"])
    }
    assert capsys.readouterr().out.startswith(min(names))


def test_read_findings_without_pandas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(SystemExit, match="this example needs pandas; run `pip install pandas`"):
        run("read_findings.py", tmp_path, {})


def test_add_a_method(practice: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "METHODS", dict(table.METHODS))
    done = run("add_a_method.py", practice, {"EPOCHS = 4": "EPOCHS = 1", "size = 96": "size = 32"})
    assert 'method = "middle"' in (done["result"].runs[0] / "recipe.toml").read_text(encoding="utf-8")
    assert (done["result"].runs[0] / "table6.md").is_file()


def test_add_an_export(inspected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(inspected, tmp_path / "inspected")
    done = run("add_an_export.py", tmp_path, {})
    assert len(list((tmp_path / "subtitles").iterdir())) == 2
    text = done["path"].read_text(encoding="utf-8")
    assert text.startswith("WEBVTT\n\n00:00:0")
    assert " --> " in text
    assert done["clock"](3723.0006) == "01:02:03.001"
