"""Match the names that people write to the names of videos: one rule for labels, folds and predictions.

Names match as they are, or else where exactly one written name and one video are equal after folding: case, spaces,
Unicode form and width; folders above the name; a missing extension; dates and numbers as Excel rewrites names.
"""

import difflib
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from unicodedata import normalize

from urbanpipe.locations import plain_path
from urbanpipe.text_files import INVISIBLE

Keys = Callable[[str], set[Hashable]]

_DRIVE = re.compile(r"^[a-z]:")
_EXTENSION = re.compile(r"\.[a-z0-9]{2,5}$", re.ASCII)
_SHORTENED_NUMBER = re.compile(r"\d{1,18}(\.\d{1,18})?(e[+-]?\d{1,3})?", re.ASCII)
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {month: number for number, month in enumerate(_MONTH_NAMES, 1)}
_LONG_DATE = re.compile(r"\d{1,4}/\d{1,2}/\d{1,4}(\.[a-z0-9]{2,5})?", re.ASCII)
_REWRITTEN = re.compile(rf"(?<![a-z])({'|'.join(_MONTHS)})(?![a-z])|月|\d/\d|^\d{{4}}-\d\d-\d\d$", re.ASCII)
_LEAP_YEAR = 2000
_COMPARED = 5_000  # names that are compared letter by letter
_HINTS = 50  # written names that are compared letter by letter
_SIMILAR = 0.75
_NEAR = 3


@dataclass(frozen=True)
class NameMatches:
    """Which video each written name means.

    Attributes:
        matched: video by written name; no video occurs twice.
        near: for each other written name, the videos that it may mean; there may be none.
    """

    matched: dict[str, str]
    near: dict[str, tuple[str, ...]]

    @property
    def differing(self) -> dict[str, str]:
        """The matches whose names differ."""
        return {written: video for written, video in self.matched.items() if written != video}


def match_names(written: Iterable[str], videos: Iterable[str], *, taken: Collection[str] = ()) -> NameMatches:
    """Match written names to videos, one to one.

    Args:
        written: names or paths that people wrote.
        videos: names or relative paths of all videos there are.
        taken: those of the videos that other names mean already.
    """
    given, known = list(dict.fromkeys(written)), list(dict.fromkeys(videos))
    matched = {name: name for name in set(given) & set(known) - set(taken)}
    for keys_of_written, keys_of_video in _LEVELS:
        used = {*taken, *matched.values()}
        left = [name for name in given if name not in matched]
        if not left:
            break
        free = [name for name in known if name not in used]
        matched |= _one_to_one(_candidates(left, free, keys_of_written, keys_of_video))
    unmatched = [name for name in given if name not in matched]
    return NameMatches({name: matched[name] for name in given if name in matched}, _near(unmatched, known))


def near_text(near: Sequence[str]) -> str:
    """Return ` (near: a.mp4, b.mp4)`, or nothing if no name is near."""
    return f" (near: {', '.join(near)})" if near else ""


def folded_twins(names: Iterable[str]) -> tuple[str, str] | None:
    """Return the first two names that differ only in case, spaces or the encoding of letters, or None."""
    first: dict[str, str] = {}
    for name in names:
        if (other := first.setdefault(folded(name), name)) != name:
            return other, name
    return None


@lru_cache(maxsize=1 << 17)
def folded(name: str) -> str:
    r"""Return a name without what people and programs change by accident.

    >>> folded(r"D:\Archive\ Ａ1.MP4 ")
    'archive/a1.mp4'
    """
    text = normalize("NFKC", normalize("NFKC", plain_path(name.strip())).casefold())
    text = text.translate(INVISIBLE).replace("\\", "/")
    parts = [" ".join(part.split()) for part in _DRIVE.sub("", text.strip()).split("/")]
    return "/".join(part for part in parts if part not in ("", ".")) or text


def _base(name: str) -> str:
    """Return the folded name without folders; slashes of a date do not separate folders."""
    text = folded(name)
    return text if _LONG_DATE.fullmatch(text) else text.rpartition("/")[2]


def _stem(name: str) -> str:
    return _EXTENSION.sub("", _base(name)).rstrip()


def _dates(text: str) -> set[tuple[int, int, int]]:
    """Return all readings of a text as year, month and day; the year is 0 if the text has none."""
    parts = [_MONTHS.get(part, part) for part in re.split(r"[-/. 年月]", text.rstrip("日号 "))]
    if not 2 <= len(parts) <= 3 or not all(isinstance(part, int) or re.fullmatch(r"\d{1,4}", part) for part in parts):
        return set()
    numbers = [int(part) for part in parts]
    if len(numbers) == 2:
        orders = [(0, *numbers), (0, *numbers[::-1])]
    else:
        one, two, three = numbers
        orders = [(one, two, three), (three, one, two), (three, two, one)]
    return {(year % 100 if year else 0, month, day) for year, month, day in orders if _is_day(month, day)}


def _is_day(month: int, day: int) -> bool:
    try:
        return bool(date(_LEAP_YEAR, month, day))
    except ValueError:
        return False


def _written_dates(name: str) -> set[Hashable]:
    if not _REWRITTEN.search(_stem(name)):
        return set()
    return {(year, month, day) for found in _dates(_stem(name)) for year, month, day in (found, (0, *found[1:]))}


def _number(text: str) -> set[Hashable]:
    return {Decimal(text)} if _SHORTENED_NUMBER.fullmatch(text) else set()


_LEVELS: tuple[tuple[Keys, Keys], ...] = (
    (lambda name: {folded(name)}, lambda name: {folded(name)}),
    (lambda name: {_base(name)}, lambda name: {_base(name)}),
    (lambda name: {(0, _base(name)), (1, _stem(name))}, lambda name: {(0, _stem(name)), (1, _base(name))}),
    (_written_dates, lambda name: set(_dates(_stem(name)))),
    (lambda name: _number(_base(name)), lambda name: _number(_stem(name))),
)


def _candidates(
    written: Sequence[str], videos: Sequence[str], keys_of_written: Keys, keys_of_video: Keys
) -> dict[str, set[str]]:
    """Return the videos that share a key with each written name and are in no other folder."""
    videos_of: dict[Hashable, list[str]] = defaultdict(list)
    for video in videos:
        for key in keys_of_video(video):
            videos_of[key].append(video)
    return {
        name: {video for key in keys_of_written(name) for video in videos_of.get(key, ()) if _same_folders(name, video)}
        for name in written
    }


def _same_folders(name: str, video: str) -> bool:
    """Return whether the folders of two names agree, as far as both have any."""
    ours, theirs = (folded(text).removesuffix(_base(text)).split("/")[-2::-1] for text in (name, video))
    return all(one == other for one, other in zip(ours, theirs, strict=False))


def _one_to_one(candidates: dict[str, set[str]]) -> dict[str, str]:
    names_of: dict[str, list[str]] = defaultdict(list)
    for name, videos in candidates.items():
        for video in videos:
            names_of[video].append(name)
    single = {name: next(iter(videos)) for name, videos in candidates.items() if len(videos) == 1}
    return {name: video for name, video in single.items() if len(names_of[video]) == 1}


def _near(written: Sequence[str], videos: Sequence[str]) -> dict[str, tuple[str, ...]]:
    near: dict[str, list[str]] = {name: [] for name in written}
    for keys_of_written, keys_of_video in _LEVELS if written else ():
        for name, found in _candidates(written, videos, keys_of_written, keys_of_video).items():
            near[name] += sorted(found - set(near[name]))
    stems = {_stem(video): video for video in videos[:_COMPARED]}
    for name in [name for name in written if not near[name]][:_HINTS]:
        near[name] = [stems[stem] for stem in difflib.get_close_matches(_stem(name), stems, n=1, cutoff=_SIMILAR)]
    return {name: tuple(found[:_NEAR]) for name, found in near.items()}
