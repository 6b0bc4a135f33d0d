"""The site of a hive without a network: for what is asked of it, one request at a time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import attrs
from starlette.applications import Starlette

from hyperhive.commands.operators import AddOperator, RemoveOperator
from hyperhive.daemon.journal import Journal
from hyperhive.events.envelope import OPERATOR
from hyperhive.events.operators import PersonRole
from hyperhive.projections.history import History
from hyperhive.projections.operators import hash_of
from hyperhive.web.site import Site, site
from tests.commands.desk import Desk
from tests.proposals.kept import proposals_at
from tests.reactors.memory import MemoryRuntime
from tests.web.asking import ORIGIN, Answer, ask

TOKEN = "a-token-of-the-operators"
ANN, BOB = "a-key-of-ann-who-may-act", "a-key-of-bob-who-may-look"


@attrs.define
class Seated:
    """A hive with the agent coder, and its site."""

    desk: Desk
    holds: Site
    app: Starlette

    def ask(self, path: str, *, key: str | None = TOKEN, method: str = "GET", **given: Any) -> Answer:
        """Ask with a key; a POST is an empty form unless it says otherwise."""
        headers: dict[str, Any] = {"accept": "application/json", **given}
        if key is not None:
            headers.setdefault("authorization", f"Bearer {key}")
        if method == "POST":
            headers.setdefault("content_type", "application/x-www-form-urlencoded")
        return asyncio.run(ask(self.app, path, method=method, **headers))

    def add(self, name: str, role: PersonRole, key: str) -> None:
        """Give somebody a key."""
        command = AddOperator(actor=OPERATOR, name=name, role=role, key_hash=hash_of(key))
        asyncio.run(self._dispatch(command))

    def remove(self, name: str) -> None:
        """Take it away."""
        asyncio.run(self._dispatch(RemoveOperator(actor=OPERATOR, name=name)))

    def dispatch(self, command: Any) -> None:
        """Give a command."""
        asyncio.run(self._dispatch(command))

    async def _dispatch(self, command: Any) -> None:
        await self.desk.dispatcher.dispatch(command)


def seated(path: Path, **changes: Any) -> Seated:
    """Build the site of a hive with the agent coder, the operator ann and the viewer bob."""
    desk = Desk(path)
    asyncio.run(desk.spawn("coder"))
    holds = Site(
        dispatcher=desk.dispatcher,
        history=History(path),
        proposals=proposals_at(desk.dispatcher, path),
        kept=dict,
        journal=Journal(hive=desk.hive, runtime=MemoryRuntime()),
        token=TOKEN,
        origins=frozenset({ORIGIN, "http://localhost:7000"}),
        **changes,
    )
    found = Seated(desk, holds, site(holds))
    found.add("ann", "operator", ANN)
    found.add("bob", "viewer", BOB)
    return found
