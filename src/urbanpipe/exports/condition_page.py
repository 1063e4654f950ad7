"""Condition figures as an HTML page: segments ranked by urgency, each beside the pictures of its worst defects."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from urbanpipe.exports.columns import Language
from urbanpipe.exports.condition import Defect, IndexFigure, SegmentCondition
from urbanpipe.exports.condition_table import Refused
from urbanpipe.exports.rules import Level, Levels, Rules
from urbanpipe.report.page import document
from urbanpipe.report.pictures import thumbnail
from urbanpipe.report.wording import Wording, wording

MARK = "urbanpipe condition"
"""Name of the generator in a page, by which an earlier one is recognised."""
_TEXTS = Path(__file__).with_name("condition_texts.toml")
_TEMPLATE = Path(__file__).with_name("templates") / "condition.html"
_SHOWN, _MAX_PICTURES = 4, 2_000
_RANKS = 4


@dataclass(frozen=True)
class ShownLevel:
    """A level: its name, and its rank from 1 to 4."""

    name: str
    rank: int


@dataclass(frozen=True)
class ShownDefect:
    """A defect: data URI of its picture (None without one), and what it is and where."""

    picture: str | None
    caption: str


@dataclass(frozen=True)
class ShownSegment:
    """A segment: what it is, its figures, its worst defects, and the number of the others."""

    name: str
    about: str
    figures: tuple[tuple[str, str, str, ShownLevel, str], ...]
    defects: tuple[ShownDefect, ...]
    more: int


def condition_html(
    segments: Sequence[SegmentCondition], refused: Sequence[Refused], rules: Rules, language: Language, base: Path
) -> str:
    """Return the page.

    Args:
        segments: figures of the segments.
        refused: segments without figures.
        rules: the rules applied.
        language: `en` or `zh`.
        base: folder that the paths of pictures are relative to.
    """
    t = wording(language, _TEXTS)
    room = iter(range(_MAX_PICTURES))
    content = {
        "language": {"zh": "zh-CN"}.get(language, language),
        "mark": MARK,
        "standard": rules.name,
        "segments": [_segment(one, rules, base, t, room) for one in ranked(segments)],
        "refused": [(one.name, [cell.text(language) for cell in one.missing]) for one in refused],
    }
    return document(_TEMPLATE, _TEMPLATE.with_suffix(".css").read_text(encoding="utf-8"), t, content)


def ranked(segments: Sequence[SegmentCondition]) -> list[SegmentCondition]:
    """Return segments by RI, MI, F and G, the highest first; equal ones stay in their order."""
    return sorted(
        segments,
        key=lambda one: (-one.repair.value, -one.maintenance.value, -one.structural.value, -one.functional.value),
    )


def _segment(one: SegmentCondition, rules: Rules, base: Path, t: Wording, room: Iterator[int]) -> ShownSegment:
    segment = one.segment
    worst = sorted(segment.defects, key=lambda defect: -rules.by_code[defect.code].scores[defect.grade - 1])
    about = (
        f"{segment.length:f} m",
        f"{segment.diameter:f} mm",
        t.count("defects", one.defects),
        f"{t('reviewer')}: {segment.reviewer}",
    )
    indices: tuple[tuple[str, str, IndexFigure, Levels], ...] = (
        ("repair", rules.repair.index, one.repair, rules.repair),
        ("maintenance", rules.maintenance.index, one.maintenance, rules.maintenance),
    )
    parameters = (("structure", rules.structural, one.structural), ("function", rules.functional, one.functional))
    return ShownSegment(
        name=segment.name,
        about=" · ".join(about),
        figures=(
            *((t(key), name, f"{one.value:.2f}", *_level(one.level, all_, t)) for key, name, one, all_ in indices),
            *(
                (t(key), rule.parameter, f"{figures.value:.2f}", *_level(figures.level, rule, t))
                for key, rule, figures in parameters
            ),
        ),
        defects=tuple(_defect(defect, base, room) for defect in worst[:_SHOWN]),
        more=max(0, len(worst) - _SHOWN),
    )


def _level(level: Level, levels: Levels, t: Wording) -> tuple[ShownLevel, str]:
    return ShownLevel(level.name, min(levels.levels.index(level) + 1, _RANKS)), level.in_(t.language)


def _defect(defect: Defect, base: Path, room: Iterator[int]) -> ShownDefect:
    shown = _picture(defect.picture, base) if next(room, None) is not None else None
    return ShownDefect(shown, f"{defect.code} {defect.grade} · {defect.start:f} m")


def _picture(name: str, base: Path) -> str | None:
    """Return a picture as a data URI; None if there is none, or if its path could name another machine."""
    if not name or PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor:
        return None
    path = Path(os.path.normpath(base / name))
    return thumbnail(path.parent, path.name)
