"""The model card of a bundle in the Hub's format: metadata for its search, and the card of the bundle for people."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from urbanpipe.contracts.run_folder import read_json
from urbanpipe.errors import HubError
from urbanpipe.hub.contents import SUMS
from urbanpipe.inference.bundle import CARD, METRICS, TAXONOMY, Manifest, evaluated_classes
from urbanpipe.taxonomy import Taxonomy, load_taxonomy

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

TASK = "video-classification"
_LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,49}")
_USE = """## Use

    pip install "urbanpipe[hub,{runtime}]"
    urbanpipe hub pull {repository} --out bundle
    urbanpipe inspect VIDEOS --bundle bundle --out inspected

`{sums}` lists the SHA-256 of every file, and `hub pull` checks them.
Weights are safetensors; loading the bundle executes nothing from it.
"""


def hub_card(folder: Path, manifest: Manifest, *, repository: str, licence: str | None) -> str:
    """Return README.md for a repository; every figure in it is one that the bundle contains.

    Args:
        folder: folder of the bundle, which was checked.
        manifest: its manifest.
        repository: owner/name.
        licence: identifier of the Hub for the licence of the weights, such as `apache-2.0`; None gives none.

    Raises:
        HubError: `licence` has another form, or a file of the bundle lacks what the card shows.
    """
    from huggingface_hub import ModelCardData

    if licence is not None and not _LICENCE.fullmatch(licence):
        raise HubError(f"the licence is {licence!r}; expected an identifier of the Hub, such as apache-2.0 or other")
    taxonomy, metrics = load_taxonomy(folder / TAXONOMY), read_json(folder / METRICS)
    try:
        results = _results(manifest, taxonomy, metrics)
    except (KeyError, TypeError, ValueError) as error:
        raise HubError(f"{folder / METRICS} lacks a figure of the model card: {error}") from error
    data = ModelCardData(
        license=licence,
        library_name="urbanpipe",
        pipeline_tag=TASK,
        tags=_tags(manifest),
        metrics=["mean_average_precision"],
        model_name=manifest.name,
        eval_results=results or None,
    )
    text = (folder / CARD).read_text(encoding="utf-8").rstrip() if CARD in manifest.files else f"# {manifest.name}"
    runtime = manifest.runtimes[0] if manifest.runtimes else "train"
    use = _USE.format(runtime=runtime, repository=repository, sums=SUMS)
    return f"---\n{data.to_yaml()}\n---\n\n{text}\n\n{use}"


def _tags(manifest: Manifest) -> list[str]:
    tags = ["urbanpipe", "sewer-inspection", "pipe-inspection", "multi-label-classification", "safetensors"]
    return [*tags, *(["onnx"] if manifest.runtimes else []), *(["simulated-data"] if manifest.demonstration else [])]


def _results(manifest: Manifest, taxonomy: Taxonomy, metrics: dict[str, Any]) -> "list[EvalResult]":
    """Return both means and their intervals, as far as the bundle has them."""
    from huggingface_hub import EvalResult

    videos, groups, folds = (int(metrics[key]) for key in ("videos", "groups", "folds"))
    simulated = "simulated " if manifest.demonstration else ""
    intervals = metrics.get("intervals") or {}
    results = []
    for key, name, interval in (
        ("map", evaluated_classes(metrics["classes"]), "map_all"),
        ("map_defects", "defects", "map_defects"),
    ):
        if metrics[key] is None:
            continue
        known = {"level": intervals["level"], "interval": intervals[interval]} if intervals else None
        results.append(
            EvalResult(
                task_type=TASK,
                dataset_type=taxonomy.name,
                dataset_name=f"{videos} {simulated}videos of {groups} inspections, {folds} folds",
                dataset_split="out of fold",
                metric_type="mean_average_precision",
                metric_name=f"mAP, {name}",
                metric_value=round(float(metrics[key]), 4),
                metric_args=known,
            )
        )
    return results
