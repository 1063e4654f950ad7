"""The base of every section of a recipe: frozen, complete, and strict about names."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from urbanpipe.errors import RecipeError
from urbanpipe.text_files import decoded

MAX_TOML_BYTES = 4 * 2**20


class Section(BaseModel):
    """A group of settings. Unknown keys are refused; values are immutable once read."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def complaint(error: ValidationError) -> str:
    """Return the first validation error of a file as `key: message`, shortened."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))[:200] or 'the file'}: {plain_message(first['msg'])[:300]}"


def plain_message(message: str) -> str:
    """Return the message of a validation error without what pydantic puts before the words of our own checks.

    >>> plain_message("Value error, 0.6 is implausible")
    '0.6 is implausible'
    """
    return message.removeprefix("Value error, ")


def read_toml(path: Path, parse_float: Callable[[str], Any] = float) -> dict[str, Any]:
    """Read a TOML file of settings in bounded time and memory; its text may have any encoding of `text_files`.

    Args:
        path: the file.
        parse_float: converts the text of a floating-point number.

    Raises:
        OSError: the file cannot be read.
        ValueError: the encoding is unknown, or the file is not TOML, nested too deeply, or larger than MAX_TOML_BYTES.
    """
    with path.open("rb") as file:
        content = file.read(MAX_TOML_BYTES + 1)
    if len(content) > MAX_TOML_BYTES:
        raise ValueError(f"the file is larger than {MAX_TOML_BYTES // 2**20} MiB")
    text = decoded(content)
    if text is None:
        raise ValueError("its encoding is unknown; save it as UTF-8")
    try:
        return tomllib.loads(text, parse_float=parse_float)
    except RecursionError:
        raise ValueError("the brackets are nested too deeply") from None


def read_override(override: str, form: str, example: str) -> tuple[list[str], Any]:
    """Read `section.key=value` from a command line.

    Args:
        override: the text.
        form: what it should look like, for the message.
        example: an example, for the message.

    Returns:
        The parts of the key, and the value as TOML; a bare word is a string.

    Raises:
        RecipeError: there is no key or no equals sign.

    Example:
        >>> read_override("training.epochs=10", "section.key=value", "training.epochs=10")
        (['training', 'epochs'], 10)
    """
    path, equals, text = override.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not equals or not all(keys):
        raise RecipeError(f"--set {override}: expected {form}, for example --set {example}")
    try:
        return keys, tomllib.loads(f"value = {text.strip()}")["value"]
    except (ValueError, RecursionError):
        return keys, text.strip()
