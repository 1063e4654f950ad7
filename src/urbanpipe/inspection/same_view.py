"""Whether two pictures of a video show the same view, as those of a standing camera do."""

import io

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIZE = (80, 60)  # width and height at which pictures are compared
MIN_CORRELATION = 0.8  # of half of the blocks at least; a crawler two seconds on stays below 0.7
_BLOCK = 10  # pixels; on-screen text fills few of the blocks
_REACH = 8  # pixels by which the view may have moved
_BROAD = 6.0  # standard deviation, pixels, of the brightness that is removed: it is alike all along a pipe
_FLAT = 1.0  # standard deviation, grey levels, below which a block shows nothing


def same_view(one: bytes, other: bytes) -> bool:
    """Return whether two JPEG pictures show the same view, up to a small shift and the brightness."""
    return view_correlation(_details(one), _details(other)) >= MIN_CORRELATION


def view_correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the median correlation of the blocks of two pictures after the best shift; 0 where nothing is visible.

    Args:
        one: details of a picture, (h, w).
        other: details of the other picture, (h, w).
    """
    down, right = _shift(one, other)
    h, w = one.shape
    first = one[max(0, down) : h + min(0, down), max(0, right) : w + min(0, right)]
    second = other[max(0, -down) : h - max(0, down), max(0, -right) : w - max(0, right)]
    a, b = _blocks(first), _blocks(second)
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    spread = np.sqrt((a * a).mean(axis=1) * (b * b).mean(axis=1))
    shown = spread > _FLAT**2
    return float(np.median((a * b).mean(axis=1)[shown] / spread[shown])) if shown.any() else 0.0


def _details(jpeg: bytes) -> NDArray[np.float64]:
    """Return a small grey picture without its broad brightness, (h, w)."""
    with Image.open(io.BytesIO(jpeg)) as picture:
        grey = np.asarray(picture.convert("L").resize(SIZE, Image.Resampling.BOX), dtype=np.float64)
    return details(grey)


def details(grey: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a grey picture (h, w) without its noise and its broad brightness."""
    return _smooth(grey, 1.0) - _smooth(grey, _BROAD)


def _smooth(grey: NDArray[np.float64], deviation: float) -> NDArray[np.float64]:
    """Return a picture (h, w) smoothed by a Gaussian of a standard deviation in pixels, cut off at four of them."""
    side = 2 * round(4 * deviation) + 1
    smoothed = cv2.GaussianBlur(grey, (side, side), deviation, borderType=cv2.BORDER_REFLECT)
    return np.asarray(smoothed, dtype=np.float64)


def _shift(one: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[int, int]:
    """Return by how many pixels down and right `one` lies relative to `other`, at most _REACH: the best correlation."""
    shape = [2 * side for side in one.shape]
    product = np.fft.rfft2(one, shape) * np.conj(np.fft.rfft2(other, shape))
    correlation = np.fft.irfft2(product, shape)
    near = np.arange(-_REACH, _REACH + 1)
    window = correlation[np.ix_(near, near)]
    row, column = np.unravel_index(int(window.argmax()), window.shape)
    return int(near[row]), int(near[column])


def _blocks(picture: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the whole blocks of a picture, (blocks, pixels)."""
    rows, columns = (side // _BLOCK for side in picture.shape)
    cut = picture[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK)
    return cut.swapaxes(1, 2).reshape(rows * columns, -1)
