"""Lifecycle over HTTP: the same commands as on every other surface, and their refusals as statuses."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import attrs
import pytest
from starlette.applications import Starlette

from hyperhive.commands.agents import DestroyAgent, ReportOutcome
from hyperhive.daemon.journal import Journal
from hyperhive.events.envelope import DAEMON, OPERATOR
from hyperhive.projections.agents import Transient
from hyperhive.projections.freeze import freeze_of
from hyperhive.projections.history import History
from hyperhive.projections.views import Kept
from hyperhive.web.site import Site, site
from tests.commands.desk import Desk
from tests.proposals.kept import proposals_at
from tests.reactors.memory import MemoryRuntime
from tests.web.asking import ORIGIN, Answer, ask

TOKEN = "a-token-of-the-operators"
FOUND = Kept(size_bytes=4_096, whole=True, modified_at=1_767_225_600_000_000, credentials=True)


@attrs.define
class Operator:
    """An operator at a hive that has coder, who lives, and old, who was destroyed."""

    desk: Desk
    app: Starlette

    def post(self, path: str, **headers: str) -> Answer:
        """Send an empty form, as a program does."""
        given: dict[str, Any] = {"authorization": f"Bearer {TOKEN}", "accept": "application/json", **headers}
        given.setdefault("content_type", "application/x-www-form-urlencoded")
        return asyncio.run(ask(self.app, path, method="POST", **given))

    def refused(self, path: str) -> tuple[int, str]:
        """Send it, and return why not."""
        answer = self.post(path)
        return answer.status, json.loads(answer.body)["code"]

    def state(self) -> dict[str, Any]:
        """Return the hive as it stands."""
        answer = asyncio.run(ask(self.app, "/api/state", authorization=f"Bearer {TOKEN}"))
        found: dict[str, Any] = json.loads(answer.body)
        return found


@pytest.fixture
def operator(hive_db: Path) -> Operator:
    """An operator."""
    desk = Desk(hive_db)

    async def begin() -> None:
        await desk.spawn("coder", "old")
        (asked,) = await desk.dispatcher.dispatch(DestroyAgent(actor=OPERATOR, agent="old"))
        await desk.dispatcher.dispatch(ReportOutcome(actor=DAEMON, agent="old", intent=asked.position))

    asyncio.run(begin())
    holds = Site(
        dispatcher=desk.dispatcher,
        history=History(hive_db),
        proposals=proposals_at(desk.dispatcher, hive_db),
        kept=lambda: {"old": FOUND},
        journal=Journal(hive=desk.hive, runtime=MemoryRuntime()),
        token=TOKEN,
        origins=frozenset({ORIGIN}),
    )
    return Operator(desk, site(holds))


@pytest.mark.parametrize(
    ("path", "name", "pending"),
    [
        ("/kill/coder", "coder", Transient.STOPPING),
        ("/restart/coder", "coder", Transient.RESTARTING),
        ("/rebuild/coder", "coder", Transient.REBUILDING),
        ("/destroy/coder", "coder", Transient.DESTROYING),
        ("/revive/old", "old", Transient.SPAWNING),
        ("/purge-tombstone/old", "old", Transient.DESTROYING),
    ],
)
def test_acts(operator: Operator, path: str, name: str, pending: Transient) -> None:
    """Each is answered once its intent is in the log; a page is sent back to where it came from."""
    answer = operator.post(path)
    assert (answer.status, json.loads(answer.body)) == (200, {"ok": True})
    assert operator.desk.hive.agents[name].pending is pending
    again = operator.post(path, accept="text/html")
    assert (again.status, again.headers["location"]) == (303, "/")


def test_pause_and_freeze(operator: Operator) -> None:
    """A turn loop is parked and goes on, and so are all at once."""
    for path, paused, frozen in (
        ("/pause/coder", True, False),
        ("/freeze", True, True),
        ("/resume/coder", False, True),
        ("/thaw", False, False),
        ("/lift/coder", False, False),
    ):
        assert operator.post(path).status == 200
        hive = operator.desk.hive
        assert (hive.agents["coder"].paused, freeze_of(hive.freeze).frozen) == (paused, frozen)
        state = operator.state()
        assert (state["agents"][0]["paused"], state["frozen"]) == (paused, frozen)


def test_tombstones_in_the_state(operator: Operator) -> None:
    """The state shows what is kept of whom."""
    at = "2026-01-01T00:00:00.000000Z"
    assert operator.state()["tombstones"] == [
        {
            "name": "old",
            "since": at,
            "size_bytes": 4_096,
            "size_whole": True,
            "modified_at": at,
            "credentials": True,
            "error": None,
        },
    ]


@pytest.mark.parametrize("verb", ["start", "kill", "restart", "rebuild", "destroy", "lift", "pause", "resume"])
def test_who_is_not_there(operator: Operator, verb: str) -> None:
    """Unknown and destroyed names are 404, and nothing follows."""
    before = operator.desk.hive.position
    for name in ("nobody", "old", "-x", "x" * 61, "x\ny", "COD"):
        assert operator.refused(f"/{verb}/{name}") == (404, "not_found"), name
    assert operator.desk.hive.position == before


@pytest.mark.parametrize("verb", ["revive", "purge-tombstone"])
def test_of_who_lives(operator: Operator, verb: str) -> None:
    """What lives is neither revived nor purged: 409; who was never there is 404."""
    before = operator.desk.hive.position
    assert operator.refused(f"/{verb}/coder") == (409, "conflict")
    assert operator.refused(f"/{verb}/nobody") == (404, "not_found")
    assert operator.desk.hive.position == before


def test_in_a_transient(operator: Operator) -> None:
    """Another verb on an agent that something is done to is 409."""
    assert operator.post("/restart/coder").status == 200
    for verb in ("kill", "rebuild", "destroy", "start"):
        assert operator.refused(f"/{verb}/coder") == (409, "conflict"), verb


def test_needs_the_token(operator: Operator) -> None:
    """Nobody but the operator does any of it."""
    before = operator.desk.hive.position
    for path in ("/kill/coder", "/revive/old", "/purge-tombstone/old", "/freeze", "/pause/coder"):
        assert operator.post(path, authorization="Bearer x").status == 401
    assert operator.desk.hive.position == before
