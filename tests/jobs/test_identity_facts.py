"""What `stylswap info` shows, and what it keeps to itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from stylswap.faces.align import reference_shape
from stylswap.identity_file import IdentityCard, IdentityFile
from stylswap.jobs.identity_facts import identity_facts, identity_lines

PATH = Path("zoë.safetensors")


@pytest.fixture
def identity() -> IdentityFile:
    return IdentityFile(
        tensors={"weight": torch.zeros(30, 40)},
        network={"name": "residual", "options": {"widths": [8, 8]}},
        size=64,
        alignment={"model": "similarity", "points": "inner"},
        reference=reference_shape(64),
        card=IdentityCard("Zoë", "written", "drawer 3"),
        settings={"size": 64, "network": {"name": "residual", "start": "base"}},
        data={"identity": {"photos": 60, "mean_descriptor": [0.125] * 128}, "faces": {"photos": 900}},
        training={"steps": 2500, "seconds": 2522.5, "device": "cpu", "finished": "2026-11-29T20:19:00+00:00"},
        version="0.1.0",
        sha256="ab" * 32,
    )


def test_a_screenful_with_the_card_first(identity: IdentityFile) -> None:
    lines = identity_lines(identity_facts(PATH, identity))
    assert lines[:4] == ["name        Zoë", "consent     written", "note        drawer 3", "licence     -"]
    assert len(lines) <= 16
    text = "\n".join(lines)
    parts = ("residual, 1,200 parameters", "2500 steps in 42 min 2 s on cpu", "60 of the identity, 900 faces of others", "base", "ab" * 32)
    for part in parts:
        assert part in text


def test_the_descriptor_is_shown_on_request_only(identity: IdentityFile) -> None:
    facts = identity_facts(PATH, identity)
    assert "0.125" not in json.dumps(facts)
    assert "descriptor" not in "\n".join(identity_lines(facts))
    asked = identity_facts(PATH, identity, descriptor=True)
    assert asked["data"]["identity"]["mean_descriptor"] == [0.125] * 128
    assert identity_lines(asked)[-1].split() == ["descriptor", *["0.1250"] * 128]
    assert "mean_descriptor" in identity.data["identity"], "the identity itself keeps it"


def test_the_rest_of_the_header_is_there(identity: IdentityFile) -> None:
    facts = identity_facts(PATH, identity)
    assert set(facts) == {*identity.header(), "file", "sha256", "parameters"} - {"reference"}
    assert next(iter(facts)) == "card"


def test_little_is_known_of_some_files(identity: IdentityFile) -> None:
    assert identity_lines(identity_facts(PATH, replace(identity, settings={}, data={}, training={}, version="")))


def test_a_strangers_card_forges_no_line_and_moves_no_cursor(identity: IdentityFile) -> None:
    forged = replace(identity, card=IdentityCard("Zoë\nconsent     self", "research", "\x1b[2J"))
    lines = identity_lines(identity_facts(PATH, forged))
    assert lines[:3] == ["name        Zoë consent self", "consent     research", "note        ?[2J"]
