"""One daemon per directory: the second is told who the first is."""

from __future__ import annotations

import datetime as dt
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hyperhive.daemon.alone import AnotherDaemon, alone
from hyperhive.daemon.holder import holder_of

HOLD = (
    "import sys\n"
    "from pathlib import Path\n"
    "from hyperhive.daemon.alone import alone\n"
    "with alone(Path(sys.argv[1]), '--data-dir'):\n"
    "    print('held', flush=True)\n"
    "    sys.stdin.read()\n"
)


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A lock file's path."""
    return tmp_path / "hive.lock"


def held_by_another(lock: Path) -> subprocess.Popen[str]:
    """Start a process that holds the lock until its stdin ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_names_the_holder(lock: Path) -> None:
    """The refusal has the pid and since when; when the holder has gone, even by SIGKILL, the lock is free."""
    other = held_by_another(lock)
    with pytest.raises(AnotherDaemon) as refused, alone(lock, "--data-dir"):
        pass
    holder = holder_of(lock)
    other.kill()
    other.communicate()
    assert holder is not None
    assert (
        str(refused.value) == f"another daemon ({holder}) runs on {lock.parent}; stop it, or choose another --data-dir"
    )
    assert holder.pid == other.pid
    assert abs(dt.datetime.now(dt.UTC) - holder.since) < dt.timedelta(minutes=1)
    with alone(lock, "--data-dir"):
        held = holder_of(lock)
        assert held is not None
        assert held.pid == os.getpid()
    assert holder_of(lock) is None


def test_another_file_of_the_directory(lock: Path) -> None:
    """A lock on one file is none on another."""
    other = lock.with_name("other.lock")
    other.touch()
    with alone(lock, "--data-dir"), alone(lock.with_name("third.lock"), "--run-dir"):
        assert holder_of(other) is None
    assert holder_of(lock.with_name("nowhere")) is None


def test_lock_of_another_kind(lock: Path) -> None:
    """What locks a range of the file (fcntl) does not hold it."""
    with lock.open("w") as opened:
        fcntl.lockf(opened, fcntl.LOCK_EX)
        assert holder_of(lock) is None
