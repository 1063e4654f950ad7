"""Scenes with what is known of them: which defects, and when each is in view."""

from dataclasses import dataclass

import numpy as np

from urbanpipe.simulate.defects import AT_JOINTS, DRAW
from urbanpipe.simulate.plan import VideoPlan
from urbanpipe.simulate.scene import Camera, Scene, bare_scene, draw_camera, draw_look

NEAR_VIEW, FAR_VIEW = 1.2, 3.4
"""A defect counts as in view while it is this far ahead of the camera, in radii."""
BEST_VIEW = 1.6
SHORTEST_VIEW_SECONDS = 1.0
ROOM = 2.0
_TRIES = 40


@dataclass(frozen=True)
class Placed:
    """A defect at its place.

    Attributes:
        code: its class.
        s: where along the pipe, radii.
        in_view: first and last second in which it is in view.
        moment: the second of its best view.
    """

    code: str
    s: float
    in_view: tuple[float, float]
    moment: float


def build_scene(plan: VideoPlan, seed: int) -> tuple[Scene, list[Placed]]:
    """The scene of one video, the same wherever and whenever it is built; each part has random numbers of its own.

    Without its labels a plan gives the same pipe and camera without the defects.
    """
    look = draw_look(np.random.default_rng((seed, 1, plan.site)))
    rng = np.random.default_rng((seed, 2, plan.site, plan.number))
    camera = draw_camera(rng, plan.duration_seconds)
    scene = bare_scene(rng, look, camera)
    placed: list[Placed] = []
    for code in plan.labels:
        own = np.random.default_rng((seed, 3, plan.site, plan.number, *code.encode()))
        found = _place(code, scene, own, taken=[other.s for other in placed])
        DRAW[code](scene, own, found.s)
        placed.append(found)
    return scene, placed


def _place(code: str, scene: Scene, rng: np.random.Generator, taken: list[float]) -> Placed:
    """A place that comes into view for long enough, away from other defects if there is room."""
    camera = scene.camera
    best: tuple[float, Placed] | None = None
    for _ in range(_TRIES):
        s = float(rng.uniform(NEAR_VIEW + 0.2, camera.travel + FAR_VIEW - 0.4))
        if code in AT_JOINTS:
            s = float(rng.choice(scene.joints))
        shown = _view(code, camera, s)
        if shown is None:
            continue
        wanted = min(SHORTEST_VIEW_SECONDS, 0.5 * camera.duration_seconds)
        seconds = shown.in_view[1] - shown.in_view[0]
        room = min((abs(s - other) for other in taken), default=9.0)
        score = min(room, ROOM) / ROOM + 2 * min(seconds / wanted, 1)
        if best is None or score > best[0]:
            best = score, shown
    return best[1] if best else _in_the_middle(code, camera)


def _view(code: str, camera: Camera, s: float) -> Placed | None:
    times = np.linspace(0, camera.duration_seconds, 200)
    away = s - np.array([camera.distance(float(time)) for time in times])
    seen = np.flatnonzero((away > NEAR_VIEW) & (away < FAR_VIEW))
    if len(seen) == 0:
        return None
    moment = times[seen[np.argmin(np.abs(away[seen] - BEST_VIEW))]]
    return Placed(code, s, (float(times[seen[0]]), float(times[seen[-1]])), float(moment))


def _in_the_middle(code: str, camera: Camera) -> Placed:
    placed = _view(code, camera, camera.distance(camera.duration_seconds / 2) + 0.5 * (NEAR_VIEW + FAR_VIEW))
    assert placed is not None
    return placed
