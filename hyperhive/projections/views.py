"""What people and programs are shown of the hive: one plain, JSON-ready shape for every surface."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Any

import attrs

from harness.wire import MANAGER, OPERATOR
from hyperhive.events.envelope import rfc3339
from hyperhive.projections.agents import Agent, State
from hyperhive.projections.approvals import Approval
from hyperhive.projections.configurations import Configuration
from hyperhive.projections.freeze import freeze_of
from hyperhive.projections.hive import Hive
from hyperhive.projections.identity import identity_of
from hyperhive.projections.messages import Message
from hyperhive.projections.questions import Question
from hyperhive.projections.sessions import Session


@attrs.frozen(kw_only=True)
class Kept:
    """What a destroyed agent keeps on disk, as it was found."""

    size_bytes: int
    whole: bool
    """Whether all of it was counted; else it is more."""
    modified_at: int | None
    """Microseconds since 1970, of the newest change in its state; None where it keeps none."""
    credentials: bool
    """Whether a login to Claude is among it."""


MAX_SHOWN_CHARACTERS = 1_000
_EPOCH_DAY = date(1970, 1, 1)


def agent_row(hive: Hive, agent: Agent) -> dict[str, Any]:
    """Show one agent as host.sock version 1 does; the flags are independent of each other."""
    session = hive.sessions.get(agent.name) or Session(agent=agent.name)
    configuration: Configuration | None = hive.configurations.get(agent.name)
    running = agent.running
    return {
        "name": agent.name,
        "running": running,
        "failed": agent.crashed or agent.error is not None,
        "needs_update": running and _is_outdated(hive, session, configuration),
        "needs_login": session.needs_login,
        "paused": agent.paused,
        "parent": None if agent.name == MANAGER else MANAGER,
        "deployed_sha": configuration.deployed[:12] if configuration and configuration.deployed else None,
        "active_model": session.model,
        "status_text": shortened(session.status_text or session.status) if running else None,
        "status_set_at": rfc3339(session.status_at) if running and session.status_at else None,
        "url": None,
        "state": agent.state.value,
        "pending": agent.pending.value if agent.pending else None,
        "pending_at": rfc3339(agent.pending_at) if agent.pending_at else None,
        "since": rfc3339(agent.since),
        "generation": agent.generation,
        "quarantined": agent.quarantined,
        "status": session.status if running else None,
        "error": shortened(agent.error or session.error),
        "turns": session.turns,
        "failed_turns": session.failed_turns,
        "cost_usd": round(session.cost_usd, 6),
        "tokens": {
            "input": session.input_tokens,
            "output": session.output_tokens,
            "cache_read": session.cache_read_tokens,
            "cache_creation": session.cache_creation_tokens,
        },
        "undelivered": len(hive.messages.group(agent.name)),
        "failed_servers": list(session.failed_servers) if running else [],
        "refused_sends": session.refused_sends,
        "spent_usd": round(session.spent_usd, 6),
        "spent_day": _EPOCH_DAY.fromordinal(_EPOCH_DAY.toordinal() + session.spent_day).isoformat(),
        "usd_per_day": configuration.settings.usd_per_day if configuration else None,
        "model": session.chosen_model,
        "runtime": agent.runtime,
        "blocked_hosts": list(blocked.hosts) if (blocked := hive.egress.get(agent.name)) else [],
    }


def _is_outdated(hive: Hive, session: Session, configuration: Configuration | None) -> bool:
    """Whether what is applied, or the daemon's release, is not what the container was made from."""
    release = identity_of(hive.identity).release if hive.identity else None
    harness = session.version
    return (configuration is not None and configuration.commit != configuration.deployed) or (
        release is not None and harness is not None and session.run is not None and harness != release
    )


def shortened(text: str | None) -> str | None:
    """Show a text's beginning in a row of a list, and that there is more of it; the log has it whole."""
    if text is None or len(text) <= MAX_SHOWN_CHARACTERS:
        return text
    return f"{text[:MAX_SHOWN_CHARACTERS]}… ({len(text)} characters)"


def message_row(row: Message) -> dict[str, Any]:
    """Show one message with everything that the operator may see of it."""
    return {
        "id": row.id,
        "to": row.to,
        "from": row.sender,
        "at": rfc3339(row.at),
        "body": row.body,
        "deliveries": row.deliveries,
        **{
            name: rfc3339(at) if (at := getattr(row, name)) else None
            for name in ("delivered_at", "parked_at", "discarded_at")
        },
    }


def question_row(row: Question) -> dict[str, Any]:
    """Show one question."""
    return {
        "id": row.id,
        "asker": row.asker,
        "question": row.question,
        "options": list(row.options),
        "multi": row.multi,
        "asked_at": rfc3339(row.asked_at),
        "deadline_at": rfc3339(row.deadline_at) if row.deadline_at is not None else None,
        "status": row.status.value,
        "answer": row.answer,
        "resolved_at": rfc3339(row.resolved_at) if row.resolved_at is not None else None,
        "resolved_by": row.resolved_by,
    }


def approval_row(row: Approval) -> dict[str, Any]:
    """Show one approval as host.sock version 1 does; what stands after ``description`` came later."""
    return {
        "id": row.id,
        "agent": row.agent,
        "kind": row.kind.value,
        "commit_ref": row.commit,
        "fetched_sha": row.commit,
        "requested_at": rfc3339(row.requested_at),
        "status": row.status.value,
        "resolved_at": rfc3339(row.resolved_at) if row.resolved_at is not None else None,
        "note": row.error or row.operator_note or None,
        "description": row.note,
        "requester": row.requester,
        "base": row.base,
        "blocked": row.blocked,
        "work": row.work.value,
        "resolved_by": row.resolved_by,
        "superseded_by": row.superseded_by,
    }


def agent_rows(hive: Hive, *, coming: bool = False) -> list[dict[str, Any]]:
    """Show every agent that has a container, with ``coming`` also those of `transients`; the manager first."""
    shown = [row for row in hive.agents.values() if _has_container(row) or (coming and _is_transient(row))]
    return [agent_row(hive, row) for row in sorted(shown, key=lambda row: (row.name != MANAGER, row.name))]


def transients(hive: Hive) -> list[dict[str, Any]]:
    """Show what is done, or could not be done, to agents that have no container (yet)."""
    return [
        {
            "name": row.name,
            "pending": row.pending.value if row.pending else None,
            "pending_at": rfc3339(row.pending_at) if row.pending_at else None,
            "failed": row.error is not None,
            "error": row.error,
        }
        for row in sorted(hive.agents.values(), key=lambda row: row.name)
        if _is_transient(row)
    ]


WITH_CONTAINER = (State.RUNNING, State.STOPPED)


def _has_container(row: Agent) -> bool:
    return row.state in WITH_CONTAINER


def _is_transient(row: Agent) -> bool:
    return not _has_container(row) and (row.pending is not None or row.error is not None)


def tombstones(hive: Hive) -> list[Agent]:
    """Return the destroyed agents that nobody revives or purges right now."""
    stones = [row for row in hive.agents.values() if row.state is State.DESTROYED and row.pending is None]
    return sorted(stones, key=lambda row: row.name)


def tombstone_rows(hive: Hive, known: Mapping[str, Kept]) -> list[dict[str, Any]]:
    """Show every tombstone with what is known to be kept of it; null is not known yet."""
    rows = []
    for agent in tombstones(hive):
        kept = known.get(agent.name)
        modified_at = kept.modified_at if kept else None
        rows.append(
            {
                "name": agent.name,
                "since": rfc3339(agent.since),
                "size_bytes": kept.size_bytes if kept else None,
                "size_whole": kept.whole if kept else None,
                "modified_at": rfc3339(modified_at) if modified_at is not None else None,
                "credentials": kept.credentials if kept else None,
                "error": agent.error,
            }
        )
    return rows


def operator_rows(hive: Hive) -> list[dict[str, Any]]:
    """Show the people who have a key of their own."""
    return [
        {"name": row.name, "role": row.role, "added_at": rfc3339(row.added_at), "added_by": row.added_by}
        for row in sorted(hive.operators.values(), key=lambda row: row.name)
    ]


def state(hive: Hive, known: Mapping[str, Kept] = MappingProxyType({})) -> dict[str, Any]:
    """Show the whole hive as it stands at one position; ``known`` is what was found on disk of tombstones."""
    open_messages = list(hive.messages.values())
    return {
        "position": hive.position,
        "frozen": freeze_of(hive.freeze).frozen,
        "agents": agent_rows(hive),
        "transients": transients(hive),
        "tombstones": tombstone_rows(hive, known),
        "questions": [question_row(row) for row in hive.questions.values()],
        "approvals": [approval_row(row) for row in hive.approvals.values()],
        "inbox": [message_row(row) for row in open_messages if row.to == OPERATOR],
        "parked": [message_row(row) for row in open_messages if row.parked_at is not None],
    }
