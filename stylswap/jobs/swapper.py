"""`Swapper`: a trained identity, ready to go into photos."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import torch

from stylswap.engines.style import StyleRenderer
from stylswap.errors import IdentityFileError, PhotoError, SettingsError, did_you_mean
from stylswap.faces.detect import FaceDetector
from stylswap.identity_file import IdentityFile, read_identity_file
from stylswap.jobs.align_photo import PhotoLike, aligner_of
from stylswap.jobs.device import pick_device
from stylswap.jobs.join_photo import PhotoJoiner
from stylswap.jobs.photo_worker import PhotoWorker
from stylswap.jobs.render_faces import VIEW_PX, FaceRenderer, load_parser
from stylswap.jobs.swap_options import SwapOptions
from stylswap.jobs.swapped import Aligned, Swapped
from stylswap.networks import build_network
from stylswap.provenance import Mark
from stylswap.signing import Signer
from stylswap.version import __version__
from stylswap.weights import list_weights, weights_path


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
    ) -> None:
        """Build the network from the identity file.

        Args:
            identity: See `read_identity_file`.
            options: How to swap.
            device: As in `pick_device`.
            detector: Finds the faces.

        Raises:
            IdentityFileError: If the file's network cannot be built.
            DeviceError: If the device is not there.
            WeightsFileError: If face parsing is asked for by name and its weights are not there.
        """
        self.identity = identity
        self.options = options or SwapOptions()
        self.device = pick_device(device)
        parser = load_parser(self.options.mask, self.device)
        self.renderer = FaceRenderer(StyleRenderer(network_of(identity).to(self.device)), parser, self.device)
        self._aligner = aligner_of(identity, self.options, detector=detector, view_px=VIEW_PX if parser is not None else None)
        self._joiner = PhotoJoiner(self.options)

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
        name, sha256 = self.identity.card.name, self.identity.sha256
        return Mark(f"stylswap {__version__}", identity_name=name, identity_sha256=sha256, label=self.options.label)

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

    def swap_many(self, photos: Sequence[PhotoLike]) -> list[Swapped]:
        """Swap several photos, all in memory at once: hand over some dozen at a time; `swap_photos` is for folders.

        A photo that fails has status ``"failed"`` and the reason.

        Args:
            photos: As in `swap`.
        """
        aligned = [self._aligner(photo) for photo in photos]
        rendered = iter(self.renderer.render([item for item in aligned if isinstance(item, Aligned)]))
        return [self._joiner(item, next(rendered)) if isinstance(item, Aligned) else item for item in aligned]

    def worker(self, signer: Signer | None = None) -> PhotoWorker:
        """What a process needs to open, join and write photos for this swapper."""
        return PhotoWorker(self._aligner, self._joiner, self.mark, signer)


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
