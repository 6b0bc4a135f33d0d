"""A tool's call and its result in a line each; names and values are an agent's, whatever they look like."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import msgspec

LINE_CHARACTERS = 300
"""Of an argument on one line."""
DIFF_LINES = 200
_HIVE = "mcp__hive__"
_EXIT = re.compile(r"Exit code (\d{1,3})(?:\n|$)")
_ERROR = re.compile(r"</?tool_use_error>")

_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "Bash": ("command",),
    "Read": ("file_path",),
    "Write": ("file_path",),
    "Edit": ("file_path",),
    "NotebookEdit": ("notebook_path",),
    "Grep": ("pattern", "path"),
    "Glob": ("pattern", "path"),
    "Task": ("description",),
    "Agent": ("description",),
    "WebFetch": ("url",),
    "WebSearch": ("query",),
}
"""What of a tool's input says most."""


@attrs.frozen(kw_only=True)
class DiffLine:
    """One line of a patch: ``add``, ``del`` or nothing, its numbers before and after, its text."""

    kind: str
    old: int | None
    new: int | None
    text: str


def name_of(name: str) -> str:
    """Return a tool's name as people read it: the hive's own go by their short ones."""
    return name.removeprefix(_HIVE)


def argument_of(name: str, given: Mapping[str, Any]) -> str:
    """Return the most telling of a call's input, on one line."""
    if name == f"{_HIVE}send":
        return _line(f"to {given.get('to', '')}: “{given.get('body', '')}”")
    wanted = _ARGUMENTS.get(name)
    values = [given.get(key) for key in wanted] if wanted else list(given.values())[:1]
    line = " ".join(_text(value) for value in values if value not in (None, ""))
    if name == "Read" and isinstance(given.get("offset"), int):
        last = given["offset"] + given["limit"] - 1 if isinstance(given.get("limit"), int) else None
        line += f", from line {given['offset']}" if last is None else f", lines {given['offset']} to {last}"
    return _line(line)


def input_text(name: str, given: Mapping[str, Any]) -> str:
    """Return a call's whole input for reading."""
    if name == "Bash" and isinstance(given.get("command"), str):
        return str(given["command"])
    return msgspec.json.format(msgspec.json.encode(given), indent=2).decode()


def result_text(content: object) -> str:
    """Return what a tool gave back; what is no text is named."""
    if isinstance(content, str):
        return _ERROR.sub("", content)
    if isinstance(content, list):
        return "\n".join(_block(block) for block in content)
    return _text(content)


def outcome(text: str, detail: object, *, failed: bool) -> str:
    """Return how a call went, in a few words."""
    if failed:
        found = _EXIT.match(text)
        return f"exit {found[1]}" if found else "failed"
    known = detail if isinstance(detail, dict) else {}
    if patch := patch_of(known):
        return " ".join(
            f"{sign}{sum(line.kind == kind for line in patch)}" for sign, kind in (("+", "add"), ("-", "del"))
        )
    file = known.get("file")
    if isinstance(file, dict) and isinstance(file.get("numLines"), int):
        return _count(file["numLines"], "line")
    if isinstance(known.get("numFiles"), int):
        return _count(known["numFiles"], "file")
    lines = text.count("\n") + 1
    return _count(lines, "line") if lines > 1 else ""


def patch_of(detail: object) -> list[DiffLine]:
    """Return the patch that an edit reports; nothing where it has none, or none of the shape that is known."""
    hunks = detail.get("structuredPatch") if isinstance(detail, dict) else None
    lines: list[DiffLine] = []
    for hunk in hunks if isinstance(hunks, list) else []:
        match hunk:
            case {"oldStart": int(old), "newStart": int(new), "lines": list(texts)}:
                lines += _hunk(old, new, texts)
    return lines


def _hunk(old: int, new: int, texts: Sequence[object]) -> list[DiffLine]:
    lines = []
    for text in texts:
        sign, rest = str(text)[:1], str(text)[1:]
        match sign:
            case "+":
                lines.append(DiffLine(kind="add", old=None, new=new, text=rest))
                new += 1
            case "-":
                lines.append(DiffLine(kind="del", old=old, new=None, text=rest))
                old += 1
            case " ":
                lines.append(DiffLine(kind="", old=old, new=new, text=rest))
                old, new = old + 1, new + 1
    return lines


def _block(block: object) -> str:
    match block:
        case {"type": "text", "text": str(text)}:
            return text
        case {"type": "image"}:
            return "[a picture]"
        case _:
            return _text(block)


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _line(text: str) -> str:
    line = " ".join(text[: LINE_CHARACTERS * 4].split())
    return line if len(line) <= LINE_CHARACTERS else f"{line[:LINE_CHARACTERS]}…"


def _count(number: int, of: str) -> str:
    return f"{number} {of}" if number == 1 else f"{number} {of}s"
