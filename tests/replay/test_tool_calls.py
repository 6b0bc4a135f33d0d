"""The tool calls between a turn and what came of it, from the stream that the host keeps of the agent."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harness.tools import Asked, Requested, Sent
from hyperhive.events import agents, approvals, messages, turns
from hyperhive.events.envelope import MANAGER, OPERATOR
from hyperhive.events.stream_store import StreamStore
from hyperhive.replay.past import Node
from hyperhive.replay.tool_calls import ToolCall
from tests.language import DAWN
from tests.replay.stories import SECOND, Writer, opened, story
from tests.web.agent.said import assistant, result, tool


class Session:
    """Writes the turn stream of an agent, as its harness hands it in."""

    def __init__(self, log: Path, agent: str = "manager") -> None:
        directory = log.parent / "agents" / agent
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / "hyperhive-events.sqlite"
        self._now = DAWN
        self._store = StreamStore(self.path, clock=lambda: self._now)

    def say(self, seconds: float, *said: dict[str, Any], late: float = 0) -> None:
        """Hand in what was said so many seconds after the story's beginning, some seconds late."""
        at = DAWN + round(seconds * SECOND)
        self._now = at + round(late * SECOND)
        when = datetime.fromtimestamp(at / SECOND, UTC).isoformat()
        events = [{"at": when, "type": each["type"], "data": each} for each in said]
        self._store.append("run", self._store.next("run"), events)


def calls(node: Node) -> dict[int, ToolCall]:
    """Return the calls in a tree, by the fact that came of each."""
    found = {} if node.call is None else {node.position: node.call}
    for child in node.children:
        found |= calls(child)
    return found


def test_question(hive_db: Path) -> None:
    """The call that asked stands between the turn and its question, with its arguments; other calls do not."""
    at = story(hive_db)
    session = Session(hive_db)
    session.say(at["turn"] - 9, assistant(tool("t0", "mcp__hive__ask_operator", question="really?")))  # an earlier turn
    asking = tool("t1", "mcp__hive__ask_operator", question="really?", options=["yes", "no"])
    session.say(at["asked"] - 0.5, assistant(tool("t2", "Bash", command="ls"), asking), late=5)
    session.say(at["asked"], result("t1", [{"type": "text", "text": Asked(question_id=1).text()}]), late=5)
    with opened(hive_db) as past:
        found = calls(past.why("agent:coder"))
        assert found == {
            at["asked"]: ToolCall(
                agent="manager",
                name="ask_operator",
                id="t1",
                arguments={"question": "really?", "options": ["yes", "no"]},
                at=DAWN + at["asked"] * SECOND - SECOND // 2,
                named=True,
            )
        }
        assert found[at["asked"]].words == 'manager called ask_operator (question really?, options ["yes","no"])'
        assert calls(past.why("agent:coder", everything=True)) == found


class TestWhichCall:
    """Of several calls that ask for the same."""

    @pytest.fixture
    def at(self, hive_db: Path) -> dict[str, int]:
        """Write a turn that sends the same twice, restarts somebody and asks for a configuration."""
        story(hive_db)
        to = Writer(hive_db)
        to.now += 60 * SECOND
        turn = to.write(turns.TurnStarted(agent="manager"), MANAGER)
        same = messages.MessageSent(to="coder", sender="manager", body="go on")
        request = approvals.ApprovalRequested(
            id=1, agent="coder", kind=approvals.Kind.APPLY_COMMIT, requester="manager", note="", commit="a" * 40
        )
        at = {
            "turn": turn,
            "first": to.write(same, MANAGER, turn),
            "second": to.write(same, MANAGER, turn),
            "restart": to.write(agents.RestartRequested(agent="coder"), MANAGER, turn),
            "request": to.write(request, MANAGER, turn),
            "by operator": to.write(agents.KillRequested(agent="coder"), OPERATOR),
        }
        self.began = (to.now - DAWN) / SECOND - 5
        to.close()
        return at

    def test_answers_name_it(self, hive_db: Path, at: dict[str, int]) -> None:
        """The call whose answer gave the number of what came of it, wherever it stands."""
        session = Session(hive_db)
        for id_, number in (("t2", at["second"]), ("t1", at["first"])):
            session.say(self.began, assistant(tool(id_, "mcp__hive__send", to="coder", body="go on")))
            session.say(self.began, result(id_, Sent(message_id=number).text()))
        wish = {"agent": "coder", "commit": "a" * 40, "note": "x " * 90}
        session.say(self.began, assistant(tool("t3", "mcp__hive__request_apply_commit", **wish)))
        session.say(self.began, result("t3", Requested(approval_id=1).text()))
        with opened(hive_db) as past:
            found = {at_: (call.id, call.named) for at_, call in calls(past.why(str(at["turn"]))).items()}
            assert found == {at["first"]: ("t1", True), at["second"]: ("t2", True), at["request"]: ("t3", True)}
            (request,) = calls(past.why("approval:1")).values()
            assert request.words.endswith("x x x …”)")

    def test_newest_without_answer(self, hive_db: Path, at: dict[str, int]) -> None:
        """Where no answer has a number: the newest call of the turn before the fact, and it is said to be that."""
        session = Session(hive_db)
        for id_, after, name in (("t1", 1, "coder"), ("t2", 2, "coder"), ("t3", 2, "reviewer"), ("t4", 30, "coder")):
            session.say(self.began + after, assistant(tool(id_, "mcp__hive__restart", name=name)))
        with opened(hive_db) as past:
            found = calls(past.why(str(at["turn"])))
            assert {at_: (call.id, call.named) for at_, call in found.items()} == {at["restart"]: ("t2", False)}

    def test_only_of_turns(self, hive_db: Path, at: dict[str, int]) -> None:
        """What the operator asked for came from no tool of an agent's, whatever the agent's stream says."""
        session = Session(hive_db)
        session.say(self.began + 5, assistant(tool("t1", "mcp__hive__kill", name="coder")))
        with opened(hive_db) as past:
            assert calls(past.why(str(at["by operator"]))) == {}


class TestStreams:
    """What stands there in the place of a stream."""

    @pytest.mark.parametrize(
        "data",
        [
            '{"message": 5, "of": "mcp__hive__ask_operator"}',
            '{"message": {"content": ["mcp__hive__ask_operator"]}}',
            '"mcp__hive__ask_operator"',
            '{"mcp__hive__ask_operator',
        ],
    )
    def test_nonsense(self, hive_db: Path, data: str) -> None:
        """An agent may report anything: what is no call is none, and the causes are shown as without it."""
        at = story(hive_db)
        session = Session(hive_db)
        session.say(at["asked"], assistant(tool("t1", "mcp__hive__ask_operator", question="other?")))
        session._store._connection.execute("UPDATE stream SET data = ?, at = 'noon'", (data,))
        with opened(hive_db) as past:
            assert calls(past.why("agent:coder")) == {}

    def test_none(self, hive_db: Path) -> None:
        """No stream, one that is no database, one that is a pipe: the causes as the log has them."""
        story(hive_db)
        session = Session(hive_db)
        with opened(hive_db) as past:
            expected = past.why("agent:coder")
            session.path.unlink()
            assert past.why("agent:coder") == expected
            session.path.write_bytes(b"no database" * 99)
            assert past.why("agent:coder") == expected
            session.path.unlink()
            os.mkfifo(session.path)
            assert past.why("agent:coder") == expected
