"""What was typed behind `stylswap swap`, as what the jobs take."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stylswap.errors import UsageError
from stylswap.options import WARP


def choice_of(options: argparse.Namespace, per_photo: Mapping[str, Any]) -> Any:
    """Which faces: a `FaceChoice`.

    Args:
        options: Of `swap` or `faces`.
        per_photo: See `stylswap.jobs.choices.read_choices`.

    Raises:
        UsageError: If an option contradicts itself, or says nothing without another one.
    """
    from stylswap.jobs.choose import LARGEST, FaceChoice, parse_faces, read_references

    if not options.size_limit > 0:
        raise UsageError(f"--size-limit must be over 0 megapixels, got {options.size_limit:g}")
    if options.like_distance is not None and not options.like:
        raise UsageError("--like-distance says nothing without --like PHOTO")
    distance = {} if options.like_distance is None else {"like_distance": options.like_distance}
    faces = LARGEST if options.faces is None else parse_faces(options.faces)
    like = read_references(options.like, size_limit_mp=options.size_limit)
    return FaceChoice(faces, options.min_size, like, per_photo=per_photo, **distance)


def swap_options_of(options: argparse.Namespace, photos: Sequence[Path]) -> Any:
    """How to swap: `SwapOptions`.

    Args:
        options: Of `swap`.
        photos: All that will be swapped.

    Raises:
        UsageError: If an option contradicts itself.
    """
    from stylswap.jobs.choices import read_choices
    from stylswap.jobs.swap_options import SwapOptions
    from stylswap.label import DEFAULT_LABEL, check_label

    check_glasses(options)
    choice = choice_of(options, read_choices(options.choices, options.photos, photos) if options.choices else {})
    label = "" if options.label is None else options.label or DEFAULT_LABEL
    if label and Path(label).exists():
        raise UsageError(f"--label {label}: that is a file or folder; write the label's text behind it, or --label at the end of the line")
    if label:
        check_label(label)
    return SwapOptions(
        options.blend,
        _colour(options),
        options.detail,
        choice,
        options.mask,
        options.glasses,
        options.beyond_pose,
        label,
        options.size_limit,
        options.forehead,
    )


def check_glasses(options: argparse.Namespace) -> None:
    """Refuse glasses to be kept by a mask that does not see them.

    Args:
        options: Of `swap` or `evaluate`.

    Raises:
        UsageError: If the two contradict each other.
    """
    if options.mask == "landmarks" and options.glasses not in ("auto", "swap"):
        raise UsageError(f"--glasses {options.glasses} needs the face parser, which --mask landmarks does without; give one of the two")


def _colour(options: argparse.Namespace) -> str:
    """What was asked for, else the engine's own default."""
    if options.colour is None and options.engine == WARP:
        from stylswap.jobs.warp import WARP_COLOUR

        return WARP_COLOUR
    return options.colour or "auto"


def signer_of(options: argparse.Namespace) -> Any:
    """What signs the outputs, a `Signer`, or None.

    Raises:
        UsageError: If only one half of certificate and key is given.
    """
    if (options.sign is None) != (options.key is None):
        raise UsageError("--sign CERT and --key KEY belong together; give both or neither")
    if options.sign is None:
        return None
    from stylswap.signing import Signer

    return Signer.from_files(options.sign, options.key)


def swapper_of(
    options: argparse.Namespace, swap_options: Any, *, on_photo: Callable[[int, int], None], on_prepared: Callable[[Any], None]
) -> Any:
    """The engine that was asked for, with its identity: a `Swapper`.

    Args:
        options: Of `swap`.
        swap_options: See `swap_options_of`.
        on_photo: Called with (done, all) after each photo of the identity that was prepared; a trained one has nothing to prepare.
        on_prepared: Called with what the identity's folder holds.

    Raises:
        UsageError: If something was given that the engine does not take.
    """
    from stylswap.identity_file import read_card
    from stylswap.jobs.swapper import Swapper
    from stylswap.jobs.warp import check_photo_folder

    device = options.device or "auto"
    if options.engine != WARP:
        given = [f"--{name.replace('_', '-')}" for name in ("name", "consent", "consent_note") if getattr(options, name) is not None]
        if given:
            raise UsageError(f"{', '.join(given)} belongs to --engine warp; a trained identity carries its own name and consent")
        return Swapper.load(options.identity, options=swap_options, device=device)
    folder = Path(options.identity)
    check_photo_folder(folder)
    card = read_card(folder, name=options.name, consent=options.consent, note=options.consent_note)
    return Swapper.from_photos(folder, card=card, options=swap_options, device=device, on_photo=on_photo, on_prepared=on_prepared)


def mask_in_words(swapper: Any) -> str:
    """What becomes of things in front of a face."""
    if swapper.renderer.parses:
        return "what covers a face stays the photo's own"
    return "face parsing is off: glasses, hands and hair in front of a face are painted over"
