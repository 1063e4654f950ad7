"""What is said to be in a scene is in its pixels, and what is drawn does not depend on who draws it."""

from dataclasses import replace

import numpy as np
import pytest

from urbanpipe.simulate.defects import DRAW
from urbanpipe.simulate.plan import VideoPlan
from urbanpipe.simulate.render import Renderer, frame_count
from urbanpipe.simulate.scene import Look, Scene
from urbanpipe.simulate.truth import FAR_VIEW, NEAR_VIEW, build_scene

SIZE = (160, 120)


def plan_of(*labels: str, number: int = 1, site: int = 5) -> VideoPlan:
    return VideoPlan("k1_1.mp4", site, number, labels, duration_seconds=6.0)


def quiet(scene: Scene) -> Scene:
    look: Look = replace(scene.look, noise=0.0)
    scene.look = look
    return scene


def changed(one: Scene, other: Scene, seconds: float) -> float:
    """Share of pixels that differ clearly."""
    frames = [Renderer(quiet(scene), SIZE).frame(seconds).astype(int) for scene in (one, other)]
    return float((np.abs(frames[0] - frames[1]).max(axis=2) > 15).mean())


@pytest.mark.parametrize("code", sorted(DRAW))
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_defect_in_view_changes_pixels_at_its_moment(code: str, number: int) -> None:
    scene, (placed,) = build_scene(plan_of(code, number=number), seed=3)
    bare, nothing = build_scene(plan_of(number=number), seed=3)
    assert nothing == []
    assert placed.in_view[0] <= placed.moment <= placed.in_view[1]
    assert placed.in_view[1] - placed.in_view[0] >= 0.9
    assert changed(scene, bare, placed.moment) > 0.005


@pytest.mark.parametrize("code", sorted(DRAW.keys() - {"CJ", "FZ", "JG", "PL"}))
def test_a_defect_already_passed_changes_nothing(code: str) -> None:
    scene, (placed,) = build_scene(plan_of(code), seed=3)
    bare, _ = build_scene(plan_of(), seed=3)
    camera = replace(scene.camera, travel=placed.s + 3, phases=(0.0,) * 6)
    scene.camera = bare.camera = camera
    assert camera.distance(camera.duration_seconds) > placed.s + 2
    assert changed(scene, bare, camera.duration_seconds) == 0


def test_labels_change_neither_camera_nor_pipe() -> None:
    scene, _ = build_scene(plan_of("ZW"), seed=3)
    bare, _ = build_scene(plan_of(), seed=3)
    assert scene.camera == bare.camera
    assert scene.look == bare.look
    assert np.array_equal(scene.wall, bare.wall)


def test_defects_of_one_video_do_not_change_each_other() -> None:
    alone, (placed,) = build_scene(plan_of("CK"), seed=3)
    both, (again, _) = build_scene(plan_of("CK", "PL"), seed=3)
    assert placed == again
    assert np.array_equal(alone.cards[0].rgba, both.cards[0].rgba)


def test_an_obstacle_lies_on_the_deposit_and_is_not_buried() -> None:
    for number in range(1, 9):
        plan = plan_of("CJ", "ZW", number=number)
        scene, placed = build_scene(plan, seed=3)
        bare, _ = build_scene(replace(plan, labels=("CJ",)), seed=3)
        assert changed(scene, bare, placed[1].moment) > 0.003


def test_videos_of_a_site_share_their_look_and_sites_differ() -> None:
    looks = [build_scene(plan_of(site=site, number=number), 0)[0].look for site, number in ((1, 1), (1, 2), (2, 1))]
    assert looks[0] == looks[1]
    assert looks[0] != looks[2]


def test_the_camera_only_drives_forward() -> None:
    for number in range(1, 20):
        camera = build_scene(plan_of(number=number), 0)[0].camera
        way = [camera.distance(time) for time in np.linspace(0, camera.duration_seconds, 50)]
        assert way[0] == 0
        assert np.all(np.diff(way) > 0)
        assert way[-1] == pytest.approx(camera.travel)


def test_a_ring_on_the_wall_projects_where_geometry_says() -> None:
    scene, _ = build_scene(plan_of(), seed=0)
    scene.floors.clear()
    scene.look = replace(scene.look, noise=0.0, reach=1e6)
    scene.camera = replace(scene.camera, offset=(0.0, 0.0), focal=1.0, zoom=0.0, sway=0.0)
    scene.wall[:] = 0.1
    scene.wall[:, 155:165] = 0.9  # two radii ahead: at half the half height from the centre
    frame = Renderer(scene, (200, 200)).frame(0.0)
    bright = np.flatnonzero(frame[100, 100:, 0] > 128)
    assert np.abs(bright.mean() - 50) < 1.5


def test_a_larger_size_shows_the_same_scene() -> None:
    scene, (placed,) = build_scene(plan_of("JG"), seed=3)
    small = Renderer(quiet(scene), SIZE).frame(placed.moment).astype(float)
    large = Renderer(scene, (320, 240)).frame(placed.moment).astype(float)
    shrunk = large.reshape(120, 2, 160, 2, 3).mean(axis=(1, 3))
    assert np.corrcoef(small.ravel(), shrunk.ravel())[0, 1] > 0.97


def test_frames_are_rgb_bytes_of_the_size_asked_for() -> None:
    scene, _ = build_scene(plan_of("SG"), seed=1)
    frames = list(Renderer(scene, SIZE).frames(fps=5))
    assert len(frames) == frame_count(6.0, 5) == 30
    assert all(frame.shape == (120, 160, 3) and frame.dtype == np.uint8 for frame in frames)


def test_the_view_is_a_range_ahead_of_the_camera() -> None:
    scene, (placed,) = build_scene(plan_of("AJ"), seed=3)
    for time in placed.in_view:
        assert NEAR_VIEW - 0.1 < placed.s - scene.camera.distance(time) < FAR_VIEW + 0.1
