"""The search of `fit`: which settings are compared, and which are trained for how long."""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from urbanpipe.errors import UrbanpipeError
from urbanpipe.tuning.choice import ALL_FOLDS, EligibleRuns, Ranking, best, rank, union
from urbanpipe.tuning.run_step import Work, expected_seconds, has_time, is_trained
from urbanpipe.tuning.steps import EPOCHS, Candidate, Step

log = logging.getLogger(__name__)

TRIED_FOLDS = 2  # on which settings are compared
HALVING = 3  # one in so many settings is compared for more epochs
COMPARED_SHARE = 0.25  # of the time left, for a comparison; the rest trains what it finds
TRIAL_SHARE = 1 / 3  # of the first comparison, for one setting; slower ones wait
SLOW = 1.5  # times the fastest setting; only slower ones wait
TRAINED_SHARE = 0.75  # of the time left, for more than the fewest epochs of a setting


class SearchedWork(Work, Protocol):
    """What the search needs of the call of `fit`."""

    eligible: EligibleRuns

    def cross_validate(self, step: Step) -> bool:
        """Train all folds of a step, unless it has failed before; return whether they are all trained."""

    def try_folds(self, step: Step, folds: Sequence[int]) -> dict[int, float] | None:
        """Train some folds of a step; return the mAP of each, or None if they are not all trained."""

    def maps(self, step: Step, folds: Sequence[int]) -> dict[int, float] | None:
        """Return the mAP of some folds of a step, or None if they are not all trained."""


def search(settings: Sequence[Candidate], work: SearchedWork) -> None:
    """Compare settings by successive halving, and train the best ones for as long as it helps and the time allows.

    As many as fit into a share of the time left are tried for the fewest epochs on two folds, and the best third of
    them for more. Then each is cross-validated, the best first, with the best number of epochs so far, and with more
    epochs if the tried folds show that these are better. It leaves some time for the next: models of different
    settings complement each other. Those that could not be compared follow in the given order. While time is left,
    the same begins again with other numbers of epochs.
    """
    by_name, ranking = {candidate.name: candidate for candidate in settings}, _ranked(settings, work)
    compared, all_folds = union(ranking), (ALL_FOLDS, *work.experiment.fold_numbers)
    others = [candidate for candidate in settings if candidate.name not in compared]
    while any(
        [
            *_train_ranked(ranking, by_name, work),
            *(_train_setting(candidate, all_folds, work) for candidate in others),
        ]
    ):
        pass


def steps_of(candidate: Candidate) -> list[Step]:
    """Return the trainings of a setting, the shortest first."""
    return [candidate.step(epochs) for epochs in EPOCHS]


def _ranked(settings: Sequence[Candidate], work: SearchedWork) -> Ranking:
    """Return the compared settings, the best first, by fold to leave out; none if there is no time for two."""
    shortest, *longer = EPOCHS
    ranking = _compared(settings, shortest, work)
    if ranking is None:
        return {}
    third = best(ranking, HALVING)
    finalists = [candidate for candidate in settings if candidate.name in union(third)]
    again = _compared(finalists, longer[0], work, among=third) if longer else None
    if again is None:
        return ranking
    return {without: list(dict.fromkeys((*again[without], *names))) for without, names in ranking.items()}


def _train_ranked(ranking: Ranking, by_name: Mapping[str, Candidate], work: SearchedWork) -> Iterator[bool]:
    """Train the settings on each place of any ranking; yield whether each was trained."""
    for position in range(len(ranking.get(ALL_FOLDS, ()))):
        at_position = {without: names[position : position + 1] for without, names in ranking.items()}
        for name in union(at_position):
            yield _train_setting(by_name[name], [fold for fold, names in at_position.items() if name in names], work)


def _train_setting(candidate: Candidate, chosen_for: Sequence[int], work: SearchedWork) -> bool:
    """Cross-validate a setting with the best number of epochs so far, and with the most that fit if these are better.

    More epochs are not always better. So a longer training begins with the folds on which settings are compared. It
    goes on if it is better there than the others of its setting. Where nothing was tried of the setting, or there are
    no other folds, it goes on in any case. Each fold has a choice of its own, which knows nothing of trainings that
    only the choices of other folds have tried.

    Args:
        candidate: the setting.
        chosen_for: folds to leave out for which it was chosen, and `ALL_FOLDS`.
        work: the call of `fit`.

    Returns:
        Whether anything was trained or tried.
    """
    steps, longest = steps_of(candidate), dict[str, list[int]]()
    has_trained = _train_best(steps, chosen_for, work)
    for without in chosen_for:
        fitting = [*_affordable(steps, without, work)] or steps[:1]
        if untried := [step for step in fitting if not (_is_known(step, without, work) or _failed(step, work))]:
            longest.setdefault(untried[-1].recipe.name, []).append(without)
    by_name = {step.recipe.name: step for step in steps}
    has_tried = [_try_longest(by_name[name], steps, users, work) for name, users in longest.items()]
    return has_trained or any(has_tried)


def _try_longest(step: Step, steps: Sequence[Step], users: Sequence[int], work: SearchedWork) -> bool:
    """Try a step for the choices of some folds, and cross-validate it for those that it is the best for.

    Args:
        step: a training of a setting.
        steps: all of the setting, the shortest first.
        users: folds to leave out.
        work: the call of `fit`.

    Returns:
        Whether it was trained, or tried, or has failed.
    """
    folds, name = work.experiment.fold_numbers, step.recipe.name
    tried = folds[:TRIED_FOLDS]
    known = {without: _scores(steps, without, work) for without in users}
    at_once = [without for without in users if not known[without] or len(tried) == len(folds)]
    compared = [without for without in users if without not in at_once]
    has_trained = bool(at_once) and _train_chosen(step, at_once, work)
    if compared and work.try_folds(step, tried) is not None:
        for without in compared:
            work.eligible.mark_tried(name, without)
        _train_best(steps, compared, work)
        return True
    return has_trained or _failed(step, work)


def _train_best(steps: Sequence[Step], chosen_for: Sequence[int], work: SearchedWork) -> bool:
    """Cross-validate the best step that each fold's choice has tried; return whether one was trained.

    Args:
        steps: the trainings of a setting, the shortest first; of equally good ones, the shorter is taken.
        chosen_for: folds to leave out for which the setting was chosen, and `ALL_FOLDS`, which comes first.
        work: the call of `fit`.
    """
    by_name, best_for = {step.recipe.name: step for step in steps}, dict[str, list[int]]()
    for without in chosen_for:
        fitting = {
            step.recipe.name for step in (*_affordable(steps, without, work), steps[0]) if not _failed(step, work)
        }
        scores = {name: maps for name, maps in _scores(steps, without, work).items() if name in fitting}
        if scores:
            ranking = rank(scores, work.experiment.fold_numbers)
            best_for.setdefault(ranking[without][0], []).append(without)
    trained = [_train_chosen(by_name[name], users, work) for name, users in best_for.items()]
    return any(trained)


def _scores(steps: Sequence[Step], without: int, work: SearchedWork) -> dict[str, dict[int, float]]:
    """Return the mAP on the compared folds of the steps that one fold's choice has tried, by name."""
    tried = work.experiment.fold_numbers[:TRIED_FOLDS]
    known = [step for step in steps if work.eligible.has_tried(step.recipe.name, without)]
    return {step.recipe.name: maps for step in known if (maps := work.maps(step, tried)) is not None}


def _is_known(step: Step, without: int, work: SearchedWork) -> bool:
    """Return whether one fold's choice has tried a step."""
    return bool(_scores([step], without, work))


def _failed(step: Step, work: SearchedWork) -> bool:
    return step.recipe.name in work.outcomes and work.outcomes[step.recipe.name].has_failed


def _affordable(steps: Sequence[Step], without: int, work: SearchedWork) -> Iterator[Step]:
    """Yield the steps that fit into a share of the time left, out of those of one setting, the shortest first.

    After one that does not fit, only those are looked at of which some folds are trained: less of them is left.
    """
    has_fitted = True
    for step in steps:
        if has_fitted or work.times.get(step.recipe.name, {}).get("folds"):
            has_fitted = _is_affordable(step, without, work)
            if has_fitted:
                yield step


def _is_affordable(step: Step, without: int, work: SearchedWork) -> bool:
    """Return whether a step fits into a share of the time left, by the choice of one fold.

    What the choices of other folds have trained of it may be used if there would have been time to train it now, so
    that no fold gets a training for which the order of its own choice left no time.
    """
    left, needed = work.budget.left_seconds, _needed_seconds(step, work.experiment.fold_numbers, work)
    if _is_known(step, without, work):
        return is_trained(step, work) or needed <= TRAINED_SHARE * left
    took = work.times.get(step.recipe.name, {}).get("seconds", 0.0)
    return took + (0.0 if is_trained(step, work) else needed) <= TRAINED_SHARE * (left + took)


def _train_chosen(step: Step, chosen_for: Sequence[int], work: SearchedWork) -> bool:
    """Cross-validate a step for the folds that it was chosen for; return whether it is newly combined."""
    for without in chosen_for:
        work.eligible.allow(step.recipe.name, without)
        work.eligible.mark_tried(step.recipe.name, without)
    before = work.outcomes.get(step.recipe.name)
    return not (before is not None and before.is_done) and work.cross_validate(step)


def _compared(
    settings: Sequence[Candidate], epochs: int, work: SearchedWork, *, among: Ranking | None = None
) -> Ranking | None:
    """Try settings for some epochs on a few folds, and rank them.

    Args:
        settings: the settings, of which as many are tried, in this order, as fit into a share of the time left.
            Without `among`, those that would take much of it alone are left out.
        epochs: epochs of each.
        work: the call of `fit`.
        among: the settings to rank, by fold to leave out; default: all.

    Returns:
        The ranking; None if there is no time to compare two.
    """
    folds = work.experiment.fold_numbers
    tried = folds[:TRIED_FOLDS]
    before = work.budget.left_seconds
    steps = _fitting(settings, epochs, work, share=1.0 if among else TRIAL_SHARE)
    log.info("time to compare %d of %d settings for %d epochs", len(steps), len(settings), epochs)
    if len(steps) < 2:
        return None
    for name, step in steps.items():
        for without in (ALL_FOLDS, *folds):
            if among is None or name in among[without]:
                work.eligible.mark_tried(step.recipe.name, without)
                if len(tried) == len(folds):  # each trial is a cross-validation
                    work.eligible.allow(step.recipe.name, without)
    scores = dict[str, dict[int, float]]()
    for name, step in steps.items():
        if before - work.budget.left_seconds > COMPARED_SHARE * before:  # they take longer than expected
            log.info("compared %d of %d settings: no time is left for the others", len(scores), len(steps))
            break
        if (maps := work.try_folds(step, tried)) is not None:
            scores[name] = maps
    return rank(scores, folds, among) if scores else None


def _fitting(settings: Sequence[Candidate], epochs: int, work: SearchedWork, *, share: float) -> dict[str, Step]:
    """Return the settings, in this order, for whose trials a share of the time left is expected to suffice, by name.

    Args:
        settings: the settings.
        epochs: epochs of each.
        work: the call of `fit`.
        share: how much of the time for all trials one may take, if it is much slower than the fastest.
    """
    tried, fitting = work.experiment.fold_numbers[:TRIED_FOLDS], dict[str, Step]()
    left = COMPARED_SHARE * work.budget.left_seconds
    steps = {candidate.name: candidate.step(epochs) for candidate in settings}
    needed = {name: _needed_seconds(step, tried, work) for name, step in steps.items()}
    taken = {name: work.times.get(step.recipe.name, {}).get("seconds", 0.0) for name, step in steps.items()}
    longest = max(share * left, SLOW * min((needed[name] + taken[name] for name in steps), default=0.0))
    for name, step in steps.items():
        if needed[name] <= min(left, longest):
            fitting[name] = step
            left -= needed[name]
    return fitting


def _needed_seconds(step: Step, folds: Sequence[int], work: SearchedWork) -> float:
    """Return the expected seconds of a step; infinity without time for it, or if they cannot be measured.

    Why they cannot be measured is recorded by its training.
    """
    if not has_time(step, work):
        return math.inf
    try:
        return expected_seconds(step, folds, work)
    except UrbanpipeError:
        return math.inf
