"""What changed between two moments: the difference of two states, view by view, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from hyperhive.replay.showing import State
from hyperhive.replay.telling import short

KEYS = {"agents": "name", "transients": "name", "tombstones": "name", "inbox": "id", "parked": "id", "questions": "id"}
"""What a row of a view is known by. Views that are not listed here go by ``id``, else by ``name``."""
NOT_COMPARED = ("position", "at", "crashed")
"""Two moments differ in the first two by themselves; who crashed is told with the agents."""


@attrs.frozen(kw_only=True)
class Change:
    """One row of a view that came, went or changed."""

    view: str
    key: str
    kind: str
    """``new``, ``gone`` or ``changed``."""
    fields: dict[str, tuple[Any, Any]]
    """What it was and what it is; for a row that came or went, nothing."""
    words: str


def changes(before: State, after: State) -> list[Change]:
    """Compare two states, views in their order, rows by their key."""
    found: list[Change] = []
    for view in [*before, *(name for name in after if name not in before)]:
        if view not in NOT_COMPARED and before.get(view) != after.get(view):
            found.extend(_view(view, before.get(view), after.get(view), before, after))
    return found


def _view(view: str, old: Any, new: Any, before: State, after: State) -> Iterator[Change]:
    if view == "inboxes":
        yield from _inboxes(old or {}, new or {})
        return
    if not isinstance(old or [], list) or not isinstance(new or [], list):
        yield _value(view, old, new)
        return
    olds, news = _by_key(view, old or []), _by_key(view, new or [])
    for key in [*olds, *(key for key in news if key not in olds)]:
        was, now = olds.get(key), news.get(key)
        if was == now:
            continue
        if was is not None and now is None:
            yield Change(view=view, key=key, kind="gone", fields={}, words=_gone(view, key, was))
        elif was is None and now is not None:
            yield Change(view=view, key=key, kind="new", fields={}, words=_new(view, key, now))
        elif was is not None and now is not None:
            fields = _fields(was, now)
            if view == "agents" and fields.keys() == {"undelivered"}:
                continue  # the inboxes say it
            words = _agent(key, fields, before, after) if view == "agents" else _row(view, key, fields)
            yield Change(view=view, key=key, kind="changed", fields=fields, words=words)


def _by_key(view: str, rows: list[Any]) -> dict[str, dict[str, Any]]:
    keyed = {}
    for number, row in enumerate(rows):
        if isinstance(row, Mapping):
            keyed[str(row.get(KEYS.get(view, "id"), row.get("id", row.get("name", number))))] = dict(row)
        else:
            keyed[str(row)] = {"value": row}
    return keyed


def _fields(was: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = [*was, *(name for name in now if name not in was)]
    return {name: (was.get(name), now.get(name)) for name in names if was.get(name) != now.get(name)}


def _value(view: str, old: Any, new: Any) -> Change:
    if view == "frozen":
        words = "the hive was frozen" if new else "the hive was thawed"
    else:
        words = f"{view}: {_shown(old)} → {_shown(new)}"
    return Change(view=view, key="", kind="changed", fields={"value": (old, new)}, words=words)


_Told = Callable[[str, Mapping[str, Any]], str]

_NEW: dict[str, _Told] = {
    "agents": lambda key, row: f"{key} has a container now: {_standing(row)}",
    "transients": lambda key, row: f"{key} is {row['pending']}" if row["pending"] else f"{key}: {short(row['error'])}",
    "tombstones": lambda key, _: f"{key} is a tombstone now",
    "questions": lambda key, row: f"{row['asker']} asked question {key}: “{short(row['question'])}”",
    "approvals": lambda key, row: f"{row['requester']} asked for approval {key}: {_wanted(row)}",
    "inbox": lambda key, row: f"message {key} from {row['from']} came: “{short(row['body'])}”",
    "parked": lambda key, row: f"message {key} to {row['to']} was parked",
}
_GONE: dict[str, _Told] = {
    "agents": lambda key, row: f"{key} has no container any more (it was {_standing(row)})",
    "transients": lambda key, row: f"{key} is no longer {row['pending'] or 'failed'}",
    "tombstones": lambda key, _: f"{key} is a tombstone no longer",
    "questions": lambda key, row: f"question {key} of {row['asker']} is open no longer",
    "approvals": lambda key, row: f"approval {key} ({_wanted(row)}) is done with",
    "inbox": lambda key, row: f"message {key} from {row['from']} was read",
    "parked": lambda key, row: f"message {key} to {row['to']} is parked no longer",
}


def _new(view: str, key: str, row: Mapping[str, Any]) -> str:
    words = _NEW.get(view)
    return words(key, row) if words is not None else f"{view}: {key} is new: {_summary(row)}"


def _gone(view: str, key: str, row: Mapping[str, Any]) -> str:
    words = _GONE.get(view)
    return words(key, row) if words is not None else f"{view}: {key} is gone"


def _wanted(row: Mapping[str, Any]) -> str:
    commit = f" {row['fetched_sha'][:12]}" if row.get("fetched_sha") else ""
    return f"{str(row.get('kind')).replace('_', ' ')} {row.get('agent')}{commit}"


def _standing(row: Mapping[str, Any]) -> str:
    return f"{row['pending']}…" if row.get("pending") else str(row.get("state"))


_SAID = {"state", "running", "since", "failed", "pending", "pending_at", "status", "status_text", "status_set_at"}
_HIDDEN = {"tokens", "failed_turns", "undelivered", "spent_usd", "spent_day"}
"""Too much for a line, or told with the inboxes."""


def _agent(name: str, fields: Mapping[str, tuple[Any, Any]], before: State, after: State) -> str:
    """Tell an agent's changes, the ones that people look for first."""
    told = []
    crashed = name in after.get("crashed", ()) and (name not in before.get("crashed", ()) or "since" in fields)
    if crashed:
        told.append("crashed")
    if "state" in fields and not crashed:
        told.append("{} → {}".format(*fields["state"]))
    elif "generation" in fields and not crashed:
        told.append("was made or started anew")
    if "pending" in fields:
        was, now = fields["pending"]
        told.append(f"{now}…" if now else f"{was} ended")
    if "status_text" in fields or "status" in fields:
        now = fields.get("status_text", (None, None))[1] or fields.get("status", (None, None))[1]
        if now:
            told.append(f"is {short(now)}")
    told += [_field(field, *values) for field, values in fields.items() if field not in _SAID | _HIDDEN]
    if not told:
        told = [_field(field, *values) for field, values in fields.items() if field != "tokens"]
    return f"{name}: " + ", ".join(told or ["its tokens"])


_FLAGS = {
    "quarantined": ("quarantined", "out of quarantine"),
    "paused": ("paused", "resumed"),
    "needs_login": ("needs a login", "needs no login any more"),
    "needs_update": ("needs an update", "is up to date"),
}


def _field(name: str, was: Any, now: Any) -> str:
    if name in _FLAGS and isinstance(now, bool):
        return _FLAGS[name][not now]
    match name:
        case "cost_usd":
            return f"cost ${was:.4f} → ${now:.4f}"
        case "active_model":
            return f"model {was or 'none'} → {now or 'none'}"
        case "error":
            return f"error: {short(now)}" if now else "its error is over"
    return f"{name.replace('_', ' ')} {_shown(was)} → {_shown(now)}"


def _row(view: str, key: str, fields: Mapping[str, tuple[Any, Any]]) -> str:
    told = ", ".join(_field(field, *values) for field, values in fields.items())
    return f"{_ROWS.get(view, view + ':')} {key}: {told}"


_ROWS = {
    "inbox": "message",
    "parked": "parked message",
    "questions": "question",
    "approvals": "approval",
    "tombstones": "tombstone",
}


def _inboxes(old: Mapping[str, list[Any]], new: Mapping[str, list[Any]]) -> Iterator[Change]:
    for name in sorted({*old, *new}):
        olds, news = _by_key("inbox", old.get(name, [])), _by_key("inbox", new.get(name, []))
        came = [row for key, row in news.items() if key not in olds]
        went = [key for key in olds if key not in news]
        parts = []
        if came:
            first = f": “{short(came[0]['body'])}”" if len(came) == 1 else ""
            parts.append(f"{_count(len(came))} came from {', '.join(sorted({row['from'] for row in came}))}{first}")
        if went:
            parts.append(f"{_count(len(went))} left")
        again = sum(olds[key] != row for key, row in news.items() if key in olds)
        if again:
            parts.append(f"{_count(again)} handed over, parked or put back")
        if parts:
            counted = {"waiting": (len(olds), len(news))}
            words = f"inbox of {name}: {'; '.join(parts)}"
            yield Change(view="inboxes", key=name, kind="changed", fields=counted, words=words)


def _count(number: int) -> str:
    return "1 message" if number == 1 else f"{number} messages"


def _shown(value: Any) -> str:
    return "none" if value is None else short(str(value))


def _summary(row: Mapping[str, Any]) -> str:
    return short(", ".join(f"{key} {_shown(value)}" for key, value in row.items() if value is not None))
