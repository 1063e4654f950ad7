"""The pictures of a report as data URIs, scaled down if all of them together would be too large."""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageFile

from urbanpipe.contracts.findings import Evidence, Inspection

MAX_LETTERS = 4_200_000
"""Maximum length in characters of all data URIs of a report, so that it stays below 5 MB."""

PRINT_STEPS = ((800, 82), (640, 80), (480, 72), (400, 66), (320, 60), (240, 50))
"""Longest side in pixels and JPEG quality: 800 pixels are 320 per inch on a picture of 63 mm."""
_STEPS = ((640, 80), (480, 72), (400, 66), (320, 60), (240, 50))  # longest side in pixels and JPEG quality
_SAMPLE, _DOUBT = 12, 1.15  # number of pictures for estimating the size at a step, and tolerance of the estimate
_HEAT_SIDE = 96  # pixels; heat maps are coarse, and browsers interpolate them
_THUMBNAIL_SIDE = 144
_DAMAGED = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)


@dataclass(frozen=True)
class Album:
    """Pictures by file name.

    Attributes:
        uris: data URIs.
        lost: reason for each picture without data URI: `missing`, `damaged` or `left_out`.
    """

    uris: dict[str, str]
    lost: dict[str, str]


def album(inspection: Inspection, folder: Path, most_letters: int = MAX_LETTERS) -> Album:
    """Read the pictures and heat maps of the shown findings.

    All pictures are scaled down by the same step, so that cards look alike. If even the smallest step is too large, the
    least informative ones are left out: later frames of an occurrence, then occurrences of less probable classes.

    Args:
        inspection: the inspection that names them.
        folder: the folder that contains them.
        most_letters: maximum number of characters of all data URIs together.
    """
    evidence = _most_informative_first(inspection)
    lost: dict[str, str] = {}
    uris = _heats(evidence, folder, lost)
    room = most_letters - sum(map(len, uris.values()))
    names = [one.picture for one in evidence]
    steps = ((0, 0), *_STEPS) if _letters(_size_bytes(names, folder)) <= room else _STEPS
    pictures = picture_album(names, folder, room, steps)
    return Album(uris | pictures.uris, lost | pictures.lost)


def picture_album(
    names: Sequence[str], folder: Path, most_letters: int, steps: Sequence[tuple[int, int]] = PRINT_STEPS
) -> Album:
    """Read pictures, all scaled down by the same step; if even the smallest step is too large, the last are left out.

    Args:
        names: paths relative to the folder, the most important first.
        folder: the folder that contains them; what lies outside it counts as damaged.
        most_letters: maximum number of characters of all data URIs together.
        steps: longest side in pixels (0: unchanged) and JPEG quality, the largest first.
    """
    lost: dict[str, str] = {}
    pictures = _fitting(list(dict.fromkeys(names)), folder, most_letters, lost, steps)
    return Album(_kept(pictures, most_letters, lost), lost)


def thumbnail(folder: Path, name: str) -> str | None:
    """Return a picture as a small data URI; None if it cannot be read."""
    data = thumbnail_jpeg(folder, name)
    return None if data is None else _uri(data, "JPEG")


def thumbnail_jpeg(folder: Path, name: str) -> bytes | None:
    """Return a picture as a small JPEG; None if it cannot be read or lies outside the folder."""
    try:
        return _reduced_jpeg(_inside(folder, name), _THUMBNAIL_SIDE, 70)
    except _DAMAGED:
        return None


def _most_informative_first(inspection: Inspection) -> list[Evidence]:
    ranked = [
        (rank, place, -occurrence.score, evidence)
        for place, finding in enumerate(inspection.defects)
        for occurrence in finding.occurrences
        for rank, evidence in enumerate(occurrence.evidence)
    ]
    return [evidence for *_, evidence in sorted(ranked, key=lambda one: one[:3])]


def _heats(evidence: Sequence[Evidence], folder: Path, lost: dict[str, str]) -> dict[str, str]:
    uris = {}
    for name in dict.fromkeys(one.heat for one in evidence if one.heat):
        try:
            uris[name] = _heat(_inside(folder, name))
        except _DAMAGED as error:
            lost[name] = _why(error)
    return uris


def _size_bytes(names: Sequence[str], folder: Path) -> int:
    return sum((folder / name).stat().st_size for name in dict.fromkeys(names) if (folder / name).is_file())


def _fitting(
    names: Sequence[str], folder: Path, room: int, lost: dict[str, str], steps: Sequence[tuple[int, int]]
) -> dict[str, str]:
    """Return all pictures at the first step at which they fit, else at the last step."""
    sample = names[:: max(1, len(names) // _SAMPLE)]
    for side, quality in steps[:-1]:
        letters = sum(map(len, _by_step(sample, folder, side, quality, lost).values()))
        if letters * len(names) > _DOUBT * room * len(sample):
            continue
        uris = _by_step(names, folder, side, quality, lost)
        if sum(map(len, uris.values())) <= room:
            return uris
    return _by_step(names, folder, *steps[-1], lost)


def _by_step(names: Sequence[str], folder: Path, side: int, quality: int, lost: dict[str, str]) -> dict[str, str]:
    uris = {}
    for name in names:
        try:
            path = _inside(folder, name)
            uris[name] = _reduced(path, side, quality) if side else _as_it_is(path)
        except _DAMAGED as error:
            lost[name] = _why(error)
    return uris


def _kept(uris: dict[str, str], room: int, lost: dict[str, str]) -> dict[str, str]:
    kept = {}
    for name, uri in uris.items():
        room -= len(uri)
        if room >= 0:
            kept[name] = uri
        else:
            lost[name] = "left_out"
    return kept


def _inside(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{name} lies outside the inspection's folder")
    return path


def _why(error: Exception) -> str:
    return "missing" if isinstance(error, FileNotFoundError) else "damaged"


def _opened(file: Path | io.BytesIO, *formats: str) -> Image.Image:
    """Open a picture; loading a truncated one raises an error, although WeasyPrint lets the whole process load them."""
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    return Image.open(file, formats=formats)


def _as_it_is(path: Path) -> str:
    data = path.read_bytes()
    with _opened(io.BytesIO(data), "JPEG", "PNG") as image:
        image.load()
        return _uri(data, image.format or "")


def _reduced(path: Path, side: int, quality: int) -> str:
    return _uri(_reduced_jpeg(path, side, quality), "JPEG")


def _reduced_jpeg(path: Path, side: int, quality: int) -> bytes:
    with _opened(path, "JPEG", "PNG") as image:
        image.draft("RGB", (side, side))
        small = image.convert("RGB")
    small.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=None)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=quality, optimize=True, progressive=True)
    return out.getvalue()


def _heat(path: Path) -> str:
    with _opened(path, "PNG") as image:
        small = image.convert("RGBA")
    small.thumbnail((_HEAT_SIDE, _HEAT_SIDE), Image.Resampling.BILINEAR)
    out = io.BytesIO()
    small.save(out, "WEBP", quality=70, alpha_quality=90, method=2)
    return _uri(out.getvalue(), "WEBP")


def _letters(size_bytes: int) -> int:
    return math.ceil(size_bytes / 3) * 4


def _uri(data: bytes, form: str) -> str:
    return f"data:image/{form.lower()};base64,{base64.b64encode(data).decode()}"
