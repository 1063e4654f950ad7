"""Overlays of the picture: water on the lens, and on-screen text."""

import cv2
import numpy as np
from numpy.typing import NDArray

from urbanpipe.simulate.scene import Look

Frame = NDArray[np.uint8]
_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_PLAIN, cv2.FONT_HERSHEY_DUPLEX)


class Lens:
    """Drops of water on the lens: each shows the picture small, blurred and upside down."""

    def __init__(self, look: Look, size: tuple[int, int]) -> None:
        width, height = size
        rng = np.random.default_rng((look.seed, 5))
        x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        self._x, self._y = x.copy(), y.copy()
        self._mask = np.zeros((height, width), np.float32)
        for _ in range(look.drops):
            cx, cy = rng.uniform(0, width), rng.uniform(0, height)
            radius = height * rng.uniform(0.04, 0.14)
            away = np.hypot(x - cx, (y - cy) * rng.uniform(0.8, 1.0)) / np.float32(radius)
            inside = np.clip(4 * (1 - away), 0, 1).astype(np.float32)
            self._x += (cx - 2.2 * (x - cx) - self._x) * inside
            self._y += (cy - 2.2 * (y - cy) - self._y) * inside
            self._mask = np.maximum(self._mask, inside)

    def seen_through(self, frame: Frame) -> Frame:
        """Return the picture as seen through the drops."""
        bent = cv2.remap(frame, self._x, self._y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        bent = cv2.GaussianBlur(bent, (0, 0), frame.shape[0] / 120)
        mixed = frame + (bent.astype(np.float32) * 1.05 - frame) * (0.85 * self._mask[..., None])
        return np.clip(mixed, 0, 255).astype(np.uint8)


class Screen:
    """On-screen text of the recorder: site, date and time, distance, in the style of the site."""

    def __init__(self, look: Look, site: str, size: tuple[int, int]) -> None:
        rng = np.random.default_rng((look.seed, 6))
        self._style, self._size = look.text, size
        self._font = _FONTS[int(rng.integers(len(_FONTS)))]
        self._scale = size[1] / 480 * float(rng.uniform(0.55, 0.85)) * (1.4 if self._font == _FONTS[1] else 1.0)
        self._colour = ((255, 255, 255), (250, 240, 120), (230, 255, 230))[int(rng.integers(3))]
        self._radius_m = look.diameter_mm / 2000
        self._start = int(rng.integers(86400))
        day = f"{2012 + int(rng.integers(12))}-{1 + int(rng.integers(12)):02d}-{1 + int(rng.integers(28)):02d}"
        self._head = (f"{site} DN{look.diameter_mm}", f"ID:{site}", f"{site}")[int(rng.integers(3))]
        self._day = day

    def write(self, frame: Frame, seconds: float, s: float) -> None:
        """Write the text on the frame."""
        if self._style == 0:
            return
        clock = self._start + int(seconds)
        time = f"{clock // 3600 % 24:02d}:{clock // 60 % 60:02d}:{clock % 60:02d}"
        distance = f"{max(0.0, s) * self._radius_m:.2f}M"
        top, bottom = (
            (self._head, f"{self._day} {time}"),
            (self._head, f"D:{distance}"),
            (f"{self._day}  {time}", distance),
        )[self._style - 1]
        margin = max(3, frame.shape[0] // 30)
        line = cv2.getTextSize(top, self._font, self._scale, 1)[0][1]
        self._put(frame, top, (margin, margin + line))
        wide = cv2.getTextSize(bottom, self._font, self._scale, 1)[0][0]
        left = margin if self._style == 2 else frame.shape[1] - wide - margin
        self._put(frame, bottom, (left, frame.shape[0] - margin))

    def _put(self, frame: Frame, text: str, place: tuple[int, int]) -> None:
        thick = max(1, round(self._scale * 1.6))
        cv2.putText(frame, text, place, self._font, self._scale, (20, 20, 20), thick + 2, cv2.LINE_AA)
        cv2.putText(frame, text, place, self._font, self._scale, self._colour, thick, cv2.LINE_AA)
