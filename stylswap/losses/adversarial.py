"""The adversarial terms: the discriminator's two, and the one that its opponent minimises. All see logits, never a network."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from stylswap.errors import ShapeError
from stylswap.losses.cells import mean_over_cells
from stylswap.shapes import check_shapes


def face_cells(mask: Tensor, logits: Tensor) -> Tensor:
    """The weight of each logit: the share of the face in the square that it stands for.

    Args:
        mask: Face masks at the size of the crops, (B, 1, S, S) in [0, 1].
        logits: Of the crops, (B, 1, H, W); only the shape is looked at.

    Returns:
        (B, 1, H, W) in [0, 1]. A square at the edge of the face counts as much as there is face in it.

    Raises:
        ShapeError: If B differs, or S is no multiple of H and W.
    """
    sizes = check_shapes(mask=(mask, "B 1 S S"), logits=(logits, "B 1 H W"))
    height, width = sizes["H"], sizes["W"]
    if sizes["S"] % height or sizes["S"] % width:
        raise ShapeError(f"the side of mask must be a multiple of {height} and {width}, the size of logits, got {tuple(mask.shape)}")
    return F.interpolate(mask, size=(height, width), mode="area")


def discriminator_hinge(real: Tensor, fake: Tensor, *, real_mask: Tensor | None = None, fake_mask: Tensor | None = None) -> Tensor:
    """What the discriminator minimises: real patches above 1, drawn ones below -1.

    A patch that is beyond its margin costs nothing and teaches nothing, so that a discriminator that is sure does not grow surer.

    Args:
        real: Logits of photos, (B, 1, H, W).
        fake: Logits of outputs, (B, 1, H, W). Their images are constants: detach them.
        real_mask: Weight of each logit of the photos, (B, 1, H, W) in [0, 1], see `face_cells`; None weighs all alike.
        fake_mask: The same of the outputs.

    Returns:
        Sum of the two means over weighted cells, (B,), 0 or more. 2: it cannot tell them apart, or says nothing. A side whose mask is zero
        everywhere adds 0.

    Raises:
        ShapeError: If B, H or W differ.

    Reference:
        lim2017 and miyato2018, the hinge; isola2017, one decision a patch.

    Differs from the paper:
        Cells may be weighted: what will not be pasted need not be believed.
    """
    check_shapes(real=(real, "B 1 H W"), fake=(fake, "B 1 H W"))
    return mean_over_cells(F.relu(1.0 - real[:, 0]), real_mask) + mean_over_cells(F.relu(1.0 + fake[:, 0]), fake_mask)


def generator_hinge(fake: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """What the discriminator's opponent minimises: its patches should be taken for real.

    Args:
        fake: Logits of the outputs, (B, 1, H, W), with a gradient to the outputs.
        mask: Weight of each logit, (B, 1, H, W) in [0, 1], see `face_cells`; None weighs all alike.

    Returns:
        Minus the mean logit over weighted cells, (B,), of either sign. A face whose mask is zero everywhere gets 0.

    Raises:
        ShapeError: If B, H or W differ.

    Reference:
        lim2017; miyato2018.

    Differs from the paper:
        Cells may be weighted.
    """
    check_shapes(fake=(fake, "B 1 H W"))
    return mean_over_cells(-fake[:, 0], mask)
