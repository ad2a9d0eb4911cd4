"""Poisson cloning against dense solves and OpenCV; edges, borders and errors of all blends."""

import numpy as np
import pytest
import scipy.ndimage
import scipy.sparse
import scipy.sparse.linalg
import torch

from stylswap.errors import SettingsError, ShapeError
from stylswap.faces import membrane
from stylswap.faces.blend import BLENDS, blend, feather, poisson_clone

H, W = 24, 20


def picture(seed, height=H, width=W, low=0.3, high=0.7):
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(3, height, width, generator=generator)


def smooth_picture(seed, size, sigma, low, high):
    noise = np.random.default_rng(seed).standard_normal((3, size, size))
    soft = scipy.ndimage.gaussian_filter(noise, (0, sigma, sigma))
    soft = (soft - soft.min()) / (soft.max() - soft.min())
    return torch.from_numpy(low + (high - low) * soft).float()


def disc(height=H, width=W, y=None, x=None, radius=7.0, softness=0.0):
    y, x = (height - 1) / 2 if y is None else y, (width - 1) / 2 if x is None else x
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    depth_px = radius - torch.sqrt((rows - y) ** 2.0 + (columns - x) ** 2.0)
    return ((depth_px > 0).float() if softness == 0 else (depth_px / softness).clamp(0, 1))[None]


def ramp(height=H, width=W):
    return (torch.linspace(-0.1, 0.1, width) + torch.linspace(-0.08, 0.08, height)[:, None]).expand(3, height, width)


def neighbours(y, x, height, width):
    return [(b, a) for b, a in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)) if 0 <= b < height and 0 <= a < width]


def perez(photo, patch, mask):
    """Equation 7 of the paper, pixel by pixel: the unknowns are the mask pixels whose neighbours are all in the mask."""
    inside, (height, width) = mask[0].numpy() == 1, mask.shape[1:]
    spots = [(y, x) for y in range(height) for x in range(width)]
    unknown = [p for p in spots if inside[p] and all(inside[q] for q in neighbours(*p, height, width))]
    number = {p: i for i, p in enumerate(unknown)}
    matrix = scipy.sparse.lil_matrix((len(unknown), len(unknown)))
    right = np.zeros((len(unknown), 3))
    f, g = photo.double().numpy(), patch.double().numpy()
    for p, i in number.items():
        for q in neighbours(*p, height, width):
            matrix[i, i] += 1
            right[i] += g[:, *p] - g[:, *q]
            if q in number:
                matrix[i, number[q]] -= 1
            else:
                right[i] += f[:, *q]
    solved = f.copy()
    if unknown:
        values = scipy.sparse.linalg.spsolve(matrix.tocsc(), right)
        for p, i in number.items():
            solved[:, *p] = values[i]
    return torch.from_numpy(solved), len(unknown)


def soft_reference(photo, patch, mask, screening):
    """The module's energy in the mask's box, minimised as a dense least-squares problem: one row for each square in the sum."""
    m, (height, width) = mask[0].double().numpy(), mask.shape[1:]
    used = np.argwhere(m > 0)
    (top, left), (bottom, right) = used.min(0), used.max(0)
    spots = [(y, x) for y in range(top, bottom + 1) for x in range(left, right + 1)]
    number = {p: i for i, p in enumerate(spots)}
    rows, aims = [], []
    difference = (patch - photo).double().numpy()

    def square(entries, weight, aim):
        row = np.zeros(len(spots))
        for p, value in entries:
            row[number[p]] = value * weight**0.5
        rows.append(row)
        aims.append(np.broadcast_to(aim, 3) * weight**0.5)

    for p in spots:
        for q in neighbours(*p, height, width):
            if q > p and q in number:
                square([(p, 1.0), (q, -1.0)], 1.0, 0.0)
        change = max(abs(m[p] - m[q]) for q in neighbours(*p, height, width)) / m.max()
        if m[p] > 0 and change > 0:
            square([(p, 1.0)], 4.0 * change**2 / (1 - change), -difference[:, *p])
        square([(p, 1.0)], screening * np.pi / m.sum(), 0.0)
    membrane = np.linalg.lstsq(np.array(rows), np.array(aims), rcond=None)[0].T
    solved = difference.copy()
    for p, i in number.items():
        solved[:, *p] += membrane[:, i]
    return photo + mask * torch.from_numpy(solved)


HARD_MASKS = {
    "disc": disc(16, 16, radius=6),
    "top": disc(16, 16, y=0, radius=6),
    "bottom": disc(16, 16, y=15, radius=6),
    "left": disc(16, 16, x=0, radius=6),
    "right": disc(16, 16, x=15, radius=6),
    "corner": disc(16, 16, y=0, x=0, radius=9),
    "other corner": disc(16, 16, y=15, x=15, radius=9),
    "all but one pixel": torch.ones(1, 16, 16).index_put((torch.tensor(0), torch.tensor(5), torch.tensor(7)), torch.tensor(0.0)),
    "two faces": torch.maximum(disc(16, 16, y=3, x=4, radius=3.6), disc(16, 16, y=11, x=11, radius=4.5)),
}


@pytest.mark.parametrize("name", HARD_MASKS)
def test_hard_mask_is_perez_equation(name):
    mask = HARD_MASKS[name]
    photo, patch = picture(1, 16, 16, 0.4, 0.6), picture(2, 16, 16, 0.4, 0.6)
    expected, num_unknown = perez(photo, patch, mask)
    assert num_unknown >= 10
    assert float((expected - photo).abs().max()) > 0.05
    assert expected.min() > 0 and expected.max() < 1, "a clamped reference would prove nothing"
    torch.testing.assert_close(poisson_clone(photo, patch, mask).double(), expected, atol=1e-4, rtol=0)


def test_perez_equation_at_a_face_s_size():
    mask = disc(110, 90, radius=42)
    photo, patch = picture(1, 110, 90, 0.4, 0.6), picture(2, 110, 90, 0.4, 0.6) + 0.2
    expected, num_unknown = perez(photo, patch, mask)
    assert num_unknown > 4000
    # 2e-4, a twentieth of a grey level: the cycles stop when nothing moves by more than TOLERANCE = 5e-4.
    torch.testing.assert_close(poisson_clone(photo, patch, mask).double(), expected, atol=2e-4, rtol=0)


@pytest.mark.parametrize("screening", [0.0, 6.0])
@pytest.mark.parametrize(
    "mask", [disc(16, 16, softness=4), disc(16, 16, y=2, x=1, radius=9, softness=5), 0.3 * disc(16, 16, softness=3)]
)
def test_soft_mask_minimises_the_energy(mask, screening):
    photo, patch = picture(3, 16, 16), picture(4, 16, 16) + 0.1
    expected = soft_reference(photo, patch, mask, screening)
    assert float((expected - photo).abs().max()) > 0.03
    torch.testing.assert_close(
        poisson_clone(photo, patch, mask).double(), soft_reference(photo, patch, mask, 0.0), atol=2e-4, rtol=0
    )
    torch.testing.assert_close(poisson_clone(photo, patch, mask, screening=screening).double(), expected, atol=2e-4, rtol=0)


def test_agrees_with_opencv():
    cv2 = pytest.importorskip("cv2")
    size, low, high = 96, 20, 75
    photo, patch = smooth_picture(5, size, 14, 0.3, 0.5), smooth_picture(6, size, 14, 0.55, 0.75)
    mask = torch.zeros(1, size, size)
    mask[:, low : high + 1, low : high + 1] = 1
    photo_u8, patch_u8 = ((255 * t).round().byte().permute(1, 2, 0).numpy() for t in (photo, patch))
    middle = low + (high - low + 1) // 2
    mask_u8 = (255 * mask[0]).byte().numpy()
    theirs_u8 = cv2.seamlessClone(patch_u8, photo_u8, mask_u8, (middle, middle), cv2.NORMAL_CLONE)
    theirs = torch.from_numpy(theirs_u8).permute(2, 0, 1) / 255
    ours = poisson_clone(photo, patch, mask)
    difference = patch - photo
    slope = max(float(difference.diff(dim=axis).abs().max()) for axis in (1, 2))
    # OpenCV solves in the mask's bounding box, so only a rectangular mask gives the same boundary. It erodes the mask by 3 pixels
    # and keeps the photo's gradients there: what patch and photo differ by changes by up to 3 slopes across that rim. 8-bit
    # input and output add a grey level and a half.
    tolerance = 3 * slope + 1.5 / 255
    assert tolerance < 0.05 < float((ours - patch).abs()[:, low : high + 1, low : high + 1].mean()), "the colours must have moved"
    assert float((ours - photo).abs().max()) > 1.5 * tolerance
    assert float((ours - theirs).abs().max()) < tolerance
    assert float((ours - theirs).abs().mean()) < 1 / 255


@pytest.mark.parametrize("mask", [disc(), disc(softness=5), disc(y=0, x=3, softness=3), disc(y=0, x=0, radius=12)])
def test_a_constant_is_removed(mask):
    photo = picture(7)
    for patch in (photo, photo + 0.2, photo - torch.tensor([0.1, 0.2, 0.05])[:, None, None]):
        torch.testing.assert_close(poisson_clone(photo, patch, mask), photo, atol=1e-3, rtol=0)
    assert float((feather(photo, photo + 0.2, mask) - photo).max()) > 0.15


def test_a_ramp_of_light_is_removed_without_a_seam():
    """The ramp is harmonic, so only a boundary on the mask's own edge removes all of it; a rectangle's solve leaves half."""
    photo, mask = picture(8), disc()
    result = poisson_clone(photo, photo + ramp(), mask)
    assert float((mask * ramp()).abs().max()) > 0.05
    torch.testing.assert_close(result, photo, atol=1e-3, rtol=0)


def test_texture_comes_from_the_patch():
    photo, patch, mask = picture(9, 64, 64), picture(10, 64, 64), disc(64, 64, radius=28, softness=8)
    core = (slice(None), slice(24, 40), slice(24, 40))
    gradient, wanted, other = (t[core].diff(dim=2) for t in (poisson_clone(photo, patch, mask), patch, photo))
    assert float((gradient - wanted).abs().mean()) < 0.05 * float((gradient - other).abs().mean())


def test_noise_at_a_soft_edge_does_not_stripe_the_face():
    """Same ramp, smooth face, noisy photo: the membrane meets the photo on average, so the middle stays smooth."""
    photo, patch = picture(11, 64, 64, 0.2, 0.8), torch.full((3, 64, 64), 0.9)
    soft = poisson_clone(photo, patch, disc(64, 64, radius=28, softness=8))[:, 16:48, 16:48]
    hard = poisson_clone(photo, patch, disc(64, 64, radius=20))[:, 16:48, 16:48]
    assert float(soft.std((1, 2)).max()) < 0.4 * float(hard.std((1, 2)).min())
    assert float((soft.mean() - photo.mean()).abs()) < 0.03


def test_screening_limits_what_dark_hair_does_to_the_face():
    photo, patch = torch.full((3, 64, 64), 0.6), torch.full((3, 64, 64), 0.6)
    photo[:, :32] = 0.1  # hair along the upper half of the edge; the patch is skin throughout
    mask = disc(64, 64, radius=24)
    middles = [float(poisson_clone(photo, patch, mask, screening=s)[0, 32, 32]) for s in (0.0, 1.0, 4.0, 16.0, 64.0)]
    assert middles[0] == pytest.approx(0.35, abs=0.02), "harmonic: the mean along the edge"
    assert middles == sorted(middles)
    # In a disc the answer is 1 / I0(sqrt(s)) of the edge's mean: 0.7898 for s = 1, 0.0885 for s = 16.
    assert middles[1] == pytest.approx(0.6 - 0.25 * 0.7898, abs=0.02)
    assert middles[3] == pytest.approx(0.6 - 0.25 * 0.0885, abs=0.02)


EDGE_MASKS = {
    "one pixel": disc(radius=0.8, y=9, x=9),
    "one faint pixel": 0.5 * disc(radius=0.8, y=9, x=9),
    "one pixel in the corner": disc(radius=0.8, y=0, x=0),
    "a line": (torch.arange(H) == 5).float()[None, :, None].expand(1, H, W).clone(),
    "top": disc(y=0),
    "bottom": disc(y=H - 1, softness=3),
    "left": disc(x=0, softness=3),
    "right": disc(x=W - 1),
    "four corners": 1 - disc(radius=12),
    "noise": picture(12)[:1],
    "noise of zeros and ones": (picture(13)[:1] > 0.5).float(),
    "full": torch.ones(1, H, W),
    "full, half": torch.full((1, H, W), 0.5),
    "a far tail": torch.exp(-((torch.arange(W) / 4.0) ** 2)).expand(1, H, W).clone(),
}


@pytest.mark.parametrize("method", BLENDS)
@pytest.mark.parametrize("name", EDGE_MASKS)
def test_outside_is_untouched_and_the_rest_is_a_picture(name, method):
    mask = EDGE_MASKS[name]
    outside = (mask == 0).expand(3, H, W)
    photo, patch = picture(14, low=0, high=1), picture(15, low=0, high=1).round()  # extremes, to be clamped
    patch[outside] = float("nan")  # never read
    before = photo.clone(), patch.clone(), mask.clone()
    result = blend(photo, patch, mask, method=method)
    assert torch.equal(result[outside], photo[outside])
    assert torch.isfinite(result).all() and result.min() >= 0 and result.max() <= 1
    assert result.dtype == torch.float32 and result.shape == photo.shape
    for given, kept in zip((photo, patch, mask), before, strict=True):
        assert torch.equal(given.nan_to_num(), kept.nan_to_num())
    changed = (result - photo).abs().amax()
    assert changed > 0.1 or (method, name.split()[0]) in {("poisson", "one"), ("poisson", "a")}


def test_one_pixel_and_one_line_keep_the_photo():
    """Nothing but edge: each pixel is given."""
    photo, patch = picture(16), picture(17)
    for name in ("one pixel", "one faint pixel", "one pixel in the corner", "a line"):
        result = poisson_clone(photo, patch, EDGE_MASKS[name])
        atol = 1e-5 if name != "a line" else 1e-3
        torch.testing.assert_close(result, photo, atol=atol, rtol=0)


@pytest.mark.parametrize("method", BLENDS)
def test_empty_mask_returns_an_equal_copy(method):
    photo = picture(18)
    result = blend(photo, torch.full_like(photo, float("nan")), torch.zeros(1, H, W), method=method)
    assert torch.equal(result, photo)
    assert result.data_ptr() != photo.data_ptr()


@pytest.mark.parametrize("method", BLENDS)
def test_full_mask_returns_the_patch(method):
    photo, patch = picture(19), picture(20)
    torch.testing.assert_close(blend(photo, patch, torch.ones(1, H, W), method=method), patch)
    one = torch.full((3, 1, 1), 0.25), torch.full((3, 1, 1), 0.75), torch.ones(1, 1, 1)
    torch.testing.assert_close(blend(*one, method=method), one[1])


def test_opacity_does_not_change_the_membrane():
    photo, patch, mask = picture(21), picture(22) + 0.2, disc(softness=4)
    whole, faint = (poisson_clone(photo, patch, opacity * mask) - photo for opacity in (1.0, 0.25))
    assert float(whole.abs().max()) > 0.05
    torch.testing.assert_close(faint, 0.25 * whole, atol=1e-4, rtol=0)


def test_the_rectangle_does_not_matter():
    """A wider region gives the same pixels: the mask's edge is the boundary."""
    photo, patch, mask = picture(23, 60, 50), picture(24, 60, 50) + 0.1, disc(60, 50, y=30, x=25, radius=10)
    tight = (slice(None), slice(19, 42), slice(14, 37))
    inner = poisson_clone(photo[tight], patch[tight], mask[tight])
    torch.testing.assert_close(poisson_clone(photo, patch, mask)[tight], inner, atol=0, rtol=0)


def test_double_precision_stays():
    photo, patch, mask = picture(25).double(), picture(26).double(), disc(softness=4).double()
    for method in BLENDS:
        result = blend(photo, patch, mask, method=method)
        assert result.dtype == torch.float64
        single = blend(photo.float(), patch.float(), mask.float(), method=method)
        torch.testing.assert_close(single.double(), result, atol=1e-4, rtol=0)


@pytest.mark.parametrize("softness", [0.0, 3.0])
def test_few_cycles_suffice(monkeypatch, softness):
    photo, patch, mask = picture(27, 200, 200), picture(28, 200, 200) + 0.2, disc(200, 200, radius=95, softness=softness)
    usual = poisson_clone(photo, patch, mask)
    monkeypatch.setattr(membrane, "TOLERANCE", 1e-6)
    best = poisson_clone(photo, patch, mask)
    assert not torch.equal(usual, best)
    torch.testing.assert_close(usual, best, atol=3e-4, rtol=0)
    monkeypatch.setattr(membrane, "TOLERANCE", 5e-4)
    monkeypatch.setattr(membrane, "MAX_CYCLES", 5)
    assert torch.equal(poisson_clone(photo, patch, mask), usual)


def test_feather_ramp_by_hand():
    photo, patch = torch.zeros(3, 40, 40), torch.ones(3, 40, 40)
    mask = torch.zeros(1, 40, 40)
    mask[:, :, 20:] = 1  # area 800: the ramp is 0.1 * 28.28 = 2.83 pixels wide
    result = feather(photo, patch, mask, softness=0.1)
    ramp_by_hand = [3 * r * r - 2 * r * r * r for r in (1 / 8**0.5, 2 / 8**0.5)]
    expected = torch.tensor([0.0, *ramp_by_hand, 1.0, 1.0])
    for channel in range(3):
        for row in (0, 17, 39):  # no ramp along the rectangle's border
            torch.testing.assert_close(result[channel, row, 19:24], expected)
            assert result[channel, row, 39] == 1


def test_feather_keeps_a_softer_mask_and_grows_with_the_face():
    photo, patch, mask = picture(29), picture(30), disc(radius=9, softness=9)
    mixed = photo + mask * (patch - photo)
    torch.testing.assert_close(feather(photo, patch, mask, softness=0.0), mixed)
    torch.testing.assert_close(feather(photo, patch, mask, softness=0.1), mixed, atol=0.05, rtol=0)
    widths = []
    for scale in (1, 3):
        size = 60 * scale
        black, white = torch.zeros(3, size, size), torch.ones(3, size, size)
        row = feather(black, white, disc(size, size, radius=25 * scale))[0, size // 2]
        widths.append(int(((row > 0.02) & (row < 0.98)).sum()))
    assert widths[1] == pytest.approx(3 * widths[0], abs=4)


def test_none_cuts_at_a_half():
    photo, patch = picture(31), picture(32)
    mask = torch.linspace(0, 1, W).expand(1, H, W)
    assert torch.equal(blend(photo, patch, mask, method="none"), torch.where(mask >= 0.5, patch, photo))


def test_blend_passes_the_method_and_its_option_on():
    photo, patch, mask = picture(33), picture(34) + 0.2, disc()
    assert torch.equal(blend(photo, patch, mask, method="feather"), feather(photo, patch, mask))
    assert torch.equal(blend(photo, patch, mask, method="poisson"), poisson_clone(photo, patch, mask))
    screened = blend(photo, patch, mask, method="poisson", screening=9.0)
    assert torch.equal(screened, poisson_clone(photo, patch, mask, screening=9.0))
    assert not torch.equal(screened, poisson_clone(photo, patch, mask))


def test_unknown_settings():
    good = picture(35), picture(36), disc()
    with pytest.raises(SettingsError, match=r"got 'poison'\. Did you mean 'poisson'\?"):
        blend(*good, method="poison")
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(SettingsError, match="screening"):
            blend(*good, method="poisson", screening=wrong)
        with pytest.raises(SettingsError, match="softness"):
            feather(*good, softness=wrong)


@pytest.mark.parametrize("method", BLENDS)
def test_wrong_shapes_and_types(method):
    photo, patch, mask = picture(37), picture(38), disc()
    for wrong in (
        (photo[:, 1:], patch, mask),
        (photo, patch[:1], mask),
        (photo, patch, mask[0]),
        (photo, patch, mask.expand(3, H, W)),
    ):
        with pytest.raises(ShapeError, match="must be"):
            blend(*wrong, method=method)
    for wrong in ((photo, patch.double(), mask), (photo, patch, mask > 0), tuple(t.half() for t in (photo, patch, mask))):
        with pytest.raises(ShapeError, match="float32"):
            blend(*wrong, method=method)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("method", BLENDS)
def test_on_the_gpu(method):
    photo, patch, mask = picture(39), picture(40), disc(softness=4)
    result = blend(photo.cuda(), patch.cuda(), mask.cuda(), method=method)
    assert result.is_cuda
    torch.testing.assert_close(result.cpu(), blend(photo, patch, mask, method=method), atol=1e-4, rtol=0)
