"""Deciding about the hive and its daemon."""

from __future__ import annotations

from hyperhive.commands.daemon import CreateHive, RecordDaemonStart, RecordDaemonStop
from hyperhive.events.envelope import DAEMON
from hyperhive.events.hive import DaemonStarted, DaemonStopped, HiveCreated
from tests.language import given


class TestHive:
    """The first fact of every log."""

    def test_created(self) -> None:
        """An empty log begins with the hive's id."""
        given().when(CreateHive(actor=DAEMON, hive="h1")).then(HiveCreated(hive="h1"))

    def test_created_once(self) -> None:
        """A log that has begun keeps its id, whatever a later start proposes."""
        given(HiveCreated(hive="h1")).when(CreateHive(actor=DAEMON, hive="h2")).then_nothing_happened()


class TestDaemon:
    """Its comings and goings."""

    def test_each_start_and_stop(self) -> None:
        """Every start is a fact, with the release that can read what follows, and every orderly stop."""
        scene = given(HiveCreated(hive="h1"))
        start = RecordDaemonStart(actor=DAEMON, release="1.2.3", runtime="process")
        scene = scene.when(start).then(DaemonStarted(release="1.2.3", runtime="process"))
        scene = scene.when(RecordDaemonStop(actor=DAEMON)).then(DaemonStopped())
        scene.when(start).then(DaemonStarted(release="1.2.3", runtime="process"))
