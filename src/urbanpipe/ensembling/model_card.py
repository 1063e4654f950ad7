"""The model card of a bundle: what it is, how good it is, and what it must not be used for."""

from typing import Any

from urbanpipe.evaluation.tables import markdown_table, per_cent
from urbanpipe.inference.bundle import DIAGRAM, Manifest
from urbanpipe.taxonomy import Taxonomy

_DEMONSTRATION = """
> **A demonstration, trained on simulated videos. It shows how `urbanpipe inspect` works and knows nothing of real
> pipes: rely on nothing that it says of one.**
"""

_TEXT = """# {name}
{warning}
Networks that say which of {classes} classes ({taxonomy}) a pipe-inspection video shows, when and where. Made with
urbanpipe {made_with}.

| member | weight | networks |
|---|---:|---:|
{members}

## What it has trained on

{videos} videos of {groups} inspections, in {folds} folds that keep inspections whole; the labels say which classes a
video shows, not when or where. Fingerprint of videos, labels and folds: `{data}`.

## How good it is

Out of fold: every video was judged by a network that has not seen it or another segment of its inspection. mAP {map} %
over all classes, {map_defects} % over the defects. Expected calibration error {ece}, after calibration by the other
folds {ece_after} (`{diagram}`). *Rejected* and *precision* are of triage chosen on the other folds: the share of the
videos with the class that ended in *reject* (wanted: at most {miss_bound} %; in all classes together {rejected} %), and
the share of the accepted that was right.

{table}
Bundled networks judge together, by their mean; the figures are of one network a video.

## What it is not for

It proposes; a certified person decides. It says whether a class is present, not how severe it is: it gives no grades.
Videos from other cameras, pipes or annotators than it has trained on are judged worse, and neither calibration nor the
bound on what is rejected holds for them.
"""


def model_card(manifest: Manifest, taxonomy: Taxonomy, metrics: dict[str, Any]) -> str:
    """The card in Markdown.

    Args:
        manifest: of the bundle.
        taxonomy: its classes.
        metrics: what `metrics.json` holds.
    """
    members = (f"| {one.name} | {one.weight:.2f} | {one.networks} |" for one in manifest.members)
    return _TEXT.format(
        name=manifest.name,
        warning=_DEMONSTRATION if manifest.demonstration else "",
        classes=len(taxonomy),
        taxonomy=taxonomy.name,
        made_with=manifest.made_with,
        members="\n".join(members),
        videos=metrics["videos"],
        groups=metrics["groups"],
        folds=metrics["folds"],
        data=manifest.data,
        map=_share(metrics["map"]),
        map_defects=_share(metrics["map_defects"]),
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


def _share(value: float | None) -> str:
    return "-" if value is None else per_cent(value)


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
