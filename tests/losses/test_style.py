"""The style term against a plain loop, by hand, and in a batch."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.errors import SettingsError, ShapeError
from stylswap.losses import choose_style_faces, patch_style
from stylswap.losses.style import _scores


def features(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def plain_loop(
    output: Tensor, styles: Tensor, mask: Tensor | None, radius: int, patch: int, shown: Tensor | None = None
) -> list[float]:
    """The definition, one number at a time."""
    batch, _, height, width = output.shape
    half = patch // 2
    offsets = list(itertools.product(range(-half, half + 1), repeat=2))

    def patch_at(map_: Tensor, y: int, x: int) -> Tensor:
        nothing = torch.zeros(map_.shape[0], dtype=map_.dtype)
        rows = [(y + dy, x + dx) for dy, dx in offsets]
        return torch.cat([map_[:, r, c] if 0 <= r < height and 0 <= c < width else nothing for r, c in rows])

    means = []
    for b in range(batch):
        total = weights = 0.0
        for y, x in itertools.product(range(height), range(width)):
            own = patch_at(output[b], y, x)
            distances = []
            window = (range(y - radius, y + radius + 1), range(x - radius, x + radius + 1))
            for n, r, c in itertools.product(range(styles.shape[1]), *window):
                if 0 <= r < height and 0 <= c < width and (shown is None or float(shown[b, n, 0, r, c]) >= 0.5):
                    other = patch_at(styles[b, n], r, c)
                    distances.append(1 - float(own @ other / (own.norm() * other.norm())))
            weight = 1.0 if mask is None else float(mask[b, 0, y, x])
            if distances:
                total += weight * min(distances)
                weights += weight
        means.append(total / weights)
    return means


@pytest.mark.parametrize(
    ("faces", "height", "width", "radius", "patch", "masked"),
    [
        (1, 3, 4, 0, 1, False),
        (3, 5, 4, 0, 1, True),
        (2, 4, 5, 1, 1, False),
        (2, 5, 3, 0, 3, True),
        (2, 5, 4, 1, 3, True),
        (1, 4, 5, 2, 5, False),
        (2, 2, 3, 4, 3, False),  # a window wider than the map
        (1, 1, 1, 1, 3, False),
    ],
)
def test_equals_a_plain_loop(faces: int, height: int, width: int, radius: int, patch: int, masked: bool) -> None:
    output = features(2, 5, height, width, seed=1)
    styles = features(2, faces, 5, height, width, seed=2)
    mask = features(2, 1, height, width, seed=3).abs().clamp(0, 1) if masked else None
    got = patch_style(output, styles, mask=mask, radius=radius, patch=patch)
    torch.testing.assert_close(got, torch.tensor(plain_loop(output, styles, mask, radius, patch)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("radius", "patch"), [(0, 1), (1, 3)])
def test_memory_layout_changes_nothing(radius: int, patch: int) -> None:
    output, styles = features(2, 6, 5, 7, seed=1), features(2, 3, 6, 5, 7, seed=2)
    cells_last = styles.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
    expected = patch_style(output, styles, radius=radius, patch=patch)
    for laid_out in (output, output.contiguous(memory_format=torch.channels_last)):
        for styles_laid_out in (styles, cells_last, styles.transpose(0, 1).contiguous().transpose(0, 1)):
            torch.testing.assert_close(patch_style(laid_out, styles_laid_out, radius=radius, patch=patch), expected)


@pytest.mark.parametrize(("radius", "patch", "masked"), [(0, 1, False), (0, 1, True), (1, 1, True), (0, 3, False), (1, 3, True)])
def test_what_is_no_face_is_no_match(radius: int, patch: int, masked: bool) -> None:
    output, styles = features(2, 4, 5, 6), features(2, 3, 4, 5, 6, seed=1)
    shown = (features(2, 3, 1, 5, 6, seed=2) > 0.4).float()
    shown[1, :, :, :3] = 0.0  # in the upper rows of the second nothing is face at all
    mask = features(2, 1, 5, 6, seed=3).sigmoid() if masked else None
    found = patch_style(output, styles, mask=mask, shown=shown, radius=radius, patch=patch)
    assert found.tolist() == pytest.approx(plain_loop(output, styles, mask, radius, patch, shown), abs=1e-5)
    assert not torch.allclose(found, patch_style(output, styles, mask=mask, radius=radius, patch=patch))


@pytest.mark.parametrize("softness", [0.0, 0.05])
def test_where_no_style_face_is_face_nothing_is_asked(softness: float) -> None:
    output = features(1, 4, 3, 3).requires_grad_()
    shown = torch.zeros(1, 2, 1, 3, 3)
    shown[:, :, :, 2] = 1.0
    patch_style(output, features(1, 2, 4, 3, 3, seed=1), shown=shown, softness=softness).sum().backward()
    assert output.grad is not None
    assert bool((output.grad[:, :, :2] == 0).all())
    assert bool((output.grad[:, :, 2] != 0).any())


@pytest.mark.parametrize("softness", [0.0, 0.05])
def test_all_shown_is_as_if_nobody_had_looked(softness: float) -> None:
    output, styles = features(1, 4, 3, 3), features(1, 2, 4, 3, 3, seed=1)
    seen = patch_style(output, styles, shown=torch.ones(1, 2, 1, 3, 3), softness=softness)
    assert torch.equal(seen, patch_style(output, styles, softness=softness))


def test_by_hand() -> None:
    # one cell, two channels: the output points along x; the style faces along y, along the diagonal, and against it
    output = torch.tensor([3.0, 0.0]).view(1, 2, 1, 1)
    styles = torch.tensor([[0.0, 7.0], [2.0, 2.0], [-1.0, 0.0]]).view(1, 3, 2, 1, 1)
    assert patch_style(output, styles).item() == pytest.approx(1 - math.sqrt(0.5))
    assert patch_style(output, styles[:, :1]).item() == pytest.approx(1)
    assert patch_style(output, styles[:, 2:]).item() == pytest.approx(2)
    assert patch_style(output, 0.25 * output[:, None]).item() == pytest.approx(0, abs=1e-6)


def test_window_finds_what_has_moved() -> None:
    styles = features(1, 2, 8, 6, 6)
    output = styles[:, 1].roll((1, -1), dims=(2, 3))  # wraps at two edges
    inner = torch.zeros(1, 1, 6, 6)
    inner[..., 1:, :-1] = 1
    assert patch_style(output, styles, mask=inner, radius=1).item() == pytest.approx(0, abs=1e-6)
    assert patch_style(output, styles, mask=inner, radius=0).item() > 0.3


def test_a_face_of_the_batch_meets_only_its_own_styles() -> None:
    output, styles = features(3, 4, 5, 5, seed=1), features(3, 2, 4, 5, 5, seed=2)
    together = patch_style(output, styles, radius=1, patch=3)
    for b in range(3):
        alone = patch_style(output[b : b + 1], styles[b : b + 1], radius=1, patch=3)
        torch.testing.assert_close(together[b : b + 1], alone)
    others = torch.tensor([True, False, True])
    for changed in (
        patch_style(output.index_fill(0, torch.tensor(1), 0.5), styles, radius=1, patch=3),
        patch_style(output, styles.index_copy(0, torch.tensor([1]), output[None, 1:2].repeat(1, 2, 1, 1, 1)), radius=1, patch=3),
        patch_style(output, styles.index_copy(0, torch.tensor([1]), output[None, 0:1].repeat(1, 2, 1, 1, 1)), radius=1, patch=3),
    ):
        assert torch.equal(changed[others], together[others])
        assert changed[1] != together[1]


@pytest.mark.parametrize(("radius", "patch", "masked"), [(0, 1, False), (0, 1, True), (1, 1, False), (1, 3, True)])
def test_gradient(radius: int, patch: int, masked: bool) -> None:
    output = features(2, 3, 3, 4, seed=5, dtype=torch.float64).requires_grad_()
    styles = features(2, 2, 3, 3, 4, seed=6, dtype=torch.float64)
    mask = features(2, 1, 3, 4, seed=7, dtype=torch.float64).abs().clamp(0, 1) if masked else None
    assert torch.autograd.gradcheck(lambda o: patch_style(o, styles, mask=mask, radius=radius, patch=patch), output)


def test_gradient_goes_to_the_chosen_face_alone() -> None:
    output = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1).requires_grad_()
    styles = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 3.0]]).view(1, 2, 3, 1, 1).requires_grad_()
    patch_style(output, styles).backward()
    assert output.grad is not None
    assert output.grad.flatten().tolist() == pytest.approx([0, -math.sqrt(0.5), 0])  # towards the nearest, not the other


# ---- the soft minimum


def test_soft_minimum_by_hand() -> None:
    # one cell along x; the style faces have cosines 1, 0.6 and -1 with it
    output = torch.tensor([3.0, 0.0]).view(1, 2, 1, 1)
    styles = torch.tensor([[2.0, 0.0], [3.0, 4.0], [-1.0, 0.0]]).view(1, 3, 2, 1, 1)
    shares = [math.exp(cosine / 0.5) for cosine in (1.0, 0.6, -1.0)]
    wanted = sum(share * (1 - cosine) for share, cosine in zip(shares, (1.0, 0.6, -1.0), strict=True)) / sum(shares)
    assert patch_style(output, styles, softness=0.5).item() == pytest.approx(wanted)
    assert patch_style(output, styles, softness=1e3).item() == pytest.approx((0 + 0.4 + 2) / 3, abs=1e-3), "very soft: the mean"
    assert patch_style(output, styles[:, 1:2], softness=0.5).item() == pytest.approx(0.4), "one candidate: itself"


@pytest.mark.parametrize(("radius", "masked"), [(0, False), (1, True)])
def test_a_hard_soft_minimum_is_the_minimum(radius: int, masked: bool) -> None:
    output = features(2, 5, 4, 3, seed=1, dtype=torch.float64).requires_grad_()
    styles = features(2, 3, 5, 4, 3, seed=2, dtype=torch.float64)
    mask = features(2, 1, 4, 3, seed=3, dtype=torch.float64).abs().clamp(0, 1) if masked else None
    hard, soft = (patch_style(output, styles, mask=mask, radius=radius, softness=softness) for softness in (0.0, 1e-5))
    torch.testing.assert_close(soft, hard)
    gradients = [torch.autograd.grad(values.sum(), output)[0] for values in (hard, soft)]
    torch.testing.assert_close(gradients[1], gradients[0])
    softer = [patch_style(output, styles, mask=mask, radius=radius, softness=softness).detach() for softness in (0.05, 0.2, 1.0)]
    assert all((low < high).all() for low, high in itertools.pairwise([hard.detach(), *softer])), "softer never is nearer"


def test_soft_gradient_is_that_of_the_candidates_by_their_shares() -> None:
    output = features(1, 3, 1, 1, seed=1, dtype=torch.float64).requires_grad_()
    styles = features(1, 4, 3, 1, 1, seed=2, dtype=torch.float64)
    distances = torch.cat([patch_style(output, styles[:, number : number + 1]) for number in range(4)])
    shares = (-distances.detach() / 0.2).softmax(dim=0)
    assert shares.max() < 0.9, "else one of them decides"
    value = patch_style(output, styles, softness=0.2)
    torch.testing.assert_close(value, (shares * distances).sum()[None])
    (got,), (wanted,) = (torch.autograd.grad(one.sum(), output, retain_graph=True) for one in (value, shares * distances))
    torch.testing.assert_close(got, wanted)


def test_soft_search_counts_the_cells_within_the_map_alone() -> None:
    output, styles = features(1, 3, 3, 4, seed=1).requires_grad_(), features(1, 2, 3, 3, 4, seed=2)
    cosines = torch.einsum("cyx,nchw->yxnhw", *(F.normalize(part, dim=-3) for part in (output[0].detach(), styles[0])))
    wanted = []
    for y, x in itertools.product(range(3), range(4)):
        near = cosines[y, x, :, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].flatten()
        wanted.append(float(((near / 0.1).softmax(dim=0) * (1 - near)).sum()))
    value = patch_style(output, styles, radius=1, softness=0.1)
    assert value.item() == pytest.approx(sum(wanted) / 12, rel=1e-5)
    (gradient,) = torch.autograd.grad(value.sum(), output)
    assert gradient.isfinite().all()
    assert gradient.abs().amin() > 0


@pytest.mark.parametrize(("softness", "patch"), [(-0.1, 1), (0.1, 3)])
def test_softness_that_does_not_fit_is_refused(softness: float, patch: int) -> None:
    with pytest.raises(SettingsError, match=f"got {softness} with patch {patch}"):
        patch_style(torch.ones(1, 2, 3, 3), torch.ones(1, 1, 2, 3, 3), softness=softness, patch=patch)


# ---- precision, masks, refusals


def test_half_precision_styles_are_compared_in_full_precision() -> None:
    output, styles = features(2, 64, 4, 4, seed=1), features(2, 3, 64, 4, 4, seed=2).half()
    got = patch_style(output, styles)
    assert got.dtype == torch.float32
    assert torch.equal(got, patch_style(output, styles.float()))
    assert patch_style(output.bfloat16(), styles).dtype == torch.float32


@pytest.mark.parametrize("patch", [1, 3])
def test_cells_without_weight_have_no_influence(patch: int) -> None:
    output, styles = features(1, 4, 6, 6, seed=1).requires_grad_(), features(1, 2, 4, 6, 6, seed=2)
    mask = torch.zeros(1, 1, 6, 6)
    mask[..., :2, :2] = 1
    before = patch_style(output, styles, mask=mask, patch=patch)
    beyond = 2 + patch // 2  # the cells of the patches around the weighted cells
    changed = output.detach().clone()
    changed[..., beyond:, :] = 9
    changed[..., beyond:] = -9
    assert torch.equal(patch_style(changed, styles, mask=mask, patch=patch), before.detach())
    (gradient,) = torch.autograd.grad(before.sum(), output)
    assert gradient[..., beyond:, :].abs().max() == 0
    assert gradient[..., :2, :2].abs().min() > 0


def test_empty_mask_gives_zero() -> None:
    output = features(2, 4, 3, 3).requires_grad_()
    mask = torch.stack([torch.zeros(1, 3, 3), torch.ones(1, 3, 3)])
    values = patch_style(output, features(2, 2, 4, 3, 3, seed=1), mask=mask)
    assert values[0] == 0 < values[1]
    (gradient,) = torch.autograd.grad(values.sum(), output)
    assert gradient[0].abs().max() == 0
    assert gradient.isfinite().all()


@pytest.mark.parametrize(("radius", "patch"), [(0, 1), (1, 3)])
def test_zeros_have_distance_one_and_a_finite_gradient(radius: int, patch: int) -> None:
    output, styles = features(1, 4, 3, 3).requires_grad_(), features(1, 2, 4, 3, 3, seed=1)
    nothing = torch.zeros_like(output).requires_grad_()
    for own, others in ((nothing, styles), (output, torch.zeros_like(styles)), (nothing, torch.zeros_like(styles))):
        value = patch_style(own, others, radius=radius, patch=patch)
        assert value.item() == pytest.approx(1)
        (gradient,) = torch.autograd.grad(value.sum(), own)
        assert gradient.isfinite().all()
    one_cell = torch.ones(1, 1, 3, 3)
    one_cell[..., 1, 1] = 0
    assert patch_style(output * one_cell, styles, mask=1 - one_cell).item() == pytest.approx(1)


@pytest.mark.parametrize(
    ("output_shape", "styles_shape", "mask_shape"),
    [
        ((2, 4, 3, 3), (1, 2, 4, 3, 3), None),
        ((2, 4, 3, 3), (2, 2, 5, 3, 3), None),
        ((2, 4, 3, 3), (2, 2, 4, 3, 4), None),
        ((2, 4, 3, 3), (2, 4, 3, 3), None),
        ((2, 4, 3, 3), (2, 2, 4, 3, 3), (2, 1, 6, 6)),
        ((2, 4, 3, 3), (2, 2, 4, 3, 3), (2, 3, 3)),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    output_shape: tuple[int, ...], styles_shape: tuple[int, ...], mask_shape: tuple[int, ...] | None
) -> None:
    mask = None if mask_shape is None else torch.ones(mask_shape)
    with pytest.raises(ShapeError, match=r"styles must be|mask must be"):
        patch_style(torch.ones(output_shape), torch.ones(styles_shape), mask=mask)


@pytest.mark.parametrize(("keywords", "word"), [({"radius": -1}, "radius"), ({"patch": 2}, "patch"), ({"patch": 0}, "patch")])
def test_impossible_windows_are_refused(keywords: dict[str, int], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        patch_style(torch.ones(1, 2, 3, 3), torch.ones(1, 1, 2, 3, 3), **keywords)
    with pytest.raises(SettingsError, match="at least one style face"):
        patch_style(torch.ones(1, 2, 3, 3), torch.ones(1, 0, 2, 3, 3))


def test_chooses_the_closest_landmarks() -> None:
    style_landmarks = torch.zeros(4, 68, 2)
    style_landmarks[:, 0, 0] = torch.tensor([5.0, 1.0, -2.0, 9.0])  # one point of each photo is off by this
    landmarks = torch.zeros(2, 68, 2)
    landmarks[1, 0, 0] = 8
    chosen = choose_style_faces(landmarks, style_landmarks, 3)
    assert chosen.dtype == torch.int64
    assert chosen.tolist() == [[1, 2, 0], [3, 0, 1]]


def test_distance_is_the_sum_of_squares() -> None:
    style_landmarks = torch.zeros(2, 68, 2)
    style_landmarks[0, :3, 1] = 2  # squares 12, distances 6
    style_landmarks[1, 0, 0] = 4  # square 16, distance 4
    assert choose_style_faces(torch.zeros(1, 68, 2), style_landmarks, 1).tolist() == [[0]]


def test_points_can_be_weighted() -> None:
    style_landmarks = torch.zeros(2, 68, 2)
    style_landmarks[0, 3] = 1  # near, but off at point 3
    style_landmarks[1, 60] = 4
    landmarks = torch.zeros(1, 68, 2)
    point_weights = torch.ones(68)
    assert choose_style_faces(landmarks, style_landmarks, 2, point_weights=point_weights).tolist() == [[0, 1]]
    point_weights[60] = 0
    assert choose_style_faces(landmarks, style_landmarks, 2, point_weights=point_weights).tolist() == [[1, 0]]


def test_equally_close_photos_keep_their_order() -> None:
    assert choose_style_faces(torch.zeros(1, 68, 2), torch.ones(40, 68, 2), 40).tolist() == [list(range(40))]


@pytest.mark.parametrize("count", [0, 4])
def test_impossible_counts_are_refused(count: int) -> None:
    with pytest.raises(SettingsError, match=f"3, got {count}"):
        choose_style_faces(torch.zeros(1, 68, 2), torch.zeros(3, 68, 2), count)


def test_other_landmarks_are_refused() -> None:
    with pytest.raises(ShapeError, match="68 expected, 5 came"):
        choose_style_faces(torch.zeros(1, 68, 2), torch.zeros(3, 5, 2), 1)
    with pytest.raises(ShapeError, match="point_weights"):
        choose_style_faces(torch.zeros(1, 68, 2), torch.zeros(3, 68, 2), 1, point_weights=torch.ones(67))


def test_searching_all_faces_in_one_step_finds_the_same() -> None:
    # accelerators are given all style faces at once, a CPU one after the other
    output, styles = features(5, 4, 6, seed=1), features(3, 5, 4, 6, seed=2)
    shifts = [(0, 0), (1, -1), (-1, 0)]
    hidden = torch.zeros(3, 4, 6, dtype=torch.bool)
    together = _scores(output, styles, shifts, 3, hidden)
    torch.testing.assert_close(together, torch.cat([_scores(output, face[None], shifts, 3, hidden[:1]) for face in styles]))
    assert together.shape == (3, 3, 4, 6)
    assert together[:, 1, -1].isneginf().all()  # one cell down from the last row
    assert together[:, 1, :, 0].isneginf().all()
    assert together[:, 1, :-1, 1:].isfinite().all()
