import json
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from helpers.fold_runs import make_run
from urbanpipe import api
from urbanpipe.catalog.catalog_file import Catalog, Video, write_catalog
from urbanpipe.cli.main import app, main
from urbanpipe.contracts.predictions import Predictions, write_predictions
from urbanpipe.errors import LabelError, PredictionError
from urbanpipe.evaluation.average_precision import score
from urbanpipe.evaluation.evaluate import evaluate, evaluate_run
from urbanpipe.evaluation.fold_report import write_fold_tables
from urbanpipe.taxonomy import default_taxonomy

TAXONOMY = default_taxonomy()
NAMES = tuple(f"d{i // 2}_{i % 2}.mp4" for i in range(120))
RNG = np.random.default_rng(0)
TARGETS = RNG.random((120, 17)) < 0.2
TARGETS[:, 13] = False
SCORES = ((RNG.random((120, 17)) + TARGETS / 2) / 1.5).round(2)


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps({n: np.flatnonzero(t).tolist() for n, t in zip(NAMES, TARGETS, strict=True)}))
    return path


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    order = np.random.default_rng(1).permutation(120)
    path = tmp_path / "predictions.json"
    write_predictions(Predictions(tuple(NAMES[i] for i in order), SCORES[order]), path, TAXONOMY)
    return path


def test_a_class_that_every_video_shows_is_reported(tmp_path: Path, predictions: Path) -> None:
    path = tmp_path / "full.csv"
    path.write_text("video,labels\n" + "".join(f"{name},CJ{' ZW' * (i % 2)}\n" for i, name in enumerate(NAMES)))
    found = evaluate(path, predictions, draws=20)
    assert found.scores.full_classes == ("CJ",)
    assert found.scores.ap[1] == 1.0, "as the public scorer counts it"
    assert "Every video shows CJ: an AP of 100, whatever the scores, that counts in the means." in found.notes
    row = next(line for line in found.to_markdown().splitlines() if line.startswith("| CJ"))
    assert [cell.strip() for cell in row.split("|")[3:6]] == ["120", "-", "-"]
    skipped = evaluate(path, predictions, draws=20, empty="skip")
    assert skipped.scores.map_all == pytest.approx(found.scores.ap[3])
    assert any("is left out of the means" in note for note in skipped.notes)


def test_breaks_ties_in_the_order_of_the_labels(labels: Path, predictions: Path) -> None:
    found = evaluate(labels, predictions, draws=50)
    assert (found.scores.ap == score(SCORES, TARGETS, TAXONOMY).ap).all()
    assert found.intervals is not None
    assert found.intervals.units == 60, "segments of one inspection are resampled together"
    assert api.evaluate is evaluate


def test_json_and_csv_of_both_files_agree(labels: Path, predictions: Path, tmp_path: Path) -> None:
    rows = [
        f"{n},{' '.join(TAXONOMY.codes[i] for i in np.flatnonzero(t))}" for n, t in zip(NAMES, TARGETS, strict=True)
    ]
    (tmp_path / "labels.csv").write_text("\n".join(["video,labels", *rows]).replace(",\n", ",-\n"))
    first = evaluate(labels, predictions, draws=0)
    other = evaluate(tmp_path / "labels.csv", predictions.with_suffix(".csv"), draws=0)
    assert (first.scores.ap == other.scores.ap).all()


def test_catalog_with_unlabelled_and_bad_videos(predictions: Path, tmp_path: Path) -> None:
    videos = [
        Video(n, tmp_path / n, group="one", labels=tuple(np.flatnonzero(t).tolist()))
        for n, t in zip(NAMES[:100], TARGETS, strict=False)
    ]
    videos += [Video(n, tmp_path / n) for n in NAMES[100:119]]
    videos += [Video(NAMES[119], tmp_path / NAMES[119], status="no video stream", labels=(1,))]
    write_catalog(Catalog(tuple(videos), TAXONOMY), tmp_path / "catalog.csv")
    found = evaluate(tmp_path / "catalog.csv", predictions, draws=10)
    assert found.scores.videos == 100
    assert found.intervals is not None
    assert found.intervals.units == 1
    assert (found.scores.ap == score(SCORES[:100], TARGETS[:100], TAXONOMY).ap).all()


def test_missing_and_unknown_videos_are_named(labels: Path, predictions: Path) -> None:
    table = json.loads(predictions.read_text(encoding="utf-8"))
    predictions.write_text(json.dumps({n: v for n, v in table.items() if n not in NAMES[:5]}), encoding="utf-8")
    with pytest.raises(PredictionError, match=r"lack 5 videos: d0_0\.mp4, d0_1\.mp4, d1_0\.mp4, \.\.\."):
        evaluate(labels, predictions)
    predictions.write_text(json.dumps(table | {"new.mp4": [0.0] * 17}), encoding="utf-8")
    with pytest.raises(PredictionError, match=r"has 1 video: new\.mp4, which .* does not have"):
        evaluate(labels, predictions)


def test_names_of_predictions_match_as_those_of_labels_do(labels: Path, predictions: Path) -> None:
    whole = evaluate(labels, predictions, draws=0)
    table = json.loads(predictions.read_text(encoding="utf-8"))
    predictions.write_text(
        json.dumps({f"D:\\v\\{name.upper()} ": row for name, row in table.items()}), encoding="utf-8"
    )
    assert (evaluate(labels, predictions, draws=0).scores.ap == whole.scores.ap).all()
    predictions.write_text(json.dumps(table | {"D0_0.MP4": [0.0] * 17}), encoding="utf-8")
    with pytest.raises(PredictionError, match=r"has 1 video: D0_0\.MP4 \(near: d0_0\.mp4\), which"):
        evaluate(labels, predictions)


def test_predictions_of_videos_whose_label_is_empty_are_ignored(tmp_path: Path, predictions: Path) -> None:
    (tmp_path / "l.csv").write_text(
        "video,labels\n" + "".join(f"{n},{'CJ' if i % 2 else ''}\n" for i, n in enumerate(NAMES))
    )
    assert evaluate(tmp_path / "l.csv", predictions, draws=0).scores.videos == 60


def test_own_taxonomy(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('[[classes]]\ncode = "X"\n[[classes]]\ncode = "Y"\n')
    (tmp_path / "l.json").write_text('{"a": [0], "b": [1]}')
    (tmp_path / "p.json").write_text('{"a": [0.9, 0.1], "b": [0.1, 0.9]}')
    found = evaluate(tmp_path / "l.json", tmp_path / "p.json", taxonomy=tmp_path / "own.toml", draws=0)
    assert found.scores.map_all == found.scores.map_defects == 1.0
    with pytest.raises(PredictionError, match="expected 17 numbers"):
        evaluate(tmp_path / "l.json", tmp_path / "p.json")


def test_command_prints_the_table(labels: Path, predictions: Path) -> None:
    result = CliRunner().invoke(app, ["evaluate", "-l", str(labels), "-p", str(predictions), "--draws", "50"])
    assert result.exit_code == 0, result.output
    expected = score(SCORES, TARGETS, TAXONOMY)
    lines = {line.split("|")[1].strip(): line for line in result.stdout.splitlines() if line.startswith("|")}
    assert f" {100 * expected.map_all:.1f} " in lines["mAP"]
    assert f" {100 * expected.map_defects:.1f} " in lines["mAP defects"]
    assert f" {100 * expected.ap[1]:.1f} " in lines["CJ"]
    assert [cell.strip() for cell in lines["SL"].split("|")][3:6] == ["0", "-", "-"]
    assert "No positives for SL: they count as 0 in the means." in result.stdout


def test_command_prints_json(labels: Path, predictions: Path) -> None:
    arguments = ["evaluate", "-l", str(labels), "-p", str(predictions), "--json", "--empty", "skip", "--draws", "20"]
    result = CliRunner().invoke(app, arguments)
    found = json.loads(result.stdout)
    expected = score(SCORES, TARGETS, TAXONOMY, "skip")
    assert found["map_all"] == expected.map_all
    assert found["ap"]["CJ"] == expected.ap[1]
    assert found["ap"]["SL"] is None
    assert found["empty_classes"] == ["SL"]
    assert found["intervals"]["map_all"][0] < expected.map_all < found["intervals"]["map_all"][1]


def test_command_ends_a_mistake_with_one_line(
    labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["urbanpipe", "evaluate", "-l", str(labels), "-p", str(tmp_path / "none.json")])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert capsys.readouterr().err.splitlines() == [
        f"urbanpipe: cannot read the predictions {tmp_path / 'none.json'}: No such file or directory"
    ]


def test_labels_that_cannot_be_read(predictions: Path, tmp_path: Path) -> None:
    with pytest.raises(LabelError):
        evaluate(tmp_path / "none.json", predictions)


def test_real_labels_score_themselves_as_perfect(shared: Path, tmp_path: Path) -> None:
    source = shared / "data" / "qv_pipe_train_labels.json"
    table = {n: [float(i in classes) for i in range(17)] for n, classes in json.loads(source.read_text()).items()}
    (tmp_path / "p.json").write_text(json.dumps(table))
    found = evaluate(source, tmp_path / "p.json", draws=0)
    assert (found.scores.map_all, found.scores.videos) == (1.0, 6399)


def test_a_run_is_evaluated_by_its_out_of_fold_predictions(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    written = write_fold_tables(run).to_markdown()
    result = CliRunner().invoke(app, ["evaluate", str(run)])
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{written}\n", "the table that crossval prints"
    found = json.loads(CliRunner().invoke(app, ["evaluate", str(run), "--json", "--draws", "20"]).stdout)
    table = evaluate_run(run, draws=20)
    assert found["run"] == str(run)
    assert found["map_all"]["mean"] == table.map_all
    assert found["map_all"]["by_fold"] == {str(fold): row.map_all for fold, row in enumerate(table.scores)}
    assert found["map_defects"]["pooled"] == table.pooled.map_defects
    crack = table.rows[3]
    assert (found["classes"][crack.label]["low"], found["classes"][crack.label]["high"]) == (crack.low, crack.high)
    assert found["classes"][crack.label]["positives"] == crack.positives
    assert (found["interval"]["draws"], found["notes"]) == (20, table.notes)


def test_the_rule_for_absent_classes_can_be_chosen_for_a_run(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    skipped, zero = (
        json.loads(CliRunner().invoke(app, ["evaluate", str(run), "--json", "--draws", "0", *given]).stdout)
        for given in ([], ["--empty", "zero"])
    )
    assert zero["map_all"]["mean"] < skipped["map_all"]["mean"]
    assert skipped["interval"] is None
    assert api.evaluate_run is evaluate_run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "evaluate needs a run folder of `urbanpipe crossval`, or --labels and --predictions"),
        (["-l", "labels.json"], "evaluate needs a run folder of `urbanpipe crossval`, or --labels and --predictions"),
        (["{run}", "-l", "labels.json"], "--labels does nothing with a run folder, which has its own; remove it"),
        (["{run}", "--moments"], "--moments does nothing with a run folder, which has its own; remove it"),
        (["{run}/absent"], "{run}/absent is not a folder; give the folder that `urbanpipe crossval` wrote"),
    ],
)
def test_what_to_evaluate_is_given_once(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = make_run(tmp_path / "run")
    given = [argument.format(run=run) for argument in arguments]
    monkeypatch.setattr(sys, "argv", ["urbanpipe", "evaluate", *given])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert capsys.readouterr().err == f"urbanpipe: {message.format(run=run)}\n"
