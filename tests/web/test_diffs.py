"""Diffs for people: whole lines, in colour, with the words that changed."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive.web.dashboard.diffs import compare, file_of
from hyperhive.web.dashboard.highlight import Span, highlight

PATHS = ("agent.toml", "flake.nix", "mcp.json", "prompt.md", "flake.lock", "run.sh", "")
lines = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=80)


@given(line=lines, path=st.sampled_from(PATHS))
def test_nothing_is_lost_in_colour(line: str, path: str) -> None:
    """The coloured pieces of a line are the line."""
    assert "".join(span.text for span in highlight(line, path)) == line


@pytest.mark.parametrize(
    ("line", "path", "spans"),
    [
        ("# a comment = 1", "agent.toml", [Span("# a comment = 1", "c")]),
        ('model = "opus"', "agent.toml", [Span("model", "k"), Span(" = "), Span('"opus"', "s")]),
        ("usd = 1.25", "agent.toml", [Span("usd", "k"), Span(" = "), Span("1.25", "n")]),
        ("[limits]", "agent.toml", [Span("["), Span("limits", "k"), Span("]")]),
        ('"a # b"', "agent.toml", [Span('"a # b"', "s")]),
        ("x = 1;", "flake.nix", [Span("x", "k"), Span(" = "), Span("1", "n"), Span(";")]),
        ('{"a": true}', "x.json", [Span("{"), Span('"a"', "k"), Span(": "), Span("true", "n"), Span("}")]),
        ("model = 1", "unknown", [Span("model = 1")]),
    ],
)
def test_colours(line: str, path: str, spans: list[Span]) -> None:
    """Keys, strings, numbers and comments are told apart; what is not known stays plain."""
    assert [span for span in highlight(line, path) if span.text] == spans


@given(before=lines, after=lines)
def test_marks_are_what_differs(before: str, after: str) -> None:
    """Without what is marked, both lines say the same, wherever anything is marked."""
    gone, come = compare(before, after)
    if gone or come:
        assert without(before, gone) == without(after, come)


def without(text: str, ranges: tuple[tuple[int, int], ...]) -> str:
    """Cut ranges out of a text."""
    for start, end in reversed(ranges):
        text = text[:start] + text[end:]
    return text


@pytest.mark.parametrize(
    ("before", "after", "gone", "come"),
    [
        ('model = "sonnet"', 'model = "opus"', ["sonnet"], ["opus"]),
        ("usd = 0.50", "usd = 1.25", ["0.50"], ["1.25"]),
        ('["manager"]', '["manager", "tester"]', [], [', "tester"']),
        ("alpha", "something wholly else", [], []),
    ],
)
def test_marked_words(before: str, after: str, gone: list[str], come: list[str]) -> None:
    """The words that changed are marked, in both lines."""
    old, new = compare(before, after)
    assert [before[start:end] for start, end in old] == gone
    assert [after[start:end] for start, end in new] == come


def made(*changes: str, path: str = "agent.toml", **more: Any) -> dict[str, Any]:
    """Make a file of lines, each with its sign before it."""
    found = [{"kind": line[0], "old": 1, "new": 1, "text": line[1:]} for line in changes]
    return {"path": path, "status": "changed", "old_mode": "100644", "new_mode": "100644", "lines": found, **more}


def test_a_file() -> None:
    """Lines are counted and whole; runs of removed lines are compared with what stands in their place."""
    shown = file_of(made(" a = 1", "-b = 2", "-c = 3", "+b = 4", "+c = 5", " d = 6"))
    assert (shown.added, shown.removed) == (2, 2)
    texts = ["".join(piece.text for piece in line.pieces) for line in shown.lines]
    assert texts == ["a = 1", "b = 2", "c = 3", "b = 4", "c = 5", "d = 6"]
    marked = ["".join(piece.text for piece in line.pieces if piece.changed) for line in shown.lines]
    assert marked == ["", "2", "3", "4", "5", ""]


def test_modes_are_said() -> None:
    """That a file comes, goes, or becomes executable is said in words."""
    assert file_of(made("+x", status="added")).what == "new file"
    assert file_of(made("-x", status="removed")).what == "removed"
    assert file_of(made(" x", new_mode="100755")).what == "mode 100644 to 100755"


def test_hostile_lines_cost_little() -> None:
    """A change as large as may be shown, of whatever is worst for a pattern, is ready in a moment."""
    worst = ['"' * 2_000, "\\" * 2_000, "a" * 2_000 + "=", " " * 2_000, "1" * 2_000, "[" * 2_000]
    begun = time.process_time()
    file_of(made(*(sign + line for line in worst * 10 for sign in "-+")))
    assert time.process_time() - begun < 20
