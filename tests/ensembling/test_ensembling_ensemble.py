import csv
import json
import shutil
import sys
import tomllib
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from numpy.typing import NDArray
from typer.testing import CliRunner

from helpers.evaluation_sets import labelled
from helpers.plots_of_folds import without_plots_of_folds
from urbanpipe import api
from urbanpipe.cli.main import app, main
from urbanpipe.contracts.predictions import Predictions, read_predictions, write_predictions
from urbanpipe.decision.exclusive import apply_exclusive
from urbanpipe.ensembling import ensemble as room
from urbanpipe.ensembling.ensemble import ensemble
from urbanpipe.ensembling.weights import mean_map
from urbanpipe.errors import OutputError, RecipeError, RunError
from urbanpipe.evaluation.average_precision import average_precision, score
from urbanpipe.evaluation.runs import read_out_of_fold
from urbanpipe.outputs import write_csv, write_json, write_text
from urbanpipe.reproduce.report_models import report_weights
from urbanpipe.taxonomy import DefectClass, Taxonomy, taxonomy_table

CODES = ("OK", "A", "B")
TAXONOMY = Taxonomy("small", tuple(DefectClass(i, c, c.lower()) for i, c in enumerate(CODES)), exclusive="OK")
N = 60
NAMES = tuple(f"v{i}.mp4" for i in range(N))
FOLDS = np.arange(N) % 3
TARGETS = np.random.default_rng(9).random((N, 3)) < 0.35
TARGETS[:, 0] = ~TARGETS[:, 1:].any(axis=1)


def make_run(folder: Path, seed: int, skill: float = 2.0, taxonomy: Taxonomy = TAXONOMY) -> Path:
    """The files that a finished cross-validation leaves, as far as an ensemble reads them."""
    logits = np.random.default_rng(seed).normal(size=(N, 3)) + skill * TARGETS + 1.5 * (TARGETS * (1, 0, 0))
    order = np.random.default_rng(seed).permutation(N)
    labels = {NAMES[i]: np.flatnonzero(TARGETS[i]).tolist() for i in order}
    write_text(folder / "recipe.toml", f'name = "{folder.name}"\n')
    write_text(folder / "taxonomy.toml", tomli_w.dumps(taxonomy_table(taxonomy)))
    write_json(folder / "labels.json", labels)
    write_csv(folder / "folds.csv", ("video", "fold"), zip(NAMES, FOLDS.tolist(), strict=True))
    write_csv(folder / "groups.csv", ("video", "group"), ((name, name) for name in NAMES))
    write_predictions(Predictions(NAMES, 1 / (1 + np.exp(1 - logits))), folder / "out_of_fold.json", taxonomy)
    return folder


@pytest.fixture(autouse=True)
def _plots_of_one_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """Leave out the plots of all ensembles but those of the test that looks for them."""
    drawn = request.function is test_writes_all_that_prediction_needs
    with nullcontext() if drawn else without_plots_of_folds():
        yield


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    return [make_run(tmp_path / name, seed) for seed, name in enumerate(("atto", "dilated", "swin"))]


def mixed(runs: list[Path], weights: list[float]):  # type: ignore[no-untyped-def]
    return np.tensordot(weights, np.stack([read_predictions(r / "out_of_fold.json", TAXONOMY).scores for r in runs]), 1)


@pytest.mark.slow
def test_writes_all_that_prediction_needs(runs: list[Path], tmp_path: Path) -> None:
    made = ensemble(runs, out=tmp_path / "out", weights=[1, 2, 1])
    assert api.ensemble is ensemble
    table = tomllib.loads((tmp_path / "out" / "weights.toml").read_text(encoding="utf-8"))
    assert [(m["name"], Path(m["path"]), m["weight"]) for m in table["members"]] == [
        ("atto", runs[0], 0.25),
        ("dilated", runs[1], 0.5),
        ("swin", runs[2], 0.25),
    ]
    assert all(Path(member["path"]).is_absolute() for member in table["members"])
    assert (table["weights_by"], table["exclusive"], table["exclusive_threshold"]) == ("given", "OK", 0.9)
    assert table["thresholds"] == dict(zip(CODES, made.thresholds.tolist(), strict=True))
    assert table["thresholds_by"] == "f1"
    expected = apply_exclusive(mixed(runs, [0.25, 0.5, 0.25]), TAXONOMY, 0.9)
    assert (expected[:, 0] == 1).any(), "the rule does something here"
    for file in ("out_of_fold.json", "out_of_fold.csv"):
        found = read_predictions(tmp_path / "out" / file, TAXONOMY)
        assert np.allclose(found.aligned(NAMES), expected, atol=1e-12)
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"taxonomy.toml", "table3.csv", "table3.md", "table6.csv", "table6.md", "table6.png"} <= written
    assert not [name for name in written if name.startswith(".")]


@pytest.mark.slow
def test_table_has_models_and_all_ensembles(runs: list[Path], tmp_path: Path) -> None:
    made = ensemble(runs, out=tmp_path / "out", weights="0.2,0.3,0.5")
    with (tmp_path / "out" / "table3.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["model"], row["exclusive_rule"], row["used"]) for row in rows] == [
        ("atto", "0", "0"),
        ("dilated", "0", "0"),
        ("swin", "0", "0"),
        ("equal weights", "0", "0"),
        ("equal weights", "1", "0"),
        ("given weights", "0", "0"),
        ("given weights", "1", "1"),
        ("searched, flattered", "0", "0"),
        ("searched, flattered", "1", "0"),
        ("searched, nested", "0", "0"),
        ("searched, nested", "1", "0"),
    ]
    assert [row["weight"] for row in rows[:3]] == ["0.200000", "0.300000", "0.500000"]
    data = read_out_of_fold(tmp_path / "out")
    assert float(rows[6]["map"]) == pytest.approx(
        mean_map(data.scores, labelled(data.targets, data.folds, TAXONOMY)), abs=1e-6
    )
    text = (tmp_path / "out" / "table3.md").read_text(encoding="utf-8")
    assert text == made.table.to_markdown()
    assert "(nested): expect the second" in text
    assert "are optimistic" not in text


@pytest.mark.slow
@pytest.mark.parametrize(("way", "name"), [("search", "searched"), ("bagged", "bagged"), ("simplex", "simplex")])
def test_search_is_what_the_folder_uses_and_says_so(way: str, name: str, runs: list[Path], tmp_path: Path) -> None:
    make_run(runs[2], 2, skill=-1.0)
    made = ensemble(runs, out=tmp_path / "out", weights=way)
    assert made.weights[2] == 0
    used = [row for row in made.table.rows if row.used]
    assert [(row.name, row.rule) for row in used] == [(f"{name}, flattered", True)]
    assert [row.name for row in made.table.rows][-1] == f"{name}, nested"
    assert any("their scores are optimistic" in note for note in made.table.of_folder)
    found = read_predictions(tmp_path / "out" / "out_of_fold.json", TAXONOMY).aligned(NAMES)
    expected = apply_exclusive(mixed(runs, made.weights.tolist()), TAXONOMY, 0.9)
    assert np.allclose(found, expected, atol=1e-12)
    nested = tmp_path / "out" / "out_of_fold_nested.json"
    names = read_out_of_fold(runs[0]).names
    np.testing.assert_array_equal(read_predictions(nested, TAXONOMY).aligned(names), made.nested)
    ensemble(runs, out=tmp_path / "out")
    assert not list(nested.parent.glob("*nested*")), "equal weights are not searched"


@pytest.mark.slow
def test_contributions_are_what_is_lost_without_a_member(runs: list[Path], tmp_path: Path) -> None:
    ensemble(runs, out=tmp_path / "out", weights="0.25,0.5,0.25", exclusive_threshold=None)
    with (tmp_path / "out" / "contributions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["model"] for row in rows] == ["atto", "dilated", "swin"]
    whole, without = mixed(runs, [0.25, 0.5, 0.25]), mixed(runs, [0.5, 0, 0.5])
    ap = [[_fold_mean(scores, column) for column in range(len(CODES))] for scores in (whole, without)]
    assert [float(rows[1][code]) for code in CODES] == pytest.approx(
        [a - b for a, b in zip(*ap, strict=True)], abs=2e-6
    )


def _fold_mean(scores: NDArray[np.float64], column: int) -> float:
    held = [fold == FOLDS for fold in range(3)]
    return float(np.mean([average_precision(scores[rows, column], TARGETS[rows, column]) for rows in held]))


@pytest.mark.slow
def test_a_member_without_weight_adds_nothing(runs: list[Path], tmp_path: Path) -> None:
    ensemble(runs, out=tmp_path / "out", weights="0,0,1")
    with (tmp_path / "out" / "contributions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["map"] for row in rows] == ["+0.000000", "+0.000000", ""]


@pytest.mark.slow
def test_weights_of_an_ensemble_serve_again(runs: list[Path], tmp_path: Path) -> None:
    first = ensemble(runs, out=tmp_path / "out", weights="0.2,0.3,0.5")
    again = ensemble(runs[::-1], out=tmp_path / "again", weights=tmp_path / "out" / "weights.toml")
    assert again.weights.tolist() == pytest.approx(first.weights[::-1].tolist())


@pytest.mark.slow
def test_the_weights_of_the_report_go_by_the_names_of_recipes(runs: list[Path], tmp_path: Path) -> None:
    for run, name in zip(runs, ("super-image-swin-l", "super-image-nfnet-f3", "video-swin-b-k400"), strict=True):
        write_text(run / "recipe.toml", f'name = "{name}"\n')
    made = ensemble(runs, out=tmp_path / "out", weights=report_weights(runs))
    assert made.weights == pytest.approx(np.array([0.2, 0.15, 0.1]) / 0.45)
    write_text(runs[1] / "recipe.toml", 'name = "nfnet-f3"\n')  # as `reproduce` calls it
    assert ensemble(runs, out=tmp_path / "again", weights=report_weights(runs)).weights == pytest.approx(made.weights)
    write_text(runs[1] / "recipe.toml", 'name = "small-video"\n')
    with pytest.raises(
        RecipeError, match="dilated has the recipe small-video, which is not in the report's ensemble"
    ) as no:
        report_weights(runs)
    eight = str(no.value).partition("it has ")[2].split(", ")
    assert len(eight) == 8
    assert {"super-image-tresnet-xl", "super-image-efficientnet-l2", "video-swin-b-k400"} <= {*eight}


@pytest.mark.slow
def test_a_class_that_a_fold_lacks_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    targets = TARGETS.copy()
    targets[FOLDS == 1, 2] = False
    monkeypatch.setattr(sys.modules[__name__], "TARGETS", targets)
    made = ensemble([make_run(tmp_path / name, seed) for seed, name in enumerate("ab")], out=tmp_path / "out")
    assert "Fold 1: no video of B, left out of its mAP." in made.table.notes
    assert "report" not in (tmp_path / "out" / "table3.csv").read_text()


@pytest.mark.slow
def test_single_run(runs: list[Path], tmp_path: Path) -> None:
    made = ensemble(runs[:1], out=tmp_path / "out")
    assert made.weights.tolist() == [1.0]
    assert [(row.name, row.rule, row.used) for row in made.table.rows] == [
        ("atto", False, False),
        ("ensemble of one", False, False),
        ("ensemble of one", True, True),
    ]


@pytest.mark.slow
def test_rule_off_and_taxonomy_without_an_exclusive_class(runs: list[Path], tmp_path: Path) -> None:
    off = ensemble(runs, out=tmp_path / "off", exclusive_threshold=None)
    plain = Taxonomy("plain", TAXONOMY.classes)
    others = [make_run(tmp_path / f"plain_{seed}", seed, taxonomy=plain) for seed in range(3)]
    none = ensemble(others, out=tmp_path / "none")
    for made, folder in ((off, "off"), (none, "none")):
        assert "exclusive_threshold" not in tomllib.loads((tmp_path / folder / "weights.toml").read_text())
        assert not any(row.rule for row in made.table.rows)
        found = read_predictions(tmp_path / folder / "out_of_fold.json", TAXONOMY).aligned(NAMES)
        assert np.allclose(found, mixed(runs, [1 / 3] * 3), atol=1e-12)


@pytest.mark.slow
def test_thresholds_for_a_wanted_recall(runs: list[Path], tmp_path: Path) -> None:
    made = ensemble(runs, out=tmp_path / "out", recall=0.9)
    with (tmp_path / "out" / "thresholds.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["class"]: row for row in csv.DictReader(file)}
    scores = read_predictions(tmp_path / "out" / "out_of_fold.json", TAXONOMY).aligned(NAMES)
    for index, code in enumerate(CODES):
        said = scores[:, index] >= made.thresholds[index]
        recall = (said & TARGETS[:, index]).sum() / TARGETS[:, index].sum()
        assert recall >= 0.9
        assert float(rows[code]["recall"]) == pytest.approx(recall, abs=1e-6)
        assert 0 <= float(rows[code]["nested_recall"]) <= 1
    assert tomllib.loads((tmp_path / "out" / "weights.toml").read_text())["thresholds_by"] == "recall=0.9"


@pytest.mark.slow
def test_runs_of_one_name_are_distinguished(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / experiment / "atto", seed) for seed, experiment in enumerate(("first", "second"))]
    assert ensemble(runs, out=tmp_path / "out").names == ("first/atto", "second/atto")


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("folds.csv", "v5.mp4,2", "v5.mp4,1", r"different folds for 1 video: v5\.mp4"),
        ("taxonomy.toml", 'code = "B"', 'code = "C"', "different classes"),
    ],
)
def test_runs_over_other_data_do_not_mix(
    runs: list[Path], tmp_path: Path, file: str, old: str, new: str, message: str
) -> None:
    edited(runs[1] / file, old, new)
    if file == "taxonomy.toml":
        edited(runs[1] / "out_of_fold.csv", ",B", ",C")
    with pytest.raises(RunError, match=message) as caught:
        ensemble(runs, out=tmp_path / "out")
    assert str(runs[0]) in str(caught.value)
    assert str(runs[1]) in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_runs_with_other_labels_or_videos_do_not_mix(runs: list[Path], tmp_path: Path) -> None:
    labels = json.loads((runs[1] / "labels.json").read_text())
    (runs[1] / "labels.json").write_text(json.dumps(labels | {"v7.mp4": [0, 1, 2]}))
    with pytest.raises(RunError, match=r"different labels for 1 video: v7\.mp4"):
        ensemble(runs, out=tmp_path / "out")
    del labels["v7.mp4"]
    (runs[1] / "labels.json").write_text(json.dumps(labels))
    with pytest.raises(RunError, match=r"differ in 1 video: v7\.mp4"):
        ensemble(runs, out=tmp_path / "out")


@pytest.mark.slow
def test_videos_that_one_member_could_not_read_are_left_out_of_all_and_named(runs: list[Path], tmp_path: Path) -> None:
    for file in ("labels.json", "out_of_fold.json"):
        values = json.loads((runs[1] / file).read_text())
        (runs[1] / file).write_text(json.dumps({name: value for name, value in values.items() if name != "v7.mp4"}))
    with pytest.raises(RunError, match=r"differ in 1 video: v7\.mp4"):
        ensemble(runs, out=tmp_path / "out")
    write_csv(runs[1] / "left_out.csv", ("video", "reason"), [("v7.mp4", "cut off")])
    made = ensemble(runs, out=tmp_path / "out")
    assert any("Without 1 video: v7.mp4" in note for note in made.table.notes)
    rows = [row for row, name in enumerate(NAMES) if name != "v7.mp4"]
    found = read_out_of_fold(tmp_path / "out")
    assert set(found.names) == {NAMES[row] for row in rows}
    order = [NAMES.index(name) for name in found.names]
    assert np.array_equal(found.targets, TARGETS[order])
    assert np.array_equal(found.folds, FOLDS[order])
    alone = re_evaluate(runs[0], rows)
    assert made.table.rows[0].map_all == pytest.approx(alone)


def re_evaluate(run: Path, rows: list[int]) -> float:
    """mAP, the mean over folds, of some of a run's videos."""
    scores = read_predictions(run / "out_of_fold.json", TAXONOMY).scores[rows]
    folds = FOLDS[rows]
    maps = [score(scores[folds == fold], TARGETS[rows][folds == fold], TAXONOMY).map_all for fold in range(3)]
    return float(np.mean(maps))


@pytest.mark.slow
def test_impossible_members(runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no runs"):
        ensemble([], out=tmp_path / "out")
    with pytest.raises(RunError, match="given twice"):
        ensemble([runs[0], runs[1], runs[0] / ".." / "atto"], out=tmp_path / "out")
    with pytest.raises(RunError, match="is a run or contains one; give the ensemble a folder of its own"):
        ensemble(runs, out=runs[0])
    (runs[1] / "out_of_fold.json").unlink()
    with pytest.raises(RunError, match=r"dilated has no out_of_fold\.json.*finish `urbanpipe crossval`"):
        ensemble(runs, out=tmp_path / "out")
    ensemble([runs[0]], out=tmp_path / "one")
    with pytest.raises(RunError, match="is itself an ensemble"):
        ensemble([runs[2], tmp_path / "one"], out=tmp_path / "out")
    with pytest.raises(RecipeError, match="3 weights for 2"):
        ensemble([runs[0], runs[2]], out=tmp_path / "out", weights="1,2,3")
    with pytest.raises(RecipeError, match="exclusive threshold is 2"):
        ensemble([runs[0], runs[2]], out=tmp_path / "out", exclusive_threshold=2)
    with pytest.raises(RecipeError, match="wanted recall is 2"):
        ensemble([runs[0], runs[2]], out=tmp_path / "out", recall=2)
    assert not (tmp_path / "out").exists(), "nothing is written before all is known to be well"


@pytest.mark.slow
def test_folder_of_an_ensemble_is_complete_or_has_no_weights(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensemble(runs, out=tmp_path / "out")

    def fail(*given: object) -> None:
        raise OutputError("the disk is full")

    monkeypatch.setattr(room, "write_fold_tables", fail)
    with pytest.raises(OutputError):
        ensemble(runs[:2], out=tmp_path / "out")
    assert not (tmp_path / "out" / "weights.toml").exists()
    monkeypatch.undo()
    ensemble(runs[:2], out=tmp_path / "out")
    assert len(tomllib.loads((tmp_path / "out" / "weights.toml").read_text())["members"]) == 2


def test_output_that_is_a_file(runs: list[Path], tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError):
        ensemble(runs, out=tmp_path / "out")


def test_command(runs: list[Path], tmp_path: Path) -> None:
    arguments = ["ensemble", *map(str, runs), "--out", str(tmp_path / "out"), "--exclusive-threshold", "off"]
    result = CliRunner().invoke(app, [*arguments, "--weights", "1,1,2", "--recall", "0.8"])
    assert result.exit_code == 0, result.output
    assert "| swin " in result.stdout
    assert "0.500" in result.stdout
    assert result.stdout.splitlines()[-1] == f"results: {tmp_path / 'out'}"
    shutil.rmtree(tmp_path / "out")
    assert CliRunner().invoke(app, arguments[:-2]).exit_code == 0
    assert tomllib.loads((tmp_path / "out" / "weights.toml").read_text())["exclusive_threshold"] == 0.9


def test_command_ends_a_mistake_with_one_line(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["urbanpipe", "ensemble", str(runs[0]), "--out", str(tmp_path / "out"), "--exclusive-threshold", "high"]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert capsys.readouterr().err == ("urbanpipe: --exclusive-threshold is 'high'; give a number in [0, 1], or off\n")
