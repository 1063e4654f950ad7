"""Inspections with drawn pictures, for tests of what reads them."""

import hashlib
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from urbanpipe.contracts.findings import (
    BundleFacts,
    Evidence,
    Finding,
    Inspection,
    Occurrence,
    Timeline,
    VideoFacts,
    write_inspection,
)
from urbanpipe.taxonomy import default_taxonomy

SHOWN = {"CK": ("accept", 0.97, (12.5, 41.0)), "SL": ("review", 0.44, (28.0,)), "CJ": ("accept", 0.91, (52.25,))}
"""TriageDecision, probability and moments of the classes that are to be seen in `made_inspection`."""


def made_inspection(folder: Path, name: str = "d1_1.mp4", duration: float = 60.0, **changes: Any) -> Inspection:
    """Write an inspection of a video that need not be there: findings.json and the pictures that it names."""
    folder.mkdir(parents=True, exist_ok=True)
    taxonomy = default_taxonomy()
    times = np.arange(0.0, duration, 0.5)
    scores = np.full((len(times), len(taxonomy)), 0.02)
    for code, (_, probability, moments) in SHOWN.items():
        for moment in moments:
            scores[:, taxonomy.index(code)] += 0.9 * probability * np.exp(-(((times - moment) / 2.0) ** 2))
    values: dict[str, Any] = {
        "video": VideoFacts(
            name=name,
            path=str(folder.parent / name),
            relative=f"../{name}",
            digest=hashlib.blake2b(name.encode(), digest_size=16).hexdigest(),
            duration_seconds=duration,
            frame_count=round(duration * 25),
            width=640,
            height=480,
            frame_rate=25.0,
        ),
        "bundle": BundleFacts(
            name="demonstration",
            digest="1" * 64,
            taxonomy=taxonomy.name,
            demonstration=True,
            calibrated=True,
            miss_bound=0.05,
        ),
        "exclusive": taxonomy.exclusive,
        "findings": tuple(_finding(item.code, folder) for item in taxonomy.classes),
        "timeline": Timeline(
            seconds=tuple(times.tolist()),
            codes=taxonomy.codes,
            scores=tuple(tuple(row) for row in scores.clip(0, 1).round(4).tolist()),
        ),
        "made_at": "2026-01-02T03:04:05+00:00",
    }
    given = values | changes
    inspection = Inspection(**(given | {"timed": given["timeline"] is not None}))
    write_inspection(inspection, folder)
    return inspection


def _finding(code: str, folder: Path) -> Finding:
    item = default_taxonomy().classes[default_taxonomy().index(code)]
    triage, probability, moments = SHOWN.get(code, ("reject", 0.02, ()))
    occurrences = tuple(_occurrence(code, number, at, probability, folder) for number, at in enumerate(moments, 1))
    return Finding(
        code=code,
        en=item.en,
        zh=item.zh,
        kind=item.kind,
        probability=probability,
        score=probability,
        triage=triage,
        occurrences=occurrences,
    )


def _occurrence(code: str, number: int, at: float, score: float, folder: Path) -> Occurrence:
    picture, heat = f"{code}-{number}.jpg", f"{code}-{number}.heat.png"
    drawn, warm = _drawn(f"{code} {at:.2f} s")
    (folder / picture).write_bytes(drawn)
    (folder / heat).write_bytes(warm)
    return Occurrence(
        seconds=at,
        begin_seconds=at - 1.5,
        end_seconds=at + 1.5,
        score=0.9 * score,
        evidence=(
            Evidence(
                seconds=at,
                frame=round(at * 25),
                score=0.9 * score,
                picture=picture,
                heat=heat,
                hottest=(0.7, 0.35),
                distance_text="12.40 m" if number == 1 else "",
                distance_metres=12.4 if number == 1 else None,
            ),
        ),
    )


@lru_cache
def _drawn(text: str) -> tuple[bytes, bytes]:
    """Return a picture of a pipe as JPEG, and its heat map as PNG."""
    image = Image.new("RGB", (640, 480), (70, 66, 60))
    draw = ImageDraw.Draw(image)
    draw.ellipse((120, 40, 520, 440), fill=(110, 104, 96), outline=(40, 38, 36), width=6)
    draw.ellipse((260, 180, 380, 300), fill=(18, 17, 16))
    draw.text((12, 12), text, fill=(230, 230, 230))
    y, x = np.mgrid[0:24, 0:32]
    strength = np.exp(-(((x - 22) / 5.0) ** 2 + ((y - 8) / 5.0) ** 2))
    pixels = np.zeros((24, 32, 4), np.uint8)
    pixels[..., 0], pixels[..., 1], pixels[..., 3] = 255, (160 * (1 - strength)), 200 * strength
    picture, heat = BytesIO(), BytesIO()
    image.save(picture, "JPEG", quality=85)
    Image.fromarray(pixels).resize((160, 120), Image.Resampling.BILINEAR).save(heat, "PNG")
    return picture.getvalue(), heat.getvalue()
