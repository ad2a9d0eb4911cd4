"""Faces under other lights, beside the faces as they are."""

from __future__ import annotations

import torch

from stylswap.data.augment import FAN_AMBIENT, FAN_DEG, under_lights, with_light_fan, with_random_lights
from stylswap.data.faceset import FaceSet
from stylswap.data.relight import Lights, direction


def halves(images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Brightness of the left half over the right half, inside the masks, (B,)."""
    middle = images.shape[-1] // 2
    grey, inside = images.mean(dim=1, keepdim=True), (masks > 0.5).float()
    left, right = (
        (grey[..., part] * inside[..., part]).sum(dim=(1, 2, 3)) / inside[..., part].sum(dim=(1, 2, 3))
        for part in (slice(0, middle), slice(middle, None))
    )
    return left / right


def test_a_lamp_at_the_subjects_right_brightens_the_pictures_left(input_set: FaceSet) -> None:
    faces = input_set.faces(range(len(input_set)))
    count = len(faces)

    def lit(azimuth_deg: float) -> torch.Tensor:
        towards = direction(torch.full((count,), azimuth_deg), torch.zeros(count))
        return under_lights(faces, Lights(towards, torch.full((count,), 0.25), torch.ones(count, 3)))

    left, right = halves(lit(70.0), faces.masks), halves(lit(-70.0), faces.masks)
    assert (left > halves(faces.images, faces.masks)).all()
    assert (right < halves(faces.images, faces.masks)).all()
    assert lit(70.0).shape == faces.images.shape
    assert 0 <= float(lit(70.0).min()) <= float(lit(70.0).max()) <= 1


def test_random_lights_add_a_share_and_leave_the_faces(input_set: FaceSet) -> None:
    more = with_random_lights(input_set, 0.5, seed=3)
    count = len(input_set)
    assert len(more) == count + round(0.5 * count)
    assert torch.equal(more.images_u8[:count], input_set.images_u8)
    for row in range(count, len(more)):
        same = input_set.names.index(more.names[row])
        assert torch.equal(more.landmarks[row], input_set.landmarks[same])
        assert not torch.equal(more.images_u8[row], input_set.images_u8[same])
    again = with_random_lights(input_set, 0.5, seed=3)
    other = with_random_lights(input_set, 0.5, seed=4)
    assert torch.equal(more.images_u8, again.images_u8)
    assert not torch.equal(more.images_u8, other.images_u8)
    assert with_random_lights(input_set, 0.0, seed=3) is input_set


def test_a_fan_has_every_face_once_under_each_lamp(identity_set: FaceSet) -> None:
    fan, copies = with_light_fan(identity_set)
    count = len(identity_set)
    assert copies == 1 + len(FAN_DEG)
    assert fan.names == identity_set.names * copies
    assert torch.equal(fan.images_u8[:count], identity_set.images_u8)
    towards = direction(torch.tensor([FAN_DEG[1][0]]), torch.tensor([FAN_DEG[1][1]])).expand(count, 3)
    expected = under_lights(identity_set.faces(range(count)), Lights(towards, torch.full((count,), FAN_AMBIENT), torch.ones(count, 3)))
    assert (fan.images_u8[2 * count : 3 * count].float() / 255 - expected).abs().max() <= 0.5 / 255 + 1e-6


def test_many_photos_are_seen_under_fewer_lamps(identity_set: FaceSet) -> None:
    count = len(identity_set)
    assert with_light_fan(identity_set, most_faces=3 * count)[1] == 3
    assert with_light_fan(identity_set, most_faces=count - 1, most_photos=count)[1] == 2
    fan, copies = with_light_fan(identity_set, most_faces=count - 1, most_photos=count - 1)
    assert copies == 1
    assert torch.equal(fan.images_u8, identity_set.images_u8)
