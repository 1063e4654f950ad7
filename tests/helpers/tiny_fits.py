"""`fit` with networks that train in seconds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from helpers.tiny_recipes import TINY_FROZEN
from urbanpipe.methods.recipe import load_recipe
from urbanpipe.training.options import FoldOptions, RunOptions
from urbanpipe.tuning.fitting import FitResult, fit
from urbanpipe.tuning.steps import Candidate, Step

TINY_SETTINGS: dict[str, dict[str, Any]] = {
    "input": {"tile": 32, "rows": 2, "columns": 2},
    "optimiser": {"warmup_epochs": 1.0},
    "training": {"batch_size": 4, "workers": 0},
}


def tiny_frozen(weights: Mapping[str, str]) -> list[Step]:
    """A frozen network that is fitted in seconds."""
    given = f"model.weights={next(iter(weights.values()))}"
    return [Step(load_recipe("frozen-mobilenetv2", [*TINY_FROZEN, given, "name=frozen-tiny"]), "frozen")]


def tiny_candidate(name: str, learning_rate: float) -> Candidate:
    settings = {**TINY_SETTINGS, "optimiser": {**TINY_SETTINGS["optimiser"], "learning_rate": learning_rate}}
    return Candidate(name, "small-mobilenetv2", "test_convnext", "random", settings)


def fitted(
    archive: Path,
    out: Path,
    budget: str = "1h",
    weights: str = "random",
    folds: Path | None = None,
    only: Sequence[int] = (),
) -> FitResult:
    return fit(
        archive / "catalog.csv",
        out=out,
        budget=budget,
        weights={"any": weights},
        split=FoldOptions(folds=folds or archive / "folds.csv", only=only),
        options=RunOptions(device="cpu", cache=out.parent / "cache"),
    )
