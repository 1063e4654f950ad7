"""A bundle: all that `inspect` needs of a cross-validated run or ensemble, in a folder that can be handed on.

bundle.toml       what it is, its members, and a digest of every other file
taxonomy.toml     the classes
members/<name>/   recipe.toml and the weights of each fold's network (safetensors)
calibration.json  from scores to probabilities, and the triage
ood.safetensors  what videos that are no pipes are told by, where the bundle was given training videos
metrics.json      what is known of how good it is
MODEL_CARD.md, reliability.png  the same for people
"""

import tomllib
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
from urbanpipe.settings import Section, complaint
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
DEMONSTRATION = Path(__file__).parents[1] / "bundles" / "demonstration"
"""The bundle that comes with the package."""


class ManifestMember(Section):
    """A recipe's networks.

    Attributes:
        name: of the folder below `members`.
        weight: of their mean.
        networks: how many, one a fold.
    """

    name: str = Field(pattern=r"^[^/\\]+$")
    weight: float = Field(gt=0, le=1)
    networks: int = Field(ge=1)


class Manifest(Section):
    """`bundle.toml`.

    Attributes:
        format: of the bundle.
        name: what it is called.
        demonstration: trained on simulated videos, to show how it works.
        made_with: version of urbanpipe.
        data: fingerprint of videos, labels and folds that it has trained on.
        exclusive_threshold: of the rule for the exclusive class; None leaves it out.
        members: whose weights sum to 1.
        moments: how moments are made of scores.
        files: digest (BLAKE2b-128) of every other file, by path.
    """

    format: Literal["urbanpipe bundle 2"]
    name: str
    demonstration: bool = False
    made_with: str
    data: str
    exclusive_threshold: float | None = Field(None, ge=0, le=1)
    members: tuple[ManifestMember, ...] = Field(min_length=1)
    moments: MomentsConfig = MomentsConfig()
    files: dict[str, str]

    @model_validator(mode="after")
    def _members_fit(self) -> Self:
        names, weights = [one.name for one in self.members], [one.weight for one in self.members]
        if len(set(names)) < len(names):
            raise ValueError(f"members have the same name: {', '.join(names)}")
        if abs(sum(weights) - 1) > 1e-6:
            raise ValueError(f"the weights {weights} of the members do not sum to 1")
        return self


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle that was read.

    Attributes:
        folder: where it is.
        digest: of its manifest, and so of all its files.
        manifest: what it says of itself.
        models: the networks.
        calibration: from scores to probabilities.
        triage: what a person is asked to do.
        ood: tells videos that are unlike those trained on; None where it cannot.
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
        BundleError: it is missing, damaged or of another kind; the message names the file.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    _check_files(folder, manifest)
    try:
        taxonomy = load_taxonomy(folder / TAXONOMY)
        members = tuple(_member(folder, one, device) for one in manifest.members)
        tables = read_json(folder / CALIBRATION)
        calibration, triage = Calibration.from_table(tables["calibration"]), Triage.from_table(tables["triage"])
        ood = read_ood_detector(folder / OOD) if OOD in manifest.files else None
    except BundleError:
        raise
    except (UrbanpipeError, KeyError, TypeError) as error:
        raise BundleError(f"{folder} is no sound bundle: {error}") from error
    models = Models(taxonomy, members, manifest.exclusive_threshold)
    _check_classes(folder, len(taxonomy), calibration, triage)
    return Bundle(folder, digest(folder / MANIFEST), manifest, models, calibration, triage, ood)


def read_manifest(folder: Path) -> Manifest:
    """What a bundle says of itself.

    Raises:
        BundleError: there is no bundle, or of a format that this version does not know.
    """
    path = folder / MANIFEST
    if not path.is_file():
        what = "a run or an ensemble; make a bundle of it with `urbanpipe bundle`" if _is_run(folder) else "no bundle"
        raise BundleError(f"{folder} is {what}: it has no {MANIFEST}")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
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
    """Refuse a bundle of which a file is missing, changed, or outside it."""
    for name, wanted in manifest.files.items():
        path = folder / name
        try:
            if not path.resolve().is_relative_to(folder.resolve()):
                raise BundleError(f"{folder / MANIFEST} names {name!r}, which lies outside the bundle")
            if not path.is_file():
                raise BundleError(f"{path} is missing from the bundle; copy the bundle again")
            if digest(path) != wanted:
                raise BundleError(f"{path} is not as the bundle was made: damaged or changed; copy the bundle again")
        except (OSError, RuntimeError, ValueError) as error:  # a ring of links, a name that no file can have
            raise BundleError(f"{folder / MANIFEST} names {name!r}, which cannot be read: {error}") from error
    needed = [TAXONOMY, CALIBRATION, METRICS]
    needed += [file for one in manifest.members for file in member_files(one)]
    if lacking := [name for name in needed if name not in manifest.files]:
        raise BundleError(f"{folder / MANIFEST} gives no digest of {lacking[0]}; it is no sound bundle")


def member_files(member: ManifestMember) -> list[str]:
    """The recipe of a member, and the weights of its networks, by path in the bundle."""
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
            raise BundleError(f"{folder / CALIBRATION}: {what} of {count} classes, the taxonomy has {classes}")
