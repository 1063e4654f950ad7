"""The heat map of the paper's Table 6, and helpers shared with other plots."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from urbanpipe.evaluation.tables import FoldTable, FoldTableRow, per_cent
from urbanpipe.outputs import plain_text, whole_path
from urbanpipe.taxonomy import DefectClass

_INK = "#1f2933"
_PALE = "#7b8794"
_NO_FIGURE = "#e4e7eb"
_COLOURS = colormaps["YlGnBu"]
_LATIN_END = "\u0250"  # the fonts that come with matplotlib are only sure to cover letters below this
_DPI = 150
_MEAN_WIDTH = 2.1
_GAP = 0.2


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG.

    Raises:
        OutputError: the file cannot be written.
    """
    with whole_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=_DPI, facecolor="white")


def heat_map(table: FoldTable) -> Figure:
    """Draw the AP of every class (rows) in every fold (columns), with mean (sd), pooled AP and interval."""
    rows = table.rows
    folds = len(table.folds)
    figure = _figure(width=4.4 + 0.62 * (folds + 2 * _MEAN_WIDTH), height=1.3 + 0.32 * len(rows))
    axes = figure.add_subplot()
    lefts = [*range(folds), folds + _GAP, folds + 2 * _GAP + _MEAN_WIDTH]
    tops = [index + (0.0 if index < 2 else 2 * _GAP) for index in range(len(rows))]
    for row, top in zip(rows, tops, strict=True):
        for left, value in zip(lefts, row.by_fold, strict=False):
            _cell(axes, left, top, width=1.0, value=value, text=per_cent(value))
        _cell(
            axes, lefts[-2], top, width=_MEAN_WIDTH, value=row.mean, text=f"{per_cent(row.mean)} ({per_cent(row.sd)})"
        )
        _cell(axes, lefts[-1], top, width=_MEAN_WIDTH, value=row.pooled, text=_pooled_text(row))
    axes.set_xlim(0, lefts[-1] + _MEAN_WIDTH)
    axes.set_ylim(tops[-1] + 1, 0)
    axes.set_yticks([top + 0.5 for top in tops], _labels(table, rows), color=_INK, fontsize=9, parse_math=False)
    middles = [*(left + 0.5 for left in lefts[:folds]), *(left + _MEAN_WIDTH / 2 for left in lefts[folds:])]
    pooled = "pooled" if table.intervals is None else f"pooled, {table.intervals.level:.0%} interval"
    names = [*(f"fold {fold}" for fold in table.folds), "mean (sd)", pooled]
    axes.set_xticks(middles, names, color=_INK, fontsize=9)
    axes.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    figure.suptitle(f"Out-of-fold average precision, per cent ({table.pooled.videos} videos)", fontsize=11, color=_INK)
    return figure


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
    FigureCanvasAgg(figure)
    return figure


def _cell(axes: Any, left: float, top: float, *, width: float, value: float, text: str) -> None:
    known = not np.isnan(value)
    colour: Any = _COLOURS(0.04 + 0.9 * value) if known else _NO_FIGURE
    ink = "white" if known and _is_dark(colour) else _INK
    axes.add_patch(Rectangle((left, top), width, 1.0, facecolor=colour, edgecolor="white", linewidth=1.5))
    axes.text(left + width / 2, top + 0.5, text, ha="center", va="center", color=ink, fontsize=8.5)


def _is_dark(colour: Sequence[float]) -> bool:
    weights: NDArray[np.float64] = np.array([0.299, 0.587, 0.114])
    return bool(weights @ np.asarray(colour[:3]) < 0.55)


def _pooled_text(row: FoldTableRow) -> str:
    interval = "" if np.isnan(row.low) else f"  [{per_cent(row.low)}–{per_cent(row.high)}]"
    return per_cent(row.pooled) + interval


def _labels(table: FoldTable, rows: Sequence[FoldTableRow]) -> list[str]:
    means = [f"{row.label}, {row.name}" if row.label == "mAP" else f"mAP, {row.name}" for row in rows[:2]]
    counts = [row.positives for row in rows[2:]]
    return means + [
        f"{class_label(item)}  n={count}" for item, count in zip(table.taxonomy.classes, counts, strict=True)
    ]


def class_label(item: DefectClass) -> str:
    """Return the label of a class in plots: its name and code, as far as the fonts have their letters."""
    code = code_label(item)
    return f"{item.en} ({code})" if item.en != item.code and is_drawable(item.en) else code


def code_label(item: DefectClass) -> str:
    """Return the code of a class, or its index if the fonts lack a letter of the code."""
    return item.code if is_drawable(item.code) else f"class {item.index}"


def drawable(text: str) -> str:
    r"""Return a text of others for a plot, on one line, with a mark for each letter that the fonts may lack.

    Draw it with `parse_math=False`: matplotlib would read `$` as the beginning of a formula.

    >>> drawable("管_1\n$.mp4")
    '?_1\\n$.mp4'
    """
    return "".join(letter if letter < _LATIN_END else "?" for letter in plain_text(text))


def is_drawable(text: str) -> bool:
    """Return whether the fonts that come with matplotlib have all letters of a text."""
    return drawable(text) == text
