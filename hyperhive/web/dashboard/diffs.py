"""Diffs for people: each line whole, in colour, with the words that changed marked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import attrs

from hyperhive.web.dashboard.highlight import Span, highlight

_WORDS = re.compile(r"\w+|\s+|.")


@attrs.frozen
class Piece:
    """A piece of a line with its colour, and whether it is what changed."""

    text: str
    kind: str
    changed: bool


@attrs.frozen(kw_only=True)
class Line:
    """A line of a diff; ``sign`` is a space, + or -, or @ where lines were left out."""

    sign: str
    old: int | None
    new: int | None
    pieces: tuple[Piece, ...]


@attrs.frozen(kw_only=True)
class File:
    """One file of a diff."""

    path: str
    old_path: str | None
    """Where it was, if it has moved."""
    what: str
    """What happened besides: a new file, a changed mode, …"""
    added: int
    removed: int
    lines: tuple[Line, ...]
    binary: bool


def file_of(given: Mapping[str, Any]) -> File:
    """Show one file, from its lines as ``{kind, old, new, text}``."""
    lines = given["lines"]
    if lines and lines[0]["kind"] == "@" and lines[0]["text"].startswith(("@@ -0,", "@@ -1,", "@@ -1 ")):
        lines = lines[1:]  # nothing was left out before the first line
    path = str(given["path"])
    moved = given.get("old_path")
    return File(
        path=path,
        old_path=moved if moved and moved != path else None,
        what=_what(given),
        added=sum(line["kind"] == "+" for line in lines),
        removed=sum(line["kind"] == "-" for line in lines),
        lines=tuple(_lines(lines, path)),
        binary=bool(given.get("binary")),
    )


def _what(given: Mapping[str, Any]) -> str:
    parts = []
    status = {"A": "new file", "D": "removed", "added": "new file", "removed": "removed"}.get(str(given.get("status")))
    if status:
        parts.append(status)
    old, new = given.get("old_mode"), given.get("new_mode")
    if old and new and old != new and not status:
        parts.append(f"mode {old} to {new}")
    elif new and not status and new not in ("100644", 0o100644) and old != new:
        parts.append(f"mode {new}")
    return ", ".join(parts)


def _lines(lines: Sequence[Mapping[str, Any]], path: str) -> Iterator[Line]:
    marks = dict(_changed_words(lines))
    for index, line in enumerate(lines):
        text = line["text"]
        pieces = _pieces(highlight(text, path), marks.get(index, ()))
        yield Line(sign=line["kind"], old=line["old"], new=line["new"], pieces=tuple(pieces))


Range = tuple[int, int]


def _changed_words(lines: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, tuple[Range, ...]]]:
    """Yield, for each line that replaces another, where it differs."""
    for removed, added in _replaced(lines):
        for old, new in zip(removed, added, strict=False):
            gone, come = compare(lines[old]["text"], lines[new]["text"])
            yield old, gone
            yield new, come


def _replaced(lines: Sequence[Mapping[str, Any]]) -> Iterator[tuple[list[int], list[int]]]:
    """Yield the runs of removed lines with the run of added lines that stands in their place."""
    removed: list[int] = []
    added: list[int] = []
    for index, line in enumerate([*lines, {"kind": " "}]):
        match line["kind"]:
            case "-" if not added:
                removed.append(index)
            case "+":
                added.append(index)
            case kind:
                if removed and added:
                    yield removed, added
                removed, added = ([index], []) if kind == "-" else ([], [])


def compare(before: str, after: str) -> tuple[tuple[Range, ...], tuple[Range, ...]]:
    """Return where two lines differ: what stands between the words with which both begin and those with which both end.

    In linear time, whatever the lines are; nothing is returned where they have too little in common to say.
    """
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    shorter = min(len(old), len(new))
    head = 0
    while head < shorter and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < shorter - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    if 3 * (head + tail) < shorter:
        return (), ()
    return _between(old, head, tail), _between(new, head, tail)


def _between(words: Sequence[str], head: int, tail: int) -> tuple[Range, ...]:
    if head + tail >= len(words):
        return ()
    start = len("".join(words[:head]))
    return ((start, start + len("".join(words[head : len(words) - tail]))),)


def _pieces(spans: Iterable[Span], ranges: Sequence[Range]) -> Iterator[Piece]:
    start = 0
    for span in spans:
        end = start + len(span.text)
        cuts = sorted({start, end, *(cut for pair in ranges for cut in pair if start < cut < end)})
        for left, right in pairwise(cuts):
            changed = any(first <= left and right <= last for first, last in ranges)
            yield Piece(span.text[left - start : right - start], span.kind, changed)
        start = end
