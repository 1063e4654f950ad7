"""Headers and footers: CSS rules for the pages of each segment, with texts of others as escaped strings."""

from collections.abc import Sequence

from urbanpipe.contracts.text_width import cut
from urbanpipe.record.segments import RecordSegment
from urbanpipe.report.wording import Wording, visible

_LEFT_COLUMNS, _RIGHT_COLUMNS, _NOTICE_COLUMNS = 52, 46, 200


def page_rules(
    segments: Sequence[RecordSegment], notices: Sequence[Sequence[str]], t: Wording, *, contractor: str
) -> str:
    """Return the rules of all pages: segment, date, contractor, notices, and the number of the page.

    Args:
        segments: the segments, in order.
        notices: what the pages of each segment must say.
        t: texts.
        contractor: who hands in the record; the operator stands in the header where it is empty.
    """
    begin, middle, end = t("page", page="\0", pages="\0").split("\0")
    number = f"{css_string(begin)} counter(page) {css_string(middle)} counter(pages) {css_string(end)}"
    every = list(dict.fromkeys(line for lines in notices for line in lines))
    dates = sorted({one.data.date for one in segments if one.data.date})
    days = " – ".join(dict.fromkeys([dates[0], dates[-1]])) if dates else ""
    rules = [
        f"@page {{ @bottom-right {{ content: {number}; }} }}",
        _named("cover", t("title"), _right(days, contractor), _sentence(every, t)),
    ]
    for place, (one, lines) in enumerate(zip(segments, notices, strict=True), 1):
        right = _right(one.data.date, contractor or one.data.operator)
        rules.append(_named(f"segment-{place}", t("segment_title", name=one.name), right, _sentence(lines, t)))
        rules.append(f".segment-{place} {{ page: segment-{place}; }}")
    return "\n".join(rules) + "\n"


def css_string(text: str) -> str:
    r"""Return a text as a CSS string in which nothing but letters and digits stands for itself.

    >>> css_string('a"}')
    '"a\\22 \\7d "'
    """
    marks = (mark if mark.isascii() and mark.isalnum() else f"\\{ord(mark):x} " for mark in visible(text))
    return f'"{"".join(marks)}"'


def _right(date: str, contractor: str) -> str:
    return " · ".join(part for part in (date, cut(contractor, _RIGHT_COLUMNS - 14)) if part)


def _sentence(notices: Sequence[str], t: Wording) -> str:
    return " ".join(f"{line}{t('stop')}" for line in notices)


def _named(name: str, left: str, right: str, notice: str) -> str:
    boxes = {
        "top-left": cut(left, _LEFT_COLUMNS),
        "top-right": cut(right, _RIGHT_COLUMNS),
        "bottom-left": cut(notice, _NOTICE_COLUMNS),
    }
    return f"@page {name} {{ {' '.join(f'@{box} {{ content: {css_string(text)}; }}' for box, text in boxes.items())} }}"
