"""The archive: facts move out of the file, and nobody who reads the log notices."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hyperhive.events import archiving, chain, segments
from hyperhive.events.anchor import head_of, hive_of
from hyperhive.events.chain import ChainBroken
from hyperhive.events.damage import LogDamaged, SegmentLost
from hyperhive.events.envelope import OPERATOR
from hyperhive.events.exchange import export
from hyperhive.events.log import Log, connect, read, read_only, release_at
from hyperhive.events.messages import MessageSent
from hyperhive.events.reading import Selection, position_before, select
from tests.events.archived import AT, FACTS, FRAME, archive, small, write

__all__ = ["small"]

COUNT = 60
SELECTIONS = [
    (Selection(stream=stream, types=types, after=after), limit)
    for stream in (None, "inbox-a1", "inbox-late", "inbox-a*", "inbox-nobody")
    for types in ((), ("MessageSent",))
    for after in (0, 30)
    for limit in (None, 4, 100)
]


def seen(path: Path) -> dict[str, Any]:
    """Return all that the log's readers say."""
    out = io.BytesIO()
    export(path, out.write, release="0")
    with contextlib.closing(read_only(path)) as connection:
        return {
            "facts": list(read(connection)),
            "middle": list(read(connection, after=9, until=41)),
            "last": list(read(connection, after=COUNT - 1)),
            "selections": [list(select(connection, selection, limit=limit)) for selection, limit in SELECTIONS],
            "times": [position_before(connection, AT + second * 1_000_000) for second in range(-1, COUNT + 3)],
            "releases": [release_at(connection, position) for position in (1, 2, 30, COUNT)],
            "export": out.getvalue(),
            "chain": chain.verify(path),
            "head": head_of(path).hash,
            "hive": hive_of(path),
        }


@pytest.fixture
def whole(hive_db: Path) -> Path:
    """Return a log without an archive."""
    write(hive_db, COUNT).close()
    return hive_db


def files(path: Path) -> list[Path]:
    """Return the segments' files."""
    return sorted((path.parent / segments.DIRECTORY).iterdir())


@pytest.mark.usefixtures("small")
class TestArchive:
    """Moving facts into segments."""

    @pytest.mark.parametrize("until", [1, 5, 12, 13, 37, 59, 60, 1_000])
    def test_nobody_notices(self, whole: Path, until: int) -> None:
        """Whatever is archived, every reader says to the byte what it said before."""
        before = seen(whole)
        assert archive(whole, until) == -(-min(until, COUNT - 1) // FACTS)
        assert seen(whole) == before
        with contextlib.closing(sqlite3.connect(whole)) as connection:
            assert connection.execute("SELECT min(position) FROM facts").fetchone() == (min(until, COUNT - 1) + 1,)

    def test_again(self, whole: Path) -> None:
        """A later archive goes on where the last one ended, and one that finds nothing does nothing."""
        before = seen(whole)
        for until in (3, 30, 30, 44):
            archive(whole, until)
        assert archiving.write(whole, 44) is None
        assert seen(whole) == before

    def test_empty(self, hive_db: Path) -> None:
        """Of a log with one fact or none, nothing is archived: the newest always stays."""
        assert archive(hive_db, 100) == 0
        write(hive_db, 2).close()
        assert archive(hive_db, 100) == 1
        assert archive(hive_db, 100) == 0

    def test_log_goes_on(self, whole: Path) -> None:
        """Positions stay dense and versions count on, also of streams all of whose facts are archived."""
        log = Log(connect(whole))
        version = log.version("inbox-a1")
        archive(whole, COUNT, log)
        for again in (False, True):
            one = Log(connect(whole)) if again else log
            sent = one.record(MessageSent(to="a1", sender="operator", body="hi"), at=AT, actor=OPERATOR)
            one.commit()
            version += 1
            assert (sent.version, one.read(sent.position, sent.position)) == (version, [sent])
        assert chain.verify(whole).count == COUNT + 2
        assert Log(connect(whole)).read(30, 33) == list(read(read_only(whole), after=29, until=33))

    def test_files(self, whole: Path) -> None:
        """Segments are their owner's alone, and any zstd shows what their hashes are of."""
        archive(whole, 20)
        assert [file.stat().st_mode & 0o777 for file in files(whole)] == [0o600, 0o600]
        assert files(whole)[0].parent.stat().st_mode & 0o777 == 0o700
        zstd = shutil.which("zstd")
        if zstd is None:
            pytest.skip("zstd is not installed")
        lines = subprocess.run([zstd, "-dc", files(whole)[0]], capture_output=True, check=True).stdout.splitlines()
        assert lines[1:3] == [b'[1,"hive-hive",1,"HiveCreated",%d,"operator",1,null]' % AT, b'{"hive":"one"}']
        assert len(lines) == 1 + 2 * FACTS

    def test_broken_log(self, whole: Path) -> None:
        """What is not what was written is not archived, and not lost either."""
        connection = sqlite3.connect(whole)
        connection.execute("DROP TRIGGER events_refuse_update")
        connection.execute("UPDATE facts SET data = replace(data, '7', '8') WHERE position = 7")
        connection.commit()
        with pytest.raises(ChainBroken, match="broken at position 7"):
            archiving.write(whole, 20)
        assert connection.execute("SELECT count(*) FROM facts").fetchone() == (COUNT,)
        connection.close()

    def test_data_with_lines(self, hive_db: Path) -> None:
        """A fact that could not be told from two in a segment stays where it is."""
        log = write(hive_db, 5)
        envelope = (6, "hive-hive", 3, "HiveCreated", AT, "operator", 6, None)
        data = '{"hive":\n"two"}'
        log.adopt((*envelope, data, chain.link(log.head.hash, envelope, data.encode())))
        log.record(MessageSent(to="a1", sender="operator", body="hi"), at=AT, actor=OPERATOR)
        log.commit()
        with pytest.raises(LogDamaged, match="position 6 has a line of its own, which no release wrote; it cannot be"):
            archiving.write(hive_db, 6)
        assert chain.verify(hive_db).count == 7

    def test_reader_meets_archive(self, whole: Path) -> None:
        """Who reads while facts move gets each of them once and in order."""
        log = Log(connect(whole))
        for _ in range(4):
            connection = read_only(whole)
            facts, rows = read(connection), select(connection, Selection())
            found = [next(facts).position, next(rows)["position"]]
            archive(whole, log.head.position - 7, log)
            assert found == [1, 1]
            assert [fact.position for fact in facts] == list(range(2, log.head.position + 1))
            assert [row["position"] for row in rows] == list(range(2, log.head.position + 1))
            for _ in range(20):
                log.record(MessageSent(to="a1", sender="operator", body="hi"), at=AT, actor=OPERATOR)
            log.commit()
            connection.close()

    def test_holds_nobody_up(self, whole: Path) -> None:
        """A reader of the archive keeps no snapshot open, which the writer's file would grow for."""
        log = Log(connect(whole))
        archive(whole, 50, log)
        facts = select(read_only(whole), Selection())
        next(facts)
        log.record(MessageSent(to="a1", sender="operator", body="hi"), at=AT, actor=OPERATOR)
        log.commit()
        busy, *_ = log.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert busy == 0


@pytest.mark.usefixtures("small")
class TestLost:
    """Segments that are gone or damaged."""

    def test_missing(self, whole: Path) -> None:
        """A missing file is named with its positions and what is still readable; the rest is read, and appended to."""
        archive(whole, 40)
        lost = files(whole)[1]
        kept = lost.rename(whole.parent / "elsewhere")
        for ask in (lambda: list(read(read_only(whole))), lambda: list(select(read_only(whole), Selection()))):
            with pytest.raises(
                SegmentLost, match=rf"positions 13 to 24 cannot be read: .*{lost.name} is not there; put"
            ):
                ask()
        with pytest.raises(
            ChainBroken, match=r"broken at position 13: .*not there.* before 13 is whole, and what is after 24 can"
        ):
            chain.verify(whole)
        assert [fact.position for fact in read(read_only(whole), after=24)] == list(range(25, COUNT + 1))
        assert [fact.position for fact in read(read_only(whole), until=12)] == list(range(1, 13))
        log = Log(connect(whole))
        log.record(MessageSent(to="a1", sender="operator", body="hi"), at=AT, actor=OPERATOR)
        log.commit()
        kept.rename(lost)
        assert chain.verify(whole).count == COUNT + 1

    def test_damaged(self, whole: Path) -> None:
        """A damaged frame is named with its positions, the others of its segment are said to be readable."""
        archive(whole, 40)
        content = bytearray(files(whole)[0].read_bytes())
        content[-20] ^= 1  # in the last of three frames
        files(whole)[0].write_bytes(content)
        first = 2 * FRAME + 1
        with pytest.raises(ChainBroken, match=rf"broken at position {first}: .* after {FACTS} can be read") as broken:
            chain.verify(whole)
        assert broken.value.position == first
        with pytest.raises(SegmentLost, match=rf"positions {first} to {FACTS} cannot be read: .*zstd cannot"):
            list(read(read_only(whole)))
        assert len(list(read(read_only(whole), until=first - 1))) == first - 1

    def test_another_ones(self, whole: Path) -> None:
        """A segment in the place of another is no segment."""
        archive(whole, 40)
        shutil.copy(files(whole)[2], files(whole)[1])
        with pytest.raises(ChainBroken, match=r"broken at position 13: .*holds something else than 13 to 24"):
            chain.verify(whole)

    def test_newer_format(self, whole: Path) -> None:
        """A segment of a newer release says so."""
        archive(whole, 10)
        import zstandard

        old = files(whole)[0].read_bytes()
        decompress = zstandard.ZstdDecompressor().decompressobj()
        header = decompress.decompress(old).replace(b'"format":1', b'"format":2')
        content = zstandard.ZstdCompressor().compress(header) + decompress.unused_data
        files(whole)[0].write_bytes(content)
        with pytest.raises(ChainBroken, match="has the format 2, and this release reads 1"):
            chain.verify(whole)


class TestKilled:
    """kill -9 at any moment."""

    def test_at_every_step(self, whole: Path, tmp_path: Path) -> None:
        """Killed at any of its writes, an archive leaves every fact readable, and the next one goes on to the end."""
        strace = shutil.which("strace")
        if strace is None or subprocess.run([strace, "true"], capture_output=True, check=False).returncode != 0:
            pytest.skip("needs strace, and a kernel that lets it trace")
        before = seen(whole)
        program = [sys.executable, "-m", "tests.events.archived"]
        begun = whole.parent / "begun"
        begun.mkdir()
        shutil.move(whole, begun / "hive.sqlite")
        trace = tmp_path / "trace"
        copy = shutil.copytree(begun, tmp_path / "run")
        calls = "trace=fsync,fdatasync,rename,pwrite64,ftruncate,unlink"
        subprocess.run([strace, "-f", "-o", trace, "-e", calls, *program, copy / "hive.sqlite", "40"], check=True)
        steps = sum(1 for line in trace.read_text().splitlines() if "(" in line and "SIG" not in line)
        assert steps > 30
        assert seen(copy / "hive.sqlite") == before
        interrupted = 0
        for number, nth in enumerate(range(1, steps + 1, 1 + steps // 7)):
            copy = shutil.copytree(begun, tmp_path / f"run-{number}")
            path = copy / "hive.sqlite"
            inject = f"inject={calls.removeprefix('trace=')}:signal=KILL:when={nth}"
            ended = subprocess.run(
                [strace, "-f", "-o", os.devnull, "-e", calls, "-e", inject, *program, path, "40"],
                capture_output=True,
                check=False,
            )
            interrupted += ended.returncode != 0
            assert seen(path) == before, f"killed at write {nth} of {steps}"
            archive(path, 40)
            assert seen(path) == before
            with contextlib.closing(sqlite3.connect(path)) as connection:
                assert connection.execute("SELECT min(position), count(*) FROM facts").fetchone() == (41, COUNT - 40)
        assert interrupted > 2
