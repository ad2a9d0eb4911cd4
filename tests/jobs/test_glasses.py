"""What becomes of glasses: as the options say, else by what the network has learned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stylswap.errors import SettingsError
from stylswap.identity_file import IdentityFile, read_identity_file
from stylswap.jobs.swap_options import SwapOptions
from stylswap.jobs.swapper import Swapper, glasses_of


@pytest.fixture(scope="module")
def identity(tiny_identity: Path) -> IdentityFile:
    return read_identity_file(tiny_identity)


def trained_with(identity: IdentityFile, share: float | None) -> IdentityFile:
    training = {} if share is None else {"occluded_inputs": share}
    return replace(identity, settings={**identity.settings, "training": training})


@pytest.mark.parametrize(("share", "rule"), [(0.3, "rims"), (0.0, "keep"), (None, "keep")])
def test_a_network_that_saw_drawn_glasses_swaps_the_eyes_behind_them(identity: IdentityFile, share: float | None, rule: str) -> None:
    assert glasses_of(trained_with(identity, share), SwapOptions()) == rule


@pytest.mark.parametrize("rule", ["keep", "rims", "swap"])
def test_the_option_has_the_last_word(identity: IdentityFile, rule: str) -> None:
    for share in (0.3, 0.0):
        assert glasses_of(trained_with(identity, share), SwapOptions(glasses=rule)) == rule


def test_the_parser_is_told(identity: IdentityFile) -> None:
    swapper = Swapper(identity, options=SwapOptions(mask="parsing", glasses="swap"), device="cpu")
    parser = swapper.renderer._parser
    assert parser is not None
    assert parser.glasses == "swap"


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(SettingsError, match="glasses"):
        SwapOptions(glasses="hide")
