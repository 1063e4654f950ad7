"""The classes that are recognised, as one table: index, code, names, kind, crosswalk.

The default is the 17 classes of QV-Pipe. A user's own taxonomy is a TOML file of the same form as `taxonomy.toml`;
nothing outside this file knows how many classes there are or what they are called.
"""

import difflib
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from urbanpipe.errors import TaxonomyError
from urbanpipe.settings import read_toml

NORMAL = "normal"  # the kind of the class that excludes all others, where a taxonomy gives it none
_CLASS_KEYS = {"code", "en", "zh", "kind", "crosswalk"}


@dataclass(frozen=True)
class DefectClass:
    """One class. `index` is its position in every score vector; `kind` is `normal`, `structural` or `functional`."""

    index: int
    code: str
    en: str
    zh: str = ""
    kind: str = ""
    crosswalk: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Taxonomy:
    """An ordered table of classes.

    Attributes:
        name: what the table is called.
        classes: the classes by index.
        exclusive: code of the class that excludes all others (nothing wrong), or None.
    """

    name: str
    classes: tuple[DefectClass, ...]
    exclusive: str | None = None

    def __len__(self) -> int:
        return len(self.classes)

    @cached_property
    def codes(self) -> tuple[str, ...]:
        """Codes by index."""
        return tuple(item.code for item in self.classes)

    @cached_property
    def defects(self) -> tuple[int, ...]:
        """Indices of all classes but the exclusive one: the ones that "mAP over the defects" averages."""
        return tuple(item.index for item in self.classes if item.code != self.exclusive)

    def index(self, code: str) -> int:
        """Return the index of a class given by code (any case) or by its index as text.

        Raises:
            TaxonomyError: there is no such class; the message names the closest match.
        """
        text = code.strip()
        if text.upper() in self._by_code:
            return self._by_code[text.upper()]
        if text.isdecimal() and int(text) < len(self):
            return int(text)
        near = difflib.get_close_matches(text.upper(), self._by_code, n=1, cutoff=0.3)
        hint = f"; did you mean {self.codes[self._by_code[near[0]]]}?" if near else ""
        raise TaxonomyError(
            f"unknown class {text!r}: {self.name} has the codes {' '.join(self.codes)} "
            f"and the indices 0-{len(self) - 1}{hint}"
        )

    @cached_property
    def _by_code(self) -> dict[str, int]:
        return {item.code.upper(): item.index for item in self.classes}


@lru_cache
def default_taxonomy() -> Taxonomy:
    """Return the 17 classes of QV-Pipe."""
    return load_taxonomy(Path(__file__).with_name("taxonomy.toml"))


def load_taxonomy(path: Path | None) -> Taxonomy:
    """Read a taxonomy from a TOML file; None gives the default.

    Raises:
        TaxonomyError: the file is missing, is not TOML, or a class lacks a code, repeats one or has unknown keys.
    """
    if path is None:
        return default_taxonomy()
    try:
        table = read_toml(Path(path))
    except OSError as error:
        raise TaxonomyError(f"cannot read the taxonomy {path}: {error.strerror}") from error
    except ValueError as error:
        raise TaxonomyError(f"{path} is not TOML: {error}") from error
    return _from_table(table, str(path))


def taxonomy_table(taxonomy: Taxonomy) -> dict[str, Any]:
    """Return the taxonomy as the TOML table that `load_taxonomy` reads."""
    table: dict[str, Any] = {"name": taxonomy.name}
    if taxonomy.exclusive is not None:
        table["exclusive"] = taxonomy.exclusive
    table["classes"] = [
        {key: value for key in ("code", "en", "zh", "kind", "crosswalk") if (value := getattr(item, key))}
        for item in taxonomy.classes
    ]
    return table


def _from_table(table: dict[str, Any], where: str) -> Taxonomy:
    rows = table.get("classes")
    if not isinstance(rows, list) or not rows:
        raise TaxonomyError(f'{where}: no classes; write one [[classes]] table per class with at least code = "..."')
    if extra := set(table) - {"name", "exclusive", "classes"}:
        raise TaxonomyError(f"{where}: unknown keys {sorted(extra)}; known are name, exclusive, classes")
    classes = tuple(_class_from(row, index, where) for index, row in enumerate(rows))
    seen: dict[str, int] = {}
    for item in classes:
        if (other := seen.setdefault(item.code.upper(), item.index)) != item.index:
            raise TaxonomyError(f"{where}: classes {other} and {item.index} both have the code {item.code}")
    name, exclusive = str(table.get("name", Path(where).stem)), table.get("exclusive")
    if exclusive is None:
        return Taxonomy(name, classes)
    if str(exclusive).upper() not in seen:
        raise TaxonomyError(
            f"{where}: exclusive = {exclusive!r} is not one of the codes {' '.join(c.code for c in classes)}"
        )
    normal = classes[seen[str(exclusive).upper()]]
    kinds = (replace(item, kind=item.kind or NORMAL) if item is normal else item for item in classes)
    return Taxonomy(name, tuple(kinds), normal.code)


def _class_from(row: object, index: int, where: str) -> DefectClass:
    if not isinstance(row, dict) or not str(row.get("code", "")).strip():
        raise TaxonomyError(f"{where}: class {index} has no code")
    if extra := set(row) - _CLASS_KEYS:
        raise TaxonomyError(f"{where}: class {index} has unknown keys {sorted(extra)}; known are {sorted(_CLASS_KEYS)}")
    code = str(row["code"]).strip()
    crosswalk = row.get("crosswalk", {})
    if not isinstance(crosswalk, dict):
        raise TaxonomyError(f"{where}: class {code!r} has a crosswalk that is not a table of standard = code")
    if any(mark.isspace() or mark in ",;\"'" for mark in code) or code.isdecimal():
        raise TaxonomyError(f"{where}: class {index} has the code {code!r}; a code is one word and not a number")
    return DefectClass(
        index=index,
        code=code,
        en=str(row.get("en", code)),
        zh=str(row.get("zh", "")),
        kind=str(row.get("kind", "")),
        crosswalk={str(k): str(v) for k, v in crosswalk.items()},
    )
