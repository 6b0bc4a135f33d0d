"""`hyperhive ps`: the table, its order, its JSON."""

from __future__ import annotations

import json

from tests.cli.host import ScriptedHost
from tests.cli.program import Program

ROWS = [
    {
        "name": "coder",
        "running": True,
        "failed": False,
        "pending": "restarting",
        "active_model": "opus",
        "undelivered": 2,
    },
    {"name": "alice", "running": False, "failed": True, "needs_login": True, "needs_update": True},
    {"name": "bob", "running": False, "failed": False},
    {"name": "manager", "running": True, "failed": False, "paused": True, "status_text": "reading mail"},
]


def test_table_in_a_pipe(hyperhive: Program, host: ScriptedHost) -> None:
    """In a pipe the columns are aligned with spaces, the manager first, the others by name."""
    host.answers["agent_status"] = {"agent_statuses": ROWS, "transients": [{"name": "dave"}]}
    assert hyperhive("ps").out == (
        "NAME     STATE            NEEDS          MAIL  MODEL  DEPLOYED  STATUS\n"
        "manager  running, paused                                        reading mail\n"
        "alice    failed           login, update\n"
        "bob      stopped\n"
        "coder    restarting…                     2     opus\n"
        "dave     spawning…\n"
    )


def test_table_on_a_terminal(hyperhive: Program, host: ScriptedHost) -> None:
    """On a terminal the table has a rule below its head."""
    host.answers["agent_status"] = {"agent_statuses": ROWS}
    shown = hyperhive.on_terminal("ps").out
    assert "─" in shown
    assert "running, paused" in shown


def test_markup_in_a_cell_is_text(hyperhive: Program, host: ScriptedHost) -> None:
    """Square brackets in an agent's text are no markup."""
    host.answers["agent_status"] = {"agent_statuses": [ROWS[3] | {"status_text": "[red]fire[/red]"}]}
    assert "[red]fire[/red]" in hyperhive.on_terminal("ps", environment={"NO_COLOR": "1"}).out


def test_what_keeps_an_agent_back(hyperhive: Program, host: ScriptedHost) -> None:
    """Quarantine, pause and freeze stand beside what the container does; a freeze is said once more below."""
    rows = [
        {"name": "manager", "running": True},
        {"name": "coder", "running": False, "failed": True, "quarantined": True, "paused": True},
    ]
    failed = {"name": "dave", "pending": None, "failed": True, "error": "no bwrap"}
    host.answers["agent_status"] = {"agent_statuses": rows, "transients": [failed], "frozen": True}
    ended = hyperhive("ps")
    assert [line.split(maxsplit=1) for line in ended.out.splitlines()[1:]] == [
        ["manager", "running, frozen"],
        ["coder", "failed, quarantined, paused"],
        ["dave", "failed"],
    ]
    assert ended.err == "the hive is frozen: no turn begins until hyperhive thaw\n"


def test_json_is_the_rows(hyperhive: Program, host: ScriptedHost) -> None:
    """--json prints the daemon's rows as they are."""
    host.answers["agent_status"] = {"agent_statuses": ROWS}
    assert json.loads(hyperhive("ps", "--json").out) == ROWS


def test_none_yet(hyperhive: Program, host: ScriptedHost) -> None:
    """Without agents, a hint on stderr and an empty stdout."""
    host.answers["agent_status"] = {"agent_statuses": []}
    ended = hyperhive("ps")
    assert (ended.code, ended.out, ended.err) == (0, "", "no agents yet; make one with: hyperhive spawn NAME\n")
