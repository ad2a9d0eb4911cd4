"""Second stage of a swap: the faces of many photos go through the networks together."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final, Protocol

import torch
from torch import Tensor

from stylswap.engines.rendering import Rendered
from stylswap.errors import SettingsError, WeightsFileError
from stylswap.faces.batch import FaceBatch
from stylswap.faces.forehead import below_hairline
from stylswap.features.forehead import shows_more
from stylswap.features.parsing import WEIGHTS_NAME, Glasses, ParsedMasks, ParsingSegmenter
from stylswap.jobs.device import pick_precision
from stylswap.jobs.swapped import Aligned, RenderedFaces
from stylswap.weights import weights_path

# Faces that go through the network at once on an accelerator; more only cost memory.
MOST_FACES: Final = 16
VIEW_PX: Final = 256


class Renderer(Protocol):
    """Whatever gives aligned faces the identity: a network, or the identity's photos."""

    def render(self, faces: FaceBatch) -> Rendered:
        """The outputs, each from its own face alone."""
        ...


class FaceRenderer:
    """The renderer of an identity, and the face parser where it is on.

    What a face becomes must not depend on the faces beside it, or an interrupted run would end in other files than an uninterrupted
    one. So a CPU takes one face at a time, which costs it nothing, and an accelerator takes batches of one fixed size.
    """

    def __init__(
        self,
        renderer: Renderer,
        parser: ParsingSegmenter | None,
        device: torch.device,
        *,
        one_by_one: bool = False,
        forehead: float | None = None,
    ) -> None:
        """Put both together.

        Args:
            renderer: On the device.
            parser: On the device; None where face parsing is off.
            device: Where the faces are sent.
            one_by_one: The renderer gains nothing from a batch, also on an accelerator.
            forehead: Where masks end, see `below_hairline`, of faces that show more of a forehead; None: nothing limits them.
        """
        self._renderer = renderer
        self._parser = parser
        self._device = device
        self._forehead = forehead
        self._batch = 1 if one_by_one or device.type == "cpu" else MOST_FACES

    @property
    def parses(self) -> bool:
        """True where face parsing is on."""
        return self._parser is not None

    def render(self, photos: Sequence[Aligned]) -> list[RenderedFaces]:
        """The faces of some photos, a result for each photo."""
        if not photos:
            return []
        began = time.perf_counter()
        outputs = self._render(_together([photo.faces for photo in photos]))
        per_face = (time.perf_counter() - began) / max(len(outputs), 1)
        return [
            self._with_masks(photo, part, per_face * len(part))
            for photo, part in zip(photos, outputs.split([len(photo.faces) for photo in photos]), strict=True)
        ]

    def _with_masks(self, photo: Aligned, outputs: Tensor, seconds: float) -> RenderedFaces:
        count = len(outputs)
        if self._parser is None or photo.views is None:
            nothing = ((False,) * count, (0.0,) * count, (False,) * count)
            return RenderedFaces(outputs, photo.faces.masks, *nothing, {"render": seconds})
        began = time.perf_counter()
        parsed = self._parse(photo)
        masks = self._up_to_hairline(parsed.masks, photo).cpu()
        spent = {"render": seconds, "parse": time.perf_counter() - began}
        return RenderedFaces(outputs, masks, parsed.used_parsing, parsed.occluded_share, parsed.has_glasses, spent)

    def _parse(self, photo: Aligned) -> ParsedMasks:
        assert self._parser is not None
        assert photo.views is not None
        landmarks = _enlarged(photo.faces, int(photo.views.shape[-1]))
        return self._parser.parse(photo.views.to(self._device), landmarks.to(self._device))

    def _up_to_hairline(self, masks: Tensor, photo: Aligned) -> Tensor:
        """Masks (B, 1, M, M), as far up as the identity has a forehead, where the photo shows more of one."""
        assert self._parser is not None
        assert photo.views is not None
        if self._forehead is None:
            return masks
        size = int(masks.shape[-1])
        landmarks = _enlarged(photo.faces, size).to(masks.device)
        limited = [
            mask * below_hairline(points[None], size, self._forehead)[0]
            if shows_more(self._parser.parser, view.to(self._device), points, mask, self._forehead)
            else mask
            for mask, view, points in zip(masks, photo.views, landmarks, strict=True)
        ]
        return torch.stack(limited) if limited else masks

    def _render(self, faces: FaceBatch) -> Tensor:
        """(B, 3, S, S); halves the batch when the accelerator's memory is full."""
        while True:
            try:
                groups = [faces[start : start + self._batch] for start in range(0, len(faces), self._batch)]
                return torch.cat([self._one_batch(group) for group in groups])
            except torch.OutOfMemoryError:
                if self._batch == 1:
                    raise
                self._batch //= 2

    def _one_batch(self, faces: FaceBatch) -> Tensor:
        missing = self._batch - len(faces)
        padded = faces if missing == 0 else _together([faces, *[faces[:1]] * missing])
        return self._renderer.render(padded.to(self._device)).images[: len(faces)].cpu()


def load_parser(mask: str, device: torch.device, glasses: Glasses = "keep") -> ParsingSegmenter | None:
    """The face parser, as far as it is wanted and there.

    Args:
        mask: ``"parsing"``, ``"landmarks"`` or ``"auto"``; see `stylswap.jobs.swap_options.SwapOptions`.
        device: Where it runs.
        glasses: See `ParsingSegmenter`.

    Raises:
        WeightsFileError: If it is asked for by name and its weights are not there.
    """
    if mask == "landmarks":
        return None
    try:
        weights_path(WEIGHTS_NAME)
    except WeightsFileError:
        if mask == "parsing":
            raise
        return None
    return ParsingSegmenter.load(device=device, precision=pick_precision("auto", device), glasses=glasses)


def _enlarged(faces: FaceBatch, size: int) -> Tensor:
    """The landmarks in pixels of another side over the same square, (B, 68, 2)."""
    return (faces.landmarks + 0.5) * (size / faces.size) - 0.5


def _together(batches: Sequence[FaceBatch]) -> FaceBatch:
    if not batches:
        raise SettingsError("nothing to render")
    return FaceBatch(
        torch.cat([batch.images for batch in batches]),
        torch.cat([batch.landmarks for batch in batches]),
        torch.cat([batch.masks for batch in batches]),
    )
