"""Proving that the present follows from the past: the log folded anew, compared with every table."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from hyperhive.commands.agents import DestroyAgent, KillAgent, ReportOutcome
from hyperhive.commands.daemon import CreateHive, FreezeHive
from hyperhive.commands.messages import AcknowledgeMail, SendMessage, TakeMail
from hyperhive.commands.questions import AskQuestion
from hyperhive.commands.reports import ReportFact, ReportTurnStarted
from hyperhive.events import turns
from hyperhive.events.envelope import DAEMON, MANAGER, OPERATOR, actor_of_agent
from hyperhive.events.log import LogDamaged
from hyperhive.projections.database import WrongRevision
from hyperhive.projections.hive import PROJECTIONS
from hyperhive.replay.source import Unreplayable
from hyperhive.replay.store import beside, digest_of
from hyperhive.replay.verify import Checked, Disagreement, report, verify, verify_checkpoints
from tests.commands.desk import Desk
from tests.events import tampering
from tests.events.tampering import tamper as change

CODER = actor_of_agent("coder")


def lived(path: Path) -> Desk:
    """Let a hive have a life in which every table gets rows, some of them closed."""
    desk = Desk(path)

    async def story() -> None:
        await desk.dispatcher.dispatch(CreateHive(actor=DAEMON, hive="test"))
        await desk.spawn("manager", "coder", "gone", "purged")
        for name, purge in (("gone", False), ("purged", True)):
            (asked,) = await desk.dispatcher.dispatch(DestroyAgent(actor=OPERATOR, agent=name, purge=purge))
            await desk.dispatcher.dispatch(ReportOutcome(actor=DAEMON, agent=name, intent=asked.position))
        await desk.dispatcher.dispatch(SendMessage(actor=OPERATOR, to="coder", body="hello"))
        (taken,) = await desk.dispatcher.dispatch(TakeMail(actor=CODER, to="coder"))
        await desk.dispatcher.dispatch(ReportTurnStarted(actor=CODER, agent="coder", ids=taken.event.ids))
        await desk.dispatcher.dispatch(SendMessage(actor=CODER, to="manager", body="done"))
        await desk.dispatcher.dispatch(AcknowledgeMail(actor=CODER, to="coder", ids=taken.event.ids))
        model = turns.ModelChanged(agent="coder", model="opus")
        await desk.dispatcher.dispatch(ReportFact(actor=CODER, agent="coder", fact=model))
        await desk.dispatcher.dispatch(AskQuestion(actor=MANAGER, question="which?", options=("a", "b")))
        await desk.dispatcher.dispatch(KillAgent(actor=OPERATOR, agent="coder"))
        await desk.dispatcher.dispatch(FreezeHive(actor=OPERATOR))

    asyncio.run(story())
    return desk


def rows(path: Path) -> dict[str, int]:
    """Count the rows of each table."""
    with sqlite3.connect(path) as connection:
        return {p.name: connection.execute(f"SELECT count(*) FROM {p.name}").fetchone()[0] for p in PROJECTIONS}  # noqa: S608 - ours


def tamper(path: Path, statement: str) -> int:
    """Change a file by hand; returns how many rows."""
    with sqlite3.connect(path) as connection:
        return connection.execute(statement).rowcount


class TestAgreement:
    """Fold and tables that agree."""

    def test_agrees(self, hive_db: Path) -> None:
        """What a hive's life has left in the tables is what its log folds to; every row was compared."""
        desk = lived(hive_db)
        desk.log.close()
        found = verify(hive_db)
        assert found.position == desk.hive.position
        assert found.rows == rows(hive_db)
        assert {name for name, count in found.rows.items() if count} >= {"agents", "messages", "sessions", "questions"}

    def test_empty(self, hive_db: Path) -> None:
        """A hive in which nothing has happened agrees, too."""
        Desk(hive_db).log.close()
        assert verify(hive_db).position == 0

    def test_while_a_daemon_writes(self, hive_db: Path) -> None:
        """With a daemon at work on the file it compares one moment of it, writes nothing, and holds nobody up."""
        desk = lived(hive_db)

        async def story() -> list[int]:
            positions = []
            for number in range(5):
                checking = asyncio.create_task(asyncio.to_thread(verify, hive_db))
                while not checking.done():
                    await desk.dispatcher.dispatch(SendMessage(actor=OPERATOR, to="operator", body=str(number)))
                positions.append(checking.result().position)
            return positions

        positions = asyncio.run(story())
        assert positions == sorted(positions)
        assert positions[-1] <= desk.hive.position
        assert desk.failures == []

    def test_writes_nothing(self, hive_db: Path) -> None:
        """The file is as it was, to the byte."""
        lived(hive_db).log.close()
        before = hive_db.read_bytes()
        verify(hive_db)
        assert hive_db.read_bytes() == before


class TestDisagreement:
    """Tables that say something else than the log."""

    @pytest.mark.parametrize("table", [projection.name for projection in PROJECTIONS])
    @pytest.mark.parametrize("what", ["changed", "missing", "added"])
    def test_any_row(self, hive_db: Path, table: str, what: str) -> None:
        """A row that was changed, removed or added by hand is named, with its table, in whichever table it is."""
        lived(hive_db).log.close()
        if not rows(hive_db)[table]:
            pytest.skip(f"nothing in a hive's life of this test has a row in {table}")
        projection = next(each for each in PROJECTIONS if each.name == table)
        key = f'"{projection.key[-1]}"'
        if what == "changed":
            changed = next(name for name in projection.fields if name not in projection.key)
            statement = f"UPDATE {table} SET \"{changed}\" = 'x' WHERE rowid = (SELECT max(rowid) FROM {table})"  # noqa: S608
        elif what == "missing":
            statement = f"DELETE FROM {table} WHERE rowid = (SELECT max(rowid) FROM {table})"  # noqa: S608
        else:
            columns = [*projection.fields, "is_open"]
            listed = ", ".join(f'"{name}"' for name in columns)
            copied = ", ".join(f"{key} || 99" if f'"{name}"' == key else f'"{name}"' for name in columns)
            statement = f"INSERT INTO {table} ({listed}) SELECT {copied} FROM {table} LIMIT 1"  # noqa: S608
        assert tamper(hive_db, statement) == 1
        with pytest.raises(Disagreement, match=rf"^{table}, row \["):
            verify(hive_db)

    def test_is_open(self, hive_db: Path) -> None:
        """Also whether a row counts as open is compared: a start reads the open ones alone."""
        lived(hive_db).log.close()
        assert tamper(hive_db, "UPDATE messages SET is_open = NOT is_open WHERE id = (SELECT min(id) FROM messages)")
        with pytest.raises(Disagreement, match=r"^messages, row "):
            verify(hive_db)

    def test_stale(self, hive_db: Path) -> None:
        """Tables that stand before the log's end are told with both positions."""
        desk = lived(hive_db)
        desk.log.close()
        head = desk.hive.position
        tamper(hive_db, f"UPDATE projections SET position = {head - 1} WHERE name = 'messages'")  # noqa: S608
        with pytest.raises(Disagreement, match=f"messages stands at {head - 1}, the log at {head}"):
            verify(hive_db)

    def test_older_fold(self, hive_db: Path) -> None:
        """Tables that another revision of a fold made are told with it."""
        lived(hive_db).log.close()
        tamper(hive_db, "UPDATE projections SET revision = 99 WHERE name = 'agents'")
        with pytest.raises(Disagreement, match="agents was folded by revision 99 of its fold"):
            verify(hive_db)

    def test_other_release(self, hive_db: Path) -> None:
        """A file of another revision, and one that is no hive's, are told as what they are."""
        tamper(hive_db, "UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(WrongRevision, match="at revision 9999, and this release folds"):
            verify(hive_db)
        hive_db.write_text("hello, I am a diary\n" * 100)
        with pytest.raises(WrongRevision, match="is not a hive's database"):
            verify(hive_db)

    def test_fact_that_cannot_be_read(self, hive_db: Path) -> None:
        """A fact that no release can read is named by its position."""
        lived(hive_db).log.close()
        tampering.tamper(hive_db, "UPDATE events SET type = 'OfTomorrow' WHERE position = 3")
        with pytest.raises(LogDamaged, match=r"position 3 has an event of the type OfTomorrow"):
            verify(hive_db)


class TestCheckpoints:
    """The fold against what was kept of it."""

    @pytest.fixture
    def kept(self, hive_db: Path) -> Path:
        """Let a hive live and keep its checkpoints."""
        from tests.replay.stories import opened

        lived(hive_db).log.close()
        with opened(hive_db) as past:
            past.keep(past.head)
        return hive_db

    def test_agree(self, kept: Path) -> None:
        """All of them are compared, and the report has the latest; where there are none, that is no difference."""
        with sqlite3.connect(beside(kept)) as connection:
            (count, latest) = connection.execute("SELECT count(*), max(position) FROM blocks").fetchone()
        assert verify_checkpoints(kept) == Checked(count=count, position=latest)
        assert report(kept).ok
        beside(kept).unlink()
        assert verify_checkpoints(kept) == Checked(count=0, position=0)
        assert not beside(kept).exists()

    def test_another_state(self, kept: Path) -> None:
        """One that is whole and holds another state is found; so is one that is not whole."""
        with sqlite3.connect(beside(kept)) as connection:
            rows = connection.execute("SELECT position, hash, state FROM blocks ORDER BY position").fetchall()
            (position, hash_, _), (_, _, state) = rows[-1], rows[-2]
            values = (state, digest_of(position, hash_, state), position)
            connection.execute("UPDATE blocks SET state = ?, digest = ? WHERE position = ?", values)
        with pytest.raises(Disagreement, match=f"the checkpoint at {position}: its .* are not what the log folds to"):
            verify_checkpoints(kept)
        with sqlite3.connect(beside(kept)) as connection:
            connection.execute("UPDATE blocks SET digest = x'00'")
        with pytest.raises(Disagreement, match="is not what was written"):
            verify_checkpoints(kept)
        assert not report(kept).ok

    def test_broken_log(self, kept: Path) -> None:
        """A log that cannot be folded so far is named with the position."""
        change(kept, "UPDATE events SET actor = 'nobody' WHERE position = 4")
        with pytest.raises(Unreplayable, match="at position 4: its hash"):
            verify_checkpoints(kept)

    def test_rubbish(self, kept: Path) -> None:
        """A file that is none of checkpoints is a difference, too, and is left alone."""
        beside(kept).write_bytes(b"dear diary " * 500)
        assert isinstance(report(kept).checkpoints, Disagreement)
        assert beside(kept).read_bytes().startswith(b"dear diary")
