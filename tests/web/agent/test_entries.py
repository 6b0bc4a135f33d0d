"""What is shown for each raw message, of known shapes and of none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive.web.agent.context import RESERVED_TOKENS, Context, context_of
from hyperhive.web.agent.entries import KINDS, entries_of
from hyperhive.web.agent.prompts import Command, Mail, Output, Words, said_in
from hyperhive.web.agent.tools import argument_of, outcome, patch_of
from tests.web.agent.said import Data, assistant, event, mail, prompt, result, system, text, tool

PATCH = {"structuredPatch": [{"oldStart": 57, "newStart": 57, "lines": [" a", "-b = 1", "+b = 2", "+c"]}]}


def shapes(data: Data) -> list[tuple[str, str]]:
    """Return kind and shape of each entry."""
    return [(entry.kind, entry.shape) for entry in entries_of(event(data))]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (assistant(text("hello")), [("text", "prose")]),
        (assistant(text("a"), tool("t", "Bash", command="ls")), [("text", "prose"), ("tools", "tool")]),
        (assistant({"type": "thinking", "thinking": "hm"}), [("text", "thought")]),
        (assistant({"type": "redacted_thinking", "data": "x"}), [("text", "thought")]),
        (assistant(text("overloaded"), error="rate_limit"), [("errors", "error")]),
        (assistant({"type": "of_tomorrow"}), [("notes", "raw")]),
        (result("t", "fine"), [("tools", "result")]),
        (result("t", "Exit code 1\nno", failed=True), [("errors", "result")]),
        (prompt(mail("do it")), [("mail", "mail")]),
        (prompt("<command-name>/compact</command-name><command-args>x</command-args>"), [("notes", "command")]),
        ({**prompt("kept"), "isSynthetic": True}, [("notes", "kept")]),
        (system("init", slash_commands=[]), []),
        (system("session_state_changed"), []),
        (system("status", status="compacting"), []),
        (system("status", status=None, compact_error="Not enough"), [("errors", "error")]),
        (system("compact_boundary", compact_metadata={"pre_tokens": 2, "post_tokens": 1}), [("notes", "compacted")]),
        (system("api_retry", attempt=2, max_retries=10, error_status=529), [("errors", "error")]),
        (system("of_tomorrow"), [("notes", "raw")]),
        ({"type": "result", "is_error": False}, []),
        ({"type": "result", "is_error": True, "result": "no"}, [("errors", "error")]),
        ({"type": "conversation_reset"}, [("notes", "note")]),
        ({"type": "dropped", "count": 3}, [("notes", "note")]),
        ({"type": "truncated", "reason": "too large"}, [("notes", "note")]),
        ({"type": "command_lifecycle"}, []),
        ({"type": "weather", "rain": True}, [("notes", "raw")]),
    ],
)
def test_shapes(data: Data, expected: list[tuple[str, str]]) -> None:
    """Each known message becomes what it is, noise becomes nothing, and what nobody knows is shown raw."""
    assert shapes(data) == expected


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)
_TYPES = st.sampled_from(["assistant", "user", "system", "result", "dropped", "truncated", "x"])


@given(type_=_TYPES, data=st.dictionaries(st.sampled_from(["message", "subtype", "content", "error"]), _JSON))
def test_any_shape(type_: str, data: Data) -> None:
    """No message, of whatever shape, makes the page fail; each entry has a kind that can be chosen."""
    for entry in entries_of(event({**data, "type": type_})):
        assert entry.kind in KINDS
    context_of([event({**data, "type": type_})])


def test_ids_are_unique() -> None:
    """Entries of one message are told apart by their place in it."""
    found = entries_of(event(assistant(text("a"), text("b")), id_=87))
    assert [entry.id for entry in found] == ["87-0", "87-1"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (mail("a\n\nb", id_=9), [Mail(9, "operator", "2026-01-02T03:04:05Z", "a\n\nb", again=False)]),
        (mail("[message 8 from manager at 2026-01-02T03:04:05Z]"), None),
        ("<command-name>/clear</command-name>\n<command-args></command-args>", [Command("/clear")]),
        ("<local-command-stdout>done</local-command-stdout>", [Output("done")]),
        ("The turn on message 7 was cut off.", [Words("The turn on message 7 was cut off.")]),
    ],
)
def test_prompts(given: str, expected: list[Any] | None) -> None:
    """Mail is told apart from the harness's words, and a body that looks like a head stays one message's body."""
    found = list(said_in(given))
    if expected is None:
        assert [type(part) for part in found] == [Mail]
    else:
        assert found == expected


def test_two_messages_in_one_turn() -> None:
    """A batch is as many letters."""
    both = f"{mail('one', id_=7)}\n\n{mail('two', id_=8, sender='manager').partition(chr(10) * 2)[2]}"
    assert [(part.id, part.sender, part.body) for part in said_in(both) if isinstance(part, Mail)] == [
        (7, "operator", "one"),
        (8, "manager", "two"),
    ]


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("Bash", {"command": "ls\n -la"}, "ls -la"),
        ("Read", {"file_path": "a.py", "offset": 40, "limit": 49}, "a.py, lines 40 to 88"),
        ("mcp__hive__send", {"to": "manager", "body": "hi"}, "to manager: “hi”"),
        ("Odd", {"first": {"a": 1}, "second": "x"}, '{"a":1}'),
        ("Odd", {}, ""),
        ("Bash", {"command": "x" * 1_000}, "x" * 300 + "…"),
    ],
)
def test_arguments(name: str, given: dict[str, Any], expected: str) -> None:
    """A call's line has what says most of it, on one line, bounded."""
    assert argument_of(name, given) == expected


@pytest.mark.parametrize(
    ("text_", "detail", "failed", "expected"),
    [
        ("Exit code 137\nkilled", None, True, "exit 137"),
        ("no such file", None, True, "failed"),
        ("updated", PATCH, False, "+2 -1"),
        ("1\ta", {"file": {"numLines": 88}}, False, "88 lines"),
        ("a\nb", {"numFiles": 3}, False, "3 files"),
        ("a\nb", None, False, "2 lines"),
        ("a", None, False, ""),
        ("a", {"structuredPatch": ["odd", {"oldStart": "x"}]}, False, ""),
    ],
)
def test_outcomes(text_: str, detail: Any, *, failed: bool, expected: str) -> None:
    """How a call went is said in a few words."""
    assert outcome(text_, detail, failed=failed) == expected


def test_patch() -> None:
    """A patch's lines have their numbers before and after."""
    assert [(line.kind, line.old, line.new, line.text) for line in patch_of(PATCH)] == [
        ("", 57, 57, "a"),
        ("del", 58, None, "b = 1"),
        ("add", None, 58, "b = 2"),
        ("add", None, 59, "c"),
    ]


class TestContext:
    """How full the context is."""

    def test_of_the_newest_answer(self) -> None:
        """The newest answer of the session itself says it, its result the window; a subagent's says nothing."""
        usage = {"input_tokens": 4_000, "cache_read_input_tokens": 50_000, "output_tokens": 30}
        found = context_of(
            [
                event(assistant(text("sub"), parent_tool_use_id="t")),
                event({"type": "result", "modelUsage": {"m": {"contextWindow": 1_000_000}}}),
                event({**assistant(text("x")), "message": {"model": "m", "content": [], "usage": usage}}),
                event(system("init", slash_commands=["compact", "context"])),
            ]
        )
        assert found == Context(tokens=54_030, window=1_000_000, commands=("compact", "context"))
        assert (found.percent, found.tick_percent) == (5, 97)

    def test_after_compaction_and_clearing(self) -> None:
        """A compaction says what is left, a cleared session has nothing; where nothing is known, nothing is claimed."""
        compacted = event(system("compact_boundary", compact_metadata={"post_tokens": 38_000}))
        assert context_of([compacted, event(assistant(text("x")))]).tokens == 38_000
        assert context_of([event({"type": "conversation_reset"}), compacted]).tokens == 0
        assert context_of([]) == Context()
        assert Context().tick_percent == round(100 * (200_000 - RESERVED_TOKENS) / 200_000)
