import json
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from numpy.typing import NDArray
from typer.testing import CliRunner

from urbanpipe import api
from urbanpipe.cli.main import app, main
from urbanpipe.contracts.predictions import Predictions, write_predictions
from urbanpipe.contracts.run_folder import OUT_OF_FOLD_SEGMENTS
from urbanpipe.contracts.segment_scores import SegmentScores, write_segment_scores
from urbanpipe.decision.localization import MomentsConfig
from urbanpipe.errors import LabelError, OutputError, PredictionError, RecipeError, RunError, UrbanpipeError
from urbanpipe.evaluation.evaluate import evaluate_moments
from urbanpipe.evaluation.moments import Moment, Truth
from urbanpipe.inspection.moments import find_moments, learn_shifts, moments
from urbanpipe.taxonomy import DefectClass, Taxonomy, taxonomy_table

CODES = ("OK", "AB", "CD", "EF")
SMALL = Taxonomy("small", tuple(DefectClass(i, code, code) for i, code in enumerate(CODES)), exclusive="OK")
AB, CD = 1, 2


def learned(segments: SegmentScores, truth: Truth, config: MomentsConfig, taxonomy: Taxonomy) -> NDArray[np.float64]:
    return learn_shifts(find_moments(segments, config, taxonomy), truth.only(segments.names), config, taxonomy)


LENGTH = 60.0
PLAIN = MomentsConfig(smooth_seconds=0, weigh_by_video=False)
Peaks = Mapping[str, Sequence[tuple[int, float]]]


def segments_with(peaks: Peaks, height: float = 0.9) -> SegmentScores:
    """Videos of a minute in clips of 1 s, with a bump of three clips around every peak (class, second)."""
    begins = np.arange(0.0, LENGTH)
    scores = np.full((len(peaks), len(begins), len(SMALL)), 0.01)
    for row, found in enumerate(peaks.values()):
        for label, second in found:
            at = int(second)
            scores[row, max(0, at - 1) : at + 2, label] = height / 2
            scores[row, at, label] = height
    times = np.tile(np.stack([begins, begins + 1], axis=1), (len(peaks), 1))
    starts = np.arange(len(peaks) + 1) * len(begins)
    return SegmentScores(tuple(peaks), starts, times, scores.reshape(-1, len(SMALL)))


def truth_of(peaks: Peaks, later: float = 0.0) -> Truth:
    """The truth is `later` seconds after the middle of each peak's clip."""
    known = {name: [Moment(label, int(s) + 0.5 + later) for label, s in found] for name, found in peaks.items()}
    return Truth(known, {name: Path(name).stem for name in peaks})


def test_a_peak_gives_the_centre_of_its_clip() -> None:
    segments = segments_with({"a.mp4": [(AB, 10.0), (CD, 30.0), (AB, 50.0), (0, 20.0)]})
    assert find_moments(segments, PLAIN, SMALL) == {
        "a.mp4": [Moment(AB, 10.5, 0.9), Moment(CD, 30.5, 0.9), Moment(AB, 50.5, 0.9)]
    }, "in order of time; the exclusive class has no moments"


def test_settings_of_peaks() -> None:
    segments = segments_with({"a.mp4": [(AB, 10.0), (AB, 16.0)]})
    segments.scores[16, AB] = 0.8

    def seconds(**settings: float) -> list[float]:
        config = PLAIN.model_copy(update=settings)
        return [moment.seconds for moment in find_moments(segments, config, SMALL)["a.mp4"]]

    assert seconds() == [10.5], "the lower of two that are 6 s apart goes"
    assert seconds(apart_seconds=6.0) == [10.5, 16.5]
    assert seconds(apart_seconds=6.0, max_moments=1) == [10.5]
    assert seconds(apart_seconds=6.0, min_score=0.85) == [10.5]
    assert seconds(apart_seconds=6.0, min_score=0.9) == [], "a peak must be above it"
    assert seconds(apart_seconds=1.0, smooth_seconds=8.0, smooth_share=1.0) == [12.5], "a wide Gaussian makes one"


def test_a_video_s_probability_weighs_its_moments() -> None:
    segments = segments_with({"a.mp4": [(AB, 10.0)], "b.mp4": [(AB, 10.0)]})
    videos = Predictions(("b.mp4", "a.mp4"), np.array([[0, 0.5, 0, 0], [0, 1.0, 0, 0]]))
    weighed = MomentsConfig(smooth_seconds=0)
    found = find_moments(segments, weighed, SMALL, videos)
    assert (found["a.mp4"][0].score, found["b.mp4"][0].score) == (0.9, 0.45)
    assert find_moments(segments, weighed, SMALL)["b.mp4"][0].score == 0.9
    assert find_moments(segments, PLAIN, SMALL, videos)["b.mp4"][0].score == 0.9
    with pytest.raises(PredictionError, match=r"lack 1 video: b\.mp4"):
        find_moments(segments, weighed, SMALL, Predictions(("a.mp4",), np.ones((1, 4))))


def many(count: int, seed: int = 0) -> dict[str, list[tuple[int, float]]]:
    rng = np.random.default_rng(seed)
    return {f"v{i}.mp4": [(AB, 20 + float(rng.integers(20)))] for i in range(count)}


def test_a_constant_offset_is_undone() -> None:
    peaks = many(40)
    config = PLAIN.model_copy(update={"shift_prior": 0.0})
    shifts = learned(segments_with(peaks), truth_of(peaks, later=3.0), config, SMALL)
    assert shifts.tolist() == [0, 3, 0, 0], "and classes without moments stay where they are"
    drawn = learned(segments_with(peaks), truth_of(peaks, later=3.0), PLAIN, SMALL)
    assert 2.8 < drawn[AB] < 3.0, "a little towards no shift at all"


def test_rare_classes_follow_the_others() -> None:
    peaks = many(40) | {"rare.mp4": [(CD, 30.0)]}
    truth = truth_of(peaks, later=3.0)
    shifts = learned(segments_with(peaks), truth, PLAIN, SMALL)
    assert 2.0 < shifts[CD] < 3.0
    odd = Truth({**truth.moments, "rare.mp4": [Moment(CD, 20.5)]})
    assert learned(segments_with(peaks), odd, PLAIN, SMALL)[CD] > 0, "one moment 10 s before does not turn it round"
    alone = learned(segments_with({"rare.mp4": [(CD, 30.0)]}), odd, PLAIN, SMALL)
    assert -4 < alone[CD] < 0


def test_outliers_do_not_move_the_shift() -> None:
    peaks = many(30)
    truth = truth_of(peaks, later=3.0)
    wrong = {name: [Moment(AB, found[0].seconds - 15)] for name, found in list(truth.moments.items())[:8]}
    shifts = learned(segments_with(peaks), Truth({**truth.moments, **wrong}), PLAIN, SMALL)
    assert 2.0 < shifts[AB] <= 3.0


def test_nothing_to_learn_from() -> None:
    segments = segments_with(many(3))
    assert learned(segments, Truth({}), PLAIN, SMALL).tolist() == [0, 0, 0, 0]
    assert learned(segments, truth_of(many(3)), PLAIN.model_copy(update={"min_score": 1.0}), SMALL).tolist() == [0] * 4


def make_run(folder: Path, peaks: Peaks, folds: Sequence[int]) -> Path:
    """A run folder as `crossval` leaves it."""
    folder.mkdir()
    names = list(peaks)
    (folder / "taxonomy.toml").write_text(tomli_w.dumps(taxonomy_table(SMALL)))
    (folder / "labels.json").write_text(json.dumps({name: sorted({k for k, _ in peaks[name]}) for name in names}))
    rows = "".join(f"{name},{fold}\n" for name, fold in zip(names, folds, strict=True))
    (folder / "folds.csv").write_text(f"video,fold\n{rows}")
    (folder / "groups.csv").write_text("video,group\n" + "".join(f"{name},{name}\n" for name in names))
    write_predictions(Predictions(tuple(names), np.full((len(names), 4), 0.5)), folder / "out_of_fold.json", SMALL)
    write_segment_scores(segments_with(peaks), folder / OUT_OF_FOLD_SEGMENTS, SMALL)
    return folder


def write_truth(path: Path, truth: Truth) -> Path:
    entries = {
        truth.keys[name]: {
            "subset": "training",
            "duration": LENGTH,
            "file_name": name,
            "annotations": [{"label": CODES[moment.label], "moment": moment.seconds} for moment in found],
        }
        for name, found in truth.moments.items()
    }
    path.write_text(json.dumps({"database": entries}), encoding="utf-8")
    return path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run", many(40), [i % 2 for i in range(40)])


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    """Every true moment is 7 s after its peak: out of 5 s, in 10 s."""
    return write_truth(tmp_path / "truth.json", truth_of(many(40), later=7.0))


def test_a_run_end_to_end(run: Path, truth: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "results.json"
    made = moments(run, out=out, truth=truth, overrides=["smooth_seconds=0.5"])
    assert made.plain is not None
    assert made.scores is not None
    assert made.plain.maps == (0, 1, 1)
    assert made.scores.maps == (1, 1, 1)
    results = json.loads(out.read_text())["results"]
    assert set(results) == {f"v{i}" for i in range(40)}, "a submission calls videos as the truth does"
    assert results["v0"][0]["label"] == "AB"
    table = tomllib.loads(out.with_suffix(".settings.toml").read_text())
    assert table["smooth_seconds"] == 0.5
    assert list(table["shift_seconds"]) == ["AB"]
    assert 6 < table["shift_seconds"]["AB"] < 7
    codes = tmp_path / "run" / "taxonomy.toml"
    assert evaluate_moments(truth, out, taxonomy=codes).mean == made.scores.mean, "the written file scores as was said"
    assert api.moments is moments


def test_shifts_are_learned_on_the_other_folds(tmp_path: Path) -> None:
    """Fold 0 is 3 s late and fold 1 is 9 s early: honest shifts go the wrong way in both."""
    peaks = many(40)
    folds = [i % 2 for i in range(40)]
    names = list(peaks)
    late, early = truth_of(peaks, later=3.0), truth_of(peaks, later=-9.0)
    known = {name: (late if fold == 0 else early).moments[name] for name, fold in zip(names, folds, strict=True)}
    truth = write_truth(tmp_path / "t.json", Truth(known, late.keys))
    run = make_run(tmp_path / "run", peaks, folds)
    made = moments(run, out=tmp_path / "r.json", truth=truth, overrides=["smooth_seconds=0", "shift_prior=0"])
    for name, fold in zip(names, folds, strict=True):
        centre = int(peaks[name][0][1]) + 0.5
        assert made.moments[name][0].seconds == centre + (-9.0 if fold == 0 else 3.0)
    assert made.scores is not None
    assert made.scores.maps[:2] == (0, 0)
    assert "learned on the other folds" in made.to_markdown()


def test_learned_settings_serve_new_segments(run: Path, truth: Path, tmp_path: Path) -> None:
    moments(run, out=tmp_path / "r.json", truth=truth)
    write_segment_scores(segments_with(many(3, seed=5)), tmp_path / "p.segments.npz", SMALL)
    write_predictions(Predictions(tuple(many(3)), np.ones((3, 4))), tmp_path / "p.json", SMALL)
    made = moments(
        tmp_path / "p.segments.npz",
        out=tmp_path / "new.json",
        settings=tmp_path / "r.settings.toml",
        taxonomy=run / "taxonomy.toml",
    )
    shift = tomllib.loads((tmp_path / "r.settings.toml").read_text())["shift_seconds"]["AB"]
    second = many(3, seed=5)["v0.mp4"][0][1] + 0.5
    assert made.moments["v0.mp4"][0].seconds == pytest.approx(second + shift, abs=1e-3)
    assert list(json.loads((tmp_path / "new.json").read_text())["results"]) == ["v0.mp4", "v1.mp4", "v2.mp4"]
    assert made.scores is None
    assert "3 moments in 3 videos" in made.to_markdown()


def test_segments_without_folds_say_that_their_shift_flatters(run: Path, truth: Path, tmp_path: Path) -> None:
    made = moments(
        run / OUT_OF_FOLD_SEGMENTS,
        out=tmp_path / "r.json",
        truth=truth,
        overrides=["weigh_by_video=false"],
        taxonomy=run / "taxonomy.toml",
    )
    assert made.scores is not None
    assert made.scores.maps == (1, 1, 1)
    assert "too optimistic" in made.to_markdown()
    still = moments(run, out=tmp_path / "r.json", truth=truth, overrides=["learn_shift=false"])
    assert still.scores is not None
    assert still.scores.maps == (0, 1, 1)


def test_no_moment_leaves_its_video(tmp_path: Path) -> None:
    peaks = many(20) | {"end.mp4": [(AB, 58.0)]}
    run = make_run(tmp_path / "run", peaks, [i % 2 for i in range(21)])
    made = moments(run, out=tmp_path / "r.json", overrides=["shift_seconds={AB=9}"])
    assert made.moments["end.mp4"][0].seconds == LENGTH
    early = moments(run, out=tmp_path / "r.json", overrides=["shift_seconds={AB=-99}"])
    assert early.moments["end.mp4"][0].seconds == 0


def test_videos_that_only_one_side_has(run: Path, tmp_path: Path) -> None:
    some = truth_of(many(40), later=1.0)
    kept = {name: some.moments[name] for name in list(some.moments)[:10]} | {"else.mp4": [Moment(AB, 5.0)]}
    path = write_truth(tmp_path / "t.json", Truth(kept, {name: name for name in kept}))
    made = moments(run, out=tmp_path / "r.json", truth=path)
    assert len(made.moments) == 40
    assert made.scores is not None
    assert made.scores.videos == 10


def test_the_verb(run: Path, truth: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.json"
    done = CliRunner().invoke(
        app, ["moments", str(run), "--out", str(out), "--truth", str(truth), "--set", "min_score=0.1"]
    )
    assert done.exit_code == 0, done.output
    assert "| AP 5 s | AP 10 s | AP 15 s | mean AP |" in done.stdout
    assert "Without the shift: mAP 0.0 at 5 s, 100.0 at 10 s, 100.0 at 15 s, mean 66.7." in done.stdout
    assert "Shift in seconds: AB +6." in done.stdout
    assert done.stdout.splitlines()[-1] == f"results: {out} and {tmp_path / 'r.settings.toml'}"


def mistakes(run: Path, truth: Path, tmp_path: Path) -> dict[str, tuple[type[UrbanpipeError], str, dict[str, object]]]:
    (tmp_path / "bad.toml").write_text("min_score = [")
    (tmp_path / "class.toml").write_text("[shift_seconds]\nXY = 1.0\n")
    other = write_truth(tmp_path / "other.json", Truth({"else.mp4": [Moment(AB, 1.0)]}, {"else.mp4": "else"}))
    return {
        "no source": (PredictionError, "no such file", {"source": tmp_path / "none.npz"}),
        "no run": (RunError, "is not a run", {"source": tmp_path}),
        "other truth": (LabelError, "has none of the 40 videos", {"truth": other}),
        "no truth": (LabelError, "cannot read", {"truth": tmp_path / "none.json"}),
        "unknown key": (RecipeError, "unknown key min_scor; did you mean min_score", {"overrides": ["min_scor=1"]}),
        "range": (
            RecipeError,
            "min_score = 2: input should be less than or equal to 1",
            {"overrides": ["min_score=2"]},
        ),
        "text": (RecipeError, "max_moments = 'many'", {"overrides": ["max_moments=many"]}),
        "no value": (RecipeError, "expected key=value", {"overrides": ["max_moments"]}),
        "no TOML": (RecipeError, "is not TOML", {"settings": tmp_path / "bad.toml"}),
        "no settings": (RecipeError, "cannot read the settings", {"settings": tmp_path / "none.toml"}),
        "unknown class": (RecipeError, "unknown class 'XY'", {"settings": tmp_path / "class.toml"}),
        "NaN shift": (RecipeError, "shift_seconds", {"overrides": ["shift_seconds={AB=nan}"]}),
        "truth as out": (OutputError, "it is an input", {"out": truth}),
        "labels as out": (OutputError, "is not a submission", {"out": run / "labels.json"}),
        "no json": (OutputError, r"\.json file", {"out": tmp_path / "r.csv"}),
        "no predictions": (
            PredictionError,
            r"no predictions .* put out_of_fold_segments\.json there",
            {"source": run / OUT_OF_FOLD_SEGMENTS, "taxonomy": run / "taxonomy.toml"},
        ),
        "other classes": (PredictionError, "has the classes OK AB CD EF", {"source": run / OUT_OF_FOLD_SEGMENTS}),
    }


def test_mistakes_are_named_in_one_line(run: Path, truth: Path, tmp_path: Path) -> None:
    before = truth.read_bytes()
    for kind, (error, message, changes) in mistakes(run, truth, tmp_path).items():
        arguments: dict[str, object] = {"source": run, "out": tmp_path / "r.json", "truth": truth}
        with pytest.raises(error, match=message) as caught:
            moments(**(arguments | changes))  # type: ignore[arg-type]
        assert "\n" not in str(caught.value), kind
    assert not (tmp_path / "r.json").exists()
    assert truth.read_bytes() == before


def test_a_run_without_segments_says_what_it_needs(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / OUT_OF_FOLD_SEGMENTS).unlink()
    monkeypatch.setattr(sys, "argv", ["urbanpipe", "moments", str(run), "--out", str(tmp_path / "r.json")])
    with pytest.raises(SystemExit, match="2"):
        main()
    why = "its method has one segment per video; moments need a frame, dense or bag run"
    assert capsys.readouterr().err == f"urbanpipe: {run} has no out_of_fold_segments.npz: {why}\n"


def test_segments_of_other_videos_are_refused(run: Path, tmp_path: Path) -> None:
    write_segment_scores(segments_with(many(39)), run / OUT_OF_FOLD_SEGMENTS, SMALL)
    with pytest.raises(RunError, match=r"do not have the same videos: 1 video: v39\.mp4"):
        moments(run, out=tmp_path / "r.json")
