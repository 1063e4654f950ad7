"""The verb `evaluate`: judge a prediction file by a label file, or moments by true ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from urbanpipe.catalog.catalog_file import Source, read_source
from urbanpipe.catalog.labels import label_matrix
from urbanpipe.contracts.names import shortened
from urbanpipe.contracts.predictions import Predictions, read_predictions
from urbanpipe.errors import PredictionError
from urbanpipe.evaluation.average_precision import Empty, Scores, score
from urbanpipe.evaluation.intervals import Intervals, bootstrap
from urbanpipe.evaluation.moments import MomentScores, read_results, read_truth, score_moments
from urbanpipe.evaluation.tables import MAP_ALL, MAP_DEFECTS, NONE, markdown_table, per_cent
from urbanpipe.taxonomy import Taxonomy, load_taxonomy


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How good a prediction file is.

    Attributes:
        labels: the file that it was judged by.
        predictions: the file.
        taxonomy: the C classes.
        scores: AP of every class and both means.
        intervals: how far chance could have moved them; None if not asked for.
    """

    labels: Path
    predictions: Path
    taxonomy: Taxonomy
    scores: Scores
    intervals: Intervals | None

    def to_json(self) -> dict[str, Any]:
        """Plain values, fractions in [0, 1]."""
        return {
            "labels": str(self.labels),
            "predictions": str(self.predictions),
            **self.scores.to_json(),
            "intervals": self.intervals.to_json() if self.intervals else None,
        }

    def to_markdown(self) -> str:
        """The table in per cent, and what must be known beside it."""
        scores, ends = self.scores, self.intervals
        header = ["class", "name", "positives", "AP", *([f"{ends.level:.0%} interval"] if ends else [])]
        classes, defects = len(self.taxonomy), len(self.taxonomy.defects)
        rows = [[MAP_ALL, f"all {classes} classes", "", per_cent(scores.map_all)]]
        rows += [[MAP_DEFECTS, f"the {defects} defects", "", per_cent(scores.map_defects)]]
        for item in self.taxonomy.classes:
            positives = int(scores.positives[item.index])
            ap = per_cent(scores.ap[item.index]) if positives else NONE
            rows.append([item.code, item.en, str(positives), ap])
        if ends:
            for row, (low, high) in zip(rows, [ends.map_all, ends.map_defects, *ends.ap], strict=True):
                row.append(NONE if np.isnan(low) else f"{per_cent(low)}-{per_cent(high)}")
        notes = "".join(f"\n- {note}" for note in self.notes)
        return markdown_table(header, rows, left=2) + (notes + "\n" if notes else "")

    @property
    def notes(self) -> list[str]:
        """What a reader must know beside the figures, one sentence each."""
        notes = []
        if empty := self.scores.empty_classes:
            counted = "count as 0 in" if self.scores.empty == "zero" else "are left out of"
            notes.append(f"No positives for {', '.join(empty)}: they {counted} the means.")
        if self.intervals:
            ends = self.intervals
            notes.append(f"{ends.level:.0%} bootstrap intervals: {ends.draws} draws of {ends.units} groups of videos.")
        return notes


def evaluate(
    labels: Path,
    predictions: Path,
    taxonomy: Path | None = None,
    empty: Empty = "zero",
    draws: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Judge predictions by labels, as the public scorer of QV-Pipe does.

    The scorer breaks ties by a shuffle of the videos in the order of the label file; so is it here.

    Args:
        labels: a label file in any form, or a catalog with labels.
        predictions: QV-Pipe JSON or CSV; exactly the labelled videos (videos that a catalog lists without labels may be
            there too and are not judged).
        taxonomy: the classes as a TOML file; by default those of QV-Pipe.
        empty: what a class without positives counts in the means: "zero" (official) or "skip" (left out).
        draws: bootstrap resamples of the groups for the intervals; 0 for no intervals.
        seed: of the bootstrap.

    Raises:
        LabelError, CatalogError, TaxonomyError: `labels` or `taxonomy` cannot be used.
        PredictionError: predictions that are missing, of unknown videos, short, not numbers, or outside [0, 1].
    """
    classes = load_taxonomy(taxonomy)
    source = read_source(Path(labels), classes)
    found = read_predictions(Path(predictions), classes)
    _refuse_unknown(found, source, labels, predictions)
    values = found.aligned(source.names, where=str(predictions))
    targets = label_matrix(source.names, source.labels, len(classes))
    return Evaluation(
        labels=Path(labels),
        predictions=Path(predictions),
        taxonomy=classes,
        scores=score(values, targets, classes, empty),
        intervals=bootstrap(values, targets, source.groups, classes, draws, seed, empty=empty) if draws else None,
    )


def evaluate_moments(
    labels: Path, predictions: Path, taxonomy: Path | None = None, subset: str | None = None
) -> MomentScores:
    """Judge time points of defects as the public scorer of CCTV-Pipe does; `evaluate --moments` on the command line.

    Args:
        labels: true moments, `{"database": ...}`.
        predictions: a submission, `{"results": ...}`; a video that it lacks has no moments.
        taxonomy: the classes as a TOML file; by default those of QV-Pipe.
        subset: judge only videos whose `subset` is this; without it all that are annotated.

    Raises:
        LabelError, TaxonomyError: `labels` or `taxonomy` cannot be used, or there are no true moments.
        PredictionError: moments of unknown videos or classes, before or after the video, or without a number as score.
    """
    classes = load_taxonomy(taxonomy)
    truth = read_truth(Path(labels), classes, subset)
    return score_moments(read_results(Path(predictions), classes, truth), truth, classes)


def _refuse_unknown(found: Predictions, source: Source, labels: Path, predictions: Path) -> None:
    known: Sequence[str] = source.names
    if source.catalog is not None:
        known = [video.name for video in source.catalog.videos]
    if unknown := sorted(set(found.names) - set(known)):
        raise PredictionError(f"{predictions} has {shortened(unknown)}, which {labels} does not know; leave them out")
