"""A video that the tests of archives share."""

from pathlib import Path

import pytest

from helpers.explain_runs import make_video


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("video") / "pipe.mp4")
