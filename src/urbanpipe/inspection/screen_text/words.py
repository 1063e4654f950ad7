"""Words on the screen that name a field of inspection data, and the values after them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from unicodedata import normalize

from urbanpipe.contracts.field_words import words_by_field

_ONLY_IN_HEADINGS = ("shape", "region", "soil")
_SHORT = {
    "to",
    "from",
    "von",
    "nach",
    "bis",
    "ort",
    "mat",
    "size",
    "height",
    "site",
    "start",
    "finish",
    "order",
    "owner",
}
"""Words that also occur in ordinary text: they count at the begin of a line, or before a colon."""
_SEPARATORS = " \t:=.;,|#_"
_SHARP_S = re.compile(r"(?<=tra)B(?=e)|(?<=lie)B(?=richtung)", re.IGNORECASE)
"""A letter that the recognition does not know and takes for a B, in words that matter here."""
MANHOLES = "manholes"
"""The field of words before one or two manholes: `MH: 1-153 to 1-154`."""
BOTH_MANHOLES = "both_manholes"
"""The field of words before two manholes: `起止井号：Y231-Y164`."""


@dataclass(frozen=True)
class NamedText:
    """A text that a word on the screen names: the field, and the text after the word; it may be empty."""

    field: str
    text: str


def plain_line(text: str) -> str:
    """Return a line in one form: full-width marks become plain, spaces single, and `StraBe` is read as `Straße`."""
    return _SHARP_S.sub("ß", " ".join(normalize("NFKC", text).split()))


def named_texts(line: str) -> list[NamedText]:
    """Return the fields that words in a line name, in order, each with the text up to the next word.

    >>> [(one.field, one.text) for one in named_texts("From MH 1-153 To MH 1-154")]
    [('from_manhole', '1-153'), ('to_manhole', '1-154')]
    """
    line = plain_line(line)
    found = list(_words_in(line))
    begins = [begin for _, begin, _ in found] + [len(line)]
    return [
        NamedText(field, line[end:until].strip(_SEPARATORS + "-/"))
        for (field, _, end), until in zip(found, begins[1:], strict=True)
    ]


def _words_in(line: str) -> Iterator[tuple[str, int, int]]:
    """Yield field, begin and end of the words in a line."""
    fields, pattern = _pattern()
    last, colons = "", False
    for match in pattern.finditer(line):
        word = re.sub(r"[\s.]", "", match[0]).casefold()
        before, after = line[: match.start()], line[match.end() :]
        continues = fields[word] == "to_manhole" and last in {"from_manhole", MANHOLES, BOTH_MANHOLES}
        if _is_part_of_a_word(before, match[0], after):
            continue
        colon = after.lstrip().startswith((":", "="))
        inside = bool(before.strip(_SEPARATORS))
        if inside and not (colon or continues) and (word in _SHORT or colons or fields[word] == last):
            continue
        last, colons = fields[word], colons or colon
        yield last, match.start(), match.end()


def _is_part_of_a_word(before: str, word: str, after: str) -> bool:
    """Return whether Latin letters continue a word; a capital after a small one begins another one."""
    if not re.match(r"[a-zäöüß]", word, re.IGNORECASE):
        return False
    begins = re.search(r"[a-zäöüß]$", before, re.IGNORECASE) and not (before[-1].islower() and word[0].isupper())
    continues = re.match(r"[a-zäöüß]", after, re.IGNORECASE) and not (word[-1].islower() and after[0].isupper())
    return bool(begins or continues)


@lru_cache
def _pattern() -> tuple[dict[str, str], re.Pattern[str]]:
    """Return the fields by their words without spaces, and a pattern of all words, the longest first."""
    known = {field: words for field, words in words_by_field().items() if field not in _ONLY_IN_HEADINGS}
    fields = {re.sub(r"\s", "", word).casefold(): field for field, words in known.items() for word in words}
    words = sorted((word for words in known.values() for word in words), key=len, reverse=True)
    patterns = (r"[\s.]?".join(map(re.escape, word.split())) for word in words)
    return fields, re.compile("|".join(patterns), re.IGNORECASE)
