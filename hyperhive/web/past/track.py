"""The compact track: what stands out in a stretch of time, placed on so many pixels."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from itertools import pairwise

import attrs

from hyperhive.replay.past import Event

APART = 9
"""Pixels between two marks; what is closer becomes one with a number."""
CRASHES = ("ContainerCrashed",)
APPROVALS = ("ApprovalRequested", "ApprovalGranted", "ApprovalDenied", "ApprovalSuperseded")
QUESTIONS = ("QuestionAsked", "QuestionAnswered", "QuestionExpired", "QuestionCancelled")
STANDING_OUT = (*CRASHES, *APPROVALS, *QUESTIONS)


class Lane(enum.StrEnum):
    """A row of the track."""

    CRASHES = "crashes"
    APPROVALS = "approvals"
    QUESTIONS = "questions"


class Look(enum.StrEnum):
    """How a mark is drawn."""

    CRASH = "crash"
    APPROVED = "approved"
    DENIED = "denied"
    ASKED = "asked"
    """An approval that waits still."""
    QUESTION = "question"
    MANY = "many"
    """Several of different looks."""


_DECIDED = {"ApprovalGranted": Look.APPROVED, "ApprovalDenied": Look.DENIED, "ApprovalSuperseded": Look.DENIED}


@attrs.frozen(kw_only=True)
class Window:
    """A stretch of time, in microseconds since 1970, on so many pixels."""

    begin: int
    end: int
    width: int

    def x(self, at: int) -> float:
        """Return where a moment is, inside of the track."""
        span = max(1, self.end - self.begin)
        return round(min(max((at - self.begin) / span, 0.0), 1.0) * self.width, 1)


@attrs.frozen(kw_only=True)
class Mark:
    """One mark, or several that are too close to tell apart."""

    lane: Lane
    look: Look
    x: float
    position: int
    """Of the first of them."""
    last: int
    count: int = 1
    words: str


@attrs.frozen(kw_only=True)
class Wait:
    """A line from what was asked to how it ended: how long it waited."""

    lane: Lane
    begin: float
    end: float


@attrs.frozen(kw_only=True)
class Drawn:
    """What the lanes hold."""

    marks: tuple[Mark, ...]
    waits: tuple[Wait, ...]


def window(*, span: int | None, at: int, first: int, now: int, width: int) -> Window:
    """Choose the stretch that is shown: the newest one where the moment is in it, else one around the moment."""
    if span is None or now - first <= span:
        return Window(begin=first, end=max(now, first + 1), width=width)
    if at >= now - span:
        return Window(begin=now - span, end=now, width=width)
    begin = max(first, at - span // 2)
    return Window(begin=begin, end=begin + span, width=width)


def drawn(events: Iterable[Event], shown: Window) -> Drawn:
    """Place events (oldest first) on the lanes."""
    marks: list[Mark] = []
    waits: list[Wait] = []
    open_: dict[tuple[Lane, int], Event] = {}
    for event in events:
        if event.type in CRASHES:
            marks.append(_mark(event, Lane.CRASHES, Look.CRASH, shown))
            continue
        lane = Lane.APPROVALS if event.type in APPROVALS else Lane.QUESTIONS
        key = lane, int(event.data["id"])
        if event.type in ("ApprovalRequested", "QuestionAsked"):
            open_[key] = event
            if lane is Lane.QUESTIONS:
                marks.append(_mark(event, lane, Look.QUESTION, shown))
            continue
        asked = open_.pop(key, None)
        waits.append(Wait(lane=lane, begin=shown.x(asked.at) if asked else 0.0, end=shown.x(event.at)))
        if lane is Lane.APPROVALS:
            marks.append(_mark(event, lane, _DECIDED[event.type], shown))
    for (lane, _), event in open_.items():
        waits.append(Wait(lane=lane, begin=shown.x(event.at), end=float(shown.width)))
        if lane is Lane.APPROVALS:
            marks.append(_mark(event, lane, Look.ASKED, shown))
    return Drawn(marks=tuple(merged(marks)), waits=tuple(waits))


def merged(marks: Iterable[Mark]) -> list[Mark]:
    """Make one of marks in a lane that are closer than `APART`; they stand where their middle is."""
    found: list[Mark] = []
    for lane in Lane:
        group: list[Mark] = []
        for mark in sorted((each for each in marks if each.lane is lane), key=lambda each: (each.x, each.position)):
            if group and mark.x - group[-1].x >= APART:
                found.append(_one(group))
                group = []
            group.append(mark)
        if group:
            found.append(_one(group))
    return found


def counts(positions: Sequence[int]) -> list[int]:
    """Return how many events are between each two edges."""
    return [max(0, after - before) for before, after in pairwise(positions)]


def _mark(event: Event, lane: Lane, look: Look, shown: Window) -> Mark:
    at = event.position
    return Mark(lane=lane, look=look, x=shown.x(event.at), position=at, last=at, words=event.words)


def _one(group: list[Mark]) -> Mark:
    if len(group) == 1:
        return group[0]
    positions = [mark.position for mark in group]
    looks = {mark.look for mark in group}
    return Mark(
        lane=group[0].lane,
        look=looks.pop() if len(looks) == 1 else Look.MANY,
        x=round((group[0].x + group[-1].x) / 2, 1),
        position=min(positions),
        last=max(positions),
        count=len(group),
        words=f"{len(group)} {group[0].lane.value}, {min(positions)} to {max(positions)}",
    )
