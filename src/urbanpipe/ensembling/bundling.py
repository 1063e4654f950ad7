"""The verb `bundle`: turn a cross-validated run or ensemble into the folder that `inspect` runs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tomli_w
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from urbanpipe import __version__
from urbanpipe.contracts.file_names import file_name
from urbanpipe.contracts.predictions import read_predictions
from urbanpipe.contracts.run_folder import ENVIRONMENT, NESTED, read_json
from urbanpipe.decision.localization import read_config
from urbanpipe.decision.reliability_plot import reliability_diagram
from urbanpipe.ensembling.bundle_evaluation import BundleEvaluation, evaluate_bundle
from urbanpipe.ensembling.bundle_options import BundleLabel, NetworkStorage, TriageTargets
from urbanpipe.ensembling.graphs import GraphCheck, check_graphs, write_graphs
from urbanpipe.ensembling.model_card import model_card
from urbanpipe.ensembling.ood_fit import fit_ood_detector_of, videos_by_name
from urbanpipe.errors import BundleError, RunError
from urbanpipe.evaluation.plots import save
from urbanpipe.evaluation.runs import OutOfFold, read_out_of_fold
from urbanpipe.evaluation.tables import per_cent
from urbanpipe.inference.bundle import (
    CALIBRATION,
    CARD,
    DIAGRAM,
    FORMAT,
    MANIFEST,
    METRICS,
    OOD,
    TAXONOMY,
    Manifest,
    ManifestMember,
    graph_files,
    member_files,
)
from urbanpipe.inference.choose_runtime import is_installed
from urbanpipe.inference.graph import not_installed
from urbanpipe.inference.members import Trained, find_trained, load_models, weight_files
from urbanpipe.inference.ood import OODDetector, write_ood_detector
from urbanpipe.inference.options import GraphRuntimeName
from urbanpipe.inference.torch_runtime import TorchRuntime
from urbanpipe.methods.recipe import Recipe, load_recipe, write_recipe
from urbanpipe.models.device import choose_device
from urbanpipe.outputs import check_replaceable, whole_folder, whole_path, write_json, write_text
from urbanpipe.taxonomy import Taxonomy, taxonomy_table
from urbanpipe.video.probe import digest

_MAX_NAME = 180  # characters of the folder of a member


@dataclass(frozen=True, eq=False)
class Bundled:
    """The result of `bundle`.

    Attributes:
        folder: folder of the bundle.
        manifest: its manifest.
        taxonomy: its C classes.
        evaluation: calibration and triage, and their evaluation.
        ood: detector of out-of-distribution videos; None without training videos, or with too few.
        checks: comparisons of its graphs with torch, one per runtime.
    """

    folder: Path
    manifest: Manifest
    taxonomy: Taxonomy
    evaluation: BundleEvaluation
    ood: OODDetector | None
    checks: tuple[GraphCheck, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield lines that summarize the bundle for a user."""
        evaluation, networks = self.evaluation, sum(member.networks for member in self.manifest.members)
        of_all, of_defects = per_cent(evaluation.scores.map_all), per_cent(evaluation.scores.map_defects)
        yield f"{networks} networks; mAP out of fold {of_all} (defects {of_defects})"
        before, after = evaluation.before.pooled, evaluation.after.pooled
        yield f"expected calibration error {before:.3f}, calibrated on the other folds {after:.3f}"
        missed, bound = per_cent(evaluation.nested.missed_of_all), per_cent(evaluation.triage.miss_bound)
        yield f"triage thresholds chosen on the other folds reject {missed} % of the positives (bound: {bound} %)"
        rows = [*zip(self.taxonomy.codes, evaluation.triage.positives, evaluation.triage.reject_below, strict=True)]
        if rare := [code for code, count, least in rows if count and least == 0]:
            yield f"too few videos to reject anything: {' '.join(rare)}; every video needs review for these"
        if unknown := [code for code, count, _ in rows if not count]:
            yield f"no video shows {' '.join(unknown)}: the networks cannot recognise these"
        if self.ood is None:
            yield "it cannot detect non-pipe videos, which takes --data with enough videos"
        yield from (check.line for check in self.checks)


def bundle(
    model: Path,
    *,
    out: Path,
    data: Path | None = None,
    targets: TriageTargets = TriageTargets(),
    moments: Path | None = None,
    label: BundleLabel = BundleLabel(),
    storage: NetworkStorage = NetworkStorage(),
    device: str = "auto",
) -> Bundled:
    """Make a bundle of a cross-validated run, an ensemble, or an experiment (of which its ensemble is used).

    Calibration and triage are fitted on the out-of-fold predictions.

    Args:
        model: folder of the run, ensemble or experiment.
        out: folder of the bundle. An existing bundle is replaced once the new one is complete; anything else is
            refused.
        data: catalog of the videos that the networks were trained on; the detector of out-of-distribution videos is
            fitted to some of them, if there are enough.
        targets: what triage must hold.
        moments: settings file of `moments`; default: the default settings. Its shifts are left out: they move moments
            to where annotators mark them, while an inspector wants the time at which the defect is visible.
        label: name of the bundle, and whether it is a demonstration.
        storage: precision of the stored weights, and graphs for other runtimes, which need `data`.
        device: device for the pass over `data`.

    Raises:
        BundleError: `out` holds something else, `data` does not match the run, a runtime is not installed, or a graph
            predicts worse than torch.
        RunError: the model is unfinished or was not cross-validated.
        RecipeError: bounds or settings that cannot be used.
        OutputError: the bundle cannot be written.
    """
    trained, out = find_trained(Path(model)), Path(out)
    if not (trained.folder / "folds.csv").exists():
        raise RunError(f"{model} was not cross-validated, so it cannot be calibrated; give a run of `crossval`")
    seen, settings = read_out_of_fold(trained.folder), read_config(moments, ())
    _check_out(out)
    _check_runtimes(storage.runtimes, data)
    evaluation = evaluate_bundle(seen, targets, _nested(trained, seen))
    ood = fit_ood_detector_of(trained, seen, data, choose_device(device)) if data else None
    with whole_folder(out) as folder:
        manifest = Manifest(
            format=FORMAT,
            name=label.name or Path(model).resolve().name,
            demonstration=label.demonstration,
            made_with=__version__,
            data=str(read_json(trained.runs[0][0] / "environment.json").get("data", "")),
            exclusive_threshold=trained.exclusive_threshold,
            members=_write_members(trained, folder, storage.half),
            moments=settings.model_copy(update={"shift_seconds": {}}),
            files={},
        )
        made = Bundled(folder, manifest, seen.taxonomy, evaluation, ood)
        if storage.runtimes and data:
            made = _with_graphs(made, trained, seen, data, storage)
        _write(made, seen)
    return replace(made, folder=out)


def _nested(trained: Trained, seen: OutOfFold) -> NDArray[np.float64] | None:
    """Return the scores of an ensemble with weights that were searched on other folds; None without a search."""
    path = trained.folder / NESTED
    return read_predictions(path, seen.taxonomy).aligned(seen.names, where=str(path)) if path.exists() else None


def _check_runtimes(runtimes: Sequence[GraphRuntimeName], data: Path | None) -> None:
    for runtime in runtimes:
        if not is_installed(runtime):
            raise not_installed(runtime)
    if runtimes and data is None:
        raise BundleError(f"--runtime {runtimes[0]} needs --data CATALOG: its graphs are compared with torch on videos")


def _with_graphs(made: Bundled, trained: Trained, seen: OutOfFold, data: Path, storage: NetworkStorage) -> Bundled:
    """Write the graphs of all networks, and compare them with torch in their own, full precision."""
    members, videos = load_models(trained.folder, choose_device("cpu")).members, videos_by_name(data, seen)
    for member in members:
        for runtime in member.runtimes:
            assert isinstance(runtime, TorchRuntime), "loaded for torch"
            runtime.network.requires_grad_(False)
            runtime.recipe = _in_full_precision(member.recipe)
    written = write_graphs(members, made.manifest.members, videos, made.folder, half=storage.half)
    checks = []
    for runtime_name in storage.runtimes:
        check = check_graphs(
            members,
            written,
            seen,
            runs=[run for run, _ in trained.runs],
            videos=videos,
            folder=made.folder,
            runtime=runtime_name,
        )
        check.refuse()
        checks.append(check)
    manifest = made.manifest.model_copy(update={"members": written, "runtimes": storage.runtimes})
    return replace(made, manifest=manifest, checks=tuple(checks))


def _in_full_precision(recipe: Recipe) -> Recipe:
    """Return a recipe whose networks compute in float32."""
    return recipe.model_copy(update={"training": recipe.training.model_copy(update={"precision": "fp32"})})


def _check_out(out: Path) -> None:
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / MANIFEST).exists())):
        raise BundleError(f"{out} exists and is not a bundle; give another --out")
    check_replaceable(out)


def _write_members(trained: Trained, out: Path, half: bool) -> tuple[ManifestMember, ...]:
    """Copy recipes and weights."""
    members, total = [], sum(weight for _, weight in trained.runs)
    for number, (run, weight) in enumerate(trained.runs):
        recipe, weights = _as_trained(load_recipe(run / "recipe.toml"), run), weight_files(run)
        member = ManifestMember(
            name=file_name(f"{number}-{recipe.name}"[:_MAX_NAME]), weight=weight / total, networks=len(weights)
        )
        to_recipe, *to_weights = (out / name for name in member_files(member))
        to_recipe.parent.mkdir(parents=True, exist_ok=True)
        write_recipe(recipe, to_recipe)
        for source, to in zip(weights, to_weights, strict=True):
            tensors = load_file(source)
            with whole_path(to) as temporary:
                save_file({key: _stored(value, half) for key, value in tensors.items()}, temporary)
        members.append(member)
    return tuple(members)


def _as_trained(recipe: Recipe, run: Path) -> Recipe:
    """Return the recipe with the precision in which the run computed the scores that thresholds are fitted to."""
    if recipe.training.precision != "auto":
        return recipe
    precision = read_json(run / ENVIRONMENT).get("precision", "auto")
    return recipe.model_copy(update={"training": recipe.training.model_copy(update={"precision": precision})})


def _stored(tensor: torch.Tensor, half: bool) -> torch.Tensor:
    return tensor.half() if half and tensor.dtype == torch.float32 else tensor


def _write(made: Bundled, seen: OutOfFold) -> None:
    """Write all other files, and the manifest last, which makes the bundle complete."""
    out, evaluation = made.folder, made.evaluation
    write_text(out / TAXONOMY, tomli_w.dumps(taxonomy_table(made.taxonomy)))
    write_json(
        out / CALIBRATION, {"calibration": evaluation.calibration.to_table(), "triage": evaluation.triage.to_table()}
    )
    metrics = _metrics(made, seen)
    write_json(out / METRICS, metrics)
    write_text(out / CARD, model_card(made.manifest, made.taxonomy, metrics))
    save(reliability_diagram(evaluation.predicted, evaluation.honest, seen.targets), out / DIAGRAM)
    files = [TAXONOMY, CALIBRATION, METRICS, CARD, DIAGRAM]
    if made.ood:
        write_ood_detector(made.ood, out / OOD)
        files.append(OOD)
    files += [file for member in made.manifest.members for file in member_files(member)]
    files += [file for member in made.manifest.members for graphs in graph_files(member) for file in graphs]
    digests = {file: digest(out / file) for file in dict.fromkeys(files)}
    manifest = made.manifest.model_copy(update={"files": digests})
    write_text(out / MANIFEST, tomli_w.dumps(manifest.model_dump(exclude_none=True)))


def _metrics(made: Bundled, seen: OutOfFold) -> dict[str, object]:
    """Return the contents of `metrics.json`, with None for NaN, which JSON does not have."""
    evaluation, nested = made.evaluation, made.evaluation.nested
    found, ends = evaluation.scores, evaluation.table.intervals
    assert ends is not None, "the table is made with intervals"
    intervals = ends.to_json()
    columns = zip(made.taxonomy.codes, found.ap, found.positives, nested.missed, nested.precision, strict=True)
    classes = {
        code: {"ap": _number(ap), "positives": int(count), "rejected": _number(missed), "precision": _number(right)}
        for code, ap, count, missed, right in columns
    }
    return {
        "videos": len(seen.names),
        "groups": len(set(seen.groups)),
        "folds": len(set(seen.folds.tolist())),
        "map": _number(evaluation.scores.map_all),
        "map_defects": _number(evaluation.scores.map_defects),
        "intervals": {key: intervals[key] for key in ("level", "draws", "units", "map_all", "map_defects")},
        "ece": _number(evaluation.before.pooled),
        "ece_calibrated_by_other_folds": _number(evaluation.after.pooled),
        "miss_bound": evaluation.triage.miss_bound,
        "rejected_of_all": _number(evaluation.nested.missed_of_all),
        "classes": classes,
        "graphs": {check.runtime: check.to_table() for check in made.checks},
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)
