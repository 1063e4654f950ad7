import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from urbanpipe import api
from urbanpipe.cli.main import app, main
from urbanpipe.errors import LabelError, PredictionError
from urbanpipe.evaluation.evaluate import evaluate_moments
from urbanpipe.evaluation.moments import (
    Moment,
    Truth,
    interpolated_precision,
    read_results,
    read_truth,
    score_moments,
    write_results,
)
from urbanpipe.taxonomy import DefectClass, Taxonomy, default_taxonomy

SMALL = Taxonomy(
    "small", tuple(DefectClass(i, code, code) for i, code in enumerate(("OK", "AB", "CD"))), exclusive="OK"
)
CLASSES = default_taxonomy()
AB = 1


def ap(found: dict[str, Sequence[tuple[float, float]]], truth: dict[str, Sequence[float]]) -> list[float]:
    """AP of the class AB at 5, 10 and 15 s; found are (second, score)."""
    moments = {name: [Moment(AB, *pair) for pair in pairs] for name, pairs in found.items()}
    known = {name: [Moment(AB, second) for second in seconds] for name, seconds in truth.items()}
    column: list[float] = score_moments(moments, Truth(known), SMALL).ap[:, AB].tolist()
    return column


def test_exactly_at_the_tolerance_counts_and_just_above_misses() -> None:
    assert ap({"a": [(15.0, 0.5)]}, {"a": [10.0]}) == [1, 1, 1]
    assert ap({"a": [(np.nextafter(15.0, 16.0), 0.5)]}, {"a": [10.0]}) == [0, 1, 1]
    assert ap({"a": [(25.0, 0.5)]}, {"a": [10.0]}) == [0, 0, 1]
    assert ap({"a": [(25.001, 0.5)]}, {"a": [10.0]}) == [0, 0, 0]


def test_each_true_moment_is_taken_once() -> None:
    assert ap({"a": [(10.0, 0.9), (11.0, 0.8)]}, {"a": [10.0, 100.0]}) == [0.5, 0.5, 0.5]


def test_the_surer_of_two_takes_it_though_the_other_is_nearer() -> None:
    assert ap({"a": [(10.0, 0.8), (14.0, 0.9)]}, {"a": [10.0]}) == [1, 1, 1]
    assert ap({"a": [(10.0, 0.8), (16.0, 0.9)]}, {"a": [10.0]}) == [0.5, 1, 1], "at 5 s the first is a miss before it"


def test_the_nearest_that_is_left_is_taken() -> None:
    # 12 takes 13; 14 then takes 10, which is left and 4 s away.
    assert ap({"a": [(12.0, 0.9), (14.0, 0.8)]}, {"a": [10.0, 13.0]}) == [1, 1, 1]
    # 9 takes 10, although 5 would do as well and 11 can reach only 10: nearest first is greedy.
    assert ap({"a": [(9.0, 0.9), (11.0, 0.8)]}, {"a": [10.0, 5.0]}) == [0.5, 1, 1]


def test_of_two_as_near_the_one_annotated_first_is_taken() -> None:
    found: dict[str, Sequence[tuple[float, float]]] = {"a": [(10.0, 0.9), (2.0, 0.8)]}
    assert ap(found, {"a": [13.0, 7.0]}) == [1, 1, 1], "10 takes 13, and leaves 7 to 2"
    assert ap(found, {"a": [7.0, 13.0]}) == [0.5, 0.5, 1], "10 takes 7; 13 is 11 s from 2"


def test_of_equal_scores_the_later_comes_first() -> None:
    assert ap({"a": [(10.0, 0.5), (90.0, 0.5)]}, {"a": [10.0]}) == [0.5, 0.5, 0.5]
    assert ap({"a": [(90.0, 0.5), (10.0, 0.5)]}, {"a": [10.0]}) == [1, 1, 1]
    assert ap({"a": [(90.0, 0.5)], "b": [(10.0, 0.5)]}, {"a": [], "b": [10.0]}) == [1, 1, 1]


def test_moments_of_another_video_or_class_do_not_help() -> None:
    assert ap({"b": [(10.0, 0.9)], "a": [(10.0, 0.1)]}, {"a": [10.0], "b": []}) == [0.5, 0.5, 0.5]
    scores = score_moments({"a": [Moment(2, 10.0)]}, Truth({"a": [Moment(AB, 10.0)]}), SMALL)
    assert scores.ap[:, AB].tolist() == [0, 0, 0]
    assert np.isnan(scores.ap[:, 2]).all(), "a class without true moments has no figure"
    assert scores.maps == (0, 0, 0)
    assert scores.positives.tolist() == [0, 1, 0]
    assert scores.found.tolist() == [0, 0, 1]


def test_nothing_found_is_zero_and_counts_in_the_mean() -> None:
    truth = Truth({"a": [Moment(AB, 10.0), Moment(2, 20.0)]})
    assert score_moments({}, truth, SMALL).mean == 0
    assert score_moments({"a": [Moment(2, 21.0, 0.3)]}, truth, SMALL).mean == 0.5


def test_interpolation_by_hand() -> None:
    # Precisions 1/1, 1/2, 1/3, 2/4, 3/5: the 2/4 is raised to the 3/5 after it.
    assert interpolated_precision(np.array([1, 0, 0, 1, 1], bool), 4) == pytest.approx((1 + 0.6 + 0.6) / 4)
    assert interpolated_precision(np.array([0, 1], bool), 1) == 0.5
    assert interpolated_precision(np.array([0, 0], bool), 2) == 0
    assert interpolated_precision(np.array([], bool), 2) == 0


def slow_ap(found: list[tuple[str, float, float]], truth: list[tuple[str, float]], tolerance: float) -> float:
    """A second implementation that follows the public script step by step: locks, sorted distances, recall steps."""
    order = sorted(range(len(found)), key=lambda i: (found[i][2], i), reverse=True)
    locked: set[int] = set()
    recall, precision, right = [0.0], [0.0], 0
    for rank, i in enumerate(order, 1):
        name, seconds, _ = found[i]
        near = sorted((abs(second - seconds), j) for j, (video, second) in enumerate(truth) if video == name)
        for distance, j in near:
            if distance > tolerance:
                break
            if j not in locked:
                locked.add(j)
                right += 1
                break
        recall.append(right / len(truth))
        precision.append(right / rank)
    area = 0.0
    for i in range(1, len(recall)):
        area += (recall[i] - recall[i - 1]) * max(precision[i:])
    return area


seconds = st.integers(0, 240).map(lambda quarter: quarter / 4)
truths = st.lists(st.tuples(st.sampled_from("abc"), seconds), min_size=1, max_size=8)
finds = st.lists(st.tuples(st.sampled_from("abc"), seconds, st.integers(0, 8).map(lambda n: n / 8)), max_size=12)


@pytest.mark.slow
@given(finds, truths)
def test_agrees_with_a_second_implementation(
    found: list[tuple[str, float, float]], truth: list[tuple[str, float]]
) -> None:
    found = sorted(found, key=lambda row: row[0])  # a file has the moments of a video together
    by_video: dict[str, Sequence[tuple[float, float]]] = {n: [(s, p) for v, s, p in found if v == n] for n in "abc"}
    known: dict[str, Sequence[float]] = {n: [s for v, s in truth if v == n] for n in "abc"}
    expected = [slow_ap(found, truth, tolerance) for tolerance in (5.0, 10.0, 15.0)]
    assert ap(by_video, known) == pytest.approx(expected, abs=1e-12)


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def database(**entries: Any) -> dict[str, Any]:
    plain = {
        "v1": {
            "subset": "training",
            "duration": 60.0,
            "fps": 25,
            "file_name": "v1.mp4",
            "annotations": [{"label": "TJ", "moment": 12.5}, {"label": "CJ", "moment": 30}],
        },
        "v2": {"subset": "testing", "file_name": "v2.mp4", "annotations": [{"label": "TJ", "moment": 3}]},
        "v3": {"subset": "testing", "file_name": "v3.mp4", "duration": 9},
    }
    return {"database": plain | entries}


def results(*rows: object, video: str = "v1", **more: Any) -> dict[str, Any]:
    return {"results": {video: list(rows), **more}}


def row(label: object = "TJ", score: object = 0.5, moment: object = 12.0) -> dict[str, object]:
    return {"label": label, "score": score, "moment": moment}


def test_both_forms_are_read(tmp_path: Path) -> None:
    truth = read_truth(write(tmp_path / "t.json", database()), CLASSES)
    tj, cj = CLASSES.index("TJ"), CLASSES.index("CJ")
    assert truth.moments == {"v1.mp4": (Moment(tj, 12.5), Moment(cj, 30.0)), "v2.mp4": (Moment(tj, 3.0),)}
    assert truth.keys == {"v1.mp4": "v1", "v2.mp4": "v2", "v3.mp4": "v3"}
    assert truth.durations == {"v1.mp4": 60.0, "v3.mp4": 9.0}
    assert list(read_truth(tmp_path / "t.json", CLASSES, "testing").moments) == ["v2.mp4"]
    file = write(tmp_path / "r.json", {"results": {"v1": [row(), row("cj", 2, 60.9)], "v2.mp4": []}})
    found = read_results(file, CLASSES, truth)
    assert found == {"v1.mp4": [Moment(tj, 12.0, 0.5), Moment(cj, 60.9, 2.0)], "v2.mp4": []}
    write_results(found.items(), tmp_path / "again.json", CLASSES, truth.keys)
    assert set(json.loads((tmp_path / "again.json").read_text())["results"]) == {"v1", "v2"}
    assert read_results(tmp_path / "again.json", CLASSES, truth) == found


def test_the_simulator_s_moments_are_read(archive: Path) -> None:
    truth = read_truth(archive / "moments.json", CLASSES)
    labels = json.loads((archive / "labels.json").read_text())
    assert {name: sorted({m.label for m in found}) for name, found in truth.moments.items()} == {
        name: [label for label in shown if CLASSES.codes[label] != CLASSES.exclusive] for name, shown in labels.items()
    }
    assert score_moments(truth.moments, truth, CLASSES).mean == 1.0


BAD_RESULTS = {
    "not JSON": ('{"results"', "is not JSON"),
    "a list": ([], "expected"),
    "truth": (database(), "expected"),
    "a number": (results(3), "is not"),
    "no score": (results({"label": "TJ", "moment": 3}), "is not"),
    "no list": ({"results": {"v1": {}}}, "has no list"),
    "unknown video": (results(video="v9"), r"1 video: v9, without ground truth"),
    "unannotated video": (results(video="v3"), "v3.mp4"),
    "video twice": ({"results": {"v1": [], "v1.mp4": []}}, r"'v1\.mp4' is listed twice"),
    "key twice": ('{"results": {"v1": [], "v1": []}}', "'v1' is listed twice"),
    "unknown class": (results(row("TX")), "unknown class 'TX'.*did you mean T"),
    "score NaN": (results(row(score=float("nan"))), "score nan; expected a number"),
    "score infinite": (results(row(score=float("inf"))), "score inf"),
    "score text": (results(row(score="0.5")), "score '0.5'"),
    "score true": (results(row(score=True)), "score True"),
    "score huge": (results(row(score=10**400)), "score 1000"),
    "moment NaN": (results(row(moment=float("nan"))), "moment nan"),
    "moment text": (results(row(moment="3")), "moment '3'"),
    "negative": (results(row(moment=-0.1)), "moment -0.1; expected seconds from 0 to 60"),
    "too late": (results(row(moment=61.5)), "moment 61.5; expected seconds from 0 to 60"),
}


@pytest.mark.parametrize("kind", BAD_RESULTS)
def test_bad_results_are_named_errors_of_one_line(tmp_path: Path, kind: str) -> None:
    content, message = BAD_RESULTS[kind]
    path = tmp_path / "r.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    truth = write(tmp_path / "t.json", database())
    with pytest.raises(PredictionError, match=message) as caught:
        evaluate_moments(truth, path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a.mp4": [1]}, "labels without moments"),
        ({"database": [1]}, "labels without moments"),
        (database(v4={"annotations": [{"label": "TJ"}]}), "moment None"),
        (database(v4={"annotations": [{"label": "TJ", "moment": -1}]}), "moment -1"),
        (database(v4={"annotations": [{"label": "TJ", "moment": float("nan")}]}), "moment nan"),
        (database(v4={"annotations": [{"label": "TX", "moment": 1}]}), "unknown class"),
        ({"database": {"v4": {"annotations": []}}}, "1 videos of the ground truth have no moments"),
        ({"database": {}}, "no labelled videos"),
    ],
)
def test_bad_truth_is_a_label_error(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(LabelError, match=message):
        evaluate_moments(write(tmp_path / "t.json", content), write(tmp_path / "r.json", {"results": {}}))


def test_csv_labels_and_an_empty_subset(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("video,labels\na.mp4,TJ\n")
    with pytest.raises(LabelError, match="labels without moments"):
        read_truth(tmp_path / "t.csv", CLASSES)
    with pytest.raises(LabelError, match="no annotated videos of subset 'test'; it has testing, training"):
        read_truth(write(tmp_path / "t.json", database()), CLASSES, "test")
    with pytest.raises(PredictionError, match="cannot read"):
        evaluate_moments(tmp_path / "t.json", tmp_path / "none.json")


def test_moments_of_unknown_videos_are_refused() -> None:
    with pytest.raises(PredictionError, match="1 video: b"):
        score_moments({"b": []}, Truth({"a": [Moment(AB, 1.0)]}), SMALL)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    truth = write(tmp_path / "t.json", database())
    found = write(tmp_path / "r.json", results(row(moment=20), row("CJ", 0.9, 30), row("SG"), v2=[]))
    return ["evaluate", "--moments", "-l", str(truth), "-p", str(found)]


def test_the_verb_prints_the_table(files: list[str]) -> None:
    table = CliRunner().invoke(app, files).stdout
    assert "AP 5 s | AP 10 s | AP 15 s | mean AP" in table
    lines = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]]
        for line in table.splitlines()[2:20]
    }
    assert lines["mAP"] == ["the 2 classes with moments", "3", "3", "50.0", "75.0", "75.0", "66.7"]
    assert lines["CJ"][1:] == ["1", "1", "100.0", "100.0", "100.0", "100.0"]
    assert lines["TJ"][1:] == ["2", "1", "0.0", "50.0", "50.0", "33.3"]
    assert lines["SG"][1:] == ["0", "1", "-", "-", "-", "-"]
    assert "2 videos. Classes without true moments are left out of all means; moments predicted for them: 1." in table


def test_the_verb_prints_json_of_a_subset(files: list[str]) -> None:
    found = json.loads(CliRunner().invoke(app, [*files, "--json"]).stdout)
    assert found["map_at"] == {"5": 0.5, "10": 0.75, "15": 0.75}
    assert found["map"] == pytest.approx(2 / 3)
    assert found["ap_at"]["10"]["TJ"] == 0.5
    assert found["ap_at"]["10"]["SG"] is None
    assert (found["videos"], found["positives"]["TJ"], found["found"]["SG"]) == (2, 2, 1)
    Path(files[-1]).write_text(json.dumps({"results": {"v2": [row(moment=3)]}}), encoding="utf-8")
    one = json.loads(CliRunner().invoke(app, [*files, "--json", "--subset", "testing"]).stdout)
    assert (one["map"], one["videos"]) == (1.0, 1)
    assert api.evaluate_moments is evaluate_moments


@pytest.mark.parametrize("extra", [["--draws", "10"], ["--empty", "skip"], ["--seed", "1"]])
def test_options_without_effect_are_refused(
    files: list[str], extra: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["urbanpipe", *files, *extra])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert f"{extra[0]} does nothing with --moments" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["urbanpipe", "evaluate", *files[2:], "--subset", "testing"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "--subset does nothing without --moments" in capsys.readouterr().err
