"""Approvals over HTTP: looked at, approved as they were seen, denied, asked for, rolled back."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import attrs
import pytest
from starlette.applications import Starlette

from hyperhive.commands.agents import ReportOutcome
from hyperhive.daemon.journal import Journal
from hyperhive.events.envelope import DAEMON, MANAGER
from hyperhive.projections.history import History
from hyperhive.proposals.proposals import Proposals
from hyperhive.reactors.applier import Applier
from hyperhive.web.site import Site, site
from tests.commands.desk import Desk
from tests.proposals.kept import proposals_at
from tests.reactors.memory import MemoryRuntime
from tests.repositories.hostile import Workshop
from tests.web.asking import ORIGIN, Answer, ask

TOKEN = "a-token-of-the-operators"
Fields = dict[str, str]


@attrs.define
class Operator:
    """An operator at a hive whose manager proposes."""

    desk: Desk
    app: Starlette
    proposals: Proposals
    workshop: Workshop

    def proposed(self, text: str = 'model = "opus"\n') -> int:
        """Let the manager propose; return the approval's number."""
        self.workshop.write("agent.toml", text)
        return asyncio.run(self.proposals.request_apply(MANAGER, "coder", self.workshop.commit(), "<b>why</b>"))

    def post(self, path: str, **fields: str) -> tuple[int, dict[str, Any]]:
        """Send a form, as a program does that wants JSON."""
        given = {"authorization": f"Bearer {TOKEN}", "accept": "application/json"}
        given["content_type"] = "application/x-www-form-urlencoded"
        return read(asyncio.run(ask(self.app, path, method="POST", body=urlencode(fields).encode(), **given)))

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        """Ask for JSON."""
        given = {"authorization": f"Bearer {TOKEN}", "accept": "application/json"}
        return read(asyncio.run(ask(self.app, path, method="GET", body=b"", **given)))

    def look(self, number: int) -> Fields:
        """Look at an approval; return what a decision on it has to state."""
        _, review = self.get(f"/api/approval/{number}")
        return {"commit": review["commit_ref"] or "", "base": review["base"] or ""}

    def settle(self) -> None:
        """Apply what is approved, and make the container."""

        async def work() -> None:
            await Applier(self.desk.dispatcher, self.proposals).tick()
            intent = self.desk.hive.agents["coder"].pending_position
            assert intent is not None
            await self.desk.dispatcher.dispatch(ReportOutcome(actor=DAEMON, agent="coder", intent=intent))

        asyncio.run(work())


def read(answer: Answer) -> tuple[int, dict[str, Any]]:
    """Return status and body."""
    return answer.status, json.loads(answer.body)


@pytest.fixture
def operator(hive_db: Path) -> Operator:
    """An operator, and a running coder with a proposed repository."""
    desk = Desk(hive_db)
    proposals = proposals_at(desk.dispatcher, hive_db)

    async def begin() -> None:
        await desk.spawn("manager", "coder")
        await proposals.ensure_proposed("coder")

    asyncio.run(begin())
    holds = Site(
        dispatcher=desk.dispatcher,
        history=History(hive_db),
        proposals=proposals,
        kept=dict,
        journal=Journal(hive=desk.hive, runtime=MemoryRuntime()),
        token=TOKEN,
        origins=frozenset({ORIGIN}),
    )
    workshop = Workshop(hive_db.parent / "proposed/coder", hive_db.parent / "trap")
    return Operator(desk, site(holds), proposals, workshop)


def test_from_look_to_roll_back(operator: Operator) -> None:
    """The diff, the yes to just that, the next one against it, and the way back."""
    first = operator.proposed()
    status, review = operator.get(f"/api/approval/{first}")
    assert (status, review["description"], review["status"]) == (200, "<b>why</b>", "pending")
    assert [line["text"] for line in review["diff"]["files"][0]["lines"]] == ['model = "opus"']
    assert operator.post(f"/approve/{first}", **operator.look(first), note="go on") == (200, {"ok": True})
    operator.settle()
    second = operator.proposed('model = "sonnet"\n')
    assert operator.look(second)["base"] == review["commit_ref"]
    assert operator.post(f"/approve/{second}", **operator.look(second))[0] == 200
    operator.settle()
    assert operator.post("/rollback/coder") == (200, {"ok": True, "approval_id": 3})
    assert operator.get("/api/approval/3")[1]["commit_ref"] == review["commit_ref"]


def test_stale(operator: Operator) -> None:
    """A yes to another commit or base is 409, with what moved; one that states none is refused."""
    number = operator.proposed()
    seen = operator.look(number)
    for wrong in ({**seen, "commit": "0" * 40}, {**seen, "base": "0" * 40}):
        status, refusal = operator.post(f"/approve/{number}", **wrong)
        assert (status, "look again" in refusal["error"]) == (409, True)
    assert operator.post(f"/approve/{number}")[0] == 422
    assert operator.get(f"/api/approval/{number}")[1]["status"] == "pending"


def test_the_second_word(operator: Operator) -> None:
    """Whoever comes second is told how it was decided, with the whole row."""
    number = operator.proposed()
    seen = operator.look(number)
    assert operator.post(f"/deny/{number}", note="no") == (200, {"ok": True})
    status, refusal = operator.post(f"/approve/{number}", **seen)
    assert (status, refusal["standing"]["status"], refusal["standing"]["note"]) == (409, "denied", "no")


def test_unknown(operator: Operator) -> None:
    """A number that nobody got is 404."""
    assert operator.get("/api/approval/9")[0] == 404
    assert operator.post("/approve/9", commit="", base="")[0] == 404
    assert operator.post("/deny/9")[0] == 404


def test_request_spawn(operator: Operator) -> None:
    """The operator's own wish, with a configuration or without; a wrong one names its line."""
    assert operator.post("/request-spawn", name="ann", reason="helps") == (200, {"ok": True, "approval_id": 1})
    assert operator.post("/request-spawn", name="bob", config='model = "opus"\n')[1]["approval_id"] == 2
    status, refusal = operator.post("/request-spawn", name="eve", model="opus", config='prompt = "x"')
    assert (status, "one of them is right" in refusal["error"]) == (422, True)
    status, refusal = operator.post("/request-spawn", name="eve", model="--opus")
    assert (status, "agent.toml line 1: model" in refusal["error"]) == (422, True)
    status, refusal = operator.post("/request-spawn", name="eve", config="modle = 1")
    assert (status, "line 1: no key is named modle" in refusal["error"]) == (422, True)
    waiting = operator.get("/api/state")[1]["approvals"]
    assert [(row["agent"], row["kind"], row["requester"]) for row in waiting] == [
        ("ann", "spawn", "operator"),
        ("bob", "spawn", "operator"),
    ]
