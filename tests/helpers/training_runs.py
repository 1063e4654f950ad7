"""Trainings: jobs, processes and kills, and what a training leaves in its folder."""

import csv
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from helpers.tiny_recipes import TINY
from urbanpipe.catalog.catalog_file import Catalog
from urbanpipe.contracts.run_folder import WEIGHTS
from urbanpipe.methods.recipe import Recipe
from urbanpipe.models.distributed import DistributedContext
from urbanpipe.taxonomy import default_taxonomy
from urbanpipe.training.fold_job import FoldJob
from urbanpipe.video.cache import FrameCache

ALONE = DistributedContext(0, 1, torch.device("cpu"))


def job(catalog: Catalog, recipe: Recipe, folder: Path, cache: FrameCache | None = None) -> FoldJob:
    return FoldJob(recipe, default_taxonomy(), catalog.labelled[:14], catalog.labelled[14:], folder, cache, "test")


def changed(recipe: Recipe, section: str, **values: object) -> Recipe:
    """Return the recipe with other values in a section, such as `training` or `input.head`."""
    table = recipe.model_dump()
    part = table
    for name in section.split("."):
        part = part[name]
    part |= values
    return Recipe.model_validate(table)


def metrics(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def losses(folder: Path) -> list[float]:
    return [float(row["loss"]) for row in metrics(folder)]


def same_weights(one: Path, other: Path, tolerance: float = 0.0) -> bool:
    a, b = load_file(one / WEIGHTS), load_file(other / WEIGHTS)
    return a.keys() == b.keys() and all(torch.allclose(a[key], b[key], rtol=tolerance, atol=tolerance) for key in a)


@contextmanager
def killed_at(owner: object, name: str, call: int) -> Iterator[None]:
    """The block ends as by a kill when `owner.name` is called for the `call`-th time."""
    real, calls = getattr(owner, name), []

    def dies(*args: object) -> object:
        calls.append(1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return real(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, dies)
        with pytest.raises(KeyboardInterrupt):
            yield


def launch(
    processes: int,
    archive: Path,
    out: Path,
    *settings: str,
    recipe: str = "small-mobilenetv2",
    tiny: Sequence[str] = TINY,
    killed_at: str = "",
) -> "subprocess.Popen[str]":
    """`urbanpipe train` in processes of its own, under torchrun where there are several; `recipe` is made `tiny`.

    With `killed_at`, such as "validate:2", the process is killed when that function of the training loop is called for
    the second time.
    """
    torchrun = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
    program = "helpers.killed_training" if killed_at else "urbanpipe.cli.main"
    start = [sys.executable, "-m", *(torchrun if processes > 1 else []), program, "train"]
    data = [str(archive / "catalog.csv"), "--folds", str(archive / "folds.csv"), "--fold", "0"]
    how = ["--recipe", recipe, "--out", str(out), "--cache-gb", "0", "--device", "cpu"]
    sets = [part for setting in (*tiny, *settings) for part in ("--set", setting)]
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1]), "KILLED_AT": killed_at}
    return subprocess.Popen([*start, *data, *how, *sets], env=env, stderr=subprocess.PIPE, text=True)


def finish(process: "subprocess.Popen[str]") -> None:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
