"""Weights over models: equal, given, or searched on out-of-fold predictions and evaluated by nested validation."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from urbanpipe.errors import RecipeError
from urbanpipe.evaluation.average_precision import average_precisions, fold_aps, has_both, means_of_known
from urbanpipe.evaluation.evaluation_set import EvaluationSet, leave_one_fold_out
from urbanpipe.progress import track
from urbanpipe.settings import read_toml

ROUNDS = 50
PATIENCE = 10
STEPS = (0.2, 0.1, 0.05, 0.02, 0.01)
BAGS, BAG_ROUNDS = 10, 25  # searches of `search_bagged`, and the choices of each
BAGGED_VIDEOS = 5_000  # of all its searches together: with many videos one search is stable, and expensive
SMALLEST = 0.05  # weight that `search_bagged` gives, because each member costs a forward pass


Search = Callable[[NDArray[np.float64], EvaluationSet], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class EligibleMembers:
    """Members that a search may use, because they were not chosen by scores of the videos that evaluate it.

    Attributes:
        by_fold: (K, M) bool, for each fold, ascending, the members for the search on the other folds.
        final: (M,) bool, the members for the search on all folds.
    """

    by_fold: NDArray[np.bool_]
    final: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Searched:
    """Result of a weight search.

    Attributes:
        weights: (M,) found on all folds, sum 1. Scores of these weights on the same videos are optimistic.
        by_fold: (K, M), for each fold the weights found on the other folds; None if there is only one fold.
        nested: (n, C) scores, each fold's mixed with the weights found on the other folds, which give an unbiased
            estimate of the search; None if there is only one fold.
    """

    weights: NDArray[np.float64]
    by_fold: NDArray[np.float64] | None
    nested: NDArray[np.float64] | None


def equal_weights(members: int) -> NDArray[np.float64]:
    """Return (M,) equal weights, 1/M each."""
    return np.full(members, 1.0 / members)


def given_weights(values: Sequence[float], names: Sequence[str]) -> NDArray[np.float64]:
    """Normalize the weights that a user gives to sum 1.

    Args:
        values: one per member, 0 or more.
        names: names of the M members.

    Returns:
        (M,) with sum 1.

    Raises:
        RecipeError: the number of weights is not that of the members, one is negative, or none is positive.
    """
    if len(values) != len(names):
        raise RecipeError(f"{len(values)} weights for {len(names)} models; give one for each of {', '.join(names)}")
    weights = np.asarray(values, dtype=np.float64)
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.sum() > 0):
        shown = ", ".join(f"{value:g}" for value in values)
        raise RecipeError(f"the weights {shown} cannot be used; they must be 0 or more and not all 0")
    shares: NDArray[np.float64] = weights / weights.sum()
    return shares


def weighted_mean(members: ArrayLike, weights: ArrayLike) -> NDArray[np.float64]:
    """Return the weighted mean, (n, C), clipped to [0, 1], of member scores (M, n, C) by weights (M,) with sum 1."""
    mean: NDArray[np.float64] = np.tensordot(np.asarray(weights), np.asarray(members, dtype=np.float64), axes=1)
    return mean.clip(0.0, 1.0)  # weights sum to 1 only up to rounding


def mean_map(scores: NDArray[np.float64], data: EvaluationSet) -> float:
    """Compute the mean over folds of mAP over all classes; see `mean_maps`."""
    return float(mean_maps(scores[None], data)[0])


def mean_maps(scores: NDArray[np.float64], data: EvaluationSet) -> NDArray[np.float64]:
    """Compute the mean over folds of mAP over all classes, of many scores at once.

    A class that no video of a fold shows, or every one, is left out there.

    Args:
        scores: (M, n, C) float, no NaN.
        data: the n videos.

    Returns:
        (M,), NaN if no fold has a class.
    """
    maps = []
    for _, held in leave_one_fold_out(data.folds):
        classes = has_both(data.targets[held])
        of_fold = np.ascontiguousarray(scores[:, held][:, :, classes].transpose(0, 2, 1))
        ap = average_precisions(of_fold, data.targets[held][:, classes].T)
        maps.append(ap.mean(1) if classes.any() else np.full(len(scores), np.nan))
    return means_of_known(np.stack(maps, axis=1), axis=1)


def search_weights(
    members: NDArray[np.float64],
    data: EvaluationSet,
    rounds: int = ROUNDS,
) -> NDArray[np.float64]:
    """Search the weights with the best mean mAP over folds by greedy selection with replacement.

    The method is that of Caruana et al. (ICML 2004). Starting empty, each round adds the member that maximizes the mAP
    of the mean of the chosen ones; a member can be chosen again, which raises its weight. The weights of the best round
    are returned, or equal weights if no round beats them.

    Args:
        members: (M, n, C) out-of-fold scores.
        data: the n videos.
        rounds: maximum number of choices; weights are multiples of 1/k, where k <= rounds choices were made.

    Returns:
        (M,) with sum 1.
    """
    best = equal_weights(len(members))
    best_map = mean_map(weighted_mean(members, best), data)
    best_round = 0
    for number, (chosen, score) in enumerate(_choices(members, data, rounds), start=1):
        if score > best_map:
            best, best_map, best_round = np.bincount(chosen, minlength=len(members)) / number, score, number
        if number - best_round >= max(PATIENCE, len(members)):
            break
    return best


def search_bagged(members: NDArray[np.float64], data: EvaluationSet, bags: int | None = None) -> NDArray[np.float64]:
    """Return the mean weights of greedy searches on resampled groups of videos, which fit noise less than one search.

    The method follows the bagged ensemble selection of Caruana et al. (ICML 2004), which resamples members instead.
    Weights below `SMALLEST`, or below half of an equal share if that is less, are 0.

    Args:
        members: (M, n, C) out-of-fold scores.
        data: the n videos.
        bags: number of searches; 1 is one search on all videos, as in `search_weights`. Default: as many as
            `BAGGED_VIDEOS` allow.

    Returns:
        (M,) with sum 1, the same for the same input.
    """
    bags = bag_count(data) if bags is None else bags
    mean = _mean_of_searches(members, data, bags) if bags > 1 else search_weights(members, data)
    mean[mean < min(SMALLEST, 0.5 / len(members))] = 0
    mean /= mean.sum()
    return mean


def bag_count(data: EvaluationSet) -> int:
    """Return the number of searches of `search_bagged`: the fewer, the more videos there are."""
    return max(1, min(BAGS, BAGGED_VIDEOS // max(1, len(data.names))))


def _mean_of_searches(members: NDArray[np.float64], data: EvaluationSet, bags: int) -> NDArray[np.float64]:
    """Return the mean weights (M,) of searches on resampled groups of videos."""
    generator, groups = np.random.default_rng(0), np.unique(data.groups, return_inverse=True)[1]
    rows_of = [np.flatnonzero(groups == group) for group in range(int(groups.max()) + 1)]
    weights = []
    for _ in range(bags):
        drawn = generator.integers(len(rows_of), size=len(rows_of))
        rows = np.concatenate([rows_of[group] for group in drawn])
        weights.append(search_weights(members[:, rows], data.only(rows), BAG_ROUNDS))
    mean: NDArray[np.float64] = np.mean(weights, axis=0)
    return mean


def _choices(
    members: NDArray[np.float64],
    data: EvaluationSet,
    rounds: int,
) -> Iterator[tuple[list[int], float]]:
    """Yield the members chosen so far, and the mAP of their mean, after each round."""
    total = np.zeros(members.shape[1:])
    chosen: list[int] = []
    for _ in range(rounds):
        maps = mean_maps(total + members, data)
        chosen.append(int(np.argmax(maps)))
        total = total + members[chosen[-1]]
        yield chosen, float(maps[chosen[-1]])


def search_simplex(members: NDArray[np.float64], data: EvaluationSet) -> NDArray[np.float64]:
    """Search the weights with the best mean mAP over folds by a pattern search over the simplex.

    Starting from equal weights, it moves weight (one step) from one member to another, always by the best of all such
    moves, until none improves the mAP; then it reduces the step. Finer and slower than the greedy selection.

    Args:
        members: (M, n, C) out-of-fold scores.
        data: the n videos.

    Returns:
        (M,) with sum 1.
    """
    best = equal_weights(len(members))
    best_map = mean_map(weighted_mean(members, best), data)
    for step in STEPS:
        while True:
            moved = [_moved(best, step, *pair) for pair in permutations(range(len(members)), 2) if best[pair[0]] > 0]
            maps = [mean_map(weighted_mean(members, shares), data) for shares in moved]
            if not maps or max(maps) <= best_map:
                break
            best, best_map = moved[int(np.argmax(maps))], max(maps)
    return best


def _moved(weights: NDArray[np.float64], step: float, giver: int, taker: int) -> NDArray[np.float64]:
    given, result = min(step, float(weights[giver])), weights.copy()
    result[giver] -= given
    result[taker] += given
    return result


SEARCHES: dict[str, Search] = {"search": search_weights, "bagged": search_bagged, "simplex": search_simplex}


def search_nested(
    members: NDArray[np.float64],
    data: EvaluationSet,
    search: Search = search_weights,
    eligible: EligibleMembers | None = None,
) -> Searched:
    """Search weights on all folds, and again without each fold in turn, to evaluate the search.

    Args:
        members: (M, n, C) out-of-fold scores.
        data: the n videos.
        search: the search function.
        eligible: members that each search may use, the others get no weight; default: all.
    """
    if search is search_bagged:  # on fewer videos it would be another search, which would say nothing about this one
        search = partial(search_bagged, bags=bag_count(data))
    weights = _of_eligible(search, members, data, None if eligible is None else eligible.final)
    folds = [*leave_one_fold_out(data.folds)]
    if len(folds) < 2:
        return Searched(weights, None, None)
    nested = np.empty(members.shape[1:])
    by_fold = []
    for position, (_, held) in enumerate(track(folds, len(folds), "searching weights", unit="folds")):
        allowed = None if eligible is None else eligible.by_fold[position]
        by_fold.append(_of_eligible(search, members[:, ~held], data.only(~held), allowed))
        nested[held] = weighted_mean(members[:, held], by_fold[-1])
    return Searched(weights, np.stack(by_fold), nested)


def _of_eligible(
    search: Search, members: NDArray[np.float64], data: EvaluationSet, eligible: NDArray[np.bool_] | None
) -> NDArray[np.float64]:
    """Search weights among the eligible members; the others have weight 0."""
    if eligible is None:
        return search(members, data)
    weights = np.zeros(len(members))
    weights[eligible] = search(members[eligible], data)
    return weights


def best_per_class(
    members: NDArray[np.float64], targets: NDArray[np.bool_], folds: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Take each class's scores from the member with the highest AP for it, chosen on the other folds: (n, C).

    The AP of a fold is computed on that fold's videos. A class that no other fold shows is taken from the first member.

    Args:
        members: (M, n, C) out-of-fold scores.
        targets: (n, C) bool.
        folds: (n,) int, at least two different ones.
    """
    ap = np.stack([fold_aps(scores, targets, folds) for scores in members])
    best = np.empty(members.shape[1:])
    for position, (_, held) in enumerate(leave_one_fold_out(folds)):
        mean = np.nan_to_num(means_of_known(np.delete(ap, position, axis=1), axis=1))  # (M, C) on the other folds
        best[held] = members[mean.argmax(axis=0)[None, :], np.flatnonzero(held)[:, None], np.arange(targets.shape[1])]
    return best


def weights_by(weights: str | Path | Sequence[float]) -> str:
    """Return how weights are chosen: "equal", "search", "bagged", "simplex" or "given"."""
    return weights if isinstance(weights, str) and weights in ("equal", *SEARCHES) else "given"


def read_weights(weights: str | Path | Sequence[float], names: Sequence[str]) -> NDArray[np.float64] | None:
    """Read the given weights of the members `names`; None if they are to be equal or searched.

    Raises:
        RecipeError: the weights cannot be used, or belong to other members.
    """
    if weights_by(weights) != "given":
        return None
    if not isinstance(weights, str | Path):
        return given_weights(weights, names)
    if str(weights).endswith(".toml"):
        return given_weights(_weights_of_file(Path(weights), names), names)
    try:
        values = [float(part) for part in str(weights).split(",")]
    except ValueError:
        choices = "equal, search, bagged, simplex, one number per run such as 0.3,0.7, or a TOML file"
        raise RecipeError(f"weights {str(weights)!r} are none of: {choices}") from None
    return given_weights(values, names)


def _weights_of_file(path: Path, names: Sequence[str]) -> list[float]:
    form = 'expected members = [{name = "...", weight = 0.3}, ...]'
    try:
        table = read_toml(path)
        weights = {str(member["name"]): float(member["weight"]) for member in table["members"]}
    except OSError as error:
        raise RecipeError(f"cannot read the weights {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise RecipeError(f"{path} does not contain weights ({error!r}); {form}") from error
    if set(weights) != set(names):
        raise RecipeError(f"{path} has weights for {', '.join(weights)}; the runs given are {', '.join(names)}")
    return [weights[name] for name in names]
