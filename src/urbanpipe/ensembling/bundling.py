"""`bundle`: from a cross-validated run or ensemble to the folder that `inspect` runs."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tomli_w
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from urbanpipe import __version__
from urbanpipe.contracts.run_folder import read_json
from urbanpipe.decision.calibration import Calibration, cross_calibrated, fit_calibration
from urbanpipe.decision.localization import read_config
from urbanpipe.decision.reliability_plot import (
    CalibrationError,
    expected_calibration_error,
    reliability_diagram,
)
from urbanpipe.decision.triage import MISS_BOUND, PRECISION, NestedTriage, Triage, choose_triage, nested_triage
from urbanpipe.ensembling.model_card import model_card
from urbanpipe.ensembling.ood_fit import fit_ood_detector_of
from urbanpipe.errors import BundleError, RunError
from urbanpipe.evaluation.average_precision import Scores, score
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
    member_files,
)
from urbanpipe.inference.members import Trained, find_trained, weight_files
from urbanpipe.inference.ood import OODDetector, write_ood_detector
from urbanpipe.methods.recipe import load_recipe, write_recipe
from urbanpipe.models.device import choose_device
from urbanpipe.outputs import explained, output_folder, whole_path, write_json, write_text
from urbanpipe.taxonomy import Taxonomy, taxonomy_table
from urbanpipe.video.probe import digest


@dataclass(frozen=True, eq=False)
class BundleEvaluation:
    """What the out-of-fold predictions teach, and what that is worth.

    Attributes:
        scores: average precision out of fold.
        honest: (n, C) probabilities, calibrated by the other folds.
        before: expected calibration error of the scores.
        after: the same of `honest`.
        calibration: of the bundle, trained on all folds.
        triage: of the bundle, likewise.
        nested: what triage chosen on the other folds did.
    """

    scores: Scores
    honest: NDArray[np.float64]
    before: CalibrationError
    after: CalibrationError
    calibration: Calibration
    triage: Triage
    nested: NestedTriage


@dataclass(frozen=True, eq=False)
class Bundled:
    """What `bundle` made.

    Attributes:
        folder: the bundle.
        manifest: what it says of itself.
        taxonomy: its C classes.
        judged: calibration and triage, and how good they are.
        ood: what tells videos that are no pipes; None without training videos.
    """

    folder: Path
    manifest: Manifest
    taxonomy: Taxonomy
    judged: BundleEvaluation
    ood: OODDetector | None

    def lines(self) -> Iterator[str]:
        """What a user should know of it."""
        judged, networks = self.judged, sum(member.networks for member in self.manifest.members)
        of_all, of_defects = per_cent(judged.scores.map_all), per_cent(judged.scores.map_defects)
        yield f"{networks} networks; mAP out of fold {of_all} (defects {of_defects})"
        before, after = judged.before.pooled, judged.after.pooled
        yield f"expected calibration error {before:.3f}, calibrated by other folds {after:.3f}"
        missed, bound = per_cent(judged.nested.missed_of_all), per_cent(judged.triage.miss_bound)
        yield f"triage chosen on other folds rejected {missed} % of what was to be found (wanted: at most {bound} %)"
        rows = [*zip(self.taxonomy.codes, judged.triage.positives, judged.triage.reject_below, strict=True)]
        if rare := [code for code, count, least in rows if count and least == 0]:
            yield f"too few videos to reject anything: {' '.join(rare)}; every video is to be looked at for these"
        if unknown := [code for code, count, _ in rows if not count]:
            yield f"no video shows {' '.join(unknown)}: the networks cannot find these"
        if self.ood is None:
            yield "without --data it cannot tell videos that are no pipes"


def bundle(
    model: Path,
    out: Path,
    data: Path | None = None,
    name: str | None = None,
    miss_bound: float = MISS_BOUND,
    precision: float = PRECISION,
    moments: Path | None = None,
    demonstration: bool = False,
    half: bool = False,
    device: str = "auto",
) -> Bundled:
    """Make a bundle of a cross-validated run, an ensemble, or a experiment, which means its ensemble.

    Calibration and triage are trained on the out-of-fold predictions.

    Args:
        model: the folder.
        out: of the bundle; a bundle that is there is replaced when the new one is whole, anything else is refused.
        data: catalog of the videos that the networks have trained on; some are observed to tell ood videos later.
        name: of the bundle; None takes the folder's.
        miss_bound: wanted share of true classes that at most are rejected.
        precision: wanted share of accepted classes that are right.
        moments: settings file of `moments`; None takes the defaults. Its shifts are left out: they bring moments to
            where annotators mark them, an inspector wants the second at which there is something to see.
        demonstration: mark it as not to be relied on.
        half: store weights in half precision, for size.
        device: for watching `data`.

    Raises:
        BundleError: `out` holds something else, or `data` does not fit.
        RunError: the model is unfinished or was not cross-validated.
        RecipeError: bounds or settings that cannot be used.
        OutputError: it cannot be written.
    """
    trained, out = find_trained(Path(model)), Path(out)
    if not (trained.folder / "folds.csv").exists():
        raise RunError(f"{model} was not cross-validated, so nobody knows how sure it may be; give a run of `crossval`")
    seen, settings = read_out_of_fold(trained.folder), read_config(moments, ())
    _check_out(out)
    judged = _judged(seen, miss_bound, precision)
    ood = fit_ood_detector_of(trained, seen, data, choose_device(device)) if data else None
    with _replaced(out) as folder:
        manifest = Manifest(
            format=FORMAT,
            name=name or Path(model).resolve().name,
            demonstration=demonstration,
            made_with=__version__,
            data=str(read_json(trained.runs[0][0] / "environment.json").get("data", "")),
            exclusive_threshold=trained.exclusive_threshold,
            members=_write_members(trained, folder, half),
            moments=settings.model_copy(update={"shift_seconds": {}}),
            files={},
        )
        made = Bundled(folder, manifest, seen.taxonomy, judged, ood)
        _write(made, seen)
    return replace(made, folder=out)


def _judged(seen: OutOfFold, miss_bound: float, precision: float) -> BundleEvaluation:
    """Learn calibration and triage on all folds, and see what those of the other folds are worth."""
    calibration = fit_calibration(seen.scores, seen.targets, "auto", seen.folds)
    honest = cross_calibrated(seen.scores, seen.targets, seen.folds)
    return BundleEvaluation(
        scores=score(seen.scores, seen.targets, seen.taxonomy),
        honest=honest,
        before=expected_calibration_error(seen.scores, seen.targets),
        after=expected_calibration_error(honest, seen.targets),
        calibration=calibration,
        triage=choose_triage(calibration.apply(seen.scores), seen.targets, miss_bound, precision),
        nested=nested_triage(seen.scores, seen.targets, seen.folds, miss_bound, precision),
    )


@contextmanager
def _replaced(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its place when the block ends without an error."""
    output_folder(out.parent)
    fresh, old = (out.with_name(f".{out.name}.{which}") for which in ("new", "old"))
    with explained(out):
        for left in (fresh, old):  # of a call that was killed
            shutil.rmtree(left, ignore_errors=True)
        fresh.mkdir()
    try:
        yield fresh
        with explained(out):
            if out.exists():
                out.rename(old)
            fresh.rename(out)
    finally:
        for left in (fresh, old):
            shutil.rmtree(left, ignore_errors=True)


def _check_out(out: Path) -> None:
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / MANIFEST).exists())):
        raise BundleError(f"{out} is there and is no bundle; give another --out")


def _write_members(trained: Trained, out: Path, half: bool) -> tuple[ManifestMember, ...]:
    """Copy recipes and weights."""
    members, total = [], sum(weight for _, weight in trained.runs)
    for number, (run, weight) in enumerate(trained.runs):
        recipe, weights = load_recipe(run / "recipe.toml"), weight_files(run)
        plain = re.sub(r"[^\w.-]+", "_", recipe.name)
        member = ManifestMember(name=f"{number}-{plain}", weight=weight / total, networks=len(weights))
        to_recipe, *to_weights = (out / name for name in member_files(member))
        to_recipe.parent.mkdir(parents=True, exist_ok=True)
        write_recipe(recipe, to_recipe)
        for source, to in zip(weights, to_weights, strict=True):
            tensors = load_file(source)
            with whole_path(to) as temporary:
                save_file({key: _stored(value, half) for key, value in tensors.items()}, temporary)
        members.append(member)
    return tuple(members)


def _stored(tensor: torch.Tensor, half: bool) -> torch.Tensor:
    return tensor.half() if half and tensor.dtype == torch.float32 else tensor


def _write(made: Bundled, seen: OutOfFold) -> None:
    """Write everything else, the manifest last: with it the bundle is complete."""
    out, judged = made.folder, made.judged
    write_text(out / TAXONOMY, tomli_w.dumps(taxonomy_table(made.taxonomy)))
    write_json(out / CALIBRATION, {"calibration": judged.calibration.to_table(), "triage": judged.triage.to_table()})
    metrics = _metrics(made, seen)
    write_json(out / METRICS, metrics)
    write_text(out / CARD, model_card(made.manifest, made.taxonomy, metrics))
    save(reliability_diagram(seen.scores, judged.honest, seen.targets), out / DIAGRAM)
    files = [TAXONOMY, CALIBRATION, METRICS, CARD, DIAGRAM]
    if made.ood:
        write_ood_detector(made.ood, out / OOD)
        files.append(OOD)
    files += [file for member in made.manifest.members for file in member_files(member)]
    digests = {file: digest(out / file) for file in files}
    manifest = made.manifest.model_copy(update={"files": digests})
    write_text(out / MANIFEST, tomli_w.dumps(manifest.model_dump(exclude_none=True)))


def _metrics(made: Bundled, seen: OutOfFold) -> dict[str, object]:
    """What is known of how good it is, NaN as None: JSON has none."""
    judged, nested = made.judged, made.judged.nested
    found = judged.scores
    columns = zip(made.taxonomy.codes, found.ap, found.positives, nested.missed, nested.precision, strict=True)
    classes = {
        code: {"ap": _number(ap), "positives": int(count), "rejected": _number(missed), "precision": _number(right)}
        for code, ap, count, missed, right in columns
    }
    return {
        "videos": len(seen.names),
        "groups": len(set(seen.groups)),
        "folds": len(set(seen.folds.tolist())),
        "map": _number(judged.scores.map_all),
        "map_defects": _number(judged.scores.map_defects),
        "ece": _number(judged.before.pooled),
        "ece_calibrated_by_other_folds": _number(judged.after.pooled),
        "miss_bound": judged.triage.miss_bound,
        "rejected_of_all": _number(judged.nested.missed_of_all),
        "classes": classes,
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)
