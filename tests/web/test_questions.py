"""Questions over HTTP: shown in the state, answered and cancelled by forms."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import attrs
import pytest
from starlette.applications import Starlette

from hyperhive.commands.questions import AskQuestion, ExpireQuestion
from hyperhive.daemon.journal import Journal
from hyperhive.events.envelope import DAEMON, MANAGER
from hyperhive.projections.history import History
from hyperhive.web.site import Site, site
from tests.commands.desk import Desk
from tests.proposals.kept import proposals_at
from tests.reactors.memory import MemoryRuntime
from tests.web.asking import ORIGIN, Answer, ask

TOKEN = "a-token-of-the-operators"
OPTIONS = ("red", "green", "blue")
HOSTILE = '\x1b]0;owned\x07\x00\r\n\u202egnp.exe\u2028 </script><img src=x onerror=alert(1)>&amp;" \U0001f41d'
Fields = list[tuple[str, str]]


@attrs.define
class Operator:
    """An operator at a hive whose manager asks."""

    desk: Desk
    app: Starlette

    def asked(self, question: str = "which colour?", **more: Any) -> int:
        """Let the manager ask; return the question's number."""

        async def dispatch() -> int:
            command = AskQuestion(actor=MANAGER, question=question, **more)
            return int((await self.desk.dispatcher.dispatch(command))[0].event.id)

        return asyncio.run(dispatch())

    def expire(self, number: int) -> None:
        """Let a deadline come."""

        async def dispatch() -> None:
            await self.desk.dispatcher.dispatch(ExpireQuestion(actor=DAEMON, question=number))

        asyncio.run(dispatch())

    def post(self, path: str, fields: Fields | None = None, **headers: str) -> Answer:
        """Send a form, as a program does that wants JSON."""
        given = {"authorization": f"Bearer {TOKEN}", "accept": "application/json", **headers}
        given.setdefault("content_type", "application/x-www-form-urlencoded")
        return asyncio.run(ask(self.app, path, method="POST", body=urlencode(fields or []).encode(), **given))

    def state(self) -> list[dict[str, Any]]:
        """Return the questions of the state."""
        answer = asyncio.run(ask(self.app, "/api/state", authorization=f"Bearer {TOKEN}"))
        found: list[dict[str, Any]] = json.loads(answer.body)["questions"]
        return found

    def told(self) -> list[dict[str, Any]]:
        """Return what the manager is told, oldest first."""
        return [json.loads(row.body) for row in self.desk.hive.messages.group("manager").values()]


@pytest.fixture
def operator(hive_db: Path) -> Operator:
    """An operator."""
    desk = Desk(hive_db)
    holds = Site(
        dispatcher=desk.dispatcher,
        history=History(hive_db),
        proposals=proposals_at(desk.dispatcher, hive_db),
        kept=dict,
        journal=Journal(hive=desk.hive, runtime=MemoryRuntime()),
        token=TOKEN,
        origins=frozenset({ORIGIN}),
    )
    return Operator(desk, site(holds))


class TestState:
    """What is shown."""

    def test_open_ones(self, operator: Operator) -> None:
        """Open questions stand in the state with every field; resolved ones do not."""
        operator.asked()
        operator.post("/answer-question/1", [("text", "x")])
        operator.asked(options=OPTIONS, multi=True, ttl_seconds=60)
        assert operator.state() == [
            {
                "id": 2,
                "asker": "manager",
                "question": "which colour?",
                "options": list(OPTIONS),
                "multi": True,
                "asked_at": "2026-01-01T00:00:00.000000Z",
                "deadline_at": "2026-01-01T00:01:00.000000Z",
                "status": "open",
                "answer": None,
                "resolved_at": None,
                "resolved_by": None,
            }
        ]

    def test_hostile_text_is_whole(self, operator: Operator) -> None:
        """Text that would be code in a page is a string in JSON, to the last character."""
        longest = (HOSTILE * 100)[:4_000]
        operator.asked(longest, options=(HOSTILE,))
        (row,) = operator.state()
        assert (row["question"], row["options"]) == (longest, [HOSTILE])


class TestAnswer:
    """POST /answer-question/{id}."""

    @pytest.mark.parametrize(
        ("fields", "multi", "read"),
        [
            ([("option", "green")], False, "green"),
            ([("text", "none of these")], False, "none of these"),
            ([("option", "green"), ("text", "but dark")], False, "green, but dark"),
            ([("option", "blue"), ("option", "red"), ("text", "")], True, "red, blue"),
            ([("text", "ümläut & = +\r\nsecond line")], False, "ümläut & = +\r\nsecond line"),
        ],
    )
    def test_joins(self, *, operator: Operator, fields: Fields, multi: bool, read: str) -> None:
        """Radio button, check boxes and the free text become the one string that the manager reads."""
        number = operator.asked(options=OPTIONS, multi=multi)
        answer = operator.post(f"/answer-question/{number}", fields)
        assert (answer.status, json.loads(answer.body)) == (200, {"ok": True, "late": False})
        assert [told["answer"] for told in operator.told()] == [read]

    def test_page(self, operator: Operator) -> None:
        """A browser's form is sent back to the page."""
        operator.asked()
        answer = operator.post("/answer-question/1", [("text", "x")], accept="text/html")
        assert (answer.status, answer.headers["location"], operator.state()) == (303, "/", [])

    def test_late(self, operator: Operator) -> None:
        """An answer to an expired question is taken as a note, and says so."""
        operator.expire(operator.asked(ttl_seconds=1))
        answer = operator.post("/answer-question/1", [("text", "red")])
        assert (answer.status, json.loads(answer.body)) == (200, {"ok": True, "late": True})
        assert [(told["answer"], told.get("late")) for told in operator.told()] == [("[expired]", None), ("red", True)]

    @pytest.mark.parametrize("path", ["/answer-question/1", "/cancel-question/1"])
    @pytest.mark.parametrize(("first", "status"), [("red", "answered"), (None, "cancelled")])
    def test_second(self, *, operator: Operator, path: str, first: str | None, status: str) -> None:
        """Whoever comes second gets 409 with the answer that stands, as text and as data, and changes nothing."""
        operator.asked(options=OPTIONS)
        if first is not None:
            operator.post("/answer-question/1", [("option", first)])
        else:
            operator.post("/cancel-question/1")
        answer = operator.post(path, [("text", "blue")])
        said = json.loads(answer.body)
        standing = first or "[cancelled]"
        assert (answer.status, said["ok"], said["code"]) == (409, False, "conflict")
        assert said["error"] == f"question 1 was {status} already: {standing}"
        assert (said["standing"]["status"], said["standing"]["answer"]) == (status, standing)
        assert [told["answer"] for told in operator.told()] == [standing]

    @pytest.mark.parametrize(
        ("path", "fields", "status"),
        [
            ("/answer-question/1", [], 422),
            ("/answer-question/1", [("text", "  ")], 422),
            ("/answer-question/1", [("text", "a"), ("text", "b")], 422),
            ("/answer-question/1", [("option", "mauve")], 422),
            ("/answer-question/1", [("option", "red"), ("option", "blue")], 422),
            ("/answer-question/1", [("text", "x" * 8_001)], 413),
            ("/answer-question/2", [("text", "red")], 404),
            ("/answer-question/0", [("text", "red")], 404),
            (f"/answer-question/{2**70}", [("text", "red")], 404),
            ("/answer-question/-1", [("text", "red")], 404),
            ("/answer-question/x", [("text", "red")], 404),
            ("/cancel-question/2", [], 404),
        ],
    )
    def test_refused(self, *, operator: Operator, path: str, fields: Fields, status: int) -> None:
        """What is no answer to a question that there is has its status, and the question stays open."""
        operator.asked(options=OPTIONS)
        assert operator.post(path, fields).status == status
        assert [row["status"] for row in operator.state()] == ["open"]

    @pytest.mark.parametrize("path", ["/answer-question/1", "/cancel-question/1"])
    def test_only_the_operator(self, operator: Operator, path: str) -> None:
        """Without the token, of another kind than a form, or by GET, nothing is resolved."""
        operator.asked()
        assert operator.post(path, [("text", "x")], authorization="").status == 401
        assert operator.post(path, [("text", "x")], content_type="application/json").status == 422
        got = asyncio.run(ask(operator.app, path, query="text=x", authorization=f"Bearer {TOKEN}"))
        assert got.status == 405
        assert [row["status"] for row in operator.state()] == ["open"]


class TestCancel:
    """POST /cancel-question/{id}."""

    def test_tells_the_manager(self, operator: Operator) -> None:
        """The manager reads that it was cancelled."""
        operator.asked()
        answer = operator.post("/cancel-question/1")
        assert (answer.status, json.loads(answer.body)) == (200, {"ok": True, "late": False})
        assert [told["answer"] for told in operator.told()] == ["[cancelled]"]

    def test_expired(self, operator: Operator) -> None:
        """What has expired cannot be cancelled any more."""
        operator.expire(operator.asked(ttl_seconds=1))
        answer = operator.post("/cancel-question/1")
        assert (answer.status, json.loads(answer.body)["standing"]["answer"]) == (409, "[expired]")
