"""Time points of defects: the CCTV-Pipe file formats and public scorer (track 2 of the VideoPipe challenge)."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from urbanpipe.catalog.labels import read_labels
from urbanpipe.catalog.moment_cells import LATE_SECONDS
from urbanpipe.contracts.name_matching import match_names, near_text
from urbanpipe.contracts.names import canonical_name, shortened
from urbanpipe.errors import LabelError, PredictionError, TaxonomyError
from urbanpipe.evaluation.average_precision import mean_of_known, number_or_none
from urbanpipe.evaluation.tables import MAP_ALL, markdown_table, per_cent
from urbanpipe.outputs import whole_file
from urbanpipe.taxonomy import Taxonomy
from urbanpipe.text_files import read_text

TOLERANCES = (5.0, 10.0, 15.0)
_HUGE = 1e100  # and neither NaN nor infinite
_FORM = '{"label": "TJ", "score": 0.9, "moment": 12.5}'


@dataclass(frozen=True)
class Moment:
    """One time point: class index, time in the video in seconds, and score (1 for ground truth)."""

    label: int
    seconds: float
    score: float = 1.0


Moments = Mapping[str, Sequence[Moment]]
"""Moments by the name of their video."""


@dataclass(frozen=True)
class Truth:
    """Ground-truth moments of videos.

    Attributes:
        moments: moments of every annotated video, by name; a video may have none.
        keys: key of each video in the `database` (and in a submission), by its name.
        durations: durations in seconds by name, for the videos whose duration the file gives.
    """

    moments: Moments
    keys: Mapping[str, str] = field(default_factory=dict)
    durations: Mapping[str, float] = field(default_factory=dict)

    def only(self, names: Collection[str]) -> "Truth":
        """Return the ground truth restricted to the annotated videos in `names`."""
        kept = self.moments.keys() & set(names)
        return replace(self, moments={name: found for name, found in self.moments.items() if name in kept})


def read_truth(path: Path, taxonomy: Taxonomy, subset: str | None = None) -> Truth:
    """Read moments in the CCTV-Pipe form, `{"database": {key: {"file_name": ..., "annotations": [...]}}}`.

    Args:
        path: the file.
        taxonomy: the classes.
        subset: read only videos with this `subset` (`training`, `testing`); default: all videos.

    Raises:
        LabelError: the file cannot be read, has another form, contains an unknown class or a moment that is negative
            or not a number, or has no video of the subset.
    """
    path = Path(path)
    read_labels(path, taxonomy)  # checks everything in this format except that each annotation has a moment
    text = read_text(path)
    database = json.loads(text).get("database") if text.lstrip().startswith("{") else None
    if not isinstance(database, dict):
        form = '{"database": {video: {"annotations": [{"label": "TJ", "moment": 12.5}]}}}'
        raise LabelError(f"{path} has labels without moments; moments are {form}")
    moments: dict[str, tuple[Moment, ...]] = {}
    keys: dict[str, str] = {}
    durations: dict[str, float] = {}
    for key, entry in database.items():
        name = canonical_name(str(entry.get("file_name", key)))
        keys[name] = key
        if _is_number(entry.get("duration")):
            durations[name] = float(entry["duration"])
        if "annotations" in entry and subset in (None, entry.get("subset")):
            moments[name] = tuple(_annotation(item, taxonomy, f"{path}, {key!r}") for item in entry["annotations"])
    if not moments:
        known = sorted({str(entry.get("subset")) for entry in database.values()})
        raise LabelError(f"{path} has no annotated videos of subset {subset!r}; it has {', '.join(known)}")
    return Truth(moments, keys, durations)


def _annotation(item: Mapping[str, Any], taxonomy: Taxonomy, where: str) -> Moment:
    seconds = item.get("moment")
    if not _is_number(seconds) or seconds < 0:
        raise LabelError(f"{where}: {item['label']} has the moment {seconds!r}; expected seconds, 0 or more")
    return Moment(taxonomy.index(str(item["label"])), float(seconds))


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _HUGE


def read_results(path: Path, taxonomy: Taxonomy, truth: Truth) -> dict[str, list[Moment]]:
    """Read a submission `{"results": {key: [{"label": ..., "score": ..., "moment": ...}]}}`, by keys or by file names.

    Raises:
        PredictionError: the file cannot be read, has another form, contains an unknown class or video or the same
            video twice, or has a score or moment that is not a number, or a moment outside the video.
    """
    path = Path(path)
    try:
        content = json.loads(read_text(path), object_pairs_hook=_no_repeats)
    except LabelError as error:
        raise PredictionError(str(error)) from error
    except (ValueError, RecursionError) as error:
        raise PredictionError(f"{path} is not JSON: {error}") from error
    results = content.get("results") if isinstance(content, dict) else None
    if not isinstance(results, dict):
        raise PredictionError(f'{path}: expected {{"results": {{video: [{_FORM}, ...]}}}}')
    names = {canonical_name(key): name for name, key in truth.keys.items()}
    named = [(names.get(canonical_name(key), canonical_name(key)), found) for key, found in results.items()]
    matches = match_names([name for name, _ in named], truth.moments)
    if unknown := [f"{name}{near_text(near)}" for name, near in sorted(matches.near.items())]:
        raise PredictionError(f"{path} has {shortened(unknown)}, without ground truth; leave them out")
    named = [(matches.matched[name], found) for name, found in named]
    moments: dict[str, list[Moment]] = {}
    for name, found in named:
        if name in moments or not isinstance(found, list):
            wrong = "is listed twice" if name in moments else "has no list"
            raise PredictionError(f"{path}: video {name!r} {wrong}; give each video one list of {_FORM}")
        end = truth.durations.get(name, float("inf"))
        moments[name] = [_found(item, taxonomy, end, f"{path}, video {name!r}") for item in found]
    return moments


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{next(key for key in keys if keys.count(key) > 1)!r} is listed twice; keep one")
    return content


def _found(item: object, taxonomy: Taxonomy, end: float, where: str) -> Moment:
    if not isinstance(item, dict) or not {"label", "score", "moment"} <= set(item):
        raise PredictionError(f"{where}: {str(item)[:60]} is not {_FORM}")
    try:
        label = taxonomy.index(str(item["label"]))
    except TaxonomyError as error:
        raise PredictionError(f"{where}: {error}") from error
    if not _is_number(item["score"]):
        raise PredictionError(f"{where}: {item['label']} has the score {item['score']!r}; expected a number")
    seconds = item["moment"]
    if not _is_number(seconds) or not 0 <= seconds <= end + LATE_SECONDS:
        length = "" if end == float("inf") else f" to {end:g}"
        raise PredictionError(f"{where}: {item['label']} has the moment {seconds!r}; expected seconds from 0{length}")
    return Moment(label, float(seconds), float(item["score"]))


def write_results(
    moments: Iterable[tuple[str, Sequence[Moment]]],
    path: Path,
    taxonomy: Taxonomy,
    keys: Mapping[str, str] | None = None,
) -> None:
    """Write a submission, one line per video, identified by its key if it has one and otherwise by its name.

    Args:
        moments: name and moments of each video.
        path: the file.
        taxonomy: the classes.
        keys: keys of videos by name.

    Raises:
        OutputError: the file cannot be written.
    """
    with whole_file(path) as file:
        file.write('{"results": {')
        between = "\n"
        for name, found in moments:
            rows = [{"label": taxonomy.codes[m.label], "score": m.score, "moment": m.seconds} for m in found]
            entry = json.dumps({(keys or {}).get(name, name): rows}, ensure_ascii=False, allow_nan=False)
            file.write(between + entry[1:-1])
            between = ",\n"
        file.write("\n}}\n")


def ranked(moments: Moments, label: int) -> Iterator[tuple[str, Moment]]:
    """Return the moments of a class with their videos, highest score first; of equal scores the later entry first.

    The public scorer reverses an unstable sort: for up to 16 moments of a class this reproduces its order of equal
    scores; for more, its order is unspecified.
    """
    rows = [(name, moment) for name, found in moments.items() for moment in found if moment.label == label]
    order = np.argsort([moment.score for _, moment in rows], kind="stable")[::-1]
    return (rows[row] for row in order.tolist())


def matched(found: Moments, truth: Moments, label: int, tolerance: float) -> list[tuple[Moment, float | None]]:
    """Return the predicted moments of a class in the order of `ranked`, each with the time of its matched true moment.

    Each is matched to the nearest unmatched true moment of its video (of two equally near ones, the one annotated
    first) if that is at most `tolerance` seconds away, and otherwise to None.
    """
    free = {name: [moment.seconds for moment in known if moment.label == label] for name, known in truth.items()}
    pairs = []
    for name, moment in ranked(found, label):
        left = free.get(name, [])
        away = [abs(seconds - moment.seconds) for seconds in left]
        hit = bool(away) and min(away) <= tolerance
        pairs.append((moment, left.pop(away.index(min(away))) if hit else None))
    return pairs


def interpolated_precision(hits: NDArray[np.bool_], positives: int) -> float:
    """Compute the interpolated AP (VOC 2010): each precision is raised to the maximum at any higher recall.

    Args:
        hits: (n,) bool, whether each predicted moment is correct, highest score first.
        positives: number of true moments, at least one.
    """
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best[hits].sum() / positives)


@dataclass(frozen=True, eq=False)
class MomentScores:
    """Scores of predicted moments.

    Attributes:
        taxonomy: the C classes.
        tolerances: (T,) seconds.
        ap: (T, C) float in [0, 1]; NaN for a class without true moments, which is left out of all means.
        positives: (C,) int, number of true moments.
        found: (C,) int, number of predicted moments.
        videos: number of scored videos.
    """

    taxonomy: Taxonomy
    tolerances: tuple[float, ...]
    ap: NDArray[np.float64]
    positives: NDArray[np.int64]
    found: NDArray[np.int64]
    videos: int

    @property
    def maps(self) -> tuple[float, ...]:
        """Mean AP at each tolerance, over the classes that have true moments."""
        return tuple(mean_of_known(row) for row in self.ap)

    @property
    def mean(self) -> float:
        """Mean of the mAPs over the tolerances: the metric of the challenge."""
        return float(np.mean(self.maps))

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; scores are fractions in [0, 1], and NaN becomes None."""
        codes, names = self.taxonomy.codes, [f"{seconds:g}" for seconds in self.tolerances]
        return {
            "videos": self.videos,
            "map": self.mean,
            "map_at": dict(zip(names, self.maps, strict=True)),
            "ap_at": {
                name: {code: number_or_none(value) for code, value in zip(codes, row, strict=True)}
                for name, row in zip(names, self.ap, strict=True)
            },
            "positives": dict(zip(codes, self.positives.tolist(), strict=True)),
            "found": dict(zip(codes, self.found.tolist(), strict=True)),
        }

    def to_markdown(self) -> str:
        """Return the table in per cent, followed by the notes."""
        header = ["class", "name", "moments", "found", *(f"AP {seconds:g} s" for seconds in self.tolerances), "mean AP"]
        what = f"the {(self.positives > 0).sum()} classes with moments"
        counts = [str(self.positives.sum()), str(self.found.sum())]
        rows = [[MAP_ALL, what, *counts, *map(per_cent, self.maps), per_cent(self.mean)]]
        for item, column in zip(self.taxonomy.classes, self.ap.T, strict=True):
            counts = [str(self.positives[item.index]), str(self.found[item.index])]
            rows.append([item.code, item.en, *counts, *map(per_cent, column), per_cent(column.mean())])
        stray = int(self.found[self.positives == 0].sum())
        note = f"Classes without true moments are left out of all means; moments predicted for them: {stray}."
        return markdown_table(header, rows, left=2) + f"\n- {self.videos} videos. {note}\n"


def score_moments(found: Moments, truth: Truth, taxonomy: Taxonomy) -> MomentScores:
    """Compute the AP of every class at 5, 10 and 15 s, as the public scorer of CCTV-Pipe does.

    At each tolerance independently, the predicted moments of a class, highest score first, are each matched to the
    nearest unmatched true moment of their video, if it is at most the tolerance away; AP is VOC-interpolated. All
    classes with true moments count, including those without predictions (AP 0). Source: eval_detection.py of the
    VideoPipe authors, which derives from ActivityNet's.

    Args:
        found: predicted moments by video; a missing video has none.
        truth: ground truth of the videos to score.
        taxonomy: the C classes.

    Raises:
        LabelError: the ground truth has no moments.
        PredictionError: moments belong to videos without ground truth.
    """
    if unknown := sorted(set(found) - set(truth.moments)):
        raise PredictionError(f"moments were predicted for {shortened(unknown)}, without ground truth; leave them out")
    positives = _counts(truth.moments, len(taxonomy))
    if not positives.any():
        raise LabelError(f"the {len(truth.moments)} videos of the ground truth have no moments; annotate at least one")
    ap = np.full((len(TOLERANCES), len(taxonomy)), np.nan)
    for label in np.flatnonzero(positives).tolist():
        for row, tolerance in enumerate(TOLERANCES):
            hits = np.array([taken is not None for _, taken in matched(found, truth.moments, label, tolerance)], bool)
            ap[row, label] = interpolated_precision(hits, int(positives[label]))
    return MomentScores(taxonomy, TOLERANCES, ap, positives, _counts(found, len(taxonomy)), len(truth.moments))


def _counts(moments: Moments, classes: int) -> NDArray[np.int64]:
    labels = [moment.label for found in moments.values() for moment in found]
    return np.bincount(np.array(labels, dtype=np.int64), minlength=classes)
