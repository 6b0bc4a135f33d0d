"""The real claude program against a rehearsal."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import attrs
import pytest
from claude_agent_sdk import AssistantMessage, Message, ResultMessage, TextBlock, ThinkingBlock

from harness import envelope
from harness.wire import Mail
from hyperhive.rehearsal.answers import Unmatched
from hyperhive.rehearsal.record import Seen
from hyperhive.rehearsal.scenario import load_scenario, parse_scenario
from hyperhive.rehearsal.server import serve_rehearsal
from tests.rehearsal.sessions import key, session, turn
from tests.rehearsal.story import ASK, DEMO, DONE

pytestmark = pytest.mark.hive

WITHIN_SECONDS = 60


@attrs.frozen
class Played:
    """What a session with a rehearsal has come to."""

    sent: Sequence[tuple[str, str]]
    messages: Sequence[Message]
    requests: Sequence[Seen]
    unmatched: Sequence[Unmatched]

    @property
    def words(self) -> list[str]:
        """The model's texts."""
        return [block.text for block in self._blocks() if isinstance(block, TextBlock)]

    @property
    def thoughts(self) -> list[str]:
        """The model's thinking."""
        return [block.thinking for block in self._blocks() if isinstance(block, ThinkingBlock)]

    @property
    def results(self) -> list[ResultMessage]:
        """How each turn ended."""
        return [message for message in self.messages if isinstance(message, ResultMessage)]

    def _blocks(self) -> list[object]:
        said = [message for message in self.messages if isinstance(message, AssistantMessage)]
        return [block for message in said for block in message.content]


def play(scenario: str, home: Path, *prompts: str, environment: Mapping[str, str] | None = None) -> Played:
    """Run one session of the real program through these prompts."""
    sent: list[tuple[str, str]] = []

    def send(to: str, body: str) -> str:
        sent.append((to, body))
        return '{"message_id": 7}'

    async def main() -> Played:
        rehearsal = await serve_rehearsal(parse_scenario(scenario))
        try:
            async with (
                asyncio.timeout(WITHIN_SECONDS),
                session(rehearsal.url, home, send, environment or key("coder")) as client,
            ):
                messages = [message for prompt in prompts for message in await turn(client, prompt)]
        finally:
            await rehearsal.aclose()
        return Played(sent, messages, rehearsal.requests, rehearsal.unmatched)

    return asyncio.run(main())


STORY = """
[[rule]]
matches = '^> tell (?P<who>\\w+)$'
thinking = "I should tell {who}."
text = "I will."
call = [{ tool = "send", input = { to = "{who}", body = "hello" } }]
[[rule]]
result = "send"
matches = '"message_id": (?P<id>\\d+)'
call = [{ tool = "Bash", input = { command = "echo sent {id} from $PWD", description = "Say so" } }]
[[rule]]
result = "Bash"
text = "{read}"
"""


class TestClaude:
    """Sessions of the real program."""

    def test_turn_with_tools(self, tmp_path: Path) -> None:
        """A turn goes through thinking, an MCP tool and Bash to a text, each read by the program as from the API."""
        played = play(STORY, tmp_path, "Mail from operator:\n> tell reviewer")
        assert played.sent == [("reviewer", "hello")]
        assert played.thoughts == ["I should tell reviewer."]
        assert played.words == ["I will.", f"sent 7 from {tmp_path}"]
        assert [seen.rule for seen in played.requests] == ["rule 1", "rule 2", "rule 3"]
        (ended,) = played.results
        assert (ended.is_error, ended.stop_reason) == (False, "end_turn")
        assert ended.usage is not None
        assert ended.usage["input_tokens"] > 1000

    def test_turns_of_one_session_do_not_mix(self, tmp_path: Path) -> None:
        """A second mail of the same words is a turn of its own."""
        played = play(STORY, tmp_path, "> tell anna", "> tell anna")
        assert [to for to, _ in played.sent] == ["anna", "anna"]
        assert len(played.requests) == 6

    def test_rate_limit_is_waited_for(self, tmp_path: Path) -> None:
        """An error with times = 1 is tried again by the program, and the same turn then succeeds."""
        scenario = "[[rule]]\ntimes = 1\nerror = { status = 429, retry_after_seconds = 0 }\n[default]\ntext = 'at last'"
        played = play(scenario, tmp_path, "hello")
        assert played.words == ["at last"]
        assert [(seen.status, seen.attempt) for seen in played.requests] == [(429, 1), (200, 2)]

    def test_cut_stream_is_tried_again(self, tmp_path: Path) -> None:
        """A connection dropped in the middle of a tool call leaves nothing behind; the next try is whole."""
        scenario = """
[[rule]]
contains = "go"
times = 1
call = [{ tool = "send", input = { to = "anna", body = "never" } }]
stream = { chunk_characters = 5, cut_after_chunks = 3 }
[[rule]]
contains = "go"
call = [{ tool = "send", input = { to = "anna", body = "once" } }]
[default]
text = "done"
"""
        played = play(scenario, tmp_path, "go")
        assert played.sent == [("anna", "once")]
        assert [seen.attempt for seen in played.requests] == [1, 2, 1]

    def test_unmatched_request_is_visible_to_the_agent_too(self, tmp_path: Path) -> None:
        """What no rule fits ends the turn at once as an error that carries the explanation, and is kept once."""
        played = play("[[rule]]\ncontains = 'hello'\ntext = 'hi'", tmp_path, "what?", "hello")
        failed, fine = played.results
        (unmatched,) = played.unmatched
        assert failed.is_error
        assert failed.result == f"API Error: 400 {unmatched.explanation}"
        assert (fine.is_error, fine.result) == (False, "hi")

    def test_error_that_forbids_the_retry_ends_the_turn(self, tmp_path: Path) -> None:
        """A failed login with retry = false is not tried for minutes."""
        played = play("[[rule]]\nerror = { status = 401, retry = false }", tmp_path, "hello")
        assert [seen.status for seen in played.requests] == [401]
        assert played.results[0].is_error

    def test_side_requests_do_not_reach_the_rules(self, tmp_path: Path) -> None:
        """With all its traffic on, the program also asks for a title; rules see the mail alone."""
        bearer = {"ANTHROPIC_AUTH_TOKEN": "rehearsal-coder"}
        played = play("[[rule]]\nmatches = '^hello$'\ntext = 'hi'", tmp_path, "hello", environment=bearer)
        assert played.unmatched == ()
        assert "rule 1" in {seen.rule for seen in played.requests} <= {"rule 1", "aside", "count_tokens"}
        assert played.words == ["hi"]


class TestDemo:
    """The story of `make demo`."""

    def test_story_with_three_sessions(self, tmp_path: Path) -> None:
        """Three real sessions play the demo: a file is written, its tests run, and the operator has the answer."""
        names = ("manager", "coder", "reviewer")
        inboxes: dict[str, list[Mail]] = {name: [] for name in (*names, "operator")}

        def send(sender: str, to: str, body: str) -> str:
            number = 7 + sum(map(len, inboxes.values()))
            inboxes[to].append(Mail(id=number, at="2026-01-02T03:04:05Z", sender=sender, body=body))
            return f"sent as message {number}"

        async def main() -> list[ResultMessage]:
            ended: list[ResultMessage] = []
            rehearsal = await serve_rehearsal(load_scenario(DEMO))
            try:
                async with asyncio.timeout(WITHIN_SECONDS), AsyncExitStack() as open_sessions:
                    for name in ("manager", "coder", "reviewer", "manager"):
                        home = tmp_path / name
                        home.mkdir(exist_ok=True)
                        client = await open_sessions.enter_async_context(
                            session(rehearsal.url, home, partial(send, name), key(name))
                        )
                        messages = await turn(client, envelope.turn(inboxes[name][-1:]))
                        ended += [message for message in messages if isinstance(message, ResultMessage)]
            finally:
                await rehearsal.aclose()
            return ended

        send("operator", "manager", ASK)
        ended = asyncio.run(main())
        assert [(each.is_error, each.result) for each in ended] == [(False, "Nothing left to do.")] * 4
        assert [mail.body for mail in inboxes["operator"]] == [DONE]
        assert "class SlugTest" in (tmp_path / "coder" / "slug.py").read_text()
