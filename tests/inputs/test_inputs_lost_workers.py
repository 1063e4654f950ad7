"""A loading process that the system ends is told in one line, and the same command goes on."""

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import get_worker_info

from helpers.tiny_recipes import TINY
from urbanpipe.catalog.folds import folds
from urbanpipe.errors import LoadingError
from urbanpipe.inference.predict import predict
from urbanpipe.inputs import loading
from urbanpipe.inputs.dataset import VideoDataset
from urbanpipe.inputs.lost_workers import lost_workers_explained
from urbanpipe.inputs.new_videos import new_samples
from urbanpipe.methods.recipe import load_recipe, write_recipe
from urbanpipe.training.crossval import crossval
from urbanpipe.training.options import FoldOptions, RunOptions

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("no_plots_of_folds"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the loading processes must inherit what this test changes"),
]


def end_loading_processes(patch: pytest.MonkeyPatch) -> None:
    """End each loading process at its first video, as the system does when memory runs out."""

    def item(dataset: VideoDataset, key: Any) -> Any:
        if get_worker_info() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return read(dataset, key)

    def samples(*given: Any) -> Any:
        if get_worker_info() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return new_samples(*given)

    read = VideoDataset.__getitem__
    patch.setattr(VideoDataset, "__getitem__", item)
    patch.setattr(loading, "new_samples", samples)


def test_a_training_and_a_prediction_say_so_and_go_on_in_a_later_call(archive: Path, tmp_path: Path) -> None:
    settings = [*TINY, "name=tiny", "training.epochs=1", "training.workers=1"]
    write_recipe(load_recipe("small-mobilenetv2", settings), tmp_path / "tiny.toml")
    folds(archive / "catalog.csv", out=tmp_path / "folds.csv", folds=2)

    def train() -> Path:
        split = FoldOptions(folds=tmp_path / "folds.csv")
        options = RunOptions(cache_gb=0, device="cpu")
        return crossval(
            archive / "catalog.csv", [tmp_path / "tiny.toml"], out=tmp_path / "out", split=split, options=options
        ).runs[0]

    def predicted(run: Path) -> int:
        return len(predict(run, [archive / "videos"], out=tmp_path / "p.json", workers=1).predictions.names)

    with pytest.MonkeyPatch.context() as patch:
        end_loading_processes(patch)
        with pytest.raises(LoadingError, match="most often because memory ran out"):
            train()
    run = train()
    with pytest.MonkeyPatch.context() as patch:
        end_loading_processes(patch)
        with pytest.raises(LoadingError, match="run the same command again"):
            predicted(run)
    assert predicted(run) == len(list((archive / "videos").iterdir()))


@pytest.mark.parametrize(
    ("error", "signal_name"),
    [
        ("DataLoader worker (pid 4711) is killed by signal: Killed. ", " (Killed)"),
        ("DataLoader worker (pid(s) 4711, 4712) exited unexpectedly", ""),
    ],
)
def test_both_ways_in_which_torch_tells_it(error: str, signal_name: str) -> None:
    with (
        pytest.raises(LoadingError, match=re.escape(f"by the system{signal_name}, most")),
        lost_workers_explained(),
    ):
        raise RuntimeError(error)


def test_another_error_stays_as_it_is() -> None:
    with pytest.raises(RuntimeError, match="shapes"), lost_workers_explained():
        raise RuntimeError("shapes do not match")
