"""The classes that are recognised, as one table: index, code, names, kind, crosswalk.

The default is the 17 classes of QV-Pipe. A user's own taxonomy is a TOML file of the same form as `taxonomy.toml`;
nothing outside this file knows how many classes there are or what they are called.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any
from unicodedata import normalize

from urbanpipe.errors import TaxonomyError
from urbanpipe.settings import read_toml
from urbanpipe.text_files import INVISIBLE

NORMAL = "normal"  # the kind of the class that excludes all others, where a taxonomy gives it none
_SHOWN = 60
_SIMILAR = 0.75
_SEPARATORS = re.compile(r"[\s,;|/+&\u3001\u3002]+")
_INDEX = re.compile(r"(\d{1,6})(\.0+)?", re.ASCII)
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
        """Return the index of a class given by code, English or Chinese name (any case) or index as text.

        Raises:
            TaxonomyError: there is no such class, or the name is that of several; the message names a near one.
        """
        if (index := self._by_exact_code.get(code)) is not None:
            return index
        indices = self.indices(code)
        if len(indices) != 1:
            raise self._unknown(code.strip())
        return indices[0]

    def indices(self, text: str) -> list[int]:
        """Return the indices of all classes in a text, such as `CJ QF`, `CJ/PL`, `1 14` or `roots, displaced joint`.

        Names of several words, and codes with separators in them, count as one class.

        Raises:
            TaxonomyError: a part of the text is no class.
        """
        parts = _split(text)
        words, indices, start = [_fold(part) for part in parts], [], 0
        while start < len(words):
            for end in range(min(len(words), start + self._longest), start, -1):
                if (index := self._by_words.get(tuple(words[start:end]))) is not None:
                    break
            else:
                end, index = start + 1, _index_in(words[start], len(self))
            if index is None:
                raise self._unknown(self._phrase(parts[start:]))
            indices.append(index)
            start = end
        return indices

    def _phrase(self, words: list[str]) -> str:
        """Return the longest beginning of some words that several classes have as their name, else the first word."""
        folded = [_fold(word) for word in words[: self._longest]]
        length = next((end for end in range(len(folded), 1, -1) if tuple(folded[:end]) in self._owners), 1)
        return " ".join(words[:length])

    def _unknown(self, text: str) -> TaxonomyError:
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
        if owners := self._owners.get(tuple(_words(text)[: self._longest])):
            codes = " and ".join(self.codes[index] for index in owners)
            return TaxonomyError(f"{shown!r} is the name of {codes} in {self.name}; write the code")
        near = _near_code(shown.upper(), self._by_code) or self._near_name(shown)
        hint = "" if near is None else f"; did you mean {self.codes[near]}?"
        return TaxonomyError(
            f"unknown class {shown!r}: {self.name} has the codes {' '.join(self.codes)} "
            f"and the indices 0-{len(self) - 1}{hint}"
        )

    def _near_name(self, text: str) -> int | None:
        names = {" ".join(words): index for words, index in self._by_words.items()}
        near = difflib.get_close_matches(_fold(text), names, n=1, cutoff=_SIMILAR)
        return names[near[0]] if near else None

    @cached_property
    def _by_exact_code(self) -> dict[str, int]:
        """What `indices` finds for each code: files that we wrote have many, all spelled the same."""
        found = dict[str, int]()
        for code in self.codes:
            try:
                indices = self.indices(code)
            except TaxonomyError:  # it has a letter that changes when its case is folded
                continue
            if len(indices) == 1:
                found[code] = indices[0]
        return found

    @cached_property
    def _by_code(self) -> dict[str, int]:
        return {item.code.upper(): item.index for item in self.classes}

    @cached_property
    def _owners(self) -> dict[tuple[str, ...], list[int]]:
        """The classes of each name that several have."""
        owners: dict[tuple[str, ...], set[int]] = {}
        for item in self.classes:
            for words in _names(item):
                owners.setdefault(words, set()).add(item.index)
        codes = {tuple(_words(code)) for code in self._by_code}
        return {words: sorted(owns) for words, owns in owners.items() if len(owns) > 1 and words not in codes}

    @cached_property
    def _by_words(self) -> dict[tuple[str, ...], int]:
        """Index by the words of a name or a code; codes come before names."""
        names = {words: item.index for item in self.classes for words in _names(item) if words not in self._owners}
        return names | {tuple(_words(code)): index for code, index in self._by_code.items()}

    @cached_property
    def _longest(self) -> int:
        return max(map(len, (*self._by_words, *self._owners)), default=1)


def _split(text: str) -> list[str]:
    return [word for word in _SEPARATORS.split(normalize("NFKC", text).translate(INVISIBLE)) if word]


def _words(text: str) -> list[str]:
    return [_fold(word) for word in _split(text)]


def _fold(text: str) -> str:
    return normalize("NFKC", normalize("NFKC", text).casefold())


def _names(item: DefectClass) -> set[tuple[str, ...]]:
    """Return the names of a class as words: in both languages, and each of several separated by commas."""
    names = [item.en, item.zh, *re.split(r"[,;/]", item.en), *re.split(r"[\u3001,;/]", item.zh)]
    return {words for name in names if (words := tuple(_words(name)))}


def _index_in(word: str, n_classes: int) -> int | None:
    match = _INDEX.fullmatch(word)
    return int(match[1]) if match and int(match[1]) < n_classes else None


def _near_code(text: str, codes: Mapping[str, int]) -> int | None:
    """Return the class whose code differs from a text in one letter, which is lost, added or changed."""
    for code in difflib.get_close_matches(text, codes, n=3, cutoff=0.5):
        longer, shorter = sorted((text, code), key=len, reverse=True)
        edits = [longer[:at] + longer[at + 1 :] for at in range(len(longer))]
        rest = edits if len(longer) > len(shorter) else [shorter[:at] + shorter[at + 1 :] for at in range(len(shorter))]
        same = shorter in edits if len(longer) > len(shorter) else any(map(str.__eq__, edits, rest))
        if same and len(longer) - len(shorter) <= 1:
            return codes[code]
    return None


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


def given_taxonomy(path: Path | None) -> Taxonomy | None:
    """Read a taxonomy from a TOML file; None stays None, for what remembers its classes.

    Raises:
        TaxonomyError: see `load_taxonomy`.
    """
    return None if path is None else load_taxonomy(path)
