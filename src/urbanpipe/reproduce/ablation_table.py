"""The table of an ablation: the gain of each change, here and in the report, and its costs."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from urbanpipe.evaluation.average_precision import mean_of_known, sd_of_known
from urbanpipe.evaluation.intervals import FEWEST_GROUPS
from urbanpipe.evaluation.plots import save
from urbanpipe.evaluation.tables import NONE, markdown_table, per_cent
from urbanpipe.methods.recipe import Recipe
from urbanpipe.outputs import remove, write_csv, write_text
from urbanpipe.reproduce.changes import Change
from urbanpipe.reproduce.paired_comparison import PairedComparison
from urbanpipe.reproduce.plot import forest_plot

_NAMES = ["table", "row", "change"]


@dataclass(frozen=True)
class Line:
    """A row with its result.

    Attributes:
        row: the change.
        gain: the comparison with and without the change; None if it could not be made.
        on: seconds of training per fold and peak memory in MiB with the change; None if nothing was trained.
        off: the same without the change.
        reason: why the comparison could not be made.
    """

    row: Change
    gain: PairedComparison | None = None
    on: tuple[float, float] | None = None
    off: tuple[float, float] | None = None
    reason: str = ""


@dataclass(frozen=True)
class Ablation:
    """The result of `ablate`.

    Attributes:
        base: the recipe that is changed.
        folds: folds that were trained and evaluated.
        seeds: seeds of the trainings.
        lines: the rows.
        notes: what a reader must know about the data, one sentence each.
    """

    base: Recipe
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()

    def write(self, path: Path) -> str:
        """Write the table to `path` with suffixes .csv (fractions in [0, 1]) and .md; return the Markdown text.

        A plot of the gains, if there are any, has the suffix .png.
        """
        header = [*_NAMES, "gain", "report", "gain_defects", "sd", "low", "high", "p", "reading", "map_on", "map_off"]
        costs = ["seconds_on", "seconds_off", "mib_on", "mib_off", "reason"]
        write_csv(path.with_suffix(".csv"), [*header, *costs], (_csv_row(line) for line in self.lines))
        write_text(path.with_suffix(".md"), text := self.to_markdown())
        picture = path.with_suffix(".png")
        remove(picture)  # may show rows of an earlier call
        if tried := [(line.row, line.gain) for line in self.lines if line.gain]:
            save(forest_plot(tried), picture)
        return text

    def to_markdown(self) -> str:
        """Return the table with gains in points, the rows that could not be tried, and an explanation."""
        header = [*_NAMES, "report", "gain", "defects (sd)", "95 %", "p", "reading", "mAP on / off", "min", "MiB"]
        tried = [_markdown_row(line) for line in self.lines if line.gain]
        return markdown_table(header, tried, left=3) + "\n" + "".join(f"- {note}\n" for note in self._notes())

    def _notes(self) -> Iterator[str]:
        folds, seeds = ", ".join(map(str, self.folds)), ", ".join(map(str, self.seeds))
        yield f"Base: {self.base.name}; folds {folds}; seeds {seeds}. Gains are in points of mAP, on minus off."
        yield (
            "gain: over all classes, as in the report. defects: over all but the exclusive class, with the standard "
            "deviation over folds and seeds. 95 %: confidence interval for other videos (paired bootstrap over groups)."
        )
        yield (
            "p: corrected resampled t-test over folds, with seeds averaged. A change is a significant gain or loss if "
            "the interval excludes 0 and p is below .05, and inconclusive otherwise. Of twenty changes without effect, "
            "one is expected to look significant."
        )
        yield "min: minutes of training per fold, on / off. MiB: peak memory of a training process, on / off."
        if self.base.training.keep == "best":
            yield (
                "The base keeps the best epoch on the same fold that is evaluated (training.keep = best), so all "
                "scores are too optimistic; give --set training.keep=last."
            )
        if any(line.gain and np.isnan(line.gain.low) for line in self.lines):
            yield f"No interval: fewer than {FEWEST_GROUPS} groups of videos to resample, or a fold with one group."
        yield from self.notes
        for line in self.lines:
            if line.reason:
                yield f"Not tried: {line.row.key} ({line.row.name}): {line.reason}"


def _csv_row(line: Line) -> list[object]:
    row, report = line.row, "" if line.row.report is None else f"{line.row.report / 100:.4f}"
    if line.gain is None:
        return [row.table or "", row.key, row.name, "", report, *[""] * 12, line.reason]
    gain, (on, off) = line.gain, (line.on, line.off)
    figures = [mean_of_known(gain.gains.ravel()), sd_of_known(gain.gains.ravel()), gain.low, gain.high, gain.p]
    costs = [on[0], off[0], on[1], off[1]] if on and off else [np.nan] * 4
    return [
        row.table or "",
        row.key,
        row.name,
        _cell(mean_of_known((gain.on - gain.off).ravel())),
        report,
        *map(_cell, figures),
        gain.reading,
        _cell(mean_of_known(gain.on.ravel())),
        _cell(mean_of_known(gain.off.ravel())),
        *map(_cell, costs),
        "",
    ]


def _markdown_row(line: Line) -> list[str]:
    row, gain = line.row, line.gain
    assert gain is not None
    interval = NONE if np.isnan(gain.low) else f"{_points(gain.low)} to {_points(gain.high)}"
    costs = [NONE, NONE]
    if line.on and line.off:
        costs = [f"{line.on[0] / 60:.1f} / {line.off[0] / 60:.1f}", f"{line.on[1]:.0f} / {line.off[1]:.0f}"]
    return [
        str(row.table or NONE),
        row.key,
        row.name,
        row.reported or NONE,
        _points(mean_of_known((gain.on - gain.off).ravel())),
        f"{_points(mean_of_known(gain.gains.ravel()))} ({per_cent(sd_of_known(gain.gains.ravel()))})",
        interval,
        NONE if np.isnan(gain.p) else f"{gain.p:.3f}",
        gain.reading,
        f"{per_cent(mean_of_known(gain.on.ravel()))} / {per_cent(mean_of_known(gain.off.ravel()))}",
        *costs,
    ]


def _points(value: float) -> str:
    return NONE if np.isnan(value) else f"{100 * value:+.1f}"


def _cell(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.6g}"
