"""Figures: of a swap, and of the trivial row beside it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from stylswap.engines.style import Rendered
from stylswap.errors import FaceSetError
from stylswap.faces.batch import FaceBatch
from stylswap.jobs.evaluate import Evaluation, Figures, as_markdown, evaluate, identity_share
from stylswap.jobs.render_faces import FaceRenderer
from stylswap.jobs.swap_options import SwapOptions
from stylswap.jobs.swapper import Swapper
from stylswap.photo import write_png
from tests.jobs.conftest import EXAMPLES

PHOTOS = sorted((EXAMPLES / "photos").glob("*.jpg"))[:2]


class Renders:
    """Stands in for the network."""

    def __init__(self, change) -> None:
        self.render = lambda faces: Rendered(change(faces))


def swapper_with(tiny_identity: Path, change) -> Swapper:
    swapper = Swapper.load(tiny_identity, device="cpu", options=SwapOptions("none", "none", "none", mask="landmarks"))
    swapper.renderer = FaceRenderer(Renders(change), None, swapper.device)
    return swapper


def test_returning_the_input_is_the_zero_of_every_error(tiny_identity: Path) -> None:
    evaluation = evaluate(swapper_with(tiny_identity, lambda faces: faces.images), PHOTOS)
    table = evaluation.table()
    trivial = table["return the input"]
    assert trivial["inner_error"] == trivial["mouth_error"] == 0
    assert trivial["light_correlation"] == 1
    assert trivial["identity_distance"] > 0.6  # they are other people than ada
    assert evaluation.photos == tuple(path.name for path in PHOTOS)


def test_light_turned_upside_down_is_seen(tiny_identity: Path) -> None:
    def lit_from_below(faces: FaceBatch) -> torch.Tensor:
        ramp = torch.linspace(0.1, 1.0, faces.size)[:, None].expand(faces.size, faces.size)
        return (faces.images.mean(dim=(1, 2, 3), keepdim=True) * ramp * 2).expand(-1, 3, -1, -1).clamp(0, 1)

    figures = evaluate(swapper_with(tiny_identity, lit_from_below), PHOTOS[:1])
    assert figures.after[0].light_correlation < 0.7


def test_another_persons_face_is_nearer_to_that_person(tiny_identity: Path) -> None:
    """Pasting a crop of ada herself must bring dlib's descriptor nearer to her."""
    swapper = swapper_with(tiny_identity, lambda faces: faces.images)
    ada = sorted((EXAMPLES / "ada").glob("*.jpg"))[1]
    crop = swapper.swap(ada).faces[0].output
    pasted = evaluate(swapper_with(tiny_identity, lambda faces: crop[None].expand(len(faces), -1, -1, -1)), PHOTOS[:1])
    assert pasted.after[0].identity_distance < pasted.before[0].identity_distance - 0.05
    assert pasted.after[0].inner_error > 0


def test_no_photo_with_a_face(tiny_identity: Path, tmp_path: Path) -> None:
    write_png(torch.full((3, 64, 64), 0.5), tmp_path / "grey.png")
    with pytest.raises(FaceSetError, match="nothing to measure"):
        evaluate(Swapper.load(tiny_identity, device="cpu"), [tmp_path / "grey.png"])


def test_share_and_table() -> None:
    figures = [Figures(distance, 0.1, 0.2, 0.9) for distance in (0.5, 0.59, 0.61, 0.9)]
    assert identity_share(figures) == 0.5
    text = as_markdown({"swap": {"identity_distance": 0.51, "light_correlation": 0.9}})
    assert text.splitlines() == ["| | identity distance | light correlation |", "|---|---|---|", "| swap | 0.510 | 0.900 |"]
    table = Evaluation(("a", "b", "c", "d"), tuple(figures), tuple(reversed(figures)), 0).table()
    assert table["swap"]["identity_distance"] == pytest.approx((0.5 + 0.59 + 0.61 + 0.9) / 4)
    assert table["swap"]["mouth_error"] == pytest.approx(0.2)
    assert table["swap"]["taken_for_the_identity"] == 0.5
