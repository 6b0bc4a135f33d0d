"""What stands around an agent's stream: its state, its inbox, its turns and what they cost, what waits."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
from markupsafe import Markup

from hyperhive.events.envelope import rfc3339
from hyperhive.projections import views
from hyperhive.projections.freeze import freeze_of
from hyperhive.projections.history import History
from hyperhive.projections.hive import Hive
from hyperhive.projections.turns import newest_turn
from hyperhive.web.agent.context import Context
from hyperhive.web.agent.entries import KINDS
from hyperhive.web.agent.slices import turn_row
from hyperhive.web.sections import TEMPLATES

PARTS = ("bar", "inbox", "rail", "waiting")
SHOWN_TURNS = 9
INBOX_ROWS = 50
MODELS = ("opus", "sonnet", "haiku")
"""What the chip offers besides the chosen one; any other goes by /model NAME."""
DAY = 86_400 * 1_000_000
OURS = {
    "/compact": "shorten the context now",
    "/cancel": "stop this turn, as esc esc does",
    "/clear": "begin a new session, forget this one",
    "/model": "choose the model of the next turn",
}
CLAUDES = {"/context": "what fills the context", "/cost": "what this session has cost"}
"""The rest is what `claude` says that it knows."""


@attrs.frozen(kw_only=True)
class Parts:
    """Writes the parts of one agent's page as things stand now."""

    name: str
    hive: Hive
    history: History
    model: str | None
    """What the configuration says."""
    context: Context
    base: str
    may_act: bool
    port: int | None
    house: str
    now: int = attrs.field(factory=lambda: time.time_ns() // 1_000)

    def write(self, names: Iterable[str]) -> str:
        """Write the parts of these names."""
        makers = {"bar": self._bar, "inbox": self._inbox, "rail": self._rail, "waiting": self._waiting}
        return "\n".join(self._render(name, **makers[name]()) for name in names)

    def whole(self) -> str:
        """Write the whole page, with nothing in its stream yet."""
        parts = {name: Markup(self.write([name])) for name in PARTS}  # noqa: S704 - came out of autoescape
        return self._render("page", parts=parts, commands=self._commands(), kinds=KINDS)

    def state(self) -> dict[str, Any]:
        """Return the same for programs."""
        agent = self.hive.agents[self.name]
        row = views.agent_row(self.hive, agent)
        inbox = self.hive.messages.group(self.name).values()
        return {
            **row,
            "model": row["model"] or self.model,
            "model_chosen": row["model"],
            "inbox": [views.message_row(message) for message in inbox],
            "usage": {
                "today_usd": round(self._today()["cost"], 6),
                "context_tokens": self.context.tokens,
                "context_window": self.context.window,
                "turns": [turn_row(turn) for turn in self.history.turns(self.name, SHOWN_TURNS)],
            },
        }

    def _commands(self) -> list[dict[str, str]]:
        """Return what may be said to the session, ours first."""
        claudes = [f"/{name}" for name in self.context.commands if f"/{name}" not in OURS]
        known = dict.fromkeys([*CLAUDES, *claudes])
        rows = [{"name": name, "about": about, "whose": ""} for name, about in OURS.items()]
        return rows + [{"name": name, "about": CLAUDES.get(name, ""), "whose": "claude\u2019s own"} for name in known]

    def _today(self) -> dict[str, Any]:
        midnight = self.now - self.now % DAY
        turns = [turn for turn in self.history.turns_from(self.name, midnight) if turn.started_at >= midnight]
        cached = sum(turn.cache_read_tokens for turn in turns)
        read = cached + sum(turn.input_tokens + turn.cache_creation_tokens for turn in turns)
        return {
            "turns": len(turns),
            "cost": sum(turn.cost_usd for turn in turns),
            "read": read,
            "cached_percent": round(100 * cached / read) if read else None,
            "written": sum(turn.output_tokens for turn in turns),
        }

    def _bar(self) -> dict[str, Any]:
        agent = self.hive.agents.get(self.name)
        row = views.agent_row(self.hive, agent) if agent is not None else {}
        chosen = row.get("model")
        names = dict.fromkeys([*([chosen] if chosen else []), *MODELS])
        turn = newest_turn(self.hive.turns, self.name)
        return {
            "row": row,
            "state": _state(row, frozen=freeze_of(self.hive.freeze).frozen),
            "models": list(names),
            "chosen": chosen,
            "configured": self.model,
            "runs": turn is not None and turn.ok is None,
            "context": self.context,
            "today": self._today()["cost"],
            "house": self.house,
        }

    def _inbox(self) -> dict[str, Any]:
        rows = list(self.hive.messages.group(self.name).values())
        waits = sum(row.deliveries == 0 for row in rows)
        shown = [
            {"row": row, "at": rfc3339(row.at), "state": _mail_state(row.deliveries, row.parked_at)}
            for row in rows[: -INBOX_ROWS - 1 : -1]
        ]
        return {"rows": shown, "count": len(rows), "waits": waits}

    def _rail(self) -> dict[str, Any]:
        agent = self.hive.agents.get(self.name)
        row = views.agent_row(self.hive, agent) if agent is not None else {}
        session = self.hive.sessions.get(self.name)
        return {
            "turns": [turn_row(turn) for turn in self.history.turns(self.name, SHOWN_TURNS)],
            "today": self._today(),
            "total": row.get("cost_usd", 0.0),
            "count": session.turns if session is not None else 0,
            "row": row,
            "port": self.port,
        }

    def _waiting(self) -> dict[str, Any]:
        """Say what waits for the end of the running turn."""
        turn = newest_turn(self.hive.turns, self.name)
        mail = [
            row for row in self.hive.messages.group(self.name).values() if row.deliveries == 0 and row.parked_at is None
        ]
        return {
            "runs": turn is not None and turn.ok is None,
            "mail": [{"id": row.id, "sender": row.sender, "at": rfc3339(row.at)} for row in mail[:INBOX_ROWS]],
            "commands": [
                {"id": row.id, "text": row.text, "at": rfc3339(row.at)}
                for row in self.hive.slash_commands.group(self.name).values()
            ],
        }

    def _render(self, template: str, **view: Any) -> str:
        common = {"name": self.name, "base": self.base, "may_act": self.may_act}
        return TEMPLATES.get_template(f"agent/{template}.html").render(**common, **view)


def _mail_state(deliveries: int, parked_at: int | None) -> str:
    if parked_at is not None:
        return "parked"
    return "waits" if deliveries == 0 else "in this turn"


def _state(row: Mapping[str, Any], *, frozen: bool) -> dict[str, Any]:
    """Say how the agent is: a glyph, a word, a colour, since when."""
    if not row:
        return {"glyph": "stopped", "word": "gone", "tone": "ink3", "since": None, "motion": ""}
    if row["pending"]:
        word = f"{row['pending']}…"
        return {"glyph": "pending", "word": word, "tone": "mauve", "since": row["pending_at"], "motion": "pending"}
    if not row["running"]:
        failed = row["failed"]
        tone, glyph, word = ("red", "cross", "crashed") if failed else ("ink2", "stopped", row["state"])
        return {"glyph": glyph, "word": word, "tone": tone, "since": row["since"], "motion": ""}
    status, since_ = row["status"], row["status_set_at"] or row["since"]
    if status in {"idle", "waiting"} and (frozen or row["paused"]):
        word, glyph = ("frozen", "freeze") if frozen else ("paused", "paused")
        return {"glyph": glyph, "word": word, "tone": "amber", "since": since_, "motion": ""}
    motion = "thinking" if status == "thinking" else ""
    return {"glyph": status, "word": status, "tone": "green", "since": since_, "motion": motion}
