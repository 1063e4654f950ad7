import numpy as np
from matplotlib.figure import Figure

from urbanpipe.reproduce.changes import Change, own_row, read_changes
from urbanpipe.reproduce.paired_comparison import PairedComparison
from urbanpipe.reproduce.plot import forest_plot


def of(row: Change, gains: list[float], low: float, high: float) -> tuple[Change, PairedComparison]:
    off = np.full((1, len(gains)), 0.5)
    return row, PairedComparison(off, off, off + gains, off, low, high, p=0.01)


def points(figure: Figure) -> set[tuple[float, float]]:
    """What is drawn in the plot: gain in points and row."""
    (axes,) = figure.axes
    return {(round(float(x), 6), float(y)) for marks in axes.collections for x, y in np.ma.filled(marks.get_offsets())}


def test_every_fold_the_mean_and_the_reports_figure_are_at_their_place() -> None:
    rows = read_changes()
    shown = [of(rows["ema"], [0.02, 0.06], 0.01, 0.07), of(rows["checkpointing"], [-0.01, 0.01], -0.03, 0.04)]
    figure = forest_plot(shown)
    (axes,) = figure.axes
    assert points(figure) == {(2, 0), (6, 0), (4, 0), (rows["ema"].report, 0), (-1, 1), (1, 1), (0, 1)}
    lines = [np.asarray(line.get_xydata(), np.float64).round(6).tolist() for line in axes.lines]
    assert [[1, 0], [7, 0]] in lines
    assert [[-3, 1], [4, 1]] in lines
    assert [label.get_text() for label in axes.get_yticklabels()] == [rows["ema"].name, rows["checkpointing"].name]


def test_a_row_without_interval_or_with_letters_that_fonts_lack_is_drawn_all_the_same() -> None:
    row = own_row("model.weights=模型.safetensors").model_copy(update={"key": "model.weights-1"})
    figure = forest_plot([of(row, [0.03], float("nan"), float("nan")), of(row, [float("nan")], 0.0, 0.0)])
    figure.canvas.draw()  # warnings are errors
    assert (3, 0) in points(figure)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["model.weights-1"] * 2
