"""Face parsing: masks of painted faces, whose labels are known, by a network that reads colours; and the network that ships."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylswap.data.prepare import cut_crop
from stylswap.errors import SettingsError, ShapeError, WeightsFileError
from stylswap.faces.align import crop_from_photo, reference_shape, transform_points
from stylswap.faces.batch import Face
from stylswap.faces.eyes import around_eyes, between_eyes
from stylswap.faces.landmarks import LEFT_EYE, RIGHT_EYE
from stylswap.features import parsing
from stylswap.features.parsing import BELIEVED, CLASSES, FACE_CLASSES, OUTLINE, FaceParser, ParsedMasks, ParsingSegmenter
from stylswap.networks.bisenet import BiSeNet
from stylswap.photo import from_array

SIZE = 128
REFERENCE = reference_shape(SIZE)
EYES = [REFERENCE[eye].mean(axis=0).round().astype(int) for eye in (LEFT_EYE, RIGHT_EYE)]
COLOURS = {
    "background": (0.0, 0.0, 1.0),
    "skin": (0.8, 0.6, 0.5),
    "glasses": (0.7, 0.7, 0.9),
    "sunglasses": (0.1, 0.1, 0.1),
    "hair": (0.4, 0.2, 0.0),
    "hat": (0.0, 0.6, 0.0),
}
BoolArray = npt.NDArray[np.bool_]


class ColourReader(nn.Module):
    """In the place of BiSeNet: each cell is of the class whose colour is the nearest; the same colours, normalised, as reference."""

    def __init__(self) -> None:
        super().__init__()
        mean, spread = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        self.colours = nn.Parameter((torch.tensor(list(COLOURS.values())) - mean) / spread)
        self.classes = [CLASSES.index(name.removeprefix("sun")) for name in COLOURS]

    def forward(self, images: Tensor) -> Tensor:
        cells = F.interpolate(images, size=(images.shape[-2] // 8, images.shape[-1] // 8), mode="bilinear", align_corners=True)
        away = (cells[:, None] - self.colours[None, :, :, None, None]).square().sum(dim=2)  # (B, colours, h, w)
        logits = torch.full((len(images), len(CLASSES), *away.shape[2:]), -1000.0)
        for colour, name in enumerate(self.classes):
            logits[:, name] = torch.maximum(logits[:, name], -10.0 * away[:, colour])
        return logits


def parser(side: int = 1024, **settings: object) -> FaceParser:
    """With a cell for each pixel of a crop: labels are as sharp as the paint."""
    return FaceParser(ColourReader(), side=side, border_px=0, **settings)  # type: ignore[arg-type]


def painted(**areas: BoolArray) -> Tensor:
    """All skin, with areas of other classes on it, (1, 3, SIZE, SIZE)."""
    image = torch.tensor(COLOURS["skin"]).view(3, 1, 1).repeat(1, SIZE, SIZE)
    for name, area in areas.items():
        image[:, torch.from_numpy(area)] = torch.tensor(COLOURS[name])[:, None]
    return image[None]


def rectangle(top: int, left: int, bottom: int, right: int) -> BoolArray:
    area = np.zeros((SIZE, SIZE), dtype=bool)
    area[top:bottom, left:right] = True
    return area


def lenses(reach: int = 14) -> BoolArray:
    return np.logical_or(*(rectangle(y - reach, x - reach, y + reach, x + reach) for x, y in EYES))


LANDMARKS = torch.from_numpy(REFERENCE).float()[None]
WHOLE, MIDDLE = (outline.segment(torch.zeros(1, 3, SIZE, SIZE), LANDMARKS)[0, 0] for outline in (OUTLINE, BELIEVED))


def parse(image: Tensor, **settings: object) -> ParsedMasks:
    return ParsingSegmenter(parser(), **settings).parse(image, LANDMARKS)  # type: ignore[arg-type]


def mask_of(image: Tensor, **settings: object) -> Tensor:
    return parse(image, **settings).masks[0, 0]


# ---- the parser ----------------------------------------------------------------------------------------------------------------


def test_labels_are_where_the_paint_is() -> None:
    hair = rectangle(0, 0, 40, SIZE)
    probabilities = parser()(painted(hair=hair, hat=rectangle(0, 0, 20, SIZE)))
    assert probabilities.shape == (1, 19, SIZE, SIZE)
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(1, SIZE, SIZE))
    labels = probabilities.argmax(dim=1)[0]
    assert {CLASSES[label] for label in labels[:20].unique()} == {"hat"}
    assert {CLASSES[label] for label in labels[20:40].unique()} == {"hair"}
    assert {CLASSES[label] for label in labels[40:].unique()} == {"skin"}


def test_colours_are_normalised_as_for_imagenet(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []
    reader = ColourReader()
    monkeypatch.setattr(reader, "forward", lambda images: seen.append(images) or torch.zeros(1, 19, 40, 40))
    FaceParser(reader)(torch.tensor([0.5, 0.25, 1.0]).view(1, 3, 1, 1).expand(1, 3, 96, 96))  # type: ignore[arg-type]
    assert seen[0].shape == (1, 3, 320, 320), "384 px without a border of 32"
    expected = torch.tensor([(0.5 - 0.485) / 0.229, (0.25 - 0.456) / 0.224, (1 - 0.406) / 0.225])
    torch.testing.assert_close(seen[0][0, :, 100, 200], expected)


def test_beyond_the_border_the_nearest_labels_go_on() -> None:
    border = FaceParser(ColourReader(), side=256, border_px=64)  # type: ignore[arg-type]
    logits = border.logits(painted(hair=rectangle(0, 0, SIZE, 20)))  # all of it in the border of 32 of 128 px
    assert logits.shape == (1, 19, 32, 32)
    assert {CLASSES[label] for label in logits.argmax(dim=1).unique()} == {"skin"}
    assert (border.logits(painted(hair=rectangle(0, 0, SIZE, 40))).argmax(dim=1)[0, :, :9] == CLASSES.index("hair")).all()


def test_nothing_of_it_trains() -> None:
    assert not any(parameter.requires_grad for parameter in parser().parameters())
    assert not parser().training


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"precision": "bfloat"}, "Did you mean 'bfloat16'"),
        ({"side": 100}, "got a side of 100"),
        ({"side": 384, "border_px": 20}, "a border of 8 px times n"),
        ({"side": 128, "border_px": 64}, "32 px times n without"),
        ({"side": 128, "border_px": -32}, "a border of -32"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        FaceParser(ColourReader(), **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(("side", "border"), [(384, 32), (192, 16), (320, 0), (32, 0)])
def test_the_border_is_a_twelfth_where_that_fits(side: int, border: int) -> None:
    assert FaceParser(ColourReader(), side=side).border_px == border  # type: ignore[arg-type]


def test_damaged_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "weights_path", lambda name: f"{name}.safetensors")
    monkeypatch.setattr(parsing, "load_file", lambda path: {"stem.weight": torch.zeros(1)})
    with pytest.raises(WeightsFileError, match=r"parsing-occluders\.safetensors holds no face parser"):
        FaceParser.load()


# ---- masks ---------------------------------------------------------------------------------------------------------------------


def test_a_bare_face_keeps_the_landmarks_mask() -> None:
    parsed = parse(painted())
    torch.testing.assert_close(parsed.masks[0, 0], WHOLE)
    assert parsed.occluded_share == (pytest.approx(0.0, abs=1e-6),)
    assert (parsed.has_glasses, parsed.used_parsing) == ((False,), (True,))


@pytest.mark.parametrize("kind", ["hair", "hat", "background"])
def test_what_covers_the_face_stays_the_photos(kind: str) -> None:
    middle = int(REFERENCE[33, 0])
    parsed = parse(painted(**{kind: rectangle(0, middle, SIZE, SIZE)}))
    mask = parsed.masks[0, 0]
    margin, ramp = 0.002 * SIZE, 0.012 * SIZE
    assert not mask[:, middle:].any(), "not one covered pixel"
    distance = (1 - margin) / ramp  # of the pixels beside them, along the ramp
    assert mask[:, middle - 1].max() <= distance**2 * (3 - 2 * distance) + 1e-6, "and little of those beside them"
    far = middle - int(margin + ramp) - 2
    torch.testing.assert_close(mask[:, :far], WHOLE[:, :far])
    row = mask[int(REFERENCE[33, 1]), far - 1 : middle + 1]
    assert (row.diff() <= 0).all(), "it falls without a wave"
    seen = float(torch.minimum(mask, MIDDLE).sum() / MIDDLE.sum())
    assert parsed.occluded_share[0] == pytest.approx(1 - seen, abs=1e-6), "of what is face without a parser"
    assert 0.45 < parsed.occluded_share[0] < 0.65


def test_the_ramp_is_half_way_up_in_its_middle() -> None:
    row, edge = int(REFERENCE[33, 1]), int(REFERENCE[33, 0])
    mask = mask_of(painted(hair=rectangle(0, edge, SIZE, SIZE)), margin=4 / SIZE, softness=8 / SIZE)[row]
    # Pixel edge - d lies d pixels from the nearest hair.
    assert [float(mask[edge - distance]) for distance in (4, 8, 12)] == pytest.approx([0.0, 0.5, 1.0], abs=1e-6)


def test_small_mistakes_are_mended_and_others_are_not() -> None:
    x, y = EYES[0][0], int(REFERENCE[31, 1])
    side = int(np.sqrt(0.002) * SIZE)
    small, large = rectangle(y, x, y + side, x + side), rectangle(y, x, y + 2 * side, x + 2 * side)
    assert torch.equal(mask_of(painted(background=small)), WHOLE)
    assert not mask_of(painted(background=large))[y : y + 2 * side, x : x + 2 * side].any()
    assert mask_of(painted(background=small), smallest=0.0)[y + 2, x + 2] == 0
    chin = int(REFERENCE[8, 1])
    at_the_edge = rectangle(chin - side, x, SIZE, x + side)
    assert not mask_of(painted(background=at_the_edge))[at_the_edge].any(), "what comes from outside is no mistake"
    island = ~small & (np.arange(SIZE)[None] > x - 15) & (np.arange(SIZE)[None] < x + 25)
    assert not mask_of(painted(hair=island))[y : y + side, x : x + side].any(), "and a little skin between hair stays hair"


def test_where_no_face_is_seen_the_landmarks_decide() -> None:
    parsed = parse(painted(background=rectangle(0, 0, SIZE, SIZE)))
    assert torch.equal(parsed.masks[0, 0], MIDDLE)
    assert not torch.equal(MIDDLE, WHOLE)
    assert parsed.used_parsing == (False,)
    assert parsed.occluded_share == (0.0,)
    half = painted(background=rectangle(0, 0, SIZE, int(REFERENCE[33, 0])))
    assert parse(half, least_face=0.4).used_parsing == (True,)
    assert parse(half, least_face=0.6).used_parsing == (False,)


def test_hair_over_the_forehead_is_no_occluder_of_the_face() -> None:
    # Between the two outlines it is the parser's word alone what is face: what it takes away there covers nothing.
    forehead = int(torch.nonzero(MIDDLE.sum(dim=1)).min())
    assert WHOLE[: forehead - 3].sum() > 100, "the wide outline goes on above"
    parsed = parse(painted(hair=rectangle(0, 0, forehead - 3, SIZE)))
    assert not parsed.masks[0, 0, : forehead - 3].any()
    assert parsed.occluded_share[0] < 0.02
    bare = parse(painted())
    assert bare.masks[0, 0, : forehead - 3].sum() > 100, "without the hair it is face"


def test_landmarks_outside_the_crop_leave_nothing() -> None:
    parsed = ParsingSegmenter(parser()).parse(painted(), LANDMARKS + 500)
    assert not parsed.masks.any()
    assert (parsed.used_parsing, parsed.has_glasses, parsed.occluded_share) == ((False,), (False,), (0.0,))


def test_each_face_is_parsed_by_itself() -> None:
    images = torch.cat([painted(), painted(hair=rectangle(0, 0, 50, SIZE)), painted(glasses=lenses())])
    together = ParsingSegmenter(parser()).parse(images, LANDMARKS.expand(3, -1, -1))
    alone = [parse(image[None]) for image in images]
    assert torch.equal(together.masks, torch.cat([one.masks for one in alone]))
    assert together.has_glasses == (False, False, True)
    assert together.occluded_share == tuple(one.occluded_share[0] for one in alone)
    assert torch.equal(ParsingSegmenter(parser()).segment(images, LANDMARKS.expand(3, -1, -1)), together.masks)
    assert together.masks.dtype == torch.float32


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ShapeError, match="landmarks must be"):
        ParsingSegmenter(parser()).segment(torch.zeros(2, 3, 32, 32), LANDMARKS)
    with pytest.raises(SettingsError, match="Did you mean 'rims'"):
        ParsingSegmenter(parser(), glasses="rim")  # type: ignore[arg-type]


# ---- glasses -------------------------------------------------------------------------------------------------------------------


def test_glasses_are_kept_with_the_eyes_and_the_bridge() -> None:
    parsed = parse(painted(glasses=lenses()))
    assert parsed.has_glasses == (True,)
    covered = lenses() | between_eyes(REFERENCE, SIZE)
    assert not parsed.masks[0, 0][covered].any()
    below = int(REFERENCE[33, 1])
    torch.testing.assert_close(parsed.masks[0, 0][below:], WHOLE[below:])


def test_both_eyes_stay_where_one_lens_is_seen() -> None:
    x, y = EYES[0]
    parsed = parse(painted(glasses=rectangle(y - 14, x - 14, y + 14, x + 14)))
    assert parsed.has_glasses == (True,)
    assert not parsed.masks[0, 0][around_eyes(REFERENCE, SIZE)].any()


def test_rims_stay_and_eyes_behind_clear_lenses_are_swapped() -> None:
    area = lenses()
    mask = mask_of(painted(glasses=area), glasses="rims")
    for x, y in EYES:
        assert mask[y, x] == pytest.approx(float(WHOLE[y, x]), abs=1e-6)
        assert not mask[y - 14, x - 14 : x + 14].any(), "the upper rim"
    assert not mask[between_eyes(REFERENCE, SIZE)].any(), "the bridge"


def test_a_strong_rim_stays_as_thick_as_it_is_and_a_wire_keeps_no_skin() -> None:
    strong = mask_of(painted(sunglasses=lenses(), glasses=lenses(11)), glasses="rims")
    wire = mask_of(painted(glasses=lenses()), glasses="rims")
    for x, y in EYES:
        third = (y - 12, slice(x - 8, x + 8))  # pixels from the edge; at this size a strong rim has three
        assert not strong[third].any()
        assert bool((wire[third] > 0).all())
        assert strong[y, x] == wire[y, x] == pytest.approx(float(WHOLE[y, x]), abs=1e-6)


def test_behind_dark_lenses_there_is_nothing_to_swap() -> None:
    dark = painted(sunglasses=lenses())
    assert torch.equal(mask_of(dark, glasses="rims"), mask_of(dark, glasses="keep"))


def test_glasses_can_be_painted_over() -> None:
    parsed = parse(painted(glasses=lenses()), glasses="swap")
    torch.testing.assert_close(parsed.masks[0, 0], WHOLE)
    assert parsed.has_glasses == (True,), "and are still reported"


def test_glasses_in_the_hair_stay_and_free_the_eyes() -> None:
    top = int(REFERENCE[17:27, 1].min()) - 18
    pushed_up = rectangle(top, 30, top + 10, SIZE - 30)
    for rule in ("keep", "rims"):
        parsed = parse(painted(glasses=pushed_up), glasses=rule)
        assert parsed.has_glasses == (False,)
        assert not parsed.masks[0, 0][pushed_up].any()
        assert all(parsed.masks[0, 0][y, x] == WHOLE[y, x] for x, y in EYES)


# ---- the network that ships ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def segmenter() -> ParsingSegmenter:
    return ParsingSegmenter.load()


@pytest.fixture(scope="module")
def view(photo_u8: npt.NDArray[np.uint8], face: Face) -> tuple[Tensor, Tensor]:
    """A generated face, (1, 3, 192, 192), and its landmarks, (1, 68, 2)."""
    matrix = crop_from_photo(face.landmarks, reference_shape(192))
    points = torch.from_numpy(transform_points(matrix, face.landmarks)).float()
    return cut_crop(from_array(photo_u8), matrix, 192)[None], points[None]


def test_the_shipped_network_finds_the_parts_of_a_face(segmenter: ParsingSegmenter, view: tuple[Tensor, Tensor]) -> None:
    image, points = view
    with torch.inference_mode():
        labels = segmenter.parser(image).argmax(dim=1)[0]

    def label(*numbers: int) -> str:
        x, y = points[0, list(numbers)].mean(dim=0).round().long()
        return CLASSES[int(labels[y, x])]

    assert label(*LEFT_EYE.tolist()) == "left_eye"
    assert label(*RIGHT_EYE.tolist()) == "right_eye"
    assert label(30) == "nose"
    assert label(2, 31) == label(14, 35) == "skin"
    assert label(57, 66) == "lower_lip"
    parsed = segmenter.parse(image, points)
    assert parsed.used_parsing == (True,)
    assert parsed.occluded_share[0] < 0.2
    assert (parsed.masks <= OUTLINE.segment(image, points) + 1e-6).all()


def test_the_shipped_network_leaves_a_board_before_the_mouth(segmenter: ParsingSegmenter, view: tuple[Tensor, Tensor]) -> None:
    image, points = view
    image, top = image.clone(), int(points[0, 33, 1])
    image[..., top : top + 30, :] = torch.tensor([0.05, 0.25, 0.7]).view(3, 1, 1)
    mask = segmenter.parse(image, points).masks[0, 0]
    assert mask[top + 2 : top + 28].mean() < 0.02
    assert mask[:top].sum() > 0.8 * OUTLINE.segment(image, points)[0, 0, :top].sum()


def test_bfloat16_gives_the_same_masks(segmenter: ParsingSegmenter, view: tuple[Tensor, Tensor]) -> None:
    half = replace(segmenter, parser=FaceParser.load(precision="bfloat16"))
    assert (half.segment(*view) - segmenter.segment(*view)).abs().mean() < 2e-3


def test_classes_are_those_of_the_network() -> None:
    assert len(CLASSES) == len(set(CLASSES)) == BiSeNet().to_classes.out_channels
    assert set(FACE_CLASSES) < set(CLASSES)
