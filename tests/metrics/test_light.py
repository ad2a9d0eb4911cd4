"""Lights that are known: fitted on shaded heads and on relit faces, and low-pass luminance by hand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.data.augment import under_lights
from stylswap.data.faceset import FaceSet
from stylswap.data.relief import face_height, normals
from stylswap.data.relight import GAMMA, Lights, angles_between_deg, direction, harmonics
from stylswap.errors import ShapeError, UsageError
from stylswap.faces.align import reference_shape
from stylswap.faces.batch import FaceBatch
from stylswap.faces.segment import LandmarkSegmenter
from stylswap.metrics.light import LIGHT_BINS, light_bin, luminance_correlation, main_light, sh_error, sh_light

FloatArray = npt.NDArray[np.float64]
SIDE = 64
LANDMARKS = torch.from_numpy(reference_shape(SIDE)).float()
MASK = LandmarkSegmenter().segment(torch.zeros(1, 3, SIDE, SIDE), LANDMARKS[None])[0]
KERNEL = torch.tensor([3.141593, *[2.094395] * 3, *[0.785398] * 5])


def lamp_light(azimuth_deg: float, elevation_deg: float, *, even: float = 0.5) -> Tensor:
    """Coefficients of a lamp and even light, (9,), before any scaling."""
    light = harmonics(direction(torch.tensor([azimuth_deg]), torch.tensor([elevation_deg])))[0] * KERNEL
    light[0] += even / 0.282095
    return light


def head_under(light: Tensor) -> Tensor:
    """A head of even skin under a light, encoded, (3, S, S)."""
    surface = harmonics(normals(face_height(LANDMARKS[None], SIDE, SIDE)))[0]
    linear = 0.4 * torch.einsum("k,khw->hw", light, surface).clamp(0.01, 2.4)
    return (linear ** (1 / GAMMA)).expand(3, -1, -1)


def fitted(light: Tensor) -> FloatArray:
    return sh_light(head_under(light), LANDMARKS, MASK)


def relit(faces: FaceBatch, azimuth_deg: float, elevation_deg: float) -> FloatArray:
    count = len(faces)
    towards = direction(torch.full((count,), azimuth_deg), torch.full((count,), elevation_deg))
    images = under_lights(faces, Lights(towards, torch.full((count,), 0.25), torch.ones(count, 3)))
    return sh_light(images, faces.landmarks, faces.masks)


def ball_mean(light: FloatArray) -> float:
    line = (torch.arange(200.0) + 0.5) / 100 - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    depth = 1 - x * x - y * y
    basis = harmonics(torch.stack([x, y, depth.clamp_min(0).sqrt()])[None])[0]
    return float(torch.einsum("k,khw->hw", torch.from_numpy(light).float(), basis)[depth > 0].mean())


@pytest.mark.parametrize("angles", [(0, 0), (0, 40), (35, 0), (-60, 20), (60, -20)])
def test_a_heads_lamp_is_found(angles: tuple[float, float]) -> None:
    found = main_light(fitted(lamp_light(*angles)))
    towards = direction(torch.tensor([found.azimuth_deg]), torch.tensor([found.elevation_deg]))
    truth = direction(torch.tensor([float(angles[0])]), torch.tensor([float(angles[1])]))
    assert angles_between_deg(towards, truth).item() < 16


def test_the_balls_mean_is_one_and_exposure_drops_out() -> None:
    light = lamp_light(30, 20)
    bright, dark = fitted(light), sh_light(head_under(light) * 0.5, LANDMARKS, MASK)
    assert ball_mean(bright) == pytest.approx(1, abs=0.01)
    assert dark == pytest.approx(bright, abs=1e-5)
    assert sh_error(bright, dark) == pytest.approx(0, abs=1e-5)


def test_even_light_has_no_strength() -> None:
    even = fitted(torch.tensor([1.0 / 0.282095, *[0.0] * 8]))
    assert main_light(even).strength < 0.1
    assert light_bin(even) == "even"


def test_the_strength_of_a_lamp_at_the_camera() -> None:
    """A ball of brightness z: over its picture z is on average 2/3 and z² 1/2, so the variation is the root of 1/8."""
    light = np.zeros(9)
    light[2] = 1 / 0.488603 / (2 / 3)
    assert main_light(light) == pytest.approx((0, 0, 0.125**0.5), abs=4)
    assert main_light(light).strength == pytest.approx(0.125**0.5, abs=0.012)
    assert light_bin(light) == "front"


def test_the_error_by_hand() -> None:
    """Along x the light differs by x, whose square is on average 1/4 over a ball's picture."""
    first, second = np.zeros(9), np.zeros(9)
    second[3] = 1 / 0.488603
    assert sh_error(first, second) == pytest.approx(0.5, abs=0.01)
    assert sh_error(second, first) == pytest.approx(0.5, abs=0.01)
    both = sh_error(np.stack([first, second]), np.stack([second, second]))
    assert both == pytest.approx([0.5, 0], abs=0.01)
    with pytest.raises(ShapeError):
        sh_error(first, np.zeros(4))


def test_further_lamps_are_more_different() -> None:
    lights = [fitted(lamp_light(azimuth, 0)) for azimuth in (0, 20, 50, -50)]
    errors = [float(sh_error(lights[0], light)) for light in lights]
    assert errors[0] == 0
    assert 0.1 < errors[1] < errors[2]
    assert errors[2] == pytest.approx(errors[3], rel=0.05)
    assert float(sh_error(lights[2], lights[3])) > 1.5 * errors[2]


def test_a_mirrored_picture_has_mirrored_light() -> None:
    light = fitted(lamp_light(50, 15))
    mirrored = sh_light(head_under(lamp_light(50, 15)).flip(-1), LANDMARKS, MASK.flip(-1))
    # x and all that is odd in x change their sign.
    assert mirrored == pytest.approx(light * np.array([1, 1, 1, -1, -1, 1, 1, -1, 1]), abs=0.03)
    assert light_bin(light) == "left"
    assert light_bin(mirrored) == "right"


@pytest.mark.parametrize(
    ("angles", "name"), [((70, 0), "left"), ((-70, 10), "right"), ((0, 60), "top"), ((0, -55), "below"), ((5, 5), "front")]
)
def test_bins_of_known_lamps(angles: tuple[float, float], name: str) -> None:
    assert light_bin(fitted(lamp_light(*angles, even=0.2))) == name
    assert name in LIGHT_BINS


def test_relit_faces_show_their_lamp(input_set: FaceSet) -> None:
    faces = input_set.faces(range(len(input_set)))
    for azimuth_deg, elevation_deg in ((0.0, 0.0), (0.0, 40.0), (50.0, 0.0), (-50.0, 15.0)):
        found = [main_light(light) for light in relit(faces, azimuth_deg, elevation_deg)]
        towards = direction(torch.tensor([light.azimuth_deg for light in found]), torch.tensor([light.elevation_deg for light in found]))
        truth = direction(torch.tensor([azimuth_deg]), torch.tensor([elevation_deg]))
        assert angles_between_deg(towards, truth).median() < 20


def test_equal_light_on_other_people_is_nearer_than_other_light(input_set: FaceSet) -> None:
    faces = input_set.faces(range(len(input_set)))
    left, right = relit(faces, 50.0, 10.0), relit(faces, -50.0, 10.0)
    equal = [sh_error(side[:-1], side[1:]).mean() for side in (left, right)]
    assert max(equal) < 0.5 * sh_error(left, right).mean()


def test_a_batch_is_its_faces(input_set: FaceSet) -> None:
    faces = input_set.faces([0, 1])
    both = sh_light(faces.images, faces.landmarks, faces.masks)
    assert both.shape == (2, 9)
    assert both.dtype == np.float64
    assert sh_light(faces.images[1], faces.landmarks[1], faces.masks[1]) == pytest.approx(both[1])


def test_without_a_face_there_is_no_light() -> None:
    picture = head_under(lamp_light(0, 0))
    for light in (sh_light(picture, LANDMARKS, torch.zeros_like(MASK)), sh_light(picture * 0, LANDMARKS, MASK)):
        assert np.isnan(light).all()
        for function in (main_light, light_bin):
            with pytest.raises(UsageError, match="could not be fitted"):
                function(light)
    with pytest.raises(ShapeError, match="landmarks"):
        sh_light(picture, LANDMARKS[:5], MASK)


def test_luminance_correlation_by_hand() -> None:
    """Four cells; the left two and the right two of the second picture are changed round."""
    values = torch.tensor([[0.1, 0.4], [0.6, 0.9]])
    full = torch.ones(1, 8, 8)

    def picture(cells: Tensor) -> Tensor:
        return F.interpolate(cells[None, None], size=(8, 8), mode="nearest")[0].expand(3, -1, -1)

    def correlation(first: Tensor, second: Tensor) -> float:
        return luminance_correlation(picture(first), picture(second), full, cells=2)

    assert correlation(values, values) == pytest.approx(1)
    assert correlation(values, 0.2 + 0.5 * values) == pytest.approx(1)
    assert correlation(values, 1 - values) == pytest.approx(-1)
    assert correlation(values, values.flip(1)) == pytest.approx(np.corrcoef([0.1, 0.4, 0.6, 0.9], [0.4, 0.1, 0.9, 0.6])[0, 1])


def test_luminance_weighs_the_colours_and_sees_only_the_mask() -> None:
    picture = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0))
    grey = (picture * torch.tensor([0.2126, 0.7152, 0.0722])[:, None, None]).sum(dim=0).expand(3, -1, -1)
    mask = torch.ones(1, 16, 16)
    assert luminance_correlation(picture, grey, mask) == pytest.approx(1)
    mask[..., 8:] = 0
    spoilt = picture.clone()
    spoilt[..., 8:] = 0
    assert luminance_correlation(picture, spoilt, mask) == pytest.approx(1)
    assert luminance_correlation(picture, spoilt, torch.ones(1, 16, 16)) < 0.9


def test_noise_finer_than_a_cell_hardly_counts(input_set: FaceSet) -> None:
    faces = input_set.faces([0])
    noise = 0.05 * torch.randn(faces.images[0].shape, generator=torch.Generator().manual_seed(0))
    assert luminance_correlation(faces.images[0], faces.images[0] + noise, faces.masks[0]) > 0.99
    assert luminance_correlation(faces.images[0], faces.images[0].flip(-1), faces.masks[0]) < 0.97


def test_flat_pictures_have_no_correlation() -> None:
    flat, picture = torch.full((3, 8, 8), 0.5), torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(1))
    assert np.isnan(luminance_correlation(flat, picture, torch.ones(1, 8, 8)))
    assert np.isnan(luminance_correlation(picture, picture, torch.zeros(1, 8, 8)))
    with pytest.raises(ShapeError, match="S = 8 in before, 9 here"):
        luminance_correlation(picture, torch.zeros(3, 8, 9), torch.ones(1, 8, 8))
