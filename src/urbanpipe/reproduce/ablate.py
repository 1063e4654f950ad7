"""`ablate`: one change per row to a recipe, compared on the same seeds, folds and videos."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from urbanpipe.catalog.catalog_file import Catalog, Video, read_catalog
from urbanpipe.contracts.names import shortened
from urbanpipe.contracts.run_folder import read_done
from urbanpipe.errors import CatalogError, RecipeError, WeightsError
from urbanpipe.evaluation.tables import absent
from urbanpipe.locks import folder_lock
from urbanpipe.methods.recipe import Recipe, load_recipe
from urbanpipe.models.weights import load_weights
from urbanpipe.reproduce.ablation_table import Ablation, Line
from urbanpipe.reproduce.changes import Change, Trial, asked_changes, read_changes, trial
from urbanpipe.reproduce.experiment import NOT_TRAINED, ReportExperiment, open_report_experiment, refuse_folder
from urbanpipe.reproduce.models import check_recipes, misfit
from urbanpipe.reproduce.options import AblationPlan
from urbanpipe.reproduce.paired_comparison import ComparisonData, PairedComparison, TrainingScores, compare_paired
from urbanpipe.reproduce.re_evaluation import re_evaluate, read_fold
from urbanpipe.reproduce.report_models import notes_on_epochs
from urbanpipe.reproduce.score_changes import SCORE_CHANGES
from urbanpipe.taxonomy import given_taxonomy
from urbanpipe.training.crossval import find_unreadable, resolve
from urbanpipe.training.options import FoldOptions, RunOptions

BASE = "base"


@dataclass(frozen=True)
class _Plan:
    """The networks to train and evaluate.

    Attributes:
        experiment: the data.
        trials: the rows.
        networks: recipes to train, by name.
        sides: for each row that trains, the names of the networks with and without the change.
        seeds: seeds of the trainings.
        test: additional labelled videos.
    """

    experiment: ReportExperiment
    trials: Sequence[Trial]
    networks: Mapping[str, Recipe]
    sides: Mapping[str, tuple[str, str]]
    seeds: tuple[int, ...]
    test: tuple[Video, ...]

    def runs(self, name: str) -> list[Path]:
        """Return the folders of a network's cross-validations, one per seed."""
        return [self.experiment.out / f"seed{seed}" / name for seed in self.seeds]

    def evaluation_folder(self, row: Change) -> str:
        """Return the name of a row's re-evaluation folder in the folder of a seed; it depends on the test videos."""
        if row.kind != "videos":
            return row.key
        names = json.dumps([(video.name, video.digest) for video in self.test])
        return f"{row.key}-{hashlib.blake2b(names.encode(), digest_size=4).hexdigest()}"


def ablate(
    data: Path,
    recipe: str | Path,
    *,
    out: Path,
    plan: AblationPlan = AblationPlan(),
    overrides: Sequence[str] = (),
    taxonomy: Path | None = None,
    split: FoldOptions = FoldOptions(),
    options: RunOptions = RunOptions(),
) -> Ablation:
    """Train a recipe with and without each change of the report's Tables 4 and 5, or your own, and measure the gains.

    Args:
        data: a catalog.
        recipe: name or file of the base recipe.
        out: output folder for `seed<s>/<network>/`, `ablation.csv` and `ablation.md`. Further calls, also with other
            rows, folds or seeds, train only what is missing; the table then has the rows, folds and seeds of the last
            call.
        plan: rows, changes and seeds. Rows of earlier calls must be named again to be part of the table.
        overrides: `section.key=value` for the base.
        taxonomy: the classes; default: the 17 QV-Pipe classes.
        split: the folds.
        options: device, frame cache and logger.

    Raises:
        UrbanpipeError: an argument cannot be used; existing files stay unchanged. If a process runs out of memory, a
            single process continues without the row, and several processes all stop.
    """
    base, chosen = load_recipe(recipe, list(overrides)), asked_changes(plan.rows, plan.changes)
    if plan.seeds < 1:
        raise RecipeError(f"seeds = {plan.seeds}: give 1 or more")
    if plan.test and not any(row.kind == "videos" for row in chosen):
        raise RecipeError("--test has no effect without the row fold-ensemble; add --row fold-ensemble")
    refuse_folder(data)
    catalog = read_catalog(data, given_taxonomy(taxonomy))
    others = tuple(read_catalog(plan.test, given_taxonomy(taxonomy)).labelled) if plan.test else ()
    _refuse_trained_on(others, catalog)
    _check_own(base, chosen, catalog, out)
    experiment = open_report_experiment(data, out, taxonomy=taxonomy, split=split, options=options)
    made = run_ablation(experiment, base, chosen, plan.seeds, others)
    if experiment.distributed.is_main:
        with folder_lock(out, wait=True):
            made.write(out / "ablation")
    return made


def _check_own(recipe: Recipe, rows: Sequence[Change], catalog: Catalog, out: Path) -> None:
    """Refuse a base or a user's own change that cannot be trained, before any training starts.

    Raises:
        RecipeError: a network cannot be built, or a change does not fit the recipe or has no effect on it.
        WeightsError: there are no initial weights for a changed network.
    """
    base = resolve(recipe, catalog)
    own = [trial(row, base) for row in rows if row.table is None]
    for tried in own:
        reason = tried.reason or ("" if resolve(tried.on, catalog) != base else "it has no effect with these videos")
        if reason:
            raise RecipeError(f"--change {tried.row.name!r}: {reason}")
    check_recipes({BASE: base} | {tried.row.name: tried.on for tried in own}, catalog)
    for tried in own:
        begun = out / f"seed{base.training.seed}" / tried.row.key / "recipe.toml"
        if tried.on.model != base.model and not begun.exists():
            model = tried.on.network(len(catalog.taxonomy))
            try:
                load_weights(model.backbone, tried.on.model.backbone, tried.on.model.weights)
            except WeightsError as error:
                raise WeightsError(f"--change {tried.row.name!r}: {error}") from error


def run_ablation(
    experiment: ReportExperiment, recipe: Recipe, rows: Sequence[Change], seeds: int, test: Sequence[Video]
) -> Ablation:
    """Train and evaluate what is missing in `experiment.out`, and compare; see `ablate`."""
    base = resolve(recipe, experiment.catalog)
    trials = [trial(row, base) for row in rows]
    networks, sides = _networks(base, trials)
    used = tuple(base.training.seed + number for number in range(seeds))
    plan = _Plan(experiment, trials, networks, sides, used, _unseen(experiment, base, test))
    failed = {
        name: f"{name} cannot be built with these settings: {reason}"
        for name, network in networks.items()
        if (reason := misfit(network, experiment.catalog))
    }
    for seed in used:
        _train_and_evaluate(plan, seed, failed)
    names = experiment.videos_predicted_by([run for name in networks if name not in failed for run in plan.runs(name)])
    data = experiment.comparison_data(experiment.videos(names))
    notes = absent(data.targets, data.folds, data.taxonomy)
    if base.training.keep != "best":
        notes += notes_on_epochs(networks)
    notes += _notes_on_processes(plan, [name for name in networks if name not in failed])
    return Ablation(base, experiment.used, used, tuple(_lines(plan, failed, data, names)), tuple(notes))


def _notes_on_processes(plan: _Plan, names: Sequence[str]) -> list[str]:
    """Return a note if networks were trained with different numbers of processes, so that their batches differ."""
    counts: dict[int, list[str]] = {}
    for name in names:
        done = [read_done(run / f"fold{fold}") or {} for run in plan.runs(name) for fold in plan.experiment.used]
        for count in {row["processes"] for row in done if type(row.get("processes")) is int}:
            counts.setdefault(count, []).append(name)
    if len(counts) < 2:
        return []
    listed = "; ".join(f"{count}: {', '.join(counts[count])}" for count in sorted(counts))
    return [
        f"Trained with different numbers of processes, so different batches, which may explain differences: {listed}."
    ]


def _unseen(experiment: ReportExperiment, base: Recipe, test: Sequence[Video]) -> tuple[Video, ...]:
    """Return the readable test videos that do not belong to inspections of the folds; see `_refuse_trained_on`."""
    _refuse_trained_on(test, experiment.catalog)
    groups = {video.group for video in experiment.catalog.labelled}
    others = [video for video in test if video.group not in groups]
    if len(others) < len(test):
        experiment.distributed.log(
            f"--test: {len(test) - len(others)} videos left out, because the folds have videos of the same inspections"
        )
    bad = experiment.distributed.on_main(lambda: find_unreadable(base, others, experiment.cache) if others else {})
    return tuple(video for video in others if video.name not in bad)


def _refuse_trained_on(test: Sequence[Video], catalog: Catalog) -> None:
    """Refuse test videos that the folds are trained on.

    Raises:
        CatalogError: a test video is in the catalog.
    """
    if shared := _trained_on(test, catalog.labelled):
        raise CatalogError(f"--test: {shortened(shared)}, which the folds are trained on; give other videos")


def _trained_on(test: Sequence[Video], learned: Sequence[Video]) -> list[str]:
    """Return the names of the test videos among `learned`, by content, or by name and size if a digest is missing."""
    digests = {video.digest for video in learned if video.digest}
    files = {(video.name, video.size_bytes) for video in learned}
    bare = {(video.name, video.size_bytes) for video in learned if not video.digest}
    return [
        video.name
        for video in test
        if video.digest in digests or (video.name, video.size_bytes) in (bare if video.digest else files)
    ]


def _networks(base: Recipe, trials: Sequence[Trial]) -> tuple[dict[str, Recipe], dict[str, tuple[str, str]]]:
    """Return the distinct networks to train, by name, and for each row the names with and without the change."""
    everything = {BASE: base}

    def name_of(recipe: Recipe, name: str) -> str:
        for known, other in everything.items():
            if recipe == other:
                return known
        everything[name] = recipe
        return name

    sides = {}
    of_report = [trial(row, base) for row in read_changes().values()]
    # All rows of the report, so that the name of a network does not depend on the requested rows.
    for tried in [*of_report, *(tried for tried in trials if tried.row.table is None)]:
        row = tried.row
        if row.kind == "train" and not tried.reason:
            sides[row.key] = name_of(tried.on, row.key), name_of(tried.off, f"no-{row.key}")
    asked = {tried.row.key for tried in trials}
    needed = {BASE, *(name for key, both in sides.items() if key in asked for name in both)}
    return {name: recipe for name, recipe in everything.items() if name in needed}, sides


def _train_and_evaluate(plan: _Plan, seed: int, failed: dict[str, str]) -> None:
    """Train and evaluate what is missing; add networks that cannot be trained, except the base, to `failed`."""
    experiment, folder = plan.experiment, plan.experiment.out / f"seed{seed}"
    for name in [name for name in plan.networks if name not in failed]:
        recipe = plan.networks[name]
        training = recipe.training.model_copy(update={"seed": seed})
        try:
            experiment.train(folder / name, recipe.model_copy(update={"name": name, "training": training}))
        except (*NOT_TRAINED, RecipeError, WeightsError) as error:
            if name == BASE:
                raise
            failed[name] = f"{name}: {error}"
            experiment.distributed.log(f"not trained: {failed[name]}")
    for tried in plan.trials:
        if tried.reason or tried.row.kind not in ("evaluate", "videos"):
            continue
        valid = {fold: experiment.videos(names) for fold, names in experiment.names(folder / BASE).items()}
        videos = valid if tried.row.kind == "evaluate" else dict.fromkeys(experiment.used, plan.test)
        if all(videos.values()):
            where = folder / BASE, tried.on, folder / plan.evaluation_folder(tried.row)
            re_evaluate(
                *where,
                videos=videos,
                taxonomy=experiment.catalog.taxonomy,
                distributed=experiment.distributed,
                cache=experiment.cache,
            )


def _lines(plan: _Plan, failed: Mapping[str, str], data: ComparisonData, names: Sequence[str]) -> list[Line]:
    scores = {name: plan.experiment.scores(plan.runs(name), names) for name in plan.networks if name not in failed}
    lines = []
    for tried in plan.trials:
        lost = [failed[name] for name in plan.sides.get(tried.row.key, ()) if name in failed]
        if reason := tried.reason or next(iter(lost), ""):
            lines.append(Line(tried.row, reason=reason))
        else:
            lines.append(_line(plan, tried, data, scores, names))
    return lines


def _line(
    plan: _Plan, tried: Trial, data: ComparisonData, scores: Mapping[str, TrainingScores], names: Sequence[str]
) -> Line:
    """Return the gain of a row, or the reason why there is none."""
    key, kind = tried.row.key, tried.row.kind
    if kind == "train":
        on, off = plan.sides[key]
        costs = plan.experiment.costs(plan.runs(on)), plan.experiment.costs(plan.runs(off))
        return Line(tried.row, compare_paired(scores[on], scores[off], data), costs[0], costs[1])
    try:
        if kind == "evaluate":
            return Line(tried.row, compare_paired(plan.experiment.scores(plan.runs(key), names), scores[BASE], data))
        if kind == "videos":
            return Line(tried.row, _of_the_mean_of_folds(plan, plan.evaluation_folder(tried.row)))
        return Line(tried.row, compare_paired(*SCORE_CHANGES[key](scores[BASE], [*scores.values()], data), data))
    except RecipeError as error:
        return Line(tried.row, reason=str(error))


def _of_the_mean_of_folds(plan: _Plan, folder: str) -> PairedComparison:
    """Compare the mean of the folds' networks with each of them, on videos that none was trained on.

    Args:
        plan: the plan.
        folder: name of the re-evaluation folder.
    """
    if not plan.test:
        raise RecipeError("it needs labelled videos that no fold is trained on: --test CATALOG")
    if len(plan.experiment.used) < 2:
        raise RecipeError("it needs two folds: the mean of one network is that network")
    names, taxonomy = [video.name for video in plan.test], plan.experiment.catalog.taxonomy
    scores = np.array(
        [[read_fold(run, fold, taxonomy).aligned(names) for fold in plan.experiment.used] for run in plan.runs(folder)]
    )  # (S, K, n, C)
    mean = np.broadcast_to(scores.mean(axis=1, keepdims=True), scores.shape)
    flat = (scores.shape[0] * scores.shape[1], *scores.shape[2:])
    comparison = compare_paired(
        mean.reshape(flat), scores.reshape(flat), plan.experiment.comparison_data(plan.test, [0] * len(names))
    )
    return replace(comparison, p=float("nan"), one_test=True)
