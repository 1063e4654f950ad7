from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from urbanpipe.catalog.catalog_file import Catalog, Video
from urbanpipe.contracts import predictions
from urbanpipe.errors import RunError
from urbanpipe.locks import folder_lock
from urbanpipe.methods.recipe import Recipe
from urbanpipe.models.distributed import DistributedContext
from urbanpipe.reproduce import re_evaluation as module
from urbanpipe.reproduce.re_evaluation import re_evaluate, read_fold
from urbanpipe.training import evaluation_pass as everything

ALONE = DistributedContext(0, 1, torch.device("cpu"))


@pytest.fixture
def trained(tiny: Recipe, catalog: Catalog, tmp_path: Path) -> Path:
    """A run with the network of one fold."""
    folder = tmp_path / "run"
    (folder / "fold0").mkdir(parents=True)
    save_file(tiny.network(len(catalog.taxonomy)).state_dict(), folder / "fold0" / "weights.safetensors")
    return folder


@pytest.fixture
def evaluations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record an entry for each evaluation of a network."""
    found, real = list[str](), everything.predict_all

    def predict_all(*given: object) -> object:
        found.append("predicted")
        return real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "predict_all", predict_all)
    return found


def predict_batches(trained: Path, recipe: Recipe, catalog: Catalog, videos: tuple[Video, ...]) -> tuple[str, ...]:
    out = trained.parent / "again"
    re_evaluate(trained, recipe, out, videos={0: videos}, taxonomy=catalog.taxonomy, distributed=ALONE, cache=None)
    return read_fold(out, 0, catalog.taxonomy).names


def test_what_is_predicted_is_not_predicted_again(
    trained: Path, tiny: Recipe, catalog: Catalog, evaluations: list[str]
) -> None:
    some, others = catalog.labelled[:2], catalog.labelled[2:5]
    names = predict_batches(trained, tiny, catalog, some)
    assert names == tuple(video.name for video in some)
    assert predict_batches(trained, tiny, catalog, some) == names
    assert len(evaluations) == 1
    assert predict_batches(trained, tiny, catalog, others) == tuple(video.name for video in others)
    assert len(evaluations) == 2


def test_no_other_process_evaluates_meanwhile(
    trained: Path, tiny: Recipe, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = []

    def write_predictions(*given: object) -> None:
        with (
            pytest.raises(RunError, match="another process is working in"),
            folder_lock(trained.parent / "again/fold0"),
        ):
            pass
        held.append(True)
        predictions.write_predictions(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "write_predictions", write_predictions)
    predict_batches(trained, tiny, catalog, catalog.labelled[:2])
    assert held


def test_what_another_predicted_while_this_one_waited_is_taken(
    trained: Path, tiny: Recipe, catalog: Catalog, evaluations: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    some = catalog.labelled[:2]

    @contextmanager
    def after_another(folder: Path, wait: bool = False) -> Iterator[None]:
        monkeypatch.setattr(module, "folder_lock", folder_lock)
        predict_batches(trained, tiny, catalog, some)
        with folder_lock(folder, wait):
            yield

    monkeypatch.setattr(module, "folder_lock", after_another)
    predict_batches(trained, tiny, catalog, some)
    assert len(evaluations) == 1
