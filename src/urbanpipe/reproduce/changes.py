"""The rows of the report's Tables 4 and 5 and the user's own changes, and their application to a recipe."""

import difflib
import hashlib
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import pairwise
from typing import Any, Literal

from urbanpipe.errors import RecipeError
from urbanpipe.methods.recipe import Recipe, load_recipe, recipe_from_table, set_value
from urbanpipe.settings import Section

_PATH = r"\s*(\w+(?:\.\w+)+)\s*(\+=|-=|\*=|=)"
_CHANGE = re.compile(rf"{_PATH}(.*)", re.DOTALL)
_BETWEEN = re.compile(rf";(?={_PATH})")  # a value may contain a semicolon too
_LONGEST = 80  # largest length of a folder name
_OF_EIGHT = {"tile", "size"}  # sizes in pixels, which backbones halve several times


class Change(Section):
    """One change and its result in the report.

    Attributes:
        key: key of the row on the command line.
        table: table of the report; None for a user's own change.
        name: description for people.
        report: gain in the report, in points of mAP over 17 classes; None if the report gives no number.
        says: verbal result of the report where it gives no number.
        kind: what the row requires: to `train` other networks, to `evaluate` the networks of the base with other
            settings, to change existing `scores`, or to evaluate other `videos`.
        on: changes that enable the technique in a recipe.
        off: changes that disable it.
        methods: methods that the row applies to; empty for all.
    """

    key: str
    table: Literal[4, 5] | None
    name: str
    report: float | None = None
    says: str = ""
    kind: Literal["train", "evaluate", "scores", "videos"] = "train"
    on: tuple[str, ...] = ()
    off: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()

    @property
    def reported(self) -> str:
        """The result of the report: the gain in points, or words, or an empty text."""
        return self.says if self.report is None else f"{self.report:+g}"


@dataclass(frozen=True)
class Trial:
    """A row applied to a recipe.

    Attributes:
        row: the row.
        on: the recipe with the change; may be the base itself.
        off: the recipe without the change; may be the base itself.
        reason: why the row cannot be applied to this recipe; empty if it can.
    """

    row: Change
    on: Recipe
    off: Recipe
    reason: str = ""


def read_changes() -> dict[str, Change]:
    """Return all rows by key, in the order of the report."""
    text = (resources.files("urbanpipe") / "reproduce" / "changes.toml").read_text(encoding="utf-8")
    rows = [Change.model_validate(row) for row in tomllib.loads(text)["row"]]
    return {row.key: row for row in rows}


def choose_rows(keys: Sequence[str]) -> list[Change]:
    """Return the rows with the given keys; all rows if there are none.

    Raises:
        RecipeError: there is no such row; the message names the closest match.
    """
    rows = read_changes()
    for key in keys:
        if key not in rows:
            near = difflib.get_close_matches(key, rows, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]}? " if near else ""
            raise RecipeError(f"no row {key!r}: {hint}`urbanpipe ablate --list` shows them all")
    return [rows[key] for key in dict.fromkeys(keys)] or [*rows.values()]


def own_row(text: str) -> Change:
    """Return the row of a user's own change, which is compared with the base.

    Args:
        text: a change, or several separated by semicolons; see `change`.

    Raises:
        RecipeError: a part is not a change.
    """
    starts = [0, *(match.end() for match in _BETWEEN.finditer(text)), len(text) + 1]
    changes = tuple(text[start : end - 1].strip() for start, end in pairwise(starts))
    paths = [_parts(part)[0] for part in changes]
    if "training.seed" in paths:
        raise RecipeError(f"--change {text}: use --seeds to change the seed")
    name = "; ".join(changes)
    return Change(key=name, table=None, name=name, on=changes)


def asked_changes(keys: Sequence[str], changes: Sequence[str]) -> list[Change]:
    """Return the report's rows with the given keys and the user's own changes; all report rows if both are empty.

    Raises:
        RecipeError: a row does not exist, or a change is invalid.
    """
    own = [own_row(text) for text in dict.fromkeys(changes)]
    return [*(choose_rows(keys) if keys or not own else ()), *own]


def trial(row: Change, base: Recipe) -> Trial:
    """Apply a row to `base`.

    A user's own change gets a key for folders that describes the changed settings. It requires training, unless it
    changes only settings of the evaluation.
    """
    if row.methods and base.input.method not in row.methods:
        return Trial(row, base, base, f"it applies to {' and '.join(row.methods)}, not {base.input.method}")
    try:
        on, off = change(base, row.on), change(base, row.off)
    except RecipeError as error:
        return Trial(row, base, base, str(error))
    if row.kind in ("train", "evaluate") and on == off:
        return Trial(row, base, base, "it has no effect on this recipe")
    return Trial(row if row.table else _named(row, on, base), on, off)


def _named(row: Change, on: Recipe, base: Recipe) -> Change:
    """Return the row with a key derived from the changed settings, so that equal networks have equal keys."""
    with_it, without = on.model_dump(mode="json"), base.model_dump(mode="json")
    changed = {
        f"{section}.{key}": value
        for section, settings in with_it.items()
        if isinstance(settings, dict)
        for key, value in settings.items()
        if value != without[section].get(key)
    }
    of_tests = all(path.startswith("input.test_") for path in changed)
    return row.model_copy(update={"key": _folder_of(changed), "kind": "evaluate" if of_tests else "train"})


def _folder_of(changed: Mapping[str, object]) -> str:
    text = "-".join(f"{path}-{value}" for path, value in changed.items())
    if len(text) <= _LONGEST and re.fullmatch(r"[A-Za-z0-9._-]*[A-Za-z0-9_-]", text):
        return text
    readable = re.sub(r"[^A-Za-z0-9._]+", "-", text)[:_LONGEST].strip("-.")
    return f"{readable}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def change(recipe: Recipe, changes: Sequence[str]) -> Recipe:
    """Apply `section.key=value`, `section.key*=factor`, `section.key+=value` and `section.key-=value` to a recipe.

    Multiplication keeps integers, and rounds tile and frame sizes to multiples of 8.

    Raises:
        RecipeError: a change does not have one of these forms, or does not fit the recipe.
    """
    table: dict[str, Any] = recipe.model_dump(mode="json")
    for text in changes:
        path, sign, value = _parts(text)
        if sign == "=":
            set_value(table, text)
            continue
        section, _, key = path.partition(".")
        if not isinstance(table.get(section), dict) or key not in table[section]:
            raise RecipeError(f"{text}: {recipe.name} has no {path}")
        old = table[section][key]
        if sign == "*=":
            table[section][key] = _product(key, old, value)
            continue
        if not isinstance(old, list):
            raise RecipeError(f"{text}: {path} is not a list but {old!r}; give {path}=VALUE")
        value = value.strip()
        without = [item for item in old if item != value]
        table[section][key] = without if sign == "-=" else old if value in old else [*old, value]
    return recipe_from_table(table, ", ".join(changes))


def _parts(text: str) -> tuple[str, str, str]:
    """Return path, operator and value of a change."""
    if not (parts := _CHANGE.fullmatch(text)):
        forms = "section.key=value, section.key*=factor, section.key+=value or section.key-=value"
        raise RecipeError(f"{text!r} is not a change: expected {forms}")
    path, sign, value = parts.groups()
    return path, sign, value


def _product(key: str, old: Any, by: str) -> float:
    try:
        factor = float(by)
    except ValueError:
        factor = math.nan
    if not math.isfinite(factor):
        raise RecipeError(f"{key}*={by}: give a number")
    if isinstance(old, bool) or not isinstance(old, int | float):
        raise RecipeError(f"{key} = {old!r} is not a number and cannot be multiplied by {by}; give {key}=VALUE")
    product = float(f"{old * factor:.12g}")
    if not isinstance(old, int):
        return product
    if key in _OF_EIGHT:
        return max(8, round(product / 8) * 8)
    if not product.is_integer() or product < 1:
        raise RecipeError(f"{key} = {old} cannot be multiplied by {factor:g}: the result is not a positive integer")
    return int(product)


def listing(keys: Sequence[str], recipe: str | None, overrides: Sequence[str], changes: Sequence[str] = ()) -> str:
    """Return a listing of the rows, and of what each would change in a recipe.

    Raises:
        RecipeError: a row or recipe does not exist, or a change is invalid.
    """
    rows = asked_changes(keys, changes)
    base = None if recipe is None else load_recipe(recipe, list(overrides))
    width = max(len(row.key) for row in rows if row.table) if any(row.table for row in rows) else 0
    lines = []
    for row in rows:
        if row.table is None:
            lines.append(f"yours    {row.name}")
            if base is not None:
                tried = trial(row, base)
                lines.append(f"{'':9}{_effect(tried)}{'' if tried.reason else f'; named {tried.row.key}'}")
            continue
        lines.append(f"table {row.table}  {row.key:<{width}}  {row.reported:>7}  {row.name}")
        if base is not None:
            lines.append(f"{'':{width + 20}}{_effect(trial(row, base))}")
    return "\n".join(lines)


def _effect(tried: Trial) -> str:
    if tried.reason:
        return f"not for this recipe: {tried.reason}"
    if tried.row.kind in ("scores", "videos"):
        return "trains nothing"
    how = "evaluates the base again" if tried.row.kind == "evaluate" else "trains"
    sides = [
        f"{side}: {', '.join(changes) or 'the recipe as it is'}"
        for side, changes in (("on", tried.row.on), ("off", tried.row.off))
    ]
    return f"{how}; {'; '.join(sides)}"
