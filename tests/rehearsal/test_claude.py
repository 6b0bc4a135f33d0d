"""The real claude program against a rehearsal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from claude_agent_sdk import (
    AssistantMessage,
    ClaudeAgentOptions,
    ClaudeSDKClient,
    ResultMessage,
    TextBlock,
    ThinkingBlock,
    create_sdk_mcp_server,
    tool,
)

from hyperhive.rehearsal.answers import Unmatched
from hyperhive.rehearsal.record import Seen
from hyperhive.rehearsal.scenario import parse_scenario
from hyperhive.rehearsal.server import serve_rehearsal

pytestmark = pytest.mark.hive


@attrs.define
class Played:
    """What a session with a rehearsal has come to."""

    sent: list[dict[str, Any]] = attrs.field(factory=list)
    words: list[str] = attrs.field(factory=list)
    thoughts: list[str] = attrs.field(factory=list)
    results: list[ResultMessage] = attrs.field(factory=list)
    requests: Sequence[Seen] = ()
    unmatched: Sequence[Unmatched] = ()


async def _session(url: str, home: Path, prompts: Sequence[str], played: Played, **environment: str) -> None:
    @tool("send", "Send a message to another agent.", {"to": str, "body": str})
    async def send(given: dict[str, Any]) -> dict[str, Any]:
        played.sent.append(given)
        return {"content": [{"type": "text", "text": json.dumps({"message_id": 7})}]}

    options = ClaudeAgentOptions(
        system_prompt="You are coder.",
        mcp_servers={"hive": create_sdk_mcp_server("hive", tools=[send])},
        permission_mode="bypassPermissions",
        setting_sources=[],
        strict_mcp_config=True,
        cwd=home,
        env={"HOME": str(home), "ANTHROPIC_BASE_URL": url, "IS_SANDBOX": "1", **environment},
    )
    async with ClaudeSDKClient(options) as client:
        for prompt in prompts:
            await client.query(prompt)
            async for message in client.receive_response():
                match message:
                    case AssistantMessage():
                        played.words += [block.text for block in message.content if isinstance(block, TextBlock)]
                        thoughts = [block.thinking for block in message.content if isinstance(block, ThinkingBlock)]
                        played.thoughts += thoughts
                    case ResultMessage():
                        played.results.append(message)


QUIET = {"ANTHROPIC_API_KEY": "rehearsal-coder", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}


def play(scenario: str, home: Path, *prompts: str, environment: dict[str, str] | None = None) -> Played:
    """Run one session of the real program through these prompts."""

    async def main() -> Played:
        played = Played()
        rehearsal = await serve_rehearsal(parse_scenario(scenario))
        try:
            async with asyncio.timeout(60):
                await _session(rehearsal.url, home, prompts, played, **(environment or QUIET))
        finally:
            await rehearsal.aclose()
        played.requests, played.unmatched = rehearsal.requests, rehearsal.unmatched
        return played

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
        assert played.sent == [{"to": "reviewer", "body": "hello"}]
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
        assert [sent["to"] for sent in played.sent] == ["anna", "anna"]
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
        assert [sent["body"] for sent in played.sent] == ["once"]
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
