"""Tune the face parser on drawn occluders, so that it knows hands, bars, text, microphones and masks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from stylswap.config import Settings
from stylswap.data.faceset import FaceSet
from stylswap.data.occluded_faces import OccludedBatch, OccludedFaces, shares_without
from stylswap.engines.parsing import ParsingEngine
from stylswap.errors import WeightsFileError
from stylswap.features.parsing import BASE_NAME, CLASSES, FaceParser
from stylswap.jobs.device import pick_device
from stylswap.jobs.prepare import prepare_inputs
from stylswap.networks.bisenet import BiSeNet
from stylswap.storage import write_atomically
from stylswap.training.checkpoint import refuse_checkpoints
from stylswap.training.loop import Loop
from stylswap.training.schedule import Budget
from stylswap.training.session import Pace, Progress, Session, resumed
from stylswap.version import __version__
from stylswap.weights import weights_path

WEIGHTS: Final = {"classes": 1.0, "face": 2.0}  # face or not is what a mask is made of
HEADER_KEY: Final = "stylswap"
CHECKPOINT_EVERY: Final = 100

_ROWS_AT_ONCE: Final = 16


@dataclass(frozen=True)
class TuneRequest:
    """What to tune, on what.

    Attributes:
        out: The weights file to write.
        faces: A folder of ordinary faces.
        start: Weights to start from, whose answers on clean faces are kept; None: those that ship.
        minutes: Of training; None: `steps` decides.
        steps: Of training.
        leave: Kinds of occluders to leave out, see `stylswap.data.occluded_faces.SHARES`: tells what is learnt about things never seen.
        seed: Of the occluders.
        batch_size: Faces in a step.
        crop_px: Side of the crops.
        side: What the parser brings them to, see `FaceParser`.
        device: ``auto``, ``cpu``, ``cuda``, ``mps``.
    """

    out: Path
    faces: Path
    start: Path | None = None
    minutes: float | None = None
    steps: int = 650
    leave: tuple[str, ...] = ()
    seed: int = 0
    batch_size: int = 6
    crop_px: int = 256
    side: int = 384
    device: str = "auto"

    @property
    def run(self) -> Path:
        """Folder for journal and checkpoints, beside the weights file."""
        return self.out.with_suffix(".run")


class Tuned(NamedTuple):
    """What came out.

    Attributes:
        out: The weights file, None when Ctrl-C ended the training; then `resume` goes on.
        parser: With the averaged weights, on the CPU.
        steps: Taken.
        seconds: Of training.
        last: Mean of the recent steps, by term.
    """

    out: Path | None
    parser: FaceParser
    steps: int
    seconds: float
    last: dict[str, float]


def tune_parser(request: TuneRequest, *, resume: bool = False, on_step: Callable[[Progress], None] | None = None) -> Tuned:
    """Tune on all faces of the folder, and write the moving average of the weights.

    Args:
        request: What to do.
        resume: Go on from the newest checkpoint of ``request.run``.
        on_step: Called after each step.

    Raises:
        SettingsError: If a kind of occluder is not known, or none is left.
        FaceSetError: If the folder cannot be used.
        WeightsFileError: If the weights to start from cannot be read.
        RunError: If the run folder holds another training, or none to resume.
    """
    shares = shares_without(request.leave)
    if not resume:
        refuse_checkpoints(request.run)
    device = pick_device(request.device)
    start = request.start or weights_path(BASE_NAME)
    parser, about = _read(start, request.side)
    faces, _ = prepare_inputs(request.faces, Settings(size=request.crop_px))
    engine = ParsingEngine(parser, device=device)
    loop = Loop(engine, {"network": WEIGHTS}, gradient_norm=1.0)
    request.run.mkdir(parents=True, exist_ok=True)
    facts = _facts(request, faces, start)
    key = hashlib.sha256(repr((facts, faces.hashes, request.batch_size, request.crop_px, request.side)).encode()).hexdigest()
    elapsed_seconds = resumed(request.run, loop, key) if resume else 0.0
    lessons = OccludedFaces(faces, answers_of(parser.to(device), faces), CLASSES, shares, request.batch_size, request.seed)

    def next_batch(step: int) -> OccludedBatch:
        # Before the step and not after it: a checkpoint is written in between, and a resumed training then repeats what it lost.
        engine.follow(step)
        return lessons(step)

    session = Session(
        loop,
        next_batch,
        run=request.run,
        budget=Budget(steps=request.steps) if request.minutes is None else Budget(seconds=request.minutes * 60),
        pace=Pace(peak=2e-4, final=2e-6, warmup=0.045, checkpoint_every=CHECKPOINT_EVERY, sheet_every=10**9),
        header={"data": key},
        elapsed_seconds=elapsed_seconds,
        on_step=on_step,
    )
    finished = session.run()
    engine.follow(loop.step_number)
    tuned = engine.averaged.cpu()
    if finished:
        write_atomically(request.out, parser_bytes(tuned, {**facts, "steps": loop.step_number, "base": about}))
    return Tuned(request.out if finished else None, tuned, loop.step_number, session.elapsed_seconds, session.recent_terms())


def answers_of(parser: FaceParser, faces: FaceSet) -> Tensor:
    """What a parser says of every row of a set, as it is: logits, (2M, 19, h, h) float16 on the CPU."""
    answers = []
    with torch.inference_mode():
        for rows in torch.arange(faces.num_rows).split(_ROWS_AT_ONCE):
            images = faces.faces(rows.tolist()).images.to(parser.mean.device)
            answers.append(parser.logits(images).half().cpu())
    return torch.cat(answers).clone()


def parser_bytes(parser: FaceParser, facts: dict[str, Any]) -> bytes:
    """The content of a weights file: weights in float16, biases in float32, as in the file that `FaceParser.load` reads.

    Args:
        parser: What is written.
        facts: JSON-able, for the header.
    """
    tensors = {
        name: (tensor.float() if name.endswith(".bias") else tensor.half()).detach().cpu().contiguous()
        for name, tensor in parser.network.state_dict().items()
    }
    return bytes(save(tensors, metadata={HEADER_KEY: json.dumps(facts, sort_keys=True, ensure_ascii=False)}))


def _read(path: Path, side: int) -> tuple[FaceParser, dict[str, Any]]:
    """A parser from its file, and what the file says of itself."""
    network = BiSeNet()
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get(HEADER_KEY, "{}"))
            network.load_state_dict({name: file.get_tensor(name).float() for name in file.keys()})  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise WeightsFileError(f"{path} holds no face parser of this version: {error}") from error
    return FaceParser(network, side=side, border_px=0), about  # the whole crop is learned from


def _facts(request: TuneRequest, faces: FaceSet, start: Path) -> dict[str, Any]:
    return {
        "trained_on": {"faces": len(faces)},
        "left_out": sorted(request.leave),
        "seed": request.seed,
        "base_sha256": hashlib.sha256(start.read_bytes()).hexdigest(),
        "version": __version__,
    }
