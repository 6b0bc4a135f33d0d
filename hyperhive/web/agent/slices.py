"""Pages of an agent's stream as markup: what is wanted of it, under the heads of its turns; long texts shortened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from hyperhive.events.envelope import rfc3339
from hyperhive.events.stream_reading import StreamReader
from hyperhive.events.stream_store import StreamEvent
from hyperhive.projections import views
from hyperhive.projections.countdown import countdown
from hyperhive.projections.turns import Turn
from hyperhive.web.agent import tools
from hyperhive.web.agent.entries import Entry, entries_of
from hyperhive.web.agent.prose import MAX_CHARACTERS, prose
from hyperhive.web.sections import TEMPLATES

PAGE_EVENTS = 80
"""What is read at once."""
SEARCHED_EVENTS = 5_000
"""What one search looks through; the stream keeps the newest 2,000 unless `retention` says otherwise."""
FOUND_ENTRIES = 60
PREVIEW_LINES = 6
PREVIEW_CHARACTERS = 1_500
LONG_LINES = 60
LONG_CHARACTERS = 6_000


@attrs.frozen(kw_only=True)
class Slice:
    """Some of a stream."""

    entries: list[Entry]
    first: int
    """The oldest event that was looked at; what is before it may be asked for. 0: nothing is."""
    last: int
    """The newest one."""


@attrs.frozen(kw_only=True)
class Wanted:
    """Which entries somebody wants to see."""

    kind: str = ""
    query: str = ""

    def has(self, entry: Entry) -> bool:
        """Whether it is among them."""
        is_kind = not self.kind or entry.kind == self.kind or (self.kind == "tools" and entry.shape == "result")
        return is_kind and (not self.query or self.query.casefold() in entry.plain.casefold())


def newest(reader: StreamReader, before: int | None, wanted: Wanted) -> Slice:
    """Return the newest wanted entries before an event, oldest first."""
    found: list[Entry] = []
    last, first, looked = 0, before, 0
    plain = not wanted.kind and not wanted.query
    while looked < SEARCHED_EVENTS:
        events = reader.before(first, PAGE_EVENTS)
        looked += len(events)
        last = last or (events[-1].id if events else 0)
        first = events[0].id if events else first
        found = [*_wanted(events, wanted), *found]
        if len(events) < PAGE_EVENTS:
            return Slice(entries=found, first=0, last=last)
        if plain or len(found) >= FOUND_ENTRIES:
            break
    return Slice(entries=found, first=first or 0, last=last)


def since(reader: StreamReader, after: int, wanted: Wanted) -> Slice:
    """Return what came after an event."""
    events = reader.after(after, PAGE_EVENTS)
    last = events[-1].id if events else after
    return Slice(entries=list(_wanted(events, wanted)), first=after, last=last)


def _wanted(events: Sequence[StreamEvent], wanted: Wanted) -> Iterable[Entry]:
    return (entry for event in events for entry in entries_of(event) if wanted.has(entry))


def whole_text(reader: StreamReader, entry_id: str, of: str) -> str | None:
    """Return the whole of a text that was shown shortened; None where it is not there (any more)."""
    event = reader.one(int(entry_id.partition("-")[0]))
    for entry in entries_of(event) if event is not None else ():
        if entry.id == entry_id and isinstance(entry.said.get(of), str):
            return str(entry.said[of])
    return None


def earliest(part: Slice) -> int | None:
    """Return when the first of its entries came, in microseconds since 1970."""
    return min((entry.at for entry in part.entries if entry.at), default=None)


@attrs.frozen(kw_only=True)
class Frame:
    """What a slice is shown in."""

    turns: Sequence[Turn]
    """Newest first, from the one that ran at `earliest`."""
    status: str | None
    """Of the running turn."""
    errors: int
    """In all that is kept of the stream."""
    whole: bool
    """Whether the newest turns' heads are wanted, too, whether the slice has something of them or not."""


def write_slice(part: Slice, frame: Frame) -> str:
    """Write the entries with the heads of their turns. Not for the event loop's thread: texts may be long."""
    results = {entry.said["tool"]: entry for entry in part.entries if entry.shape == "result"}
    calls = {entry.said["tool"] for entry in part.entries if entry.shape == "tool"}
    shown: dict[int, Turn] = {turn.number: turn for turn in frame.turns[:2]} if frame.whole else {}
    rows = []
    for entry in part.entries:
        if entry.shape == "result" and entry.said["tool"] in calls:
            continue
        turn = _turn_at(frame.turns, entry.at)
        if turn is not None:
            shown[turn.number] = turn
        result = results.get(entry.said["tool"]) if entry.shape == "tool" else None
        rows.append(
            {
                "entry": entry,
                "at": rfc3339(entry.at),
                "turn": turn,
                "view": _view(entry),
                "result": _view(result) if result is not None else None,
            }
        )
    heads = [{**turn_row(shown[number]), "status": frame.status} for number in sorted(shown)]
    return TEMPLATES.get_template("agent/stream.html").render(rows=rows, heads=heads, part=part, frame=frame)


def turn_row(turn: Turn) -> dict[str, Any]:
    """Show one turn: how long it took, what it used, how it ended."""
    ended = turn.ended_at
    return {
        "number": turn.number,
        "started_at": rfc3339(turn.started_at),
        "ended_at": rfc3339(ended) if ended is not None else None,
        "took": countdown((ended - turn.started_at) / 1_000_000) if ended is not None else None,
        "ok": turn.ok,
        "error": views.shortened(turn.error),
        "error_kind": turn.error_kind,
        "cost_usd": round(turn.cost_usd, 6),
        "read": turn.input_tokens + turn.cache_read_tokens + turn.cache_creation_tokens,
        "written": turn.output_tokens,
    }


def _turn_at(newest_first: Sequence[Turn], at: int) -> Turn | None:
    # The harness's times are whole milliseconds; a turn began a moment before its first message.
    return next((turn for turn in newest_first if turn.started_at <= at + 999), None)


def _view(entry: Entry) -> dict[str, Any]:
    """Return what an entry's macro shows of its texts: shortened, with what is left out counted."""
    said = entry.said
    match entry.shape:
        case "prose":
            return {"markup": prose(said["text"]), "rest": max(0, len(said["text"]) - MAX_CHARACTERS)}
        case "tool":
            return {"input": _first(said["input"])}
        case "result":
            patch = tools.patch_of(said["detail"])
            words = tools.outcome(said["text"], said["detail"], failed=said["failed"])
            return {
                "patch": patch[: tools.DIFF_LINES],
                "patch_rest": max(0, len(patch) - tools.DIFF_LINES),
                "text": _last(said["text"]),
                "words": words,
                "failed": said["failed"],
                "id": entry.id,
                "tool": said["tool"],
                "at": entry.at,
            }
        case "raw" | "kept" | "thought" | "output" | "mail" | "words":
            return {
                "text": _first(said.get("text", said.get("body", "")), lines=LONG_LINES, characters=LONG_CHARACTERS)
            }
        case _:
            return {}


def _first(text: str, *, lines: int = 2 * PREVIEW_LINES, characters: int = PREVIEW_CHARACTERS) -> dict[str, Any]:
    shown = "\n".join(text.split("\n", lines)[:lines])[:characters]
    return {"shown": shown, "whole": shown == text, "lines": text.count("\n") + 1}


def _last(text: str) -> dict[str, Any]:
    text = text.rstrip("\n")
    shown = "\n".join(text.rsplit("\n", PREVIEW_LINES)[-PREVIEW_LINES:])[-PREVIEW_CHARACTERS:]
    shown_lines, lines = shown.count("\n") + 1, text.count("\n") + 1
    return {"shown": shown, "whole": shown == text, "lines": lines, "shown_lines": shown_lines}
