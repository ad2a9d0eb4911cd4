"""What is measured of a swap: the columns of every table, in their order."""

from __future__ import annotations

from typing import Final

from stylswap.report import Column

COLUMNS: Final[tuple[Column, ...]] = (
    Column("sface_share", "share", 3, "higher",
           "Identity: mean cosine of the outputs to the identity's mean embedding, over the same for the identity's own photos "
           "(leave-one-out). SFace, of the ArcFace class. 1: as like the identity as its own photos."),
    Column("sface_residual", "residual", 3, "lower", "What is left of the input's own person: cosine of output and input (SFace)."),
    Column("sface_retrieved", "retrieved", 3, "higher",
           "Share of outputs whose nearest person among the identity and all input people is the identity (SFace)."),
    Column("sface", "cosine", 3, "higher", "Cosine of the output to the identity's mean embedding (SFace)."),
    Column("faceres_share", "share, FaceRes", 3, "higher",
           "As share, by FaceRes, a recogniser of another family, in which strangers have a cosine near 0.4."),
    Column("faceres_residual", "residual, FaceRes", 3, "lower", "As residual, by FaceRes."),
    Column("faceres_retrieved", "retrieved, FaceRes", 3, "higher", "As retrieved, by FaceRes."),
    Column("dlib_distance", "dlib distance", 3, "lower",
           "Distance of dlib's descriptor to the identity's mean; under 0.6 is the same person."),
    Column("dlib_taken", "taken", 3, "higher", "Share of outputs whose dlib distance is under 0.6."),
    Column("dlib_share", "dlib share", 3, "higher", "As share, with dlib's descriptor, in which strangers have a cosine near 0.85."),
    Column("dlib_residual", "dlib residual", 3, "lower", "As residual, with dlib's descriptor."),
    Column("dlib_retrieved", "dlib retrieved", 3, "higher", "As retrieved, with dlib's descriptor."),
    Column("inner", "inner", 4, "lower", "Mean distance of the 51 inner landmarks to the input's, over the distance between the eyes."),
    Column("mouth", "mouth", 4, "lower", "The same for the 20 points of the mouth."),
    Column("expression", "expression", 4, "lower",
           "Landmarks of mouth, eyes and brows after removing the head's pose, over the distance between the eyes."),
    Column("expression_mouth", "expr. mouth", 4, "lower", "The same for the mouth alone."),
    Column("expression_eyes", "expr. eyes", 4, "lower", "The same for the eyes alone."),
    Column("expression_brows", "expr. brows", 4, "lower", "The same for the brows alone."),
    Column("blendshapes", "blendshapes", 4, "lower", "Mean difference of 51 blendshape scores (MediaPipe)."),
    Column("gaze", "gaze", 4, "lower", "Difference of the direction of the eyes, by blendshapes (MediaPipe)."),
    Column("pose_deg", "pose, degrees", 2, "lower", "Angle between the head poses of input and output."),
    Column("light", "light", 3, "higher", "Correlation of 8 x 8 low-pass luminance inside the face with the input's."),
    Column("harmonics", "SH error", 3, "lower",
           "Root mean square difference of two balls lit by the harmonics fitted to input and output; 0.24: two people, one lamp."),
    Column("sharpness", "sharpness", 3, "", "Share of fine detail over that of the identity's photos (median); 1: as sharp."),
    Column("seam", "seam, %", 2, "lower", "How visible the edge is, in percent of the range of colours."),
    Column("lpips_outside", "LPIPS outside", 4, "lower",
           "Perceptual distance to the input outside an outline around the landmarks (VGG-16)."),
    Column("untouched", "untouched", 1, "lower", "Largest difference outside the mask, in grey levels of 255."),
)  # fmt: skip

# The few that a study's tables show, and the report's curves.
CHIEF: Final = (
    "sface_share", "sface_residual", "sface_retrieved", "faceres_share", "dlib_distance", "inner", "mouth", "expression", "pose_deg",
    "light", "harmonics", "sharpness", "seam",
)  # fmt: skip


def chief_columns() -> tuple[Column, ...]:
    """The columns of `CHIEF`."""
    return tuple(column for column in COLUMNS if column.key in CHIEF)
