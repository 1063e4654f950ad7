"""The verb `evaluate`: score a prediction file or a run, or moments against ground truth."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from urbanpipe.catalog.catalog_file import read_source
from urbanpipe.catalog.labels import label_matrix
from urbanpipe.contracts.predictions import read_predictions
from urbanpipe.evaluation.average_precision import Empty, Scores, score
from urbanpipe.evaluation.intervals import Intervals, bootstrap
from urbanpipe.evaluation.moments import MomentScores, read_results, read_truth, score_moments
from urbanpipe.evaluation.runs import read_out_of_fold
from urbanpipe.evaluation.tables import MAP_ALL, MAP_DEFECTS, NONE, FoldTable, fold_table, markdown_table, per_cent
from urbanpipe.taxonomy import Taxonomy, given_taxonomy, load_taxonomy


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The scores of a prediction file.

    Attributes:
        labels: the label file.
        predictions: the prediction file.
        taxonomy: the C classes.
        scores: AP of every class and both means.
        intervals: bootstrap intervals of the scores; None if not requested.
    """

    labels: Path
    predictions: Path
    taxonomy: Taxonomy
    scores: Scores
    intervals: Intervals | None

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; scores are fractions in [0, 1]."""
        return {
            "labels": str(self.labels),
            "predictions": str(self.predictions),
            **self.scores.to_json(),
            "intervals": self.intervals.to_json() if self.intervals else None,
        }

    def to_markdown(self) -> str:
        """Return the table in per cent, followed by the notes."""
        scores, ends = self.scores, self.intervals
        header = ["class", "name", "positives", "AP", *([f"{ends.level:.0%} interval"] if ends else [])]
        classes, defects = len(self.taxonomy), len(self.taxonomy.defects)
        rows = [[MAP_ALL, f"all {classes} classes", "", per_cent(scores.map_all)]]
        rows += [[MAP_DEFECTS, f"the {defects} defects", "", per_cent(scores.map_defects)]]
        for item in self.taxonomy.classes:
            positives = int(scores.positives[item.index])
            ap = per_cent(scores.ap[item.index]) if 0 < positives < scores.videos else NONE
            rows.append([item.code, item.en, str(positives), ap])
        if ends:
            for row, (low, high) in zip(rows, [ends.map_all, ends.map_defects, *ends.ap], strict=True):
                row.append(NONE if np.isnan(low) else f"{per_cent(low)}-{per_cent(high)}")
        notes = "".join(f"\n- {note}" for note in self.notes)
        return markdown_table(header, rows, left=2) + (notes + "\n" if notes else "")

    @property
    def notes(self) -> list[str]:
        """Notes on the scores, one sentence each."""
        notes = []
        if empty := self.scores.empty_classes:
            counted = "count as 0 in" if self.scores.empty == "zero" else "are left out of"
            notes.append(f"No positives for {', '.join(empty)}: they {counted} the means.")
        if full := self.scores.full_classes:
            counted = "counts in" if self.scores.empty == "zero" else "is left out of"
            notes.append(
                f"Every video shows {', '.join(full)}: an AP of 100, whatever the scores, that {counted} the means."
            )
        if self.intervals:
            ends = self.intervals
            notes.append(f"{ends.level:.0%} bootstrap intervals: {ends.draws} draws of {ends.units} groups of videos.")
        return notes


def evaluate(
    labels: Path,
    predictions: Path,
    *,
    taxonomy: Path | None = None,
    empty: Empty = "zero",
    draws: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Score predictions against labels, as the public scorer of QV-Pipe does.

    Like the scorer, it breaks ties by a shuffle of the videos in the order of the label file.

    Args:
        labels: a label file in any supported format, or a catalog with labels.
        predictions: QV-Pipe JSON or CSV with exactly the labelled videos. Videos that `labels` lists without labels
            may be included and are ignored.
        taxonomy: the classes as a TOML file; default: the 17 QV-Pipe classes.
        empty: how a class without positives counts in the means: "zero" (official) or "skip" (left out).
        draws: number of bootstrap resamples of the groups for the intervals; 0 for no intervals.
        seed: seed of the bootstrap.

    Raises:
        LabelError, CatalogError, TaxonomyError: `labels` or `taxonomy` cannot be used.
        PredictionError: predictions are missing, belong to unknown videos, have the wrong number of values, or hold
            values that are not numbers in [0, 1].
    """
    source = read_source(Path(labels), given_taxonomy(taxonomy))
    classes = source.taxonomy
    known = [*source.names, *source.others]
    found = read_predictions(Path(predictions), classes).matched(known, Path(predictions), of=Path(labels))
    values = found.aligned(source.names, where=str(predictions))
    targets = label_matrix(source.names, source.labels, len(classes))
    return Evaluation(
        labels=Path(labels),
        predictions=Path(predictions),
        taxonomy=classes,
        scores=score(values, targets, classes, empty),
        intervals=bootstrap(values, targets, source.groups, taxonomy=classes, draws=draws, seed=seed, empty=empty)
        if draws
        else None,
    )


def evaluate_run(run: Path, *, empty: Empty = "skip", draws: int = 1000, seed: int = 0) -> FoldTable:
    """Score the out-of-fold predictions of a run or an ensemble; `evaluate RUN` on the command line.

    With the defaults, the table is the one that `crossval` writes.

    Args:
        run: a run folder of `crossval`, or the folder of an ensemble.
        empty: how a class without positives in a fold counts in that fold's mean: "skip" (left out) or "zero".
        draws: number of bootstrap resamples of the groups for the intervals; 0 for no intervals.
        seed: seed of the bootstrap.

    Raises:
        RunError: the folder is no run, or its cross-validation is not complete.
        PredictionError: its predictions cannot be used.
    """
    data = read_out_of_fold(Path(run))
    return fold_table(data.scores, data, empty=empty, draws=draws, seed=seed)


def evaluate_moments(
    labels: Path, predictions: Path, *, taxonomy: Path | None = None, subset: str | None = None
) -> MomentScores:
    """Score time points of defects as the public scorer of CCTV-Pipe does; `evaluate --moments` on the command line.

    Args:
        labels: ground-truth moments, `{"database": ...}`.
        predictions: a submission, `{"results": ...}`; a video that it lacks has no moments.
        taxonomy: the classes as a TOML file; default: the 17 QV-Pipe classes.
        subset: score only videos with this `subset`; default: all annotated videos.

    Raises:
        LabelError, TaxonomyError: `labels` or `taxonomy` cannot be used, or there are no ground-truth moments.
        PredictionError: moments belong to unknown videos or classes, lie before or after the video, or have a score
            that is not a number.
    """
    classes = load_taxonomy(taxonomy)
    truth = read_truth(Path(labels), classes, subset)
    return score_moments(read_results(Path(predictions), classes, truth), truth, classes)
