"""The base of every section of a recipe: frozen, complete, and strict about names."""

import tomllib
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from urbanpipe.errors import RecipeError


class Section(BaseModel):
    """A group of settings. Unknown keys are refused; values are immutable once read."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def complaint(error: ValidationError) -> str:
    """Return the first validation error of a file as `key: message`."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"


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
    except tomllib.TOMLDecodeError:
        return keys, text.strip()
