#!/usr/bin/env python3
"""Measure the 13 points of `stylswap.faces.landmarks.head_pose` from faces turned many ways: structure from motion.

A symmetric head, and for each face a rotation, a scale and a shift under weak perspective, are fitted together to what the predictor
sees. Nothing is assumed of depth: rotations are rigid, and that decides it. Pitch 0 is that of the shipped reference shape.

Example:
    scripts/make_head.py examples/faces examples/ada
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares
from scipy.sparse import lil_matrix
from scipy.spatial.transform import Rotation

from stylswap.faces.align import reference_shape
from stylswap.faces.detect import FaceDetector
from stylswap.faces.landmarks import MIRROR, FloatArray
from stylswap.photo import list_photos, read_photo

POINTS = np.array([27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 39, 42, 45])  # nose and corners of the eyes: no expression moves them much
HALF = np.array([0, 1, 2, 3, 4, 5, 6, 9, 10])  # those of the left side and the middle, as rows of POINTS
PARTNER = np.array([int(np.flatnonzero(point == POINTS)[0]) for point in MIRROR[POINTS]])
EYE_CORNERS_MM = 90.0  # an average adult's; pose does not depend on it
OUTLIER = 0.02  # residuals beyond this share of the size of the face count less


def whole(half: FloatArray) -> FloatArray:
    """The symmetric head of (9, 3) points: (13, 3), centred."""
    head = np.zeros((len(POINTS), 3))
    head[PARTNER[HALF]] = half * (-1, 1, 1)
    head[HALF] = half
    head[np.arange(len(POINTS)) == PARTNER, 0] = 0.0
    return np.asarray(head - head.mean(axis=0))


def fit_head(seen: FloatArray) -> FloatArray:
    """The head, (13, 3), of faces (F, 13, 2) that are centred and of size 1."""
    num = len(seen)
    flat = reference_shape(1)[POINTS] - reference_shape(1)[30]
    start = np.column_stack([flat, np.linalg.norm(flat, axis=1) * 0.5])[HALF] / np.linalg.norm(flat - flat.mean(axis=0))

    def residuals(values: FloatArray) -> FloatArray:
        turns, scales, half = values[: 3 * num].reshape(-1, 3), values[3 * num : 4 * num], values[4 * num :].reshape(-1, 3)
        points = Rotation.from_rotvec(turns).as_matrix()[:, :2] @ whole(half).T  # (F, 2, 13)
        return np.asarray((points * scales[:, None, None] - seen.transpose(0, 2, 1)).ravel())

    sparsity = lil_matrix((seen.size, 4 * num + start.size), dtype=int)
    for face in range(num):
        rows = slice(face * 26, face * 26 + 26)
        sparsity[rows, 3 * face : 3 * face + 3] = sparsity[rows, 3 * num + face] = 1
    sparsity[:, 4 * num :] = 1
    first = np.concatenate([np.zeros(3 * num), np.ones(num), start.ravel()])
    fitted = least_squares(residuals, first, jac_sparsity=sparsity, x_scale="jac", loss="soft_l1", f_scale=OUTLIER, max_nfev=100)
    return whole(fitted.x[4 * num :].reshape(-1, 3))


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="folders of face photos")
    detector = FaceDetector(use_cnn=False)
    photos = [photo for folder in parser.parse_args().folders for photo in list_photos(folder)]
    found = [detector.detect(read_photo(photo).rgb_u8())[:1] for photo in photos]
    seen = np.array([face.landmarks[POINTS] for faces in found for face in faces])
    centred = seen - seen.mean(axis=1, keepdims=True)
    head = fit_head(centred / np.linalg.norm(centred, axis=(1, 2), keepdims=True))
    upright = reference_shape(1)[POINTS]
    rows = np.linalg.lstsq(head, upright - upright.mean(axis=0), rcond=None)[0].T
    left, _, right = np.linalg.svd(rows, full_matrices=False)
    head = head @ np.vstack([left @ right, np.cross(*(left @ right))]).T
    head = (head - head[3]) * EYE_CORNERS_MM / np.ptp(head[:, 0])
    print(f"# {len(seen)} faces")
    for point, row in zip(POINTS, head, strict=True):
        print(f"[{row[0]:.1f}, {row[1]:.1f}, {row[2]:.1f}],  # {point}")


if __name__ == "__main__":
    main()
