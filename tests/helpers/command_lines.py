"""Command lines of `urbanpipe` in documents: found in their code, and parsed without being run."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from docs_pages.executed import MARK
from urbanpipe.cli.main import app

_FENCE = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^    .*\n?)+", re.MULTILINE)


def parse(words: list[str]) -> None:
    """Parse a command line of `urbanpipe`, given without its first word."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        options = {name: option for option in command.params for name in option.opts}
        name, *words = words
        if name in ("--version", "--install-completion", "--show-completion"):
            return
        if name in options:
            words = words[0 if options[name].is_flag else 1 :]
        else:
            command = command.commands[name]
    command.make_context(name, words)


def command_lines(text: str) -> Iterator[list[str]]:
    """Yield the command lines of `urbanpipe` in the code blocks of a page, as words."""
    for block in (*_FENCE.findall(text), *_INDENTED.findall(text)):
        yield from _commands(block)


def runnable(text: str) -> Iterator[list[str]]:
    """Yield the command lines in the blocks of a page that a test runs."""
    for block in re.findall(re.escape(MARK) + _FENCE.pattern[1:], text, re.MULTILINE | re.DOTALL):
        yield from _commands(block)


def _commands(block: str) -> Iterator[list[str]]:
    """Yield the command lines in a block, without those that need variables of a shell or show optional words."""
    line = ""
    for part in block.replace("\\\n", " ").splitlines():
        line = f"{line}\n{part}" if line else part
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # a quotation that ends on a later line
            continue
        is_command = words[:1] == ["urbanpipe"] and "$" not in line and not re.search(r" \[|\.\.\. |VERB", line)
        line = ""
        if is_command:
            yield words[1 : words.index("|") if "|" in words else None]


def pages(project: Path) -> list[Path]:
    """Return all pages of the documentation."""
    return sorted([project / "README.md", *project.glob("docs/**/*.md"), *project.glob("benchmarks/*.md")])
