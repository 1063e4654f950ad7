"""Which network `explain` takes, what a user can do wrong, and the command."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from helpers.explain_runs import make_run, make_video, recipe_of
from urbanpipe import api
from urbanpipe.cli.main import app, main
from urbanpipe.errors import OutputError, PredictionError, RunError, TaxonomyError, UrbanpipeError, VideoError
from urbanpipe.explain.explain import explain
from urbanpipe.inference.options import InferenceOptions
from urbanpipe.training.run import TRAIN_ONLY


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("event") / "event.mp4")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("run") / "r", recipe_of("frame"))


@pytest.mark.slow
def test_folds(video: Path, run: Path, tmp_path: Path) -> None:
    folded = make_run(tmp_path / "experiment" / "r", recipe_of("frame"), folds=(0, 1))
    (folded / "folds.csv").write_text(f"video,fold\n{video.name},1\nother.mp4,0\n")
    first = explain(folded, video, out=tmp_path / "o", classes=["CJ"], options=InferenceOptions(device="cpu"))
    assert json.loads(first.summary.read_text())["fold"] == 0
    assert first.notes == (
        "the network of fold 0 is explained, the first of 2; --fold takes another",
        f"this network was trained on {video.name}; the one of --fold 1 was not",
    )
    asked = explain(folded, video, out=tmp_path / "o", classes=["CJ"], fold=1, options=InferenceOptions(device="cpu"))
    assert asked.notes == ()
    with pytest.raises(RunError, match="has no fold 2: it has 0, 1"):
        explain(folded, video, out=tmp_path / "o", fold=2)
    with pytest.raises(RunError, match="has no fold 0: it is a single model"):
        explain(run, video, out=tmp_path / "o", fold=0)
    (folded / "folds.csv").write_text("video,fold\nother.mp4,0\none.mp4,1\n")
    row = [video.name, "digest", [0], TRAIN_ONLY, str(video)]
    (folded / "videos.json").write_text(json.dumps([row]))
    (folded / "left_out.csv").write_text("video,reason\n")
    asked = explain(folded, video, out=tmp_path / "o", classes=["CJ"], fold=1, options=InferenceOptions(device="cpu"))
    assert asked.notes == (f"this network was trained on {video.name}, as those of the other folds were",)
    (folded / "fold1" / "done.json").unlink()
    explain(folded, video, out=tmp_path / "o", classes=["CJ"], options=InferenceOptions(device="cpu"))
    with pytest.raises(RunError, match="fold1 is not finished"):
        explain(folded, video, out=tmp_path / "o", fold=1)
    (tmp_path / "experiment" / "experiment.json").write_text("{}")
    with pytest.raises(RunError, match=r"is an experiment; give one of its runs: r$"):
        explain(tmp_path / "experiment", video, out=tmp_path / "o")


def test_an_ensemble_is_sent_to_its_members(video: Path, tmp_path: Path) -> None:
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "weights.toml").write_text('members = [{ path = "experiment/a", weight = 1.0 }]')
    with pytest.raises(RunError, match="is an ensemble; give the run of one of its members: experiment/a"):
        explain(tmp_path / "e", video, out=tmp_path / "o")


def broken(run: Path, folder: Path) -> Path:
    shutil.copytree(run, folder)
    weights = folder / "weights.safetensors"
    weights.write_bytes(b"\0" * weights.stat().st_size)
    return folder


@pytest.fixture
def given(run: Path, video: Path, tmp_path: Path) -> dict[str, Any]:
    return {"run": run, "video": video, "out": tmp_path / "o", "options": InferenceOptions(device="cpu"), "top": 1}


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"video": Path("absent.mp4")}, VideoError, "absent.mp4: no such file"),
        ({"video": Path("n" * 300)}, VideoError, "cannot be read"),
        ({"video": Path(__file__)}, VideoError, "test_explain_mistakes.py: "),
        ({"classes": ["CJJ"]}, TaxonomyError, "unknown class 'CJJ'.*did you mean CJ"),
        ({"layer": "stage"}, RunError, "no layer 'stage'; similar names: stages"),
        ({"layer": "stem"}, None, ""),
        ({"run": Path(__file__).parent}, RunError, "is not a run: it has no recipe.toml"),
        ({"out": Path(__file__) / "o"}, OutputError, "cannot write"),
        ({"top": 0}, PredictionError, "top 0"),
        ({"options": InferenceOptions(device="tpu")}, RunError, "unknown device"),
    ],
)
def test_mistakes_are_one_line(
    changed: dict[str, Any], error: type[UrbanpipeError] | None, message: str, given: dict[str, Any]
) -> None:
    if error is None:
        assert explain(**given | changed).layer == changed["layer"]
        return
    with pytest.raises(error, match=message) as caught:
        explain(**given | changed)
    assert "\n" not in str(caught.value)
    out = given["out"]
    assert not (out.exists() and [*out.iterdir()]), "nothing was written"


@pytest.mark.slow
def test_nothing_of_another_network_stays_and_nothing_of_others_is_written_over(
    run: Path, video: Path, tmp_path: Path
) -> None:
    out = tmp_path / "o"
    explain(run, video, out=out, classes=["CJ", "AJ"], top=1, options=InferenceOptions(device="cpu"))
    explain(run, video, out=out, classes=["CJ"], top=1, options=InferenceOptions(device="cpu"))
    assert {path.name for path in out.iterdir()} == {"event.json", "event.CJ.png", "event.CJ.npz"}
    copy = shutil.copy(video, tmp_path / "event.mkv")
    with pytest.raises(OutputError, match=r"event.json is of event.mp4 and would be overwritten; give another --out"):
        explain(run, Path(copy), out=out, classes=["CJ"], top=1, options=InferenceOptions(device="cpu"))
    (out / "event.json").write_text('{"mine": 1}')
    with pytest.raises(OutputError, match=r"event.json is not of `explain` and would be overwritten"):
        explain(run, video, out=out, classes=["CJ"], top=1, options=InferenceOptions(device="cpu"))
    assert (out / "event.json").read_text() == '{"mine": 1}'


@pytest.mark.slow
def test_a_network_that_has_learnt_from_the_video_says_so(run: Path, video: Path, tmp_path: Path) -> None:
    single = Path(shutil.copytree(run, tmp_path / "single"))
    (single / "labels.json").write_text(json.dumps({"north/event.mp4": [1], "other.mp4": []}))
    found = explain(single, video, out=tmp_path / "o", classes=["CJ"], top=1, options=InferenceOptions(device="cpu"))
    assert found.notes == (f"this network was trained on {video.name}",)
    (single / "labels.json").write_text(json.dumps({"other.mp4": []}))
    assert (
        explain(single, video, out=tmp_path / "o", classes=["CJ"], top=1, options=InferenceOptions(device="cpu")).notes
        == ()
    )


def test_unfinished_and_damaged_runs(run: Path, video: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is damaged or belongs to another recipe"):
        explain(broken(run, tmp_path / "b"), video, out=tmp_path / "o")
    (tmp_path / "b" / "done.json").write_text("[]")
    with pytest.raises(RunError, match=r"done.json is missing or damaged; delete .*b to start it again"):
        explain(tmp_path / "b", video, out=tmp_path / "o")
    (tmp_path / "b" / "done.json").unlink()
    with pytest.raises(RunError, match="is not finished"):
        explain(tmp_path / "b", video, out=tmp_path / "o")
    (tmp_path / "b" / "weights.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(RunError, match=r"is an ensemble; .*its weights.toml is damaged"):
        explain(tmp_path / "b", video, out=tmp_path / "o")


def test_the_command(
    run: Path, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["explain", str(run), str(video), "--device", "cpu"]
    done = CliRunner().invoke(app, [*arguments, "--class", "CJ", "--class", "zw", "--top", "2"])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert [line[:2] for line in lines[:2]] == ["CJ", "ZW"]
    assert f"{video.stem}.ZW.png" in lines[1]
    assert lines[-1] == f"results: explained/{video.stem}.json and 4 files beside it"
    monkeypatch.setattr("sys.argv", ["urbanpipe", *arguments, "--class", "QQ"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert errors[0].startswith("urbanpipe: unknown class 'QQ'")
    assert api.explain is explain
