"""Texts in exchange files: one line without control characters, and no longer than the format allows."""

from collections.abc import Iterator

from urbanpipe.contracts.inspection_data import printable
from urbanpipe.contracts.names import short_hash
from urbanpipe.errors import InspectionError

_MARK = "~"


def one_line(text: str) -> str:
    r"""Return text without control characters, line breaks as spaces.

    >>> one_line("a\x00b\n c")
    'ab c'
    """
    return " ".join(printable(" ".join(text.split())).split())


class ShortTexts:
    """Texts shortened to a limit so that different texts stay different.

    A longer text becomes its beginning, `~` and eight hexadecimal digits that depend on the whole text.
    """

    def __init__(self) -> None:
        self._originals: dict[tuple[str, int], str] = {}

    def of(self, text: str, limit: int) -> str:
        """Return a text in one line of at most `limit` characters.

        Raises:
            InspectionError: another text was shortened to the same.
        """
        line = one_line(text)
        short = line if len(line) <= limit else f"{line[: limit - 9].rstrip()}{_MARK}{short_hash(line)}"
        other = self._originals.setdefault((short, limit), line)
        if other != line:
            raise InspectionError(f"{line!r} and {other!r} are the same in {limit} characters, {short!r}; rename one")
        return short

    def lines(self) -> Iterator[str]:
        """Yield a line for each text that was shortened."""
        for (short, limit), line in self._originals.items():
            if short != line:
                yield f"shortened to {limit} characters: {line!r} is {short!r}"
