"""The page for people who write scenarios."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hyperhive.rehearsal.scenario import KEYS, parse_scenario

PAGE = (Path(__file__).parents[2] / "docs" / "rehearsal.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


class TestPage:
    """What it says holds."""

    @pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
    def test_examples_are_scenarios(self, example: str) -> None:
        """Every example can be served as it stands."""
        assert parse_scenario(example).rules

    def test_examples_were_found(self) -> None:
        """The page has examples at all."""
        assert len(EXAMPLES) >= 4

    @pytest.mark.parametrize("key", sorted({key for keys in KEYS.values() for key in keys}))
    def test_every_key_is_explained(self, key: str) -> None:
        """No key is left for people to find out."""
        assert re.search(rf"`\[*{key}\]*`", PAGE)
