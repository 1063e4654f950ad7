"""Cells that a person has to fill in or to correct: their position and what is expected, in both languages."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from urbanpipe.contracts.inspection_data import InspectionData
from urbanpipe.errors import InspectionError, Mistake
from urbanpipe.exports.columns import DEFECT_COLUMNS, SEGMENT_COLUMNS, Language, word
from urbanpipe.report.inspection_data import DATA_TEXTS, value_text
from urbanpipe.report.wording import wording

_TEXTS = Path(__file__).with_name("cell_texts.toml")
_CHINESE = {column.key: column.zh for column in (*DEFECT_COLUMNS, *SEGMENT_COLUMNS)} | {
    "length": "长度 m",  # of a defect or of a segment
}
_WORDED = ("direction", "shape")
_SHOWN = 60  # characters of a text in a message


class CellPlace(Protocol):
    """Where a cell is."""

    def text(self, language: Language) -> str:
        """Return the position in words."""
        ...

    def row_text(self, language: Language) -> str:
        """Return its row in words, for a line that has named its sheet."""
        ...


class Worded(ABC):
    """Something that has words in each language; `str` gives the English ones."""

    @abstractmethod
    def text(self, language: Language) -> str:
        """Return the words."""

    def __str__(self) -> str:
        """Return the words in English."""
        return self.text("en")


@dataclass(frozen=True)
class SheetCell(Worded):
    """A cell of a workbook.

    Attributes:
        sheet: title of the sheet.
        row: number of the row, from 1.
        column: letters of the column; empty where the sheet has no such column.
        key: key of the column.
    """

    sheet: str
    row: int
    column: str
    key: str

    def text(self, language: Language) -> str:
        """Return the position in words."""
        t = wording(language, _TEXTS)
        cell = _name(self.key, language)
        if not self.column:
            return t("sheet_without_column", sheet=self.sheet, row=self.row, cell=cell)
        return t("sheet", sheet=self.sheet, row=self.row, column=self.column, cell=cell)

    def row_text(self, language: Language) -> str:
        """Return its row in words."""
        return wording(language, _TEXTS)("row", row=self.row)


@dataclass(frozen=True)
class ReviewCell(Worded):
    """A field of a video or of a defect in the review.

    Attributes:
        video: name of the video.
        key: key of the column that the field has in the CJJ 181 table.
        code: class of the defect; empty for a field of the video.
        time: time of the defect, `mm:ss.s`; empty if it has none.
        status: key of its status, where that is what keeps it from counting.
    """

    video: str
    key: str
    code: str = ""
    time: str = ""
    status: str = ""

    def text(self, language: Language) -> str:
        """Return the position in words."""
        t = wording(language, _TEXTS)
        cell = _name(self.key, language)
        if not self.code:
            return t("video", video=self.video, cell=cell)
        return t("defect", video=self.video, defect=self._defect(language), cell=cell)

    def row_text(self, language: Language) -> str:
        """Return the defect and its video in words; only the video for a field of it."""
        if not self.code:
            return self.video
        return wording(language, _TEXTS)("defect_of", video=self.video, defect=self._defect(language))

    def _defect(self, language: Language) -> str:
        t = wording(language, _TEXTS)
        defect = t("defect_at", code=self.code, time=self.time) if self.time else self.code
        return t("defect_status", defect=defect, status=word(self.status, language)) if self.status else defect


@dataclass(frozen=True)
class Word(Worded):
    """A word that a text contains, by its key in `cell_texts.toml`."""

    key: str

    def text(self, language: Language) -> str:
        """Return the word."""
        return wording(language, _TEXTS)(self.key)


@dataclass(frozen=True)
class Expectation(Worded):
    """What a cell should hold.

    Attributes:
        key: key of its text in `cell_texts.toml`, without `expected_`.
        values: what the text's placeholders stand for.
    """

    key: str
    values: Mapping[str, object] = field(default_factory=dict)

    def text(self, language: Language) -> str:
        """Return what is expected in words."""
        return wording(language, _TEXTS)(f"expected_{self.key}", **_worded(self.values, language))


@dataclass(frozen=True)
class MissingCell(Worded):
    """An empty cell.

    Attributes:
        where: its position.
        expected: what it should hold.
    """

    where: CellPlace
    expected: Expectation

    def text(self, language: Language) -> str:
        """Return a line that says that the cell is empty and what is expected."""
        t = wording(language, _TEXTS)
        return t("empty", where=self.where.text(language), expected=self.expected.text(language))


@dataclass(frozen=True)
class WrongCell(Worded):
    """A cell whose value cannot be used.

    Attributes:
        where: its position.
        key: key of its text in `cell_texts.toml`.
        values: what the text's placeholders stand for, beside `where`; what has words of its own is worded.
    """

    where: CellPlace
    key: str
    values: Mapping[str, object]

    def text(self, language: Language) -> str:
        """Return a line that says what the cell holds and what is expected."""
        values = _worded(self.values, language)
        return wording(language, _TEXTS)(self.key, where=self.where.text(language), **values)


class CellError(InspectionError):
    """A mistake in one cell.

    Attributes:
        mistake: the mistake.
    """

    def __init__(self, mistake: Mistake) -> None:
        super().__init__(str(mistake))
        self.mistake = mistake

    def __reduce__(self) -> tuple[type["CellError"], tuple[Mistake]]:
        """Pickle the mistake: errors cross process borders."""
        return type(self), (self.mistake,)


@dataclass(frozen=True)
class RowOf(Worded):
    """The row of a cell, as a value of a text."""

    where: CellPlace

    def text(self, language: Language) -> str:
        """Return the row in words."""
        return self.where.row_text(language)


@dataclass(frozen=True)
class DataValue(Worded):
    """A field of inspection data, as a value of a text."""

    data: InspectionData
    field: str

    def text(self, language: Language) -> str:
        """Return its value with its unit; a text that people wrote is in quotation marks."""
        text = value_text(self.data, self.field, wording(language, DATA_TEXTS))
        is_written = self.field not in _WORDED and isinstance(getattr(self.data, self.field), str)
        return repr(text)[:_SHOWN] if is_written else text


NOTHING = Word("nothing")
"""What an empty cell holds."""


def _worded(values: Mapping[str, object], language: Language) -> dict[str, object]:
    """Return values with those that have words of their own in a language."""
    return {key: value.text(language) if isinstance(value, Worded) else value for key, value in values.items()}


def _name(key: str, language: Language) -> str:
    if language != "zh":
        return key
    return _CHINESE.get(key) or wording(language, DATA_TEXTS).texts.get(key, key)
