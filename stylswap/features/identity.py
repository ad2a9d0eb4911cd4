"""dlib's face descriptor: who is it?

Used to find strangers in an identity's folder and to judge results. The identity term may train with the same network (see
`stylswap.features.recogniser`); then this is no independent judge, and the evaluation says so.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from stylswap.faces.batch import Face
from stylswap.faces.detect import dlib_model_path, per_thread

FloatArray = npt.NDArray[np.float64]

SAME_PERSON_DISTANCE: Final = 0.6  # dlib's own threshold, at which it reaches 99.38 % on LFW


class FaceDescriptor:
    """128 numbers per face; two photos of one person are closer than 0.6. The model is loaded at first use."""

    def describe(self, rgb_u8: npt.NDArray[np.uint8], face: Face) -> FloatArray:
        """The descriptor of one face.

        Args:
            rgb_u8: The upright photo, (H, W, 3) uint8 RGB.
            face: A face of this photo.

        Returns:
            (128,) float64, of length 1.3 to 1.7.
        """
        import dlib

        left, top, right, bottom = (round(side) for side in face.box)
        points = [dlib.point(round(x), round(y)) for x, y in face.landmarks]
        shape = dlib.full_object_detection(dlib.rectangle(left, top, right - 1, bottom - 1), points)
        return np.array(self._model.compute_face_descriptor(rgb_u8, shape), dtype=np.float64)

    @property
    def _model(self) -> Any:
        return per_thread(
            "descriptor",
            lambda dlib: dlib.face_recognition_model_v1(str(dlib_model_path("dlib_face_recognition_resnet_model_v1.dat"))),
        )


def distances_to_mean(descriptors: FloatArray) -> FloatArray:
    """Distance of each photo to the mean of the majority, (M,).

    The mean is taken over the half of the photos that is closest to the medoid, so that strangers do not pull it towards themselves.

    Args:
        descriptors: (M, 128).
    """
    between = cdist(descriptors, descriptors)  # (M, M)
    medoid = np.median(between, axis=1).argmin()
    closest = np.argsort(between[medoid], kind="stable")[: max(len(descriptors) // 2, 1)]
    return np.asarray(np.linalg.norm(descriptors - descriptors[closest].mean(axis=0), axis=1))
