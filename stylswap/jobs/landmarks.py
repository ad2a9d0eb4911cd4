"""Teach the landmark network what dlib's predictor says, and measure how well it learned."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import torch

from stylswap.config import Settings
from stylswap.data.faceset import FaceSet
from stylswap.data.landmark_faces import LandmarkBatches
from stylswap.engines.landmarks import LandmarkEngine
from stylswap.errors import UsageError
from stylswap.faces.landmarks import EYES, INNER, MOUTH, eye_distance
from stylswap.features.landmarks import LandmarkCritic, landmark_bytes
from stylswap.jobs.device import pick_device
from stylswap.jobs.lighting import split_faces
from stylswap.jobs.prepare import prepare_inputs
from stylswap.networks.landmarks import LandmarkNetwork, build_landmark_network
from stylswap.storage import write_atomically
from stylswap.training.checkpoint import refuse_checkpoints
from stylswap.training.loop import Loop
from stylswap.training.schedule import Budget
from stylswap.training.session import Pace, Progress, Session, resumed
from stylswap.version import __version__

BATCH_SIZE: Final = 16
MEASURED_AT_ONCE: Final = 32


@dataclass(frozen=True)
class LandmarkRequest:
    """What to train, on what.

    Attributes:
        out: The weights file to write.
        faces: Folders of faces; nine tenths of each are trained on.
        minutes: Of training; None: `steps` decides.
        steps: Of training.
        seed: Of weights and batches.
        device: ``auto``, ``cpu``, ``cuda``, ``mps``.
    """

    out: Path
    faces: Sequence[Path]
    minutes: float | None = None
    steps: int = 4000
    seed: int = 0
    device: str = "auto"

    @property
    def run(self) -> Path:
        """Folder for journal and checkpoints, beside the weights file."""
        return self.out.with_suffix(".run")


class LandmarkFigures(NamedTuple):
    """Mean distances to dlib's points on faces that were not trained on, over the distance between the eyes.

    Attributes:
        inner: Of the 51 inner points.
        mouth: Of the mouth's.
        eyes: Of the eyes'.
        faces: How many, mirror images included.
    """

    inner: float
    mouth: float
    eyes: float
    faces: int


class LandmarksTrained(NamedTuple):
    """What came out.

    Attributes:
        out: The weights file, None when Ctrl-C ended the training; then `resume` goes on.
        network: Trained.
        figures: On the tenth of the faces that was held out.
        steps: Taken.
        seconds: Of training.
    """

    out: Path | None
    network: LandmarkNetwork
    figures: LandmarkFigures
    steps: int
    seconds: float


def train_landmarks(
    request: LandmarkRequest, *, resume: bool = False, on_step: Callable[[Progress], None] | None = None
) -> LandmarksTrained:
    """Train on the faces that are not held out, write the weights file, measure on the others.

    Args:
        request: What to do.
        resume: Go on from the newest checkpoint of ``request.run``.
        on_step: Called after each step.

    Raises:
        UsageError: If there is no folder.
        FaceSetError: If a folder cannot be used.
        RunError: If the run folder holds another training, or none to resume.
    """
    if not request.faces:
        raise UsageError("give at least one folder of faces")
    if not resume:
        refuse_checkpoints(request.run)
    sets = [prepare_inputs(folder, Settings())[0] for folder in request.faces]
    training, test = (joined([split_faces(faces)[part] for faces in sets]) for part in (0, 1))
    request.run.mkdir(parents=True, exist_ok=True)
    device = pick_device(request.device)
    network = build_landmark_network(seed=request.seed)
    loop = Loop(LandmarkEngine(network, device=device), {"network": {"distance": 100.0}}, gradient_norm=10.0)
    key = hashlib.sha256("\n".join([str(request.seed), *training.hashes]).encode()).hexdigest()
    session = Session(
        loop,
        LandmarkBatches(training, BATCH_SIZE, seed=request.seed),
        run=request.run,
        budget=Budget(steps=request.steps) if request.minutes is None else Budget(seconds=request.minutes * 60),
        pace=Pace(peak=2e-3, final=1e-5, warmup=0.03, checkpoint_every=500, sheet_every=10**9),
        header={"data": key},
        elapsed_seconds=resumed(request.run, loop, key) if resume else 0.0,
        on_step=on_step,
    )
    finished = session.run()
    network = network.cpu().eval()
    figures = measure_landmarks(network, test)
    facts = {"trained_on": len(training), "seed": request.seed, "steps": loop.step_number, "version": __version__}
    if finished:
        write_atomically(request.out, landmark_bytes(network, {**facts, "held_out": figures._asdict()}))
    return LandmarksTrained(request.out if finished else None, network, figures, loop.step_number, session.elapsed_seconds)


@torch.no_grad()
def measure_landmarks(network: LandmarkNetwork, faces: FaceSet) -> LandmarkFigures:
    """How far the network's points lie from dlib's on some faces and their mirror images."""
    critic = LandmarkCritic(network)
    parts = []
    for rows in torch.arange(faces.num_rows).split(MEASURED_AT_ONCE):
        batch = faces.faces(rows.tolist())
        far = (critic(batch.images) - batch.landmarks).norm(dim=2)
        parts.append(far / torch.from_numpy(eye_distance(batch.landmarks.double().numpy())).float()[:, None])
    far = torch.cat(parts)  # (2M, 68)
    inner, mouth, eyes = (float(far[:, group].mean()) for group in (INNER, MOUTH, EYES))
    return LandmarkFigures(inner, mouth, eyes, len(far))


def joined(sets: Sequence[FaceSet]) -> FaceSet:
    """Several sets of faces of one size as one."""
    return FaceSet(
        tuple(name for faces in sets for name in faces.names),
        tuple(sha256 for faces in sets for sha256 in faces.hashes),
        torch.cat([faces.images_u8 for faces in sets]),
        torch.cat([faces.masks_u8 for faces in sets]),
        torch.cat([faces.landmarks for faces in sets]),
        tuple(pose for faces in sets for pose in faces.poses),
    )
