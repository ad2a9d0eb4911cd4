"""Which photos an input meets: by landmarks, then by light."""

from __future__ import annotations

import torch
from torch import Tensor

from stylswap.data.augment import with_light_fan
from stylswap.data.faceset import FaceSet
from stylswap.engines.style_faces import choose_rows, lit_alike
from stylswap.losses.style import choose_style_faces


def side_light(images: Tensor) -> Tensor:
    """A critic that a child could be: how much brighter the left half is, as an angle on a circle, (B, 2)."""
    middle = images.shape[-1] // 2
    difference = images[..., :middle].mean(dim=(1, 2, 3)) - images[..., middle:].mean(dim=(1, 2, 3))
    return torch.stack([torch.cos(3 * difference), torch.sin(3 * difference)], dim=1)


def test_without_copies_the_landmarks_choose_alone(input_set: FaceSet, identity_set: FaceSet) -> None:
    expected = choose_style_faces(input_set.all_landmarks, identity_set.all_landmarks, 3)
    assert torch.equal(choose_rows(input_set, identity_set, 3), expected)


def test_copies_do_not_change_which_photos_are_chosen(input_set: FaceSet, identity_set: FaceSet) -> None:
    fan, copies = with_light_fan(identity_set)
    plain, among_copies = choose_rows(input_set, identity_set, 3), choose_rows(input_set, fan, 3, copies=copies)
    photos = len(identity_set)
    assert torch.equal(among_copies % len(fan), plain % photos)
    assert torch.equal(among_copies >= len(fan), plain >= photos)


def test_of_each_photo_the_copy_lit_most_alike_is_taken(input_set: FaceSet, identity_set: FaceSet) -> None:
    fan, copies = with_light_fan(identity_set)
    rows = choose_rows(input_set, fan, 3, copies=copies)
    chosen = lit_alike(rows, input_set, fan, copies, side_light)
    photos, total = len(identity_set), len(fan)
    assert torch.equal(chosen % total % photos, rows % total)
    assert torch.equal(chosen >= total, rows >= total)
    wanted = side_light(input_set.faces(range(input_set.num_rows)).images)
    for row in range(0, input_set.num_rows, 3):
        for place in range(3):
            start = int(rows[row, place])
            offered = side_light(fan.faces([start + photos * copy for copy in range(copies)]).images)
            nearest = int((offered - wanted[row]).norm(dim=1).argmin())
            assert int(chosen[row, place]) == start + photos * nearest
    assert len(set((chosen % total // photos).flatten().tolist())) > 1, "one lamp for all would mean that nothing was chosen"
