"""SimPipe-1000 stays what it is: the labels planned for all its videos, and the truth of a few scenes."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from urbanpipe.outputs import write_json
from urbanpipe.simulate.compose import compose
from urbanpipe.simulate.plan import NORMAL, VideoPlan, met_again, plan_videos
from urbanpipe.taxonomy import default_taxonomy

PAGE = Path(__file__).parents[2] / "benchmarks" / "simpipe.md"


def plans(videos: int, seed: int, seconds: tuple[float, float], brief: float, balance: float = 0.0) -> list[VideoPlan]:
    return plan_videos(videos, seed, default_taxonomy().codes, seconds=seconds, brief=brief, balance=balance)


def digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


SETS = {
    "train": (1000, 1000, (3.0, 25.0), 0.15, 0.0, "3c01fe004894a4d6"),
    "test": (300, 1001, (3.0, 25.0), 0.15, 0.0, "96a3a5a7b6f46939"),
    "even": (150, 1003, (3.0, 25.0), 0.3, 1.0, "001f336202faca6b"),
    "cctv": (40, 1002, (120.0, 240.0), 0.0, 0.0, "b02fb5f3a5ace608"),
}


@pytest.mark.parametrize("name", SETS)
def test_the_labels(name: str, tmp_path: Path) -> None:
    """What is planned, and the label file's digest on the page, which was taken from the videos as made."""
    videos, seed, seconds, brief, balance, planned = SETS[name]
    drawn = plans(videos, seed, seconds, brief, balance)
    drawn = met_again(drawn, seed) if name == "cctv" else drawn
    assert digest([(plan.name, plan.labels, plan.brief) for plan in drawn]) == planned

    index = default_taxonomy().index
    labels = {plan.name: sorted({index(code) for code in plan.labels or (NORMAL,)}) for plan in drawn}
    write_json(tmp_path / "labels.json", labels)
    (written,) = re.findall(rf"^\| {name} \|.*`([0-9a-f]{{64}})`", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert hashlib.sha256((tmp_path / "labels.json").read_bytes()).hexdigest() == written


@pytest.mark.slow
def test_the_truth_of_the_first_scenes() -> None:
    """Classes, places and strengths, and which are missed by nine uniform frames."""
    found = [
        (plan.name, item.code, round(item.s, 2), round(item.severity, 2), item.seen.missed)
        for plan in plans(1000, 1000, (3.0, 25.0), 0.15)[:6]
        for item in compose(plan, 1000, "qv", 12.5, 4 / 3).placed
    ]
    assert digest(found) == "1cadb6af5b69adb1"
