"""Prediction files: a probability for every class of every video, as QV-Pipe JSON or as CSV."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from urbanpipe.contracts.csv_reading import read_table
from urbanpipe.contracts.name_matching import match_names, near_text
from urbanpipe.contracts.names import canonical_name, shortened
from urbanpipe.errors import LabelError, PredictionError, TaxonomyError
from urbanpipe.outputs import write_csv, write_text
from urbanpipe.taxonomy import Taxonomy
from urbanpipe.text_files import read_text


@dataclass(frozen=True, eq=False)
class Predictions:
    """Scores of n videos.

    Attributes:
        names: the videos, each once.
        scores: (n, C) float64 in [0, 1], classes in the order of the taxonomy.
    """

    names: tuple[str, ...]
    scores: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.scores.ndim != 2 or len(self.names) != len(self.scores):
            raise ValueError(f"{len(self.names)} names need scores of shape (n, C), not {self.scores.shape}")

    @cached_property
    def rows(self) -> dict[str, int]:
        """Row of every video."""
        return {name: row for row, name in enumerate(self.names)}

    def matched(self, videos: Iterable[str], path: Path, of: Path) -> "Predictions":
        """Return the predictions under the names of the videos that their names mean; see `match_names`.

        Args:
            videos: names of all videos.
            path: the prediction file, for messages.
            of: the file that lists the videos.

        Raises:
            PredictionError: a name means none of the videos; the message names the first few and what is near them.
        """
        found = match_names(self.names, videos)
        if unknown := [f"{name}{near_text(near)}" for name, near in sorted(found.near.items())]:
            raise PredictionError(
                f"{path} has {shortened(unknown)}, which {of} does not have; leave them out or correct their names"
            )
        return Predictions(tuple(found.matched[name] for name in self.names), self.scores)

    def aligned(self, names: Sequence[str], where: str = "the predictions") -> NDArray[np.float64]:
        """Return the scores in the order of `names`, shape (len(names), C).

        Raises:
            PredictionError: some videos have no prediction; the message counts them and names the first few.
        """
        missing = [name for name in names if name not in self.rows]
        if missing:
            raise PredictionError(
                f"{where} lack {shortened(missing)}; predict them too, or leave them out of the labels"
            )
        return self.scores[[self.rows[name] for name in names]]


def read_predictions(path: Path, taxonomy: Taxonomy) -> Predictions:
    """Read QV-Pipe JSON `{"video.mp4": [C numbers]}`, or CSV with the column `video` and one column per class code.

    Raises:
        PredictionError: the file cannot be read, or an entry is short, long, not a number, NaN, outside [0, 1] or named
            twice, or a column is unknown, missing or named twice.
    """
    path = Path(path)
    text = read_text(path, error=PredictionError, what="the predictions")
    is_csv = path.suffix.lower() == ".csv"
    return _read_csv(text, path, taxonomy) if is_csv else _read_json(text, path, taxonomy)


def write_predictions(predictions: Predictions, path: Path, taxonomy: Taxonomy) -> None:
    """Write predictions as QV-Pipe JSON and as CSV, both beside each other at full precision.

    `path` may have either suffix; the other file gets the same stem.

    Raises:
        PredictionError: a score is NaN or outside [0, 1]; nothing is written.
        OutputError: a file cannot be written.
    """
    path = Path(path)
    if predictions.scores.shape[1] != len(taxonomy):
        raise ValueError(f"scores {predictions.scores.shape} must be (n, {len(taxonomy)})")
    _check_range(predictions.names, predictions.scores, path, taxonomy)
    table = predictions.scores.tolist()
    lines = (
        f"{json.dumps(name, ensure_ascii=False)}: {row}" for name, row in zip(predictions.names, table, strict=True)
    )
    write_text(path.with_suffix(".json"), "{\n" + ",\n".join(lines) + "\n}\n")
    rows = ([name, *row] for name, row in zip(predictions.names, table, strict=True))
    write_csv(path.with_suffix(".csv"), ["video", *taxonomy.codes], rows)


def _read_json(text: str, path: Path, taxonomy: Taxonomy) -> Predictions:
    try:
        pairs = json.loads(text, object_pairs_hook=lambda pairs: pairs)
    except (ValueError, RecursionError) as error:
        raise PredictionError(f"{path} is not JSON: {error}") from error
    if not text.lstrip().startswith("{"):
        raise PredictionError(f'{path}: expected one object {{"video.mp4": [{len(taxonomy)} numbers], ...}}')
    for name, row in pairs:
        if not isinstance(row, list) or len(row) != len(taxonomy):
            actual = f"{len(row)} values" if isinstance(row, list) else repr(row)[:40]
            raise PredictionError(f"{path}: {name} has {actual}; expected {len(taxonomy)} numbers, one per class")
    return _checked([canonical_name(name) for name, _ in pairs], [row for _, row in pairs], path, taxonomy)


def _read_csv(text: str, path: Path, taxonomy: Taxonomy) -> Predictions:
    names: list[str] = []
    rows: list[list[float]] = []
    try:
        header, lines = read_table(text, path, "video")
        columns = _columns([name for name in header if name != "video"], path, taxonomy)
        for line, cells in lines:
            names.append(canonical_name(cells["video"]))
            rows.append([_number(cells[column], column, f"{path}, line {line}") for column in columns])
    except LabelError as error:  # `read_table` raises LabelError for every kind of table
        raise PredictionError(str(error)) from error
    return _checked(names, rows, path, taxonomy)


def _columns(header: list[str], path: Path, taxonomy: Taxonomy) -> list[str]:
    """Return the column of every class, in the order of the taxonomy."""
    by_class: dict[int, str] = {}
    for column in header:
        try:
            index = taxonomy.index(column)
        except TaxonomyError as error:
            raise PredictionError(f"{path}, column {column!r}: {error}") from error
        if index in by_class:
            raise PredictionError(f"{path}: columns {by_class[index]!r} and {column!r} are the same class; keep one")
        by_class[index] = column
    if missing := [code for index, code in enumerate(taxonomy.codes) if index not in by_class]:
        raise PredictionError(
            f"{path} lacks a column for {' '.join(missing)}; expected video,{','.join(taxonomy.codes)}"
        )
    return [by_class[index] for index in range(len(taxonomy))]


def _number(cell: str, column: str, where: str) -> float:
    try:
        return float(cell)
    except ValueError:
        raise PredictionError(f"{where}: {column} is {cell!r}; expected a number in [0, 1]") from None


def _checked(names: list[str], rows: Sequence[Sequence[object]], path: Path, taxonomy: Taxonomy) -> Predictions:
    if not names:
        raise PredictionError(f"{path} holds no predictions")
    if len(set(names)) != len(names):
        seen: set[str] = set()
        twice = [name for name in names if name in seen or seen.add(name)]  # type: ignore[func-returns-value]
        raise PredictionError(f"{path} has duplicate entries for {shortened(list(dict.fromkeys(twice)))}")
    if not {type(value) for value in chain.from_iterable(rows)} <= {int, float}:
        _name_non_number(names, rows, path, taxonomy)
    try:
        scores = np.array(rows, dtype=np.float64)
    except OverflowError as error:
        raise PredictionError(f"{path}: a score has more digits than a number in [0, 1] can have") from error
    _check_range(names, scores, path, taxonomy)
    return Predictions(tuple(names), scores)


def _name_non_number(names: list[str], rows: Sequence[Sequence[object]], path: Path, taxonomy: Taxonomy) -> None:
    for name, row in zip(names, rows, strict=True):
        for code, value in zip(taxonomy.codes, row, strict=True):
            if type(value) not in (int, float):
                raise PredictionError(
                    f"{path}: {name} has {json.dumps(value)[:40]} for {code}; expected a number in [0, 1]"
                )


def _check_range(names: Sequence[str], scores: NDArray[np.float64], path: Path, taxonomy: Taxonomy) -> None:
    bad = ~((scores >= 0.0) & (scores <= 1.0))
    if bad.any():
        row, column = np.argwhere(bad)[0].tolist()
        others = int(bad.any(axis=1).sum()) - 1
        more = f" (and {others} more videos are bad)" if others else ""
        value = f"{scores[row, column]} for {taxonomy.codes[column]}"
        raise PredictionError(f"{path}: {names[row]} has {value}; expected a number in [0, 1]{more}")
