"""Damage a valid bundle in ways that its digests do not show, and read it under limits of memory and time.

    python -m helpers.hostile_bundles BUNDLE WORK FIRST LAST

reads the bundle once per seed, FIRST up to LAST, each time with one change, and prints a line for every outcome that is
neither a `BundleError` of one line nor a bundle.
"""

import json
import shutil
import signal
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import tomli_w
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from urbanpipe.errors import BundleError
from urbanpipe.inference.bundle import MANIFEST, OOD, read_bundle
from urbanpipe.inference.ood import fit_ood_detector, write_ood_detector
from urbanpipe.video.probe import digest

SECONDS = 60
MEMORY = 3 * 2**30  # beyond what torch has mapped when it is imported

VALUES: tuple[Any, ...] = (
    *(0, -1, 1, 3, 10**9, 10**12, 2**63, 0.0, -0.5, 1e-300, 1e308, float("nan"), float("inf"), True, False),
    *("", "1", "x" * 10_000, "..", "../../etc/passwd", "a\x1b[31m\nb", "hf-hub:a/b", "local-dir:/etc"),
    "convnext_xxlarge",
    *([], [10**9] * 3, ["a", 1], {}, {"a": {"b": 1}}, [[[[]]]]),
)
ARRAYS: tuple[Callable[[NDArray[Any]], NDArray[Any]], ...] = (
    lambda array: np.zeros_like(array),
    lambda array: np.full_like(array, -1),
    lambda array: np.full_like(array, np.nan if array.dtype.kind == "f" else 0),
    lambda array: np.full_like(array, np.inf if array.dtype.kind == "f" else 0),
    lambda array: array.reshape(-1),
    lambda array: array[..., None],
    lambda array: array[:0],
    lambda array: np.concatenate([array.reshape(-1)] * 2),
    lambda array: array.astype(np.int8),
)


def with_detector(bundle: Path, out: Path) -> Path:
    """Copy a bundle and give it an OOD detector."""
    shutil.copytree(bundle, out)
    rng = np.random.default_rng(0)
    write_ood_detector(fit_ood_detector(*rng.uniform(size=(2, 30, 2, 6))), out / OOD)
    with_digests(out, [OOD])
    return out


def with_digests(bundle: Path, files: list[str]) -> None:
    """Write the digests of files into the manifest."""
    manifest = tomllib.loads((bundle / MANIFEST).read_text())
    manifest["files"] |= {name: digest(bundle / name) for name in files}
    (bundle / MANIFEST).write_text(tomli_w.dumps(manifest))


def change(bundle: Path, seed: int) -> str:
    """Change one value of one file, and the digests with it; return a description."""
    rng = Random(seed)
    files = sorted(p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file())
    name = rng.choice([name for name in files if name.endswith((".toml", ".json", ".safetensors"))])
    path = bundle / name
    if name.endswith(".safetensors"):
        what = _change_arrays(path, rng)
    elif rng.random() < 0.05:
        what = "nested brackets"
        path.write_text(("a = " if name.endswith(".toml") else "") + "[" * 100_000)
    else:
        what = _change_table(path, rng)
    if name != MANIFEST:
        with_digests(bundle, [name])
    return f"seed {seed}, {name}: {what}"


def _change_arrays(path: Path, rng: Random) -> str:
    arrays = load_file(path)
    name = rng.choice(sorted(arrays))
    number = rng.randrange(len(ARRAYS) + 1)
    if number == len(ARRAYS):
        del arrays[name]
    else:
        arrays[name] = ARRAYS[number](arrays[name])
    save_file({key: np.ascontiguousarray(value) for key, value in arrays.items()}, path)
    return f"{name} changed in way {number}"


def _change_table(path: Path, rng: Random) -> str:
    is_toml = path.suffix == ".toml"
    table = tomllib.loads(path.read_text(encoding="utf-8")) if is_toml else json.loads(path.read_text(encoding="utf-8"))
    node, key, trail = table, rng.choice(sorted(table)), []
    while True:
        trail.append(str(key))
        inner = node[key]
        if not isinstance(inner, (dict, list)) or not inner or rng.random() < 0.1:
            break
        node, key = inner, rng.choice(sorted(inner)) if isinstance(inner, dict) else rng.randrange(len(inner))
    value = rng.choice((*VALUES, None))
    if value is None:
        del node[key]
    else:
        node[key] = value
    path.write_text(tomli_w.dumps(table) if is_toml else json.dumps(table), encoding="utf-8")
    return f"{'.'.join(trail)} = {str(value)[:40]!r}"


def outcome(bundle: Path) -> str:
    """Read a bundle; return what is wrong with the way it is refused, or an empty string."""
    signal.alarm(SECONDS)
    try:
        read_bundle(bundle, device="cpu", runtime="torch")
    except BundleError as error:
        return "" if "\n" not in str(error) and len(str(error)) < 2000 else f"not one short line: {str(error)[:300]!r}"
    except BaseException as error:  # the alarm too
        return f"{type(error).__name__}: {str(error)[:300]}"
    finally:
        signal.alarm(0)
    return ""


def _expired(*_: object) -> None:
    raise TimeoutError(f"longer than {SECONDS} s")


def main(bundle: Path, work: Path, first: int, last: int) -> None:
    """See the module."""
    import resource  # not on Windows

    signal.signal(signal.SIGALRM, _expired)
    read_bundle(bundle, device="cpu", runtime="torch")
    mapped = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY, mapped + MEMORY))
    for seed in range(first, last):
        copy = work / str(seed)
        shutil.copytree(bundle, copy)
        what = change(copy, seed)
        if wrong := outcome(copy):
            print(f"{what}: {wrong}", flush=True)
        shutil.rmtree(copy)
    print("done")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
