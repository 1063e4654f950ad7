"""What the truth says is in view is visible in the pixels, and what it says is out of view is not."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from urbanpipe.simulate import compose as composing
from urbanpipe.simulate.compose import Composed, compose
from urbanpipe.simulate.defects.registry import DEFECTS
from urbanpipe.simulate.defects.spot import Rule, Spot
from urbanpipe.simulate.pipe import RAFT_PER_RADIUS, Raft
from urbanpipe.simulate.plan import VideoPlan
from urbanpipe.simulate.render import Renderer
from urbanpipe.simulate.truth import VISIBLE_SHARE, Seen

SIZE = (160, 120)
FPS = 8.0
DEFECT_THAT_FLOATS = DEFECTS["FZ"]


def plan(labels: tuple[str, ...], number: int = 1, seconds: float = 6.0, brief: str | None = None) -> VideoPlan:
    return VideoPlan(f"k10001_{number}.mp4", 0, number, labels, seconds, brief)


def quiet(made: Composed) -> Renderer:
    """Pictures without sensor noise and text, so that only what is there makes a difference."""
    look = replace(made.scene.look, noise=0.0, text=0, drops=0)
    return Renderer(replace(made.scene, look=look), SIZE, caster=made.caster)


def pair(
    code: str, number: int, monkeypatch: pytest.MonkeyPatch, severity: float | None = None
) -> tuple[Composed, Composed]:
    """A scene with the defect, and the same scene without it."""
    rule = DEFECTS[code]
    with monkeypatch.context() as patch:
        if severity is not None:
            patch.setitem(DEFECTS, code, replace(rule, draw=lambda spot: rule.draw(replace(spot, severity=severity))))
        made = compose(plan((code,), number), 5, "qv", FPS, 4 / 3)
        patch.setitem(DEFECTS, code, replace(rule, draw=lambda spot: without_rafts(rule, spot)))
        attempts = (
            composing._attempt(plan((code,), number), 5, "qv", fps=FPS, aspect=4 / 3, attempt=attempt)
            for attempt in range(8)
        )
        return made, next(without for without in attempts if same_camera(without, made))


def without_rafts(rule: Rule, spot: Spot) -> None:
    """Nothing; where the defect floats, the water that it floats on."""
    if rule is DEFECT_THAT_FLOATS:
        rule.draw(spot)
        spot.pipe.rafts.clear()


def same_camera(one: Composed, other: Composed) -> bool:
    a, b = one.scene.camera, other.scene.camera
    return a.keys.shape == b.keys.shape and bool(np.allclose(a.keys, b.keys))


def difference(one: Renderer, other: Renderer, seconds: float) -> NDArray[np.float64]:
    """Mean absolute difference of two pictures, (height, width), in steps of 255."""
    changed: NDArray[np.float64] = np.abs(one.frame(seconds).astype(float) - other.frame(seconds)).mean(-1)
    return changed


@pytest.mark.slow
@pytest.mark.parametrize("code", list(DEFECTS))
def test_a_defect_in_view_changes_pixels_in_its_box(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside the box more than outside, at the moment of its best view."""
    made, without = pair(code, 2, monkeypatch)
    seen = made.placed[0].seen
    place = int(np.argmin(np.abs(seen.times - seen.moment)))
    box = seen.boxes[place]
    assert box is not None
    assert seen.cover[place] >= VISIBLE_SHARE
    changed = difference(quiet(made), quiet(without), float(seen.times[place]))
    inside = np.zeros(changed.shape, bool)
    left, top, right, bottom = (round(side * size) for side, size in zip(box, SIZE * 2, strict=True))
    inside[max(0, top - 1) : bottom + 1, max(0, left - 1) : right + 1] = True
    assert changed[inside].mean() > 1.0
    if not inside.all():
        # A sag bends all that is seen beyond it.
        assert changed[inside].mean() > (1.3 if code == "QF" else 2) * changed[~inside].mean()


@pytest.mark.slow
@pytest.mark.parametrize("code", ["PL", "AJ", "JG", "CR", "SG"])
def test_a_defect_out_of_view_changes_nothing(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1, 12):
        made, without = pair(code, number, monkeypatch)
        seen = made.placed[0].seen
        if (hidden := np.flatnonzero(seen.cover == 0)).size:
            changed = difference(quiet(made), quiet(without), float(seen.times[hidden[len(hidden) // 2]]))
            assert changed.mean() < 1.0
            return
    pytest.fail("it was in view all the time in eleven videos")


@pytest.mark.slow
def test_the_weakest_leak_shows_in_motion_and_hardly_in_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """From frame to frame its place changes more than a dry pipe's does; in one frame less than the wall's texture."""
    motion, dry_motion, still, texture = [], [], [], []
    for number in range(1, 9):
        made, without = pair("SL", number, monkeypatch, severity=0.05)
        hold = np.array([0.0, made.scene.camera.duration_seconds])
        seconds = made.placed[0].seen.moment
        pose = made.scene.camera.pose(seconds)
        key = [pose.x, pose.y, pose.s, pose.yaw, pose.pitch, np.log(pose.focal)]
        camera = replace(made.scene.camera, times=hold, keys=np.array([key, key]), shake=0.0)
        for item in (made, without):
            item.scene.camera = camera
        leaking, dry = quiet(made), quiet(without)
        place = leaking.eye.view(seconds).hits.owner > 0
        window = cv2.resize(place.astype(np.uint8), SIZE, interpolation=cv2.INTER_NEAREST) > 0
        if window.sum() < 20:
            continue
        times = seconds + 0.125 * np.arange(8)
        wet, bare = (np.stack([one.frame(time).mean(-1) for time in times]) for one in (leaking, dry))
        motion.append(np.abs(np.diff(wet, axis=0))[:, window].max())
        dry_motion.append(np.abs(np.diff(bare, axis=0))[:, window].max())
        still.append(np.abs(wet[0] - bare[0])[window].mean())
        texture.append(bare[0][window].std())
    assert len(motion) >= 5
    assert np.median(motion) > 5 * np.median(dry_motion)
    assert np.median(still) < np.median(texture)


@pytest.mark.slow
def test_a_brief_defect_is_in_none_of_the_nine_uniform_frames() -> None:
    found = [compose(plan(("PL",), number, brief="PL"), 5, "qv", FPS, 4 / 3).placed[0] for number in range(1, 9)]
    assert all(item.brief for item in found)
    assert sum(item.seen.missed for item in found) >= 6
    assert all(item.seen.seconds > 0.25 for item in found)
    shown = [item.seen.visible.mean() for item in found if item.seen.missed]
    assert max(shown) < 0.35


def test_intervals_and_moment() -> None:
    cover = np.array([0, 0.1, 0.2, 0, 0.3, 0, 0, 0.1, 0.0])
    seen = Seen(np.arange(9) / 4, cover, np.ones(9), tuple(None for _ in cover), missed=False)
    assert seen.intervals() == [(0.25, 1.0), (1.75, 1.75)]
    assert seen.moment == 1.0  # the largest, not the gap between two views
    assert seen.seconds == pytest.approx(4 / 9 * 2.25)


def test_an_edge_of_a_defect_is_not_in_view_however_large_it_looks() -> None:
    """The crawler passes a joint: it grows, and at last only an edge of it is left, right before the lens."""
    cover = np.array([0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.3])
    surface = np.array([1.0, 0.8, 0.8, 0.6, 0.21, 0.19, 0.05])
    seen = Seen(np.arange(7) / 4, cover, surface, tuple(None for _ in cover), missed=False)
    assert seen.visible.tolist() == [False, True, True, True, True, True, True]
    assert seen.intervals() == [(0.25, 1.0)]  # the first is too small, and .19 is under a quarter of the best .8
    assert seen.moment == 1.0


@pytest.mark.slow
def test_a_joint_that_a_crawler_passes_goes_out_of_view_before_its_last_pixel() -> None:
    (joint,) = compose(VideoPlan("k10001_1.mp4", 0, 1, ("CK",), 20.0), 5, "cctv", 4.0, 4 / 3).placed
    seen = joint.seen
    last = float(seen.times[np.flatnonzero(seen.visible)[-1]])
    assert seen.intervals()[-1][1] < last < seen.times[-1]
    passing = seen.surface[(seen.times > seen.intervals()[-1][1]) & (seen.times <= last)]
    assert passing.max() < 0.25
    assert seen.surface.max() > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("code", list(DEFECTS))
def test_every_defect_shows_some_of_its_surface(code: str) -> None:
    seen = compose(plan((code,)), 5, "qv", FPS, 4 / 3).placed[0].seen
    assert seen.surface.max() > 0.1
    assert seen.intervals()


def test_a_raft_is_claimed_where_it_is_at_the_time() -> None:
    """Its tile drifts: what is claimed moves with it, and the water between does not belong to it."""
    tile = np.zeros((2 * RAFT_PER_RADIUS, 2 * RAFT_PER_RADIUS, 4), np.float32)
    tile[:, :RAFT_PER_RADIUS, 3] = 1
    raft = Raft(2.0, 6.0, tile, drift=0.5, owner=1)
    x, s = np.zeros(3, np.float32), np.array([3.5, 4.5, 7.0], np.float32)
    assert raft.cover(x, s, 0.0).tolist() == [0, 1, 0]
    assert raft.cover(x, s, 2.0).tolist() == [1, 0, 0]


@pytest.mark.slow
def test_a_crawler_meets_a_class_more_than_once_and_each_defect_has_its_own_truth() -> None:
    drive = VideoPlan("k10001_1.mp4", 0, 1, ("PL", "PL", "JG"), 60.0)
    placed = compose(drive, 5, "cctv", 4.0, 4 / 3).placed
    assert sorted(item.code for item in placed) == ["JG", "PL", "PL"]
    one, other = (item for item in placed if item.code == "PL")
    assert abs(one.s - other.s) > 1
    assert abs(one.seen.moment - other.seen.moment) > 1
