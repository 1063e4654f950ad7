"""A point of the pipe is seen where it must be, and a ray meets what is there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from urbanpipe.simulate.camera import Camera, Pose
from urbanpipe.simulate.cast import SIGHT, Caster
from urbanpipe.simulate.eye import Eye, Scene, picture_grid
from urbanpipe.simulate.pipe import (
    FORM_PER_RADIUS,
    FORM_ROWS,
    TEXEL_ROWS,
    TEXELS_PER_RADIUS,
    Pipe,
    Water,
    box_section,
    clocks,
    egg_section,
    round_section,
    shifted,
)
from urbanpipe.simulate.scene import draw_look
from urbanpipe.simulate.surface import FloatMap, fractal, value_noise


def pipe(section: FloatMap | None = None, length: int = 20) -> Pipe:
    section = round_section() if section is None else section
    form = np.repeat(section[:, None], length * FORM_PER_RADIUS, axis=1)
    colour = np.full((TEXEL_ROWS, length * TEXELS_PER_RADIUS, 3), 0.5, np.float32)
    return Pipe(section, form, colour, np.arange(2.0, length, 2.0))


@pytest.mark.parametrize(
    ("pose", "point", "place"),
    [
        (Pose(0, 0, 0, 0, 0, 1.0), (0.5, 0.0, 2.0), (0.25, 0.0)),
        (Pose(0, 0, 0, 0, 0, 2.0), (0.0, -1.0, 4.0), (0.0, -0.5)),
        (Pose(0.5, 0.2, 1.0, 0, 0, 1.0), (0.5, 1.2, 3.0), (0.0, 0.5)),
        (Pose(0, 0, 0, np.pi / 4, 0, 1.0), (2.0, 0.0, 2.0), (0.0, 0.0)),
        (Pose(0, 0, 0, 0, np.pi / 4, 1.0), (0.0, 3.0, 3.0), (0.0, 0.0)),
        (Pose(0, 0, 0, np.pi / 4, 0, 1.0), (0.0, 0.0, 3.0), (-1.0, 0.0)),
        (Pose(0, 0, 0, 0, 0, 1.0, bend=0.1), (0.5 + 0.1 * 0.5**3, 0.0, 1.0), (0.5, 0.0)),
    ],
)
def test_a_known_point_projects_where_it_must(pose: Pose, point: tuple[float, ...], place: tuple[float, ...]) -> None:
    places, depth = pose.project([point])
    assert depth[0] > 0
    np.testing.assert_allclose(places[0], place, atol=1e-9)


@given(
    yaw=st.floats(-1.4, 1.4),
    pitch=st.floats(-1.2, 1.2),
    focal=st.floats(0.8, 4.0),
    bend=st.floats(0, 0.1),
    x=st.floats(-1.4, 1.4),
    y=st.floats(-1, 1),
)
def test_a_ray_goes_through_the_point_it_was_asked_for(
    yaw: float, pitch: float, focal: float, bend: float, x: float, y: float
) -> None:
    pose = Pose(0.1, -0.2, 0.7, yaw, pitch, focal, bend)
    ray = pose.rays(x, y)
    assert np.linalg.norm(ray) == pytest.approx(1, abs=1e-5)
    places, _ = pose.project([np.array([0.1, -0.2, 0.7]) + 2.5 * ray])
    np.testing.assert_allclose(places[0], (x, y), atol=2e-3)


@settings(max_examples=30)
@given(x=st.floats(-0.5, 0.5), y=st.floats(-0.5, 0.5), yaw=st.floats(-1.5, 1.5), focal=st.floats(0.9, 3))
def test_rays_end_on_a_round_wall_where_geometry_says(x: float, y: float, yaw: float, focal: float) -> None:
    pose = Pose(x, y, 1.0, yaw, 0.1, focal)
    rays = pose.rays(*picture_grid(4 / 3, 24))
    hits = Caster(pipe()).cast(pose, rays)
    dx, dy = rays[..., 0].astype(float), rays[..., 1].astype(float)
    a, b, c = dx**2 + dy**2, x * dx + y * dy, x**2 + y**2 - 1
    exact = (-b + np.sqrt(b**2 - a * c)) / np.maximum(a, 1e-12)
    near = exact < 8
    np.testing.assert_allclose(hits.distance[near], exact[near], rtol=2e-3)
    assert (hits.distance <= SIGHT).all()


def test_rays_end_on_the_walls_of_a_box() -> None:
    pose = Pose(0, 0, 2.0, 0.4, 0, 1.0)
    hits = Caster(pipe(box_section(1.0, 0.7))).cast(pose, pose.rays(*picture_grid(4 / 3, 24)))
    near = hits.distance < 6
    flat = np.minimum(np.abs(np.abs(hits.x) - 1.0), np.abs(np.abs(hits.y) - 0.7))[near]
    assert np.median(flat) < 0.025
    assert np.abs(hits.x).max() < 1.04
    assert np.abs(hits.y[near]).max() < 0.74


def test_a_thing_that_stands_in_the_way_is_met_first() -> None:
    made = pipe()
    bump = made.of_form(4.0, np.pi, 0.3, 0.4)
    bump.put(np.full(bump.shape, 0.5))
    made.claim(bump, np.ones(bump.shape), owner=3)
    pose = Pose(0, 0, 1.0, 0, 0, 1.0)
    hits = Caster(made).cast(pose, pose.rays(*picture_grid(1.0, 60)))
    met = hits.owner == 3
    assert 0.005 < met.mean() < 0.2
    assert (hits.y[met] > 0.35).all()
    assert hits.s[met].min() > 3.65
    assert hits.s[met].max() < 4.35
    assert np.hypot(hits.x, hits.y)[met].min() > 0.45
    assert np.hypot(hits.x, hits.y)[met].max() < 1.03


def test_water_is_level_and_hides_what_is_below() -> None:
    made = pipe()
    made.water = Water(0.8, (0.2, 0.2, 0.2), 0.1, 0.2, 0.05)
    made.pools.append((3.0, 5.0, 7))
    pose = Pose(0, 0, 1.0, 0, 0, 1.0)
    rays = pose.rays(*picture_grid(1.0, 60))
    hits = Caster(made).cast(pose, rays)
    wet = np.isfinite(hits.water)
    assert wet.any()
    assert (hits.water[wet] < hits.distance[wet]).all()
    np.testing.assert_allclose((hits.water * rays[..., 1])[wet], 0.8, atol=1e-4)
    s = 1.0 + (np.where(wet, hits.water, 0) * rays[..., 2])[hits.owner == 7]
    assert len(s)
    assert s.min() > 3
    assert s.max() < 5


@given(dx=st.floats(-0.4, 0.4), dy=st.floats(-0.4, 0.4))
def test_a_shifted_section_is_the_same_section_elsewhere(dx: float, dy: float) -> None:
    moved = shifted(round_section(), dx, dy)[:, 0]
    x, y = moved * np.sin(clocks()) - dx, -moved * np.cos(clocks()) - dy
    np.testing.assert_allclose(np.hypot(x, y), 1, atol=0.01)


def test_sections_are_closed_and_hold_a_camera() -> None:
    for section in (round_section(), egg_section(), box_section(1.0, 0.85)):
        assert section.shape == (FORM_ROWS,)
        assert section.min() > 0.6
        assert section.max() < 1.6
        assert np.abs(np.diff(section, append=section[:1])).max() < 0.03


def test_a_window_closes_around_the_pipe() -> None:
    made = pipe()
    window = made.of_form(3.0, 0.0, 0.5, 0.3)
    assert window.around.min() < -0.25
    assert window.around.max() > 0.25
    window.put(window.values - np.float32(0.2))
    assert made.form[0, 3 * FORM_PER_RADIUS] == pytest.approx(0.8)
    assert made.form[-1, 3 * FORM_PER_RADIUS] == pytest.approx(0.8)
    assert made.form[FORM_ROWS // 2, 3 * FORM_PER_RADIUS] == 1
    assert made.of_form(3.0, 1.0, 0.5).shape[0] == FORM_ROWS
    assert min(made.of_form(40.0, 0.0, 0.5).shape) == 0


def test_hidden_points_are_not_seen() -> None:
    made = pipe()
    wall = made.of_form(4.0, np.pi / 2, 0.2)
    wall.put(np.full(wall.shape, 0.2))
    camera = Camera(1.0, np.array([0.0, 1.0]), np.array([[0, 0, 1.0, 0, 0, 0]] * 2), 0.0, (0, 0, 0, 0), 0.0)
    eye = Eye(Scene(made, camera, draw_look(np.random.default_rng(0))), 1.0, 48)
    points = np.array([[0.5, 0, 3.0], [0.5, 0, 6.0], [0.05, 0, 6.0], [0, 0, 0.5]], np.float32)
    _, _, seen = eye.seen(eye.view(0.0), points)
    assert seen.tolist() == [True, False, True, False]


@pytest.mark.parametrize("pitch", [3.0, (40.0, 7.0)])
def test_noise_is_smooth_closed_and_of_its_shape(pitch: float | tuple[float, float]) -> None:
    noise = value_noise(np.random.default_rng(0), (120, 75), pitch)
    assert noise.shape == (120, 75)
    assert noise.dtype == np.float32
    assert -0.2 < noise.min() < 0.3
    assert 0.7 < noise.max() < 1.2
    inside = np.abs(np.diff(noise, axis=0)).max()
    assert np.abs(noise[0] - noise[-1]).max() < 1.5 * inside
    assert fractal(np.random.default_rng(0), (120, 75), pitch).mean() == pytest.approx(0.5, abs=0.1)
