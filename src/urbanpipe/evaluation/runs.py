"""Read the run folder of a finished cross-validation: labels, folds, groups, out-of-fold predictions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from urbanpipe.catalog.folds import read_folds
from urbanpipe.catalog.labels import label_matrix, read_labels
from urbanpipe.contracts.csv_reading import read_table
from urbanpipe.contracts.names import canonical_name, shortened
from urbanpipe.contracts.predictions import Predictions, read_predictions
from urbanpipe.contracts.run_folder import INPUTS, LEFT_OUT, OUT_OF_FOLD, check_run_format
from urbanpipe.errors import LabelError, RunError
from urbanpipe.evaluation.evaluation_set import EvaluationSet
from urbanpipe.outputs import write_csv, write_json, write_text
from urbanpipe.taxonomy import load_taxonomy
from urbanpipe.text_files import read_text


@dataclass(frozen=True, eq=False)
class OutOfFold(EvaluationSet):
    """The videos of a run, each with the prediction of a model that was not trained on it.

    Attributes:
        run: the folder.
        scores: (n, C) float64 in [0, 1].
    """

    run: Path
    scores: NDArray[np.float64]

    @property
    def predictions(self) -> Predictions:
        """The scores with the video names."""
        return Predictions(self.names, self.scores)

    def only(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Self:
        """Return the same of some of the videos, by their rows or a mask."""
        return replace(super().only(rows), scores=self.scores[rows])

    def write_inputs(self, folder: Path) -> None:
        """Write the four files of `INPUTS` for these videos.

        Raises:
            OutputError: a file cannot be written.
        """
        write_text(folder / "taxonomy.toml", (self.run / "taxonomy.toml").read_text(encoding="utf-8"))
        codes = np.array(self.taxonomy.codes)
        labels = {name: codes[row].tolist() for name, row in zip(self.names, self.targets, strict=True)}
        write_json(folder / "labels.json", labels)
        write_csv(folder / "folds.csv", ["video", "fold"], zip(self.names, self.folds.tolist(), strict=True))
        write_csv(folder / "groups.csv", ["video", "group"], zip(self.names, self.groups, strict=True))


def read_out_of_fold(run: Path, like: OutOfFold | None = None) -> OutOfFold:
    """Read RUN/taxonomy.toml, labels.json, folds.csv, groups.csv and out_of_fold.json.

    Args:
        run: its folder.
        like: what was read of another run; if the files of both are the same, only the predictions are read.

    Raises:
        RunError: a file is missing, or the files do not cover the same videos.
        PredictionError: the predictions cannot be used.
    """
    run = Path(run)
    _check_complete(run)
    check_run_format(run)
    if like is not None and all((run / name).read_bytes() == (like.run / name).read_bytes() for name in INPUTS):
        predictions = read_predictions(run / OUT_OF_FOLD, like.taxonomy)
        return replace(like, run=run, scores=predictions.aligned(like.names, where=str(run / OUT_OF_FOLD)))
    taxonomy = load_taxonomy(run / "taxonomy.toml")
    labels = read_labels(run / "labels.json", taxonomy)
    names = tuple(labels)
    folds = read_folds(run / "folds.csv")
    groups = read_groups(run / "groups.csv")
    for file, known in (("folds.csv", folds), ("groups.csv", groups)):
        if missing := [name for name in names if name not in known]:
            raise RunError(
                f"{run / file} lacks {shortened(missing)}, which labels.json has; the folder mixes two data sets"
            )
    predictions = read_predictions(run / OUT_OF_FOLD, taxonomy)
    return OutOfFold(
        run=run,
        taxonomy=taxonomy,
        names=names,
        targets=label_matrix(names, labels, len(taxonomy)),
        folds=np.array([folds[name] for name in names], dtype=np.int64),
        groups=tuple(groups[name] for name in names),
        scores=predictions.aligned(names, where=str(run / OUT_OF_FOLD)),
    )


def _check_complete(run: Path) -> None:
    if not run.is_dir():
        raise RunError(f"{run} is not a folder; give the folder that `urbanpipe crossval` wrote")
    if runs := sorted(path.parent.name for path in run.glob("*/recipe.toml")):
        raise RunError(f"{run} is an experiment; give one of its runs, for example {run / runs[0]}")
    missing = [name for name in INPUTS if not (run / name).is_file()]
    if len(missing) == len(INPUTS):
        raise RunError(
            f"{run} is not a run: it has no {', '.join(missing)}; give the folder that `urbanpipe crossval` wrote"
        )
    if missing:
        raise RunError(f"{run} has no {', '.join(missing)}; run `urbanpipe crossval` again on it")
    if not (run / OUT_OF_FOLD).is_file():
        raise RunError(
            f"{run} has no {OUT_OF_FOLD}: its cross-validation is not complete; finish `urbanpipe crossval` on it"
        )


def read_groups(path: Path) -> dict[str, str]:
    """Read a CSV `video,group`.

    Raises:
        RunError: the file cannot be read, lacks a column, or names a video twice.
    """
    groups: dict[str, str] = {}
    try:
        header, rows = read_table(read_text(path), path, "video")
        if "group" not in header:
            raise RunError(f"{path} has no column `group`; expected video,group")
        for line, cells in rows:
            name = canonical_name(cells["video"])
            if name in groups:
                raise RunError(f"{path}, line {line}: {name} is listed twice; list each video once")
            groups[name] = cells["group"]
    except LabelError as error:  # the shared CSV reader raises LabelError for any table
        raise RunError(str(error)) from error
    return groups


def without_left_out(runs: Sequence[OutOfFold]) -> tuple[list[OutOfFold], list[str]]:
    """Remove from runs on one catalog the videos that at least one of them could not decode.

    One method may fail at a frame that another does not read.

    Returns:
        The runs, all without these videos, and the names of the videos that were removed from at least one run.
    """
    left_out = {name for each in runs for name in _left_out(each.run)}
    lost = sorted({name for each in runs for name in each.names} & left_out)
    if not lost:
        return [*runs], []
    kept = [np.array([row for row, name in enumerate(each.names) if name not in left_out], np.intp) for each in runs]
    return [each.only(rows) for each, rows in zip(runs, kept, strict=True)], lost


def _left_out(run: Path) -> list[str]:
    path = run / LEFT_OUT
    if not path.is_file():
        return []
    try:
        return [canonical_name(cells["video"]) for _, cells in read_table(read_text(path), path, "video")[1]]
    except LabelError as error:
        raise RunError(str(error)) from error


def same_data(first: OutOfFold, other: OutOfFold) -> OutOfFold:
    """Return `other` with its videos in the order of `first`.

    Raises:
        RunError: classes, videos, labels or folds differ; the message says which.
    """
    both = f"{first.run} and {other.run}"
    if first.taxonomy.codes != other.taxonomy.codes or first.taxonomy.exclusive != other.taxonomy.exclusive:
        raise RunError(f"{both} have different classes; an ensemble needs one taxonomy")
    if odd := sorted(set(first.names) ^ set(other.names)):
        raise RunError(
            f"{both} do not have the same videos, they differ in {shortened(odd)}; train them on one catalog"
        )
    row = {name: index for index, name in enumerate(other.names)}
    order = np.array([row[name] for name in first.names], dtype=np.intp)
    for what, left, right in (
        ("labels", first.targets, other.targets[order]),
        ("folds", first.folds[:, None], other.folds[order][:, None]),
    ):
        if (odd_rows := np.flatnonzero((left != right).any(axis=1))).size:
            names = [first.names[index] for index in odd_rows]
            raise RunError(f"{both} have different {what} for {shortened(names)}; train them with one {what} file")
    return replace(first, run=other.run, taxonomy=other.taxonomy, scores=other.scores[order])
