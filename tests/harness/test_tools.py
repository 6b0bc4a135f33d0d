"""The tools as a client sees and calls them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from mcp.client import Client
from mcp.types import CallToolResult, Tool

from harness import tools

ALL = [definition.name for definition in tools.DEFINITIONS]
MESSAGE = {"id": 7, "at": "2026-01-02T03:04:05.678Z", "from": "operator", "body": "a\nb", "redelivered": False}


async def host(name: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
    """Answer as a host does."""
    match name, arguments:
        case "send", {"to": "nobody"}:
            raise tools.ToolRefused("no agent 'nobody'")
        case "send", {"to": _, "body": _}:
            return {"ok": True, "id": 3, "message_id": 12}
        case "recv", {"wait_seconds": seconds}:
            return {"ok": True, "messages": [MESSAGE] if seconds else []}
        case "recent", {"limit": limit}:
            return {"ok": True, "messages": [MESSAGE] * limit}
        case _:
            raise AssertionError((name, arguments))


def call(name: str, arguments: dict[str, Any], *, typed: bool = True) -> CallToolResult:
    """Call a tool as a client."""

    async def run() -> CallToolResult:
        async with Client(tools.build_server(ALL, host, typed=typed)) as client:
            result = await client.call_tool(name, arguments)
            assert isinstance(result, CallToolResult)
            return result

    return asyncio.run(run())


def listed(*, typed: bool = True) -> dict[str, Tool]:
    """Return the tools that a client sees."""

    async def run() -> dict[str, Tool]:
        async with Client(tools.build_server(ALL, host, typed=typed)) as client:
            return {tool.name: tool for tool in (await client.list_tools()).tools}

    return asyncio.run(run())


def text(result: CallToolResult) -> str:
    """Return a result's words."""
    return "".join(block.text for block in result.content if block.type == "text")


class TestListing:
    def test_every_tool_says_what_it_does_to_the_world(self) -> None:
        """All four annotations are set, since their absence means the worst."""
        for tool in listed().values():
            assert tool.annotations is not None
            hints = tool.annotations.model_dump(exclude={"title"})
            assert None not in hints.values(), tool.name

    def test_the_pattern_of_waiting_is_spelled_out(self) -> None:
        """`recv` says itself what to do when nothing is left to do."""
        description = listed()["recv"].description or ""
        assert "wait_seconds=180" in description
        assert "never a sleep in Bash" in description
        assert "end your turn" in description

    def test_results_are_typed_where_they_are_given_as_data(self) -> None:
        """A typed server declares what its results look like, an untyped one gives text alone."""
        assert all(tool.output_schema for tool in listed().values())
        assert not any(tool.output_schema for tool in listed(typed=False).values())


class TestCalling:
    def test_send_returns_the_messages_id(self) -> None:
        """What was sent is told in words and as data."""
        result = call("send", {"to": "operator", "body": "hi"})
        assert (text(result), result.structured_content) == ("sent as message 12", {"message_id": 12})

    def test_mail_comes_in_its_envelope(self) -> None:
        """A body is quoted, in a turn's prompt and here."""
        assert text(call("recv", {})).endswith("\n> a\n> b")

    def test_mail_comes_as_data_too(self) -> None:
        """A program gets the fields as they are on the wire."""
        assert call("recv", {}).structured_content == {"messages": [MESSAGE]}

    def test_no_mail_is_said(self) -> None:
        """An empty result is a sentence, not nothing."""
        assert text(call("recv", {"wait_seconds": 0})) == "no messages"

    def test_only_text_where_a_model_reads(self) -> None:
        """Untyped, nothing stands beside the envelope."""
        assert call("recv", {}, typed=False).structured_content is None

    @pytest.mark.parametrize(
        ("name", "arguments", "said"),
        [
            ("send", {"to": "nobody", "body": "x"}, "no agent 'nobody'"),
            ("send", {"to": "coder"}, "body: Field required"),
            ("send", {"to": "coder", "body": "x", "cc": "y"}, "cc: Extra inputs are not permitted"),
            ("recent", {"limit": 0}, "limit: Input should be greater than or equal to 1"),
            ("nap", {}, "no tool 'nap'; there are send, recv, recent, list"),
        ],
    )
    def test_a_mistake_is_told_to_the_model(self, name: str, arguments: dict[str, Any], said: str) -> None:
        """A wrong call is a result that says what is wrong, and never a broken protocol."""
        result = call(name, arguments)
        assert result.is_error
        assert said in text(result)
