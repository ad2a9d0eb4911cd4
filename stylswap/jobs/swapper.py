"""`Swapper`: a trained identity, ready to go into photos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from stylswap.data.prepare import cut_crop
from stylswap.engines.style import StyleRenderer
from stylswap.errors import IdentityFileError, PhotoError, SettingsError, StylswapError, did_you_mean
from stylswap.faces.align import crop_from_photo, transform_points
from stylswap.faces.batch import Face, FaceBatch
from stylswap.faces.blend import BLENDS
from stylswap.faces.detect import FaceDetector
from stylswap.faces.landmarks import Pose, head_pose
from stylswap.faces.segment import Segmenter
from stylswap.identity_file import IdentityFile, read_identity_file
from stylswap.jobs.device import pick_device
from stylswap.jobs.paste import PASTE_SEGMENTER, PasteOptions, paste_crop
from stylswap.networks import build_network
from stylswap.photo import Photo, from_array, read_photo
from stylswap.provenance import Mark
from stylswap.version import __version__
from stylswap.weights import list_weights, weights_path

COLOURS: Final = ("none", "skin")
FACES: Final = ("largest", "all")
# Faces that go through the network at once; more only cost memory.
MOST_FACES: Final = 16

FloatArray = npt.NDArray[np.float64]
PhotoLike = Photo | Path | str | npt.NDArray[np.uint8]
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class SwapOptions:
    """How photos are swapped.

    Attributes:
        blend: ``"poisson"``, ``"feather"`` or ``"none"``.
        colour: ``"none"`` or ``"skin"``.
        faces: ``"largest"`` or ``"all"`` faces of a photo.
        size_limit_mp: Photos of more megapixels are refused.
    """

    blend: str = "poisson"
    colour: str = "none"
    faces: str = "largest"
    size_limit_mp: float = 100.0

    def __post_init__(self) -> None:
        for name, value, known in (("blend", self.blend, BLENDS), ("colour", self.colour, COLOURS), ("faces", self.faces, FACES)):
            if value not in known:
                raise SettingsError(f"unknown {name} '{value}'.{did_you_mean(value, known)}")


@dataclass(frozen=True, eq=False)
class SwappedFace:
    """One face that was replaced.

    Attributes:
        face: Where it was.
        pose: Head pose.
        output: The network's bare crop, (3, S, S) in [0, 1].
        mask: What of the crop went into the photo, (1, S, S) in [0, 1].
        crop_from_photo: (3, 3).
    """

    face: Face
    pose: Pose
    output: torch.Tensor
    mask: torch.Tensor
    crop_from_photo: FloatArray


@dataclass(frozen=True, eq=False)
class Swapped:
    """What became of one photo.

    Attributes:
        photo: The result; the photo as it was where nothing was swapped; None where it could not even be read.
        original: The photo as it was; None where it could not be read.
        status: ``"swapped"``, ``"no_face"`` or ``"failed"``.
        reason: Why it was not swapped, else "".
        num_found: Faces that were found.
        faces: The faces that were replaced.
    """

    photo: Photo | None
    original: Photo | None
    status: str
    reason: str = ""
    num_found: int = 0
    faces: tuple[SwappedFace, ...] = ()


@dataclass(frozen=True, eq=False)
class _Aligned:
    """A photo whose faces are found and cut out."""

    photo: Photo
    found: list[Face]
    matrices: list[FloatArray]
    faces: FaceBatch | None


class Swapper:
    """One identity: loaded once, used for any number of photos.

    Example:
        >>> swapper = Swapper.load("ada")  # doctest: +SKIP
        >>> write_photo(swapper.swap("party.jpg").photo, Path("out.jpg"), mark=swapper.mark)  # doctest: +SKIP
    """

    def __init__(
        self,
        identity: IdentityFile,
        *,
        options: SwapOptions | None = None,
        device: str = "auto",
        detector: FaceDetector | None = None,
        segmenter: Segmenter | None = None,
    ) -> None:
        """Build the network from the identity file.

        Args:
            identity: See `read_identity_file`.
            options: How to swap.
            device: As in `pick_device`.
            detector: Finds the faces.
            segmenter: Says what of a crop is face.

        Raises:
            IdentityFileError: If the file's network cannot be built.
            DeviceError: If the device is not there.
        """
        self.identity = identity
        self.options = options or SwapOptions()
        self._device = pick_device(device)
        self._detector = detector or FaceDetector(thorough=self.options.faces == "all")
        self._segmenter = segmenter or PASTE_SEGMENTER
        self._renderer = StyleRenderer(network_of(identity).to(self._device))

    @classmethod
    def load(cls, identity: str | Path, *, options: SwapOptions | None = None, device: str = "auto") -> Swapper:
        """A swapper from an identity file, or from the name of one that ships with stylswap, such as ``"ada"``.

        Raises:
            IdentityFileError: If there is no such file or name, or it is damaged or too new.
        """
        return cls(read_identity_file(find_identity(identity)), options=options, device=device)

    @cached_property
    def mark(self) -> Mark:
        """What every output of this swapper says of itself."""
        return Mark(software=f"stylswap {__version__}", identity_name=self.identity.card.name, identity_sha256=self.identity.sha256)

    def swap(self, photo: PhotoLike) -> Swapped:
        """Swap the faces of one photo.

        Args:
            photo: A path, a `Photo`, or an array (H, W, 3) uint8 RGB.

        Returns:
            The result; a photo without a face is a value (status ``"no_face"``), not an error.

        Raises:
            PhotoError: If the photo cannot be read.
        """
        result = self.swap_many([photo])[0]
        if result.status == "failed":
            raise PhotoError(result.reason)
        return result

    def swap_many(self, photos: Sequence[PhotoLike], *, pool: ThreadPoolExecutor | None = None) -> list[Swapped]:
        """Swap several photos; their faces go through the network together.

        All photos are in memory at once: hand over some dozen at a time. A photo that fails has status ``"failed"`` and the reason.

        Args:
            photos: As in `swap`.
            pool: Threads for reading, detecting and blending; see `worker_pool`.
        """
        run: Callable[[Callable[[T], R], Iterable[T]], Iterable[R]] = pool.map if pool is not None else map
        aligned = list(run(self._align, photos))
        batches = [item.faces for item in aligned if isinstance(item, _Aligned) and item.faces is not None]
        outputs = iter(self._render(batches))
        tasks = [
            (item, next(outputs) if isinstance(item, _Aligned) and item.faces is not None else None) for item in aligned
        ]
        return list(run(lambda task: self._paste(*task), tasks))

    def _align(self, photo: PhotoLike) -> _Aligned | Swapped:
        try:
            opened = _opened(photo, self.options.size_limit_mp)
            found = self._detector.detect(opened.rgb_u8())
            chosen = found if self.options.faces == "all" else found[:1]
            matrices = [self._matrix(face) for face in chosen]
            return _Aligned(opened, found, matrices, self._cut(opened, chosen, matrices))
        except Exception as error:  # one photo never stops the others, whatever a decoder or detector thinks of it
            return Swapped(None, None, "failed", _reason(error))

    def _matrix(self, face: Face) -> FloatArray:
        alignment = self.identity.alignment
        return crop_from_photo(face.landmarks, self.identity.reference, model=alignment["model"], points=alignment["points"])

    def _cut(self, photo: Photo, faces: Sequence[Face], matrices: Sequence[FloatArray]) -> FaceBatch | None:
        if not faces:
            return None
        images = torch.stack([cut_crop(photo, matrix, self.identity.size) for matrix in matrices])
        points = [transform_points(matrix, face.landmarks) for matrix, face in zip(matrices, faces, strict=True)]
        landmarks = torch.from_numpy(np.stack(points)).float()
        return FaceBatch(images, landmarks, self._segmenter.segment(images, landmarks))

    def _render(self, batches: Sequence[FaceBatch]) -> list[torch.Tensor]:
        """The outputs of each batch, (B, 3, S, S); the faces of all go through the network in groups of `MOST_FACES`."""
        if not batches:
            return []
        together = FaceBatch(
            torch.cat([batch.images for batch in batches]),
            torch.cat([batch.landmarks for batch in batches]),
            torch.cat([batch.masks for batch in batches]),
        )
        groups = [together[start : start + MOST_FACES] for start in range(0, len(together), MOST_FACES)]
        rendered = torch.cat([self._renderer.render(group.to(self._device)).images.cpu() for group in groups])
        return list(rendered.split([len(batch) for batch in batches]))

    def _paste(self, aligned: _Aligned | Swapped, outputs: torch.Tensor | None) -> Swapped:
        if isinstance(aligned, Swapped):
            return aligned
        try:
            return self._join(aligned, outputs)
        except Exception as error:
            return Swapped(None, aligned.photo, "failed", _reason(error), len(aligned.found))

    def _join(self, aligned: _Aligned, outputs: torch.Tensor | None) -> Swapped:
        if outputs is None or aligned.faces is None:
            return Swapped(aligned.photo, aligned.photo, "no_face", "no face found")
        photo, swapped = aligned.photo, []
        options = PasteOptions(self.options.blend, self.options.colour)
        # The largest face comes last, so that where masks meet it is the one in front.
        for index in reversed(range(len(outputs))):
            matrix, face = aligned.matrices[index], aligned.found[index]
            mask = aligned.faces.masks[index]
            photo = paste_crop(photo, outputs[index], mask, matrix, options)
            swapped.append(SwappedFace(face, head_pose(face.landmarks), outputs[index], mask, matrix))
        return Swapped(photo, aligned.photo, "swapped", "", len(aligned.found), tuple(reversed(swapped)))


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, StylswapError) else f"{type(error).__name__}: {error}"


def worker_pool(num_threads: int) -> ThreadPoolExecutor:
    """Threads for `Swapper.swap_many`. Each computes on one core: together they would otherwise ask for more cores than there are."""
    return ThreadPoolExecutor(num_threads, thread_name_prefix="stylswap", initializer=torch.set_num_threads, initargs=(1,))


def find_identity(identity: str | Path) -> Path:
    """The path of an identity file, given as a path or as the name of one that ships.

    Raises:
        IdentityFileError: If there is neither such a file nor such a name.
    """
    path = Path(identity)
    if path.suffix == ".safetensors" or path.is_file():
        return path
    shipped = [entry.name for entry in list_weights() if entry.kind == "identity"]
    if str(identity) in shipped:
        return weights_path(str(identity))
    raise IdentityFileError(f"{identity}: neither an identity file nor the name of one that ships.{did_you_mean(str(identity), shipped)}")


def _opened(photo: PhotoLike, size_limit_mp: float) -> Photo:
    if isinstance(photo, Photo):
        return photo
    if isinstance(photo, np.ndarray):
        return from_array(photo)
    return read_photo(Path(photo), size_limit_mp=size_limit_mp)


def network_of(identity: IdentityFile) -> torch.nn.Module:
    """The network of an identity file, with its weights.

    Raises:
        IdentityFileError: If it cannot be built.
    """
    try:
        network = build_network(identity.network["name"], **identity.network["options"])
        network.load_state_dict(dict(identity.tensors))
    except (SettingsError, RuntimeError, KeyError) as error:
        raise IdentityFileError(f"the identity file's network cannot be built ({error}); it is damaged or from another version") from error
    return network
