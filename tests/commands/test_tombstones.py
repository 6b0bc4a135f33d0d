"""Deciding about what destroyed agents kept: to make it an agent again, or to wipe it."""

from __future__ import annotations

import pytest

from hyperhive.commands.agents import Action, PurgeTombstone, ReviveAgent, SpawnAgent
from hyperhive.commands.errors import Conflict, NotFound
from hyperhive.events.agents import (
    AgentPaused,
    AgentQuarantined,
    DestroyFailed,
    DestroyRequested,
    DestroySucceeded,
    KillRequested,
    KillSucceeded,
    QuarantineLifted,
    SpawnFailed,
    SpawnRequested,
)
from hyperhive.events.envelope import OPERATOR, Fact
from hyperhive.projections import views
from hyperhive.projections.agents import State
from tests.language import given, running

RUNNING = running("coder")
STOPPED = (*RUNNING, KillRequested(agent="coder"), KillSucceeded(agent="coder"))
DESTROYED = (*RUNNING, DestroyRequested(agent="coder"), DestroySucceeded(agent="coder"))
NEVER_MADE = (SpawnRequested(agent="coder"), SpawnFailed(agent="coder", error="no bwrap"))
REVIVE = ReviveAgent(actor=OPERATOR, agent="coder")
PURGE = PurgeTombstone(actor=OPERATOR, agent="coder")
BOTH = pytest.mark.parametrize("command", [REVIVE, PURGE], ids=["revive", "purge"])


class TestBoth:
    """What holds for both."""

    @BOTH
    @pytest.mark.parametrize("before", [RUNNING, STOPPED], ids=["running", "stopped"])
    def test_one_that_lives(self, command: Action, before: tuple[Fact, ...]) -> None:
        """An agent that has a container, running or not, is refused."""
        given(*before).when(command).then_refused(Conflict, match="coder lives; destroy it first")

    @BOTH
    @pytest.mark.parametrize("name", ["nobody", "..", "-x", "x\ny", "x" * 61, ""])
    def test_unknown_name(self, command: Action, name: str) -> None:
        """A name that the hive does not know is not found, whatever it looks like."""
        other = type(command)(actor=OPERATOR, agent=name)
        given(*DESTROYED).when(other).then_refused(NotFound, match="no tombstone of")

    @BOTH
    def test_second_click(self, command: Action) -> None:
        """Asked for twice it is one intent."""
        scene = given(*DESTROYED)
        scene.given(*scene.when(command)._facts).when(command).then_nothing_happened()

    def test_each_waits_for_the_other(self) -> None:
        """A tombstone that is being revived is not purged, and the other way round."""
        given(*DESTROYED, SpawnRequested(agent="coder")).when(PURGE).then_refused(Conflict, match="is spawning")
        purging = DestroyRequested(agent="coder", purge=True)
        given(*DESTROYED, purging).when(REVIVE).then_refused(Conflict, match="is destroying")


class TestRevive:
    """Making it an agent again."""

    def test_is_a_spawn(self) -> None:
        """It is the operator's spawn of the kept name, at once."""
        given(*DESTROYED).when(REVIVE).then(SpawnRequested(agent="coder"))

    def test_makes_no_new_agent(self) -> None:
        """A name that was never made is not made by it: that may be a slip."""
        given(*NEVER_MADE).when(REVIVE).then_refused(NotFound, match="never made, so there is nothing to revive; spawn")

    @pytest.mark.parametrize("kind", [ReviveAgent, SpawnAgent])
    def test_lifts_a_quarantine(self, kind: type[Action]) -> None:
        """Who was quarantined in its former life may start in the next one, since the operator wants it."""
        before = (*RUNNING, AgentQuarantined(agent="coder", crashes=5, within_seconds=600))
        dead = given(*before, DestroyRequested(agent="coder"), DestroySucceeded(agent="coder"))
        dead.when(kind(actor=OPERATOR, agent="coder")).then(
            QuarantineLifted(agent="coder"), SpawnRequested(agent="coder")
        )

    def test_stays_paused(self) -> None:
        """Who was paused comes back paused."""
        dead = given(*RUNNING, AgentPaused(agent="coder"), *DESTROYED[-2:])
        assert dead.when(REVIVE).then(SpawnRequested(agent="coder")).hive.agents["coder"].paused


class TestPurge:
    """Wiping it."""

    def test_is_a_destroy_with_purge(self) -> None:
        """It is the same intent as that of a live agent's end, and leaves no row."""
        asked = given(*DESTROYED).when(PURGE).then(DestroyRequested(agent="coder", purge=True))
        assert asked.hive.agents["coder"].purge
        assert "coder" not in asked.given(DestroySucceeded(agent="coder", purge=True)).hive.agents

    def test_of_what_was_never_made(self) -> None:
        """A spawn that failed leaves a name that can be got rid of."""
        given(*NEVER_MADE).when(PURGE).then(DestroyRequested(agent="coder", purge=True))

    def test_failure_leaves_the_tombstone(self) -> None:
        """A purge that failed can be asked for again, and its reason is shown."""
        failed = given(*DESTROYED, DestroyRequested(agent="coder", purge=True)).given(
            DestroyFailed(agent="coder", error="something is mounted there")
        )
        assert failed.hive.agents["coder"].state is State.DESTROYED
        (row,) = views.tombstone_rows(failed.hive, {})
        assert row["error"] == "something is mounted there"
        failed.when(PURGE).then(DestroyRequested(agent="coder", purge=True))


class TestViews:
    """What is shown of agents without a container."""

    def test_separate_from_the_rows(self) -> None:
        """A spawning agent is a transient and no row; one that has a container is the other way round."""
        hive = given(SpawnRequested(agent="coder"), *running("anna")).hive
        assert [row["name"] for row in views.agent_rows(hive)] == ["anna"]
        (row,) = views.transients(hive)
        assert (row["name"], row["pending"], row["failed"], row["error"]) == ("coder", "spawning", False, None)

    def test_failed_spawn(self) -> None:
        """What could not be made is shown with the reason."""
        (row,) = views.transients(given(*NEVER_MADE).hive)
        assert (row["name"], row["pending"], row["failed"], row["error"]) == ("coder", None, True, "no bwrap")

    def test_tombstone(self) -> None:
        """A tombstone is null in all that is not known yet, and leaves the list while it is purged or revived."""
        dead = given(*DESTROYED)
        (row,) = views.tombstone_rows(dead.hive, {})
        unknown = dict.fromkeys(["size_bytes", "size_whole", "modified_at", "credentials", "error"])
        assert row == {"name": "coder", "since": "2026-01-01T00:00:00.000000Z", **unknown}
        assert views.transients(dead.hive) == []
        for command in (REVIVE, PURGE):
            under_way = dead.given(*dead.when(command)._facts).hive
            assert views.tombstone_rows(under_way, {}) == []
            assert [row["name"] for row in views.transients(under_way)] == ["coder"]
