"""Poses that an identity's photos cover, and what lies beyond them."""

from __future__ import annotations

import json

import pytest

from stylswap.errors import IdentityFileError
from stylswap.faces.coverage import beyond, coverage_of, stored_coverage
from stylswap.faces.landmarks import Pose

# 30 frontal photos, some turned to one side by up to 40 degrees, pitch between -14 and 22.
POSES = [
    *[Pose(yaw, pitch, 3.0) for yaw in (-4.0, 0.0, 3.0) for pitch in (-14.0, -13.0, -5.0, 0.0, 5.0, 9.0, 21.0, 22.0, -2.0, 2.0)],
    *[Pose(yaw, 1.0, -30.0) for yaw in (15.0, 18.0, 25.0, 33.0, 39.6, 41.0)],
]
OLD = {"-90..-30": 0, "-30..-10": 2, "-10..10": 20, "10..30": 1, "30..90": 0}  # a histogram as version 0.1.0 wrote it


def test_the_summary_by_hand() -> None:
    coverage = coverage_of([Pose(-12, 3, 0), Pose(14, -4, 0), Pose(31, 8, 0), Pose(3, 25, 0)])
    assert coverage == {
        "photos": 4,
        "yaw_deg": 14.0,  # two photos reach it; 31 is reached by one alone
        "pitch_deg": [3.0, 8.0],
        "cell_deg": 10,
        "cells": {"0,20": 1, "10,-10": 1, "10,0": 1, "30,0": 1},
    }


def test_a_handful_counts_each() -> None:
    assert coverage_of([Pose(-12, 3, 0), Pose(5, -4, 0)])["yaw_deg"] == 12.0
    assert coverage_of([Pose(-12, 3, 0), Pose(5, -4, 0)])["pitch_deg"] == [-4.0, 3.0]
    assert coverage_of([]) == {}


def test_it_survives_json() -> None:
    coverage = coverage_of(POSES)
    assert json.loads(json.dumps(coverage)) == coverage
    assert len(json.dumps(coverage)) < 400


def test_one_odd_photo_does_not_widen_it() -> None:
    assert coverage_of([*POSES, Pose(85, 1, 0)])["yaw_deg"] == 41.0
    assert "up to 41°" in beyond(Pose(62, 0, 0), coverage_of([*POSES, Pose(85, 1, 0)]))


@pytest.mark.parametrize("pose", [*POSES, Pose(0, 0, 80), Pose(44, 0, 0), Pose(0, 26.5, 0), Pose(0, -18.5, 0)])
def test_what_the_photos_show_is_covered(pose: Pose) -> None:
    coverage = coverage_of(POSES)
    assert beyond(pose, coverage) == ""
    assert beyond(Pose(-pose.yaw_deg, pose.pitch_deg, -pose.roll_deg), coverage) == "", "training mirrors every photo"


@pytest.mark.parametrize(
    ("pose", "reason"),
    [
        (Pose(62, 0, 0), "yaw 62° is beyond the identity's photos (up to 40°)"),
        (Pose(-45, 40, 0), "yaw 45° is beyond the identity's photos (up to 40°)"),
        (Pose(0, 35.4, 0), "pitch 35° (down) is beyond the identity's photos (-14° to 22°)"),
        (Pose(0, -20, 0), "pitch -20° (up) is beyond the identity's photos (-14° to 22°)"),
        (Pose(-38, 21, 0), "no photo of the identity is near yaw 38° with pitch 21°"),
    ],
)
def test_what_lies_beyond_has_a_reason(pose: Pose, reason: str) -> None:
    assert beyond(pose, coverage_of(POSES)) == reason


def test_new_identity_files_are_judged_by_their_poses() -> None:
    stored = stored_coverage({"photos": 36, "yaw_deg": OLD, "poses": coverage_of(POSES)})
    assert stored == coverage_of(POSES)


def test_old_identity_files_are_judged_by_their_histogram() -> None:
    stored = stored_coverage({"photos": 23, "yaw_deg": OLD})
    assert stored == {"yaw_deg": 18.0}  # 30 degrees of the old kind
    assert beyond(Pose(-22, 70, 0), stored) == "", "pitch was not written down"
    assert beyond(Pose(-24, 0, 0), stored) == "yaw 24° is beyond the identity's photos (up to 18°)"


@pytest.mark.parametrize("changed", [{"30..90": 2}, {"-90..-30": 1, "30..90": 1}])
def test_an_open_outer_bin_tells_no_limit(changed: dict[str, int]) -> None:
    assert stored_coverage({"yaw_deg": OLD | changed}) == {}
    assert beyond(Pose(80, 0, 0), {}) == ""


def test_nothing_written_down_is_nothing_known() -> None:
    assert stored_coverage({"photos": 3}) == {}
    assert stored_coverage({"yaw_deg": {}}) == {}


@pytest.mark.parametrize("histogram", [{"ten": 3}, {"0..10": "many"}, [1, 2], 7])
def test_a_damaged_histogram_is_refused(histogram: object) -> None:
    with pytest.raises(IdentityFileError, match=r"histogram of yaw cannot be read .* damaged"):
        stored_coverage({"yaw_deg": histogram})


@pytest.mark.parametrize("damage", [{"yaw_deg": "far"}, {"pitch_deg": [1]}, {"cells": {"here": 1}}, {"cell_deg": None}])
def test_a_damaged_coverage_is_refused(damage: dict[str, object]) -> None:
    with pytest.raises(IdentityFileError, match="pose coverage cannot be read"):
        beyond(Pose(1, 2, 3), coverage_of(POSES) | damage)


def test_poses_that_are_no_table_are_refused() -> None:
    with pytest.raises(IdentityFileError, match="pose coverage cannot be read"):
        stored_coverage({"poses": 3})
