"""Proposals over a real dispatcher and real git repositories, for tests of whoever needs them."""

from __future__ import annotations

from pathlib import Path

from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.projections.history import History
from hyperhive.proposals.proposals import Proposals
from hyperhive.repositories.repositories import Repositories


def proposals_at(dispatcher: Dispatcher, hive_db: Path) -> Proposals:
    """Return the proposals of the hive in this file, with their repositories beside it."""
    for inside in ("proposed", "applied"):
        (hive_db.parent / inside).mkdir(exist_ok=True)
    return Proposals(dispatcher, Repositories(hive_db.parent), History(hive_db))
