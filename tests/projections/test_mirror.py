"""The tables are what the facts fold to: live, at a start, and folded anew."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import select

from hyperhive.commands.daemon import CreateHive
from hyperhive.commands.decide import DECIDERS
from hyperhive.commands.messages import AcknowledgeMail, SendMessage, TakeMail
from hyperhive.events import chain, codec
from hyperhive.events.agents import SpawnRequested
from hyperhive.events.envelope import DAEMON, OPERATOR, actor_of_agent
from hyperhive.events.log import LogDamaged, LogFull, connect, read, read_only
from hyperhive.projections import mirror
from hyperhive.projections.agents import AGENTS
from hyperhive.projections.hive import PROJECTIONS, Hive
from hyperhive.projections.messages import MESSAGES
from tests.commands.desk import Desk, run
from tests.projections.histories import MAKERS, NAMES, OFTEN, Step, batches, happen


@pytest.fixture
def desk(hive_db: Path) -> Desk:
    """Return a dispatcher of an empty hive."""
    return Desk(hive_db)


def tables(connection: sqlite3.Connection) -> dict[str, Any]:
    """Return every row of every projection's table, the closed ones, too."""
    return {
        table.name: connection.execute(str(select(table).order_by(*table.primary_key.columns))).fetchall()
        for table in mirror.metadata.tables.values()
    }


def check_folds(hive: Hive, facts: list[Any]) -> None:
    """Fold facts one by one; expect that each fold gives the same changes twice and changes nothing itself."""
    for fact in facts:
        for projection in PROJECTIONS:
            fold = projection.folds.get(type(fact.event))
            if fold is not None:
                rows = hive.rows[projection.name]
                before = dict(rows)
                assert list(fold(rows, fact)) == list(fold(rows, fact))
                assert rows == before
        hive.fold(fact)


def check(desk: Desk) -> None:
    """Expect one and the same hive, by whichever way one gets to it."""
    facts = list(read(desk.log.connection))
    folded = Hive()
    check_folds(folded, facts)
    loaded = desk.loaded()
    for hive in (folded, loaded):
        assert hive.position == desk.hive.position == len(facts)
        assert hive.rows == desk.hive.rows
        for name in (*NAMES, "operator"):
            assert list(hive.messages.group(name)) == list(desk.hive.messages.group(name)), "another order of mail"
    written = tables(desk.log.connection)
    mirror.rebuild(desk.log.connection)
    assert tables(desk.log.connection) == written
    assert chain.verify(desk.path).count == len(facts)


class TestOneHive:
    """Four ways, one hive."""

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(history=batches)
    def test_any_history(self, migrated: Path, tmp_path: Path, history: list[list[Step]]) -> None:
        """The live hive, the facts folded from 0, the rows that a new start loads and rebuilt tables are the same."""
        with tempfile.TemporaryDirectory(dir=tmp_path) as place:
            desk = Desk(Path(shutil.copy(migrated, place)))
            asyncio.run(happen(desk, history))
            check(desk)
            desk.log.close()

    def test_long_history(self, desk: Desk) -> None:
        """So they are after thousands of commands, in which every type of fact has occurred."""
        chance = random.Random(5)
        weighted = [*MAKERS.values(), *(MAKERS[kind] for kind in OFTEN * 3)]
        asyncio.run(happen(desk, [[Step(MAKERS[CreateHive], "coder", 0)]]))
        for _ in range(20):
            history = [
                [
                    Step(chance.choice(weighted), chance.choice(NAMES), chance.randrange(13))
                    for _ in range(chance.randint(1, 20))
                ]
                for _ in range(500)
            ]
            asyncio.run(happen(desk, history))
            if {fact.type for fact in read(desk.log.connection)} == codec.TYPES.keys():
                break
        else:
            missing = codec.TYPES.keys() - {fact.type for fact in read(desk.log.connection)}
            raise AssertionError(f"never occurred: {missing}")
        check(desk)

    def test_every_command_takes_part(self) -> None:
        """No command is left out of the histories."""
        assert MAKERS.keys() == DECIDERS.keys()

    def test_every_fact_is_known(self) -> None:
        """What is folded is a type that the log keeps, by the class itself and not by a base of it."""
        assert {event for projection in PROJECTIONS for event in projection.folds} <= set(codec.TYPES.values())


class TestStale:
    """Tables that cannot be read as they are."""

    def test_fresh_file(self, migrated: Path) -> None:
        """Tables that were never folded are stale."""
        assert mirror.stale(read_only(migrated)) == "agents was folded by revision 0 of its fold, now 2"

    def test_of_another_fold(self, desk: Desk) -> None:
        """A table of an older fold is folded anew at the next start, and then it is not stale any more."""
        run(desk.spawn("coder"))
        desk.log.connection.execute("UPDATE projections SET revision = 0 WHERE name = 'messages'")
        desk.log.connection.execute("UPDATE messages SET body = 'of the old fold'")
        assert mirror.stale(desk.log.connection) == "messages was folded by revision 0 of its fold, now 1"
        before = dict(desk.hive.messages)
        again = desk.reopened()
        assert again.hive.messages == before
        assert mirror.stale(again.log.connection) is None

    def test_behind_the_log(self, desk: Desk) -> None:
        """Tables that stand before the log's end are stale, with both positions named."""
        run(desk.spawn("coder"))
        desk.log.record(SpawnRequested(agent="x"), at=1, actor=DAEMON)
        desk.log.commit()
        assert mirror.stale(desk.log.connection) == "agents stands at 2, the log at 3"
        assert "x" in desk.reopened().hive.agents

    def test_failed_rebuild_changes_nothing(self, desk: Desk) -> None:
        """A log that cannot be folded leaves the tables as they were, and no transaction open."""
        run(desk.spawn("coder"))
        desk.log.adopt((3, "x-y", 1, "AgentPromoted", 1, "daemon", 3, None, "{}", bytes(32)))
        desk.log.commit()
        before = tables(desk.log.connection)
        with pytest.raises(LogDamaged, match="AgentPromoted"):
            mirror.rebuild(desk.log.connection)
        assert not desk.log.connection.in_transaction
        assert tables(desk.log.connection) == before

    def test_rebuild_without_room(self, desk: Desk) -> None:
        """A start that has no room to fold the log says so in the log's own words."""

        async def story() -> None:
            await desk.spawn("coder")
            for number in range(20):
                await desk.dispatcher.dispatch(SendMessage(actor=OPERATOR, to="coder", body=f"{number}" * 2_000))

        run(story())
        connection = desk.log.connection
        connection.execute("DELETE FROM messages")
        connection.execute("VACUUM")
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(LogFull, match="nothing was written; make room"):
            mirror.rebuild(connection)
        assert connection.execute("SELECT count(*) FROM messages").fetchone() == (0,)


class TestRebuild:
    """Folding a log into tables."""

    def test_into_another_file(self, desk: Desk, migrated: Path, tmp_path: Path) -> None:
        """The facts of one file can be folded into the tables of another, up to a position."""
        run(desk.spawn("coder", "reviewer"))
        other = connect(Path(shutil.copy(migrated, tmp_path / "other.sqlite")))
        hive = mirror.rebuild(other, source=desk.log.connection, until=2)
        assert list(hive.agents) == ["coder"]
        assert other.execute("SELECT name FROM agents").fetchall() == [("coder",)]
        assert other.execute("SELECT count(*) FROM events").fetchone() == (0,)
        assert "reviewer" in desk.hive.agents

    def test_large(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        """A log of many batches is folded to the same tables."""
        monkeypatch.setattr("hyperhive.projections.mirror.REBUILD_BATCH", 7)

        async def story() -> None:
            await desk.spawn("coder")
            for number in range(40):
                await desk.dispatcher.dispatch(SendMessage(actor=OPERATOR, to="coder", body=str(number)))

        run(story())
        check(desk)


class TestMemory:
    """Memory follows the hive, not its age."""

    def test_delivered_mail_leaves(self, desk: Desk) -> None:
        """What is delivered is not in memory any more, now and after a start, and still in the table."""
        coder = actor_of_agent("coder")

        async def story() -> None:
            await desk.spawn("coder")
            for number in range(30):
                await desk.dispatcher.dispatch(SendMessage(actor=OPERATOR, to="coder", body=str(number)))
            (taken,) = await desk.dispatcher.dispatch(TakeMail(actor=coder, to="coder"))
            await desk.dispatcher.dispatch(AcknowledgeMail(actor=coder, to="coder", ids=taken.event.ids))

        run(story())
        again = desk.reopened()
        assert len(desk.hive.messages.group("coder")) == len(again.hive.messages.group("coder")) == 0
        rows = list(mirror.read_rows(again.log.connection, MESSAGES, 'WHERE "to" = ?', ("coder",)))
        assert [row.body for _, row in rows][1:] == [str(number) for number in range(30)]
        assert all(row.delivered_at is not None for _, row in rows)

    def test_open_rows_have_an_index(self, desk: Desk) -> None:
        """A start reads the open rows by an index, so that it does not grow with the closed ones."""
        asked: list[str] = []
        desk.log.connection.set_trace_callback(asked.append)
        mirror.load(desk.log.connection)
        desk.log.connection.set_trace_callback(None)
        for name in mirror.TABLES:
            (sql,) = (sql for sql in asked if f"FROM {name} " in sql)
            first, *sorting = desk.log.connection.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()
            assert f"USING INDEX {name}_open" in first[-1]
            assert all("TEMP B-TREE" in step[-1] for step in sorting)

    def test_read_rows_as_written(self, desk: Desk) -> None:
        """A row read from its table equals the one in memory, types included."""
        run(desk.spawn("coder"))
        ((key, row),) = mirror.read_rows(desk.log.connection, AGENTS)
        assert (key, row) == ("coder", desk.hive.agents["coder"])
        assert [type(value) for value in AGENTS.values(row)] == [
            type(value) for value in AGENTS.values(desk.hive.agents["coder"])
        ]
