"""One tree of exceptions, as it is drawn, and hints for misspelt names."""

from __future__ import annotations

import re

import pytest

from stylswap import errors
from stylswap.errors import StylswapError, did_you_mean

CLASSES = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}


def test_everything_is_caught_by_the_base_class() -> None:
    assert {name for name, kind in CLASSES.items() if not issubclass(kind, StylswapError)} == set()


def test_the_drawing_at_the_top_is_the_tree() -> None:
    drawn = dict(re.findall(r"[|`]- (\w+) +(.*)", errors.__doc__ or ""))
    assert set(drawn) == set(CLASSES) - {"StylswapError"}
    value_errors = {name for name, kind in CLASSES.items() if issubclass(kind, ValueError)}
    assert {name for name, note in drawn.items() if "also a ValueError" in note} == value_errors


def test_every_class_says_what_it_is_for() -> None:
    assert [name for name, kind in CLASSES.items() if not (kind.__doc__ or "").endswith(".")] == []


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("stlye", " Did you mean 'style'?"),
        ("lightning", " Did you mean 'lighting'?"),
        ("xyz", " Known: content, lighting, style."),
        ("", " Known: content, lighting, style."),
    ],
)
def test_a_hint_names_the_close_word_or_all(word: str, hint: str) -> None:
    assert did_you_mean(word, {"style", "lighting", "content"}) == hint
