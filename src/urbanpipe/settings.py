"""The base of every section of a recipe: frozen, complete, and strict about names."""

import tomllib
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError


class Section(BaseModel):
    """A group of settings. Unknown keys are refused; values never change after they were read."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def complaint(error: ValidationError) -> str:
    """The first of pydantic's complaints about a file, as `place: what`."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"


def value_of(text: str) -> Any:
    """A value that a user gives on the command line, as TOML; a bare word is a string."""
    try:
        return tomllib.loads(f"value = {text.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        return text.strip()
