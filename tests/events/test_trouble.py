"""The log in trouble: full and failing disks, and processes that are killed. All of it is real."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperhive.events import chain
from hyperhive.events.envelope import DAEMON
from hyperhive.events.log import Log, LogFull, connect
from hyperhive.events.messages import MessageSent
from tests.events.appender import BATCH

FULL, FAILED = 3, 4
"""Exit codes of the appender."""
APPENDER = (sys.executable, "-m", "tests.events.appender")


def send(log: Log, size: int = 1_000) -> None:
    """Record a message of this size."""
    log.record(MessageSent(to="coder", sender="operator", body="x" * size), at=1, actor=DAEMON)


def append_until_full(log: Log) -> int:
    """Commit one message after the other; return the last position that was acknowledged before `LogFull`."""
    while True:
        acknowledged = log.head.position
        send(log)
        try:
            log.commit()
        except LogFull:
            return acknowledged


def positions(path: Path) -> list[int]:
    """Return the positions that any reader finds."""
    return [row[0] for row in sqlite3.connect(path).execute("SELECT position FROM events ORDER BY position")]


class TestFullDisk:
    """No room: nothing of the batch is written, and the log goes on once there is some."""

    def test_page_limit(self, hive_db: Path) -> None:
        """Where the file may not grow, what was acknowledged stays, the head goes back, and later appends are dense."""
        log = Log(connect(hive_db))
        pages = log.connection.execute("PRAGMA page_count").fetchone()[0]
        log.connection.execute(f"PRAGMA max_page_count = {pages + 8}")
        acknowledged = append_until_full(log)
        assert acknowledged > 0
        assert log.head.position == acknowledged
        assert positions(hive_db) == list(range(1, acknowledged + 1))
        log.connection.execute("PRAGMA max_page_count = 1000000")
        send(log)
        log.commit()
        log.close()
        assert chain.verify(hive_db).count == acknowledged + 1

    def test_whole_batch_or_nothing(self, hive_db: Path) -> None:
        """A batch that fits in part is not written in part."""
        log = Log(connect(hive_db))
        send(log)
        log.commit()
        pages = log.connection.execute("PRAGMA page_count").fetchone()[0]
        log.connection.execute(f"PRAGMA max_page_count = {pages + 8}")
        for _ in range(100):
            send(log)
        with pytest.raises(LogFull, match="nothing was written; make room"):
            log.commit()
        assert positions(hive_db) == [1]

    @pytest.fixture
    def small_disk(self, tmp_path: Path) -> Iterator[Path]:
        """Mount a file system of one megabyte."""
        place = tmp_path / "disk"
        place.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=1M", "none", str(place)]
        if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
            pytest.skip("only root mounts a small file system")
        try:
            yield place
        finally:
            subprocess.run(["umount", "--lazy", str(place)], check=True)

    def test_small_disk(self, small_disk: Path, migrated: Path) -> None:
        """On a disk that is really full every append is refused, none is lost, and room brings the log back."""
        path = small_disk / "hive.sqlite"
        shutil.copy(migrated, path)
        ballast = small_disk / "ballast"
        ballast.write_bytes(bytes(200_000))
        log = Log(connect(path))
        acknowledged = append_until_full(log)
        assert acknowledged > 10
        for _ in range(3):
            send(log)
            with pytest.raises(LogFull):
                log.commit()
        ballast.unlink()
        send(log)
        log.commit()
        log.close()
        assert positions(path) == list(range(1, acknowledged + 2))
        assert chain.verify(path).count == acknowledged + 1

    def test_small_disk_and_a_new_start(self, small_disk: Path, migrated: Path) -> None:
        """A process that ended on a full disk leaves a log that opens again with all that it had acknowledged."""
        path = small_disk / "hive.sqlite"
        shutil.copy(migrated, path)
        ended = subprocess.run([*APPENDER, str(path)], capture_output=True, text=True, check=False, timeout=60)
        assert (ended.returncode, ended.stderr) == (FULL, "")
        acknowledged = int(ended.stdout.split()[-1])
        elsewhere = shutil.copytree(small_disk, small_disk.parent / "larger")
        assert positions(elsewhere / "hive.sqlite") == list(range(1, acknowledged + 1))
        Log(connect(elsewhere / "hive.sqlite")).close()
        assert chain.verify(elsewhere / "hive.sqlite").count == acknowledged


class TestFailingDisk:
    """An fsync or a write that fails: nobody is told that anything is durable, and the process ends."""

    def check(self, ended: subprocess.CompletedProcess[str], path: Path) -> None:
        """Expect that the program failed, and that everything it had acknowledged is there and in order."""
        assert ended.returncode == FAILED, ended.stderr
        said = ended.stdout.split()
        acknowledged = int(said[-1]) if said[-1] != "ready" else 0
        # The batch that failed may be there or not: failed does not mean absent.
        assert positions(path) in (
            list(range(1, acknowledged + 1)),
            list(range(1, acknowledged + BATCH + 1)),
        )
        log = Log(connect(path))
        send(log)
        log.commit()
        assert chain.verify(path).count == log.head.position

    @pytest.mark.parametrize("nth", [3, 6, 20])
    def test_fsync(self, hive_db: Path, nth: int) -> None:
        """From the nth fsync on the disk fails, whether a commit or a checkpoint asks for it."""
        inject = ["-e", "trace=fsync,fdatasync", "-e", f"inject=fsync,fdatasync:error=EIO:when={nth}+"]
        strace = shutil.which("strace")
        if strace is None or subprocess.run([strace, "true"], capture_output=True, check=False).returncode != 0:
            pytest.skip("needs strace, and a kernel that lets it trace")
        ended = subprocess.run(
            [strace, "-f", "-o", os.devnull, *inject, *APPENDER, str(hive_db), "5000"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        self.check(ended, hive_db)

    def test_write(self, hive_db: Path) -> None:
        """Where a write fails for another reason than a full disk (here a limit on file sizes), the process ends."""
        limit = 300_000

        def small_files() -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        ended = subprocess.run(
            [*APPENDER, str(hive_db)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            preexec_fn=small_files,
        )
        self.check(ended, hive_db)

    def test_start(self, hive_db: Path) -> None:
        """What a failed fsync left in the write-ahead log is made durable before anything is built on it."""
        log = Log(connect(hive_db))
        send(log)
        log.commit()
        copied = shutil.copytree(hive_db.parent, hive_db.parent.parent / "copy")
        # As another process finds it after a crash: the fact is in the write-ahead log alone.
        path = copied / "hive.sqlite"
        assert b"x" * 100 not in path.read_bytes()
        Log(connect(path))
        assert b"x" * 100 in path.read_bytes()


class TestKilled:
    """kill -9 at any moment."""

    def test_everything_acknowledged_is_there(self, hive_db: Path) -> None:
        """Again and again killed in the middle of its work, a writer never loses what it has acknowledged."""
        acknowledged = 0
        for batches in (1, 2, 5, 20, 60):
            with subprocess.Popen([*APPENDER, str(hive_db)], stdout=subprocess.PIPE, text=True) as program:
                assert program.stdout is not None
                try:
                    assert program.stdout.readline() == "ready\n"
                    for _ in range(batches):
                        acknowledged = int(program.stdout.readline())
                finally:
                    program.kill()
                acknowledged = max([acknowledged, *map(int, program.stdout.read().split())])
            found = positions(hive_db)
            assert found == list(range(1, len(found) + 1))
            assert len(found) >= acknowledged
            assert chain.verify(hive_db).count == len(found)
