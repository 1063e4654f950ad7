"""The page of recipe keys: every setting with its type, default and meaning."""

import inspect
import json
import re
from collections.abc import Iterator
from typing import Any

from griffe import Docstring, DocstringSectionAttributes
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from docs_pages.tables import table
from urbanpipe.methods.recipe import Recipe
from urbanpipe.methods.table import METHODS

INTRODUCTION = """\
# Recipe keys

A recipe is a TOML file with the sections below, and every key can be changed with `--set section.key=value`.
`urbanpipe recipes NAME` prints a recipe with all its settings.
Unknown keys and values out of range are refused before training starts.
"""
HEADINGS = ("key", "type and range", "default", "about")


def page() -> str:
    """Return the page as Markdown."""
    inputs = {f"input, method {name}": method.config_type for name, method in METHODS.items()}
    sections = {name: type(field.default) for name, field in Recipe.model_fields.items() if _is_section(field)}
    top = [name for name in Recipe.model_fields if name not in sections]
    parts = [INTRODUCTION, "## Top level\n", table(HEADINGS, _rows(Recipe, "", top))]
    for heading, config in (inputs | {name: config for name, config in sections.items() if name != "input"}).items():
        summary = inspect.cleandoc(config.__doc__ or "").split("\n\n")[0]
        prefix = heading.split(",")[0] + "."
        parts += [f"## {heading}\n", f"{summary}\n", table(HEADINGS, _rows(config, prefix, config.model_fields))]
    return "\n".join(parts)


def _is_section(field: FieldInfo) -> bool:
    return isinstance(field.default, BaseModel)


def _rows(config: type[BaseModel], prefix: str, names: Any) -> Iterator[tuple[str, str, str, str]]:
    """Yield a row per setting, those of sections within it included."""
    about = _about(config)
    for name in names:
        field = config.model_fields[name]
        if _is_section(field):
            inner = type(field.default)
            yield from _rows(inner, f"{prefix}{name}.", inner.model_fields)
        else:
            yield f"`{prefix}{name}`", _type(field), _default(field), about.get(name, "")


def _about(config: type[BaseModel]) -> dict[str, str]:
    """Return what the docstrings of a config and of its bases say about each attribute."""
    about: dict[str, str] = {}
    for base in reversed(config.__mro__):
        for section in Docstring(inspect.cleandoc(base.__doc__ or "")).parse("google", warnings=False):
            if isinstance(section, DocstringSectionAttributes):
                about |= {attribute.name: attribute.description for attribute in section.value}
    return about


def _type(field: FieldInfo) -> str:
    name = field.annotation.__name__ if isinstance(field.annotation, type) else str(field.annotation)
    name = re.sub(r"\b(?:typing|urbanpipe(?:\.\w+)*)\.", "", name)
    limits = [_limit(one) for one in field.metadata]
    return f"`{name}`" + "".join(f", {limit}" for limit in limits if limit)


def _limit(metadata: object) -> str:
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    return next((f"{sign} {getattr(metadata, key)}" for key, sign in signs.items() if hasattr(metadata, key)), "")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    return "" if default is None else f"`{json.dumps(default, default=str)}`"
