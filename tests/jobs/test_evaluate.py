"""Figures of a swap, and of the trivial rows beside it, on cases with a known answer."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from stylswap.data.prepare import cut_crop
from stylswap.engines.rendering import Rendered
from stylswap.errors import FaceSetError
from stylswap.faces.align import crop_from_photo, reference_shape, transform_points, warp
from stylswap.faces.batch import Face, FaceBatch
from stylswap.identity_file import read_identity_file
from stylswap.jobs.evaluate import Inputs, _taught_by, evaluate
from stylswap.jobs.evaluation import CROP_ROW, INPUT_ROW, PASTE_ROW, SWAP_ROW, Evaluation, PhotoFigures, read_evaluation
from stylswap.jobs.figure_columns import CHIEF, COLUMNS, chief_columns
from stylswap.jobs.judges import DLIB, FACERES, SFACE, Judges
from stylswap.jobs.look import OwnPhotos
from stylswap.jobs.render_faces import FaceRenderer
from stylswap.jobs.swap_options import SwapOptions
from stylswap.jobs.swapper import Swapper
from stylswap.metrics.expression import landmark_error
from stylswap.photo import from_array, read_photo, write_png
from tests.jobs.conftest import EXAMPLES

PHOTOS = sorted((EXAMPLES / "photos").glob("*.jpg"))[:2]


class Renders:
    """Stands in for the network."""

    def __init__(self, change) -> None:
        self.render = lambda faces: Rendered(change(faces))


def swapper_with(tiny_identity: Path, change) -> Swapper:
    swapper = Swapper.load(tiny_identity, device="cpu", options=SwapOptions("none", "none", "none", mask="landmarks"))
    swapper.renderer = FaceRenderer(Renders(change), None, swapper.device)
    return swapper


@pytest.fixture(scope="module")
def judges() -> Judges:
    """Without those that have to be fetched: the figures must not depend on what lies in the user's folder."""
    return Judges()


@pytest.fixture(scope="module")
def own(judges: Judges, folders: tuple[Path, Path]) -> OwnPhotos:
    return judges.own_photos(folders[0])


@pytest.fixture
def inputs(judges: Judges) -> Inputs:
    return Inputs(judges)


def means(evaluation: Evaluation, row: str) -> dict[str, float]:
    return {key: interval.mean for key, interval in evaluation.table()[row].items()}


def test_returning_the_input_is_the_zero_of_every_error(tiny_identity: Path, inputs: Inputs, own: OwnPhotos) -> None:
    evaluation = evaluate(swapper_with(tiny_identity, lambda faces: faces.images), PHOTOS, inputs, own)
    trivial = means(evaluation, INPUT_ROW)
    for key in ("inner", "mouth", "expression", "pose_deg", "harmonics", "seam", "untouched", "lpips_outside"):
        assert trivial[key] == pytest.approx(0, abs=1e-5), key
    assert trivial["light"] == pytest.approx(1)
    assert trivial[f"{DLIB}_residual"] == pytest.approx(1)
    assert trivial[f"{DLIB}_retrieved"] == 0  # each input is nearest to its own person
    assert trivial[f"{DLIB}_distance"] > 0.6  # they are other people than ada
    assert [photo.name for photo in evaluation.photos] == [path.name for path in PHOTOS]
    assert PASTE_ROW not in evaluation.row_names
    assert any("paste" in note for note in evaluation.notes)


def test_light_turned_upside_down_is_seen(tiny_identity: Path, inputs: Inputs, own: OwnPhotos) -> None:
    def lit_from_below(faces: FaceBatch) -> torch.Tensor:
        ramp = torch.linspace(0.1, 1.0, faces.size)[:, None].expand(faces.size, faces.size)
        return (faces.images.mean(dim=(1, 2, 3), keepdim=True) * ramp * 2).expand(-1, 3, -1, -1).clamp(0, 1)

    kept = means(evaluate(swapper_with(tiny_identity, lambda faces: faces.images), PHOTOS[:1], inputs, own), SWAP_ROW)
    turned = means(evaluate(swapper_with(tiny_identity, lit_from_below), PHOTOS[:1], inputs, own), SWAP_ROW)
    assert kept["light"] > 0.99
    assert turned["light"] < 0.7
    assert turned["harmonics"] > 5 * kept["harmonics"]


def test_a_blurred_face_is_less_sharp_than_the_identitys_photos(judges: Judges, own: OwnPhotos) -> None:
    photo, face = read_photo(PHOTOS[0]), judges.detector.detect(read_photo(PHOTOS[0]).rgb_u8())[0]
    before = judges.look(photo, face, again=False)
    blurred = judges.look_at(F.avg_pool2d(before.view, 5, 1, 2, count_include_pad=False), before.points, before.landmarks)
    figures = [judges.compare(before, look, own)["sharpness"] for look in (before, blurred)]
    assert figures[1] < 0.7 * figures[0]


def test_the_identitys_own_face_is_found_to_be_the_identity(tiny_identity: Path, inputs: Inputs, own: OwnPhotos) -> None:
    """A crop of ada herself, put onto another head: nearer to her, further from the input's person, another expression; outside nothing."""
    ada = sorted((EXAMPLES / "ada").glob("*.jpg"))[1]
    crop = swapper_with(tiny_identity, lambda faces: faces.images).swap(ada).faces[0].output
    evaluation = evaluate(swapper_with(tiny_identity, lambda faces: crop[None].expand(len(faces), -1, -1, -1)), PHOTOS[:1], inputs, own)
    before, after, bare = (means(evaluation, row) for row in (INPUT_ROW, SWAP_ROW, CROP_ROW))
    assert after[f"{DLIB}_distance"] < before[f"{DLIB}_distance"] - 0.05
    assert after[f"{DLIB}_share"] > before[f"{DLIB}_share"]
    assert after[f"{DLIB}_residual"] < 0.99
    assert after["inner"] > 0
    assert after["untouched"] == 0
    # The bare crop is all hers, hair and chin too.
    assert bare[f"{DLIB}_distance"] < after[f"{DLIB}_distance"]
    assert "untouched" not in bare


def test_pasting_stands_beside_it_once_it_is_given(tiny_identity: Path, judges: Judges, own: OwnPhotos, folders) -> None:
    card = Swapper.load(tiny_identity).identity.card
    paste = Swapper.from_photos(folders[0], device="cpu", options=SwapOptions(mask="landmarks"), card=card)
    inputs = Inputs(judges, paste)
    swapper = swapper_with(tiny_identity, lambda faces: faces.images)
    first = evaluate(swapper, PHOTOS[:1], inputs, own)
    assert means(first, PASTE_ROW)[f"{DLIB}_distance"] < means(first, INPUT_ROW)[f"{DLIB}_distance"]
    inputs.paste = None  # what was looked at once is not looked at again
    assert means(evaluate(swapper, PHOTOS[:1], inputs, own), PASTE_ROW) == means(first, PASTE_ROW)


def test_no_photo_with_a_face(tiny_identity: Path, tmp_path: Path, inputs: Inputs, own: OwnPhotos) -> None:
    write_png(torch.full((3, 64, 64), 0.5), tmp_path / "grey.png")
    with pytest.raises(FaceSetError, match="no face found"):
        evaluate(Swapper.load(tiny_identity, device="cpu"), [tmp_path / "grey.png"], inputs, own)


def test_photos_of_one_name_are_told_apart_and_nothing_was_interrupted(
    tiny_identity: Path, tmp_path: Path, inputs: Inputs, own: OwnPhotos
) -> None:
    photos = [tmp_path / folder / "1.png" for folder in ("a", "b")]
    for path in photos:
        path.parent.mkdir()
        write_png(torch.full((3, 64, 64), 0.5), path)
    evaluation = evaluate(swapper_with(tiny_identity, lambda faces: faces.images), [*photos, PHOTOS[0]], inputs, own)
    assert list(evaluation.skipped) == [path.as_posix() for path in photos]
    assert [photo.name for photo in evaluation.photos] == [PHOTOS[0].name]
    assert not evaluation.interrupted
    assert not any("Interrupted" in note for note in evaluation.notes)


def test_a_recogniser_that_taught_at_first_alone_is_noted(tiny_identity: Path, inputs: Inputs, own: OwnPhotos) -> None:
    swapper = swapper_with(tiny_identity, lambda faces: faces.images)
    loss = {"weights": {"identity": 0.0}, "ramps": {"identity": [0.5, 0.6, 16.0]}, "recognisers": ["dlib"]}
    swapper.identity = replace(swapper.identity, settings={**swapper.identity.settings, "loss": loss})
    assert any("trained with dlib, so" in note for note in evaluate(swapper, PHOTOS[:1], inputs, own).notes)


def test_an_identity_that_a_judge_has_taught_is_noted(tiny_identity: Path, inputs: Inputs, own: OwnPhotos) -> None:
    """The default recipe trains with dlib's network: the reader must not take dlib's figures for an independent word."""
    evaluation = evaluate(swapper_with(tiny_identity, lambda faces: faces.images), PHOTOS[:1], inputs, own)
    assert any("trained with dlib" in note for note in evaluation.notes)


def invented() -> Evaluation:
    photos = tuple(
        PhotoFigures(name, yaw, "front", {SWAP_ROW: {"inner": value, "light": math.nan}, INPUT_ROW: {"inner": 0.0}})
        for name, yaw, value in (("a", "frontal", 0.1), ("b", "half", 0.3), ("c", "half", 0.5))
    )
    return Evaluation({"name": "ada"}, photos, {"d": "no face found"}, ("a note",), {"seconds": 1.0})


def test_means_and_bins() -> None:
    evaluation = invented()
    assert evaluation.row_names == (INPUT_ROW, SWAP_ROW)
    table = evaluation.table()
    assert table[SWAP_ROW]["inner"].mean == pytest.approx(0.3)
    assert "light" not in table[SWAP_ROW], "nobody measured it"
    binned = evaluation.binned(SWAP_ROW, "inner", "yaw")
    assert {name: round(interval.mean, 6) for name, interval in binned.items()} == {"frontal": 0.1, "half": 0.4}


def test_written_and_read_back(tmp_path: Path) -> None:
    evaluation = invented()
    evaluation.write(tmp_path)
    back = read_evaluation(tmp_path)
    assert back.values(SWAP_ROW, "inner") == [0.1, 0.3, 0.5]
    assert math.isnan(back.values(SWAP_ROW, "light")[0])
    assert (back.identity, back.skipped, back.notes) == (evaluation.identity, evaluation.skipped, evaluation.notes)
    (tmp_path / "evaluation.json").write_text("{}")
    with pytest.raises(FaceSetError, match="stylswap evaluate"):
        read_evaluation(tmp_path)


def test_own_photos_are_remembered_in_full(own: OwnPhotos) -> None:
    back = OwnPhotos.from_json(own.as_json())
    assert back.own == own.own
    assert back.means[DLIB] == pytest.approx(own.means[DLIB])
    assert back.sharpness == own.sharpness
    assert 0.9 < own.own[DLIB] < 1


def test_columns() -> None:
    keys = [column.key for column in COLUMNS]
    assert len(set(keys)) == len(keys)
    assert [column.key for column in chief_columns()] == [key for key in keys if key in CHIEF]
    assert {f"{SFACE}_share", f"{FACERES}_share", "dlib_distance"} <= set(keys)


def test_faceres_ships_and_judges_what_it_has_not_taught(home: Path) -> None:
    assert FACERES in Judges.load().recognisers
    assert FACERES in Judges.present()


@pytest.mark.parametrize(
    ("teachers", "judges", "told"),
    [
        (["dlib"], ["dlib", "faceres"], ["The identity was trained with dlib, so figures by it flatter: judge by faceres."]),
        (
            ["dlib", "mobilefacenet", "faceres"],
            ["dlib", "sface", "faceres"],
            ["The identity was trained with dlib and faceres, so figures by these flatter: judge by sface."],
        ),
        (
            ["dlib", "faceres"],
            ["dlib", "faceres"],
            [
                "The identity was trained with dlib and faceres, so figures by these flatter: nobody is left to judge likeness; "
                "see `stylswap weights fetch sface`."
            ],
        ),
        (["mobilefacenet"], ["dlib", "faceres"], []),
    ],
)
def test_who_taught_is_no_judge(tiny_identity: Path, teachers: list[str], judges: list[str], told: list[str]) -> None:
    identity = read_identity_file(tiny_identity)
    settings = {"loss": {"weights": {"identity": 1.0}, "recognisers": teachers}}
    assert _taught_by(replace(identity, settings=settings), judges) == told
    assert _taught_by(replace(identity, settings={"loss": {**settings["loss"], "weights": {"identity": 0.0}}}), judges) == []


def test_the_bare_crop_of_a_rolled_head_is_looked_at_upright(judges: Judges) -> None:
    """The crop returned unchanged must show the landmarks that it was cut by, however the head is turned."""
    photo = read_photo(PHOTOS[0])
    found = judges.detector.detect(photo.rgb_u8())[0]
    middle = found.landmarks.mean(axis=0)
    angle = np.radians(25)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    turn[:2, 2] = middle - turn[:2, :2] @ middle
    turned_u8 = (warp(photo.image(), turn, (photo.height, photo.width)) * 255).round().byte().permute(1, 2, 0).numpy()
    face = Face(transform_points(turn, found.landmarks), found.box, found.score, found.detector)
    matrix = crop_from_photo(face.landmarks, reference_shape(128), model="similarity", points="inner")
    turned = from_array(turned_u8)
    before, bare = judges.look(turned, face, again=False), judges.look_at_output(cut_crop(turned, matrix, 128), matrix, face)
    assert landmark_error(before.landmarks, bare.landmarks).inner < 0.05
