"""Damage to files, from a seed: bytes that flip, parts that are lost, keys that are gone and values of other kinds."""

import json
import tomllib
from collections.abc import Callable
from typing import Any

import numpy as np
import tomli_w

ODD: tuple[Any, ...] = (
    *(None, True, -1, 10**400, 1e308, float("nan"), float("inf"), 0.5, "", "x", "-", "\x00", "\ud800", "管\n"),
    *([], [[]], [None], {}, {"a": {}}, [1, "x"], [10**30], "9" * 5000, "../..", "a" * 300),
)
"""Values of all kinds that JSON can hold."""


def damaged_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    """Flip, cut, lose, repeat or insert bytes, or write the text in another encoding."""
    at, end = sorted(rng.integers(0, len(data) + 1, 2).tolist())
    ways: tuple[Callable[[], bytes], ...] = (
        lambda: data[: at or 1 - 1],
        lambda: data[:at] + data[end:],
        lambda: data[:at] + data[at : at + 40] * 3 + data[at + 40 :],
        lambda: data[:at] + rng.bytes(int(rng.integers(1, 5))) + data[at:],
        lambda: (
            data[:at] + rng.choice([b"\x00", b'"', b",", b"\n", b"\r", b"[", b"{", b"=", b"-", b"1e999"]) + data[at:]
        ),
        lambda: _flipped(data, rng),
        lambda: _recoded(data, str(rng.choice(["utf-16", "utf-32", "gb18030", "utf-16-be", "cp037"]))),
    )
    return ways[int(rng.integers(len(ways)))]()


def _flipped(data: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for place in rng.integers(0, len(data), int(rng.integers(1, 9))).tolist():
        changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _recoded(data: bytes, encoding: str) -> bytes:
    return data.decode("utf-8", "replace").encode(encoding, "replace")


def damaged_value(value: Any, rng: np.random.Generator) -> Any:
    """Return a JSON value in which something deep inside is gone, of another kind or there twice."""
    inside = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    if not inside or rng.random() < 0.15:
        return ODD[int(rng.integers(len(ODD)))]
    key = inside[int(rng.integers(len(inside)))]
    if rng.random() < 0.3:
        rest = value.copy()
        if isinstance(rest, dict) and rng.random() < 0.5:
            rest[str(ODD[int(rng.integers(len(ODD)))])] = rest[key]
        elif isinstance(rest, list) and rng.random() < 0.5:
            rest.append(rest[key])
        else:
            del rest[key]
        return rest
    changed = value.copy()
    changed[key] = damaged_value(value[key], rng)
    return changed


def damaged_json(data: bytes, rng: np.random.Generator) -> bytes:
    """Damage the content of a JSON file."""
    return json.dumps(damaged_value(json.loads(data), rng)).encode()


def damaged_toml(data: bytes, rng: np.random.Generator) -> bytes:
    """Damage the content of a TOML file, as far as TOML can hold it."""
    try:
        return tomli_w.dumps(damaged_value(tomllib.loads(data.decode()), rng)).encode()
    except (TypeError, AttributeError, ValueError):
        return damaged_bytes(data, rng)


def damaged_table(data: bytes, rng: np.random.Generator) -> bytes:
    """Damage a cell, a row or a column of a CSV without quotes."""
    rows = [line.split(",") for line in data.decode().splitlines()]
    row = int(rng.integers(min(len(rows), 12))) if rng.random() < 0.7 else 0
    column = int(rng.integers(len(rows[row])))
    kind = int(rng.integers(5))
    if kind == 0:
        rows[row][column] = str(ODD[int(rng.integers(len(ODD)))]).replace("\ud800", "?")
    elif kind == 1:
        del rows[row]
    elif kind == 2:
        rows = [line[:column] + line[column + 1 :] for line in rows]
    elif kind == 3:
        rows.append(rows[row])
    else:
        rows[row].append("x")
    return "\n".join(",".join(line) for line in rows).encode()


def damaged(name: str, data: bytes, rng: np.random.Generator) -> bytes:
    """Damage a file in a way that its kind allows: its bytes, or what it says."""
    by_kind = {"json": damaged_json, "toml": damaged_toml, "csv": damaged_table}
    way = by_kind.get(name.rpartition(".")[2])
    return damaged_bytes(data, rng) if way is None or rng.random() < 0.5 else way(data, rng)
