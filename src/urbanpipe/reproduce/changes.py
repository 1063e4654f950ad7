"""The rows of the report's Tables 4 and 5 and a user's own, and what each means for a recipe."""

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
_BETWEEN = re.compile(rf";(?={_PATH})")  # a value may have a semicolon too
_LONGEST = 80  # letters of a folder's name
_OF_EIGHT = {"tile", "size"}  # pixels that backbones halve several times


class Change(Section):
    """One change and what the report says of it.

    Attributes:
        key: what a user calls it.
        table: of the report; None for a change of the user's own.
        name: for people.
        report: its gain there, in points of mAP over 17 classes; None where the report gives none.
        says: what the report says instead of a figure.
        kind: what it takes: to `train` other networks, to `judge` the base's networks in another way, to change
            `scores` that are there, or to judge other `videos`.
        on, off: changes that give a recipe the trick, and that take it away.
        methods: that it is about; empty for all.
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
        """What the report has for the row: its gain in points, or words, or nothing."""
        return self.says if self.report is None else f"{self.report:+g}"


@dataclass(frozen=True)
class Trial:
    """A row applied to a recipe.

    Attributes:
        row: which.
        on, off: the recipe with and without the trick; either may be the base itself.
        reason: why the row cannot be tried with this recipe; empty where it can.
    """

    row: Change
    on: Recipe
    off: Recipe
    reason: str = ""


def read_changes() -> dict[str, Change]:
    """All rows by key, in the report's order."""
    text = (resources.files("urbanpipe") / "reproduce" / "changes.toml").read_text(encoding="utf-8")
    rows = [Change.model_validate(row) for row in tomllib.loads(text)["row"]]
    return {row.key: row for row in rows}


def choose_rows(keys: Sequence[str]) -> list[Change]:
    """The rows called so, all of them where none is named.

    Raises:
        RecipeError: there is no such row; the nearest is named.
    """
    rows = read_changes()
    for key in keys:
        if key not in rows:
            near = difflib.get_close_matches(key, rows, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]}? " if near else ""
            raise RecipeError(f"no row {key!r}: {hint}`urbanpipe ablate --list` shows them all")
    return [rows[key] for key in dict.fromkeys(keys)] or [*rows.values()]


def own_row(text: str) -> Change:
    """The row of a user's own change against the base.

    Args:
        text: a change, or several with semicolons between them; see `change`.

    Raises:
        RecipeError: a part is not a change.
    """
    starts = [0, *(found.end() for found in _BETWEEN.finditer(text)), len(text) + 1]
    changes = tuple(text[start : end - 1].strip() for start, end in pairwise(starts))
    paths = [_parts(each)[0] for each in changes]
    if "training.seed" in paths:
        raise RecipeError(f"--change {text}: seeds are what --seeds is for")
    name = "; ".join(changes)
    return Change(key=name, table=None, name=name, on=changes)


def asked_changes(keys: Sequence[str], changes: Sequence[str]) -> list[Change]:
    """The report's rows called so and the user's own changes; all of the report's where nothing is asked for.

    Raises:
        RecipeError: no such row, or no such change.
    """
    own = [own_row(text) for text in dict.fromkeys(changes)]
    return [*(choose_rows(keys) if keys or not own else ()), *own]


def trial(row: Change, base: Recipe) -> Trial:
    """The row with `base`.

    One of the user's own gets a key that says what it changes there, for folders; it trains a network, but where it
    changes nothing but how videos are judged.
    """
    if row.methods and base.input.method not in row.methods:
        return Trial(row, base, base, f"it is about {' and '.join(row.methods)}, not {base.input.method}")
    try:
        on, off = change(base, row.on), change(base, row.off)
    except RecipeError as error:
        return Trial(row, base, base, str(error))
    if row.kind in ("train", "evaluate") and on == off:
        return Trial(row, base, base, "it changes nothing in this recipe")
    return Trial(row if row.table else _named(row, on, base), on, off)


def _named(row: Change, on: Recipe, base: Recipe) -> Change:
    """The row by what it changes: the same for the same network, however the changes are written."""
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
    """The recipe with `section.key=value`, `section.key*=factor`, `section.key+=value` and `-=` carried out.

    A product keeps a whole number whole, and rounds tile and frame sizes to multiples of 8.

    Raises:
        RecipeError: a change that is not of this form, or that the recipe does not take.
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
            raise RecipeError(f"{text}: {path} is no list but {old!r}; give {path}=VALUE")
        value = value.strip()
        without = [each for each in old if each != value]
        table[section][key] = without if sign == "-=" else old if value in old else [*old, value]
    return recipe_from_table(table, ", ".join(changes))


def _parts(text: str) -> tuple[str, str, str]:
    """Path, sign and value of a change."""
    if not (parts := _CHANGE.fullmatch(text)):
        forms = "section.key=value, section.key*=factor, section.key+=value or section.key-=value"
        raise RecipeError(f"{text!r} is not a change: want {forms}")
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
        raise RecipeError(f"{key} = {old!r} is no number that could be taken {by} times; give {key}=VALUE")
    product = float(f"{old * factor:.12g}")
    if not isinstance(old, int):
        return product
    if key in _OF_EIGHT:
        return max(8, round(product / 8) * 8)
    if not product.is_integer() or product < 1:
        raise RecipeError(f"{key} = {old} cannot be taken {factor:g} times")
    return int(product)


def listing(keys: Sequence[str], recipe: str | None, overrides: Sequence[str], changes: Sequence[str] = ()) -> str:
    """The rows for people, and what each would change in a recipe.

    Raises:
        RecipeError: no such row, change or recipe.
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
                lines.append(f"{'':9}{_effect(tried)}{'' if tried.reason else f'; called {tried.row.key}'}")
            continue
        lines.append(f"table {row.table}  {row.key:<{width}}  {row.reported:>7}  {row.name}")
        if base is not None:
            lines.append(f"{'':{width + 20}}{_effect(trial(row, base))}")
    return "\n".join(lines)


def _effect(each: Trial) -> str:
    if each.reason:
        return f"not for this recipe: {each.reason}"
    if each.row.kind in ("scores", "videos"):
        return "trains nothing"
    how = "judges the base again" if each.row.kind == "evaluate" else "trains"
    sides = [
        f"{side}: {', '.join(changes) or 'the recipe as it is'}"
        for side, changes in (("on", each.row.on), ("off", each.row.off))
    ]
    return f"{how}; {'; '.join(sides)}"
