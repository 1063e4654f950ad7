"""The verdict on a video: the first thing that a page, a list and the terminal show."""

from dataclasses import dataclass

from urbanpipe.contracts.findings import Finding, Inspection
from urbanpipe.report.wording import Wording, sureness

LIKELY = 0.495
"""Probabilities from here on are shown as 50 % or more: the class is likelier than not."""


@dataclass(frozen=True)
class Verdict:
    """The verdict on a video.

    Attributes:
        text: the verdict in words.
        clear: whether nothing needs review and the exclusive class ("nothing wrong"), if there is one, is likely.
        unsure: whether nothing needs review, but the exclusive class is not likely either.
    """

    text: str
    clear: bool
    unsure: bool


def proposed(inspection: Inspection) -> tuple[Finding, ...]:
    """Return the defects to accept or to review, without those that only the bound on missed defects keeps."""
    return tuple(one for one in inspection.defects if not one.unlikely)


def exclusive_finding(inspection: Inspection) -> Finding | None:
    """Return the result for the class that means "nothing wrong"; None where the taxonomy has none."""
    return next((one for one in inspection.findings if one.code == inspection.exclusive), None)


def verdict(inspection: Inspection, t: Wording) -> Verdict:
    """Return the verdict on a video in the language of `t`."""
    shown, normal = proposed(inspection), exclusive_finding(inspection)
    accepted = sum(one.triage == "accept" for one in shown)
    review = t.count("verdict_review", len(shown) - accepted)
    if accepted:
        parts = [t.count("verdict_found", accepted), *([review] if len(shown) > accepted else [])]
        return Verdict(t("verdict_join").join(parts), clear=False, unsure=False)
    is_normal = normal is None or normal.probability >= LIKELY
    if not shown:
        return Verdict(_without_defects(normal, is_normal, inspection, t), clear=is_normal, unsure=not is_normal)
    if normal and is_normal and all(one.probability < LIKELY for one in shown):
        text = t("verdict_join").join([_without_defects(normal, True, inspection, t), review])
    else:
        text = t.count("verdict_only", len(shown))
    return Verdict(text, clear=False, unsure=False)


def _without_defects(normal: Finding | None, is_normal: bool, inspection: Inspection, t: Wording) -> str:
    if normal is None:
        return t("verdict_none")
    probability = sureness(normal.probability, inspection.bundle.calibrated)
    key = "verdict_normal" if is_normal else "verdict_unsure"
    return t(key, name=t.name(normal), probability=probability)
