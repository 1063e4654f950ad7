"""The picture of a class: frames in order of time with their heat maps, and the scores of the video."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from urbanpipe.evaluation.plots import class_label, drawable
from urbanpipe.explain.heat import Heat
from urbanpipe.taxonomy import Taxonomy

MAX_TILES = 16
_INK, _PALE, _HOT = "#1f2933", "#7b8794", "#c2410c"
_COLOURS = colormaps["turbo"]
_STRONGEST = 0.62  # largest opacity of the heat, so that pixels stay visible
_LISTED = 5  # classes in the list of scores
_TILE_INCHES = 1.9  # height of a tile
_MIN_INCHES = 2.3  # width that a caption needs, wider than a tile of an upright video
_LETTERS = 12  # letters per inch of the line below the title
_SIDE_INCHES = 2.9  # width of the list of scores
_TOP_INCHES, _CAPTION_INCHES, _GAP_INCHES = 0.75, 0.3, 0.1


@dataclass(frozen=True, eq=False)
class Title:
    """The texts and scores around the tiles.

    Attributes:
        video: name of the video file.
        taxonomy: the classes.
        scores: (classes,), probabilities in the whole video.
        recipe: name of the recipe.
    """

    video: str
    taxonomy: Taxonomy
    scores: NDArray[np.float64]
    recipe: str


def shown(heat: Heat, whole: bool) -> NDArray[np.int64]:
    """Return the indices of the frames that get a tile, ascending.

    These are all frames, or, if there are too many, the hottest frame of each of several equal parts of every segment.

    Args:
        heat: heat maps of the class.
        whole: whether to show any number of frames, as for a super-image, which is one picture.
    """
    if whole or len(heat.frames) <= MAX_TILES:
        return np.arange(len(heat.frames))
    segments = np.unique(heat.segments)
    parts = max(1, MAX_TILES // len(segments))
    chosen = []
    for segment in segments:
        rows = np.flatnonzero(heat.segments == segment)
        chosen += [part[heat.heights[part].argmax()] for part in np.array_split(rows, min(parts, len(rows)))]
    return np.sort(np.array(chosen, dtype=np.int64))


def blended(pixels: NDArray[np.uint8], one_map: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Blend a frame (height, width, 3) with its map (h, w) in [0, 1]; pixels with heat 0 stay unchanged."""
    size = pixels.shape[:2]
    heat = interpolate(torch.from_numpy(one_map)[None, None], size=size, mode="bicubic", align_corners=False)
    share = heat[0, 0].clamp(0, 1).numpy()[..., None]
    alpha = _STRONGEST * np.minimum(1.0, 1.5 * share)
    mixed = (1 - alpha) * pixels + alpha * 255 * _COLOURS(share[..., 0])[..., :3]
    bytes_: NDArray[np.uint8] = mixed.round().clip(0, 255).astype(np.uint8)
    return bytes_


def picture(heat: Heat, places: NDArray[np.int64], pixels: NDArray[np.uint8], title: Title) -> Figure:
    """Return the picture of a class.

    Args:
        heat: heat maps of the class.
        places: indices of the frames to show, (m,).
        pixels: pixels of these frames, (m, height, width, 3).
        title: texts and scores around the tiles.
    """
    columns = math.ceil(math.sqrt(len(places)))
    rows = math.ceil(len(places) / columns)
    tile = _TILE_INCHES * pixels.shape[2] / pixels.shape[1]
    cell = max(tile, _MIN_INCHES) + _GAP_INCHES
    width = columns * cell + _GAP_INCHES + _SIDE_INCHES
    height = max(rows * (_TILE_INCHES + _CAPTION_INCHES) + _TOP_INCHES, 3.4)
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    for number, frame in enumerate(places.tolist()):
        row, column = divmod(number, columns)
        left = _GAP_INCHES + column * cell + (cell - _GAP_INCHES - tile) / 2
        bottom = height - _TOP_INCHES - row * (_TILE_INCHES + _CAPTION_INCHES) - _TILE_INCHES
        axes = figure.add_axes((left / width, bottom / height, tile / width, _TILE_INCHES / height))
        _tile(axes, heat, frame, pixels[number])
    _head(figure, heat, title, height)
    left = (width - _SIDE_INCHES + 0.15) / width
    _scores(figure.add_axes((left, 1 - (_TOP_INCHES + 1.9) / height, 2.6 / width, 1.9 / height)), heat, title)
    return figure


def _tile(axes: Any, heat: Heat, frame: int, pixels: NDArray[np.uint8]) -> None:
    is_hottest = frame == heat.hottest
    axes.imshow(blended(pixels, heat.maps[frame]), extent=(0, 1, 1, 0), aspect="auto", interpolation="nearest")
    if heat.heights[frame] > 0:
        x, y = heat.peaks[frame]
        axes.plot([x], [y], "o", markersize=9, markerfacecolor="none", markeredgecolor="white", markeredgewidth=1.4)
    axes.set_xlim(0, 1)
    axes.set_ylim(1, 0)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color(_HOT if is_hottest else _PALE)
    axes.spines[:].set_linewidth(2.5 if is_hottest else 0.5)
    text = f"{heat.seconds[frame]:.2f} s, frame {heat.frames[frame]}, heat {heat.heights[frame]:.2f}"
    colour, weight = (_HOT, "bold") if is_hottest else (_INK, "normal")
    axes.set_xlabel(text, fontsize=8.5, color=colour, fontweight=weight, labelpad=3)


def _head(figure: Figure, heat: Heat, title: Title, height: float) -> None:
    item = title.taxonomy.classes[heat.index]
    left = 0.01
    text = f"{class_label(item)}: {heat.probability:.2f}"
    figure.text(left, 1 - 0.12 / height, text, va="top", fontsize=14, color=_INK, fontweight="bold", parse_math=False)
    below = drawable(f"{title.video}, {title.recipe}")
    if heat.hottest is None:
        below = f"these frames show no evidence for the class; {below}"
    room = int(_LETTERS * figure.get_figwidth())
    below = below if len(below) <= room else f"{below[: room - 3]}..."
    figure.text(left, 1 - 0.42 / height, below, va="top", fontsize=9, color=_PALE, parse_math=False)


def _scores(axes: Any, heat: Heat, title: Title) -> None:
    """Draw bars of the most probable classes and of the shown class."""
    order = np.argsort(-title.scores, kind="stable")[:_LISTED].tolist()
    listed = order if heat.index in order else [*order[: _LISTED - 1], heat.index]
    for row, index in enumerate(listed):
        is_shown = index == heat.index
        score = float(title.scores[index])
        axes.barh(row + 0.32, 1.0, height=0.22, color="#e4e7eb")
        axes.barh(row + 0.32, score, height=0.22, color=_HOT if is_shown else _PALE)
        style = {"fontsize": 8.5, "color": _HOT if is_shown else _INK, "va": "bottom", "parse_math": False}
        axes.text(0, row + 0.16, class_label(title.taxonomy.classes[index]), ha="left", **style)
        axes.text(1, row + 0.16, f"{score:.2f}", ha="right", **style)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(listed), -0.2)
    axes.axis("off")
