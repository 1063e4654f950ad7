"""Loading processes on machines with few processors."""

import os
import warnings

import pytest

from urbanpipe.catalog.catalog_file import Catalog
from urbanpipe.inputs.dataset import VideoDataset
from urbanpipe.inputs.loading import BatchLoader
from urbanpipe.methods.recipe import Recipe


@pytest.mark.multiprocess
@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="torch counts the processors by their affinity")
def test_one_processor_and_two_loading_processes_are_no_reason_for_a_warning(
    catalog: Catalog, tiny: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    dataset = VideoDataset(catalog.labelled[:2], tiny.view, None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (first, second) = BatchLoader(dataset, [[(0, 0, 1)], [(1, 0, 1)]], workers=2)
    assert (first.samples, second.samples) == ([0], [1])
