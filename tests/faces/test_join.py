"""Joining a patch: what is chosen, that the middle of the face is kept, and that size does not matter."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.errors import SettingsError, ShapeError
from stylswap.faces.blend import blend
from stylswap.faces.join import ACCEPTED_SEAM, LARGEST_GAIN, JoinOptions, colour_gains, join_patch
from stylswap.faces.seam import seam_figure

SIZE = 96


def disc(radius: float = 30.0, size: int = SIZE) -> Tensor:
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    middle = (size - 1) / 2
    return (radius + 0.5 - ((x - middle) ** 2 + (y - middle) ** 2).sqrt()).clamp(0, 1)[None]


def skin(seed: int = 0, size: int = SIZE) -> Tensor:
    """Smooth skin with a little texture, (3, size, size)."""
    texture = torch.randn(3, size, size, generator=torch.Generator().manual_seed(seed)).numpy()
    smooth = torch.from_numpy(scipy.ndimage.gaussian_filter(texture, (0, 2, 2)))
    return (torch.tensor([0.7, 0.5, 0.4]).view(3, 1, 1) + 0.1 * smooth).clamp(0, 1)


def in_the_middle(image: Tensor) -> Tensor:
    middle = image.shape[-1] // 2
    return image[:, middle - 8 : middle + 8, middle - 8 : middle + 8]


def test_every_name_joins_and_keeps_the_photo_outside() -> None:
    region, patch, mask = skin(), 0.9 * skin(1), disc()
    for method in ("poisson", "feather", "none"):
        for colour in ("balance", "skin", "none"):
            joined = join_patch(region, patch, mask, JoinOptions(method, colour))
            assert (joined.blend, joined.colour) == (method, colour)
            assert torch.equal(torch.where(mask > 0, 0.0, joined.image), torch.where(mask > 0, 0.0, region))
            assert joined.seam == pytest.approx(seam_figure(region, joined.image, mask))
    plain = join_patch(region, patch, mask, JoinOptions("feather", "none")).image
    assert torch.equal(plain, blend(region, patch, mask, method="feather"))


def test_auto_keeps_the_first_blend_while_its_seam_is_accepted() -> None:
    region, patch, mask = skin(), (skin(1) * torch.tensor([1.1, 1.0, 0.85]).view(3, 1, 1)).clamp(0, 1), disc()
    chosen = join_patch(region, patch, mask, JoinOptions())
    every = [join_patch(region, patch, mask, JoinOptions(*names)) for names in JoinOptions().candidates()]
    assert len(every) == 4
    feathered = [one for one in every if one.blend == "feather"]
    assert chosen.seam == min(one.seam for one in feathered) <= ACCEPTED_SEAM
    assert chosen.seam > min(one.seam for one in every)  # Poisson would hide it better, and is not taken
    assert chosen.colour == "balance"  # a tint is what it is for
    best = next(one for one in feathered if one.seam == chosen.seam)
    assert torch.equal(chosen.image, best.image)


def test_auto_takes_the_least_seam_where_the_first_is_too_plain() -> None:
    region, mask = skin(), disc()
    patch = skin(1)
    patch[:, :, : SIZE // 2] *= 0.6  # one half of the face in the shade: no single gain mends that
    chosen = join_patch(region, patch, mask, JoinOptions())
    every = [join_patch(region, patch, mask, JoinOptions(*names)) for names in JoinOptions().candidates()]
    assert min(one.seam for one in every if one.blend == "feather") > ACCEPTED_SEAM
    assert chosen.blend == "poisson"
    assert chosen.seam == min(one.seam for one in every)


def test_auto_along_one_axis() -> None:
    region, patch, mask = skin(), 0.8 * skin(1), disc()
    assert join_patch(region, patch, mask, JoinOptions("feather", "auto")).blend == "feather"
    assert join_patch(region, patch, mask, JoinOptions("auto", "none")).colour == "none"


def test_hair_around_the_face_does_not_darken_its_middle() -> None:
    """Dark hair crosses the upper half of the edge: the pure equation smears it over the face, no candidate does."""
    mask, patch = disc(), skin(1)
    region = skin()
    region[:, :40] = 0.1
    pure = in_the_middle(join_patch(region, patch, mask, JoinOptions("poisson", "none", 0.0)).image)
    wanted = in_the_middle(patch)
    assert float((wanted - pure).mean()) > 0.12
    for method in ("poisson", "feather"):
        kept = in_the_middle(join_patch(region, patch, mask, JoinOptions(method, "none")).image)
        assert float((wanted - kept).abs().mean()) < 0.05
    chosen = join_patch(region, patch, mask, JoinOptions())
    least = float(colour_gains(patch, region, mask).min())
    assert float(in_the_middle(chosen.image).mean()) > least * float(wanted.mean()) - 0.05


@pytest.mark.parametrize(("method", "tolerance"), [("poisson", 0.05), ("feather", 0.18)])
def test_a_large_face_joins_as_a_small_one(method: str, tolerance: float) -> None:
    """Solved on reduced pictures, and within a grey level of the solution at full size."""
    large = 4 * SIZE
    region = F.interpolate(skin()[None], scale_factor=4, mode="bicubic")[0].clamp(0, 1)
    patch = F.interpolate(0.9 * skin(1)[None], scale_factor=4, mode="bicubic")[0].clamp(0, 1)
    mask = disc(120.0, large)
    joined = join_patch(region, patch, mask, JoinOptions(method, "none"))
    full = blend(region, patch, mask, method=method, screening=8.0)
    assert float((joined.image - full).square().mean().sqrt()) < 1 / 255
    assert torch.equal(torch.where(mask > 0, 0.0, joined.image), torch.where(mask > 0, 0.0, region))
    assert joined.seam == pytest.approx(seam_figure(region, joined.image, mask), rel=tolerance)


def test_fine_detail_survives_the_reduction() -> None:
    large = 4 * SIZE
    grain = 0.05 * torch.randn(1, large, large, generator=torch.Generator().manual_seed(3))
    region = torch.full((3, large, large), 0.5)
    joined = join_patch(region, 0.6 + grain.expand(3, -1, -1), disc(120.0, large), JoinOptions("poisson", "none")).image
    middle = in_the_middle(joined) - in_the_middle(joined).mean()
    np.testing.assert_allclose(middle[0], (in_the_middle(grain.expand(3, -1, -1)) - in_the_middle(grain).mean())[0], atol=0.01)


def test_gains_by_hand() -> None:
    patch = torch.full((3, 4, 4), 0.48)
    photo = torch.tensor([0.48, 0.53, 0.43]).view(3, 1, 1).expand(3, 4, 4)
    expected = [1.0, 0.55 / 0.5, 0.45 / 0.5]
    np.testing.assert_allclose(colour_gains(patch, photo, torch.ones(1, 4, 4)).flatten(), expected, rtol=1e-5)
    half = torch.zeros(1, 4, 4)
    half[..., :2] = 1
    mixed = torch.where(half > 0, photo, 0.0)  # outside of the mask anything may be
    np.testing.assert_allclose(colour_gains(patch, mixed, half).flatten(), expected, rtol=1e-5)


def test_gains_are_bounded_and_one_without_a_mask() -> None:
    patch, photo = torch.full((3, 4, 4), 0.1), torch.full((3, 4, 4), 0.9)
    assert colour_gains(patch, photo, torch.ones(1, 4, 4)).flatten().tolist() == pytest.approx([LARGEST_GAIN] * 3)
    assert colour_gains(photo, patch, torch.ones(1, 4, 4)).flatten().tolist() == pytest.approx([1 / LARGEST_GAIN] * 3)
    assert colour_gains(patch, photo, torch.zeros(1, 4, 4)).flatten().tolist() == [1.0, 1.0, 1.0]


def test_an_empty_mask_changes_nothing() -> None:
    joined = join_patch(skin(), skin(1), torch.zeros(1, SIZE, SIZE), JoinOptions())
    assert torch.equal(joined.image, skin())
    assert joined.seam == 0.0


def test_unknown_names_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"unknown blend 'poison'.*poisson"):
        JoinOptions("poison")
    with pytest.raises(SettingsError, match=r"unknown colour 'balanced'.*balance"):
        JoinOptions(colour="balanced")


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError, match="mask must be"):
        join_patch(skin(), skin(), torch.ones(1, 8, 8), JoinOptions())
