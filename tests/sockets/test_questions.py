"""Questions over sockets: asked on an agent's, listed, answered and cancelled on the operator's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from hyperhive.commands.questions import ExpireQuestion
from hyperhive.events.envelope import DAEMON
from hyperhive.events.messages import MessagesHandedOver
from hyperhive.events.questions import QuestionAnswered, QuestionAsked
from tests.sockets.client import Client
from tests.sockets.hall import Hall, hall

Reply = dict[str, Any]
Story = Callable[[Hall], Awaitable[Any]]

RGB = {"cmd": "ask_operator", "question": "which colour?", "options": ["red", "green", "blue"]}
HOSTILE = '\x1b]0;owned\x07\x00\r\n\u202egnp.exe\u2028 </script><b>&amp;" \\ \U0001f41d'


def play(place: Path, migrated: Path, story: Story, *names: str, agents_may_ask: bool = False) -> Any:
    """Run a story in a hive where these agents run, the manager if none is named."""

    async def run() -> Any:
        async with hall(place, migrated, agents_may_ask=agents_may_ask) as here:
            await here.spawn(*(names or ("manager",)))
            return await story(here)

    return asyncio.run(run())


async def ask(here: Hall, question: Reply = RGB, name: str = "manager") -> int:
    """Let an agent ask; return the question's id."""
    reply = await (await here.agent(name)).ask(question)
    assert reply["ok"], reply
    return int(reply["question_id"])


async def told(client: Client) -> list[Reply]:
    """Return what an agent is told about questions, besides its kick."""
    mail = (await client.ask({"cmd": "recv", "wait_seconds": 0}))["messages"]
    return [json.loads(message["body"]) for message in mail if message["body"].startswith("{")]


class TestAsking:
    """On an agent's socket."""

    def test_returns_the_id_at_once(self, place: Path, migrated: Path) -> None:
        """The reply is the question's number, a small one, long before anybody answers."""

        async def story(here: Hall) -> tuple[Reply, Reply]:
            client = await here.agent("manager")
            return await client.ask(RGB), await client.ask({"cmd": "ask_operator", "question": "why?"})

        assert play(place, migrated, story) == ({"ok": True, "question_id": 1}, {"ok": True, "question_id": 2})

    def test_asked_again_under_one_command_id(self, place: Path, migrated: Path) -> None:
        """A harness that did not hear the reply asks once more and gets the first reply: there is one question."""

        async def story(here: Hall) -> tuple[Reply, Reply, int]:
            once = {**RGB, "command_id": "q1"}
            first = await (await here.agent("manager")).ask(once)
            again = await (await here.agent("manager")).ask(once)
            return first, again, len(here.desk.hive.questions)

        assert play(place, migrated, story) == ({"ok": True, "question_id": 1},) * 2 + (1,)

    def test_agents_where_the_operator_allows_it(self, place: Path, migrated: Path) -> None:
        """An agent may ask where the configuration says so, in its own name, and its session has the tool."""

        async def story(here: Hall) -> tuple[list[str], str]:
            client = await here.agent("coder")
            number = (await client.ask(RGB))["question_id"]
            return (await client.ask({"cmd": "session"}))["tools"], here.desk.hive.questions[number].asker

        tools, asker = play(place, migrated, story, "coder", agents_may_ask=True)
        assert ("ask_operator" in tools, asker) == (True, "coder")

    def test_agents_where_not(self, place: Path, migrated: Path) -> None:
        """Otherwise it is refused whatever it claims, told whom to write to, and its session lacks the tool."""

        async def story(here: Hall) -> tuple[Reply, list[str]]:
            client = await here.agent("coder")
            refusal = await client.ask({**RGB, "agents_may_ask": True, "asker": "manager", "actor": "manager"})
            return refusal, (await client.ask({"cmd": "session"}))["tools"]

        refusal, tools = play(place, migrated, story, "coder")
        assert (refusal["ok"], refusal["code"], "write to the manager" in refusal["error"]) == (
            False,
            "forbidden",
            True,
        )
        assert "ask_operator" not in tools

    @pytest.mark.parametrize(
        ("wrong", "code", "match"),
        [
            ({"question": "x" * 4_001}, "too_large", "4001 characters; at most 4000"),
            ({"options": [str(n) for n in range(21)]}, "too_large", "21 options; at most 20"),
            ({"options": ["x" * 201]}, "invalid", "1 to 200 characters"),
            ({"options": ["a", "a"]}, "invalid", "an option stands twice"),
            ({"options": "red"}, "invalid", "at `$.options`"),
            ({"options": [7]}, "invalid", "at `$.options[0]`"),
            ({"multi": "yes"}, "invalid", "at `$.multi`"),
            ({"ttl_seconds": 0}, "invalid", "ttl_seconds is 0"),
            ({"ttl_seconds": 1.5}, "invalid", "at `$.ttl_seconds`"),
            ({"ttl_seconds": 2**70}, "invalid", "ttl_seconds is"),
            ({"question": None}, "invalid", "at `$.question`"),
        ],
    )
    def test_bad_questions(self, *, place: Path, migrated: Path, wrong: Reply, code: str, match: str) -> None:
        """Each limit is refused with what would be right; nothing is asked and the connection goes on."""

        async def story(here: Hall) -> tuple[Reply, Reply]:
            client = await here.agent("manager")
            return await client.ask({**RGB, **wrong}), await client.ask(RGB)

        refusal, asked = play(place, migrated, story)
        assert (refusal["code"], asked) == (code, {"ok": True, "question_id": 1})
        assert match in refusal["error"]


class TestQuestions:
    """The list on host.sock."""

    def test_open_ones(self, place: Path, migrated: Path) -> None:
        """Each open question with every field, oldest first."""

        async def story(here: Hall) -> bytes:
            await ask(here, {**RGB, "multi": True, "ttl_seconds": 60})
            operator = await here.operator()
            await operator.send({"cmd": "questions"})
            return await operator.line()

        assert play(place, migrated, story) == (
            b'{"version":1,"ok":true,"error":null,"questions":[{"id":1,"asker":"manager","question":"which colour?",'
            b'"options":["red","green","blue"],"multi":true,"asked_at":"2026-01-01T00:00:00.000000Z",'
            b'"deadline_at":"2026-01-01T00:01:00.000000Z","status":"open","answer":null,"resolved_at":null,'
            b'"resolved_by":null}]}\n'
        )

    def test_resolved_ones(self, place: Path, migrated: Path) -> None:
        """With all also those that are resolved, with what the asker read and who resolved it; the newest where few."""

        async def story(here: Hall) -> list[list[Any]]:
            operator = await here.operator()
            for _ in range(4):
                await ask(here)
            await operator.ask({"cmd": "answer", "id": 1, "options": ["red"]})
            await operator.ask({"cmd": "cancel", "id": 2})
            await here.desk.dispatcher.dispatch(ExpireQuestion(actor=DAEMON, question=3))
            listed = [
                (await operator.ask({"cmd": "questions", **more}))["questions"]
                for more in ({}, {"all": True}, {"all": True, "limit": 2})
            ]
            return [[(row["id"], row["status"], row["answer"], row["resolved_by"]) for row in rows] for rows in listed]

        answered, cancelled = (1, "answered", "red", "operator"), (2, "cancelled", "[cancelled]", "operator")
        waiting, last = (3, "open", None, None), (4, "open", None, None)
        assert play(place, migrated, story) == [
            [waiting, last],
            [answered, cancelled, waiting, last],  # 3 has no deadline, so nothing lets it expire
            [waiting, last],
        ]

    def test_hostile_text_is_whole(self, place: Path, migrated: Path) -> None:
        """Question, options and answer come through to the last character, on one line each way."""
        longest = (HOSTILE * 200)[:4_000]
        option = HOSTILE.strip()

        async def story(here: Hall) -> tuple[Reply, Reply]:
            number = await ask(here, {"cmd": "ask_operator", "question": longest, "options": [option]})
            operator = await here.operator()
            (row,) = (await operator.ask({"cmd": "questions"}))["questions"]
            await operator.ask({"cmd": "answer", "id": number, "options": [option], "text": HOSTILE})
            return row, (await told(await here.agent("manager")))[0]

        row, answered = play(place, migrated, story)
        assert (row["question"], row["options"]) == (longest, [option])
        assert (answered["question"], answered["answer"]) == (longest, f"{option}, {HOSTILE.strip()}")

    @pytest.mark.parametrize("limit", [0, 1_001, -1, "many"])
    def test_bad_limit(self, place: Path, migrated: Path, limit: object) -> None:
        """A limit that is none is refused with what is right."""

        async def story(here: Hall) -> Reply:
            return await (await here.operator()).ask({"cmd": "questions", "all": True, "limit": limit})

        refusal = play(place, migrated, story)
        assert (refusal["ok"], refusal["code"], "limit" in refusal["error"]) == (False, "invalid", True)


class TestResolving:
    """Answer and cancel on host.sock."""

    def test_bytes(self, place: Path, migrated: Path) -> None:
        """A reply says whether the answer came late."""

        async def story(here: Hall) -> list[bytes]:
            await ask(here)
            await ask(here)
            replies = []
            for request in ({"cmd": "answer", "id": 1, "text": "red"}, {"cmd": "cancel", "id": 2}):
                operator = await here.operator()
                await operator.send(request)
                replies.append(await operator.line())
            return replies

        assert play(place, migrated, story) == [b'{"version":1,"ok":true,"error":null,"late":false}\n'] * 2

    def test_each_ending_is_told(self, place: Path, migrated: Path) -> None:
        """Answer, cancellation, expiry and the late answer reach the asker's inbox, in their order."""

        async def story(here: Hall) -> tuple[list[Reply], Reply]:
            operator, manager = await here.operator(), await here.agent("manager")
            for question in (RGB, RGB, {**RGB, "ttl_seconds": 5}):
                await ask(here, question)
            await operator.ask({"cmd": "answer", "id": 1, "options": ["green"], "text": "but dark"})
            await operator.ask({"cmd": "cancel", "id": 2})
            await here.desk.dispatcher.dispatch(ExpireQuestion(actor=DAEMON, question=3))
            late = await operator.ask({"cmd": "answer", "id": 3, "text": "blue"})
            return await told(manager), late

        answers, late = play(place, migrated, story)
        about = {"event": "operator_answered", "question": "which colour?"}
        assert answers == [
            {**about, "id": 1, "answer": "green, but dark"},
            {**about, "id": 2, "answer": "[cancelled]"},
            {**about, "id": 3, "answer": "[expired]"},
            {**about, "id": 3, "answer": "blue", "late": True},
        ]
        assert late["late"] is True

    def test_first_wins(self, place: Path, migrated: Path) -> None:
        """Whoever comes second, also after a restart of the daemon, is told how it stands, and nothing changes."""

        async def begin(here: Hall) -> list[Reply]:
            await ask(here)
            operator = await here.operator()
            await operator.ask({"cmd": "answer", "id": 1, "options": ["red"]})
            return [
                await operator.ask({"cmd": "answer", "id": 1, "options": ["blue"]}),
                await operator.ask({"cmd": "cancel", "id": 1}),
            ]

        async def again() -> Reply:
            async with hall(place, migrated) as here:
                return await (await here.operator()).ask({"cmd": "cancel", "id": 1})

        refusals = [*play(place, migrated, begin), asyncio.run(again())]
        said = {"version": 1, "ok": False, "error": "question 1 was answered already: red", "code": "conflict"}
        assert refusals == [said] * 3

    @pytest.mark.parametrize(
        ("request_", "code", "match"),
        [
            ({"cmd": "answer", "id": 1}, "invalid", "an empty answer"),
            ({"cmd": "answer", "id": 1, "text": " \n"}, "invalid", "an empty answer"),
            ({"cmd": "answer", "id": 1, "options": ["mauve"]}, "invalid", "'mauve' is not an option"),
            ({"cmd": "answer", "id": 1, "options": ["red", "blue"]}, "invalid", "takes one option; 2 were chosen"),
            ({"cmd": "answer", "id": 1, "options": "red"}, "invalid", "at `$.options`"),
            ({"cmd": "answer", "id": 1, "text": "x" * 8_001}, "too_large", "8001 characters; at most 8000"),
            ({"cmd": "answer", "text": "red"}, "invalid", "missing required field `id`"),
            ({"cmd": "answer", "id": "1", "text": "red"}, "invalid", "at `$.id`"),
            ({"cmd": "answer", "id": 2, "text": "red"}, "not_found", "no question 2"),
            ({"cmd": "answer", "id": 0, "text": "red"}, "not_found", "no question 0"),
            ({"cmd": "cancel", "id": 2}, "not_found", "no question 2"),
            ({"cmd": "cancel"}, "invalid", "missing required field `id`"),
        ],
    )
    def test_refused(self, *, place: Path, migrated: Path, request_: Reply, code: str, match: str) -> None:
        """What is no answer, or none to a question that there is, is refused, and the question stays open."""

        async def story(here: Hall) -> tuple[Reply, int]:
            await ask(here)
            refusal = await (await here.operator()).ask(request_)
            return refusal, len(here.desk.hive.questions)

        refusal, waiting = play(place, migrated, story)
        assert (refusal["ok"], refusal["code"], waiting) == (False, code, 1)
        assert match in refusal["error"]

    def test_not_on_an_agents_socket(self, place: Path, migrated: Path) -> None:
        """An agent cannot answer, cancel or list: its socket has no such commands."""

        async def story(here: Hall) -> list[Reply]:
            await ask(here)
            manager = await here.agent("manager")
            return [
                await manager.ask({"cmd": cmd, "id": 1, "text": "yes"}) for cmd in ("answer", "cancel", "questions")
            ]

        replies = play(place, migrated, story)
        assert [reply["code"] for reply in replies] == ["invalid"] * 3

    def test_wakes_a_long_poll_at_once(self, place: Path, migrated: Path) -> None:
        """Whoever waits for mail is handed the answer in the very commit that makes it a fact."""

        async def story(here: Hall) -> tuple[Reply, list[type], int]:
            manager, operator = await here.agent("manager"), await here.operator()
            held = [mail["id"] for mail in (await manager.ask({"cmd": "recv", "wait_seconds": 0}))["messages"]]
            await ask(here)
            await manager.send({"id": 1, "cmd": "recv", "wait_seconds": 180, "holding": held})
            # It waits once a later request on its connection is answered.
            assert (await manager.ask({"id": 2, "cmd": "recent"}))["id"] == 2
            commits = here.desk.commits
            await operator.ask({"cmd": "answer", "id": 1, "text": "red"})
            (mail,) = (await manager.reply())["messages"]
            facts = here.desk.log.read(here.desk.hive.position - 1, here.desk.hive.position)
            return json.loads(mail["body"]), [type(fact.event) for fact in facts], here.desk.commits - commits

        answered, facts, commits = play(place, migrated, story)
        assert answered["answer"] == "red"
        assert (facts, commits) == ([QuestionAnswered, MessagesHandedOver], 1)


def test_each_is_a_fact_of_its_own_stream(place: Path, migrated: Path) -> None:
    """A question's stream is ``question-<id>``; the asking is its first fact."""

    async def story(here: Hall) -> list[tuple[str, int, type]]:
        await ask(here)
        number = await ask(here)
        await (await here.operator()).ask({"cmd": "answer", "id": number, "text": "x"})
        facts = here.desk.log.read(1, here.desk.hive.position)
        return [(fact.stream, fact.version, type(fact.event)) for fact in facts if fact.stream == f"question-{number}"]

    assert play(place, migrated, story) == [("question-2", 1, QuestionAsked), ("question-2", 2, QuestionAnswered)]
