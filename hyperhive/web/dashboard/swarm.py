"""Rows of the swarm: an agent's flags as one glyph, one state and one sentence."""

from __future__ import annotations

import re
from typing import Any

import attrs

from harness.wire import MANAGER
from hyperhive.events import agents as facts
from hyperhive.events.envelope import Recorded, rfc3339
from hyperhive.projections.sentences import exit_of, person

ALIVE = ("thinking", "compacting", "idle")
"""States in green."""


@attrs.frozen(kw_only=True)
class Badge:
    """A mark before the words of a row."""

    glyph: str
    text: str
    tone: str = ""


@attrs.frozen(kw_only=True)
class Words:
    """What a row says: an agent's own words, or what people should know or do."""

    text: str = ""
    tone: str = ""
    command: bool = False
    """Whether it is a command to type."""


@attrs.frozen(kw_only=True)
class Shown:
    """One row as it stands on the page."""

    name: str
    manager: bool
    parent: str | None
    """Only where it is not the manager."""
    running: bool
    pending: bool
    quarantined: bool
    paused: bool
    needs_update: bool
    configured: bool
    """Whether it ever got a configuration, which it could be rolled back to."""
    glyph: str
    motion: str
    state: str
    tone: str
    since: str | None
    badges: tuple[Badge, ...]
    words: Words
    output: str | None
    """What the failed action said, whole."""
    model: str | None
    today: float
    up: str | None
    """Since when it runs."""

    @property
    def model_word(self) -> str:
        """The model as people say it, without maker and date: a column is narrow."""
        return _MODEL.sub(r"\1", self.model or "")


_MODEL = re.compile(r"^claude-([a-z0-9-]+?)(?:-20\d{6})?$")
_FAILED = {
    facts.SpawnFailed: "spawn failed",
    facts.StartFailed: "start failed",
    facts.KillFailed: "stop failed",
    facts.RestartFailed: "restart failed",
    facts.RebuildFailed: "rebuild failed",
    facts.DestroyFailed: "destroy failed",
}


@attrs.frozen(kw_only=True)
class _State:
    glyph: str
    text: str
    tone: str
    since: str | None
    motion: str = ""


def shown(
    row: dict[str, Any],
    *,
    today: float,
    asked_by: str | None = None,
    trouble: Recorded | None = None,
    configured: bool = False,
) -> Shown:
    """Show one row of the state; ``trouble`` is the newest fact that says what went wrong with it, if anything did."""
    failed = trouble if row["failed"] and row["pending"] is None else None
    state = _state(row, failed)
    return Shown(
        name=row["name"],
        manager=row["name"] == MANAGER,
        parent=row["parent"] if row["parent"] != MANAGER else None,
        running=row["running"],
        pending=row["pending"] is not None,
        quarantined=row["quarantined"],
        paused=row["paused"],
        needs_update=row["needs_update"],
        configured=configured,
        glyph=state.glyph,
        motion=state.motion,
        state=state.text,
        tone=state.tone,
        since=state.since,
        badges=_badges(row),
        words=_words(row, failed, asked_by),
        output=row["error"] if failed is not None and isinstance(failed.event, facts.Failed) else None,
        model=row["active_model"],
        today=today,
        up=row["since"] if row["running"] and row["pending"] is None else None,
    )


def _state(row: dict[str, Any], failed: Recorded | None) -> _State:
    if row["pending"] is not None:
        return _State(
            glyph="pending", text=f"{row['pending']}…", tone="mauve", since=row["pending_at"], motion="pending"
        )
    if failed is not None and (verb := _FAILED.get(type(failed.event))) is not None:
        return _State(glyph="cross", text=verb, tone="red", since=rfc3339(failed.at))
    if row["failed"] and not row["running"]:
        return _State(glyph="cross", text="crashed", tone="red", since=row["since"])
    if not row["running"]:
        return _State(glyph="stopped", text="stopped", tone="", since=row["since"])
    status = row["status"] or "idle"
    tone = "green" if status in ALIVE else ""
    since = row["status_set_at"] or row["since"]
    motion = "thinking" if status == "thinking" else ""
    return _State(glyph=status, text=status, tone=tone, since=since, motion=motion)


def _badges(row: dict[str, Any]) -> tuple[Badge, ...]:
    if row["pending"] is not None:
        return ()
    found = []
    if row["needs_login"]:
        found.append(Badge(glyph="key", text="needs login", tone="amber"))
    if row["needs_update"]:
        found.append(Badge(glyph="update", text="needs update", tone="amber"))
    if row["quarantined"]:
        found.append(Badge(glyph="quarantined", text="quarantined", tone="red"))
    if row["paused"]:
        found.append(Badge(glyph="paused", text="paused"))
    return tuple(found)


def _words(row: dict[str, Any], failed: Recorded | None, asked_by: str | None) -> Words:
    if row["pending"] is not None:
        return Words(text=f"asked by {person(asked_by).text}") if asked_by else Words()
    if failed is not None:
        return _what_failed(row, failed)
    return _what_waits(row) or _what_it_says(row)


def _what_waits(row: dict[str, Any]) -> Words | None:
    """Say what somebody should do about it."""
    if row["needs_login"]:
        return Words(text=f"hyperhive login {row['name']}", command=True)
    if row["paused"] and row["undelivered"]:
        mails = row["undelivered"]
        return Words(text="1 mail waits" if mails == 1 else f"{mails} mails wait")
    if row["failed_servers"]:
        return Words(text=f"tool servers that do not work: {', '.join(row['failed_servers'])}", tone="red")
    return None


def _what_it_says(row: dict[str, Any]) -> Words:
    if row["running"] and row["status_text"] and row["status_text"] != row["status"]:
        return Words(text=row["status_text"])
    if row["error"]:
        return Words(text=f"the last turn failed: {_first_line(row['error'])}", tone="red")
    if row["blocked_hosts"]:
        return Words(text=f"was kept from {', '.join(row['blocked_hosts'])}")
    return Words()


def _what_failed(row: dict[str, Any], failed: Recorded) -> Words:
    event = failed.event
    if isinstance(event, facts.Failed):
        stays = "it runs on: " if row["running"] else ""
        return Words(text=f"{stays}{_first_line(event.error)}")
    if isinstance(event, facts.AgentQuarantined):
        return Words(text=f"{event.crashes} crashes in {event.within_seconds // 60} min, nobody but you can lift it")
    ended = exit_of(event.exit_status) if isinstance(event, facts.ContainerCrashed) else ""
    return Words(text=ended)


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), text.strip())
