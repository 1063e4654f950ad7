"""A small contract: inspections, decisions and inspection data for tests of the record."""

from pathlib import Path
from typing import Any

from helpers.inspection_material import made_inspection
from helpers.review_material import decide, finish
from urbanpipe.contracts.findings import Finding, Inspection
from urbanpipe.contracts.remarks import remark
from urbanpipe.review_store.store import ReviewStore

HEAD = (
    "video,segment,street,from_manhole,to_manhole,direction,length_m,diameter_mm,shape,material,date,time,operator,"
    "weather,job,client,region,soil\n"
)
DATA = HEAD + (
    "d1_1.mp4,K9-K12,Long Street 12,K9,K12,downstream,38.4,600,circular,concrete,2026-02-01,09:40,Li Na,dry,"
    "Contract 17,City of Example,road,general\n"
    "d2.mp4,K12-K13,Long Street 14,K12,K13,upstream,,600,egg,clay,2026-01-31,,Li Na,rain,Contract 17,"
    "City of Example,,\n"
)
ADDED = "+0123456789ab"


def made_contract(folder: Path) -> Path:
    """Write `out` (two videos), `review.sqlite` (the first is reviewed in full) and `data.csv`; return `out`."""
    out = folder / "out"
    for name in ("d1_1", "d2"):
        made_inspection(out / name, f"{name}.mp4")
    store = ReviewStore(folder / "review.sqlite")
    first = out / "d1_1"
    decide(store, first, "CK@12500", status="accepted", grade=3, clock_from=9, clock_to=3, distance_m=12.1, note="wide")
    decide(store, first, "CK@41000", status="rejected")
    decide(store, first, "SL@28000", status="accepted", grade=4, distance_m=16.4, clock_from=6)
    decide(store, first, "CJ@52250", status="accepted", code="JG", seconds=50.0, grade=2, distance_m=20, length_m=1.5)
    decide(store, first, ADDED, "Ben", status="accepted", code="FS", seconds=5.0, grade=1, distance_m=4)
    finish(store, first)
    store.close()
    (folder / "data.csv").write_text(DATA, encoding="utf-8")
    return out


def with_findings(inspection: Inspection, kept: int, distances: bool = True) -> tuple[Finding, ...]:
    """Return the findings of an inspection with so many occurrences of the first proposed class, and of no other."""
    first = inspection.defects[0]
    one = first.occurrences[0]
    spread = [1.0 + 58.0 * place / max(kept - 1, 1) for place in range(kept)]
    occurrences = tuple(
        one.model_copy(
            update={
                "seconds": at,
                "begin_seconds": at,
                "end_seconds": at + 0.5,
                "evidence": tuple(
                    frame.model_copy(
                        update={
                            "seconds": at,
                            "distance_metres": at / 2 if distances else None,
                            "distance_text": f"{at / 2:.2f}" if distances else "",
                        }
                    )
                    for frame in one.evidence
                ),
            }
        )
        for at in spread
    )
    return tuple(
        item.model_copy(update={"occurrences": occurrences})
        if item.code == first.code
        else item.model_copy(update={"triage": "reject", "occurrences": ()})
        for item in inspection.findings
    )


def inspection_of(folder: Path, name: str, kept: int, distances: bool = True, **changes: Any) -> Inspection:
    """Write an inspection with so many occurrences of one class."""
    made = made_inspection(folder, name)
    return made_inspection(folder, name, findings=with_findings(made, kept, distances), **changes)


REMARKS = (
    remark("dark", "dark", share="40%"),
    remark("short", "short", seconds="2"),
)
