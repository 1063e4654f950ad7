"""Choices among candidates that leave each fold out, so that a fold evaluates a choice that has not seen it.

A candidate is tried on a few folds. `ALL_FOLDS` stands for the choice by all of them, which the final model follows;
each fold has a choice of its own, by the others. Where a fold is not among the tried ones, both are the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from urbanpipe.ensembling.weights import EligibleMembers

ALL_FOLDS = -1
Ranking = dict[int, list[str]]  # names of candidates, the best first, by fold to leave out


def rank(scores: Mapping[str, Mapping[int, float]], folds: Sequence[int], among: Ranking | None = None) -> Ranking:
    """Rank candidates by their mean score, once with all tried folds and once without each fold.

    Args:
        scores: mAP by fold of each candidate, all on the same tried folds; ties keep this order.
        folds: all folds of the experiment.
        among: the candidates to rank, by fold to leave out; default: all.

    Returns:
        Names, the best first, by fold to leave out, and for `ALL_FOLDS`. Without any other tried fold, the given order.
    """

    def ranked(without: int) -> list[str]:
        names = [name for name in scores if among is None or name in among[without]]
        kept = {name: [value for fold, value in scores[name].items() if fold != without] for name in names}
        means = {name: np.nanmean(values) if np.isfinite(values).any() else -1.0 for name, values in kept.items()}
        return sorted(names, key=lambda name: -means[name])

    return {without: ranked(without) for without in (ALL_FOLDS, *folds)}


def best(ranking: Ranking, share: int) -> Ranking:
    """Keep the best of each ranking: one in `share`, at least one."""
    return {without: names[: -(-len(names) // share)] for without, names in ranking.items()}


def union(ranking: Ranking) -> list[str]:
    """Return the candidates of all rankings, those of `ALL_FOLDS` first."""
    return list(dict.fromkeys(name for without in sorted(ranking) for name in ranking[without]))


@dataclass
class EligibleRuns:
    """Which runs may be combined for which fold: those whose existence no score of that fold has decided.

    Attributes:
        folds: all folds of the experiment.
        of_run: folds to leave out, or `ALL_FOLDS`, for which a run was chosen; runs that are not in it are for all.
        tried: folds to leave out, or `ALL_FOLDS`, whose choice has tried a run on the compared folds, by its name.
    """

    folds: Sequence[int]
    of_run: dict[str, set[int]] = field(default_factory=dict)
    tried: dict[str, set[int]] = field(default_factory=dict)

    def allow(self, run: str, without: int) -> None:
        """Let a run be used for a fold, or for the final model."""
        self.of_run.setdefault(run, set()).add(without)

    def mark_tried(self, run: str, without: int) -> None:
        """Let the choice of a fold, or the final one, know the scores of a run."""
        self.tried.setdefault(run, set()).add(without)

    def has_tried(self, run: str, without: int) -> bool:
        """Return whether the choice of a fold, or the final one, knows the scores of a run."""
        return without in self.tried.get(run, ())

    def members(self, runs: Sequence[str]) -> EligibleMembers:
        """Return the runs that each fold's combination, and the final one, may use."""

        def mask(without: int) -> NDArray[np.bool_]:
            return np.array([run not in self.of_run or without in self.of_run[run] for run in runs])

        return EligibleMembers(np.stack([mask(fold) for fold in self.folds]), mask(ALL_FOLDS))
