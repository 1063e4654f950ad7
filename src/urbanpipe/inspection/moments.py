"""`moments`: the time points at which defects are visible, from the scores of a video's segments."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tomli_w
from numpy.typing import NDArray

from urbanpipe.contracts.names import shortened
from urbanpipe.contracts.predictions import Predictions, read_predictions
from urbanpipe.contracts.run_folder import OUT_OF_FOLD_SEGMENTS
from urbanpipe.contracts.segment_scores import SegmentScores, read_segment_scores
from urbanpipe.decision.localization import MomentsConfig, given_shifts, read_config
from urbanpipe.errors import LabelError, OutputError, PredictionError, RunError
from urbanpipe.evaluation.moments import (
    TOLERANCES,
    Moment,
    Moments,
    MomentScores,
    Truth,
    matched,
    read_truth,
    score_moments,
    write_results,
)
from urbanpipe.evaluation.peaks import peaks, smoothed, suppressed
from urbanpipe.evaluation.runs import read_out_of_fold
from urbanpipe.evaluation.tables import per_cent
from urbanpipe.outputs import write_text
from urbanpipe.taxonomy import Taxonomy, load_taxonomy


def find_moments(
    segments: SegmentScores, config: MomentsConfig, taxonomy: Taxonomy, videos: Predictions | None = None
) -> dict[str, list[Moment]]:
    """Return the moments of every defect in every video, in order of time; the exclusive class has none.

    Args:
        segments: scores over time.
        config: settings of the localization.
        taxonomy: the C classes.
        videos: predictions of the same videos, used as weights if `weigh_by_video` is set; None disables weighting.

    Raises:
        PredictionError: `videos` lacks one of the videos.
    """
    weights = np.ones((len(segments.names), len(taxonomy)))
    if config.weigh_by_video and videos is not None:
        weights = videos.aligned(segments.names)
    result: dict[str, list[Moment]] = {}
    for name, weight in zip(segments.names, weights, strict=True):
        seconds, scores = segments.of(name)
        times = seconds.mean(axis=1)
        scores = smoothed(times, scores, config.smoothing(float(seconds[-1, 1]))) * weight
        moments: list[Moment] = []
        for label in taxonomy.defects:
            when, heights = peaks(times, scores[:, label], config.min_score)
            kept = suppressed(when, heights, config.apart_seconds, config.max_moments)
            moments += [Moment(label, round(float(when[row]), 3), float(heights[row])) for row in kept]
        result[name] = sorted(moments, key=lambda moment: moment.seconds)
    return result


def learn_shifts(found: Moments, truth: Truth, config: MomentsConfig, taxonomy: Taxonomy) -> NDArray[np.float64]:
    """Return by how many seconds to move the moments of each class, as people mark defects before or after the peak.

    Moments are matched with the truth as in scoring, at the widest tolerance. The shift of a class is the median of
    (true - found), shrunk towards the median over all classes, which is itself shrunk towards 0: with n matches the
    weight of the class's own median is n/(n + shift_prior). The shift with the best AP is not used: with ten moments of
    a class AP changes in steps, and its maximum on a grid is partly chance, whereas a median tolerates outliers in up
    to half of the matches.

    Returns:
        (C,) seconds; 0 for a class without matched moments.
    """
    offsets = [
        np.array([taken - moment.seconds for moment, taken in pairs if taken is not None])
        for pairs in (matched(found, truth.moments, label, TOLERANCES[-1]) for label in range(len(taxonomy)))
    ]
    counts = np.array([len(values) for values in offsets])
    if not counts.any():
        return np.zeros(len(taxonomy))
    prior, total = config.shift_prior, counts.sum()
    common = np.median(np.concatenate(offsets)) * total / (total + prior)
    own = np.array([np.median(values) if len(values) else 0.0 for values in offsets])
    return np.where(counts > 0, (counts * own + prior * common) / np.maximum(counts + prior, 1), 0.0).round(3)


def moved(found: Moments, shifts: NDArray[np.float64], segments: SegmentScores) -> dict[str, list[Moment]]:
    """Return the moments shifted by (C,) seconds, clipped to the duration of the video."""
    result: dict[str, list[Moment]] = {}
    for name, moments in found.items():
        end = float(segments.of(name)[0][-1, 1])
        times = [min(max(moment.seconds + float(shifts[moment.label]), 0.0), end) for moment in moments]
        shifted = [replace(m, seconds=round(s, 3)) for m, s in zip(moments, times, strict=True)]
        result[name] = sorted(shifted, key=lambda moment: moment.seconds)
    return result


@dataclass(frozen=True, eq=False)
class FoundMoments:
    """The result of `moments`.

    Attributes:
        out: the submission file.
        settings: the file with settings and shifts beside it.
        moments: moments by video.
        taxonomy: the C classes.
        shifts: (C,) seconds, learned on all videos or given, as stored in `settings`.
        plain: scores of the moments without shifts; None without truth.
        scores: scores of the written moments; None without truth.
        notes: what must be known besides the scores.
    """

    out: Path
    settings: Path
    moments: Moments
    taxonomy: Taxonomy
    shifts: NDArray[np.float64]
    plain: MomentScores | None
    scores: MomentScores | None
    notes: tuple[str, ...]

    def to_markdown(self) -> str:
        """Return table and notes as Markdown; without truth, the counts."""
        count = sum(map(len, self.moments.values()))
        lines = [f"{count} moments in {len(self.moments)} videos."]
        if self.plain and self.scores:
            without = ", ".join(
                f"{per_cent(value)} at {s:g} s" for s, value in zip(TOLERANCES, self.plain.maps, strict=True)
            )
            lines = [f"Without the shift: mAP {without}, mean {per_cent(self.plain.mean)}."]
        pairs = zip(self.taxonomy.codes, self.shifts, strict=True)
        by_class = ", ".join(f"{code} {value:+.1f}" for code, value in pairs if value)
        lines += [f"Shift in seconds: {by_class or 'none'}.", *self.notes]
        return (self.scores.to_markdown() if self.scores else "") + "".join(f"- {line}\n" for line in lines)


@dataclass(frozen=True, eq=False)
class _Source:
    """The data that moments are made from; `folds` is None if no model was trained on the videos."""

    segments: SegmentScores
    taxonomy: Taxonomy
    videos: Predictions | None
    folds: Mapping[str, int] | None


def moments(
    source: Path,
    *,
    out: Path,
    truth: Path | None = None,
    overrides: Sequence[str] = (),
    settings: Path | None = None,
    taxonomy: Path | None = None,
) -> FoundMoments:
    """Find the time points of defects, learn their shifts where the truth is known, and write a CCTV-Pipe submission.

    Shifts in `settings` are applied. Otherwise shifts are learned from `truth`; for a run, those of each fold are
    learned on the other folds.

    Args:
        source: a run of `crossval` with segments, or an npz of segments with its predictions beside it.
        out: submission file (JSON); settings and shifts are written to `<out stem>.settings.toml` beside it.
        truth: true moments in the CCTV-Pipe format.
        overrides: `key=value` settings of `MomentsConfig`.
        settings: settings file of an earlier call.
        taxonomy: the classes of an npz; a run has its own.

    Raises:
        RunError: the run cannot be used, or its method has one segment per video.
        PredictionError: the npz or its predictions cannot be used.
        LabelError: `truth` cannot be used, or has none of the videos.
        RecipeError: a setting is unknown or invalid.
        OutputError: the results cannot be written.
    """
    config = read_config(settings, overrides)
    data = _read_source(Path(source), taxonomy, config)
    shifts = given_shifts(config, data.taxonomy)
    _check_out(Path(out), [path for path in (source, truth, settings) if path])
    known = _known(truth, data, source)
    plain = find_moments(data.segments, config, data.taxonomy, data.videos)
    final, notes = moved(plain, shifts, data.segments), []
    if known and not config.shift_seconds and config.learn_shift:
        shifts = learn_shifts(plain, known, config, data.taxonomy)
        final = _held_out(plain, known, config, data)
        notes = [
            "The moments of each fold are moved by shifts learned on the other folds; the listed shifts are of all."
            if data.folds
            else "The shifts were learned on these same videos, so the scores are too optimistic."
        ]
    matched_videos = [{name: part[name] for name in known.moments} if known else {} for part in (plain, final)]
    scores = [score_moments(part, known, data.taxonomy) if known else None for part in matched_videos]
    file = Path(out).with_suffix(".settings.toml")
    write_results(final.items(), Path(out), data.taxonomy, known.keys if known else None)
    by_code = {code: value for code, value in zip(data.taxonomy.codes, shifts.tolist(), strict=True) if value}
    write_text(file, tomli_w.dumps(config.model_dump() | {"shift_seconds": by_code}))
    return FoundMoments(Path(out), file, final, data.taxonomy, shifts, scores[0], scores[1], tuple(notes))


def _read_source(source: Path, taxonomy: Path | None, config: MomentsConfig) -> _Source:
    if not source.is_dir():
        classes = load_taxonomy(taxonomy)
        segments = read_segment_scores(source, classes)
        beside = source.with_name(source.name.removesuffix(".npz").removesuffix(".segments") + ".json")
        if config.weigh_by_video and not beside.is_file():
            advice = f"put {beside.name} there, or give --set weigh_by_video=false"
            raise PredictionError(f"{source} has no predictions of its videos beside it; {advice}")
        return _Source(segments, classes, read_predictions(beside, classes) if config.weigh_by_video else None, None)
    data = read_out_of_fold(source)
    if not (source / OUT_OF_FOLD_SEGMENTS).is_file():
        why = "its method has one segment per video; moments need a frame, dense or bag run"
        raise RunError(f"{source} has no {OUT_OF_FOLD_SEGMENTS}: {why}")
    segments = read_segment_scores(source / OUT_OF_FOLD_SEGMENTS, data.taxonomy)
    if odd := sorted(set(segments.names) ^ set(data.names)):
        raise RunError(
            f"{source / OUT_OF_FOLD_SEGMENTS} and the run's labels do not have the same videos: {shortened(odd)}"
        )
    return _Source(segments, data.taxonomy, data.predictions, dict(zip(data.names, data.folds.tolist(), strict=True)))


def _check_out(out: Path, inputs: Collection[Path]) -> None:
    """Refuse to overwrite an input, or a file that is not a submission, before any work starts."""
    if out.suffix != ".json" or out.is_dir():
        raise OutputError(f"cannot write {out}: give the name of a .json file")
    if out.resolve() in {path.resolve() for path in inputs}:
        raise OutputError(f"cannot write {out}: it is an input; give another --out")
    if out.exists() and '"results"' not in out.read_text(encoding="utf-8", errors="replace")[:1000]:
        raise OutputError(f"cannot write {out}: it exists and is not a submission; give another --out")


def _known(truth: Path | None, data: _Source, source: Path) -> Truth | None:
    if truth is None:
        return None
    known, names = read_truth(truth, data.taxonomy), data.segments.names
    if not set(names) & set(known.moments):
        raise LabelError(f"{truth} has none of the {len(names)} videos of {source}, such as {names[0]}")
    return known.only(names)


def _held_out(plain: Moments, known: Truth, config: MomentsConfig, data: _Source) -> dict[str, list[Moment]]:
    """Move the moments of every fold by shifts learned on the other folds; without folds, on all videos."""
    folds = data.folds or dict.fromkeys(data.segments.names, 0)
    result: dict[str, list[Moment]] = {}
    for fold in sorted(set(folds.values())):
        mine = {name: moments for name, moments in plain.items() if folds[name] == fold}
        others = plain if data.folds is None else {name: plain[name] for name in plain if name not in mine}
        result |= moved(mine, learn_shifts(others, known, config, data.taxonomy), data.segments)
    return {name: result[name] for name in plain}
