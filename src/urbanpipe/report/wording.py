"""The wording of reports: texts in each language, and formats of times and probabilities."""

import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from urbanpipe.contracts.findings import Finding
from urbanpipe.errors import InspectionError

_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_TEXTS = Path(__file__).with_name("texts.toml")


@dataclass(frozen=True)
class Wording:
    """The texts of one language.

    Attributes:
        language: key of the language in `texts.toml`.
        texts: texts by key, some with `{placeholders}`.
    """

    language: str
    texts: dict[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """The text of a key with its placeholders filled; a missing key is a bug."""
        return self.texts[key].format(**values)

    def count(self, key: str, number: int) -> str:
        """Return the text of `key_one` or `key_many`, depending on the number."""
        return self(f"{key}_one" if number == 1 else f"{key}_many", number=number)

    def name(self, finding: Finding) -> str:
        """Return the name of a class; in English if there is no other."""
        return (finding.zh or finding.en) if self.language == "zh" else finding.en

    def kind(self, kind: str) -> str:
        """Return the text for the kind of a class; an unknown kind is returned unchanged."""
        return self.texts.get(f"kind_{kind}", kind)

    def meaning(self, share: float, calibrated: bool) -> str:
        """Return the meaning of a probability in plain words."""
        if not calibrated:
            return self("meaning_score")
        if share >= 0.995:
            return self("meaning_most")
        return self("meaning_few") if share < 0.005 else self("meaning", number=_per_cent(share))


@lru_cache
def all_texts(path: Path = _TEXTS) -> dict[str, dict[str, str]]:
    """Read the texts of all languages, by language and key; default: those of reports and indexes."""
    return tomllib.loads(path.read_text(encoding="utf-8"))


def wording(language: str, path: Path = _TEXTS) -> Wording:
    """Return the texts of a language; default: those of reports and indexes.

    Raises:
        InspectionError: there are no texts in that language.
    """
    texts = all_texts(path)
    if language not in texts:
        raise InspectionError(f"no texts in the language {language!r}; expected one of {', '.join(texts)}")
    return Wording(language, texts[language])


def clock(seconds: float, tenths: bool = False) -> str:
    """Format a time as mm:ss, or h:mm:ss from one hour on, rounded down to the second or the tenth.

    >>> clock(75.25), clock(75.25, tenths=True), clock(3600)
    ('01:15', '01:15.2', '1:00:00')
    """
    whole = int(seconds * 10 + 1e-6)
    rest, tenth = divmod(whole, 10)
    minutes, second = divmod(rest, 60)
    hours, minute = divmod(minutes, 60)
    text = f"{hours}:{minute:02}:{second:02}" if hours else f"{minute:02}:{second:02}"
    return f"{text}.{tenth}" if tenths else text


def sureness(share: float, calibrated: bool) -> str:
    """Format a calibrated probability in per cent, and an uncalibrated score as a plain number.

    >>> sureness(0.97, True), sureness(0.999, True), sureness(0.001, True), sureness(0.97, False)
    ('97%', '>99%', '<1%', '0.97')
    """
    if not calibrated:
        return f"{share:.2f}"
    if share >= 0.995:
        return ">99%"
    return "<1%" if share < 0.005 else f"{_per_cent(share)}%"


def _per_cent(share: float) -> int:
    """Round half up: no share that is shown as less than 10 % lies above one that is shown as 10 %."""
    return int(100 * share + 0.5)


def visible(text: str) -> str:
    r"""Replace characters of others that change the direction of text, or that cannot be written, by a mark.

    >>> visible("pipe\u202egpj.mp4") == "pipe\ufffdgpj.mp4"
    True
    """
    return _UNSEEN.sub("\ufffd", text)
