"""`tombstones`, `revive`, `purge`: the table, what is asked first, what reaches the daemon."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hyperhive.cli.tombstones import size
from hyperhive.cli.waiting import Done, Failed, Pending, outcome
from tests.cli.host import ScriptedHost
from tests.cli.program import Program

AT = "2026-01-01T00:00:00.000000Z"
UNKNOWN = dict.fromkeys(["size_bytes", "size_whole", "modified_at", "credentials", "error"])
ROWS = [
    {"name": "coder", "since": AT, **UNKNOWN},
    {
        "name": "old",
        "since": AT,
        "size_bytes": 5_242_880,
        "size_whole": True,
        "modified_at": AT,
        "credentials": True,
        "error": None,
    },
    {
        "name": "vast",
        "since": AT,
        "size_bytes": 3 * 2**40,
        "size_whole": False,
        "modified_at": None,
        "credentials": False,
        "error": "something is mounted there",
    },
]
RUNNING = {"name": "coder", "running": True, "failed": False, "pending": None}


def status(*rows: dict[str, Any], transients: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    """Make a reply of agent_status."""
    return {"agent_statuses": list(rows), "transients": list(transients)}


class TestList:
    """The table."""

    def test_in_a_pipe(self, hyperhive: Program, host: ScriptedHost) -> None:
        """What is not known yet is …, and what was not counted to its end is over so much."""
        host.answers["tombstones"] = {"tombstones": ROWS}
        assert hyperhive("tombstones").out == (
            "NAME   SIZE          MODIFIED             LOGIN  DESTROYED            ERROR\n"
            "coder  …             …                    …      2026-01-01 00:00:00\n"
            "old    5.0 MiB       2026-01-01 00:00:00  kept   2026-01-01 00:00:00\n"
            "vast   over 3.0 TiB                       none   2026-01-01 00:00:00  something is mounted there\n"
        )

    def test_json(self, hyperhive: Program, host: ScriptedHost) -> None:
        """--json prints the daemon's rows as they are."""
        host.answers["tombstones"] = {"tombstones": ROWS}
        assert json.loads(hyperhive("tombstones", "--json").out) == ROWS

    def test_none(self, hyperhive: Program, host: ScriptedHost) -> None:
        """Without any, a word on stderr and an empty stdout."""
        host.answers["tombstones"] = {"tombstones": []}
        ended = hyperhive("tombstones")
        assert (ended.code, ended.out, ended.err) == (0, "", "no tombstones; destroy leaves one, unless it purges\n")

    @pytest.mark.parametrize(
        ("count", "written"),
        [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (10 * 1024, "10 KiB"),
            (2**20, "1.0 MiB"),
            (2**50, "1024 TiB"),
        ],
    )
    def test_sizes(self, count: int, written: str) -> None:
        """Sizes are for people: binary units, one digit after the point where there is one before it."""
        assert size(count) == written


class TestRevive:
    """Making an agent again."""

    def test_asks_and_waits(self, hyperhive: Program, host: ScriptedHost) -> None:
        """It waits until the agent runs."""
        spawning = {"name": "coder", "pending": "spawning", "error": None}
        host.answers["revive"] = {}
        host.answers["agent_status"] = [status(transients=(spawning,)), status(RUNNING)]
        ended = hyperhive("revive", "coder")
        assert (ended.code, ended.err) == (0, "coder: spawning…\ncoder runs\n")
        assert host.asked("revive") == [{"name": "coder"}]

    def test_failure_has_its_reason(self, hyperhive: Program, host: ScriptedHost) -> None:
        """One that cannot be made is exit code 1, with the reason."""
        failed = {"name": "coder", "pending": None, "error": "state is a symlink"}
        host.answers |= {"revive": {}, "agent_status": status(transients=(failed,))}
        ended = hyperhive("revive", "coder")
        assert (ended.code, "spawn coder failed: state is a symlink" in ended.err) == (1, True)

    def test_again_after_a_failure(self) -> None:
        """What failed before does not hide that it is tried again."""
        row = {"name": "coder", "pending": "spawning", "error": "state is a symlink"}
        assert outcome("spawn", "coder", status(transients=(row,))) == Pending("spawning")


class TestPurge:
    """Wiping what is kept."""

    def test_refuses_without_a_terminal(self, hyperhive: Program, host: ScriptedHost) -> None:
        """Without a terminal nothing is wiped, and the message names --yes."""
        ended = hyperhive("purge", "coder", given=b"coder\n")
        assert (ended.code, "say --yes" in ended.err, host.requests) == (2, True, [])

    def test_wants_the_name(self, hyperhive: Program, host: ScriptedHost) -> None:
        """What has no undo is confirmed with the name, not with a y."""
        host.answers |= {"purge_tombstone": {}, "agent_status": status()}
        refused = hyperhive.on_terminal("purge", "coder", answers=[("Type coder", "y")])
        assert (refused.code, host.requests) == (1, [])
        done = hyperhive.on_terminal("purge", "coder", answers=[("Type coder", "coder")])
        assert (done.code, host.asked("purge_tombstone")) == (0, [{"name": "coder"}])

    def test_until_it_is_gone(self, hyperhive: Program, host: ScriptedHost) -> None:
        """It waits until nothing is left to show."""
        wiping = {"name": "coder", "pending": "destroying", "error": None}
        host.answers["purge_tombstone"] = {}
        host.answers["agent_status"] = [status(transients=(wiping,)), status()]
        ended = hyperhive("purge", "coder", "--yes")
        assert (ended.code, ended.err) == (0, "coder: destroying…\ncoder is wiped\n")

    def test_failure_has_its_reason(self, hyperhive: Program, host: ScriptedHost) -> None:
        """What cannot be wiped is exit code 1, with the reason; there is no log to look at."""
        failed = {"name": "coder", "pending": None, "error": "something is mounted there"}
        host.answers |= {"purge_tombstone": {}, "agent_status": status(transients=(failed,))}
        ended = hyperhive("purge", "coder", "--yes")
        assert (ended.code, ended.err) == (1, "hyperhive: purge coder failed: something is mounted there\n")

    def test_of_who_lives(self, hyperhive: Program, host: ScriptedHost) -> None:
        """An agent that has a container is a conflict, exit code 4."""
        host.answers["purge_tombstone"] = {"ok": False, "error": "coder lives; destroy it first", "code": "conflict"}
        ended = hyperhive("purge", "coder", "--yes")
        assert (ended.code, ended.err) == (4, "hyperhive: coder lives; destroy it first\n")

    def test_outcomes(self) -> None:
        """Done when nothing is shown of it; failed when an error is."""
        assert outcome("purge", "coder", status()) == Done()
        row = {"name": "coder", "pending": None, "error": "busy"}
        assert outcome("purge", "coder", status(transients=(row,))) == Failed("busy")
        assert outcome("destroy", "coder", status(transients=(row,))) == Failed("busy")
