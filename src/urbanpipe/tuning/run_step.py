"""One step of `fit`: trained if it is expected to end in time."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from urbanpipe.contracts.run_folder import DONE, FOLD_TABLE, read_done, read_json
from urbanpipe.errors import RunError, UrbanpipeError
from urbanpipe.progress import duration_text
from urbanpipe.training.crossval import begin_run_videos, resolve, run_folds
from urbanpipe.training.experiment import Experiment
from urbanpipe.tuning.budget import Budget
from urbanpipe.tuning.cost import crossval_seconds
from urbanpipe.tuning.figures import Outcome, figures_of
from urbanpipe.tuning.steps import Step

log = logging.getLogger(__name__)


class Work(Protocol):
    """What a step needs to know of the call of `fit`."""

    out: Path
    experiment: Experiment
    budget: Budget
    outcomes: dict[str, Outcome]
    measured: dict[str, float]

    @property
    def times(self) -> dict[str, dict[str, float]]:
        """Seconds and number of folds of each step, by name."""

    def save(self) -> None:
        """Write the time spent."""


def run_step(step: Step, folds: Sequence[int], work: Work, *, is_first: bool = False) -> Outcome:
    """Train the folds of a step that are not trained yet, or leave them out where they would not end in time.

    Args:
        step: the step.
        folds: folds to train; with all of them the outcome has figures, else the mAP of each.
        work: experiment, budget and times.
        is_first: whether it is the first baseline, without which there is no result: it raises what went wrong.

    Raises:
        RunError: the budget is too small for the first step.
        UrbanpipeError: the first step fails for another reason.
    """
    run = work.out / step.recipe.name
    try:
        if reason := _train(step, folds, work, is_first=is_first):
            return Outcome(step, None, reason, 0.0)
        if len(folds) < len(work.experiment.fold_numbers):
            return Outcome(step, run, f"tried on {len(folds)} folds", 0.0, tried=maps_of(run, folds))
        return Outcome(step, run, "", 0.0, figures_of(run))
    except UrbanpipeError as error:
        if is_first:
            raise
        log.warning("%s: %s", step.recipe.name, error)
        return Outcome(step, None, f"failed: {error}", 0.0, has_failed=True)


def maps_of(run: Path, folds: Sequence[int]) -> dict[int, float]:
    """Return the mAP of trained folds, by fold."""
    return {fold: _map(run, fold) for fold in folds}


def _map(run: Path, fold: int) -> float:
    done = read_done(run / f"fold{fold}")
    return float("nan") if done is None or done["map"] is None else float(done["map"])


def is_trained(step: Step, work: Work) -> bool:
    """Return whether all folds of a step are trained and evaluated, by this call or by an earlier one."""
    run = work.out / step.recipe.name
    return (run / FOLD_TABLE).exists() and all((run / f"fold{n}" / DONE).exists() for n in work.experiment.fold_numbers)


def has_time(step: Step, work: Work) -> bool:
    """Return whether time is left for a step that has not begun; if not, it need not be measured."""
    return work.budget.left_seconds > 0 or bool(work.times.get(step.recipe.name, {}).get("folds"))


def expected_seconds(step: Step, folds: Sequence[int], work: Work) -> float:
    """Return how long the folds of a step that are not trained yet will take.

    It is scaled from what the step, or the same settings with other epochs, took so far; else a step of its training
    is measured. On frozen features the first fold takes as long as encoding the frames whose features are not stored,
    and the others as long as the latest of them.
    """
    run, experiment = work.out / step.recipe.name, work.experiment
    missing = [fold for fold in folds if read_done(run / f"fold{fold}") is None]
    if not missing or is_trained(step, work):
        return 0.0
    if (per_fold := _known_seconds(step, work)) is not None:
        return len(missing) * per_fold
    encodes_once = step.recipe.input.frozen_backbone and experiment.cache is not None and experiment.cache.writable
    if encodes_once:
        times = work.times.get(step.recipe.name, {})
        if times.get("folds", 0) > 1 and "latest_seconds" in times:
            return len(missing) * times["latest_seconds"]
        if times.get("folds"):
            return 0.0
    if step.recipe.name not in work.measured:
        work.measured[step.recipe.name] = _measured_seconds(step, experiment)
    whole = work.measured[step.recipe.name]
    if step.recipe.input.frozen_backbone:  # it is the time to encode each frame once
        return whole if encodes_once else whole * len(missing)
    return whole * len(missing) / len(experiment.fold_numbers)


def _measured_seconds(step: Step, experiment: Experiment) -> float:
    """Return the expected seconds of a cross-validation, from a measured step of its training."""
    return crossval_seconds(
        resolve(step.recipe, experiment.catalog),
        [video for video in experiment.catalog.labelled if video.name in experiment.folds],
        experiment.folds,
        classes=len(experiment.catalog.taxonomy),
        device=experiment.distributed.device,
        cache=experiment.cache,
    )


def _known_seconds(step: Step, work: Work) -> float | None:
    """Return the seconds of a fold, from runs of the same settings; None where there are none.

    Of a run with other epochs, only the time of its epochs is scaled: reading and validation are the same.
    """
    family = step.recipe.name.rpartition("-")[0]
    for name, times in reversed(work.times.items()):
        before, _, epochs = name.rpartition("-")
        if before == family and epochs.isdecimal() and times.get("folds"):
            whole = times["seconds"] / times["folds"]
            of_epochs = min(whole, _training_seconds(work.out / name, work.experiment.fold_numbers, whole))
            return whole + of_epochs * (step.recipe.training.epochs / int(epochs) - 1)
    return None


def _training_seconds(run: Path, folds: Sequence[int], default: float) -> float:
    """Return the mean seconds that the epochs of the trained folds of a run took."""
    done = [read_json(path) for fold in folds if (path := run / f"fold{fold}" / DONE).exists()]
    seconds = [float(values["train_seconds"]) for values in done if "train_seconds" in values]
    return sum(seconds) / len(seconds) if seconds else default


def _train(step: Step, folds: Sequence[int], work: Work, *, is_first: bool) -> str:
    """Train the missing folds one by one; return why not all are trained, empty if they are."""
    name, experiment = step.recipe.name, work.experiment
    run, recipe = work.out / name, resolve(step.recipe, experiment.catalog)
    if is_trained(step, work):
        begin_run_videos(run, recipe, experiment)  # refuses a run of another recipe or of other data
        for number in experiment.fold_numbers:
            read_done(run / f"fold{number}")  # refuses damaged weights
        return ""
    times = work.times.setdefault(name, {"seconds": 0.0, "folds": 0.0})
    for position, number in enumerate(folds):
        if read_done(run / f"fold{number}") is not None:
            continue
        if not (is_first or has_time(step, work)):
            return "no time was left"
        expected = expected_seconds(step, folds, work)
        if expected > work.budget.left_seconds:
            return _too_long(step, expected, work.budget.left_seconds, is_first=is_first)
        if number == folds[0]:
            left = duration_text(work.budget.left_seconds)
            log.info("%s: %s, expected to take %s of the %s left", name, step.about, duration_text(expected), left)
        after = sum(read_done(run / f"fold{other}") is None for other in folds[position + 1 :])
        began = work.budget.spent_seconds
        try:
            run_folds(run, recipe, experiment, [number], folds_after=after)
            times["folds"] += 1
        finally:  # a fold that is interrupted goes on in a later call
            times["latest_seconds"] = work.budget.spent_seconds - began
            times["seconds"] += times["latest_seconds"]
            work.save()
    if len(folds) == len(experiment.fold_numbers) and not is_trained(step, work):
        run_folds(run, recipe, experiment)  # an earlier call ended before it joined the folds
    return ""


def _too_long(step: Step, expected: float, left: float, *, is_first: bool) -> str:
    reason = f"would take {duration_text(expected)}, and {duration_text(left)} are left"
    if is_first:
        raise RunError(f"the budget is too small: the first step, {step.about}, {reason}; give a larger --budget")
    log.info("%s: left out, it %s", step.recipe.name, reason)
    return reason
