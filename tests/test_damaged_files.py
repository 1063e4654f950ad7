"""Files that are cut, altered or of another kind give a result or one error, never another exception."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from helpers.damage import damaged
from helpers.fold_runs import SMALL, make_run
from urbanpipe.catalog.catalog_file import Catalog, Video, read_source, write_catalog
from urbanpipe.catalog.folds import plan_folds, read_folds
from urbanpipe.catalog.labels import read_labels
from urbanpipe.contracts.inspection_data import read_inspection_data
from urbanpipe.contracts.predictions import read_predictions
from urbanpipe.contracts.run_folder import RUN_FORMAT, read_done, read_left_out
from urbanpipe.contracts.segment_scores import SegmentScores, read_segment_scores, write_segment_scores
from urbanpipe.ensembling.ensemble import ensemble
from urbanpipe.ensembling.weights import read_weights
from urbanpipe.errors import UrbanpipeError
from urbanpipe.evaluation.evaluate import evaluate
from urbanpipe.evaluation.moments import read_results, read_truth
from urbanpipe.evaluation.runs import read_out_of_fold
from urbanpipe.inference.members import find_trained
from urbanpipe.methods.recipe import load_recipe, write_recipe
from urbanpipe.taxonomy import load_taxonomy
from urbanpipe.training.log import read_costs
from urbanpipe.training.run import begun_rows

DAMAGES = 50  # of each case
SEGMENTS = SegmentScores(
    ("a", "b"), np.array([0, 2, 3]), np.array([[0.0, 1], [1, 2], [0, 1]]), np.linspace(0, 1, 12).reshape(3, 4)
)


@dataclass(frozen=True)
class Case:
    """Files of which one is damaged at a time, and what reads them."""

    files: Sequence[str]
    read: Callable[[Path], object]


CASES = {
    "run": Case(
        [f"run/{name}" for name in ("taxonomy.toml", "labels.json", "folds.csv", "groups.csv", "out_of_fold.json")],
        lambda folder: read_out_of_fold(folder / "run"),
    ),
    "environment": Case(["run/environment.json"], lambda folder: read_out_of_fold(folder / "run")),
    "begun": Case(["run/videos.json"], lambda folder: sorted(begun_rows(folder / "run"))),
    "done": Case(["run/done.json"], lambda folder: read_done(folder / "run")),
    "left out": Case(["run/left_out.csv"], lambda folder: read_left_out(folder / "run")),
    "costs": Case(["run/metrics.csv"], lambda folder: read_costs(folder / "run")),
    "recipe": Case(["run/recipe.toml"], lambda folder: load_recipe(folder / "run" / "recipe.toml")),
    "taxonomy": Case(["run/taxonomy.toml"], lambda folder: load_taxonomy(folder / "run" / "taxonomy.toml")),
    "folds": Case(["run/folds.csv"], lambda folder: read_folds(folder / "run" / "folds.csv")),
    "predictions": Case(
        ["run/out_of_fold.csv"], lambda folder: read_predictions(folder / "run" / "out_of_fold.csv", SMALL)
    ),
    "models": Case(["ensemble/weights.toml"], lambda folder: find_trained(folder / "ensemble")),
    "weights": Case(
        ["ensemble/weights.toml"], lambda folder: read_weights(folder / "ensemble" / "weights.toml", ("run",))
    ),
    "catalog": Case(["catalog.csv", "catalog-taxonomy.toml"], lambda folder: plan_folds(folder / "catalog.csv", 2)),
    "label table": Case(["labels.csv"], lambda folder: read_source(folder / "labels.csv", SMALL)),
    "labels": Case(["labels.json"], lambda folder: read_labels(folder / "labels.json", SMALL)),
    "moments": Case(["cctv.json"], lambda folder: read_truth(folder / "cctv.json", SMALL, None)),
    "submission": Case(
        ["results.json"],
        lambda folder: read_results(folder / "results.json", SMALL, read_truth(folder / "cctv.json", SMALL, None)),
    ),
    "inspection data": Case(["data.csv"], lambda folder: read_inspection_data(folder / "data.csv")),
    "evaluate": Case(
        ["catalog.csv", "catalog-taxonomy.toml", "scores.json"],
        lambda folder: evaluate(folder / "catalog.csv", folder / "scores.json", draws=0).to_markdown(),
    ),
}


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one file of each kind."""
    folder = tmp_path_factory.mktemp("material")
    run = make_run(folder / "run")
    write_recipe(load_recipe("small-frame"), run / "recipe.toml")
    (run / "weights.safetensors").write_bytes(b"abc")
    (run / "left_out.csv").write_text("video,reason\nx.mp4,no video stream\n")
    (run / "metrics.csv").write_text("epoch,train_seconds,peak_memory_mib\n1,2.5,100\n2,2.5,101\n")
    (folder / "ensemble").mkdir()
    members = f'[[members]]\nname = "run"\npath = "{run}"\nweight = 1.0\n'
    (folder / "ensemble" / "weights.toml").write_text(f"exclusive_threshold = 0.5\n{members}")
    names = [f"d{number // 2}_{number}.mp4" for number in range(8)]
    facts = {"duration_seconds": 3.5, "frame_count": 90, "frame_rate": 25.0, "width": 64, "height": 48}
    videos = [
        Video(name, folder / name, group=f"g{n // 2}", labels=(n % 4,), digest=f"{n}", **facts)  # type: ignore[arg-type]
        for n, name in enumerate(names)
    ]
    write_catalog(Catalog(tuple(videos), SMALL), folder / "catalog.csv")
    rows = "".join(f"{name},{SMALL.codes[n % 4]}\n" for n, name in enumerate(names))
    (folder / "labels.csv").write_text(f"video,labels\n{rows}")
    (folder / "data.csv").write_text("video,segment,length_m,date\na.mp4,S1,30,2024-05-01\nb.mp4,S2,20,2024-05-01\n")
    moment = {"file_name": "a.mp4", "duration": 60.0, "annotations": [{"label": "A", "moment": 12.5}]}
    contents = {
        "run/environment.json": {"format": RUN_FORMAT, "data": "x", "weights": ""},
        "run/videos.json": [["v0.mp4", "d", [1], 0, "/v/v0.mp4"], ["v1.mp4", "d", [], 1, "/v/v1.mp4"]],
        "run/done.json": {"weights_bytes": 3},
        "labels.json": {"d1_1.mp4": [0, 1], "b.mp4": ["A"]},
        "cctv.json": {"database": {"a": moment, "b": {**moment, "file_name": "b.mp4"}}},
        "results.json": {"results": {"a.mp4": [{"label": "A", "moment": 12.5, "score": 0.5}]}},
        "scores.json": {name: [0.1, 0.2, 0.3, 0.4] for name in names},
    }
    for name, content in contents.items():
        (folder / name).write_text(json.dumps(content))
    write_segment_scores(SEGMENTS, folder / "segments.npz", SMALL)
    arrays = {"codes": np.array(SMALL.codes), "names": np.array(SEGMENTS.names), "starts": SEGMENTS.starts}
    np.savez(folder / "plain.npz", **arrays, seconds=SEGMENTS.seconds, scores=SEGMENTS.scores)  # type: ignore[arg-type]
    return folder


def result_or_error(read: Callable[[], object]) -> object:
    """Return what `read` returns, or its UrbanpipeError; any other exception is a bug."""
    try:
        return read()
    except UrbanpipeError as error:
        return error


@pytest.mark.parametrize("name", CASES)
@pytest.mark.slow
def test_a_damaged_file_is_read_or_refused(name: str, material: Path) -> None:
    case, rng = CASES[name], np.random.default_rng(len(name))
    case.read(material)
    outcomes = []
    for _ in range(DAMAGES):
        file = material / case.files[int(rng.integers(len(case.files)))]
        before = file.read_bytes()
        file.write_bytes(after := damaged(file.name, before, rng))
        try:
            outcomes.append(result_or_error(lambda: case.read(material)))
        except Exception as error:
            raise AssertionError(f"{file.name} with {after[:2000]!r}") from error
        finally:
            file.write_bytes(before)
    refused = sum(isinstance(outcome, UrbanpipeError) for outcome in outcomes)
    assert refused > DAMAGES / 10 or name == "begun", "the damage was none"


@pytest.mark.parametrize("name", ["segments.npz", "plain.npz"])
@pytest.mark.slow
def test_damaged_segment_scores_are_right_or_refused(name: str, material: Path, tmp_path: Path) -> None:
    rng, whole, copy = np.random.default_rng(5), (material / name).read_bytes(), tmp_path / name
    for _ in range(2 * DAMAGES):
        copy.write_bytes(damaged(name, whole, rng))
        read = result_or_error(lambda: read_segment_scores(copy, SMALL))
        if isinstance(read, SegmentScores):
            assert read.names == SEGMENTS.names
            assert np.array_equal(read.starts, SEGMENTS.starts)
            assert np.array_equal(read.seconds, SEGMENTS.seconds)
            assert np.array_equal(read.scores, SEGMENTS.scores)


@pytest.mark.parametrize("lost", ["codes", "names", "starts", "seconds", "scores"])
@pytest.mark.parametrize("value", [None, "x", 7, [[]], [1, 2], [[1, "x"]], [0.5, 1e400]])
def test_segment_scores_with_an_array_of_another_kind_are_refused(
    lost: str, value: object, material: Path, tmp_path: Path
) -> None:
    with np.load(material / "plain.npz") as file:
        arrays = dict(file)
    del arrays[lost]
    if value is not None:
        arrays[lost] = np.array(value)
    np.savez(tmp_path / "s.npz", **arrays)
    with pytest.raises(UrbanpipeError, match=r"s\.npz"):
        read_segment_scores(tmp_path / "s.npz", SMALL)


@pytest.mark.slow
def test_an_ensemble_of_a_damaged_run_is_made_or_refused(material: Path, tmp_path: Path) -> None:
    """What a reader accepts, everything after it can use."""
    rng, made = np.random.default_rng(3), 0
    for number in range(12):
        run = Path(shutil.copytree(material / "run", tmp_path / f"run{number}"))
        file = run / ["taxonomy.toml", "labels.json", "folds.csv", "groups.csv", "out_of_fold.json"][number % 5]
        file.write_bytes(damaged(file.name, file.read_bytes(), rng))
        outcome = result_or_error(partial(ensemble, [run], out=tmp_path / f"out{number}"))
        made += not isinstance(outcome, UrbanpipeError)
    assert made < 12
