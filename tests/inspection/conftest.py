"""A video and a bundle that the tests of inspections share."""

from pathlib import Path

import pytest

from helpers.explain_runs import make_video
from helpers.finished_runs import finished_run
from helpers.noisy_videos import noisy_catalog
from urbanpipe.ensembling.bundle_options import NetworkStorage
from urbanpipe.ensembling.bundling import bundle


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("video") / "pipe.mp4")


@pytest.fixture(scope="session")
def graph_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of two networks with graphs for both runtimes, made with 60 videos of noise."""
    folder = tmp_path_factory.mktemp("graphs")
    storage = NetworkStorage(runtimes=("onnx", "openvino"))
    run = finished_run(folder / "run", "frame")
    return bundle(run, out=folder / "bundle", data=noisy_catalog(folder), storage=storage).folder
