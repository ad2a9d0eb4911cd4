#!/usr/bin/env python3
"""Make stylswap/faces/reference_shape.txt: the symmetric mean shape of near-frontal faces.

Example:
    scripts/make_reference.py examples/faces
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from stylswap.faces.align import crop_from_photo, transform_points
from stylswap.faces.detect import FaceDetector
from stylswap.faces.landmarks import BROWS, FloatArray, head_pose, mirror_landmarks
from stylswap.photo import list_photos, read_photo

FRONTAL_DEG = 6.0
FACE_SHARE = 0.60  # brows to chin, of the crop's height
CHIN_AT = 0.90  # leaves room for the forehead above the brows and a little neck below


def procrustes_mean(shapes: list[FloatArray], rounds: int = 10) -> FloatArray:
    """The mean shape after removing shift, turn and scale; every face also enters mirrored, which makes the mean symmetric."""
    both = shapes + [mirror_landmarks(shape, 1.0) for shape in shapes]
    mean = both[0]
    for _ in range(rounds):
        aligned = [transform_points(crop_from_photo(shape, mean, points="all"), shape) for shape in both]
        mean = np.mean(aligned, axis=0)
        mean = (mean - mean.mean(axis=0)) / np.linalg.norm(mean - mean.mean(axis=0))
        mean = (mean + mirror_landmarks(mean, 1.0)) / 2
    return mean


def in_unit_square(mean: FloatArray) -> FloatArray:
    """Brows to chin fill FACE_SHARE of the height; the face is centred across."""
    top, chin = mean[BROWS, 1].min(), mean[8, 1]
    scaled = mean * FACE_SHARE / (chin - top)
    scaled[:, 1] += CHIN_AT - scaled[8, 1]
    scaled[:, 0] += 0.5 - (scaled[:, 0].min() + scaled[:, 0].max()) / 2
    return np.asarray(scaled)


def main() -> None:
    """Parse, compute, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path, help="folder of face photos")
    parser.add_argument("--out", type=Path, default=Path("stylswap/faces/reference_shape.txt"))
    options = parser.parse_args()
    detector = FaceDetector(use_cnn=False)
    found = [detector.detect(read_photo(path).rgb_u8())[:1] for path in list_photos(options.faces)]
    frontal = [face.landmarks for faces in found for face in faces if max(map(abs, head_pose(face.landmarks)[:2])) < FRONTAL_DEG]
    shape = in_unit_square(procrustes_mean(frontal))
    header = f"68 points in the unit square, x y. Mean of {len(frontal)} near-frontal faces and their mirror images."
    np.savetxt(options.out, shape, fmt="%.6f", header=header)
    print(f"{options.out}: {header}")


if __name__ == "__main__":
    main()
