"""Texts for users have the field's words: none of the phrases that the "Words" of CONTRIBUTING.md replace."""

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

import urbanpipe

PACKAGE = Path(str(urbanpipe.__file__)).parent
PROJECT = Path(__file__).parents[1]
PHRASES = (
    "judge",
    "judged",
    "judges",
    "judging",
    "told apart",
    "not told from nothing",
    "is to be seen",
    "are to be seen",
    "is to be looked at",
    "videos that are no pipes",
    "no pipes",
    "the 17 of QV-Pipe without",
    "moving average",
    "learnt",
    "have learnt",
    "sighting",
    "sightings",
    "is there and is no",
    "foreign video",
    "foreign videos",
)
LONGEST_FIRST = sorted(PHRASES, key=len, reverse=True)
REFUSED = re.compile(rf"\b(?:{'|'.join(map(re.escape, LONGEST_FIRST))})\b", re.IGNORECASE)
Text = tuple[Path, int, str]  # file, line, what a user may read


def hits(texts: Iterable[Text]) -> list[str]:
    """The refused phrases as file:line: phrase."""
    return [
        f"{path.relative_to(PROJECT) if path.is_relative_to(PROJECT) else path}:{line}: {found[0]}"
        for path, line, text in texts
        for found in REFUSED.finditer(" ".join(text.split()))
    ]


def refuse(texts: Iterable[Text]) -> None:
    found = hits(texts)
    assert not found, "phrases to replace:\n" + "\n".join(found)


def strings_of(path: Path, docstrings: bool) -> Iterator[Text]:
    """String constants, f-strings with `{}` for their values; docstrings are texts for users in the command line."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    parts = {
        id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)
    }  # of f-strings, which are read as a whole
    skipped = parts if docstrings else parts | documents
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield path, node.lineno, "".join(str(p.value) if isinstance(p, ast.Constant) else "{}" for p in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield path, node.lineno, node.value


def values_of(value: Any) -> Iterator[str]:
    """The strings in a table of TOML, and the names of its keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, each in value.items():
            yield name
            yield from values_of(each)
    elif isinstance(value, list):
        for each in value:
            yield from values_of(each)


def lines_of(path: Path, text: str) -> Iterator[Text]:
    yield from ((path, number, line) for number, line in enumerate(text.splitlines(), 1))


def blanked(pattern: str, text: str) -> str:
    """The text without what matches, on the same lines."""
    return re.sub(pattern, lambda found: "\n" * found[0].count("\n"), text, flags=re.DOTALL)


PYTHON = [path for path in sorted(PACKAGE.rglob("*.py")) if "cli" not in path.parts]


def test_messages_and_other_strings() -> None:
    refuse(text for path in PYTHON for text in strings_of(path, docstrings=False))


def test_help_of_the_command_line() -> None:
    files = sorted((PACKAGE / "cli").rglob("*.py"))
    assert files
    refuse(text for path in files for text in strings_of(path, docstrings=True))


def test_texts_and_descriptions_in_settings_files() -> None:
    files = sorted(PACKAGE.rglob("*.toml"))
    assert {"texts.toml", "remarks.toml", "small-mobilenetv2.toml"} <= {path.name for path in files}
    texts: list[Text] = []
    for path in files:
        lines = path.read_text(encoding="utf-8").splitlines()
        for value in values_of(tomllib.loads("\n".join(lines))):
            first = next((number for number, line in enumerate(lines, 1) if value.split("\n")[0] in line), 0)
            texts.append((path, first, value))
    refuse(texts)


def test_templates_of_report_pages() -> None:
    files = sorted(path for path in PACKAGE.rglob("templates/*") if path.suffix in (".html", ".js"))
    assert {"report.html", "record.html", "condition.html"} <= {path.name for path in files}
    texts: list[Text] = []
    for path in files:
        text = blanked(r"\{#.*?#\}|\{%.*?%\}|<!--.*?-->|/\*.*?\*/", path.read_text(encoding="utf-8"))
        texts += lines_of(path, re.sub(r"(?<!:)//.*", "", text))
    refuse(texts)


@pytest.mark.parametrize(
    "path",
    [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").rglob("*.md"))],
    ids=lambda path: path.relative_to(PROJECT).as_posix(),
)
def test_documents(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.name == "CONTRIBUTING.md":
        text = blanked(r"(?<=\n)## Words\n.*?(?=\n## |\Z)", text)
    refuse(lines_of(path, text))


@pytest.mark.parametrize("phrase", PHRASES)
def test_a_phrase_is_found_in_any_case_and_only_as_a_word(phrase: str) -> None:
    line = (Path("x.md"), 1, f"So {phrase.upper()}, as\n was said")
    assert hits([line]) == [f"x.md:1: {phrase.upper()}"]
    assert hits([(Path("x.md"), 1, f"un{phrase}ly")]) == []
