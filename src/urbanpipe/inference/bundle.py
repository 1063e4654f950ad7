"""Bundles: everything that `inspect` needs of a cross-validated run or ensemble, in one folder to distribute.

bundle.toml       description, members, and a digest of every other file
taxonomy.toml     the classes
members/<name>/   recipe.toml, the weights of each fold's network (safetensors) and, if they were asked for, its graphs
                  for ONNX Runtime and OpenVINO (foldN.encode.onnx, foldN.aggregate.onnx)
calibration.json  calibration of scores to probabilities, and the triage
ood.safetensors   the detector of out-of-distribution videos, if the bundle was made with training videos
metrics.json      measured quality
MODEL_CARD.md, reliability.png  the same for people
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from urbanpipe.contracts.run_folder import read_json
from urbanpipe.decision.calibration import Calibration
from urbanpipe.decision.localization import MomentsConfig
from urbanpipe.decision.triage import Triage
from urbanpipe.errors import BundleError, UrbanpipeError
from urbanpipe.inference.choose_runtime import GRAPHS, choose_runtime
from urbanpipe.inference.graph_runtime import GraphRuntime
from urbanpipe.inference.members import Member, Models
from urbanpipe.inference.ood import OODDetector, read_ood_detector
from urbanpipe.inference.options import GraphRuntimeName, RuntimeName
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
        encoders: for each network, the number of the one whose encoder graph it uses, as frozen encoders are stored
            once; empty without graphs.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$")
    weight: float = Field(gt=0, le=1)
    networks: int = Field(ge=1, le=1000)
    encoders: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _encoders_fit(self) -> Self:
        encoders = self.encoders
        if encoders and (len(encoders) != self.networks or not all(0 <= use <= n for n, use in enumerate(encoders))):
            raise ValueError(f"encoders = {list(encoders)} does not fit networks = {self.networks}")
        return self


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
        runtimes: runtimes that its graphs were checked with; empty without graphs.
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
    runtimes: tuple[GraphRuntimeName, ...] = ()
    moments: MomentsConfig = MomentsConfig()
    files: dict[str, str]

    @model_validator(mode="after")
    def _members_fit(self) -> Self:
        names, weights = [member.name for member in self.members], [member.weight for member in self.members]
        if len(set(names)) < len(names):
            raise ValueError(f"members have the same name: {', '.join(names)}")
        if abs(sum(weights) - 1) > 1e-6:
            raise ValueError(f"the weights {weights} of the members do not sum to 1")
        if self.runtimes and (lacking := [member.name for member in self.members if not member.encoders]):
            raise ValueError(f"member {lacking[0]} has no graphs for the runtimes {', '.join(self.runtimes)}")
        return self


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle that was read.

    Attributes:
        folder: folder of the bundle.
        digest: digest of the manifest, and thereby of all files.
        manifest: content of `bundle.toml`.
        runtime: what runs the networks: `torch`, `onnx` or `openvino`.
        device: the device that runs them.
        models: the networks.
        calibration: maps scores to probabilities.
        triage: maps probabilities to accept, review or reject.
        ood: detector of out-of-distribution videos; None where the bundle has none.
    """

    folder: Path
    digest: str
    manifest: Manifest
    runtime: str
    device: str
    models: Models
    calibration: Calibration
    triage: Triage
    ood: OODDetector | None


def evaluated_classes(classes: dict[str, dict[str, Any]]) -> str:
    """Return which classes the mAP is over, for people, from `classes` of `metrics.json`."""
    known = sum(found["ap"] is not None for found in classes.values())
    return "all classes" if known == len(classes) else f"the {known} classes that some videos show and some do not"


def read_bundle(folder: Path, *, device: str = "auto", runtime: RuntimeName = "auto") -> Bundle:
    """Read a bundle; no code in it is executed.

    Args:
        folder: folder of the bundle.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        runtime: what runs the networks, see `inference.choose_runtime`.

    Raises:
        BundleError: the bundle is missing, damaged or of another kind; the message names the file. Or the runtime
            cannot run it here.
        RunError: the device does not exist.
    """
    folder = Path(folder)
    manifest = check_bundle(folder)
    chosen = choose_runtime(runtime, manifest.runtimes, device, folder)
    place = "cpu" if chosen in GRAPHS else _torch_device(device)
    try:
        taxonomy = load_taxonomy(folder / TAXONOMY)
        members = tuple(_member(folder, member, chosen, place) for member in manifest.members)
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
    return Bundle(
        folder=folder,
        digest=digest(folder / MANIFEST),
        manifest=manifest,
        runtime=chosen,
        device=str(place),
        models=models,
        calibration=calibration,
        triage=triage,
        ood=ood,
    )


def check_bundle(folder: Path) -> Manifest:
    """Check that a bundle is complete and unchanged, without reading its networks; return its manifest.

    Raises:
        BundleError: the bundle is missing or damaged; the message names the file.
    """
    manifest = read_manifest(folder)
    _check_files(folder, manifest)
    return manifest


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
            if path.suffix not in (".safetensors", ".onnx") and path.stat().st_size > MAX_TEXT_BYTES:
                raise BundleError(f"{path} is larger than {MAX_TEXT_BYTES // 2**20} MiB; it is not a valid bundle")
            if digest(path) != wanted:
                raise BundleError(f"{path} is damaged or was changed after the bundle was made; copy the bundle again")
        except (OSError, RuntimeError, ValueError) as error:  # a cycle of links, an invalid file name
            raise BundleError(f"{folder / MANIFEST} names {name!r}, which cannot be read: {error}") from error
    needed = [TAXONOMY, CALIBRATION, METRICS]
    needed += [file for member in manifest.members for file in member_files(member)]
    needed += [file for member in manifest.members for files in graph_files(member) for file in files]
    if lacking := [name for name in needed if name not in manifest.files]:
        raise BundleError(f"{folder / MANIFEST} gives no digest of {lacking[0]}; it is not a valid bundle")


def member_files(member: ManifestMember) -> list[str]:
    """Return the paths in the bundle of a member's recipe and of the weights of its networks."""
    folder = f"members/{member.name}"
    return [f"{folder}/recipe.toml", *(f"{folder}/fold{number}.safetensors" for number in range(member.networks))]


def graph_files(member: ManifestMember) -> list[tuple[str, str]]:
    """Return the paths in the bundle of the encoder and the aggregating graph of each network; none without graphs."""
    stem = f"members/{member.name}/fold"
    return [
        (f"{stem}{encoder}.encode.onnx", f"{stem}{number}.aggregate.onnx")
        for number, encoder in enumerate(member.encoders)
    ]


def _member(folder: Path, member: ManifestMember, runtime: str, device: "str | torch.device") -> Member:
    first, *weights = (folder / name for name in member_files(member))
    recipe, taxonomy = load_recipe(first), load_taxonomy(folder / TAXONOMY)
    if runtime in GRAPHS:
        return Member(recipe.name, recipe, graph_runtimes(folder, member, runtime, len(taxonomy)), member.weight)
    from urbanpipe.inference.torch_runtime import load_runtimes

    runtimes = load_runtimes(weights, recipe, taxonomy, device)  # type: ignore[arg-type]
    for loaded in runtimes:
        loaded.network.requires_grad_(False)
    return Member(recipe.name, recipe, runtimes, member.weight)


def graph_runtimes(folder: Path, member: ManifestMember, runtime: str, classes: int) -> tuple[GraphRuntime, ...]:
    """Return the networks of a member that run as graphs.

    Args:
        folder: folder of the bundle.
        member: the member.
        runtime: a key of `GRAPHS`.
        classes: number of classes.

    Raises:
        BundleError: the runtime is not installed, or a graph is damaged.
    """
    files = graph_files(member)
    encoders = {file: GRAPHS[runtime](folder / file) for file in dict.fromkeys(encoder for encoder, _ in files)}
    return tuple(GraphRuntime(encoders[encoder], GRAPHS[runtime](folder / head), classes) for encoder, head in files)


def _torch_device(device: str) -> "torch.device":
    from urbanpipe.models.device import choose_device

    return choose_device(device)


def _check_classes(folder: Path, classes: int, calibration: Calibration, triage: Triage) -> None:
    for what, count in (("calibration", len(calibration.maps)), ("triage", len(triage.positives))):
        if count != classes:
            raise BundleError(f"{folder / CALIBRATION}: {what} of {count} classes, but the taxonomy has {classes}")
