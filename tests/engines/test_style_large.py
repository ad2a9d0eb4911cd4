"""Crops larger than what the critics see: 64 px with critics at 32, as 256 px with critics at 128."""

from __future__ import annotations

from collections.abc import Collection

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylswap.data.faceset import FaceSet, RowBatch
from stylswap.engines.critic_size import reduced, reduced_faces
from stylswap.engines.detail import DetailOptions, window_corner, windows
from stylswap.engines.style import DISCRIMINATOR_TERMS, TERMS, Judges, StyleEngine
from stylswap.engines.style_options import StyleOptions
from stylswap.engines.style_pass import StylePass
from stylswap.errors import SettingsError
from stylswap.faces.batch import FaceBatch
from stylswap.features.lighting import LightingCritic
from stylswap.features.recogniser import Recogniser
from stylswap.features.vgg import VGG
from stylswap.losses.keep import keep
from stylswap.losses.luminance import luminance
from stylswap.losses.smoothness import smoothness
from stylswap.losses.style import patch_style
from stylswap.networks import GrownNetwork, build_network
from stylswap.networks.discriminator import build_discriminator
from stylswap.training.loop import Loop

SMALL = 32
NUM_FACES = 3
ROWS = (0, 4, 7)  # of six faces; 7 is the mirror image of 1
DETAIL = DetailOptions(layers=("relu2_1", "relu3_1"), num_faces=2, radius=1)
LIGHT = LightingCritic.load()
RECOGNISER = Recogniser.load("dlib")


class Watched:
    """What a frozen network was shown: the sides of the images."""

    def __init__(self) -> None:
        self.vgg = VGG.load()
        self.sides: list[int] = []

    def __call__(self, images: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        self.sides.append(images.shape[-1])
        features: dict[str, Tensor] = self.vgg(images, layers)
        return features

    def light(self, images: Tensor) -> Tensor:
        self.sides.append(images.shape[-1])
        seen: Tensor = LIGHT(images)
        return seen

    def recognise(self, images: Tensor, landmarks: Tensor) -> Tensor:
        self.sides.append(images.shape[-1])
        assert landmarks.max() < images.shape[-1] + 8
        seen: Tensor = RECOGNISER(images, landmarks)
        return seen

    def landmarks(self, images: Tensor) -> Tensor:
        """No landmark network, but numbers that follow from the image."""
        self.sides.append(images.shape[-1])
        spread = torch.linspace(2.0, 30.0, 68)[None, :, None]
        return spread * (1.0 + images.mean(dim=(1, 2, 3))[:, None, None]) * torch.tensor([1.0, 0.5])


@pytest.fixture
def seen() -> Watched:
    return Watched()


def network() -> nn.Module:
    net = build_network("residual", seed=1, widths=[8, 16, 16], blocks=1)
    last = net.get_submodule("to_change")
    assert isinstance(last, nn.Conv2d)
    nn.init.normal_(last.weight, std=0.02, generator=torch.Generator().manual_seed(2))
    return net


def grown() -> GrownNetwork:
    net = build_network("grown", seed=1, widths=[8, 16, 16], blocks=1)
    assert isinstance(net, GrownNetwork)
    nn.init.normal_(net.base.to_change.weight, std=0.02, generator=torch.Generator().manual_seed(2))
    return net


def make(
    seen: Watched,
    inputs: FaceSet,
    identity: FaceSet,
    *,
    critic_px: int = SMALL,
    net: nn.Module | None = None,
    detail: DetailOptions = DETAIL,
    finished: bool = False,
) -> StyleEngine:
    judges = Judges(seen.light, [seen.recognise], seen.landmarks, build_discriminator(seed=3, widths=[4, 4, 8]))
    style = StyleOptions(num_faces=NUM_FACES, features=2.0)
    options = {"style": style, "detail": detail, "critic_px": critic_px, "judges": judges, "finished": finished}
    return StyleEngine(net or network(), seen, inputs, identity, **options)  # type: ignore[arg-type]


@pytest.fixture
def engine(seen: Watched, input_set: FaceSet, identity_set: FaceSet) -> StyleEngine:
    return make(seen, input_set, identity_set)


# ---- reducing


def test_reducing_takes_means_and_moves_the_points_along(input_set: FaceSet) -> None:
    faces = input_set.faces(ROWS)
    small = reduced_faces(faces, SMALL)
    assert small.size == SMALL
    torch.testing.assert_close(small.images[1, 2, 5, 7], faces.images[1, 2, 10:12, 14:16].mean())
    torch.testing.assert_close(small.masks, F.interpolate(faces.masks, scale_factor=0.5, mode="area"))
    # A bright square of 2 x 2 pixels has its middle at 20.5; reduced, it is the pixel 10.
    torch.testing.assert_close((torch.tensor(20.5) + 0.5) / 2 - 0.5, torch.tensor(10.0))
    torch.testing.assert_close(small.landmarks, faces.landmarks / 2 - 0.25)


@pytest.mark.parametrize("critic_px", [64, 128])
def test_what_is_no_larger_comes_back_as_it_is(input_set: FaceSet, critic_px: int) -> None:
    faces = input_set.faces(ROWS)
    assert reduced_faces(faces, critic_px) is faces
    assert reduced(faces.images, critic_px) is faces.images


def test_faces_are_finished_in_full_size(input_set: FaceSet, identity_set: FaceSet) -> None:
    """Photos show the large crop finished; what is reduced first and finished then would be sharper than they are."""
    shown: list[Tensor] = []

    class Keeps(Watched):
        def recognise(self, images: Tensor, landmarks: Tensor) -> Tensor:
            shown.append(images.detach())
            return super().recognise(images, landmarks)

    engine = make(Keeps(), input_set, identity_set, finished=True)
    batch = input_set.batch(ROWS)
    engine.terms(batch, {"identity"})
    assert torch.equal(shown[-1], reduced(engine.judged(batch), SMALL))


def test_at_the_critics_size_nothing_changes(seen: Watched, input_set: FaceSet, identity_set: FaceSet) -> None:
    plain, far = (make(seen, input_set, identity_set, critic_px=critic_px) for critic_px in (64, 1000))
    batch = input_set.batch(ROWS)
    one, two = plain.terms(batch, TERMS), far.terms(batch, TERMS)
    assert all(torch.equal(one[name], two[name]) for name in TERMS)
    assert set(seen.sides) == {64}


# ---- who sees what


def test_frozen_networks_see_reduced_crops_only(engine: StyleEngine, seen: Watched, input_set: FaceSet) -> None:
    engine.terms(input_set.batch(ROWS), TERMS)
    engine.discriminator_terms(input_set.batch(ROWS), DISCRIMINATOR_TERMS)
    assert set(seen.sides) == {SMALL}
    assert len(seen.sides) > 10


def test_the_critics_terms_are_those_of_the_reduced_output(
    engine: StyleEngine, seen: Watched, input_set: FaceSet, identity_set: FaceSet
) -> None:
    batch = input_set.batch(ROWS)
    terms = engine.terms(batch, TERMS - {"detail", "adversarial"})
    with torch.no_grad():
        output = engine.trained["network"](batch.faces.images)
        small, faces = F.avg_pool2d(output, 2), reduced_faces(batch.faces, SMALL)
        drawn, own = seen.vgg(small, ("relu4_2",))["relu4_2"], seen.vgg(faces.images, ("relu4_2",))["relu4_2"]
        pasted = F.avg_pool2d(torch.lerp(batch.faces.images, output, batch.faces.masks), 2)
        photos = reduced_faces(identity_set.faces(range(len(identity_set))), SMALL)
        mean = F.normalize(RECOGNISER(photos.images, photos.landmarks).mean(dim=0), dim=0)
        distances = 1 - RECOGNISER(pasted, faces.landmarks) @ mean
    torch.testing.assert_close(terms["content"], (drawn - own).square().mean(dim=(1, 2, 3)), rtol=3e-3, atol=0)
    torch.testing.assert_close(terms["lighting"], (LIGHT(small) - LIGHT(faces.images)).square().sum(dim=1), rtol=0, atol=1e-6)
    torch.testing.assert_close(terms["identity"], distances / engine.teachers[0].strangers, rtol=1e-4, atol=0)


def test_style_is_that_of_reduced_photos(seen: Watched, input_set: FaceSet, identity_set: FaceSet) -> None:
    style = StyleOptions(num_faces=NUM_FACES)
    engine = StyleEngine(network(), seen, input_set, identity_set, style=style, detail=DETAIL, critic_px=SMALL)
    batch = input_set.batch(ROWS)
    terms = engine.terms(batch, {"style"})
    for number, row in enumerate(ROWS):
        chosen = identity_set.faces(engine._styles_of[row].tolist())
        photos, parts = chosen.images, []
        for layer in style.layers:
            with torch.no_grad():
                output = engine.trained["network"](batch.faces.images[number : number + 1])
                drawn, wanted = (seen.vgg(F.avg_pool2d(images, 2), (layer,))[layer] for images in (output, photos))
            mask = F.interpolate(batch.faces.masks[number : number + 1], size=drawn.shape[-2:], mode="area")
            shown = F.interpolate(F.avg_pool2d(chosen.masks, 2), size=drawn.shape[-2:], mode="area")[None]
            parts.append(patch_style(drawn, wanted[None], mask=mask, shown=shown))
        torch.testing.assert_close(terms["style"][number], torch.cat(parts).mean(), rtol=2e-3, atol=0)


def test_pixels_count_at_full_resolution(engine: StyleEngine, input_set: FaceSet) -> None:
    batch = RowBatch(input_set.faces(ROWS), ROWS, torch.tensor(0.5))
    terms = engine.terms(batch, {"smoothness", "luminance", "keep", "adversarial"})
    output = engine.trained["network"](batch.faces.images)
    torch.testing.assert_close(terms["smoothness"], smoothness(output))
    torch.testing.assert_close(terms["luminance"], luminance(output, batch.faces.images, mask=batch.faces.masks * 0.5))
    never_shown = StylePass(engine, batch, ()).never_shown
    assert never_shown.shape == batch.faces.masks.shape
    torch.testing.assert_close(terms["keep"], keep(output, batch.faces.images, batch.kept + never_shown))
    assert engine.opponent()(output).shape[-1] == 8


# ---- detail


def test_detail_is_the_style_of_a_window(engine: StyleEngine, seen: Watched, input_set: FaceSet, identity_set: FaceSet) -> None:
    batch = input_set.batch(ROWS, step=5)
    terms = engine.terms(batch, {"detail"})
    for number, row in enumerate(ROWS):
        top, left = window_corner(batch.faces.masks[number], row, 5, SMALL)
        here = (..., slice(top, top + SMALL), slice(left, left + SMALL))
        photos = identity_set.faces(engine._styles_of[row][:2].tolist()).images  # the nearest two of three
        parts = []
        for layer in DETAIL.layers:
            with torch.no_grad():
                output = engine.trained["network"](batch.faces.images[number : number + 1])
                drawn, wanted = (seen.vgg(images[here], (layer,))[layer] for images in (output, photos))
            mask = F.interpolate(batch.faces.masks[number : number + 1][here], size=drawn.shape[-2:], mode="area")
            parts.append(patch_style(drawn, wanted[None], mask=mask, radius=1))
        torch.testing.assert_close(terms["detail"][number], torch.cat(parts).mean(), rtol=1e-3, atol=0)


def test_detail_of_a_face_does_not_see_the_others(engine: StyleEngine, input_set: FaceSet) -> None:
    together = engine.terms(input_set.batch((7, 0, 4), step=3), {"detail"})["detail"]
    for number, row in enumerate((7, 0, 4)):
        alone = engine.terms(input_set.batch([row], step=3), {"detail"})["detail"]
        assert together[number].item() == pytest.approx(alone.item(), rel=1e-4)


def test_detail_looks_elsewhere_in_another_step_and_there_again_in_the_same(engine: StyleEngine, input_set: FaceSet) -> None:
    first, again, later = (engine.terms(input_set.batch(ROWS, step=step), {"detail"})["detail"] for step in (1, 1, 2))
    assert torch.equal(first, again)
    assert (first != later).all()


def test_crops_that_the_critic_sees_whole_have_one_window(seen: Watched, input_set: FaceSet, identity_set: FaceSet) -> None:
    engine = make(seen, input_set, identity_set, critic_px=64)
    first, later = (engine.terms(input_set.batch(ROWS, step=step), {"detail"})["detail"] for step in (1, 2))
    assert torch.equal(first, later)


def test_detail_outside_the_mask_does_not_count(engine: StyleEngine, input_set: FaceSet) -> None:
    faces = input_set.faces(ROWS)
    nothing = RowBatch(FaceBatch(faces.images, faces.landmarks, torch.zeros_like(faces.masks)), ROWS)
    assert torch.equal(engine.terms(nothing, {"detail"})["detail"], torch.zeros(3))


def test_detail_reaches_every_parameter(seen: Watched, input_set: FaceSet, identity_set: FaceSet) -> None:
    net = grown()
    for part in (net.to_kept, net.to_detail):
        nn.init.normal_(part.weight, std=0.1, generator=torch.Generator().manual_seed(4))
    engine = make(seen, input_set, identity_set, net=net)
    engine.terms(input_set.batch(ROWS), {"detail"})["detail"].sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in net.parameters())


def test_a_few_steps_lower_the_detail(seen: Watched, input_set: FaceSet, identity_set: FaceSet) -> None:
    net = grown()
    net.freeze_base()
    weights = {"network": dict.fromkeys(TERMS, 0.0) | {"detail": 10.0}, "discriminator": {"hinge": 0.0}}
    loop = Loop(make(seen, input_set, identity_set, net=net), weights, gradient_norm=10.0)
    values = [loop.step(input_set.batch(ROWS), 1e-2).total for _ in range(12)]
    assert values[-1] < 0.97 * values[0]


# ---- windows


def test_windows_cover_the_face_and_stay_on_it() -> None:
    mask = torch.zeros(1, 64, 64)
    mask[:, 6:58, 12:55] = 1.0
    count = torch.zeros(64, 64)
    for step in range(300):
        top, left = window_corner(mask, 17, step, SMALL)
        assert 6 <= top <= 58 - SMALL
        assert 12 <= left <= 55 - SMALL
        count[top : top + SMALL, left : left + SMALL] += 1
    assert count[6:58, 12:55].min() > 10
    assert count[:6].max() == 0


def test_a_face_smaller_than_the_window_lies_in_it() -> None:
    mask = torch.zeros(1, 64, 64)
    mask[:, 50:60, 0:12] = 1.0
    for step in range(20):
        top, left = window_corner(mask, 3, step, SMALL)
        assert (top, left) == (64 - SMALL, 0)
    assert window_corner(torch.zeros(1, 64, 64), 0, 0, 64) == (0, 0)


def test_each_image_has_its_own_window() -> None:
    images = torch.arange(2 * 3 * 8 * 8.0).view(2, 3, 8, 8)
    cut = windows(images, [(1, 2), (4, 0)], 4)
    assert torch.equal(cut[0], images[0, :, 1:5, 2:6])
    assert torch.equal(cut[1], images[1, :, 4:8, 0:4])


# ---- a frozen base


def test_a_frozen_base_is_not_trained(seen: Watched, input_set: FaceSet, identity_set: FaceSet) -> None:
    net = grown()
    net.freeze_base()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    engine = make(seen, input_set, identity_set, net=net)
    assert {id(parameter) for parameter in engine.phases[0].parameters} == {id(parameter) for parameter in net.trainable_parameters()}
    weights = {"network": dict.fromkeys(TERMS, 1.0), "discriminator": {"hinge": 1.0}}
    loop = Loop(engine, weights, gradient_norm=10.0)
    for step in range(2):
        loop.step(input_set.batch(ROWS, step=step), 1e-2)
    after = net.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items() if name.startswith("base."))
    assert not torch.equal(before["to_detail.weight"], after["to_detail.weight"])


# ---- refusals


def test_crops_that_cannot_be_reduced_are_refused(seen: Watched, input_set: FaceSet, identity_set: FaceSet) -> None:
    with pytest.raises(SettingsError, match="multiple of it as their side, got 64"):
        make(seen, input_set, identity_set, critic_px=48)
    with pytest.raises(SettingsError, match="at least 1, got 0"):
        make(seen, input_set, identity_set, critic_px=0)


def test_more_detailed_faces_than_style_faces_are_refused(seen: Watched, input_set: FaceSet, identity_set: FaceSet) -> None:
    with pytest.raises(SettingsError, match="from 1 to the 3 style faces, got 4"):
        make(seen, input_set, identity_set, detail=DetailOptions(num_faces=4))
