"""Content, smoothness, luminance, chrominance and keep: numbers by hand, gradients, masks, refusals."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from stylswap.errors import SettingsError, ShapeError
from stylswap.losses import content, luminance, smoothness
from stylswap.losses.cells import mean_over_cells
from stylswap.losses.colour import chrominance
from stylswap.losses.keep import keep
from stylswap.losses.luminance import luma


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_content_by_hand() -> None:
    input_ = torch.zeros(2, 2, 1, 2)
    output = torch.tensor([[[[1.0, 3.0]], [[1.0, 0.0]]], [[[2.0, 0.0]], [[0.0, 0.0]]]])
    assert content(output, input_).tolist() == [(1 + 9 + 1 + 0) / 4, 1]
    mask = torch.tensor([[[[1.0, 0.5]]], [[[0.0, 1.0]]]])
    assert content(output, input_, mask=mask).tolist() == pytest.approx([(1 * 1 + 0.5 * 4.5) / 1.5, 0])


def test_smoothness_by_hand() -> None:
    output = torch.zeros(3, 3, 4, 5)
    output[0] = torch.arange(5) * 0.1  # climbs by 0.1 from column to column
    output[1] = torch.arange(4)[:, None] * 0.2 + torch.arange(5) * 0.1
    output[2] = 0.7
    assert smoothness(output).tolist() == pytest.approx([0.01, 0.05, 0], abs=1e-7)
    board = (torch.arange(4)[:, None] + torch.arange(4)) % 2
    assert smoothness(board.float().expand(1, 3, 4, 4)).item() == 2


def test_smoothness_does_not_depend_on_the_resolution_of_a_ramp_with_equal_steps() -> None:
    steps = 0.01 * torch.arange(64)
    small, large = steps[:8].expand(1, 3, 8, 8), steps.expand(1, 3, 64, 64)
    torch.testing.assert_close(smoothness(small), smoothness(large))


def test_luma_has_the_weights_of_rec_709() -> None:
    primaries = torch.eye(3).view(3, 3, 1, 1)
    assert luma(primaries).flatten().tolist() == pytest.approx([0.2126, 0.7152, 0.0722])
    assert luma(torch.ones(1, 3, 1, 1)).item() == pytest.approx(1)


def test_luminance_by_hand() -> None:
    input_ = torch.full((1, 3, 4, 4), 0.25)
    output = input_.clone()
    output[..., :2, :2] += 0.4  # one of four cells
    assert luminance(output, input_, cells=2).item() == pytest.approx(0.16 / 4)
    assert luminance(output, input_, cells=1).item() == pytest.approx(0.01)
    green = input_.clone()
    green[:, 1] += 0.1
    assert luminance(green, input_, cells=2).item() == pytest.approx(0.07152**2)


def test_luminance_sees_neither_detail_nor_colour() -> None:
    input_ = torch.full((1, 3, 16, 16), 0.5)
    board = (torch.arange(16)[:, None] + torch.arange(16)) % 2
    assert luminance(input_ + 0.3 * (board - 0.5), input_, cells=4).item() == pytest.approx(0, abs=1e-12)
    shift = torch.tensor([0.1, -0.1 * 0.2126 / 0.7152, 0.0]).view(1, 3, 1, 1)  # redder, less green, as light as before
    assert luminance(input_ + shift, input_, cells=4).item() == pytest.approx(0, abs=1e-12)


def test_luminance_keeps_the_background_out_of_the_cells_at_the_edge() -> None:
    input_, output = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :3] = 1  # the second cell from the left is half face
    output[..., :3] = 0.2
    output[..., 3:] = 0.9
    assert luminance(output, input_, mask=mask, cells=4).item() == pytest.approx(0.04)
    output[..., 2] = 0.5  # a quarter of the rest of the weight: cells at 0.2 (weight 2) and 0.5 (weight 1)
    assert luminance(output, input_, mask=mask, cells=4).item() == pytest.approx((2 * 0.04 + 0.25) / 3)


def test_chrominance_by_hand() -> None:
    input_ = torch.full((1, 3, 4, 4), 0.25)
    output, everywhere = input_.clone(), torch.ones(1, 1, 4, 4)
    output[:, 0, :2, :2] += 0.4  # redder in one of four cells: R - Y grows by 0.7874, B - Y falls by 0.2126 of it
    wanted = 0.16 * (0.7874**2 + 0.2126**2) / 2
    assert chrominance(output, input_, mask=everywhere, cells=2).item() == pytest.approx(wanted / 4)
    assert chrominance(output, input_, mask=everywhere, cells=1).item() == pytest.approx(wanted / 16)
    assert chrominance(output, input_, mask=everywhere[..., :2, :2].repeat(1, 1, 2, 2), cells=2).item() == pytest.approx(wanted / 4)
    green = input_.clone()
    green[:, 1] += 0.1
    assert chrominance(green, input_, mask=everywhere, cells=2).item() == pytest.approx(0.07152**2)


def test_chrominance_sees_neither_detail_nor_brightness() -> None:
    input_, everywhere = torch.full((1, 3, 16, 16), 0.5), torch.ones(1, 1, 16, 16)
    board = ((torch.arange(16)[:, None] + torch.arange(16)) % 2 - 0.5) * torch.tensor([1.0, 0.0, -1.0]).view(3, 1, 1)
    assert chrominance(input_ + 0.3 * board, input_, mask=everywhere).item() == pytest.approx(0, abs=1e-12)
    assert chrominance(input_ + 0.3, input_, mask=everywhere).item() == pytest.approx(0, abs=1e-12)


def test_chrominance_keeps_the_background_out_of_the_cells_at_the_edge() -> None:
    input_, output, mask = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)
    mask[..., :3] = 1  # the second cell from the left is half face
    output[:, 2, :, :3], output[:, 2, :, 3:] = 0.2, 0.9
    wanted = 0.04 * ((1 - 0.0722) ** 2 + 0.0722**2) / 2
    assert chrominance(output, input_, mask=mask, cells=4).item() == pytest.approx(wanted)


def test_keep_by_hand() -> None:
    input_, kept = torch.zeros(3, 3, 2, 2), torch.zeros(3, 1, 2, 2)
    output = torch.full_like(input_, 0.5)
    output[:, 0, 0, 0] = 0.8  # (0.64 + 0.25 + 0.25) / 3 = 0.38
    kept[1, :, 0, 0] = 1
    kept[2, :, 0] = torch.tensor([0.5, 1.0])
    assert keep(output, input_, kept).tolist() == pytest.approx([0, 0.38, (0.5 * 0.38 + 0.25) / 1.5])
    assert keep(input_, input_, kept).tolist() == [0, 0, 0]


def luminance_4(output: Tensor, input_: Tensor, *, mask: Tensor | None = None) -> Tensor:
    return luminance(output, input_, mask=mask, cells=4)


def chrominance_4(output: Tensor, input_: Tensor, *, mask: Tensor | None = None) -> Tensor:
    return chrominance(output, input_, mask=torch.ones_like(output[:, :1]) if mask is None else mask, cells=4)


def keep_all(output: Tensor, input_: Tensor, *, mask: Tensor | None = None) -> Tensor:
    return keep(output, input_, torch.ones_like(output[:, :1]) if mask is None else mask)


TWO_IMAGES = [content, luminance_4]


MASKED = [*TWO_IMAGES, chrominance_4, keep_all]


@pytest.mark.parametrize("term", MASKED)
@pytest.mark.parametrize("masked", [False, True])
def test_gradient(term: Callable[..., Tensor], masked: bool) -> None:
    output = noise(2, 3, 8, 8, seed=1, dtype=torch.float64).requires_grad_()
    input_ = noise(2, 3, 8, 8, seed=2, dtype=torch.float64)
    mask = noise(2, 1, 8, 8, seed=3, dtype=torch.float64) if masked else None
    assert torch.autograd.gradcheck(lambda o: term(o, input_, mask=mask), output)


def test_gradient_of_smoothness() -> None:
    assert torch.autograd.gradcheck(smoothness, noise(2, 3, 3, 4, dtype=torch.float64).requires_grad_())


@pytest.mark.parametrize("term", [*MASKED, lambda output, _: smoothness(output)])
def test_a_face_of_the_batch_does_not_see_the_others(term: Callable[..., Tensor]) -> None:
    output, input_ = noise(3, 3, 8, 8, seed=1), noise(3, 3, 8, 8, seed=2)
    together = term(output, input_)
    assert together.shape == (3,)
    alone = torch.cat([term(output[b : b + 1], input_[b : b + 1]) for b in range(3)])
    torch.testing.assert_close(together, alone)
    assert len(set(together.tolist())) == 3


@pytest.mark.parametrize("term", MASKED)
def test_cells_without_weight_have_no_influence(term: Callable[..., Tensor]) -> None:
    output, input_ = noise(1, 3, 8, 8, seed=1).requires_grad_(), noise(1, 3, 8, 8, seed=2)
    mask = noise(1, 1, 8, 8, seed=3)
    mask[..., 3:, :] = 0
    before = term(output, input_, mask=mask)
    changed = output.detach().clone()
    changed[..., 3:, :] = 1
    assert torch.equal(term(changed, input_, mask=mask), before.detach())
    (gradient,) = torch.autograd.grad(before.sum(), output)
    assert gradient[..., 3:, :].abs().max() == 0
    assert gradient[..., :3, :].abs().max() > 0


@pytest.mark.parametrize("term", MASKED)
def test_a_mask_of_ones_is_no_mask(term: Callable[..., Tensor]) -> None:
    output, input_ = noise(2, 3, 8, 8, seed=1), noise(2, 3, 8, 8, seed=2)
    torch.testing.assert_close(term(output, input_, mask=torch.ones(2, 1, 8, 8)), term(output, input_))
    torch.testing.assert_close(term(output, input_, mask=torch.full((2, 1, 8, 8), 0.25)), term(output, input_))


@pytest.mark.parametrize("term", MASKED)
def test_an_empty_mask_gives_zero(term: Callable[..., Tensor]) -> None:
    output, input_ = noise(2, 3, 8, 8, seed=1).requires_grad_(), noise(2, 3, 8, 8, seed=2)
    mask = torch.zeros(2, 1, 8, 8)
    mask[1] = 1
    values = term(output, input_, mask=mask)
    assert values[0] == 0 < values[1]
    (gradient,) = torch.autograd.grad(values.sum(), output)
    assert gradient.isfinite().all()
    assert gradient[0].abs().max() == 0 < gradient[1].abs().max()


def test_mean_over_cells_by_hand() -> None:
    values = torch.tensor([[[1.0, 2.0], [3.0, 6.0]]])
    assert mean_over_cells(values).tolist() == [3]
    assert mean_over_cells(values, torch.tensor([[[[0.5, 0.0], [0.0, 1.0]]]])).tolist() == pytest.approx([6.5 / 1.5])
    with pytest.raises(ShapeError, match="mask must be"):
        mean_over_cells(values, torch.ones(1, 2, 2))


@pytest.mark.parametrize("term", TWO_IMAGES)
@pytest.mark.parametrize(
    ("input_shape", "mask_shape"),
    [((1, 3, 8, 8), None), ((2, 4, 8, 8), None), ((2, 3, 8, 4), None), ((2, 3, 8, 8), (2, 1, 4, 4)), ((2, 3, 8, 8), (1, 1, 8, 8))],
)
def test_shapes_that_do_not_fit_are_refused(
    term: Callable[..., Tensor], input_shape: tuple[int, ...], mask_shape: tuple[int, ...] | None
) -> None:
    mask = None if mask_shape is None else torch.ones(mask_shape)
    with pytest.raises(ShapeError, match=r"input_ must be|mask must be"):
        term(torch.ones(2, 3, 8, 8), torch.ones(input_shape), mask=mask)


def test_images_without_neighbours_are_refused() -> None:
    with pytest.raises(ShapeError, match="2 rows"):
        smoothness(torch.ones(1, 3, 1, 5))
    with pytest.raises(ShapeError, match="3 expected, 1 came"):
        smoothness(torch.ones(1, 1, 5, 5))


def test_grids_that_do_not_fit_are_refused() -> None:
    images = torch.ones(1, 3, 8, 8)
    with pytest.raises(ShapeError, match="multiple of cells = 16, got 8"):
        luminance(images, images)
    with pytest.raises(SettingsError, match="cells must be at least 1"):
        luminance(images, images, cells=0)
    with pytest.raises(ShapeError, match="multiple of cells = 3, got 8"):
        chrominance(images, images, mask=images[:, :1], cells=3)
    with pytest.raises(SettingsError, match="cells must be at least 1, got 0"):
        chrominance(images, images, mask=images[:, :1], cells=0)


@pytest.mark.parametrize("shapes", [((1, 3, 8, 8), (2, 1, 8, 8)), ((2, 3, 8, 8), (2, 1, 4, 4)), ((2, 3, 8, 8), (2, 3, 8, 8))])
def test_masks_that_do_not_fit_are_refused(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    output, input_, mask = torch.ones(2, 3, 8, 8), torch.ones(shapes[0]), torch.ones(shapes[1])
    with pytest.raises(ShapeError, match=r"input_ must be|mask must be"):
        chrominance(output, input_, mask=mask)
    with pytest.raises(ShapeError, match=r"input_ must be|kept must be"):
        keep(output, input_, mask)
