"""Figures of embeddings, on directions in the plane whose angles are known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from stylswap.data.prepare import PreparedFace
from stylswap.errors import ShapeError, UsageError
from stylswap.metrics.identity import cosine, identity_share, mean_direction, own_cosines, residual, retrieval


def at(*angles_deg: float, length: float = 1.0) -> npt.NDArray[np.float64]:
    angles = np.radians(angles_deg)
    return length * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_the_cosine_knows_only_the_angle() -> None:
    assert cosine(at(10)[0], at(70, length=9)[0]) == pytest.approx(0.5)
    assert cosine(at(10)[0], at(190)[0]) == pytest.approx(-1)
    assert cosine(at(0, 60, 90), at(0)[0]) == pytest.approx([1, 0.5, 0], abs=1e-12)
    assert cosine(at(0)[0], at(0, 60)) == pytest.approx([1, 0.5])
    assert cosine(at(0, 60), at(60, 120)) == pytest.approx([0.5, 0.5])
    assert cosine(at(33), at(33, length=1e-5)) <= 1


def test_a_photo_without_an_embedding_has_no_cosine() -> None:
    rows = at(0, 60)
    rows[1] = np.nan
    assert cosine(rows, at(0)[0]) == pytest.approx([1, np.nan], nan_ok=True)


def test_embeddings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError, match="D = 2 in a, 3 here"):
        cosine(np.ones(2), np.ones(3))
    with pytest.raises(ShapeError, match="M = 4 in a, 5 here"):
        cosine(np.ones((4, 3)), np.ones((5, 3)))
    with pytest.raises(UsageError, match="without a direction"):
        cosine(np.zeros(2), np.ones(2))


def test_the_mean_direction_lies_between() -> None:
    assert mean_direction(at(20, 60)) == pytest.approx(at(40)[0])
    both = np.concatenate([at(20, length=50), at(60), np.full((1, 2), np.nan)])
    assert mean_direction(both) == pytest.approx(at(40)[0]), "a long embedding counts no more than a short one"
    with pytest.raises(UsageError, match="without a direction"):
        mean_direction(np.array([[1.0, 0.0], [-1.0, 0.0]]))
    with pytest.raises(UsageError, match="at least one"):
        mean_direction(np.full((2, 2), np.nan))


def test_own_photos_are_compared_with_the_others() -> None:
    assert own_cosines(at(0, 60)) == pytest.approx([0.5, 0.5])
    assert own_cosines(at(-30, 0, 30)) == pytest.approx(np.cos(np.radians([45, 0, 45])))
    crowd = at(*np.linspace(-40, 40, 9))
    assert (own_cosines(crowd) <= cosine(crowd, mean_direction(crowd)) + 1e-12).all(), "with itself in the mean a photo is flattered"
    rows = np.concatenate([at(0), np.full((1, 2), np.nan), at(60)])
    assert own_cosines(rows) == pytest.approx([0.5, np.nan, 0.5], nan_ok=True)
    with pytest.raises(UsageError, match="two are needed; got 1"):
        own_cosines(at(0))


def test_the_share_is_mean_over_mean() -> None:
    assert identity_share([0.2, 0.4], [0.5, 0.7]) == pytest.approx(0.5)
    assert identity_share([0.3, np.nan], [0.6]) == pytest.approx(0.5)
    assert np.isnan(identity_share([np.nan], [0.6]))
    with pytest.raises(UsageError, match=r"above 0, got -0\.100 of 1"):
        identity_share([0.3], [-0.1])
    with pytest.raises(UsageError, match="of 0 photos"):
        identity_share([0.3], [])


def test_retrieval_counts_who_is_nearest() -> None:
    outputs, people = at(5, 40, 80, 44), at(60, 100, 200)
    assert retrieval(outputs, at(20)[0], people) == pytest.approx(0.25), "40 is halfway to 60 and 44 beyond it"
    assert retrieval(outputs, at(20)[0], people[1:]) == pytest.approx(0.75)
    with_gaps = np.concatenate([outputs, np.full((1, 2), np.nan)])
    assert retrieval(with_gaps, at(20)[0], np.concatenate([people, np.full((2, 2), np.nan)])) == pytest.approx(0.25)
    assert np.isnan(retrieval(np.full((1, 2), np.nan), at(20)[0], people))


def test_the_trivial_rows_of_retrieval() -> None:
    """Returning the input is never the identity; returning the identity always is."""
    people = np.random.default_rng(0).normal(size=(20, 128))
    identity = np.random.default_rng(1).normal(size=128)
    assert retrieval(people, identity, people) == 0
    assert retrieval(np.tile(identity, (20, 1)), identity, people) == 1


def test_retrieval_needs_somebody_to_be_mistaken_for() -> None:
    with pytest.raises(UsageError, match="at least one other person"):
        retrieval(at(0), at(0)[0], np.empty((0, 2)))
    with pytest.raises(ShapeError, match="people"):
        retrieval(at(0), at(0)[0], np.ones((3, 5)))


def test_the_residual_is_of_each_to_its_own() -> None:
    inputs = at(0, 50, 100)
    assert residual(inputs, inputs) == pytest.approx([1, 1, 1])
    assert residual(at(60, 50, 10), inputs) == pytest.approx([0.5, 1, 0], abs=1e-12)
    with pytest.raises(ShapeError, match="M = 1 in outputs, 3 here"):
        residual(at(0), inputs)


def test_a_real_recogniser_knows_the_example_identity(ada_faces: list[PreparedFace]) -> None:
    descriptors = np.stack([face.descriptor for face in ada_faces if face.descriptor is not None])
    own = own_cosines(descriptors)
    assert len(own) == 8
    assert own.min() > 0.9, "dlib's descriptors of one person are close"
    assert identity_share(cosine(descriptors, mean_direction(descriptors)), own) == pytest.approx(1, abs=0.02)
