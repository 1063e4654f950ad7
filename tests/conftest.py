"""What several rooms share: a few videos, made once for all processes, and a recipe that trains in seconds."""

import gc
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from filelock import FileLock
from hypothesis import HealthCheck, settings

from helpers.browsers import chromium
from helpers.event_videos import make_events, read_events
from helpers.finished_runs import finished_run
from helpers.plots_of_folds import without_plots_of_folds
from helpers.tiny_recipes import TINY
from urbanpipe.catalog.catalog_file import Catalog, Video, read_catalog
from urbanpipe.catalog.folds import folds
from urbanpipe.catalog.scan import scan
from urbanpipe.cli.logs import show_logs
from urbanpipe.ensembling.bundle_options import BundleLabel
from urbanpipe.ensembling.bundling import bundle
from urbanpipe.methods.recipe import Recipe, load_recipe
from urbanpipe.simulate.generator import simulate
from urbanpipe.simulate.options import ClassMix, VideoOptions

if TYPE_CHECKING:
    from playwright.sync_api import Browser

show_logs()
os.environ.setdefault("OMP_NUM_THREADS", "1")  # of processes; the networks of the tests are too small for more
torch.set_num_threads(1)  # of this process, in which torch was imported before that

# A busy machine is no failure.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


_SECONDS = {"multiprocess": 10.0, "slow": 5.0, "browser": 3.0}  # rough time of a marked test


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the files that take longest, so that several processes end at about the same time."""
    seconds = defaultdict[Path, float](float)
    for item in items:
        seconds[item.path] += max((_SECONDS.get(mark.name, 0.0) for mark in item.iter_markers()), default=0.0) or 0.05
    items.sort(key=lambda item: (-seconds[item.path], str(item.path)))


@pytest.fixture(scope="session", autouse=True)
def _frozen_heap() -> None:
    """Spare each training, which collects garbage first, the half second for all that tests and libraries hold."""
    gc.freeze()


@pytest.fixture(autouse=True)
def _same_random_numbers() -> None:
    """Give each test the same random weights, whatever tests ran before it in its process."""
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests' frames out of the user's cache, in this process and in those that it starts."""
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    yield
    os.environ.pop("XDG_CACHE_HOME") if before is None else os.environ.update(XDG_CACHE_HOME=before)


def _made_once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that the first process of the run to ask for it fills, and in which no test may change a file."""
    several = "PYTEST_XDIST_WORKER" in os.environ
    run = tmp_path_factory.getbasetemp().parent if several else tmp_path_factory.getbasetemp()
    folder, done = run / name, run / f"{name}.done"
    with FileLock(run / f"{name}.lock"):
        if not done.exists():
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with videos/, labels.json, catalog.csv and folds.csv (two folds): 20 simulated videos, four classes."""
    return _made_once(tmp_path_factory, "archive", _make_archive)


def _make_archive(folder: Path) -> None:
    simulate(
        folder,
        videos=20,
        seed=3,
        workers=1,
        mix=ClassMix(classes=["ZC", "CJ", "ZW", "AJ"], balance=1.0),
        video=VideoOptions(size=(96, 80), fps=8, seconds=(1.0, 2.0)),
    )
    scan(folder / "videos", out=folder / "catalog.csv", labels=folder / "labels.json", workers=1)
    folds(folder / "catalog.csv", out=folder / "folds.csv", folds=2)


@pytest.fixture(scope="session")
def events(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Video], dict[str, int]]:
    """36 videos of a minute, and when the event of a second that half of them have begins."""
    return read_events(_made_once(tmp_path_factory, "events", lambda folder: make_events(folder, 36)))


@pytest.fixture(scope="module")
def no_plots_of_folds() -> Iterator[None]:
    """Leave out `table6.png` and `folds.png` in a file of tests; other tests look at them."""
    with without_plots_of_folds():
        yield


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Chromium for the tests of a file."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def catalog(archive: Path) -> Catalog:
    """The catalog of `archive`."""
    return read_catalog(archive / "catalog.csv")


@pytest.fixture(scope="session")
def tiny() -> Recipe:
    """A recipe that trains in seconds."""
    return load_recipe("small-mobilenetv2", [*TINY, "name=tiny"])


@pytest.fixture(scope="session")
def frame_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of two random networks for single frames; no test may change a file."""
    return _made_once(tmp_path_factory, "frame_bundle", _make_frame_bundle) / "bundle"


def _make_frame_bundle(folder: Path) -> None:
    bundle(finished_run(folder / "run", "frame"), out=folder / "bundle", label=BundleLabel(demonstration=True))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of material that lies beside the project; tests that need it skip where it is absent."""
    folder = Path(__file__).parents[1].parent / "shared"
    if not folder.is_dir():
        pytest.skip("no shared material beside the project")
    return folder
