"""The colours of the pages can be told apart, in both themes and in the past: computed from the style sheet itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import hyperhive.web.static

SHEET = (Path(hyperhive.web.static.__file__).parent / "static" / "hive.css").read_text()
TEXT, MARK = 4.5, 3.0
"""WCAG 2.2 AA: text (1.4.3), and what is needed to see a control or its state (1.4.11)."""

GROUNDS = ("ground", "raise", "sunk", "field", "hover", "manager")
INKS = ("ink", "ink2", "ink3", "amber", "mauve", "green", "red", "ember")
SYNTAX = ("key", "string", "number", "ink")

Tokens = dict[str, str]


def blocks(selector: str) -> list[str]:
    """Return what the rules with this selector say, in order."""
    return re.findall(rf"^\s*{re.escape(selector)} \{{(.*?)\}}", SHEET, flags=re.DOTALL | re.MULTILINE)


def tokens_of(block: str) -> Tokens:
    """Return the custom properties of a rule."""
    return dict(re.findall(r"--([\w-]+): ([^;]+);", block))


def themes() -> dict[str, Tokens]:
    """Return every theme with all its tokens: light is dark with changes, the past is either with changes."""
    dark, light = (tokens_of(block) for block in blocks(":root")[:2])
    past_dark, past_light = (tokens_of(block) for block in blocks(".past")[:2])
    return {
        "dark": dark,
        "light": dark | light,
        "past dark": dark | past_dark,
        "past light": dark | light | past_light,
    }


def channels(colour: str) -> tuple[float, float, float]:
    """Read #rrggbb as numbers from 0 to 1."""
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue


def luminance(rgb: tuple[float, float, float]) -> float:
    """Return the relative luminance (WCAG 2.2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    """Return the contrast of two colours, from 1 to 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def washed(theme: Tokens, colour: str) -> tuple[float, float, float]:
    """Return the ground below a wash of this colour."""
    share = float(theme[f"wash-{colour}"].rstrip("%")) / 100
    over, under = channels(theme[colour]), channels(theme["ground"])
    red, green, blue = (share * o + (1 - share) * u for o, u in zip(over, under, strict=True))
    return red, green, blue


@pytest.mark.parametrize("name", ["dark", "light", "past dark", "past light"])
class TestTheme:
    """One theme."""

    @pytest.mark.parametrize("ground", GROUNDS)
    @pytest.mark.parametrize("ink", INKS)
    def test_text(self, name: str, ink: str, ground: str) -> None:
        """Every ink can be read on every ground."""
        theme = themes()[name]
        assert contrast(channels(theme[ink]), channels(theme[ground])) >= TEXT

    @pytest.mark.parametrize("colour", ["amber", "red", "mauve"])
    def test_washes(self, name: str, colour: str) -> None:
        """A colour can be read on its own wash, and so can ink and ink2."""
        theme = themes()[name]
        for ink in (colour, "ink", "ink2"):
            assert contrast(channels(theme[ink]), washed(theme, colour)) >= TEXT

    @pytest.mark.parametrize("ground", ["add", "del", "add-word", "del-word", "sunk"])
    @pytest.mark.parametrize("ink", SYNTAX)
    def test_diffs(self, name: str, ink: str, ground: str) -> None:
        """Syntax can be read where lines and words have changed."""
        theme = themes()[name]
        assert contrast(channels(theme[ink]), channels(theme[ground])) >= TEXT

    @pytest.mark.parametrize("ground", ["add", "del", "sunk"])
    def test_comments(self, name: str, ground: str) -> None:
        """So can comments; in a changed word they take another ink."""
        theme = themes()[name]
        assert contrast(channels(theme["comment"]), channels(theme[ground])) >= TEXT

    def test_filled_button(self, name: str) -> None:
        """The filled button's word can be read, and its edge be seen."""
        theme = themes()[name]
        assert contrast(channels(theme["fill-ink"]), channels(theme["fill"])) >= TEXT
        assert contrast(channels(theme["fill-edge"]), channels(theme["ground"])) >= MARK

    @pytest.mark.parametrize("ground", ["ground", "raise", "sunk", "hover"])
    def test_controls(self, name: str, ground: str) -> None:
        """The border of a field and the ring of the focus can be seen."""
        theme = themes()[name]
        for mark in ("edge2", "mauve"):
            assert contrast(channels(theme[mark]), channels(theme[ground])) >= MARK
