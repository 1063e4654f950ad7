"""Trainings: jobs, processes and kills, and what a training leaves in its folder."""

import csv
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from helpers.started_processes import StartedProcess
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

    def dies(*args: object, **options: object) -> object:
        calls.append(1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return real(*args, **options)

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
) -> list[StartedProcess]:
    """`urbanpipe train` in processes of its own, with the environment that torchrun gives; `recipe` is made `tiny`.

    With `killed_at`, such as "validate:2", the process is killed when that function of the training loop is called for
    the second time.
    """
    program = "helpers.killed_training" if killed_at else "urbanpipe.cli.main"
    arguments = train_arguments(archive, out, *settings, recipe=recipe, tiny=tiny)
    return [
        StartedProcess(program, arguments, env=env | {"KILLED_AT": killed_at}) for env in rank_environments(processes)
    ]


def train_arguments(
    archive: Path, out: Path, *settings: str, recipe: str = "small-mobilenetv2", tiny: Sequence[str] = TINY
) -> list[str]:
    """The arguments of `launch`."""
    data = [str(archive / "catalog.csv"), "--folds", str(archive / "folds.csv"), "--fold", "0"]
    how = ["--recipe", recipe, "--out", str(out), "--cache-gb", "0", "--device", "cpu"]
    return ["train", *data, *how, *(part for setting in (*tiny, *settings) for part in ("--set", setting))]


def rank_environments(processes: int) -> list[dict[str, str]]:
    """The variables that torchrun sets for each of several processes on this machine; none for one alone."""
    if processes == 1:
        return [{}]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    count = str(processes)
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    return [shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(processes)]


def finish(processes: Sequence[StartedProcess]) -> None:
    """Wait for processes that must succeed."""
    for process in processes:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
