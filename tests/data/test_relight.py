"""Relief and relighting: shapes by symmetry, harmonics against the exact cosine, shadows where something stands in the way."""

import pytest
import torch
from torch import Tensor

from stylswap.data.faceset import FaceSet
from stylswap.data.relief import face_height, normals
from stylswap.data.relight import (
    Lights,
    angles_between_deg,
    direction,
    draw_lights,
    estimated_shading,
    harmonics,
    irradiance,
    relight,
    shading,
    visibility,
)
from stylswap.errors import ShapeError
from stylswap.faces.align import reference_shape

SIDE = 48


@pytest.fixture(scope="module")
def height() -> Tensor:
    return face_height(torch.from_numpy(reference_shape(128)).float()[None], 128, SIDE)


def light(azimuth: float, elevation: float, ambient: float = 0.05) -> Lights:
    directions = direction(torch.tensor([azimuth]), torch.tensor([elevation]))
    return Lights(directions, torch.tensor([ambient]), torch.ones(1, 3))


def sphere_directions(count: int) -> Tensor:
    return torch.nn.functional.normalize(torch.randn(count, 3, generator=torch.Generator().manual_seed(0)), dim=1)


def test_a_face_is_symmetric_and_its_nose_stands_out(height: Tensor) -> None:
    torch.testing.assert_close(height, height.flip(-1), atol=0.02, rtol=0)
    tip = reference_shape(SIDE)[30].round().astype(int)
    assert abs(int(height[0].flatten().argmax()) // SIDE - tip[1]) <= 2
    assert abs(int(height[0].flatten().argmax()) % SIDE - tip[0]) <= 1
    assert height.min() >= 0
    assert height[0, 0, 0] < 0.1 * height.max()


def test_the_relief_follows_landmarks_and_resolution() -> None:
    points = torch.from_numpy(reference_shape(128)).float()[None]
    base = face_height(points, 128, 64)
    moved = face_height(points + torch.tensor([4.0, 0.0]), 128, 64)
    torch.testing.assert_close(moved[..., 8:-2], base[..., 6:-4], atol=0.02, rtol=0)
    torch.testing.assert_close(face_height(points, 128, 32).max() * 2, base.max(), rtol=0.1, atol=0)
    with pytest.raises(ShapeError):
        face_height(points[:, :5], 128, 64)


def test_normals_are_unit_and_point_out_of_a_slope() -> None:
    ramp = (0.5 * torch.arange(8.0)).expand(1, 8, 8)  # rises to the right
    normal = normals(ramp)
    torch.testing.assert_close(normal.norm(dim=1), torch.ones(1, 8, 8))
    expected = torch.tensor([-0.5, 0.0, 1.0]) / 1.25**0.5
    torch.testing.assert_close(normal[0, :, 4, 4], expected)


def test_directions_follow_the_yale_faces() -> None:
    front, left, above = direction(torch.tensor([0.0, 90.0, 0.0]), torch.tensor([0.0, 0.0, 90.0]))
    torch.testing.assert_close(front, torch.tensor([0.0, 0.0, 1.0]))
    torch.testing.assert_close(left, torch.tensor([-1.0, 0.0, 0.0]), atol=1e-6, rtol=0)
    torch.testing.assert_close(above, torch.tensor([0.0, -1.0, 0.0]), atol=1e-6, rtol=0)
    assert angles_between_deg(front[None], left[None]).item() == pytest.approx(90)


def test_harmonics_are_orthonormal() -> None:
    basis = harmonics(sphere_directions(60_000))
    product = 4 * torch.pi * basis.T @ basis / len(basis)
    torch.testing.assert_close(product, torch.eye(9), atol=0.05, rtol=0)


def test_irradiance_is_close_to_the_clamped_cosine_and_never_negative() -> None:
    facing = sphere_directions(4096)
    lamp = torch.tensor([[0.3, -0.5, 0.8]])
    lamp = lamp / lamp.norm()
    got = irradiance(facing.T.reshape(1, 3, 64, 64), lamp).flatten()
    exact = (facing @ lamp[0]).clamp_min(0)
    assert got.min() >= 0
    assert (got - exact).abs().max() < 0.1
    assert (got - exact).square().mean() < 0.01 * exact.square().mean()  # 99 % of the energy, as the paper says


def test_a_wall_throws_a_shadow_away_from_the_lamp() -> None:
    wall = torch.zeros(1, 32, 32)
    wall[..., 15:17] = 6.0
    from_left = visibility(wall, direction(torch.tensor([60.0]), torch.tensor([0.0])))[0, 16]
    assert from_left[18] < 0.1
    assert from_left[10] == 1
    assert visibility(wall, direction(torch.tensor([0.0]), torch.tensor([0.0]))).min() > 0.9


def test_the_side_that_faces_the_lamp_is_lighter(height: Tensor) -> None:
    sums = {}
    for azimuth in (60.0, -60.0):
        lamp, even = shading(height, normals(height), light(azimuth, 0.0))
        total = lamp + even
        assert total.min() > 0
        sums[azimuth] = total[..., SIDE // 4 : SIDE // 2].sum() / total[..., SIDE // 2 : -SIDE // 4].sum()
    assert sums[60.0] > 1.5
    assert sums[60.0] * sums[-60.0] == pytest.approx(1, rel=0.05)


def test_lights_are_drawn_from_the_generator_and_have_luminance_one() -> None:
    first, again = (draw_lights(50, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first.directions, again.directions)
    torch.testing.assert_close(first.tint @ torch.tensor([0.2126, 0.7152, 0.0722]), torch.ones(50))
    torch.testing.assert_close(first.directions.norm(dim=1), torch.ones(50))
    assert first.ambient.min() >= 0
    assert first.tint[:, 0].min() < 0.9 < 1.1 < first.tint[:, 0].max()
    assert len(first[torch.tensor([1, 2])]) == 2


def test_the_estimate_finds_a_light_that_is_there(height: Tensor) -> None:
    normal = normals(height)
    truth = irradiance(normal, direction(torch.tensor([40.0]), torch.tensor([10.0]))) + 0.3
    masks = (height > 0.3 * height.max()).float()
    estimate = estimated_shading(0.4 * truth, normal, masks)
    inside = masks[0] > 0
    assert torch.corrcoef(torch.stack([estimate[0][inside], truth[0][inside]]))[0, 1] > 0.95
    assert (estimate[0][inside]).mean().item() == pytest.approx(1, abs=0.1)
    assert estimate.min() >= 0.35


def test_relighting_turns_the_light_of_real_faces(input_set: FaceSet) -> None:
    faces = input_set.faces(range(len(input_set)))
    count, side = len(faces), faces.size
    height = face_height(faces.landmarks, side, side)
    normal = normals(height)
    current = torch.ones(count, side, side)
    ratios = []
    for azimuth in (70.0, -70.0):
        one = light(azimuth, 0.0)
        lights = one[torch.zeros(count, dtype=torch.long)]
        lit = relight(faces.images, current, height, normal, lights)
        assert lit.shape == faces.images.shape
        assert lit.min() >= 0
        assert lit.max() <= 1
        cheek = slice(side // 2, 3 * side // 4)
        left, right = lit[..., cheek, side // 4 : side // 2].mean(), lit[..., cheek, side // 2 : 3 * side // 4].mean()
        ratios.append(float(left / right))
    assert ratios[0] > 1.3 > 0.8 > ratios[1]
