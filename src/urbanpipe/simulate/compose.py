"""Compose the scene of a video from its plan: pipe, harmless objects, defects, and a camera that shows them."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from urbanpipe.simulate.cast import Caster
from urbanpipe.simulate.defects.registry import DEFECTS, LOOKALIKES
from urbanpipe.simulate.defects.spot import Rule, Spot
from urbanpipe.simulate.eye import Eye, Scene
from urbanpipe.simulate.options import Kind
from urbanpipe.simulate.path import QV_START, Aim, cctv_camera, qv_camera, travel
from urbanpipe.simulate.pipe import FORM_PER_RADIUS, FORM_ROWS, Pipe
from urbanpipe.simulate.plan import VideoPlan
from urbanpipe.simulate.scene import Look, bare_pipe, draw_look
from urbanpipe.simulate.truth import ROWS, Seen, look_for

SIGHT_AHEAD = 10.0
"""Length of pipe beyond the furthest position of the camera, radii."""
QV_REACH = (1.3, 6.0)
"""Range of s, radii, in which objects are placed for a pole camera."""
SHORTEST_VIEW_SECONDS = 0.3
_ATTEMPTS: dict[Kind, int] = {"qv": 8, "cctv": 3}
_CLOCKS = {
    "any": (-np.pi, np.pi),
    "upper": (-1.7, 1.7),
    "sides": (0.6, 2.2),
    "crown": (-0.5, 0.5),
    "invert": (np.pi - 0.3, np.pi + 0.3),
}


@dataclass(frozen=True)
class Placed:
    """A defect, where it is placed, and when it is visible.

    Attributes:
        code: class of the defect.
        s: position along the pipe, radii.
        clock: clock angle, radians, 0 at the crown, clockwise.
        severity: 0 to 1.
        brief: whether it is meant to be visible only briefly.
        seen: when and where it is visible.
    """

    code: str
    s: float
    clock: float
    severity: float
    brief: bool
    seen: Seen


@dataclass(frozen=True)
class Composed:
    """A scene and its ground truth."""

    scene: Scene
    caster: Caster
    placed: tuple[Placed, ...]


def compose(plan: VideoPlan, seed: int, kind: Kind, fps: float, aspect: float) -> Composed:
    """Compose the scene of one video; the result depends only on the arguments.

    Each part has its own random numbers. If a defect is not visible for long enough, or a defect meant to be brief
    shows in one of the nine uniform frames, the scene is drawn again, and the best of a few attempts is used. A defect
    that is never visible is left out.
    """
    best: Composed | None = None
    best_score = -1.0
    for attempt in range(_ATTEMPTS[kind]):
        made = _attempt(plan, seed, kind, fps=fps, aspect=aspect, attempt=attempt)
        score = sum(_worth(item) for item in made.placed)
        if score > best_score:
            best, best_score = made, score
        if score >= len(plan.labels):
            break
    assert best is not None
    seen = Counter(item.code for item in best.placed if item.seen.seconds >= SHORTEST_VIEW_SECONDS)
    if seen.total() < len(plan.labels):
        labels = tuple(code for code in dict.fromkeys(plan.labels) for _ in range(seen[code]))
        return compose(replace(plan, labels=labels), seed, kind, fps, aspect)
    return best


def _worth(item: Placed) -> float:
    if item.seen.seconds < SHORTEST_VIEW_SECONDS:
        return 0.0
    return 1.0 if not item.brief or item.seen.missed else 0.5


def _attempt(plan: VideoPlan, seed: int, kind: Kind, *, fps: float, aspect: float, attempt: int) -> Composed:
    look = draw_look(np.random.default_rng((seed, 1, plan.site)))
    rng = np.random.default_rng((seed, 2, plan.site, plan.number, attempt))
    distance = travel(kind, plan.duration_seconds, rng)
    pipe = bare_pipe(rng, look, distance + SIGHT_AHEAD + QV_START[1])
    taken: list[tuple[float, float]] = []
    aims: list[Aim] = []
    spots: list[tuple[str, Spot]] = []
    met: Counter[str] = Counter()
    for number, code in enumerate(_in_order(plan.labels), start=1):
        again = (met[code],) if met[code] else ()
        met[code] += 1
        own = np.random.default_rng((seed, 3, plan.site, plan.number, attempt, *code.encode(), *again))
        brief = code == plan.brief
        s, clock, room = _place(DEFECTS[code], pipe, own, distance=distance, kind=kind, brief=brief, taken=taken)
        if again and room < 0:
            continue  # there is no room for a second one
        spot = Spot(pipe, look, own, s, clock, float(own.beta(1.3, 1.4)), number)
        spots.append((code, spot))
        aims.append(Aim(s, clock, max(0.45, min(1.2, DEFECTS[code].extent)), brief and kind == "qv"))
    _innocents(pipe, look, rng, distance=distance, kind=kind, taken=taken, aims=aims)
    for code, spot in spots:
        DEFECTS[code].draw(spot)
    camera = (
        qv_camera(rng, plan.duration_seconds, aims, look.bend)
        if kind == "qv"
        else replace(cctv_camera(rng, plan.duration_seconds, distance, aims, look.bend), lane=_lane(pipe))
    )
    scene = Scene(pipe, camera, look, float(rng.random()), plan.name.split("_")[0])
    caster = Caster(pipe)
    seen = look_for(Eye(scene, aspect, ROWS, caster), [spot.owner for _, spot in spots], fps)
    placed = (
        Placed(code, spot.s, spot.clock, spot.severity, code == plan.brief, found)
        for (code, spot), found in zip(spots, seen, strict=True)
    )
    return Composed(scene, caster, tuple(placed))


def _lane(pipe: Pipe) -> NDArray[np.float64]:
    """Return the middle of the free section by s, (columns, 2), where a crawler keeps its camera."""
    crown, right, invert, left = (pipe.form[FORM_ROWS * quarter // 4] for quarter in range(4))
    middle = np.stack([right - left, invert - crown], axis=1).astype(np.float64) / 2
    even = np.ones(FORM_PER_RADIUS) / FORM_PER_RADIUS
    padded = np.pad(middle, ((FORM_PER_RADIUS // 2, FORM_PER_RADIUS // 2 - 1), (0, 0)), mode="edge")
    return np.stack([np.convolve(padded[:, axis], even, mode="valid") for axis in range(2)], axis=1)


def _in_order(labels: tuple[str, ...]) -> list[str]:
    """Return the labels in drawing order: defects that change the form of the whole section come first."""
    return sorted(labels, key=list(DEFECTS).index)


def _innocents(
    pipe: Pipe,
    look: Look,
    rng: np.random.Generator,
    *,
    distance: float,
    kind: Kind,
    taken: list[tuple[float, float]],
    aims: list[Aim],
) -> None:
    """Draw look-alikes, and choose places without any object.

    The camera looks or glances at them too.
    """
    for rule in LOOKALIKES:
        count = rng.poisson(0.10 if kind == "qv" else 0.02 * distance)
        for _ in range(int(count)):
            s, clock, _ = _place(rule, pipe, rng, distance=distance, kind=kind, brief=False, taken=taken)
            rule.draw(Spot(pipe, look, rng, s, clock, float(rng.random()), 0))
            aims.append(Aim(s, clock, max(0.45, min(1.2, rule.extent))))
    while len(aims) < 2:
        aims.append(Aim(float(rng.uniform(*QV_REACH)), float(rng.uniform(-np.pi, np.pi)), 0.8))
    if kind == "qv" and rng.random() < 0.3:
        aims.append(Aim(0.9, float(rng.uniform(-np.pi, np.pi)), 0.6, glance=True))


def _place(
    rule: Rule,
    pipe: Pipe,
    rng: np.random.Generator,
    *,
    distance: float,
    kind: Kind,
    brief: bool,
    taken: list[tuple[float, float]],
) -> tuple[float, float, float]:
    """Choose and reserve a place by the rule, away from other objects if there is room.

    Returns:
        s, clock, and the distance to the nearest object, negative where it overlaps one.
    """
    if kind == "qv":
        low, high = QV_REACH
    else:
        low, high = 2.0, max(3.0, distance + 1.0)
    best, best_room = (low, 0.0), -np.inf
    for _ in range(24):
        s = float(rng.uniform(low, high))
        if rule.at_joint and len(pipe.joints):
            near = pipe.joints[(pipe.joints > low) & (pipe.joints < high)]
            s = float(rng.choice(near if len(near) else pipe.joints[:1]))
        if brief and kind == "qv":
            s = QV_START[1] + float(rng.uniform(0.1, 0.5))
        clock = float(rng.uniform(*_CLOCKS[rule.clock]))
        if rule.clock == "sides" and rng.random() < 0.5:
            clock = -clock
        room = min((abs(s - other) - half - rule.extent for other, half in taken), default=1.0)
        if room > best_room:
            best, best_room = (s, clock % (2 * np.pi)), room
        if room > 0:
            break
    taken.append((best[0], rule.extent))
    return *best, best_room
