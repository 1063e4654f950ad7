"""Read CSV tables written by people: with a header, separated by comma, semicolon or tab."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from unicodedata import normalize

from urbanpipe.csv_cells import original_text
from urbanpipe.errors import LabelError
from urbanpipe.text_files import INVISIBLE

CHINESE = {
    "video": (
        *("视频", "视频名", "视频名称", "视频文件", "视频文件名", "文件名", "文件名称", "录像", "录像文件", "文件"),
        *(
            "視頻",
            "視頻名稱",
            "影片",
            "影片名稱",
            "檔案名稱",
            "檔名",
            "文件名稱",
            "錄像",
            "檔案",
            "视频编号",
            "視頻編號",
        ),
    ),
    "labels": (
        *("标签", "缺陷代码", "类别代码", "代码", "缺陷名称", "缺陷", "缺陷类型", "类别", "缺陷类别", "分类"),
        *("標籤", "缺陷代碼", "類別代碼", "代碼", "缺陷名稱", "缺陷類型", "類別", "缺陷類別", "分類"),
    ),
    "fold": ("折", "折号", "折號"),
}
"""Chinese headings of columns, simplified and traditional, those that say most first."""


def read_table(text: str, path: Path, column: str) -> tuple[list[str], Iterator[tuple[int, dict[str, str]]]]:
    """Return the header and an iterator of (line number, cells by column) of CSV text.

    The separator is whichever of comma, semicolon and tab makes `column` appear in the header.

    Raises:
        LabelError: the header lacks the column or repeats one, or (while iterating) a row is longer or shorter than
            the header.
    """
    first = re.split(r"[\r\n]", text, maxsplit=1)[0][:10_000]
    headers = {mark: folded_header(next(csv.reader([first], delimiter=mark), []), column) for mark in ",;\t"}
    mark = next((mark for mark, header in headers.items() if column in header), ",")
    header = headers[mark]
    if column not in header:
        raise LabelError(f"{path}: no column {column!r} in the first line {first.strip()[:80]!r}")
    return checked_header(header, path), _table_rows(text, path, mark, header)


def folded_header(cells: Sequence[str], *columns: str) -> list[str]:
    """Return the names of columns without surrounding spaces; `columns` may have any case or be in Chinese.

    Of several headings that mean the same column, the first of `CHINESE` counts, and the English one before it.
    """
    header = [original_text(cell.strip()) for cell in cells]
    folded = [normalize("NFKC", name.translate(INVISIBLE)).casefold().replace(" ", "") for name in header]
    for column in columns:
        heading = next((name for name in (column, *CHINESE.get(column, ())) if name in folded), None)
        header = [column if name == heading else old for name, old in zip(folded, header, strict=True)]
    return header


def checked_header(header: list[str], path: Path) -> list[str]:
    """Return the header if no column occurs twice.

    Raises:
        LabelError: a column occurs twice.
    """
    if twice := sorted(cell for cell, count in Counter(header).items() if count > 1):
        raise LabelError(f"{path}: the first line has the column {twice[0]!r} twice")
    return header


def _table_rows(text: str, path: Path, mark: str, header: list[str]) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    try:
        next(reader)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise LabelError(
                    f"{path}, line {reader.line_num}: {len(cells)} cells, but the first line has {len(header)}"
                )
            yield reader.line_num, dict(zip(header, map(original_text, cells), strict=True))
    except csv.Error as error:
        raise LabelError(f"{path}, line {reader.line_num}: not CSV: {error}") from error
