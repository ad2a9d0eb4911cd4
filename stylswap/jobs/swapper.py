"""`Swapper`: an identity, trained or as photos, ready to go into photos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import cast

import torch

from stylswap.engines.rendering import StyleRenderer
from stylswap.errors import IdentityFileError, PhotoError, SettingsError, did_you_mean
from stylswap.faces.detect import FaceDetector
from stylswap.features.parsing import Glasses
from stylswap.identity_file import IdentityCard, IdentityFile, read_identity_file
from stylswap.jobs.align_photo import PhotoLike, aligner_of
from stylswap.jobs.device import pick_device
from stylswap.jobs.join_photo import PhotoJoiner
from stylswap.jobs.photo_worker import PhotoWorker
from stylswap.jobs.prepare import OnPhoto, PrepareReport
from stylswap.jobs.render_faces import VIEW_PX, FaceRenderer, Renderer, load_parser
from stylswap.jobs.start import BASE
from stylswap.jobs.swap_options import SwapOptions
from stylswap.jobs.swapped import Aligned, Swapped
from stylswap.jobs.warp import ENGINE as WARP
from stylswap.jobs.warp import WARP_COLOUR, identity_from_photos
from stylswap.names import AUTO
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
        renderer: Renderer | None = None,
    ) -> None:
        """Take a renderer, or build the network from the identity file.

        Args:
            identity: See `read_identity_file`.
            options: How to swap.
            device: As in `pick_device`.
            detector: Finds the faces.
            renderer: Gives faces the identity, one at a time; None takes the identity file's network.

        Raises:
            IdentityFileError: If the file's network cannot be built.
            DeviceError: If the device is not there.
            WeightsFileError: If face parsing is asked for by name and its weights are not there.
        """
        self.identity = identity
        self.options = options or SwapOptions()
        self.device = pick_device(device)
        parser = load_parser(self.options.mask, self.device, glasses_of(identity, self.options))
        one_by_one = renderer is not None
        renderer = renderer or StyleRenderer(network_of(identity).to(self.device))
        forehead = identity.forehead if self.options.forehead == AUTO else None
        self.renderer = FaceRenderer(renderer, parser, self.device, one_by_one=one_by_one, forehead=forehead)
        self._aligner = aligner_of(identity, self.options, detector=detector, view_px=VIEW_PX if parser is not None else None)
        self._joiner = PhotoJoiner(self.options, drawn=identity.engine != WARP)

    @classmethod
    def load(cls, identity: str | Path, *, options: SwapOptions | None = None, device: str = "auto") -> Swapper:
        """A swapper from an identity file, or from the name of one that ships with stylswap, such as ``"ada"``.

        Raises:
            IdentityFileError: If there is no such file or name, or it is damaged or too new.
        """
        return cls(read_identity_file(find_identity(identity)), options=options, device=device)

    @classmethod
    def from_photos(
        cls,
        folder: str | Path,
        *,
        card: IdentityCard | None = None,
        options: SwapOptions | None = None,
        device: str = "auto",
        on_photo: OnPhoto | None = None,
        on_prepared: Callable[[PrepareReport], None] | None = None,
    ) -> Swapper:
        """A swapper that pastes a person's photos, without training: see `stylswap.engines.warp`.

        Args:
            folder: Photos of one person.
            card: Who it is, and who consented; None reads the folder's ``identity.toml``.
            options: How to swap; None matches the colours by skin, which suits photos better than the least seam.
            device: As in `pick_device`; where face parsing runs.
            on_photo: Called with (done, all) after each photo that was prepared.
            on_prepared: Called with what the folder holds.

        Raises:
            UsageError: If it is no folder.
            ConsentError: If nobody says who consented.
            FaceSetError: If the folder holds no usable face, or several people.
        """
        identity, renderer = identity_from_photos(Path(folder), card=card, on_photo=on_photo, on_prepared=on_prepared)
        return cls(identity, options=options or SwapOptions(colour=WARP_COLOUR), device=device, renderer=renderer)

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
        IdentityFileError: If there is neither such a file nor such a name, or it is a folder.
    """
    path = Path(identity)
    if path.suffix == ".safetensors" or path.is_file():
        return path
    shipped = [entry.name for entry in list_weights() if entry.kind == "identity"]
    if str(identity) in shipped:
        return weights_path(str(identity))
    if path.is_dir():
        raise IdentityFileError(
            f"{path} is a folder of photos; train an identity first (`stylswap train --identity {path} ...`), or swap it as it is with "
            "--engine warp"
        )
    if str(identity) == BASE:
        raise IdentityFileError(f"{BASE} is no identity but a network to start from: `stylswap train ... --set network.start={BASE}`")
    raise IdentityFileError(f"{identity}: neither an identity file nor the name of one that ships.{did_you_mean(str(identity), shipped)}")


def glasses_of(identity: IdentityFile, options: SwapOptions) -> Glasses:
    """What becomes of glasses: as the options say, else by what the identity's network has learned."""
    if options.glasses != AUTO:
        return cast(Glasses, options.glasses)
    learned = identity.settings.get("training", {}).get("occluded_inputs", 0) > 0
    return "rims" if learned else "keep"


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
