"""How much of the text on drawn screens `ocr` reads, and how often it finds the region of the distance.

    urbanpipe simulate pipes --videos 6 --seed 41 --fps 5 --seconds 3:5
    python benchmarks/screen_text.py pipes/videos --videos 48

Each video has a title page in one of three languages, then an overlay with a clock, often a date, and a distance
counter, in several fonts, sizes, positions and styles, over a simulated pipe, compressed as MPEG-2 or H.264. Some have
no counter, and some another number that changes. Fonts are those of the system; languages without one are left out.
"""

import argparse
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from urbanpipe.evaluation.tables import markdown_table
from urbanpipe.inspection.screen_text.reader import OcrReader
from urbanpipe.inspection.screen_text.screen import Screen, read_screen
from urbanpipe.video.decode import read_frames
from urbanpipe.video.isolated import index_frames

RATE, SECONDS, TITLE_SECONDS = 5, 20, 4
LATIN = [
    "/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf",
    "/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf",
    "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf",
    "/usr/share/fonts/truetype/liberation/LiberationMono-Bold.ttf",
]
CHINESE = [
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/opentype/noto/NotoSerifCJK-Bold.ttc",
]
STREETS = {"en": "Mill Lane", "de": "Gartenweg", "zh": "人民路"}
CLIENTS = {"en": "Example Water", "de": "Stadt Beispiel", "zh": "市政公司"}
MATERIALS = {"en": "Concrete", "de": "Beton", "zh": "混凝土"}
COUNTERS = ("{:.2f} m", "{:.1f}m", "Dist {:.2f} m", "D: {:07.2f}m", "{:.1f} ft", "L={:.2f}M", "{:.2f}")
EXTRAS = ("", "", "{:.1f} %", "Slope {:.2f} %", "{:.1f} bar")


@dataclass(frozen=True)
class Plan:
    """A video: its language and style, the true fields, and what its screen shows."""

    language: str
    size: tuple[int, int]
    codec: str
    height: float  # of the letters, as a share of the picture
    font: str
    outline: bool
    counter: str
    extra: str
    corner: tuple[bool, bool]
    joined: bool  # date and counter in one line
    start: float
    speed: float
    truth: dict[str, str] = field(default_factory=dict)


def planned(seed: int) -> Plan:
    rng = np.random.default_rng(seed)
    language = ("en", "de", "zh")[seed % 3]
    one = int(rng.integers(100, 999))
    truth = {
        "street": STREETS[language],
        "from_manhole": f"W{one}" if language == "zh" else f"{one}-1",
        "to_manhole": f"W{one + 1}" if language == "zh" else f"{one}-2",
        "direction": ("downstream", "upstream")[int(rng.integers(2))],
        "diameter_mm": str(int(rng.choice([200, 300, 450, 600]))),
        "material": MATERIALS[language],
        "date": f"20{int(rng.integers(12, 26))}-{int(rng.integers(1, 13)):02}-{int(rng.integers(13, 29))}",
        "time": f"{int(rng.integers(7, 17)):02}:{int(rng.integers(10, 58))}",
        "client": CLIENTS[language],
    }
    return Plan(
        language,
        ((704, 576), (640, 480), (1280, 720), (352, 288))[int(rng.choice(4, p=[0.4, 0.3, 0.2, 0.1]))],
        ("mpeg2video", "libx264")[int(rng.integers(2))],
        float(rng.uniform(0.032, 0.055)),
        str(rng.choice(CHINESE if language == "zh" else LATIN)),
        bool(rng.integers(2)),
        "" if seed % 8 == 7 else COUNTERS[int(rng.integers(len(COUNTERS)))],
        EXTRAS[int(rng.integers(len(EXTRAS)))],
        (bool(rng.integers(2)), bool(rng.integers(2))),
        bool(rng.integers(4) == 0),
        float(rng.choice([0.0, 0.0, 12.3, -0.4])),
        float(rng.choice([0.15, 0.5, -0.3])),
        truth,
    )


def title(plan: Plan) -> list[str]:
    true, size = plan.truth, plan.truth["diameter_mm"]
    if plan.language == "zh":
        way = "逆流" if true["direction"] == "upstream" else "顺流"
        return [
            f"委托单位：{true['client']}", f"检测地点：{true['street']}", f"起始井号：{true['from_manhole']}",
            f"终止井号：{true['to_manhole']}", f"管径：DN{size}", f"材质：{true['material']}", f"检测方向：{way}",
        ]  # fmt: skip
    if plan.language == "de":
        way = "gegen Fließrichtung" if true["direction"] == "upstream" else "in Fließrichtung"
        return [
            f"Auftraggeber: {true['client']}", f"Straße: {true['street']}", f"Von Schacht: {true['from_manhole']}",
            f"Nach Schacht: {true['to_manhole']}", f"Durchmesser: {size} mm", f"Material: {true['material']}",
            f"Richtung: {way}",
        ]  # fmt: skip
    return [
        f"Client: {true['client']}", f"Street: {true['street']}",
        f"From MH {true['from_manhole']} To MH {true['to_manhole']}", f"Dia {size} mm", f"Material: {true['material']}",
        f"Direction: {true['direction'].capitalize()}",
    ]  # fmt: skip


def counter_text(plan: Plan, seconds: float) -> str:
    moved = max(0.0, seconds - TITLE_SECONDS - 1) * plan.speed
    return plan.counter.format(plan.start + moved) if plan.counter else ""


def overlay(plan: Plan, seconds: float) -> tuple[str, str, str]:
    """Clock with date, distance, and another number."""
    hour, minute = map(int, plan.truth["time"].split(":"))
    day, distance = plan.truth["date"], counter_text(plan, seconds)
    shown = ".".join(reversed(day.split("-"))) if plan.language == "de" else day
    clock = f"{shown} {hour:02}:{minute + int(seconds) // 60:02}:{int(seconds) % 60:02}"
    other = plan.extra.format(1.5 + np.sin(seconds) + seconds / 20) if plan.extra else ""
    return (f"{clock}   {distance}", "", other) if plan.joined and distance else (clock, distance, other)


def frame(plan: Plan, base: Image.Image, seconds: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    width, height = plan.size
    zoom = 1 + 0.02 * (seconds % 3)
    inner = base.resize((round(width * zoom), round(height * zoom)))
    picture = inner.crop((0, 0, width, height))
    draw, size = ImageDraw.Draw(picture), plan.height * height
    font = ImageFont.truetype(plan.font, size)
    stroke = max(1, round(size / 14)) if plan.outline else 0
    put = partial(draw.text, fill=(255, 255, 255), font=font, stroke_width=stroke, stroke_fill=(0, 0, 0))
    margin = 0.03 * width
    if seconds < TITLE_SECONDS:
        for row, text in enumerate(title(plan)):
            put((2 * margin, 0.1 * height + row * size * 1.7), text)
    else:
        clock, distance, other = overlay(plan, seconds)
        low, right = plan.corner
        rows = (0.92, 0.04) if low else (0.04, 0.92)
        put((margin, rows[0] * height), clock)
        x = width - margin - draw.textlength(distance, font=font) if right else margin
        put((x, rows[1] * height), distance)
        put((margin, 0.5 * height), other)
    noisy = np.asarray(picture).astype(np.int16) + rng.normal(0, 4, (height, width, 1)).round().astype(np.int16)
    return noisy.clip(0, 255).astype(np.uint8)


def written(plan: Plan, base: Image.Image, path: Path) -> Path:
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as out:
        stream = cast("VideoStream", out.add_stream(plan.codec, rate=RATE))
        stream.width, stream.height, stream.pix_fmt = *plan.size, "yuv420p"
        stream.bit_rate = plan.size[0] * plan.size[1] * 6
        for number in range(RATE * SECONDS):
            shown = av.VideoFrame.from_ndarray(frame(plan, base, number / RATE, rng), format="rgb24")
            shown.pts = number
            out.mux(stream.encode(shown))
        out.mux(stream.encode())
    return path


def counter_found(plan: Plan, screen: Screen) -> str:
    region = screen.counter.region
    if not plan.counter:
        return "false region" if region else "rightly none"
    if region is None or screen.counter.place is None:
        return "not found"
    readings = screen.counter.place.readings
    shown = "".join(counter_text(plan, readings[-1].seconds).split()).casefold()
    return "found" if shown in "".join(readings[-1].line.text.split()).casefold() else "false region"


def pipes(folder: Path) -> list[Image.Image]:
    """Middle frames of simulated videos, without their edges, as some have text there."""
    paths = sorted(folder.glob("*.mp4"))
    found = [read_frames(path, [index_frames(path).frame_count // 2])[0] for path in paths]
    edges = [(one.shape[1] // 5, one.shape[0] // 5) for one in found]
    return [Image.fromarray(one[y:-y, x:-x]) for one, (x, y) in zip(found, edges, strict=True)]


@dataclass
class Tally:
    """What was read right, and what became of the counters."""

    right: dict[str, list[bool]] = field(default_factory=dict)
    outcomes: dict[str, list[str]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, seed: int, plan: Plan, screen: Screen) -> None:
        values = {one.field: one.value for one in screen.proposals}
        for name, value in plan.truth.items():
            same = "".join(values.get(name, "").split()).casefold() == "".join(value.split()).casefold()
            for row in (name, f"all fields, {plan.language}"):
                self.right.setdefault(row, []).append(same)
            if not same:
                self.wrong.append(f"{seed} {name}: {value!r} read as {values.get(name, '')!r}")
        self.wrong += [f"{seed} {name}: {values[name]!r}, which is not there" for name in values.keys() - plan.truth]
        outcome = counter_found(plan, screen)
        self.outcomes.setdefault("with a counter" if plan.counter else "without", []).append(outcome)
        if outcome in {"not found", "false region"}:
            shown = counter_text(plan, SECONDS - 1)
            self.wrong.append(f"{seed} {outcome}: {shown!r} {plan.joined=} {plan.extra!r} {screen.counter.reason}")

    def print(self) -> None:
        fields = [[name, str(sum(ones)), str(len(ones))] for name, ones in sorted(self.right.items())]
        print(markdown_table(["field", "right", "of"], fields))
        regions = [
            [kind, name, str(ones.count(name)), str(len(ones))]
            for kind, ones in self.outcomes.items()
            for name in sorted(set(ones))
        ]
        print(markdown_table(["videos", "region", "count", "of"], regions, left=2))
        print(f"seconds per video: median {np.median(self.seconds):.1f}, most {max(self.seconds):.1f}\n")
        print("\n".join(f"- {line}" for line in self.wrong))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pipes", type=Path, help="folder of simulated videos, for the background")
    parser.add_argument("--videos", type=int, default=24)
    parser.add_argument("--first", type=int, default=0, help="seed of the first video")
    arguments = parser.parse_args()
    bases, reader, tally = pipes(arguments.pipes), OcrReader(), Tally()
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(arguments.first, arguments.first + arguments.videos):
            plan = planned(seed)
            file = Path(folder) / f"{seed}.{'mpg' if plan.codec == 'mpeg2video' else 'mp4'}"
            path = written(plan, bases[seed % len(bases)], file)
            started = time.perf_counter()
            screen = read_screen(path, reader)
            tally.seconds.append(time.perf_counter() - started)
            tally.add(seed, plan, screen)
            path.unlink()
    tally.print()


if __name__ == "__main__":
    main()
