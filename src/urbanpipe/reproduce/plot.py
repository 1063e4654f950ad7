"""The plot of an ablation: the gain of each change with its spread, beside the report's figure."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from urbanpipe.evaluation.average_precision import mean_of_known
from urbanpipe.evaluation.plots import is_drawable
from urbanpipe.reproduce.changes import Change
from urbanpipe.reproduce.paired_comparison import PairedComparison

_INK, _PALE = "#1f2933", "#9aa5b1"
_COLOURS = {"gain": "#1b7837", "loss": "#b35806", "inconclusive": "#52606d"}
_REPORT = "#5e3c99"
_LONGEST = 60  # largest length of a label
Tried = Sequence[tuple[Change, PairedComparison]]


def forest_plot(tried: Tried) -> Figure:
    """Return a forest plot with one line per row, the first on top.

    A line shows the gain of every fold and seed, their mean, its interval and the report's figure, in points of mAP
    over the defects; the report's figure is over all its classes.

    Args:
        tried: the rows with a gain, at least one.
    """
    figure = Figure(figsize=(8.6, 1.5 + 0.3 * len(tried)), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.axvline(0, color=_INK, linewidth=0.9, zorder=1)
    for line, (row, gain) in enumerate(tried):
        _draw(axes, line, row, gain)
    for line, ((above, _), (below, _)) in enumerate(pairwise(tried)):
        if above.table != below.table:
            axes.axhline(line + 0.5, color=_PALE, linewidth=0.6, linestyle=(0, (4, 3)))
    axes.set_yticks(range(len(tried)), [_label(row) for row, _ in tried], color=_INK, fontsize=9, parse_math=False)
    axes.set_ylim(len(tried) - 0.4, -0.6)
    axes.set_xlabel("gain in points of mAP over the defects", color=_INK, fontsize=9)
    axes.tick_params(axis="both", length=0, labelsize=9)
    axes.grid(axis="x", color="0.92", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    _legend(figure, axes)
    return figure


def _draw(axes: Any, line: int, row: Change, gain: PairedComparison) -> None:
    colour, points = _COLOURS[gain.reading], 100 * gain.gains.ravel()
    if np.isfinite(gain.low):
        axes.plot([100 * gain.low, 100 * gain.high], [line, line], color=colour, linewidth=2, alpha=0.55, zorder=2)
    if len(points) > 1:
        axes.scatter(points, np.full(len(points), line), s=45, marker="|", color=colour, linewidths=1.2, zorder=3)
    axes.scatter([mean_of_known(points)], [line], s=38, color=colour, edgecolors="white", linewidths=0.8, zorder=5)
    if row.report is not None:
        axes.scatter([row.report], [line], s=34, marker="D", facecolors="none", edgecolors=_REPORT, zorder=4)


def _label(row: Change) -> str:
    label = row.name if is_drawable(row.name) else row.key
    return label if len(label) <= _LONGEST else f"{label[: _LONGEST - 3]}..."


def _legend(figure: Figure, axes: Any) -> None:
    marks = [
        axes.scatter([], [], s=38, color=_COLOURS[reading], edgecolors="white", label=reading) for reading in _COLOURS
    ]
    marks += [
        axes.scatter([], [], s=45, marker="|", color=_PALE, label="one fold and seed"),
        axes.plot([], [], color=_PALE, linewidth=2, label="95 % interval over videos")[0],
        axes.scatter([], [], s=34, marker="D", facecolors="none", edgecolors=_REPORT, label="the report (all classes)"),
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
