import csv
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from conftest import TINY
from urbanpipe.catalog.scan import scan
from urbanpipe.cli.main import app
from urbanpipe.errors import CatalogError, DivergedError, RecipeError, RunError
from urbanpipe.evaluation.predictions import Predictions, read_predictions, write_predictions
from urbanpipe.reproduce.ablate import ablate
from urbanpipe.reproduce.table import Ablation
from urbanpipe.reproduce.work import Work
from urbanpipe.simulate.generator import simulate
from urbanpipe.taxonomy import default_taxonomy
from urbanpipe.training.recipe import Recipe

ROWS = (
    "flip",
    "uniform",
    "sequence",
    "test-flips",
    "fold-ensemble",
    "exclusive-rule",
    "best-per-class",
    "thresholds",
    "frame-order",
)
QUICK = (*TINY, "training.epochs=1", "training.keep=last", "name=quick")


@pytest.fixture(scope="module")
def unseen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog of other videos."""
    folder = tmp_path_factory.mktemp("unseen")
    simulate(folder, 8, 77, ["ZC", "CJ", "ZW", "AJ"], size=(96, 80), fps=8, seconds=(1.0, 2.0), balance=1.0, workers=1)
    scan(folder / "videos", folder / "catalog.csv", labels=folder / "labels.json", workers=1)
    return folder / "catalog.csv"


def run(archive: Path, out: Path, *rows: str, **given: object) -> Ablation:
    return ablate(
        archive / "catalog.csv",
        "small-mobilenetv2",
        out,
        rows=rows,
        overrides=QUICK,
        **({"folds": archive / "folds.csv", "device": "cpu"} | given),  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def done(archive: Path, unseen: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ablation]:
    out = tmp_path_factory.mktemp("ablation")
    return out, run(archive, out, *ROWS, test=unseen)


def test_each_network_is_trained_once(done: tuple[Path, Ablation]) -> None:
    out, _ = done
    trained = {path.parent.parent.name for path in out.glob("seed0/*/fold0/done.json")}
    assert trained == {"base", "no-flip", "no-uniform"}, "sequence is what uniform is compared with"
    judged = {path.parent.parent.name for path in out.glob("seed0/*/fold1/judged.json")}
    assert judged == {"test-flips", "fold-ensemble"}


def test_the_table_holds_what_the_networks_said(done: tuple[Path, Ablation], archive: Path) -> None:
    out, made = done
    lines = {line.row.key: line for line in made.lines}
    assert [line.row.key for line in made.lines] == [*ROWS]
    assert lines["frame-order"].reason
    assert {key for key, line in lines.items() if line.gain is None} == {"frame-order"}
    uniform, sequence = lines["uniform"].gain, lines["sequence"].gain
    assert uniform is not None
    assert sequence is not None
    assert np.array_equal(uniform.gains, -sequence.gains)
    assert uniform.low == pytest.approx(-sequence.high)
    flips = lines["flip"]
    assert flips.on is not None
    assert flips.on[0] > 0
    assert flips.on[1] > 50
    with (out / "ablation.csv").open(newline="") as file:
        rows = {row["row"]: row for row in csv.DictReader(file)}
    assert float(rows["uniform"]["gain_defects"]) == pytest.approx(float(uniform.gains.mean()), abs=1e-5)
    assert float(rows["uniform"]["report"]) == 0.022
    text = (out / "ablation.md").read_text()
    assert "Not tried: frame-order" in text
    assert "not told apart" in text


def test_test_flips_change_what_the_base_says(done: tuple[Path, Ablation]) -> None:
    out, _ = done
    base, flipped = (
        read_predictions(out / "seed0" / name / "fold0" / "predictions.json", default_taxonomy())
        for name in ("base", "test-flips")
    )
    assert base.names == flipped.names
    assert not np.allclose(base.scores, flipped.scores)
    assert np.corrcoef(base.scores.ravel(), flipped.scores.ravel())[0, 1] > 0.5


def test_run_again_it_trains_nothing_and_with_more_rows_only_them(
    done: tuple[Path, Ablation], archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, made = done
    before = {path: path.stat().st_mtime_ns for path in out.glob("seed0/*/fold*/*.json")}
    again = run(archive, out, *ROWS[:4])
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert [line.gain.gains.tolist() for line in again.lines if line.gain] == [
        line.gain.gains.tolist() for line in made.lines[:4] if line.gain
    ]
    run(archive, out, "ema", only_folds=[1])
    assert {path.parent.name for path in out.glob("seed0/no-ema/fold*/done.json")} == {"fold1"}


def test_another_base_in_the_same_folder_is_refused(done: tuple[Path, Ablation], archive: Path) -> None:
    out, _ = done
    for setting, said in (
        ("optimiser.rate=2e-3", r"another recipe: optimiser.rate"),
        ("training.checkpointing=true", r"begun with training.checkpointing = false"),
    ):
        with pytest.raises(RunError, match=said):
            ablate(
                archive / "catalog.csv",
                "small-mobilenetv2",
                out,
                rows=["flip"],
                folds=archive / "folds.csv",
                overrides=[*QUICK, setting],
                device="cpu",
            )


def test_networks_that_changed_are_judged_again(done: tuple[Path, Ablation], archive: Path) -> None:
    out, _ = done
    folder = out / "seed0" / "test-flips"
    one, other = folder / "fold0", folder / "fold1"
    (one / "judged.json").write_text('{"by": "others"}')
    before = {path: (path / "predictions.json").stat().st_mtime_ns for path in (one, other)}
    run(archive, out, "test-flips")
    after = {path: (path / "predictions.json").stat().st_mtime_ns for path in (one, other)}
    assert after[one] > before[one]
    assert after[other] == before[other]
    assert "others" not in (one / "judged.json").read_text()


def test_a_network_is_called_the_same_whichever_rows_are_asked_for(archive: Path, done: tuple[Path, Ablation]) -> None:
    out, _ = done
    before = {path: path.stat().st_mtime_ns for path in out.glob("seed0/*/fold*/done.json")}
    run(archive, out, "sequence")
    assert {path: path.stat().st_mtime_ns for path in out.glob("seed0/*/fold*/done.json")} == before


def test_a_network_that_cannot_be_trained_costs_its_row_alone(
    archive: Path, done: tuple[Path, Ablation], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Work.train

    def diverges(work: Work, run: Path, recipe: Recipe) -> None:
        if recipe.name == "no-warm-up":
            raise DivergedError("the loss became nan")
        real(work, run, recipe)

    monkeypatch.setattr(Work, "train", diverges)
    made = run(archive, done[0], "flip", "warm-up")
    assert [line.reason for line in made.lines] == ["", "no-warm-up: the loss became nan"]
    assert made.lines[0].gain is not None


def test_videos_that_a_network_left_out_are_compared_in_none(archive: Path, tmp_path: Path) -> None:
    run(archive, tmp_path, "flip", only_folds=[0])
    path = tmp_path / "seed0" / "no-flip" / "fold0" / "predictions.json"
    found = read_predictions(path, default_taxonomy())
    fewer = Predictions(found.names[1:], found.scores[1:])
    write_predictions(fewer, path, default_taxonomy())
    (line,) = run(archive, tmp_path, "flip", only_folds=[0]).lines
    assert line.gain is not None


def test_bad_input(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="which the folds learn from; give other videos"):
        run(archive, tmp_path / "seen", "ema", test=archive / "catalog.csv")
    with pytest.raises(RecipeError, match="no row 'emma': did you mean ema"):
        run(archive, tmp_path / "out", "emma")
    with pytest.raises(RecipeError, match="seeds = 0"):
        run(archive, tmp_path / "out", "ema", seeds=0)
    assert not (tmp_path / "out").exists()


def test_on_the_command_line(archive: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    listed = runner.invoke(app, ["ablate", "--list"])
    assert "tile-shuffle" in listed.stdout
    without = runner.invoke(app, ["ablate", str(archive / "catalog.csv")])
    assert isinstance(without.exception, RecipeError)
    settings = [part for setting in QUICK for part in ("--set", setting)]
    given = [
        "--recipe",
        "small-mobilenetv2",
        "--folds",
        str(archive / "folds.csv"),
        "--only-fold",
        "0",
        "--row",
        "thresholds",
    ]
    found = runner.invoke(app, ["ablate", str(archive / "catalog.csv"), *given, "--out", str(tmp_path), *settings])
    assert found.exit_code == 0, found.output
    assert "it needs two folds" in found.stdout
    assert found.stdout.strip().endswith(f"results: {tmp_path}")
