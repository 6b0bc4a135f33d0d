"""Facts in words, one line each, for people who watch a hive at work."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from hyperhive.cli.terminal import safe

AMBER, MAUVE, GREEN, RED, QUIET = "#f0b040", "#c4a3ef", "#5bd980", "#f5847b", "#918a91"
"""Amber wants somebody, green is alive, mauve is the house, red went wrong."""

_TRANSIENTS = {
    "SpawnRequested": "spawning",
    "StartRequested": "starting",
    "KillRequested": "stopping",
    "RestartRequested": "restarting",
    "RebuildRequested": "rebuilding",
    "DestroyRequested": "destroying",
}
_OUTCOMES = {
    "SpawnSucceeded": "runs",
    "StartSucceeded": "runs",
    "KillSucceeded": "stopped",
    "RestartSucceeded": "runs again",
    "RebuildSucceeded": "runs, made anew",
    "DestroySucceeded": "destroyed",
}


def line(fact: dict[str, Any]) -> Text | None:
    """Return the fact as a line, or None for one that says nothing to a watcher."""
    told = _told(fact["type"], fact["data"])
    if told is None:
        return None
    return Text.assemble((f"{fact['position']:>5} ", QUIET), (f"{fact['at'][11:19]}  ", QUIET), told)


def _told(type_name: str, data: dict[str, Any]) -> Text | None:  # noqa: PLR0911 - one return for each kind of line
    name = data.get("agent", data.get("to", ""))
    if type_name in _TRANSIENTS:
        return Text.assemble((f"◐ {name} ", "bold"), (f"{_TRANSIENTS[type_name]}…", MAUVE))
    if type_name in _OUTCOMES:
        return Text.assemble((f"● {name} ", "bold"), (_OUTCOMES[type_name], GREEN))
    match type_name:
        case "MessageSent":
            head = Text.assemble(("✉ ", AMBER), (f"{data['sender']} → {name}", "bold"))
            return head.append("\n").append(_quoted(data["body"]))
        case "TurnStarted":
            return Text.assemble((f"● {name} ", "bold"), ("thinking", GREEN), (f" about {_mail(data['ids'])}", QUIET))
        case "TurnEnded" if data["ok"]:
            spent = f"{data['input_tokens'] + data['output_tokens']} tokens, ${data['cost_usd']:.4f}"
            return Text.assemble((f"○ {name} ", "bold"), ("done", GREEN), (f" ({spent})", QUIET))
        case "TurnEnded":
            return Text.assemble((f"✕ {name} ", "bold"), (safe(str(data["error"])), RED))
        case "ContainerCrashed":
            return Text.assemble((f"✕ {name} ", "bold"), ("crashed", RED))
        case "LoginNeeded":
            return Text.assemble((f"⚷ {name} ", "bold"), ("needs login", AMBER))
        case _ if "error" in data and type_name.endswith("Failed"):
            return Text.assemble((f"✕ {name} ", "bold"), (f"{type_name}: {safe(data['error'])}", RED))
    return None


def _mail(ids: list[int]) -> str:
    return ", ".join(f"#{id_}" for id_ in ids) or "nothing new"


def _quoted(body: str) -> Text:
    lines = safe(body, lines=True).split("\n")
    return Text("\n".join(f"{'':16}│ {line}" for line in lines))
