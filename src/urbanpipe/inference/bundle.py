"""Bundles: everything that `inspect` needs of a cross-validated run or ensemble, in one folder to distribute.

bundle.toml       description, members, and a digest of every other file
taxonomy.toml     the classes
members/<name>/   recipe.toml and the weights of each fold's network (safetensors)
calibration.json  calibration of scores to probabilities, and the triage
ood.safetensors   the detector of out-of-distribution videos, if the bundle was made with training videos
metrics.json      measured quality
MODEL_CARD.md, reliability.png  the same for people
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, ValidationError, model_validator

from urbanpipe.contracts.run_folder import read_json
from urbanpipe.decision.calibration import Calibration
from urbanpipe.decision.localization import MomentsConfig
from urbanpipe.decision.triage import Triage
from urbanpipe.errors import BundleError, UrbanpipeError
from urbanpipe.inference.members import Member, Models
from urbanpipe.inference.ood import OODDetector, read_ood_detector
from urbanpipe.methods.recipe import load_recipe
from urbanpipe.settings import Section, complaint, read_toml
from urbanpipe.taxonomy import load_taxonomy
from urbanpipe.video.probe import digest

if TYPE_CHECKING:
    import torch

FORMAT: Literal["urbanpipe bundle 2"] = "urbanpipe bundle 2"
MANIFEST = "bundle.toml"
TAXONOMY, CALIBRATION, OOD, METRICS, CARD, DIAGRAM = (
    "taxonomy.toml",
    "calibration.json",
    "ood.safetensors",
    "metrics.json",
    "MODEL_CARD.md",
    "reliability.png",
)
MAX_TEXT_BYTES = 64 * 2**20  # of a file that holds no weights
DEMONSTRATION = Path(__file__).parents[1] / "bundles" / "demonstration"
"""The bundle that comes with the package."""


class ManifestMember(Section):
    """The networks of a recipe.

    Attributes:
        name: name of the folder in `members`.
        weight: weight of the mean of their predictions.
        networks: number of networks, one per fold.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$")
    weight: float = Field(gt=0, le=1)
    networks: int = Field(ge=1, le=1000)


class Manifest(Section):
    """The content of `bundle.toml`.

    Attributes:
        format: format of the bundle.
        name: name of the bundle.
        demonstration: whether it was trained on simulated videos for a demonstration.
        made_with: version of urbanpipe that made it.
        data: fingerprint of the videos, labels and folds that it was trained on.
        exclusive_threshold: threshold of the rule for the exclusive class; None disables the rule.
        members: members, whose weights sum to 1.
        moments: settings that turn scores over time into moments.
        files: digest (BLAKE2b-128) of every other file, by path.
    """

    format: Literal["urbanpipe bundle 2"]
    name: str
    demonstration: bool = False
    made_with: str
    data: str
    exclusive_threshold: float | None = Field(None, ge=0, le=1)
    members: tuple[ManifestMember, ...] = Field(min_length=1, max_length=100)
    moments: MomentsConfig = MomentsConfig()
    files: dict[str, str]

    @model_validator(mode="after")
    def _members_fit(self) -> Self:
        names, weights = [member.name for member in self.members], [member.weight for member in self.members]
        if len(set(names)) < len(names):
            raise ValueError(f"members have the same name: {', '.join(names)}")
        if abs(sum(weights) - 1) > 1e-6:
            raise ValueError(f"the weights {weights} of the members do not sum to 1")
        return self


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle that was read.

    Attributes:
        folder: folder of the bundle.
        digest: digest of the manifest, and thereby of all files.
        manifest: content of `bundle.toml`.
        models: the networks.
        calibration: maps scores to probabilities.
        triage: maps probabilities to accept, review or reject.
        ood: detector of out-of-distribution videos; None where the bundle has none.
    """

    folder: Path
    digest: str
    manifest: Manifest
    models: Models
    calibration: Calibration
    triage: Triage
    ood: OODDetector | None


def read_bundle(folder: Path, device: "torch.device") -> Bundle:
    """Read a bundle; nothing in it is executed.

    Raises:
        BundleError: the bundle is missing, damaged or of another kind; the message names the file.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    _check_files(folder, manifest)
    try:
        taxonomy = load_taxonomy(folder / TAXONOMY)
        members = tuple(_member(folder, member, device) for member in manifest.members)
        tables = read_json(folder / CALIBRATION)
        calibration, triage = Calibration.from_table(tables["calibration"]), Triage.from_table(tables["triage"])
        ood = read_ood_detector(folder / OOD) if OOD in manifest.files else None
    except BundleError:
        raise
    except (UrbanpipeError, KeyError, TypeError, ValueError, ArithmeticError) as error:
        reason = f"{CALIBRATION} lacks {error}" if isinstance(error, KeyError) else error
        raise BundleError(f"{folder} is not a valid bundle: {str(reason)[:500]}") from error
    models = Models(taxonomy, members, manifest.exclusive_threshold)
    _check_classes(folder, len(taxonomy), calibration, triage)
    return Bundle(folder, digest(folder / MANIFEST), manifest, models, calibration, triage, ood)


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a bundle.

    Raises:
        BundleError: there is no bundle, or its format is unknown to this version.
    """
    path = folder / MANIFEST
    if not path.is_file():
        advice = "a run or an ensemble; make a bundle of it with `urbanpipe bundle`"
        what = advice if _is_run(folder) else "not a bundle"
        raise BundleError(f"{folder} is {what}: it has no {MANIFEST}")
    try:
        table = read_toml(path)
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} is damaged: {error}") from error
    if table.get("format") != FORMAT:
        raise BundleError(
            f"{path} has the format {table.get('format')!r} and this version reads {FORMAT!r}; make the bundle again "
            "with `urbanpipe bundle`, from a run of this version"
        )
    try:
        return Manifest.model_validate(table)
    except ValidationError as error:
        raise BundleError(f"{path} is damaged: {complaint(error)}") from error


def _is_run(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("recipe.toml", "weights.toml", "experiment.json"))


def _check_files(folder: Path, manifest: Manifest) -> None:
    """Refuse a bundle with a file that is missing, changed, or outside the bundle."""
    for name, wanted in manifest.files.items():
        path = folder / name
        try:
            if not path.resolve().is_relative_to(folder.resolve()):
                raise BundleError(f"{folder / MANIFEST} names {name!r}, which lies outside the bundle")
            if not path.is_file():
                raise BundleError(f"{path} is missing from the bundle; copy the bundle again")
            if path.suffix != ".safetensors" and path.stat().st_size > MAX_TEXT_BYTES:
                raise BundleError(f"{path} is larger than {MAX_TEXT_BYTES // 2**20} MiB; it is not a valid bundle")
            if digest(path) != wanted:
                raise BundleError(f"{path} is damaged or was changed after the bundle was made; copy the bundle again")
        except (OSError, RuntimeError, ValueError) as error:  # a cycle of links, an invalid file name
            raise BundleError(f"{folder / MANIFEST} names {name!r}, which cannot be read: {error}") from error
    needed = [TAXONOMY, CALIBRATION, METRICS]
    needed += [file for member in manifest.members for file in member_files(member)]
    if lacking := [name for name in needed if name not in manifest.files]:
        raise BundleError(f"{folder / MANIFEST} gives no digest of {lacking[0]}; it is not a valid bundle")


def member_files(member: ManifestMember) -> list[str]:
    """Return the paths in the bundle of a member's recipe and of the weights of its networks."""
    folder = f"members/{member.name}"
    return [f"{folder}/recipe.toml", *(f"{folder}/fold{number}.safetensors" for number in range(member.networks))]


def _member(folder: Path, member: ManifestMember, device: "torch.device") -> Member:
    first, *weights = (folder / name for name in member_files(member))
    recipe, taxonomy = load_recipe(first), load_taxonomy(folder / TAXONOMY)
    from urbanpipe.inference.torch_runtime import load_runtimes

    runtimes = load_runtimes(weights, recipe, taxonomy, device)
    for runtime in runtimes:
        runtime.network.requires_grad_(False)
    return Member(recipe.name, recipe, runtimes, member.weight)


def _check_classes(folder: Path, classes: int, calibration: Calibration, triage: Triage) -> None:
    for what, count in (("calibration", len(calibration.maps)), ("triage", len(triage.positives))):
        if count != classes:
            raise BundleError(f"{folder / CALIBRATION}: {what} of {count} classes, but the taxonomy has {classes}")
