"""Notes on the site that say below each block of commands whether a test runs it."""

import re

MARK = "<!-- a test runs this -->\n"
RUN = "<small>A test runs this.</small>"
NOT_RUN = "<small>No test runs this.</small>"
_BLOCK = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)\n.*?^(?P=indent)```$\n?|(?:\A|(?<=\n\n))(?: {4,}[^\n]*\n?|\n(?= {4}))+",
    re.MULTILINE | re.DOTALL,
)
_SHELLS = ("", "bash", "console", "powershell", "sh")
_PROGRAMS = (
    "apt|apt-get|brew|conda|curl|docker|export|git|hf|kubectl|make|mamba|mypy|nohup|npm|pip3?|pipx|podman|pre-commit|py"
    "|pytest|python3?|ray|Rscript|ruff|sbatch|scp|source|srun|ssh|sudo|torchrun|urbanpipe|uvx?|wget"
)
_VARIABLES = r"""(?:[A-Z_]+=(?:"[^"]*"|\S*) )*"""
_COMMAND = re.compile(rf"""^ *(?:\$ )?{_VARIABLES}(?:\S*/)?(?:{_PROGRAMS}|[\w-]+\.sh) +[\w./"'$-]""", re.MULTILINE)


def noted(text: str) -> str:
    """Return a page with a note below each block of commands."""
    return _BLOCK.sub(_with_note, text)


def _with_note(block: re.Match[str]) -> str:
    code, language = block.group(), block["language"]
    if language not in (None, *_SHELLS) or not _COMMAND.search(code):
        return code
    indent = block["indent"] if language is not None else " " * (_indent(code) - 4)  # that of a list
    ran = block.string.startswith(MARK, max(0, block.start() - len(MARK)))
    return f"{code.rstrip()}\n\n{indent}{RUN if ran else NOT_RUN}\n{'' if language is not None else _end(code)}"


def _indent(code: str) -> int:
    return min(len(line) - len(line.lstrip()) for line in code.splitlines() if line.strip())


def _end(code: str) -> str:
    """Return the empty line that ended indented code."""
    return code[len(code.rstrip()) + 1 :]
