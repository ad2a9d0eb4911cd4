"""What all tests share: where the pictures are, and a few prepared faces. A picture is prepared once per session, in a temporary folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from stylswap.config import PrepareSettings
from stylswap.data.faceset import FaceSet
from stylswap.data.prepare import PreparedFace, Preparer, stack_faces
from stylswap.faces.batch import Face
from stylswap.faces.detect import FaceDetector
from stylswap.features.identity import FaceDescriptor

CHECKOUT = Path(__file__).resolve().parents[1]
SIZE = 64


@pytest.fixture(scope="session", autouse=True)
def _alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test writes into the user's folders, and small tensors run on one thread: several would only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STYLSWAP_HOME", str(tmp_path_factory.mktemp("home")))
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def examples() -> Path:
    """The example pictures of the checkout: `ada`, `faces`, `photos`."""
    return CHECKOUT / "examples"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Larger data, named by STYLSWAP_TEST_DATA; tests that need it are skipped where it is not."""
    folder = os.environ.get("STYLSWAP_TEST_DATA")
    if folder is None or not Path(folder).is_dir():
        pytest.skip("STYLSWAP_TEST_DATA names no folder: it holds the data that is too large for the repository")
    return Path(folder)


@pytest.fixture(scope="session")
def photo_u8(examples: Path) -> npt.NDArray[np.uint8]:
    """An upright photo with one near-frontal face, (256, 256, 3)."""
    return np.asarray(Image.open(examples / "photos" / "0001.jpg"))


@pytest.fixture(scope="session")
def face(photo_u8: npt.NDArray[np.uint8]) -> Face:
    """The face of `photo_u8`."""
    return FaceDetector(use_cnn=False).detect(photo_u8)[0]


@pytest.fixture(scope="session")
def record_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared faces of this session."""
    return tmp_path_factory.mktemp("records")


def _prepare(folder: Path, preparer: Preparer, names: list[str]) -> list[PreparedFace]:
    prepared = [preparer.prepare(folder / name, name) for name in names]
    faces = [face for face in prepared if isinstance(face, PreparedFace)]
    assert len(faces) == len(prepared), prepared
    return faces


@pytest.fixture(scope="session")
def ada_faces(examples: Path, record_cache: Path) -> list[PreparedFace]:
    """Eight photos of the example identity, 64 px, described."""
    preparer = Preparer(SIZE, PrepareSettings(), record_cache, FaceDetector(use_cnn=False), FaceDescriptor())
    return _prepare(examples / "ada", preparer, sorted(path.name for path in (examples / "ada").glob("*.jpg"))[:32:4])


@pytest.fixture(scope="session")
def identity_set(ada_faces: list[PreparedFace]) -> FaceSet:
    """`ada_faces` as a set."""
    return stack_faces(ada_faces)


@pytest.fixture(scope="session")
def input_set(examples: Path, record_cache: Path) -> FaceSet:
    """Six faces of different people, 64 px."""
    preparer = Preparer(SIZE, PrepareSettings(), record_cache, FaceDetector(use_cnn=False), None)
    return stack_faces(_prepare(examples / "faces", preparer, sorted(path.name for path in (examples / "faces").glob("*.jpg"))[:6]))
