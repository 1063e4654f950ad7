"""Plot of the class counts of folds."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from urbanpipe.catalog.folds import Folds
from urbanpipe.catalog.labels import Labels, label_matrix
from urbanpipe.errors import FoldError
from urbanpipe.outputs import whole_path
from urbanpipe.taxonomy import Taxonomy

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_folds(folds: Folds, labels: Labels, taxonomy: Taxonomy, path: Path) -> None:
    """Draw the number of videos per class in every fold, as in figure 2 of the UrbanPipe report.

    Args:
        folds: fold by video name.
        labels: class indices by video name, for at least the videos of `folds`.
        taxonomy: the classes.
        path: the image file; its suffix gives the format (.png, .pdf, .svg).

    Raises:
        LabelError: a video of `folds` has no labels.
        FoldError: the suffix is not an image format.
        OutputError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    from urbanpipe.evaluation.plots import code_label

    names = list(folds)
    fold = np.array([folds[name] for name in names])
    targets = label_matrix(names, labels, len(taxonomy))
    counts = np.stack([targets[fold == number].sum(axis=0) for number in range(fold.max() + 1)])
    figure = Figure(figsize=(max(6.0, 0.62 * len(taxonomy) + 1.2), 4.4), layout="constrained")
    suffix = Path(path).suffix.lower().removeprefix(".")
    if suffix not in figure.canvas.get_supported_filetypes():
        raise FoldError(f"cannot draw {path}: give it the suffix .png, .pdf or .svg")
    _draw(figure.add_subplot(), counts, [code_label(item) for item in taxonomy.classes])
    figure.legend(frameon=False, ncols=min(len(counts), 8), loc="outside lower center")
    with whole_path(Path(path)) as temporary:
        figure.savefig(temporary, dpi=150, format=suffix)


def _draw(axes: "Axes", counts: NDArray[np.int64], codes: Sequence[str]) -> None:
    """Draw (K, C) counts: one cluster per class, one bar per fold, and the mean of each cluster above it."""
    from matplotlib import colormaps

    places = np.arange(len(codes))
    width = 0.84 / len(counts)
    for number, row in enumerate(counts):
        colour = colormaps["viridis"](0.12 + 0.76 * number / max(1, len(counts) - 1))
        shift = (number - (len(counts) - 1) / 2) * width
        axes.bar(places + shift, row, width * 0.92, color=colour, label=f"fold {number}")
    for place, mean in enumerate(counts.mean(axis=0)):
        above = (place, counts[:, place].max())
        axes.annotate(f"{mean:.0f}", above, (0, 3), textcoords="offset points", ha="center", size=8)
    axes.set_xticks(places, codes, parse_math=False)
    axes.set_xlim(-0.6, len(codes) - 0.4)
    axes.set_ylabel("videos")
    axes.set_title("Videos of each class in every fold (above: their mean)", loc="left", size=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
