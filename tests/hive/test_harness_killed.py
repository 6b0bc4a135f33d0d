"""An agent that is killed in mid-turn loses no mail, and the hive does not lie about it."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import Any

import pytest

from tests.hive.live import LiveHive, live

pytestmark = pytest.mark.hive

SLOW = """
[[rule]]
who = "coder"
contains = "> carry on"
unless = "delivered before"
delay_seconds = 120
text = "never said: killed before"

[[rule]]
who = "coder"
contains = "> carry on"
step = 1
call = [{ tool = "send", input = { to = "operator", body = "carried on" } }]

[default]
text = "nothing to do"
"""


def test_mail_comes_again() -> None:
    """Killed in mid-turn and started again, it gets its mail again, marked, and the manager was told of the crash."""
    with live(SLOW) as hive:
        hive.spawn("coder")
        hive.ask("send", name="coder", body="carry on")
        hive.until("the slow turn", lambda: len(hive.facts("turn-coder", "TurnStarted")) > len(ended(hive)))
        hive.kill_agent("coder")
        (crash,) = hive.until("the crash", lambda: hive.facts("agent-coder", "ContainerCrashed"))
        assert crash["actor"] == "daemon"
        told = [row for row in hive.until("the manager's mail", lambda: crash_told(hive)) if row]
        assert told == [{"event": "container_crash", "agent": "coder"}]
        hive.ask("start", scope={"agent_names": ["coder"]})
        hive.until("the answer", lambda: hive.mail("operator"))
        hive.until("the end of the turn", lambda: ended(hive)[-1]["data"]["ok"] and not undelivered(hive))
        assert hive.mail("operator") == ["carried on"]
        (sent,) = hive.facts("inbox-coder", "MessageSent")
        handed_over = [
            fact for fact in hive.facts("inbox-coder", "MessagesHandedOver") if sent["position"] in fact["data"]["ids"]
        ]
        assert len(handed_over) == 2


def ended(hive: LiveHive) -> list[dict[str, Any]]:
    """The turns of coder that have ended."""
    return hive.facts("turn-coder", "TurnEnded")


def undelivered(hive: LiveHive) -> int:
    """How much of coder's mail waits."""
    rows = {row["name"]: row for row in hive.ask("agent_status")["agent_statuses"]}
    return int(rows["coder"]["undelivered"])


def crash_told(hive: LiveHive) -> list[dict[str, object]]:
    """What the manager read about crashes, from its own turn stream: the host's words reached the session."""
    path = hive.home / "d/agents/manager/hyperhive-events.sqlite"
    sql = "SELECT data FROM stream WHERE type = 'user' AND data LIKE '%container_crash%'"
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            rows = connection.execute(sql).fetchall()
    except sqlite3.OperationalError:  # the first words of its session are not here yet
        return []
    return [
        json.loads(line[2:])
        for (row,) in rows
        for line in json.loads(row)["message"]["content"].splitlines()
        if line.startswith('> {"event": "container_crash"')
    ]
