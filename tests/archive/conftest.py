"""A video and a bundle that the tests of archives share."""

from pathlib import Path

import pytest

from helpers.explain_runs import make_video
from helpers.finished_runs import finished_run
from urbanpipe.ensembling.bundle_options import BundleLabel
from urbanpipe.ensembling.bundling import bundle


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("video") / "pipe.mp4")


@pytest.fixture(scope="session")
def frame_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frame")
    run = finished_run(folder / "run", "frame")
    return bundle(run, out=folder / "bundle", label=BundleLabel(demonstration=True)).folder
