"""Reliability: how far probabilities are from observed frequencies, as expected calibration error and as a diagram."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import PercentFormatter, StrMethodFormatter
from numpy.typing import ArrayLike, NDArray

from urbanpipe.decision.calibration import checked

BINS = 15
_INK, _PALE, _GRID = "#1f2933", "#7b8794", "#e4e7eb"
_BEFORE, _AFTER = "#c05621", "#1d4f91"
_Z = 1.959963985  # of a 95 % interval


@dataclass(frozen=True, eq=False)
class CalibrationError:
    """Expected calibration error; values in [0, 1], NaN where undefined.

    Attributes:
        pooled: over the (video, class) pairs of all classes with positives together.
        by_class: (C,); NaN for a class without positives.
    """

    pooled: float
    by_class: NDArray[np.float64]


def expected_calibration_error(probabilities: ArrayLike, targets: ArrayLike, bins: int = BINS) -> CalibrationError:
    """Compute the ECE: the mean over (video, class) pairs of |mean probability - share of positives| of the pair's bin.

    Bins have equal width (Naeini et al. 2015; Guo et al., arXiv 1706.04599). Classes without positives are left out:
    they are easy to get right and would dilute the result. ECE is biased upwards, the more so the fewer videos there
    are, so compare values for the same set of videos only.

    Args:
        probabilities: (n, C) float in [0, 1], or all NaN (`cross_calibrated` with one fold), which gives NaN.
        targets: (n, C) bool or 0/1.
        bins: number of bins.

    Raises:
        PredictionError: a probability is outside [0, 1], or some are NaN.
        ValueError: the shapes do not match.
    """
    present = np.asarray(targets, dtype=bool)
    if np.isnan(probabilities).all():
        return CalibrationError(float("nan"), np.full(present.shape[1], np.nan))
    values, present = checked(probabilities, present)
    known = present.any(axis=0)
    by_class = [
        _error(*column, bins) if column[1].any() else np.nan for column in zip(values.T, present.T, strict=True)
    ]
    return CalibrationError(_error(values[:, known].ravel(), present[:, known].ravel(), bins), np.array(by_class))


class Bins(NamedTuple):
    """The B non-empty bins of equal width: counts, mean probability, and share of positives, all (B,)."""

    counts: NDArray[np.int64]
    predicted: NDArray[np.float64]
    true: NDArray[np.float64]


def binned(probabilities: NDArray[np.float64], targets: NDArray[np.bool_], bins: int = BINS) -> Bins:
    """Return the non-empty bins of probabilities in [0, 1] and targets, both (m,)."""
    place = np.minimum((probabilities * bins).astype(np.intp), bins - 1)
    counts = np.bincount(place, minlength=bins)
    full = counts > 0
    predicted, true = (np.bincount(place, values, bins)[full] / counts[full] for values in (probabilities, targets))
    return Bins(counts[full], predicted, true)


def _error(probabilities: NDArray[np.float64], targets: NDArray[np.bool_], bins: int) -> float:
    if len(probabilities) == 0:
        return float("nan")
    counts, predicted, true = binned(probabilities, targets, bins)
    return float(counts @ np.abs(predicted - true) / counts.sum())


def reliability_diagram(before: ArrayLike, after: ArrayLike, targets: ArrayLike, bins: int = BINS) -> Figure:
    """Draw a reliability diagram before and after calibration, above a histogram of the probabilities.

    Each dot is a bin of `expected_calibration_error`; its whiskers are Wilson's 95 % interval, which assumes that
    videos are independent. Classes without positives are left out.

    Args:
        before: (n, C) float in [0, 1].
        after: (n, C) float in [0, 1], from `cross_calibrated`; not drawn if all NaN (one fold only).
        targets: (n, C) bool or 0/1.
        bins: number of bins.

    Returns:
        A figure; `plots.save` writes it.

    Raises:
        PredictionError: a probability is outside [0, 1], or some are NaN.
        ValueError: the shapes do not match.
    """
    figure = Figure(figsize=(5.4, 6.6), layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06))
    FigureCanvasAgg(figure)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    top.plot([0, 1], [0, 1], color=_PALE, linewidth=1, linestyle=(0, (4, 3)), label="perfectly calibrated")
    series = [
        ("before", before, _BEFORE, "s", -0.004),
        ("after, fitted on the other folds", after, _AFTER, "o", 0.004),
    ]
    for name, probabilities, colour, marker, aside in series:
        if not np.isnan(probabilities).all():
            label = f"{name}: ECE {100 * expected_calibration_error(probabilities, targets, bins).pooled:.1f} %"
            found = binned(*_known(probabilities, targets), bins)
            _draw_bins(top, found, colour, marker=marker, aside=aside, label=label)
            _draw_counts(bottom, _known(probabilities, targets)[0], bins, colour)
    _dress(top, bottom, int(_known(before, targets)[1].size))
    return figure


def _known(probabilities: ArrayLike, targets: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the (video, class) pairs, (m,), of the classes with positives."""
    values, present = checked(probabilities, targets)
    known = present.any(axis=0)
    return values[:, known].ravel(), present[:, known].ravel()


def _draw_bins(axes: Any, found: Bins, colour: str, *, marker: str, aside: float, label: str) -> None:
    middle, half = _wilson(found)
    axes.errorbar(found.predicted + aside, middle, half, fmt="none", ecolor=colour, elinewidth=1, alpha=0.55, capsize=2)
    axes.plot(
        found.predicted + aside, found.true, color=colour, marker=marker, markersize=5, linewidth=1.4, label=label
    )


def _wilson(found: Bins) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return centres and half widths of Wilson's intervals."""
    scale = 1.0 + _Z**2 / found.counts
    middle = (found.true + _Z**2 / (2 * found.counts)) / scale
    spread = found.true * (1 - found.true) / found.counts + _Z**2 / (4 * found.counts.astype(np.float64) ** 2)
    return middle, _Z * np.sqrt(spread) / scale


def _draw_counts(axes: Any, probabilities: NDArray[np.float64], bins: int, colour: str) -> None:
    counts = np.histogram(probabilities, bins, (0.0, 1.0))[0]
    axes.stairs(np.maximum(counts, 0.5), np.linspace(0, 1, bins + 1), color=colour, linewidth=1.4)


def _dress(top: Any, bottom: Any, cells: int) -> None:
    top.set_title(f"Reliability, out of fold ({cells} pairs of video and class)", loc="left", size=10, color=_INK)
    top.set_ylabel("share of positives", color=_INK)
    top.set_ylim(-0.02, 1.02)
    top.set_aspect("equal")
    top.yaxis.set_major_formatter(PercentFormatter(1.0))
    top.legend(frameon=False, loc="upper left", fontsize=9)
    bottom.set_yscale("log")
    bottom.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    bottom.set_ylim(bottom=0.5)
    bottom.set_ylabel("pairs per bin", color=_INK)
    bottom.set_xlabel("probability", color=_INK)
    bottom.set_xlim(-0.02, 1.02)
    bottom.xaxis.set_major_formatter(PercentFormatter(1.0))
    for axes in (top, bottom):
        axes.grid(color=_GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(which="both", length=0, colors=_INK, labelsize=9)
