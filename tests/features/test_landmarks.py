"""The landmark critic: its file, its pixels, its gradient, and whether the network that ships finds faces' points."""

from pathlib import Path

import pytest
import torch

from stylswap.config import PrepareSettings
from stylswap.data.faceset import FaceSet
from stylswap.data.prepare import PreparedFace, Preparer, stack_faces
from stylswap.errors import ShapeError, WeightsFileError
from stylswap.faces.detect import FaceDetector
from stylswap.faces.landmarks import INNER, MOUTH, eye_distance
from stylswap.features.landmarks import LandmarkCritic, landmark_bytes, read_landmark_network
from stylswap.networks.landmarks import build_landmark_network

SMALL = {"side": 32, "widths": (8, 8, 8, 8)}


@pytest.fixture(scope="module")
def shipped() -> LandmarkCritic:
    return LandmarkCritic.load()


@pytest.fixture(scope="module")
def portraits(examples: Path, record_cache: Path) -> FaceSet:
    """The example photos to swap into, 128 px, which no training has seen."""
    preparer = Preparer(128, PrepareSettings(), record_cache, FaceDetector(use_cnn=False), None)
    paths = sorted((examples / "photos").glob("*.jpg"))[:8]
    return stack_faces([face for face in (preparer.prepare(path, path.name) for path in paths) if isinstance(face, PreparedFace)])


def errors(critic: LandmarkCritic, faces: FaceSet) -> torch.Tensor:
    """Distances to dlib's points over the distance between the eyes, (B, 68); mirror images, too."""
    batch = faces.faces(range(faces.num_rows))
    with torch.no_grad():
        far = (critic(batch.images) - batch.landmarks).norm(dim=2)
    return far / torch.from_numpy(eye_distance(batch.landmarks.double().numpy())).float()[:, None]


def test_points_are_in_pixels_whose_centres_are_whole_numbers() -> None:
    critic = LandmarkCritic(build_landmark_network(seed=1, **SMALL))
    for size in (32, 64):
        images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(critic(images), critic.network(images) * size - 0.5, atol=1e-4, rtol=0)
    with torch.no_grad():
        critic.network.to_maps.weight.zero_()
        critic.network.to_maps.bias.zero_()
    middle = torch.full((1, 68, 2), 31.5)  # of 64 pixels, 0 .. 63
    torch.testing.assert_close(critic(torch.rand(1, 3, 64, 64)), middle)


def test_the_gradient_reaches_the_images_and_not_the_weights(shipped: LandmarkCritic, portraits: FaceSet) -> None:
    images = portraits.faces([0]).images.requires_grad_()
    shipped(images)[:, MOUTH, 1].sum().backward()
    assert images.grad is not None
    assert images.grad.isfinite().all()
    rows = images.grad.abs().sum(dim=(0, 1, 3))
    lips = portraits.landmarks[0, MOUTH, 1]
    near = slice(int(lips.min()) - 8, int(lips.max()) + 8)
    assert rows[near].mean() > 2 * rows[:40].mean(), "the mouth's place hangs on the mouth more than on the brow"
    assert all(not parameter.requires_grad and parameter.grad is None for parameter in shipped.parameters())


def test_the_shipped_network_finds_the_points_of_a_face(shipped: LandmarkCritic, portraits: FaceSet) -> None:
    assert len(portraits) >= 6
    found = errors(shipped, portraits)[:, INNER]
    mean_face = portraits.all_landmarks.mean(dim=0)
    batch = portraits.faces(range(portraits.num_rows))
    distances = torch.from_numpy(eye_distance(batch.landmarks.double().numpy())).float()
    guessed = ((mean_face - batch.landmarks).norm(dim=2) / distances[:, None])[:, INNER]
    assert found.mean() < 0.08
    assert found.mean() < guessed.mean(), "better than the same points for everybody"


def test_a_moved_crop_moves_the_points(shipped: LandmarkCritic, portraits: FaceSet) -> None:
    images = portraits.faces(range(4)).images
    with torch.no_grad():
        still, moved = shipped(images), shipped(images.roll((3, -4), dims=(2, 3)))
    shift = (moved - still)[:, INNER].mean(dim=(0, 1))
    assert shift.tolist() == pytest.approx([-4, 3], abs=1.2)


def test_half_a_crop_gives_half_the_pixels(shipped: LandmarkCritic, portraits: FaceSet) -> None:
    images = portraits.faces(range(4)).images
    with torch.no_grad():
        large, small = shipped(images), shipped(torch.nn.functional.avg_pool2d(images, 2))
    assert ((small + 0.5) * 2 - 0.5 - large)[:, INNER].abs().mean() < 1.5


def test_a_file_gives_the_same_network_back(tmp_path: Path) -> None:
    network = build_landmark_network(seed=2, **SMALL).half().float()
    path = tmp_path / "landmarks.safetensors"
    path.write_bytes(landmark_bytes(network, {"seed": 2}))
    read = read_landmark_network(path)
    assert read.settings() == network.settings()
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(read(images), network(images))
    rounded = build_landmark_network(seed=3, **SMALL)
    path.write_bytes(landmark_bytes(rounded, {}))
    read = read_landmark_network(path)
    assert torch.equal(read(images), rounded.half().float()(images)), "it is stored rounded"


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "landmarks.safetensors"
    network = build_landmark_network(**SMALL)
    good = landmark_bytes(network, {})
    other_key = good.replace(b"stylswap-landmarks", b"stylswap-sea-marks")
    other_network = good.replace(b"[8, 8, 8, 8]", b"[8, 8, 8, 9]")
    assert len({good, other_key, other_network}) == 3
    for content in (None, b"no tensors", other_key, other_network):
        if content:
            path.write_bytes(content)
        with pytest.raises(WeightsFileError, match="holds no landmark network"):
            read_landmark_network(path)


def test_images_that_do_not_fit_are_refused(shipped: LandmarkCritic) -> None:
    with pytest.raises(ShapeError):
        shipped(torch.ones(1, 1, 64, 64))
