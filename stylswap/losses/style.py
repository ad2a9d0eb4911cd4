"""The style term: every cell of the output should look like that cell of one of the identity's photos."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from stylswap.errors import SettingsError
from stylswap.losses.cells import mean_over_cells
from stylswap.shapes import check_shapes

LEAST_SQUARE = 1e-6
"""Floor of a patch's squared length. A cell of a normalised VGG has one of about C, so only patches of zeros meet the floor."""

_NOT_SHOWN = 1e4  # taken off the score of a cell that shows no face; scores are cosines times a cell's length, about the root of C


class _Matches(NamedTuple):
    """For each cell of the output the patch that it was matched with."""

    face: Tensor  # (B, H, W) which style face
    row: Tensor  # (B, H, W) centre of the patch in it
    column: Tensor  # (B, H, W)


def patch_style(
    output: Tensor,
    styles: Tensor,
    *,
    mask: Tensor | None = None,
    shown: Tensor | None = None,
    radius: int = 0,
    patch: int = 1,
    softness: float = 0.0,
) -> Tensor:
    """Cosine distance from each patch of the output to its best match among the style faces.

    All faces are aligned, so cell (y, x) shows the same part of the face in every image: eyes meet eyes, and no table of all pairs
    of cells is built. Face b of the batch only meets `styles[b]`. The match is found without a gradient; the gradient then flows
    through the distance to the match alone.

    Patches reach over the border as if the map went on with zeros, but the centre of a match lies within the map.

    Args:
        output: Features of the output crops, (B, C, H, W).
        styles: Features of the N style faces chosen for each output, (B, N, C, H, W). Constants. They may be float16: one face at
            a time is turned into the precision of the output, float32 or better. Fastest on a CPU, and by far so for large patches,
            when each face lies in memory as channels_last.
        mask: Weight of each cell, (B, 1, H, W) in [0, 1]; None weighs all alike. It weighs patches by their centre; the cells
            within a patch count alike.
        shown: How much of each cell of a style face is face, (B, N, 1, H, W) in [0, 1]. Where it is less than half (hair over the
            forehead, a hand), the cell is no match, nor is a patch around it; where no candidate is face, nothing is asked. None: all is.
        radius: How many cells away from (y, x), in each direction, a match may be.
        patch: Side of a patch in cells, odd.
        softness: Temperature of a soft minimum over all candidates; 0: the best match alone. Candidates that are further than some
            `softness` behind the best count for nothing. Only for patches of one cell.

    Returns:
        Mean distance, (B,), in [0, 2] up to rounding. 0: every patch points exactly along a patch of some style face. A patch of
        zeros has distance 1.

    Raises:
        ShapeError: If B, C, H or W differ.
        SettingsError: If `radius` is negative, `patch` is not odd, `softness` is negative or meets larger patches, or there are no style
            faces.

    Reference:
        korshunova2017, style loss; li2016.

    Differs from the paper:
        Mean over weighted cells instead of a sum, so that one weight serves every resolution. The paper's search is radius 0 and
        patch 1 and softness 0; others are ours. So is `shown`: the paper draws the identity's hairline onto high foreheads.
    """
    sizes = check_shapes(output=(output, "B C H W"), styles=(styles, "B N C H W"))
    if mask is not None:
        check_shapes(output=(output, "B C H W"), mask=(mask, "B 1 H W"))
    if shown is not None:
        check_shapes(styles=(styles, "B N C H W"), shown=(shown, "B N 1 H W"))
    if sizes["N"] < 1:
        raise SettingsError(f"styles must hold at least one style face, got {tuple(styles.shape)}")
    if radius < 0:
        raise SettingsError(f"radius must be 0 or more cells, got {radius}")
    if patch < 1 or patch % 2 == 0:
        raise SettingsError(f"patch must be an odd number of cells, got {patch}")
    if softness < 0 or (softness > 0 and patch != 1):
        raise SettingsError(f"softness must be 0 or more, and 0 for patches of more than one cell, got {softness} with patch {patch}")
    output = output.to(torch.promote_types(output.dtype, torch.float32))
    if shown is None:
        hidden = torch.zeros_like(styles[:, :, 0], dtype=torch.bool)  # (B, N, H, W)
    else:
        hidden = shown[:, :, 0] < 0.5
        mask = _with_candidates(~hidden, radius).to(output) * (1.0 if mask is None else mask)
    if softness > 0:
        return mean_over_cells(_soft_minimum(output, styles, hidden, radius, softness), mask)
    with torch.no_grad():
        matches = _find_matches(output, styles, hidden, radius, patch)
    return mean_over_cells(1 - _cosine(output, styles, matches, patch), mask)


def choose_style_faces(landmarks: Tensor, style_landmarks: Tensor, count: int, *, point_weights: Tensor | None = None) -> Tensor:
    """The identity's photos whose aligned landmarks are closest to those of each input.

    Args:
        landmarks: Landmarks of the inputs in their crops, (B, 68, 2).
        style_landmarks: Landmarks of the identity's photos in theirs, (M, 68, 2).
        count: How many photos to choose for each input; N in `patch_style`, 16 in the paper.
        point_weights: Weight of each point in the distance, (68,); None weighs all alike.

    Returns:
        Indices into the M photos, (B, count), closest first; equals keep their order.

    Raises:
        ShapeError: If the landmarks are not 68 points.
        SettingsError: If `count` is below 1 or above M.

    Reference:
        korshunova2017, section 3.2.

    Differs from the paper:
        Points may be weighted.
    """
    num_photos = check_shapes(landmarks=(landmarks, "B 68 2"), style_landmarks=(style_landmarks, "M 68 2"))["M"]
    if not 1 <= count <= num_photos:
        raise SettingsError(
            f"count must be from 1 to the number of photos of the identity, {num_photos}, got {count}: lower count or give more photos"
        )
    squares = (landmarks[:, None] - style_landmarks[None]).square().sum(dim=-1)  # (B, M, 68)
    if point_weights is not None:
        check_shapes(point_weights=(point_weights, "68"))
        squares = squares * point_weights
    return squares.sum(dim=-1).sort(dim=1, stable=True).indices[:, :count]  # (B, count)


def _shifts(output: Tensor, radius: int) -> list[tuple[int, int]]:
    """The window around a cell."""
    height, width = output.shape[-2:]
    reach_y, reach_x = min(radius, height - 1), min(radius, width - 1)
    return [(dy, dx) for dy in range(-reach_y, reach_y + 1) for dx in range(-reach_x, reach_x + 1)]


def _with_candidates(shown: Tensor, radius: int) -> Tensor:
    """Cells in whose window some style face shows a face: (B, N, H, W) -> (B, 1, H, W), both true or false."""
    some = shown.any(dim=1, keepdim=True)
    return F.max_pool2d(some.float(), 2 * radius + 1, stride=1, padding=radius) > 0 if radius else some


def _soft_minimum(output: Tensor, styles: Tensor, hidden: Tensor, radius: int, softness: float) -> Tensor:
    """Distance of each cell to all candidates, weighed by how near they are: (B, H, W), with a gradient to the output."""
    lengths = output.square().sum(dim=1).clamp_min(LEAST_SQUARE).sqrt()  # (B, H, W)
    shifts, softened = _shifts(output, radius), []
    for face, length, faces, covered in zip(output, lengths, styles, hidden, strict=True):
        scores = _scores(face, faces.to(face.dtype), shifts, 1, covered).flatten(0, 1)  # (N K, H, W)
        outside = scores.isneginf()  # a shift that leaves the map; set to 0 first, for infinity has no gradient
        cosines = scores.masked_fill(outside, 0.0) / length
        shares = (cosines.detach().masked_fill(outside, -torch.inf) / softness).softmax(dim=0)
        softened.append((shares * (1 - cosines)).sum(dim=0))
    return torch.stack(softened)


def _find_matches(output: Tensor, styles: Tensor, hidden: Tensor, radius: int, patch: int) -> _Matches:
    """Search the window of every cell in every style face."""
    height, width = output.shape[-2:]
    shifts = _shifts(output, radius)
    # One style face at a time stays in the cache of a CPU; an accelerator wants few and large steps.
    chunk = 1 if output.device.type == "cpu" else styles.shape[1]
    last = styles[0].is_contiguous(memory_format=torch.channels_last)
    output = output.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)  # as the styles: one order
    best = []
    for face, faces, covered in zip(output, styles, hidden, strict=True):
        pairs = zip(faces.split(chunk), covered.split(chunk), strict=True)
        parts = [_scores(face, some.to(face.dtype), shifts, patch, cover) for some, cover in pairs]
        scores = torch.cat(parts)  # (N, K, H, W)
        best.append(scores.flatten(0, 1).argmax(dim=0))  # (H, W)
    chosen = torch.stack(best)  # (B, H, W)
    shift = torch.tensor(shifts, device=output.device)[chosen % len(shifts)]  # (B, H, W, 2)
    rows = torch.arange(height, device=output.device)[:, None] + shift[..., 0]
    columns = torch.arange(width, device=output.device) + shift[..., 1]
    return _Matches(chosen // len(shifts), rows, columns)


def _scores(face: Tensor, styles: Tensor, shifts: list[tuple[int, int]], patch: int, hidden: Tensor) -> Tensor:
    """Dot products with the patches of `styles`, divided by the length of those: (C, H, W), (N, C, H, W) -> (N, K, H, W).

    The dot product of two patches is the sum over their cells of the dot products of cells, so k x k patches cost one box sum, and
    no patch is ever laid out. A shift that leaves the map scores minus infinity; what is hidden, (N, H, W), much less than all else.
    """
    height, width = face.shape[-2:]
    lengths = _box_sum(styles.square().sum(dim=1), patch).clamp_min(LEAST_SQUARE).sqrt()  # (N, H, W)
    scores = face.new_full((len(styles), len(shifts), height, width), -torch.inf)
    for index, (dy, dx) in enumerate(shifts):
        here = (..., slice(max(-dy, 0), height - max(dy, 0)), slice(max(-dx, 0), width - max(dx, 0)))
        there = (..., slice(max(dy, 0), height - max(-dy, 0)), slice(max(dx, 0), width - max(-dx, 0)))
        dots = face.new_zeros((len(styles), height, width))
        dots[here] = (face[here] * styles[there]).sum(dim=1)
        scores[:, index][here] = _box_sum(dots, patch)[here] / lengths[there]
        scores[:, index][here] -= _NOT_SHOWN * hidden[there]
    return scores


def _cosine(output: Tensor, styles: Tensor, matches: _Matches, patch: int) -> Tensor:
    """Cosine of each patch of the output with its match, (B, H, W), with a gradient to the output."""
    batch, _, height, width = output.shape
    face = torch.arange(batch, device=output.device)[:, None, None]
    own = output.permute(0, 2, 3, 1).contiguous()  # (B, H, W, C): a cell is read as one piece
    cells = styles.permute(0, 1, 3, 4, 2)  # (B, N, H, W, C)
    half = patch // 2
    padded = F.pad(own, (0, 0, half, half, half, half)) if half else own
    dots = squares = output.new_zeros(())
    for dy in range(-half, half + 1):
        for dx in range(-half, half + 1):
            row, column = matches.row + dy, matches.column + dx  # (B, H, W)
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            where = (face, matches.face, row.clamp(0, height - 1), column.clamp(0, width - 1))
            match = cells[where].to(output.dtype)  # (B, H, W, C)
            near = padded[:, half + dy : half + dy + height, half + dx : half + dx + width]  # (B, H, W, C)
            dots = dots + (near * match).sum(dim=-1) * inside
            squares = squares + match.square().sum(dim=-1) * inside
    own_squares = _box_sum(own.square().sum(dim=-1), patch)  # (B, H, W)
    return dots / (own_squares.clamp_min(LEAST_SQUARE) * squares.clamp_min(LEAST_SQUARE)).sqrt()


def _box_sum(values: Tensor, side: int) -> Tensor:
    """Sum over the square of cells around each cell, zeros beyond the border: (B, H, W) -> (B, H, W)."""
    if side == 1:
        return values
    return F.avg_pool2d(values[:, None], side, stride=1, padding=side // 2, divisor_override=1)[:, 0]
