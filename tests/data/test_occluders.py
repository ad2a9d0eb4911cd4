"""Occluders lie where they should, their alpha is exact, and the same generator draws the same."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from stylswap.data.occluders import KINDS, Occluded, draw_occluder, skin_colour
from stylswap.data.occluders.drawing import FaceFrame, Limb, Sketch, relief
from stylswap.errors import SettingsError, ShapeError
from stylswap.faces.align import reference_shape
from stylswap.faces.segment import LandmarkSegmenter

SIDE = 96
LANDMARKS = torch.from_numpy(reference_shape(SIDE)).float()
SKIN = torch.tensor([0.7, 0.5, 0.4])


def drawn(kind: str, seed: int = 0, image: Tensor | None = None, landmarks: Tensor = LANDMARKS, skin: Tensor = SKIN) -> Occluded:
    image = torch.full((3, SIDE, SIDE), 0.5) if image is None else image
    return draw_occluder(kind, image, landmarks, torch.Generator().manual_seed(seed), skin=skin)


@pytest.mark.parametrize("kind", KINDS)
def test_alpha_is_exact(kind: str) -> None:
    """On white and on black the same thing is drawn: what differs is the picture behind it, and a shadow of at most 0.4 on that."""
    for seed in range(3):
        white, black = (drawn(kind, seed, torch.full((3, SIDE, SIDE), value)) for value in (1.0, 0.0))
        assert torch.equal(white.alpha, black.alpha)
        assert white.alpha.shape == (1, SIDE, SIDE)
        assert white.image.dtype == white.alpha.dtype == torch.float32
        assert 0 <= float(white.image.min()) <= float(white.image.max()) <= 1
        assert 0 <= float(white.alpha.min()) <= float(white.alpha.max()) <= 1
        behind = white.image - black.image
        through = 1 - white.alpha
        assert (behind <= through + 1e-5).all()
        assert (behind >= 0.6 * through - 1e-5).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_generator_decides(kind: str) -> None:
    first, again, other = drawn(kind), drawn(kind), drawn(kind, 1)
    assert torch.equal(first.image, again.image)
    assert not torch.equal(first.image, other.image)


def test_one_number_is_drawn_whatever_the_kind() -> None:
    states = []
    for kind in KINDS:
        generator = torch.Generator().manual_seed(5)
        draw_occluder(kind, torch.zeros(3, SIDE, SIDE), LANDMARKS, generator)
        states.append(generator.get_state())
    assert all(torch.equal(state, states[0]) for state in states)


@pytest.mark.parametrize("kind", KINDS)
def test_occluders_hide_some_of_the_face(kind: str) -> None:
    face = LandmarkSegmenter().segment(torch.zeros(1, 3, SIDE, SIDE), LANDMARKS[None])[0] > 0.5
    hidden = [float((drawn(kind, seed).alpha[face] > 0.9).float().mean()) for seed in range(6)]
    assert np.mean(hidden) > 0.02
    assert max(hidden) < 0.95


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [("glasses", -0.6, 0.6), ("hair", -3.0, 0.8), ("microphone", 0.1, 9.0), ("hat", -4.0, 0.0), ("mask", -0.3, 2.4)],
)
def test_things_are_where_they_are_worn(kind: str, low: float, high: float) -> None:
    """Heights in the face's frame: eyes at 0, brows about -0.4, nose 0.7, mouth 1.1, chin 1.9."""
    frame = FaceFrame.of(LANDMARKS.double().numpy(), (SIDE, SIDE))
    _, down = frame.grid()
    for seed in range(4):
        at = torch.from_numpy(down)[drawn(kind, seed).alpha[0] > 0.5]
        assert float(at.quantile(0.02)) > low
        assert float(at.quantile(0.98)) < high


@pytest.mark.parametrize("kind", KINDS)
def test_an_occluder_goes_with_the_face(kind: str) -> None:
    large = torch.full((3, SIDE + 20, SIDE + 10), 0.5)
    moved = drawn(kind, 2, large, LANDMARKS + torch.tensor([10.0, 20.0])).alpha[:, 20:, 10:]
    assert float((moved - drawn(kind, 2).alpha).abs().mean()) < 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_the_drawing_does_not_depend_on_the_resolution(kind: str) -> None:
    fine = drawn(kind, 3, torch.full((3, 2 * SIDE, 2 * SIDE), 0.5), torch.from_numpy(reference_shape(2 * SIDE)).float()).alpha
    coarse = torch.nn.functional.avg_pool2d(fine, 2)
    assert float((coarse - drawn(kind, 3).alpha).abs().mean()) < 0.02


def test_a_hand_has_the_colour_that_was_asked_for() -> None:
    green = drawn("hand", 1, skin=torch.tensor([0.2, 0.6, 0.3]))
    red, grown, blue = green.image[:, green.alpha[0] > 0.95].median(dim=1).values.tolist()
    assert grown > 1.5 * blue > 1.5 * red


def test_skin_colour_is_that_of_the_cheeks() -> None:
    image = torch.zeros(3, SIDE, SIDE)
    for points in ([41, 48, 31], [46, 54, 35]):
        x, y = LANDMARKS[points].mean(dim=0).round().long().tolist()
        image[:, y - 8 : y + 9, x - 8 : x + 9] = SKIN[:, None, None]
    assert torch.allclose(skin_colour(image, LANDMARKS), SKIN)
    assert skin_colour(image, LANDMARKS + 1000).shape == (3,), "a face beyond the picture: the nearest pixels"


def test_refusals() -> None:
    image, generator = torch.zeros(3, SIDE, SIDE), torch.Generator()
    with pytest.raises(SettingsError, match="Did you mean 'glasses'"):
        draw_occluder("glases", image, LANDMARKS, generator)
    with pytest.raises(ShapeError, match="landmarks"):
        draw_occluder("hand", image, LANDMARKS[:5], generator)
    with pytest.raises(ShapeError, match="skin"):
        draw_occluder("hand", image, LANDMARKS, generator, skin=torch.zeros(4))


def test_a_face_of_one_point_is_drawn_on() -> None:
    assert drawn("bar", landmarks=torch.full((68, 2), 40.0)).alpha.shape == (1, SIDE, SIDE)


def test_frame() -> None:
    turn = math.radians(30)
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    points = reference_shape(200) @ rotation.T + 7
    frame = FaceFrame.of(points, (40, 50))
    eyes = np.stack([points[36:42].mean(axis=0), points[42:48].mean(axis=0)])
    assert np.allclose(frame.points(eyes)[:, 1], 0, atol=1e-9)
    assert np.allclose(frame.points(eyes).sum(axis=0), 0, atol=1e-9)
    assert np.allclose(frame.pixels(frame.points(points)), points)
    x, y = frame.grid()
    assert np.allclose([x[30, 20], y[30, 20]], frame.points(np.array([20.0, 30.0])), atol=1e-5)
    assert frame.points(points[8])[1] > 1, "the chin is below the eyes"


def upright(unit_px: float = 10.0, side: int = 80) -> FaceFrame:
    return FaceFrame(np.array([40.0, 40.0]), np.eye(2) * unit_px, (side, side))


def test_relief_of_a_ball_and_a_stick() -> None:
    front, cover = relief([Limb((0.0, 0.0), (0.0, 0.0), 2.0, 2.0)], upright(), flatness=1.0)
    assert front[40, 40] == pytest.approx(20)
    assert front[40, 52] == pytest.approx(16)  # 12, 16, 20
    assert cover.sum() == pytest.approx(math.pi * 400, rel=0.01)
    _, cover = relief([Limb((-2.0, 0.0), (2.0, 0.0), 0.5, 0.5)], upright())
    assert cover.sum() == pytest.approx(40 * 10 + math.pi * 25, rel=0.02)
    front, cover = relief([Limb((50.0, 0.0), (60.0, 0.0), 1.0, 1.0)], upright())
    assert front.max() == cover.max() == 0, "beyond the picture"


def test_sketch() -> None:
    sketch = Sketch(upright())
    sketch.polygon([[-2, -1], [2, -1], [2, 1], [-2, 1]], (1.0, 0.5, 0.0))
    sketch.erase([[-1, -0.5], [1, -0.5], [1, 0.5], [-1, 0.5]])
    layer = sketch.layer()
    assert layer.alpha.sum() == pytest.approx(800 - 200, rel=0.03)
    assert layer.alpha[40, 40] == 0
    assert np.allclose(layer.colour[40, 25], [1.0, 0.5, 0.0], atol=0.01)
    assert np.allclose(layer.colour[..., 0], layer.alpha, atol=0.01), "premultiplied"
    half = sketch.text("HH", np.array([0.0, 2.0]), 1.0, 0.0, colour=(1.0, 1.0, 1.0))
    written = sketch.cover()[51:] > 0.5
    rows, columns = np.nonzero(written)
    assert np.ptp(rows) + 1 == pytest.approx(10, abs=1), "a capital is as high as was asked for"
    assert np.ptp(columns) + 1 == pytest.approx(20 * half, abs=4), "with the room beside the letters"
    assert columns.mean() == pytest.approx(40, abs=1)
