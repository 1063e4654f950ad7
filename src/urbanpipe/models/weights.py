"""Initial weights of a backbone (from the hub, a package, a file, or random), with a report of what was loaded."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from urbanpipe.errors import UrbanpipeError, WeightsError
from urbanpipe.models.backbone import Backbone
from urbanpipe.models.video import VideoBackbone
from urbanpipe.models.weights_file import check_finite, read_content
from urbanpipe.models.weights_packages import read_package_weights

SELF_SUPERVISED = {"simclr": "SimCLR", "mae": "MAE"}  # by the name of the method of `urbanpipe pretrain`
_WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model")
_PREFIXES = ("module.", "_orig_mod.", "encoder.backbone.net.", "backbone.net.", "backbone.")
_CLASSIFIERS = ("classifier", "head", "fc", "cls_head")  # extra tensors of a file that the report does not mention
_POSITIONS = "pos_embed "
_IN_RECIPE = " and give it with --set model.weights=FILE, or use --set model.weights=random"


@dataclass(frozen=True)
class WeightsReport:
    """Report of the tensors that were loaded into a backbone.

    Attributes:
        source: `random`, `hub`, `package` or the file.
        matched: number of tensors that were loaded.
        total: number of tensors of the backbone.
        share: share of the backbone's values that were loaded, in [0, 1].
        missing: tensors of the backbone that the file lacks.
        unused: tensors of the file that the backbone lacks.
        mismatched: tensors of different shapes, as `name (shape in file) != (shape in backbone)`.
    """

    source: str
    matched: int = 0
    total: int = 0
    share: float = 0.0
    missing: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.source == "random":
            return "weights: RANDOM, nothing was loaded"
        text = f"weights: {self.source}: {self.matched} of {self.total} tensors, {self.share:.1%} of the values"
        parts = (
            ("missing in the file", self.missing),
            ("different shape", self.mismatched),
            ("not used", self.unused),
        )
        return "; ".join([text, *(f"{label}: {_some(names)}" for label, names in parts if names)])


def load_weights(backbone: Backbone | VideoBackbone, name: str, source: str) -> WeightsReport:
    """Load the initial weights of `backbone`.

    Args:
        backbone: changed in place.
        name: name of the backbone in a recipe, for the hub (timm's, or torchvision's for video).
        source: `random`, `hub`, `package` (an installed package of `weights_packages`), or a file; `simclr` and `mae`
            stand for a file that does not exist yet.

    Raises:
        WeightsError: the hub cannot be reached, the package is not installed, the file is missing or not a state dict,
            or the weights belong to another network.
    """
    if source == "random":
        return WeightsReport("random")
    if source in SELF_SUPERVISED:
        raise WeightsError(
            f"model.weights = {source!r}: this recipe starts from {SELF_SUPERVISED[source]} weights of {name}, "
            "pretrained on your own videos: "
            f"`urbanpipe pretrain CATALOG --method {source} --backbone {name} --out DIR`, "
            "then --set model.weights=DIR/weights.safetensors"
        )
    if source == "hub":
        state = hub_weights(name, backbone)
    else:
        state = read_package_weights(name) if source == "package" else read_state(Path(source))
    return _load(backbone, state, source)


def content_of(source: str) -> str:
    """Return the fingerprint of a weights file; empty for other sources and missing files."""
    if source in ("random", "hub", "package", *SELF_SUPERVISED) or not is_weights_file(source):
        return ""
    with Path(source).open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def is_weights_file(source: str | Path) -> bool:
    """Return whether the file exists; False for names that the file system does not allow."""
    try:
        return Path(source).is_file()
    except OSError:
        return False


def read_state(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file or a torch checkpoint, without wrappers and prefixes.

    Code in the file is never executed.

    Raises:
        WeightsError: the file is missing, something else, unreadable, without tensors, or has NaN.
    """
    if not is_weights_file(path):
        raise WeightsError(
            f"no weights file {path}: give model.weights a safetensors or torch file, `hub`, `package` or `random`"
        )
    state = _plain(read_content(path), path)
    check_finite(state, path)
    return state


def _plain(loaded: Any, path: Path) -> dict[str, Tensor]:
    for wrapper in _WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(wrapper), Mapping):
            loaded = loaded[wrapper]
            break
    state = {k: v for k, v in loaded.items() if isinstance(v, Tensor)} if isinstance(loaded, Mapping) else {}
    if not state:
        raise WeightsError(f"{path} holds no named tensors; give a state dict")
    for prefix in _PREFIXES:
        if any(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def hub_weights(name: str, backbone: Backbone | VideoBackbone, advice: str = _IN_RECIPE) -> dict[str, Tensor]:
    """Return the pretrained weights of a network from the hub or its cache.

    Args:
        name: name of the backbone in a recipe.
        backbone: the network; its values are not read.
        advice: end of the message where there is no network: what to do with the file.

    Raises:
        WeightsError: the hub cannot be reached, or has none; the message names the file to download.
    """
    try:
        return backbone.fetch(name)
    except UrbanpipeError:
        raise
    except Exception as error:  # the hub's client raises many types for "no network" and "no such file"
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WeightsError(
            f"cannot get pretrained weights of {name} from the hub ({reason}); download {backbone.published(name)} "
            f"on a machine with network access{advice}"
        ) from error


def _load(backbone: Backbone | VideoBackbone, state: dict[str, Tensor], source: str) -> WeightsReport:
    net, state = backbone.net, backbone.adapt(state, source)
    own: dict[str, Tensor] = net.state_dict()
    good = {key: value for key, value in state.items() if key in own and own[key].shape == value.shape}
    net.load_state_dict(good, strict=False)
    report = _report(source, own, state, good)
    if report.share < 0.5:
        raise WeightsError(f"{source}: these weights do not belong to {type(net).__name__}; {report}")
    if position := next((text for text in report.mismatched if text.startswith(_POSITIONS)), ""):
        raise WeightsError(
            f"{source}: these weights of {type(net).__name__} are of another input size, and their position table "
            f"cannot be resized ({position}); give the input the size that the network was pretrained on"
        )
    return report


def _report(source: str, own: dict[str, Tensor], state: dict[str, Tensor], good: dict[str, Tensor]) -> WeightsReport:
    wanted = {key: value for key, value in own.items() if value.is_floating_point()}  # no counters and indices
    values = sum(value.numel() for value in wanted.values())
    return WeightsReport(
        source=source,
        matched=len(wanted.keys() & good.keys()),
        total=len(wanted),
        share=sum(wanted[key].numel() for key in wanted.keys() & good.keys()) / max(1, values),
        missing=tuple(sorted(wanted.keys() - state.keys())),
        unused=tuple(sorted(k for k in state.keys() - own.keys() if k.split(".")[0] not in _CLASSIFIERS)),
        mismatched=tuple(
            f"{key} {tuple(state[key].shape)} != {tuple(own[key].shape)}"
            for key in sorted(state.keys() & own.keys())
            if state[key].shape != own[key].shape
        ),
    )


def _some(names: tuple[str, ...], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
