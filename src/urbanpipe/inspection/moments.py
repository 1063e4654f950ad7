"""When defects are to be seen: from the scores of a video's segments to time points, one a defect."""

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
    """Moments of every defect in every video, in order of time; the exclusive class (nothing wrong) has none.

    Args:
        segments: scores over time.
        config: how.
        taxonomy: the C classes.
        videos: predictions of the same videos, with which `weigh_by_video` weighs; without them nothing is weighed.

    Raises:
        PredictionError: `videos` lack one of the videos.
    """
    weights = np.ones((len(segments.names), len(taxonomy)))
    if config.weigh_by_video and videos is not None:
        weights = videos.aligned(segments.names)
    found: dict[str, list[Moment]] = {}
    for name, weight in zip(segments.names, weights, strict=True):
        seconds, scores = segments.of(name)
        times = seconds.mean(axis=1)
        scores = smoothed(times, scores, config.smooth_seconds) * weight
        moments: list[Moment] = []
        for label in taxonomy.defects:
            when, heights = peaks(times, scores[:, label], config.min_score)
            kept = suppressed(when, heights, config.apart_seconds, config.max_moments)
            moments += [Moment(label, round(float(when[row]), 3), float(heights[row])) for row in kept]
        found[name] = sorted(moments, key=lambda moment: moment.seconds)
    return found


def learn_shifts(found: Moments, truth: Truth, config: MomentsConfig, taxonomy: Taxonomy) -> NDArray[np.float64]:
    """By how many seconds to move the moments of each class: people mark a defect before or after it looks clearest.

    Moments are matched with the truth as the scorer does at its widest tolerance. A class's shift is the median of
    (true - found), drawn towards the median over all classes, which is itself drawn towards 0: with n matches the own
    median counts n/(n + shift_prior). The shift of the best AP was not taken: with ten moments of a class AP moves in
    leaps, and its best place on a grid is partly chance, while a median needs half of the matches to be wrong.

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
    """The moments shifted by (C,) seconds, none out of its video."""
    result: dict[str, list[Moment]] = {}
    for name, moments in found.items():
        end = float(segments.of(name)[0][-1, 1])
        times = [min(max(moment.seconds + float(shifts[moment.label]), 0.0), end) for moment in moments]
        shifted = [replace(m, seconds=round(s, 3)) for m, s in zip(moments, times, strict=True)]
        result[name] = sorted(shifted, key=lambda moment: moment.seconds)
    return result


@dataclass(frozen=True, eq=False)
class FoundMoments:
    """What `moments` made.

    Attributes:
        out: the submission.
        settings: the file of settings and shifts beside it.
        moments: by video.
        taxonomy: the C classes.
        shifts: (C,) seconds, learned on all videos, or given; what `settings` holds.
        plain: how good the moments are without a shift; None without truth.
        scores: how good they are as written.
        notes: what must be known beside them.
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
        """Table and notes; without truth, the counts."""
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
    """What moments are made from; without folds, of videos that are new to all models."""

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

    Shifts that `settings` holds are applied; else `truth` teaches them, in a run each fold's from the other folds.

    Args:
        source: a run of `crossval` with segments, or an npz of segments with its predictions beside it.
        out: gets the submission (JSON); `<out stem>.settings.toml` beside it gets settings and shifts.
        truth: true moments in the CCTV-Pipe form.
        overrides: `key=value` each, of `MomentsConfig`.
        settings: such a file of an earlier call.
        taxonomy: the classes of an npz; a run has its own.

    Raises:
        RunError, PredictionError: `source` cannot be used, or its method sees a video as one segment.
        LabelError: `truth` cannot be used, or knows none of the videos.
        RecipeError: unknown or impossible settings.
        OutputError: the results cannot be written.
    """
    config = read_config(settings, overrides)
    seen = _read_source(Path(source), taxonomy, config)
    shifts = given_shifts(config, seen.taxonomy)
    _check_out(Path(out), [path for path in (source, truth, settings) if path])
    known = _known(truth, seen, source)
    plain = find_moments(seen.segments, config, seen.taxonomy, seen.videos)
    final, notes = moved(plain, shifts, seen.segments), []
    if known and not config.shift_seconds and config.learn_shift:
        shifts = learn_shifts(plain, known, config, seen.taxonomy)
        final = _held_out(plain, known, config, seen)
        notes = [
            "Each fold's moments are moved by what the other folds taught; the shifts shown are of all."
            if seen.folds
            else "The shifts were learned on these same videos, which flatters the figures."
        ]
    judged = [{name: found[name] for name in known.moments} if known else {} for found in (plain, final)]
    scores = [score_moments(found, known, seen.taxonomy) if known else None for found in judged]
    file = Path(out).with_suffix(".settings.toml")
    write_results(final, Path(out), seen.taxonomy, known.keys if known else None)
    by_code = {code: value for code, value in zip(seen.taxonomy.codes, shifts.tolist(), strict=True) if value}
    write_text(file, tomli_w.dumps(config.model_dump() | {"shift_seconds": by_code}))
    return FoundMoments(Path(out), file, final, seen.taxonomy, shifts, scores[0], scores[1], tuple(notes))


def _read_source(source: Path, taxonomy: Path | None, config: MomentsConfig) -> _Source:
    if not source.is_dir():
        classes = load_taxonomy(taxonomy)
        segments = read_segment_scores(source, classes)
        beside = source.with_name(source.name.removesuffix(".npz").removesuffix(".segments") + ".json")
        if config.weigh_by_video and not beside.is_file():
            advice = f"put {beside.name} there, or --set weigh_by_video=false"
            raise PredictionError(f"{source} has no predictions of its videos beside it; {advice}")
        return _Source(segments, classes, read_predictions(beside, classes) if config.weigh_by_video else None, None)
    data = read_out_of_fold(source)
    if not (source / OUT_OF_FOLD_SEGMENTS).is_file():
        why = "its method sees a video as one segment; moments need a frame, dense or bag run"
        raise RunError(f"{source} has no {OUT_OF_FOLD_SEGMENTS}: {why}")
    segments = read_segment_scores(source / OUT_OF_FOLD_SEGMENTS, data.taxonomy)
    if odd := sorted(set(segments.names) ^ set(data.names)):
        raise RunError(
            f"{source / OUT_OF_FOLD_SEGMENTS} and the run's labels do not have the same videos: {shortened(odd)}"
        )
    return _Source(segments, data.taxonomy, data.predictions, dict(zip(data.names, data.folds.tolist(), strict=True)))


def _check_out(out: Path, inputs: Collection[Path]) -> None:
    """Refuse to write over what the results are made from, or over anything that is no submission, before any work."""
    if out.suffix != ".json" or out.is_dir():
        raise OutputError(f"cannot write {out}: give the name of a .json file")
    if out.resolve() in {path.resolve() for path in inputs}:
        raise OutputError(f"cannot write {out}: it is read here; give another --out")
    if out.exists() and '"results"' not in out.read_text(encoding="utf-8", errors="replace")[:1000]:
        raise OutputError(f"cannot write {out}: it is there and is no submission; give another --out")


def _known(truth: Path | None, seen: _Source, source: Path) -> Truth | None:
    if truth is None:
        return None
    known, names = read_truth(truth, seen.taxonomy), seen.segments.names
    if not set(names) & set(known.moments):
        raise LabelError(f"{truth} knows none of the {len(names)} videos of {source}, such as {names[0]}")
    return known.only(names)


def _held_out(plain: Moments, known: Truth, config: MomentsConfig, seen: _Source) -> dict[str, list[Moment]]:
    """The moments of every fold moved by what the videos of the other folds taught; without folds, of all."""
    folds = seen.folds or dict.fromkeys(seen.segments.names, 0)
    result: dict[str, list[Moment]] = {}
    for fold in sorted(set(folds.values())):
        mine = {name: found for name, found in plain.items() if folds[name] == fold}
        others = plain if seen.folds is None else {name: plain[name] for name in plain if name not in mine}
        result |= moved(mine, learn_shifts(others, known, config, seen.taxonomy), seen.segments)
    return {name: result[name] for name in plain}
