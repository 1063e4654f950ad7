"""The verb `fit`: the best model that a time budget allows, in one command."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from urbanpipe.contracts.run_folder import DONE
from urbanpipe.ensembling.bundle_options import BundleLabel
from urbanpipe.ensembling.bundling import bundle
from urbanpipe.ensembling.ensemble import WEIGHTS_FILE, ensemble
from urbanpipe.errors import FoldError, RunError, UrbanpipeError
from urbanpipe.evaluation.audit import audit
from urbanpipe.locks import folder_lock
from urbanpipe.progress import draws_bars, duration_text
from urbanpipe.training.experiment import Experiment, open_experiment
from urbanpipe.training.options import FoldOptions, RunOptions
from urbanpipe.tuning.budget import Budget, parse_budget
from urbanpipe.tuning.choice import EligibleRuns
from urbanpipe.tuning.figures import Figures, Outcome, Point, class_figures, table_of
from urbanpipe.tuning.live_table import show_table
from urbanpipe.tuning.page import HTML, write_page
from urbanpipe.tuning.run_step import is_trained, maps_of, run_step
from urbanpipe.tuning.search import search, steps_of
from urbanpipe.tuning.state import State, read_state, write_state
from urbanpipe.tuning.steps import Candidate, Step, candidates, check_weights, default_weights, frozen_steps

log = logging.getLogger(__name__)

FOLDER = "fit"  # the results, within the experiment
BUNDLE = "bundle"


@dataclass(frozen=True)
class FitResult:
    """The result of `fit`.

    Attributes:
        folder: folder with the page, the ensemble and the bundle.
        outcomes: what became of each step.
        points: the combinations, in the order in which they were made; the last is the result.
        bundle: folder of the bundle; None if none could be made, which the log explains.
    """

    folder: Path
    outcomes: tuple[Outcome, ...]
    points: tuple[Point, ...]
    bundle: Path | None

    def to_json(self) -> dict[str, Any]:
        """Return values for JSON: the files, the last combination, and what became of each step."""
        last = self.points[-1] if self.points else None
        return {
            "results": self.folder,
            "report": self.folder / HTML,
            "bundle": self.bundle,
            **({} if last is None else last.to_json()),
            "steps": [outcome.to_json() for outcome in self.outcomes],
        }


@dataclass
class Fit:
    """The state of a call of `fit`.

    Attributes:
        out: folder of the experiment.
        baseline: name of the first step.
        experiment: videos, folds, processes and cache.
        budget: wall time that is left.
        state: times of the steps and combinations, over all calls.
        eligible: which runs may be combined for which fold.
        outcomes: what became of each step, by name.
        measured: expected seconds of the cross-validations of steps that this call has measured, by name.
        warnings: what the audit says about the data.
        is_outdated: whether earlier calls combined other runs than those that this call may use.
    """

    out: Path
    baseline: str
    experiment: Experiment
    budget: Budget
    state: State
    eligible: EligibleRuns
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    measured: dict[str, float] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    is_outdated: bool = False

    @property
    def folder(self) -> Path:
        """Folder of the results."""
        return self.out / FOLDER

    @property
    def times(self) -> dict[str, dict[str, float]]:
        """Seconds, number of folds and time of completion of each step, by name."""
        return self.state.steps

    @property
    def points(self) -> list[Point]:
        """The combinations so far."""
        return self.state.points

    def save(self) -> None:
        """Write what a later call needs to know."""
        self.state.spent_seconds, self.state.tried = self.budget.spent_seconds, self.eligible.tried
        write_state(self.state, self.folder)

    def restore(self, steps: Sequence[Step]) -> None:
        """Record the runs that earlier calls combined, so that neither they nor their combinations are made again.

        Args:
            steps: all steps that this call may take; runs of others are no longer combined.
        """
        known, combined = {step.recipe.name: step for step in steps}, [*self.points[-1].weights] if self.points else []
        for name in combined:
            if name in known and is_trained(known[name], self):
                self._record(run_step(known[name], self.experiment.fold_numbers, self))
        self.is_outdated = combined != [name for name in self.outcomes if self.has_done(name)]
        if combined and not self.is_outdated and not self._is_complete():
            self._combine(self.points.pop().after)

    def _is_complete(self) -> bool:
        """Return whether the folders of the last combination are there."""
        has_ensemble = len(self.points[-1].weights) == 1 or (self.folder / "ensemble" / WEIGHTS_FILE).exists()
        return has_ensemble and self.points[-1].has_bundle and (self.folder / BUNDLE).is_dir()

    def has_done(self, name: str) -> bool:
        """Return whether every fold of a step is trained."""
        return name in self.outcomes and self.outcomes[name].is_done

    def cross_validate(self, step: Step) -> bool:
        """Train all folds of a step if they are expected to end in time; combine it with the runs so far.

        A step that failed is not tried again, except for the first one, which raises the error.

        Returns:
            Whether they are all trained.
        """
        name, before = step.recipe.name, self.outcomes.get(step.recipe.name)
        is_first = name == self.baseline
        if before is not None and (before.is_done or (before.has_failed and not is_first)):
            return before.is_done
        self._record(run_step(step, self.experiment.fold_numbers, self, is_first=is_first))
        if is_done := self.outcomes[name].is_done:
            self._combine(name)
            figures, left = self.outcomes[name].figures, duration_text(self.budget.left_seconds)
            log.info("%s: mAP %s; combined %s; %s left", name, figures, self.points[-1].figures, left)
            self._show()
        self._write_page()
        return is_done

    def finish(self) -> None:
        """Combine the runs again if they, or the folds for which they may be used, are others, and write the page."""
        if self.is_outdated:
            self._combine([name for name in self.outcomes if self.has_done(name)][-1])
        elif self.points and self.state.eligible != self._eligible():
            self._combine(self.points.pop().after)
        self._write_page()

    def result(self) -> FitResult:
        """Return the result so far."""
        folder = self.folder / BUNDLE
        return FitResult(self.folder, (*self.outcomes.values(),), (*self.points,), folder if folder.is_dir() else None)

    def _combine(self, after: str) -> None:
        """Combine the finished runs, of which `after` is the last."""
        if self.is_outdated:
            self.points.clear()
            self.is_outdated = False
        self.points.append(_combination(self, after))
        self.state.eligible = self._eligible()
        self.save()

    def _eligible(self) -> dict[str, set[int]]:
        """Return the folds to leave out for which finished runs may be combined, where these are not all."""
        return {name: {*folds} for name, folds in self.eligible.of_run.items() if self.has_done(name)}

    def try_folds(self, step: Step, folds: Sequence[int]) -> dict[int, float] | None:
        """Train some folds of a step; return the mAP of each, or None if they are not all trained.

        With all folds it is a cross-validation.
        """
        if len(folds) == len(self.experiment.fold_numbers):
            return maps_of(self.out / step.recipe.name, folds) if self.cross_validate(step) else None
        outcome = run_step(step, folds, self)
        if step.recipe.name not in self.outcomes:
            self._record(outcome)
        return outcome.tried

    def maps(self, step: Step, folds: Sequence[int]) -> dict[int, float] | None:
        """Return the mAP of some folds of a step, or None if one is not trained, or damaged, as its step will say."""
        run = self.out / step.recipe.name
        if not all((run / f"fold{fold}" / DONE).exists() for fold in folds):
            return None
        try:
            return maps_of(run, folds)
        except RunError:
            return None

    def _record(self, outcome: Outcome) -> None:
        """Add an outcome at the end, with the time that its step took in all calls together.

        A step that is not cross-validated keeps the scores of its comparison.
        """
        name = outcome.step.recipe.name
        times = self.times.setdefault(name, {"seconds": 0.0, "folds": 0.0})
        if outcome.is_done and "done_after_seconds" not in times:
            times["done_after_seconds"] = self.budget.spent_seconds
        before = self.outcomes.pop(name, None)
        if before and before.tried and not outcome.is_done:
            reason = f"tried on {len(before.tried)} folds; {outcome.reason}"
            outcome = replace(outcome, tried=before.tried, reason=reason)
        self.outcomes[name] = replace(outcome, seconds=times["seconds"])
        self.save()
        if not outcome.is_done:
            self._show()

    def _outcomes(self) -> list[Outcome]:
        """Return what became of each step, the baseline first."""
        return sorted(self.outcomes.values(), key=lambda outcome: outcome.step.recipe.name != self.baseline)

    def _write_page(self) -> None:
        if self.points and not self.is_outdated:
            write_page(self.folder, self._outcomes(), self.points, self.budget, self.warnings)

    def _show(self) -> None:
        if draws_bars():
            console = Console(stderr=True, markup=False, emoji=False)
            show_table(self._outcomes(), self.points, self.budget, console)


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

    It begins with an audit of the data, whose warnings are on the page. After the baselines, settings of fine-tuning
    are compared by successive halving: they are tried for a few epochs on two folds, the best third for more, and the
    best are cross-validated, with more epochs where these are better and the time allows it. Each step is a run in
    `out` like one of `crossval`. After each cross-validation, the runs so far are combined with weights searched on
    out-of-fold predictions, and `out`/fit gets the ensemble, a bundle, and a page.

    The figure of a combination is nested: a fold is predicted with the settings and the weights that were found on the
    other folds.

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
        split: the folds; with `only`, two or more, these alone are evaluated, and the videos of the others are in every
            training.
        options: device, frame cache and logger.

    Raises:
        BusyError: another process fits a model in `out`.
        FoldError: a fold of `split.only` does not exist, or it is the only one.
        RunError: the budget is no duration, or is too small for the first baseline.
        RecipeError, WeightsError: a backbone is unknown, or its weights cannot be loaded.
        UrbanpipeError: another argument cannot be used; existing files stay unchanged.
    """
    seconds, given, started = parse_budget(budget), weights or default_weights(), time.monotonic()
    baselines = frozen_steps(given)
    check_weights(baselines)
    opened = open_experiment(data, out, labels=labels, taxonomy=taxonomy, split=split, options=options)
    experiment = _with_folds(opened, split.only)
    settings = candidates(given, has_moments=any(video.moments for video in experiment.catalog.labelled))
    with folder_lock(out / FOLDER):
        state = read_state(out / FOLDER)
        eligible = EligibleRuns(
            experiment.fold_numbers, {name: {*folds} for name, folds in state.eligible.items()}, state.tried
        )
        left = Budget(seconds, state.spent_seconds, started)
        work = Fit(out, baselines[0].recipe.name, experiment, left, state, eligible)
        try:
            work.warnings = audit(out / "catalog.csv" if data.is_dir() else data, taxonomy=taxonomy).warnings
            _run(work, baselines, settings)
        finally:  # the time of an interrupted call counts
            work.save()
        return work.result()


def _run(work: Fit, baselines: Sequence[Step], settings: Sequence[Candidate]) -> None:
    """Take the baselines and search among the settings, after what earlier calls have done."""
    for warning in work.warnings:
        log.warning("audit: %s", warning)
    work.restore([*baselines, *(step for setting in settings for step in steps_of(setting))])
    for step in baselines:
        work.cross_validate(step)
    search(settings, work)
    work.finish()


def _with_folds(experiment: Experiment, only: Sequence[int]) -> Experiment:
    """Return the experiment with the folds that are evaluated: `only` these, or all if it is empty.

    Raises:
        FoldError: a fold does not exist, or there is only one.
        RunError: there are several processes.
    """
    if experiment.distributed.count > 1:
        raise RunError("`fit` runs in one process; start it without torchrun")
    evaluated = experiment.evaluating(only) if only else experiment
    if len(evaluated.fold_numbers) < 2:
        asked = "repeat --only-fold" if only else "give --folds 2 or more"
        raise FoldError(f"`fit` needs at least two folds, because the choices for each fold use the others; {asked}")
    return evaluated


def _combination(work: Fit, after: str) -> Point:
    """Return the combination of the finished runs, of which a bundle is made."""
    runs = [outcome.run for outcome in work.outcomes.values() if outcome.is_done and outcome.run is not None]
    model, weights, scores = runs[0], {runs[0].name: 1.0}, None
    if len(runs) > 1:
        eligible = work.eligible.members([run.name for run in runs])
        combined = ensemble(runs, out=work.folder / "ensemble", weights="bagged", eligible=eligible)
        model, scores = combined.folder, combined.nested
        weights = dict(zip(combined.names, combined.weights.tolist(), strict=True))
    has_bundle = True
    try:
        label = BundleLabel(name=work.out.resolve().name)
        table = bundle(model, out=work.folder / BUNDLE, label=label).evaluation.table
    except UrbanpipeError as error:  # a bundle of fewer runs stays
        log.warning("no bundle of %s: %s", model, error)
        has_bundle, table = False, table_of(model, scores)
    spent = max(work.times[run.name]["done_after_seconds"] for run in runs)
    of_all, of_defects = (Figures.of(row) for row in table.rows[:2])
    return Point(spent, of_all, weights, after, has_bundle, of_defects, class_figures(table))
