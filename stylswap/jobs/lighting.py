"""Train the lighting network on pairs, from lit faces, relit faces, or both."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import torch

from stylswap.config import Settings
from stylswap.data.faceset import FaceSet
from stylswap.data.light_pairs import LightPairs, RelitPairs, YalePairs
from stylswap.data.lit_faces import FindLandmarks, LitFaces, read_lit_faces
from stylswap.engines.lighting import LightingEngine
from stylswap.errors import UsageError
from stylswap.features.lighting import lighting_bytes
from stylswap.jobs.device import pick_device
from stylswap.jobs.prepare import prepare_inputs
from stylswap.networks.siamese import LightingNetwork, build_lighting_network
from stylswap.storage import write_atomically
from stylswap.training.checkpoint import refuse_checkpoints
from stylswap.training.loop import Loop
from stylswap.training.schedule import Budget
from stylswap.training.session import Pace, Progress, Session, resumed
from stylswap.version import __version__

Source = Literal["yale", "relit", "both"]

WEIGHTS: Final = {"contrastive": 1.0, "classification": 0.5}
NUM_TEST_PEOPLE: Final = 10
TEST_SHARE_OF_FACES: Final = 0.1
SPLIT_SEED: Final = 0  # one split for ever: a network may be judged long after it was trained


@dataclass(frozen=True)
class LightingRequest:
    """What to train, on what.

    Attributes:
        out: The weights file to write.
        source: Which pairs.
        yale: A file of lit faces, for ``yale`` and ``both``.
        faces: A folder of ordinary faces, for ``relit`` and ``both``.
        minutes: Of training; None: `steps` decides.
        steps: Of training.
        seed: Of weights and pairs.
        crop_px: Side of the crops that pairs are made at.
        network: Settings of `LightingNetwork`.
        device: ``auto``, ``cpu``, ``cuda``, ``mps``.
    """

    out: Path
    source: Source
    yale: Path | None = None
    faces: Path | None = None
    minutes: float | None = None
    steps: int = 3000
    seed: int = 0
    crop_px: int = 64
    network: tuple[tuple[str, Any], ...] = ()
    device: str = "auto"

    @property
    def run(self) -> Path:
        """Folder for journal and checkpoints, beside the weights file."""
        return self.out.with_suffix(".run")


class LightingTrained(NamedTuple):
    """What came out.

    Attributes:
        out: The weights file, None when Ctrl-C ended the training; then `resume` goes on.
        network: Trained.
        steps: Taken.
        seconds: Of training.
        last: Mean of the recent steps, by term.
    """

    out: Path | None
    network: LightingNetwork
    steps: int
    seconds: float
    last: dict[str, float]


def train_lighting(
    request: LightingRequest,
    *,
    resume: bool = False,
    on_step: Callable[[Progress], None] | None = None,
    find: FindLandmarks | None = None,
) -> LightingTrained:
    """Train on the people and faces that are not held out, and write the weights file.

    Args:
        request: What to do.
        resume: Go on from the newest checkpoint of ``request.run``.
        on_step: Called after each step.
        find: Finds landmarks on lit faces; None: ours.

    Raises:
        UsageError: If the source lacks its file or folder.
        FaceSetError: If the data cannot be used.
        RunError: If the run folder holds another training, or none to resume.
    """
    if not resume:
        refuse_checkpoints(request.run)
    make_pairs, trained_on = _pairs(request, find)
    request.run.mkdir(parents=True, exist_ok=True)
    device = pick_device(request.device)
    network = build_lighting_network(seed=request.seed, **dict(request.network))
    loop = Loop(LightingEngine(network, device=device), {"network": WEIGHTS}, gradient_norm=5.0)
    key = hashlib.sha256(repr((request.source, request.seed, request.crop_px, request.network, trained_on)).encode()).hexdigest()
    session = Session(
        loop,
        make_pairs,
        run=request.run,
        budget=Budget(steps=request.steps) if request.minutes is None else Budget(seconds=request.minutes * 60),
        pace=Pace(peak=1e-3, final=1e-5, warmup=0.03, checkpoint_every=500, sheet_every=10**9),
        header={"data": key},
        elapsed_seconds=resumed(request.run, loop, key) if resume else 0.0,
        on_step=on_step,
    )
    finished = session.run()
    facts = {"trained_on": trained_on, "source": request.source, "seed": request.seed, "steps": loop.step_number, "version": __version__}
    network = network.cpu().eval()
    if finished:
        write_atomically(request.out, lighting_bytes(network, facts))
    return LightingTrained(request.out if finished else None, network, loop.step_number, session.elapsed_seconds, session.recent_terms())


def split_people(faces: LitFaces) -> tuple[LitFaces, LitFaces]:
    """The people to train on, and the 10 to test on; drawn once with a fixed seed."""
    people = sorted(set(faces.people.tolist()))
    order = torch.randperm(len(people), generator=torch.Generator().manual_seed(SPLIT_SEED)).tolist()
    test = {people[place] for place in order[: min(NUM_TEST_PEOPLE, len(people) // 2)]}
    return faces.of_people(set(people) - test), faces.of_people(test)


def split_faces(faces: FaceSet) -> tuple[FaceSet, FaceSet]:
    """The faces to train on, and a tenth to test on; drawn once with a fixed seed."""
    order = torch.randperm(len(faces), generator=torch.Generator().manual_seed(SPLIT_SEED)).tolist()
    count = max(round(TEST_SHARE_OF_FACES * len(faces)), 1)
    return faces.subset(sorted(order[count:])), faces.subset(sorted(order[:count]))


def ordinary_faces(folder: Path) -> FaceSet:
    """The faces of a folder, prepared as inputs of a swap are."""
    return prepare_inputs(folder, Settings())[0]


def _pairs(request: LightingRequest, find: FindLandmarks | None) -> tuple[Callable[[int], LightPairs], dict[str, int]]:
    makers: list[Callable[[int], LightPairs]] = []
    trained_on: dict[str, int] = {}
    if request.source in ("yale", "both"):
        if request.yale is None:
            raise UsageError(f"--source {request.source} needs --yale, a file of lit faces")
        lit = split_people(read_lit_faces(request.yale, request.crop_px, find=find))[0]
        makers.append(YalePairs(lit, seed=request.seed))
        trained_on |= {"yale_people": len(set(lit.people.tolist())), "yale_pictures": len(lit)}
    if request.source in ("relit", "both"):
        if request.faces is None:
            raise UsageError(f"--source {request.source} needs --faces, a folder of ordinary faces")
        faces = split_faces(ordinary_faces(request.faces))[0]
        makers.append(RelitPairs(faces, request.crop_px, seed=request.seed))
        trained_on["relit_faces"] = len(faces)
    return (lambda step: makers[step % len(makers)](step)), trained_on
