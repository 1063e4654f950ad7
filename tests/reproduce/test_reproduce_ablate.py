import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from helpers.tiny_recipes import TINY
from urbanpipe.catalog.catalog_file import Catalog, read_catalog, write_catalog
from urbanpipe.catalog.folds import read_folds
from urbanpipe.catalog.labels import label_matrix
from urbanpipe.catalog.scan import scan
from urbanpipe.cli.main import app
from urbanpipe.contracts.predictions import Predictions, read_predictions, write_predictions
from urbanpipe.errors import CatalogError, DivergedError, OutOfMemoryError, RecipeError, RunError, UrbanpipeError
from urbanpipe.evaluation.average_precision import score
from urbanpipe.methods.recipe import Recipe, load_recipe
from urbanpipe.models.distributed import DistributedContext
from urbanpipe.outputs import write_csv
from urbanpipe.reproduce import experiment as room
from urbanpipe.reproduce.ablate import _unseen, ablate, run_ablation
from urbanpipe.reproduce.ablation_table import Ablation
from urbanpipe.reproduce.changes import choose_rows
from urbanpipe.reproduce.experiment import ReportExperiment, open_report_experiment
from urbanpipe.reproduce.options import AblationPlan
from urbanpipe.simulate.generator import simulate
from urbanpipe.simulate.options import ClassMix, VideoOptions
from urbanpipe.taxonomy import default_taxonomy
from urbanpipe.training.crossval import run_folds
from urbanpipe.training.options import FoldOptions, RunOptions

pytestmark = pytest.mark.slow

T = TypeVar("T")
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
    simulate(
        folder,
        videos=8,
        seed=77,
        workers=1,
        mix=ClassMix(classes=["ZC", "CJ", "ZW", "AJ"], balance=1.0),
        video=VideoOptions(size=(96, 80), fps=8, seconds=(1.0, 2.0)),
    )
    scan(folder / "videos", out=folder / "catalog.csv", labels=folder / "labels.json", workers=1)
    return folder / "catalog.csv"


def run(archive: Path, out: Path, *rows: str, **given: object) -> Ablation:
    split = FoldOptions(folds=given.pop("folds", archive / "folds.csv"), only=given.pop("only_folds", ()))  # type: ignore[arg-type]
    return ablate(
        archive / "catalog.csv",
        "small-mobilenetv2",
        out=out,
        plan=AblationPlan(rows=rows, **given),  # type: ignore[arg-type]
        overrides=QUICK,
        split=split,
        options=RunOptions(device="cpu"),
    )


@pytest.fixture(scope="module")
def done(archive: Path, unseen: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ablation]:
    out = tmp_path_factory.mktemp("ablation")
    return out, run(archive, out, *ROWS, test=unseen)


def test_each_network_is_trained_once(done: tuple[Path, Ablation]) -> None:
    out, _ = done
    trained = {path.parent.parent.name for path in out.glob("seed0/*/fold0/done.json")}
    assert trained == {"base", "no-flip", "no-uniform"}, "sequence is what uniform is compared with"
    predicted = {path.parent.parent.name for path in out.glob("seed0/*/fold1/predicted.json")}
    assert {name.rpartition("-")[0] if "ensemble" in name else name for name in predicted} == {
        "test-flips",
        "fold-ensemble",
    }


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
    assert "inconclusive" in text
    assert (out / "ablation.png").stat().st_size > 1000


def test_the_mean_of_the_folds_networks_is_compared_with_each_of_them(
    done: tuple[Path, Ablation], unseen: Path
) -> None:
    out, made = done
    videos = read_catalog(unseen, default_taxonomy()).labelled
    names, labels = [video.name for video in videos], {video.name: video.labels or () for video in videos}
    targets = label_matrix(names, labels, 17)
    folders = sorted(out.glob("seed0/fold-ensemble-*/fold*"))
    said = [read_predictions(folder / "predictions.json", default_taxonomy()).aligned(names) for folder in folders]
    (line,) = [line for line in made.lines if line.row.key == "fold-ensemble"]
    assert line.gain is not None
    each = [score(scores, targets, default_taxonomy(), "skip").map_all for scores in said]
    mean = score(np.mean(said, axis=0), targets, default_taxonomy(), "skip").map_all
    assert line.gain.off[:, 0] == pytest.approx(each)
    assert line.gain.on[:, 0] == pytest.approx([mean] * len(each))


def test_seeds_are_trained_side_by_side(done: tuple[Path, Ablation], archive: Path) -> None:
    out, made = done
    (line,) = run(archive, out, "flip", seeds=2).lines
    (first,) = [each for each in made.lines if each.row.key == "flip"]
    assert line.gain is not None
    assert first.gain is not None
    assert line.gain.gains.shape == (2, first.gain.gains.shape[1])
    assert line.gain.on[0].tolist() == first.gain.on[0].tolist()
    assert line.gain.on[1].tolist() != first.gain.on[0].tolist()


def test_a_network_that_does_not_take_its_pictures_costs_its_row_alone_and_is_never_trained(
    archive: Path, done: tuple[Path, Ablation], monkeypatch: pytest.MonkeyPatch
) -> None:
    def small(recipe: Recipe, catalog: Catalog) -> str:
        return "pictures do not fit" if recipe.name == "quick" and recipe.optimiser.schedule == "cosine" else ""

    monkeypatch.setattr("urbanpipe.reproduce.ablate.misfit", small)
    made = run(archive, done[0], "flip", "onecycle", seeds=2)
    assert [line.reason for line in made.lines] == [
        "",
        "no-onecycle cannot be built with these settings: pictures do not fit",
    ]
    assert not list(done[0].glob("seed*/no-onecycle"))


def test_networks_of_other_numbers_of_processes_are_told(archive: Path, done: tuple[Path, Ablation]) -> None:
    assert not any("different numbers of processes" in note for note in run(archive, done[0], "flip").notes)
    path = done[0] / "seed0" / "no-flip" / "fold0" / "done.json"
    before = path.read_text()
    path.write_text(json.dumps(json.loads(before) | {"processes": 4}))
    (note,) = [note for note in run(archive, done[0], "flip").notes if "different numbers of processes" in note]
    assert "1: base, no-flip; 4: no-flip" in note
    path.write_text(json.dumps(json.loads(before) | {"processes": ["4"]}))  # edited by hand
    assert not any("different numbers of processes" in note for note in run(archive, done[0], "flip").notes)
    path.write_text(before)


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
    with (out / "ablation.csv").open(newline="") as file:
        assert [row["row"] for row in csv.DictReader(file)] == [*ROWS[:4]], "the table holds the rows of the call"
    run(archive, out, "ema", only_folds=[1])
    assert {path.parent.name for path in out.glob("seed0/no-ema/fold*/done.json")} == {"fold1"}


def test_another_base_in_the_same_folder_is_refused(done: tuple[Path, Ablation], archive: Path) -> None:
    out, _ = done
    for setting, said in (
        ("optimiser.learning_rate=2e-3", r"another recipe: optimiser.learning_rate"),
        ("training.checkpointing=true", r"was started with training.checkpointing = false"),
    ):
        with pytest.raises(RunError, match=said):
            ablate(
                archive / "catalog.csv",
                "small-mobilenetv2",
                out=out,
                overrides=[*QUICK, setting],
                plan=AblationPlan(rows=["flip"]),
                split=FoldOptions(folds=archive / "folds.csv"),
                options=RunOptions(device="cpu"),
            )


def test_networks_that_changed_are_evaluated_again(done: tuple[Path, Ablation], archive: Path) -> None:
    out, _ = done
    folder = out / "seed0" / "test-flips"
    one, other = folder / "fold0", folder / "fold1"
    (one / "predicted.json").write_text('{"by": "others"}')
    before = {path: (path / "predictions.json").stat().st_mtime_ns for path in (one, other)}
    run(archive, out, "test-flips")
    after = {path: (path / "predictions.json").stat().st_mtime_ns for path in (one, other)}
    assert after[one] > before[one]
    assert after[other] == before[other]
    assert "others" not in (one / "predicted.json").read_text()


def test_a_network_is_called_the_same_whichever_rows_are_asked_for(archive: Path, done: tuple[Path, Ablation]) -> None:
    out, _ = done
    before = {path: path.stat().st_mtime_ns for path in out.glob("seed0/*/fold*/done.json")}
    run(archive, out, "sequence")
    assert {path: path.stat().st_mtime_ns for path in out.glob("seed0/*/fold*/done.json")} == before


def test_a_network_that_cannot_be_trained_costs_its_row_alone(
    archive: Path, done: tuple[Path, Ablation], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ReportExperiment.train

    def diverges(experiment: ReportExperiment, run: Path, recipe: Recipe) -> None:
        if recipe.name == "no-warm-up":
            raise DivergedError("the loss became nan")
        real(experiment, run, recipe)

    monkeypatch.setattr(ReportExperiment, "train", diverges)
    made = run(archive, done[0], "flip", "warm-up")
    assert [line.reason for line in made.lines] == ["", "no-warm-up: the loss became nan"]
    assert made.lines[0].gain is not None


class OneOfTwo(DistributedContext):
    """A process that never hears of the other."""

    def gather(self, value: T) -> list[T]:
        return [value]


@pytest.mark.parametrize("error", [OutOfMemoryError("out of memory"), DivergedError("the loss became nan")])
@pytest.mark.parametrize("count", [1, 2])
def test_a_failure_in_one_of_several_processes_ends_them_all(
    error: RunError, count: int, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others would wait for this one for ever."""

    def fails(*_: object) -> None:
        raise error

    experiment = open_report_experiment(
        archive / "catalog.csv",
        tmp_path,
        taxonomy=None,
        split=FoldOptions(folds=archive / "folds.csv", only=[0]),
        options=RunOptions(device="cpu", cache=None, cache_gb=0.1),
    )
    experiment = replace(experiment, distributed=OneOfTwo(0, count, torch.device("cpu")))
    monkeypatch.setattr(room, "run_folds", fails)
    with pytest.raises(type(error) if count == 1 else RunError, match=str(error)) as caught:
        experiment.train(tmp_path / "base", load_recipe("small-mobilenetv2", QUICK))
    goes_on = isinstance(caught.value, (OutOfMemoryError, DivergedError))  # these cost a row alone
    assert goes_on == (count == 1)
    assert ("use a single process" in str(caught.value)) == (count == 2)


def test_a_row_that_fails_in_one_of_several_processes_is_not_passed_over(
    archive: Path, done: tuple[Path, Ablation], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = run_folds

    def too_large(run: Path, *given: object) -> None:
        if run.name == "no-warm-up":
            raise OutOfMemoryError("out of memory")
        real(run, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(room, "run_folds", too_large)
    experiment = open_report_experiment(
        archive / "catalog.csv",
        done[0],
        taxonomy=None,
        split=FoldOptions(folds=archive / "folds.csv", only=[]),
        options=RunOptions(device="cpu", cache=None, cache_gb=0.1),
    )
    base, rows = load_recipe("small-mobilenetv2", QUICK), choose_rows(["flip", "warm-up"])
    assert [line.reason for line in run_ablation(experiment, base, rows, 1, ()).lines] == [
        "",
        "no-warm-up: out of memory",
    ]
    with pytest.raises(RunError, match="out of memory; several processes cannot continue"):
        run_ablation(replace(experiment, distributed=OneOfTwo(0, 2, torch.device("cpu"))), base, rows, 1, ())


def test_classes_that_a_fold_lacks_are_told(archive: Path, catalog: Catalog, tmp_path: Path) -> None:
    folds = read_folds(archive / "folds.csv")
    zw = default_taxonomy().codes.index("ZW")
    moved = {video.name: 0 if zw in (video.labels or ()) else folds[video.name] for video in catalog.labelled}
    write_csv(tmp_path / "folds.csv", ["video", "fold"], moved.items())
    made = run(archive, tmp_path / "out", "exclusive-rule", folds=tmp_path / "folds.csv")
    assert made.notes == ("Fold 1: no video of ZW, left out of its mAP.",)
    text = (tmp_path / "out" / "ablation.md").read_text()
    assert f"\n- {made.notes[0]}\n" in text


def test_flattered_figures_are_told(done: tuple[Path, Ablation]) -> None:
    _, made = done
    assert made.notes == ()
    assert "too optimistic" not in made.to_markdown()
    training = made.base.training.model_copy(update={"keep": "best"})
    flattered = replace(made, base=made.base.model_copy(update={"training": training}))
    assert "scores are too optimistic; give --set training.keep=last" in flattered.to_markdown()


def test_groups_in_several_folds_are_warned_of_once(
    archive: Path, catalog: Catalog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folds = read_folds(archive / "folds.csv")
    pair = [next(video.name for video in catalog.labelled if folds[video.name] == fold) for fold in (0, 1)]
    torn = [replace(video, group="one" if video.name in pair else video.name) for video in catalog.videos]
    write_catalog(Catalog(tuple(torn), catalog.taxonomy), tmp_path / "catalog.csv")
    split, options = FoldOptions(folds=archive / "folds.csv", only=[0]), RunOptions(device="cpu", cache_gb=0.1)
    open_report_experiment(tmp_path / "catalog.csv", tmp_path, split=split, options=options)
    said = "warning: 1 groups (one first) are in several folds; scores will be too optimistic"
    assert capsys.readouterr().err.count(said) == 1
    open_report_experiment(archive / "catalog.csv", tmp_path / "whole", split=split, options=options)
    assert "warning" not in capsys.readouterr().err


def without_digests(path: Path, out: Path) -> Path:
    catalog = read_catalog(path)
    write_catalog(Catalog(tuple(replace(video, digest="") for video in catalog.videos), catalog.taxonomy), out)
    return out


@pytest.mark.parametrize("bare", ["test", "folds", "both"])
def test_videos_without_digests_are_told_apart_by_name_and_size(
    bare: str, archive: Path, unseen: Path, done: tuple[Path, Ablation], tmp_path: Path
) -> None:
    data, test = archive / "catalog.csv", unseen
    if bare != "test":
        data = without_digests(data, tmp_path / "data.csv")
    if bare != "folds":
        test = without_digests(unseen, tmp_path / "test.csv")
    experiment = open_report_experiment(
        data,
        tmp_path / "out",
        taxonomy=None,
        split=FoldOptions(folds=archive / "folds.csv", only=[]),
        options=RunOptions(device="cpu", cache=None, cache_gb=0.1),
    )
    others = read_catalog(test).labelled
    base = load_recipe("small-mobilenetv2", QUICK)
    found = _unseen(experiment, base, [replace(video, group=f"other {video.name}") for video in others])
    assert len(found) == len(others)
    seen = replace(
        others[0], name=experiment.catalog.labelled[0].name, size_bytes=experiment.catalog.labelled[0].size_bytes
    )
    with pytest.raises(CatalogError, match="which the folds are trained on"):
        _unseen(experiment, base, [seen])


def test_videos_that_a_network_left_out_are_compared_in_none(archive: Path, tmp_path: Path) -> None:
    run(archive, tmp_path, "flip", only_folds=[0])
    path = tmp_path / "seed0" / "no-flip" / "fold0" / "predictions.json"
    found = read_predictions(path, default_taxonomy())
    fewer = Predictions(found.names[1:], found.scores[1:])
    write_predictions(fewer, path, default_taxonomy())
    (line,) = run(archive, tmp_path, "flip", only_folds=[0]).lines
    assert line.gain is not None


def test_changes_of_ones_own(archive: Path, done: tuple[Path, Ablation], tmp_path: Path) -> None:
    out, _ = done
    known = {path.name for path in (out / "seed0").iterdir()}
    found = run(
        archive,
        out,
        changes=["optimiser.learning_rate*=0.1", "input.sampling=sequence", "optimiser.learning_rate=2e-3"],
    )
    assert [(line.row.table, line.row.key) for line in found.lines] == [
        (None, "optimiser.learning_rate-0.0001"),
        (None, "input.sampling-sequence"),
        (None, "optimiser.learning_rate-0.002"),
    ]
    new = {path.name for path in (out / "seed0").iterdir()} - known
    assert new == {"no-large-rate", "optimiser.learning_rate-0.002"}  # networks of the report's rows keep their names
    predictions = read_predictions(
        out / "seed0/optimiser.learning_rate-0.002/fold0/predictions.json", default_taxonomy()
    )
    base = read_predictions(out / "seed0/base/fold0/predictions.json", default_taxonomy())
    assert not np.allclose(predictions.scores, base.aligned(predictions.names))
    (row,) = [line for line in (out / "ablation.md").read_text().splitlines() if "optimiser.learning_rate=2e-3" in line]
    assert [cell.strip() for cell in row.split("|")[1:5]] == [
        "-",
        "optimiser.learning_rate-0.002",
        "optimiser.learning_rate=2e-3",
        "-",
    ]
    with (out / "ablation.csv").open() as file:
        assert [each["table"] for each in csv.DictReader(file)] == ["", "", ""]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("optimiser.learning_rate=1e-3", "it has no effect on this recipe"),
        ("optimiser.rat=1", "optimiser.rat"),
        ("model.options={no_such=1}", "cannot be built with these settings"),
        ("model.weights=none.safetensors", r"--change 'model.weights=none.safetensors': no weights file"),
        (f"model.weights={'x' * 300}", "no weights file"),
    ],
)
def test_changes_that_cannot_be_tried_begin_nothing(archive: Path, tmp_path: Path, change: str, message: str) -> None:
    with pytest.raises(UrbanpipeError, match=message):
        run(archive, tmp_path / "out", changes=["optimiser.learning_rate=2e-3", change])
    assert not (tmp_path / "out").exists()


def test_changes_of_the_evaluation_evaluate_the_base_again(done: tuple[Path, Ablation], archive: Path) -> None:
    out, _ = done
    found = run(archive, out, changes=['input.test_flips=["horizontal"]', "training.keep=best"])
    (folder,) = (out / "seed0").glob("input.test_flips-*")
    assert not (folder / "recipe.toml").exists()
    assert found.lines[0].on is None
    assert (
        "Too optimistic, because the epoch was chosen on the evaluated fold (training.keep = best): training.keep-best."
        in (found.to_markdown())
    )


def test_bad_input(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="which the folds are trained on; give other videos"):
        run(archive, tmp_path / "out", "fold-ensemble", test=archive / "catalog.csv")
    with pytest.raises(RecipeError, match="no row 'emma': did you mean ema"):
        run(archive, tmp_path / "out", "emma")
    with pytest.raises(RecipeError, match="--test has no effect without the row fold-ensemble"):
        run(archive, tmp_path / "out", "ema", test=archive / "catalog.csv")
    with pytest.raises(CatalogError, match=r"is a folder; give a catalog: urbanpipe scan"):
        ablate(archive / "videos", "small-mobilenetv2", out=tmp_path / "out", plan=AblationPlan(rows=["ema"]))
    with pytest.raises(RecipeError, match="seeds = 0"):
        run(archive, tmp_path / "out", "ema", seeds=0)
    assert not (tmp_path / "out").exists()


def test_on_the_command_line(archive: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    shown = runner.invoke(app, ["ablate", "--help"], env={"COLUMNS": "200"}).stdout
    assert "Include only this row; repeatable" in shown
    assert "the table covers this call" in shown
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
