"""`bundle`: from a cross-validated run or ensemble to the folder that `inspect` runs."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tomli_w
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from urbanpipe import __version__
from urbanpipe.catalog.folds import read_folds
from urbanpipe.catalog.table import Video, read_catalog
from urbanpipe.ensembling.gate import MISS_BOUND, PRECISION, Gates, NestedGates, choose_gates, nested_gates
from urbanpipe.errors import BundleError
from urbanpipe.evaluation.average_precision import Scores, score
from urbanpipe.evaluation.calibration import Calibration, cross_calibrated, fit_calibration
from urbanpipe.evaluation.plots import save
from urbanpipe.evaluation.predictions import shortened
from urbanpipe.evaluation.reliability_plot import (
    CalibrationError,
    expected_calibration_error,
    reliability_diagram,
)
from urbanpipe.evaluation.runs import OutOfFold, read_out_of_fold
from urbanpipe.evaluation.tables import per_cent
from urbanpipe.inspection.bundle import (
    CALIBRATION,
    CARD,
    DIAGRAM,
    FOREIGN,
    FORMAT,
    MANIFEST,
    METRICS,
    TAXONOMY,
    Manifest,
    ManifestMember,
    member_files,
)
from urbanpipe.inspection.card import model_card
from urbanpipe.inspection.foreign import Foreign, fit_foreign, write_foreign
from urbanpipe.inspection.members import Member, Models, Trained, find_trained, load_models, weight_files
from urbanpipe.inspection.moments_config import read_config
from urbanpipe.inspection.watching import Watcher, looking_member
from urbanpipe.outputs import output_folder, whole_path, write_json, write_text
from urbanpipe.progress import track
from urbanpipe.taxonomy import Taxonomy, taxonomy_table
from urbanpipe.training.processes import choose_device
from urbanpipe.training.recipe import load_recipe, write_recipe
from urbanpipe.training.run import read_json
from urbanpipe.video.probe import digest

MOST_VIDEOS = 300  # that are watched to learn what is foreign, of those learnt from and of those held out each


@dataclass(frozen=True, eq=False)
class Bundled:
    """What `bundle` made.

    Attributes:
        folder: the bundle.
        manifest: what it says of itself.
        taxonomy: its C classes.
        scores: average precision out of fold.
        before: expected calibration error of the scores out of fold.
        after: the same of probabilities calibrated by the other folds.
        calibration: of the bundle, learnt from all folds.
        gates: of the bundle, likewise.
        nested: what gates chosen on the other folds did.
        foreign: what tells videos that are no pipes; None without training videos.
    """

    folder: Path
    manifest: Manifest
    taxonomy: Taxonomy
    scores: Scores
    before: CalibrationError
    after: CalibrationError
    calibration: Calibration
    gates: Gates
    nested: NestedGates
    foreign: Foreign | None

    def lines(self) -> Iterator[str]:
        """What a user should know of it."""
        networks = sum(member.networks for member in self.manifest.members)
        of_all, of_defects = per_cent(self.scores.map_all), per_cent(self.scores.map_defects)
        yield f"{networks} networks; mAP out of fold {of_all} (defects {of_defects})"
        before, after = self.before.pooled, self.after.pooled
        yield f"expected calibration error {before:.3f}, calibrated by other folds {after:.3f}"
        missed, bound = per_cent(self.nested.missed_of_all), per_cent(self.gates.miss_bound)
        yield f"gates chosen on other folds rejected {missed} % of what was to be found (wanted: at most {bound} %)"
        if rare := [code for code, t in zip(self.taxonomy.codes, self.gates.reject_below, strict=True) if t == 0]:
            yield f"too few videos to reject anything: {' '.join(rare)}; every video is to be looked at for these"
        if self.foreign is None:
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
    """Make a bundle of a cross-validated run, an ensemble, or a study, which means its ensemble.

    Calibration and gates are learnt from the out-of-fold predictions.

    Args:
        model: the folder.
        out: of the bundle; a bundle that is there is replaced, anything else is refused.
        data: catalog of the videos that the networks have learnt from; some are watched to tell foreign videos later.
        name: of the bundle; None takes the folder's.
        miss_bound: wanted share of true classes that at most are rejected.
        precision: wanted share of accepted classes that are right.
        moments: settings file of `moments`; None takes the defaults.
        demonstration: mark it as not to be relied on.
        half: store weights in half precision, for size.
        device: for watching `data`.

    Raises:
        BundleError: `out` holds something else, or `data` does not fit.
        RunError: the model is unfinished or was not cross-validated.
        RecipeError: bounds or settings that cannot be used.
        OutputError: it cannot be written.
    """
    trained, device_ = find_trained(Path(model)), choose_device(device)
    seen, settings = read_out_of_fold(trained.folder), read_config(moments, ())
    _check_out(Path(out))
    calibration = fit_calibration(seen.scores, seen.targets, "auto", seen.folds)
    honest = cross_calibrated(seen.scores, seen.targets, seen.folds)
    gates = choose_gates(calibration.apply(seen.scores), seen.targets, miss_bound, precision)
    nested = nested_gates(seen.scores, seen.targets, seen.folds, miss_bound, precision)
    foreign = _learn_foreign(trained, seen, data, device_) if data else None
    output_folder(Path(out))
    (Path(out) / MANIFEST).unlink(missing_ok=True)
    members = _write_members(trained, Path(out), half)
    manifest = Manifest(
        format=FORMAT,
        name=name or Path(model).resolve().name,
        demonstration=demonstration,
        made_with=__version__,
        data=str(read_json(trained.runs[0][0] / "environment.json").get("data", "")),
        exclusive_threshold=trained.exclusive_threshold,
        members=members,
        moments=settings,
        files={},
    )
    made = Bundled(
        folder=Path(out),
        manifest=manifest,
        taxonomy=seen.taxonomy,
        scores=score(seen.scores, seen.targets, seen.taxonomy),
        before=expected_calibration_error(seen.scores, seen.targets),
        after=expected_calibration_error(honest, seen.targets),
        calibration=calibration,
        gates=gates,
        nested=nested,
        foreign=foreign,
    )
    _write(made, seen, honest)
    return made


def _check_out(out: Path) -> None:
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / MANIFEST).exists())):
        raise BundleError(f"{out} is there and is no bundle; give another --out")


def _write_members(trained: Trained, out: Path, half: bool) -> tuple[ManifestMember, ...]:
    """Copy recipes and weights."""
    members = []
    for run, weight in trained.runs:
        recipe, weights = load_recipe(run / "recipe.toml"), weight_files(run)
        member = ManifestMember(name=run.resolve().name, weight=weight, networks=len(weights))
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


def _write(made: Bundled, seen: OutOfFold, honest: NDArray[np.float64]) -> None:
    """Write everything else, the manifest last: with it the bundle is complete."""
    out = made.folder
    write_text(out / TAXONOMY, tomli_w.dumps(taxonomy_table(made.taxonomy)))
    write_json(out / CALIBRATION, {"calibration": made.calibration.to_table(), "gates": made.gates.to_table()})
    metrics = _metrics(made, seen)
    write_json(out / METRICS, metrics)
    write_text(out / CARD, model_card(made.manifest, made.taxonomy, metrics))
    save(reliability_diagram(seen.scores, honest, seen.targets), out / DIAGRAM)
    files = [TAXONOMY, CALIBRATION, METRICS, CARD, DIAGRAM]
    (out / FOREIGN).unlink(missing_ok=True)
    if made.foreign:
        write_foreign(made.foreign, out / FOREIGN)
        files.append(FOREIGN)
    files += [file for member in made.manifest.members for file in member_files(member)]
    digests = {file: digest(out / file) for file in files}
    manifest = made.manifest.model_copy(update={"files": digests})
    write_text(out / MANIFEST, tomli_w.dumps(manifest.model_dump(exclude_none=True)))


def _metrics(made: Bundled, seen: OutOfFold) -> dict[str, object]:
    """What is known of how good it is, NaN as None: JSON has none."""
    columns = zip(
        made.taxonomy.codes,
        made.scores.ap,
        made.scores.positives,
        made.nested.missed,
        made.nested.precision,
        strict=True,
    )
    classes = {
        code: {"ap": _number(ap), "positives": int(count), "rejected": _number(missed), "precision": _number(right)}
        for code, ap, count, missed, right in columns
    }
    return {
        "videos": len(seen.names),
        "groups": len(set(seen.groups)),
        "folds": len(set(seen.folds.tolist())),
        "map": _number(made.scores.map_all),
        "map_defects": _number(made.scores.map_defects),
        "ece": _number(made.before.pooled),
        "ece_calibrated_by_other_folds": _number(made.after.pooled),
        "miss_bound": made.gates.miss_bound,
        "rejected_of_all": _number(made.nested.missed_of_all),
        "classes": classes,
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)


def _learn_foreign(trained: Trained, seen: OutOfFold, data: Path, device: torch.device) -> Foreign:
    """Watch videos that the looking network has learnt from, and videos that it has not."""
    models = load_models(trained.folder, device)
    member = looking_member(models.members)
    run = trained.runs[member][0]
    fold = min(set(read_folds(run / "folds.csv").values()))
    one = Models(models.taxonomy, (_first_network(models, member),), None)
    by_name = {video.name: video for video in read_catalog(data, seen.taxonomy, labels=False).ok}
    if lacking := [name for name in seen.names if name not in by_name]:
        raise BundleError(f"{data} lacks {shortened(lacking)}, which {run} has learnt from; give its catalog")
    held = seen.folds == fold
    watcher = Watcher(one, device)
    known, unseen = (
        _features(watcher, [by_name[seen.names[row]] for row in _some(np.flatnonzero(part))], label)
        for part, label in ((~held, "what was learnt"), (held, "what was held out"))
    )
    return fit_foreign(known, unseen)


def _first_network(models: Models, number: int) -> Member:
    member = models.members[number]
    return replace(member, networks=member.networks[:1], weight=1.0)


def _some(rows: NDArray[np.intp]) -> list[int]:
    """At most MOST_VIDEOS of them, the same each time."""
    drawn = np.random.default_rng(0).permutation(rows)[:MOST_VIDEOS]
    return sorted(drawn.tolist())


def _features(watcher: Watcher, videos: list[Video], label: str) -> NDArray[np.float64]:
    return np.stack([watcher.watch(video.path).feature for video in track(videos, len(videos), label)])
