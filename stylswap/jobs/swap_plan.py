"""Which photo is written where."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stylswap.errors import UsageError
from stylswap.jobs.choose import photo_key
from stylswap.photo import list_photos, output_name


def plan(photos: Sequence[Path], out: Path) -> list[tuple[Path, Path]]:
    """Which photo is written where: the folder structure below each argument is kept.

    Args:
        photos: Files and folders.
        out: The output folder; when it lies inside an input folder it is passed over.

    Returns:
        Pairs of photo and output.

    Raises:
        UsageError: If there is nothing to do, an output would overwrite a photo, or two photos would be written to one file.
    """
    pairs: dict[Path, Path] = {}
    planned: set[str] = set()
    out_resolved = out.resolve()
    folders = [path for path in photos if path.is_dir()]
    for path in photos:
        if not path.exists():
            raise UsageError(f"{path}: no such photo or folder")
        below = Path(path.name) if len(folders) > 1 and path.is_dir() else Path()
        found = [(one, out / below / one.relative_to(path)) for one in list_photos(path)] if path.is_dir() else [(path, out / path.name)]
        for photo, wished in found:
            output = output_name(wished)
            if path.is_dir() and out_resolved != path.resolve() and out_resolved in photo.resolve().parents:
                continue
            if photo_key(photo) in planned:
                continue  # named twice, for instance by itself and by its folder
            planned.add(photo_key(photo))
            if output.resolve() == photo.resolve():
                raise UsageError(f"{photo}: --out {out} would overwrite the photo itself; give another folder")
            if pairs.get(output, photo) != photo:
                raise UsageError(f"{pairs[output]} and {photo} would both be written to {output}; swap them into different folders")
            pairs[output] = photo
    if not pairs:
        raise UsageError(f"no photos found in {', '.join(map(str, photos)) or 'an empty list'}")
    return [(photo, output) for output, photo in pairs.items()]
