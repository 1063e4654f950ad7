"""The model card of a bundle: contents, training data, evaluation and intended use."""

from typing import Any

from urbanpipe.evaluation.tables import markdown_table, per_cent
from urbanpipe.inference.bundle import DIAGRAM, Manifest, evaluated_classes
from urbanpipe.outputs import markdown_text
from urbanpipe.taxonomy import Taxonomy

_DEMONSTRATION = """
> **A demonstration, trained on simulated videos. It shows how `urbanpipe inspect` works and has never seen a real
> pipe: do not rely on its predictions.**
"""

_TEXT = """# {name}
{warning}
Networks that predict which of {classes} classes ({taxonomy}) a pipe-inspection video shows, when and where. Made with
urbanpipe {made_with}.

| member | weight | networks |
|---|---:|---:|
{members}

## Training data

{videos} videos of {groups} inspections, in {folds} folds that keep inspections whole. The labels say which classes a
video shows, not when or where. Fingerprint of videos, labels and folds: `{data}`.

## Evaluation

Out of fold: every video was scored by a network that was not trained on it or on another segment of its inspection.
mAP {map} % over {which}{of_all}, {map_defects} % over the defects{of_defects}. Expected \
calibration error {ece}, after calibration on
the other folds {ece_after} (`{diagram}`). *Rejected* and *precision* are for triage thresholds chosen on the other
folds. *Rejected* is the share of the videos with the class that were rejected (target: at most {miss_bound} %; over all
classes together {rejected} %). *Precision* is the share of the accepted that was correct.

{table}
The bundled networks predict together, by their mean; the scores above are for one network per video.

## Limitations

It proposes; a certified person decides. It predicts whether a class is present, not how severe it is: it gives no
grades. It is less accurate on videos from other cameras, pipes or annotators than those it was trained on, and neither
calibration nor the bound on rejected positives holds for them.
"""


def model_card(manifest: Manifest, taxonomy: Taxonomy, metrics: dict[str, Any]) -> str:
    """Return the model card in Markdown.

    Args:
        manifest: manifest of the bundle.
        taxonomy: its classes.
        metrics: contents of `metrics.json`.
    """
    members = (f"| {markdown_text(one.name)} | {one.weight:.2f} | {one.networks} |" for one in manifest.members)
    return _TEXT.format(
        name=markdown_text(manifest.name),
        warning=_DEMONSTRATION if manifest.demonstration else "",
        classes=len(taxonomy),
        taxonomy=markdown_text(taxonomy.name),
        made_with=manifest.made_with,
        members="\n".join(members),
        videos=metrics["videos"],
        groups=metrics["groups"],
        folds=metrics["folds"],
        data=manifest.data,
        which=evaluated_classes(metrics["classes"]),
        map=_share(metrics["map"]),
        map_defects=_share(metrics["map_defects"]),
        of_all=_interval(metrics, "map_all"),
        of_defects=_interval(metrics, "map_defects"),
        ece=_plain(metrics["ece"]),
        ece_after=_plain(metrics["ece_calibrated_by_other_folds"]),
        diagram=DIAGRAM,
        miss_bound=_share(metrics["miss_bound"]),
        rejected=_share(metrics["rejected_of_all"]),
        table=_table(taxonomy, metrics["classes"]),
    )


def _table(taxonomy: Taxonomy, classes: dict[str, dict[str, Any]]) -> str:
    rows = [
        [item.code, item.en, str(found["positives"]), *(_share(found[key]) for key in ("ap", "rejected", "precision"))]
        for item in taxonomy.classes
        for found in [classes[item.code]]
    ]
    return markdown_table(["class", "name", "videos", "AP", "rejected", "precision"], rows, left=2)


def _interval(metrics: dict[str, Any], key: str) -> str:
    intervals = metrics.get("intervals") or {}  # bundles of earlier versions have none
    low, high = intervals.get(key, (None, None))
    if low is None or high is None:
        return ""
    return f" ({100 * intervals['level']:.0f} % interval {per_cent(low)} to {per_cent(high)})"


def _share(value: float | None) -> str:
    return "-" if value is None else per_cent(value)


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
