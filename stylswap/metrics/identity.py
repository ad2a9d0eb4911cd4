"""Who is it? Figures of embeddings, whichever recogniser made them.

Convention:
    An embedding is a row of D numbers of which only the direction counts. A row of NaN is a photo whose face the recogniser did not find;
    its figures are NaN, and means leave it out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stylswap.errors import UsageError
from stylswap.shapes import check_shapes

FloatArray = npt.NDArray[np.float64]


def cosine(a: npt.ArrayLike, b: npt.ArrayLike) -> FloatArray:
    """Cosine of the angle between embeddings, row by row.

    Args:
        a: (D,) or (M, D).
        b: (D,) or (M, D); a single embedding goes with every row of the other.

    Returns:
        () or (M,), in [-1, 1].

    Raises:
        ShapeError: If D or M differ.
        UsageError: If an embedding is zero.
    """
    first, second = _units(a), _units(b)
    check_shapes(a=(first, "D" if first.ndim == 1 else "M D"), b=(second, "D" if second.ndim == 1 else "M D"))
    return np.asarray(np.clip((first * second).sum(axis=-1), -1.0, 1.0))


def mean_direction(embeddings: npt.ArrayLike) -> FloatArray:
    """The identity as one direction: the mean of its photos' unit embeddings, made a unit vector again.

    Args:
        embeddings: (M, D); rows of NaN are left out.

    Returns:
        (D,), of length 1.

    Raises:
        ShapeError: If the embeddings are not (M, D).
        UsageError: If there is none, one is zero, or they cancel each other.
    """
    units = _units(embeddings)
    check_shapes(embeddings=(units, "M D"))
    known = units[~np.isnan(units).any(axis=1)]
    if not len(known):
        raise UsageError("a mean direction needs at least one embedding, got none")
    return np.asarray(_units(known.mean(axis=0)))


def own_cosines(embeddings: npt.ArrayLike) -> FloatArray:
    """Each of the identity's own photos against the mean direction of the others: how like itself is the person?

    Leave-one-out: a photo that is part of the mean would be measured against itself, which flatters the identity and so makes the share of
    a swap look smaller. An output never is part of the mean.

    Args:
        embeddings: Of the identity's photos, (M, D), at least two without NaN.

    Returns:
        (M,), in [-1, 1]; NaN for rows of NaN.

    Raises:
        ShapeError: If the embeddings are not (M, D).
        UsageError: If fewer than two photos are left.
    """
    units = _units(embeddings)
    check_shapes(embeddings=(units, "M D"))
    known = ~np.isnan(units).any(axis=1)
    if known.sum() < 2:
        raise UsageError(f"a photo is compared with the identity's other photos, so two are needed; got {known.sum()}")
    others = (units[known].sum(axis=0) - units)[known]  # only the direction counts
    cosines = np.full(len(units), np.nan)
    cosines[known] = cosine(units[known], others)
    return cosines


def identity_share(output_cosines: npt.ArrayLike, own: npt.ArrayLike) -> float:
    """How much of the identity came over: the mean cosine of the outputs over that of the identity's own photos.

    Args:
        output_cosines: Of the outputs to the identity's `mean_direction`, (M,).
        own: See `own_cosines`, (N,).

    Returns:
        1 where outputs are as like the identity as its own photos. NaN where no output could be measured.

    Raises:
        ShapeError: If one is not a row.
        UsageError: If the identity's own mean cosine is not above 0: then the recogniser does not know the person.
    """
    outputs, owns = _numbers(output_cosines), _numbers(own)
    floor = float(owns.mean()) if len(owns) else 0.0
    if floor <= 0:
        raise UsageError(f"the identity's own photos need a mean cosine above 0, got {floor:.3f} of {len(owns)} photos")
    return float(outputs.mean()) / floor if len(outputs) else float("nan")


def retrieval(outputs: npt.ArrayLike, identity: npt.ArrayLike, people: npt.ArrayLike) -> float:
    """Share of outputs whose nearest person is the identity, among the identity and all input people.

    Args:
        outputs: (M, D).
        identity: The identity's mean direction, (D,).
        people: Of the inputs, (K, D), each output's own among them; rows of NaN are left out.

    Returns:
        In [0, 1]; an output that is as near to somebody else does not count. NaN where no output could be measured.

    Raises:
        ShapeError: If D differs.
        UsageError: If an embedding is zero, the identity is NaN, or there is nobody to be mistaken for.
    """
    units, mean, gallery = _units(outputs), _units(identity), _units(people)
    check_shapes(outputs=(units, "M D"), identity=(mean, "D"), people=(gallery, "K D"))
    gallery = gallery[~np.isnan(gallery).any(axis=1)]
    units = units[~np.isnan(units).any(axis=1)]
    if not len(gallery) or np.isnan(mean).any():
        raise UsageError(f"retrieval needs the identity's direction and at least one other person, got {mean[:3]} ... and {len(gallery)}")
    if not len(units):
        return float("nan")
    return float((units @ mean > (units @ gallery.T).max(axis=1)).mean())


def residual(outputs: npt.ArrayLike, inputs: npt.ArrayLike) -> FloatArray:
    """How much of the input's own person is left: cosine of each output to its own input. Low is anonymous.

    Args:
        outputs: (M, D).
        inputs: (M, D), in the same order.

    Returns:
        (M,), in [-1, 1]; 1 where nothing was changed.

    Raises:
        ShapeError: If M or D differ.
        UsageError: If an embedding is zero.
    """
    first, second = np.asarray(outputs, dtype=np.float64), np.asarray(inputs, dtype=np.float64)
    check_shapes(outputs=(first, "M D"), inputs=(second, "M D"))
    return cosine(first, second)


def _units(embeddings: npt.ArrayLike) -> FloatArray:
    array = np.asarray(embeddings, dtype=np.float64)
    lengths = np.linalg.norm(array, axis=-1, keepdims=True)
    if (lengths < 1e-12).any():
        raise UsageError("an embedding without a direction: all its numbers are 0; leave the photo out, or give NaN")
    return np.asarray(array / lengths)


def _numbers(values: npt.ArrayLike) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    check_shapes(values=(array, "M"))
    return np.asarray(array[~np.isnan(array)])
