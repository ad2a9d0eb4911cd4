"""Train one identity: photos in, identity file out."""

from __future__ import annotations

import copy
import dataclasses
import datetime
import hashlib
import json
import math
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from stylswap.data.faceset import FaceSet, RowBatch
from stylswap.engines.rendering import StyleRenderer
from stylswap.errors import FaceSetError, TrainingError, UsageError
from stylswap.faces.align import reference_shape
from stylswap.identity_file import IdentityFile
from stylswap.jobs.device import pick_device
from stylswap.jobs.hairline import forehead_of
from stylswap.jobs.occluder_finder import OccluderFinder
from stylswap.jobs.paste import composite_crops
from stylswap.jobs.prepare import OnPhoto, PrepareReport, check_folder, least_faces, prepare_identity, prepare_inputs
from stylswap.jobs.run_folder import TrainRequest, opened_run, record_request, write_identity
from stylswap.jobs.train_engine import Networks, batches_of, build_engine, build_loop, build_networks, training_inputs
from stylswap.networks import SwapNetwork
from stylswap.photo import write_png
from stylswap.report import write_train_report
from stylswap.sheets import contact_sheet
from stylswap.storage import write_atomically
from stylswap.training.journal import Journal
from stylswap.training.loop import Loop
from stylswap.training.schedule import Budget
from stylswap.training.session import JOURNAL_FILE, Pace, Progress, Session, resumed
from stylswap.version import __version__

# Kept free at the end of a time budget for the last checkpoint, sheet and identity file.
RESERVE_SECONDS: Final = 2.0


@dataclass(frozen=True)
class TrainEvents:
    """What the caller wants to hear of; all are optional."""

    on_photo: Callable[[str], OnPhoto] | None = None
    on_prepared: Callable[[PrepareReport], None] | None = None
    on_step: Callable[[Progress], None] | None = None
    on_sheet: Callable[[Path], None] | None = None


class Trained(NamedTuple):
    """What came out of a training.

    Attributes:
        out: The identity file, or None when the training was interrupted before its end.
        run: The run folder.
        steps: Steps taken, over all resumptions.
        taken: Of them, this time.
        seconds: Of optimisation, over all resumptions.
        interrupted: True when Ctrl-C ended it; the run folder holds a checkpoint.
        last: Mean of the last 50 steps, by term.
    """

    out: Path | None
    run: Path
    steps: int
    taken: int
    seconds: float
    interrupted: bool
    last: dict[str, float]


def train(request: TrainRequest, events: TrainEvents | None = None, *, resume: bool = False) -> Trained:
    """Prepare both folders, train, write the identity file.

    Args:
        request: What to do; for a resumption see `stylswap.jobs.run_folder.request_from_run`.
        events: Callbacks.
        resume: Go on from the newest checkpoint of ``request.run``.

    Raises:
        FaceSetError: If a folder cannot be used.
        RunError: If the run folder is taken, lies among the photos, or cannot be resumed.
        TrainingError: If the losses stop being numbers, or the device's memory is too small.
        DeviceError: If the device is not there.
        UsageError: If the time budget is not a positive number.
    """
    events = events or TrainEvents()
    if request.minutes is not None and not (math.isfinite(request.minutes) and request.minutes > 0):
        raise UsageError(f"minutes must be a positive number, got {request.minutes}")
    device = pick_device(request.device)
    # A resumed run goes on where it was: another kind of device rounds differently.
    request = dataclasses.replace(request, device=str(device))
    for folder in (request.identity, request.faces):
        check_folder(folder)
    networks = build_networks(request.settings, device, resume=resume)
    with opened_run(request, resume=resume):
        return _train(request, events, networks, device, resume=resume)


def _train(request: TrainRequest, events: TrainEvents, networks: Networks, device: torch.device, *, resume: bool) -> Trained:
    if not resume:
        record_request(request)
    identity, inputs, reports = _prepare(request, events, device)
    settings = request.settings.training
    data_hash = _data_hash(identity, inputs)
    wanted = request.settings.prepare
    forehead = forehead_of(identity, device) if wanted.hairline and wanted.mask == "parsing" else None
    held_out, inputs = _hold_out(inputs, settings.held_out)
    inputs = training_inputs(inputs, request.settings)
    loop = build_loop(build_engine(request.settings, networks, inputs, identity, device), request.settings)
    elapsed_seconds = 0.0
    if resume:
        elapsed_seconds = resumed(request.run, loop, data_hash)
        record_request(request)
    before = loop.step_number
    shown = copy.deepcopy(networks.network)  # what the training has come to: the average of the weights, where one is kept
    faces = held_out.batch(range(len(held_out)))

    def draw_sheet(step: int) -> None:
        path = request.run / f"sheet-{step:06d}.png"
        shown.load_state_dict(loop.averaged())
        write_png(_sheet(shown, faces, device), path)
        if events.on_sheet is not None:
            events.on_sheet(path)

    session = Session(
        loop,
        batches_of(inputs, request.settings),
        run=request.run,
        budget=_budget(request),
        pace=Pace(settings.learning_rate, settings.final_learning_rate, settings.warmup, settings.checkpoint_every, settings.sheet_every),
        header={"data": data_hash},
        elapsed_seconds=elapsed_seconds,
        on_step=events.on_step,
        draw_sheet=draw_sheet,
    )
    finished = _run(session, settings.batch_size)
    draw_sheet(loop.step_number)
    out = request.out if finished else None
    if out is not None:
        trained_file = _identity_file(request, shown, reports, data_hash, _training_facts(loop, session, device))
        write_identity(request, dataclasses.replace(trained_file, forehead=forehead))
    steps, terms = loop.step_number, session.recent_terms()
    trained = Trained(out, request.run, steps, steps - before, session.elapsed_seconds, not finished, terms)
    _write_report(request, reports, trained, device)
    return trained


def _run(session: Session, batch_size: int) -> bool:
    try:
        return session.run()
    except torch.OutOfMemoryError as error:
        less = f"--set training.batch_size={batch_size // 2}" if batch_size > 1 else "a smaller --size"
        raise TrainingError(f"the device has too little memory for {batch_size} faces a step; give {less}") from error


def _prepare(request: TrainRequest, events: TrainEvents, device: torch.device) -> tuple[FaceSet, FaceSet, list[PrepareReport]]:
    finder = OccluderFinder(device) if request.settings.prepare.mask == "parsing" else None
    on_photo = events.on_photo or (lambda _: _nothing)
    on_prepared = events.on_prepared or _nothing
    identity, own = prepare_identity(request.identity, request.settings, on_photo=on_photo("identity"), finder=finder)
    on_prepared(own)
    # As strangers, her own photos would tell the recognisers that strangers look like her.
    inputs, others = prepare_inputs(
        request.faces, request.settings, on_photo=on_photo("faces"), finder=finder, leave_out=frozenset(identity.hashes)
    )
    on_prepared(others)
    content = json.dumps([own.as_json(), others.as_json()], indent=1)
    write_atomically(request.run / "prepare.json", content.encode())
    return identity, inputs, [own, others]


def _nothing(*_: object) -> None:
    """For whoever does not want to hear of it."""


def _hold_out(inputs: FaceSet, count: int) -> tuple[FaceSet, FaceSet]:
    """Some faces for the contact sheets, evenly spread over the folder, and the others."""
    if len(inputs) < (least := least_faces(count)):
        raise FaceSetError(f"{len(inputs)} usable training faces; at least {least} are needed, some hundreds are good")
    held = {round(index * (len(inputs) - 1) / max(count - 1, 1)) for index in range(count)}
    return inputs.subset(sorted(held)), inputs.subset([row for row in range(len(inputs)) if row not in held])


def _budget(request: TrainRequest) -> Budget:
    if request.minutes is None:
        return Budget(steps=request.settings.training.steps)
    return Budget(seconds=max(request.minutes * 60 - RESERVE_SECONDS, 1.0))


def _sheet(network: SwapNetwork, batch: RowBatch, device: torch.device) -> Tensor:
    """Input, output and composite, one line each."""
    faces = batch.faces
    output = StyleRenderer(network).render(faces.to(device)).images.cpu()
    return contact_sheet([faces.images, output, composite_crops(faces, output, masks=faces.masks * (1.0 - batch.kept))])


def _write_report(request: TrainRequest, reports: list[PrepareReport], trained: Trained, device: torch.device) -> None:
    write_train_report(
        request.run,
        name=request.card.name,
        settings=request.settings.model_dump(mode="json"),
        prepared=[report.as_json() for report in reports],
        journal=Journal(request.run / JOURNAL_FILE).read(),
        seconds=trained.seconds,
        device=str(device),
        identity_file=trained.out,
    )


def _data_hash(*sets: FaceSet) -> str:
    """sha256 over the sha256 of all photos, in their order."""
    return hashlib.sha256("\n".join(sha256 for faces in sets for sha256 in faces.hashes).encode()).hexdigest()


def _training_facts(loop: Loop, session: Session, device: torch.device) -> dict[str, Any]:
    return {
        "steps": loop.step_number,
        "seconds": round(session.elapsed_seconds, 1),
        "device": str(device),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "last_terms": {name: round(value, 5) for name, value in session.recent_terms().items()},
    }


def _identity_file(
    request: TrainRequest, network: SwapNetwork, reports: list[PrepareReport], data_hash: str, training: dict[str, Any]
) -> IdentityFile:
    settings = request.settings
    written = settings.model_dump(mode="json")
    written["network"]["start"] = Path(settings.network.start).name  # no folder of the maker's in what may be given away
    return IdentityFile(
        # Rounded, a network is half as large; its outputs move by less than a grey level.
        tensors={name: tensor.half() for name, tensor in network.state_dict().items()},
        network={"name": network.name, "options": network.settings()},
        size=settings.size,
        alignment=settings.prepare.alignment.model_dump(),
        reference=reference_shape(settings.size),
        card=request.card,
        settings=written,
        data={"identity": reports[0].summary(), "faces": reports[1].summary(), "sha256": data_hash},
        training=training,
        version=__version__,
    )
