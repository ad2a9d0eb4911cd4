"""A tiny identity, trained for two steps once for all tests of the jobs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from stylswap.config import Settings, load_settings
from stylswap.identity_file import IdentityCard
from stylswap.jobs.run_folder import TrainRequest
from stylswap.jobs.train import train

EXAMPLES = Path(__file__).parents[2] / "examples"

TINY = (
    "size=64",
    "network.options={widths=[8, 8, 16], blocks=1}",
    "training.steps=2",
    "training.batch_size=2",
    "training.held_out=2",
    "training.precision=float32",
    "loss.style.num_faces=4",
    "prepare.min_photos=5",
    "prepare.few_photos=6",
)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Six photos of ada and eight faces."""
    root = tmp_path_factory.mktemp("folders")
    for name, count in (("ada", 6), ("faces", 8)):
        (root / name).mkdir()
        for path in sorted((EXAMPLES / name).glob("*.jpg"))[:count]:
            shutil.copyfile(path, root / name / path.name)
    return root / "ada", root / "faces"


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of the tests' own, kept for the session so that each photo is prepared once."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home")
        patch.setenv("STYLSWAP_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def tiny_settings() -> Settings:
    return load_settings(None, TINY)


def request_for(folders: tuple[Path, Path], root: Path, settings: Settings) -> TrainRequest:
    card = IdentityCard("tiny", "synthetic", "for tests")
    return TrainRequest(folders[0], folders[1], root / "tiny.safetensors", card, settings, root / "tiny.run", device="cpu")


@pytest.fixture(scope="session")
def tiny_identity(
    folders: tuple[Path, Path], home: Path, tmp_path_factory: pytest.TempPathFactory, tiny_settings: Settings
) -> Path:
    """An identity file and, beside it, its run folder ``tiny.run``."""
    root = tmp_path_factory.mktemp("tiny")
    trained = train(request_for(folders, root, tiny_settings))
    assert trained.out is not None
    return trained.out
