"""What a row of the swarm says."""

from __future__ import annotations

import pytest

from hyperhive.projections.agents import Agent
from hyperhive.projections.hive import Hive
from hyperhive.projections.views import agent_row
from hyperhive.web.dashboard.swarm import shown


@pytest.mark.parametrize(
    ("model", "word"),
    [
        (None, ""),
        ("opus", "opus"),
        ("claude-sonnet-4-5-20250929", "sonnet-4-5"),
        ("claude-opus-5-5", "opus-5-5"),
        ("claude-3-5-haiku-20241022", "3-5-haiku"),
        ("vendor/claude-like", "vendor/claude-like"),
        ("claude-<b>", "claude-<b>"),
    ],
)
def test_model_in_a_word(model: str | None, word: str) -> None:
    """A model is called without its maker and date; a name of another shape stays as it is."""
    row = agent_row(Hive(), Agent(name="coder"))
    assert shown({**row, "active_model": model}, today=0).model_word == word
