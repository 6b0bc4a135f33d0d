"""The whole daemon, as a process: how it starts, why it does not, how it ends, and what is there after."""

from __future__ import annotations

import contextlib
import http.client
import os
import pwd
import re
import shutil
import signal
import site
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import wire
from hyperhive.cli import client
from hyperhive.projections import database
from tests.served import REPOSITORY, Served, place


@pytest.fixture
def served() -> Iterator[Served]:
    """A place for a daemon."""
    with place() as found:
        yield found


def connected(path: Path, request: dict[str, object]) -> socket.socket:
    """Connect, say something, and do not wait for the answer."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(path))
    connection.sendall(wire.encode(request))
    return connection


class TestStart:
    """A daemon that starts."""

    def test_over_http(self, served: Served) -> None:
        """Health is for anybody, the state for who has the token; requests for another host get nothing."""
        served.serve()
        port = served.port
        token = (served.data / "token").read_text().strip()

        def get(path: str, **headers: str) -> tuple[int, bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            with contextlib.closing(connection):
                connection.request("GET", path, headers=headers)
                answer = connection.getresponse()
                return answer.status, answer.read()

        assert get("/healthz") == (200, b"ok\n")
        assert get("/api/state")[0] == 401
        assert get("/healthz", Host="evil.example")[0] == 421
        status, body = get("/api/state", Authorization=f"Bearer {token}")
        assert (status, wire.decode(body)["position"]) == (200, served.ask("state")["state"]["position"])

    def test_modes(self, served: Served) -> None:
        """Nothing that it makes is for anybody but its user, whatever the umask; host.sock is for the group, too."""
        before = os.umask(0)
        try:
            served.serve()
        finally:
            os.umask(before)
        served.ask("spawn", name="coder")
        served.until("coder runs", lambda: running(served, "coder"))
        open_to_others = {
            str(path.relative_to(served.home))
            for top in (served.data, served.run)
            for path in (top, *top.rglob("*"))
            # What the agent makes in its own state is its own business; nobody gets there.
            if not path.is_symlink() and path.stat().st_mode & 0o077 and "state" not in path.relative_to(top).parts[:-1]
        }
        mode = stat.S_IMODE((served.run / "host.sock").stat().st_mode)
        # The bits of a group are the mask of the list by which a runtime admits one user; nobody else gets there.
        sockets = {f"run/agents/{name}/{kind}.sock" for name in ("manager", "coder") for kind in ("agent", "egress")}
        assert (open_to_others - sockets, mode) == ({"run/host.sock"}, 0o660)

    def test_tokens_file(self, served: Served) -> None:
        """A token that anybody could guess is refused; without any, one is made, and kept."""
        served.serve()
        token = (served.data / "token").read_text()
        assert served.stop().code == 0
        served.serve()
        assert (served.data / "token").read_text() == token
        assert served.stop().code == 0
        (served.data / "token").write_text("\n")
        ended = served.refused()
        assert (ended.code, "holds no token of 20 characters or more; remove it" in ended.said) == (1, True)


class TestNoStart:
    """A daemon that does not start says why in one line, with exit code, and leaves everything as it was."""

    def one_line(self, said: str) -> str:
        """Return the only thing that was said, which is no traceback."""
        lines = [line for line in said.splitlines() if not line.startswith("{")]
        assert len(lines) == 1, said
        return lines[0]

    def test_second_daemon(self, served: Served) -> None:
        """A second daemon on the same data or run directory ends, and says who has it since when; the first goes on."""
        served.serve()
        assert served.daemon is not None
        holder = rf"another daemon \(pid {served.daemon.pid}, since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d\)"
        other = Served(home=served.home, data=served.data, run=served.home / "run2")
        for second, told in (
            (other, rf"hyperhive: {holder} runs on {served.data}; stop it, or choose another --data-dir"),
            (
                Served(home=served.home, data=served.home / "data2", run=served.run),
                rf"hyperhive: {holder} runs on {served.run}; stop it, or choose another --run-dir",
            ),
        ):
            ended = second.refused()
            assert ended.code == 1
            assert re.fullmatch(told, self.one_line(ended.said))
        assert served.ask("list")["ok"] is True
        assert not (served.home / "data2" / "hive.sqlite").exists()

    def test_newer_database(self, served: Served) -> None:
        """A database of a newer release is left alone."""
        served.data.mkdir(mode=0o700)
        database.upgrade(served.database)
        with sqlite3.connect(served.database) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        before = served.database.read_bytes()
        ended = served.refused()
        assert ended.code == 1
        assert "is at revision 9999, written by a newer release" in self.one_line(ended.said)
        assert served.database.read_bytes() == before

    def test_no_database(self, served: Served) -> None:
        """A file that is no database is left alone."""
        served.data.mkdir(mode=0o700)
        served.database.write_text("dear diary\n" * 1_000)
        ended = served.refused()
        assert (ended.code, "is not a hive's database" in self.one_line(ended.said)) == (1, True)
        assert served.database.read_text().startswith("dear diary")

    def test_run_directory_too_long(self, served: Served) -> None:
        """A run directory in which no agent's socket could be is refused with how long it may be."""
        served.run = served.home / ("r" * 60)
        ended = served.refused()
        assert (ended.code, "give a shorter one" in self.one_line(ended.said)) == (1, True)
        assert not served.data.exists()

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (("--runtime", "docker"), "one of auto, bubblewrap, podman, nspawn, nixos, process"),
            (("--set", "claude.modle=opus"), "no key is named claude.modle; did you mean claude.model?"),
            (("--set", "limits.parallel_actions=none"), "a whole number from 1 to 64"),
            (("--listen", "7000"), "HOST:PORT"),
        ],
    )
    def test_wrong_words(self, served: Served, arguments: tuple[str, ...], told: str) -> None:
        """A flag that cannot be kept is a usage error that says what would be right, and makes nothing."""
        ended = served.refused(*arguments)
        assert (ended.code, told in self.one_line(ended.said)) == (2, True)
        assert not served.data.exists()

    def test_wrong_key_in_the_file(self, served: Served) -> None:
        """An unknown key in the configuration is named, with the file and what was probably meant."""
        served.data.mkdir(mode=0o700)
        (served.data / "hyperhive.toml").write_text("[claude]\nmodle = 'opus'\n")
        ended = served.refused()
        told = self.one_line(ended.said)
        assert (ended.code, str(served.data / "hyperhive.toml") in told, "claude.model?" in told) == (2, True, True)

    def test_address_of_another_host(self, served: Served) -> None:
        """An address that cannot be listened on is named, with the flag; what was opened before is closed again."""
        proxied = ("--behind-proxy", "--set", "web.url=https://hive.example.org")
        ended = served.refused("--listen", "192.0.2.1:7000", *proxied)
        told = self.one_line(ended.said)
        assert (ended.code, "cannot listen on 192.0.2.1:7000" in told, "--listen" in told) == (1, True, True)
        assert not (served.run / "host.sock").exists()

    def test_no_right_to_write(self, served: Served) -> None:
        """Without the right to write into the data directory it says so, and who may."""
        user = someone_else()
        served.data.mkdir(mode=0o755)
        served.home.chmod(0o755)
        ended = subprocess.run(
            [everybodys_python(), *served.argv()[1:]],
            env=served.environment() | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), *site.getsitepackages()])},
            user=user.pw_uid,
            group=user.pw_gid,
            extra_groups=[],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 1
        told = self.one_line(ended.stderr)
        assert f"no permission to write in {served.data}" in told
        assert f"as uid {user.pw_uid}" in told

    def test_database_of_another(self, served: Served) -> None:
        """A database that this user may not write is named."""
        user = someone_else()
        served.data.mkdir(mode=0o700)
        database.upgrade(served.database)
        served.database.chmod(0o444)
        served.home.chmod(0o755)
        os.chown(served.data, user.pw_uid, user.pw_gid)
        ended = subprocess.run(
            [everybodys_python(), *served.argv("--run-dir", str(served.data / "run"))[1:]],
            env=served.environment() | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), *site.getsitepackages()])},
            user=user.pw_uid,
            group=user.pw_gid,
            extra_groups=[],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 1
        assert str(served.database) in self.one_line(ended.stderr)


class TestEnd:
    """A daemon that is told to stop, and one that is not asked."""

    def test_sigterm(self, served: Served) -> None:
        """It ends with 0 while clients wait, DaemonStopped is the last fact, and no socket is left."""
        served.serve()
        served.ask("spawn", name="coder")
        served.until("coder runs", lambda: running(served, "coder"))
        waiting = connected(served.run / "agents/coder/agent.sock", {"cmd": "recv", "wait_seconds": 180, "id": 1})
        subscriber = connected(served.run / "host.sock", {"cmd": "subscribe_agent_status"})
        silent = socket.create_connection(("127.0.0.1", served.port))
        begun = time.monotonic()
        ended = served.stop()
        seconds = time.monotonic() - begun
        for connection in (waiting, subscriber, silent):
            connection.close()
        assert (ended.code, '"event": "stopping"' in ended.said) == (0, True)
        assert "Traceback" not in ended.said
        assert [fact["type"] for fact in served.facts()][-1] == "DaemonStopped"
        assert [str(path) for path in served.run.rglob("*") if path.is_socket()] == []
        assert seconds < 30, "it waited for its clients"

    def test_sigterm_before_it_is_open(self, served: Served) -> None:
        """It can be stopped while it still waits for a port that somebody else has."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            served.begin("--listen", f"127.0.0.1:{taken.getsockname()[1]}")
            served.until("it has begun", lambda: served.database.exists() and "DaemonStarted" in types(served))
            ended = served.stop(signal.SIGINT)
        assert ended.code == 0
        assert types(served)[-2:] == ["DaemonStarted", "DaemonStopped"]

    def test_kill(self, served: Served) -> None:
        """Killed at any moment, all that it has answered is there at the next start, once, and agents run on."""
        served.serve()
        served.ask("spawn", name="coder")
        row = served.until("coder runs", lambda: running(served, "coder"))
        answered: list[int] = []

        def send() -> None:
            with contextlib.suppress(client.Unanswered, client.NotRunning):
                for number in range(100_000):
                    reply = served.ask("send", name="coder", body=f"number {number}", command_id=f"c{number}")
                    answered.append(reply["message_id"])

        sending = threading.Thread(target=send)
        sending.start()
        served.until("some are sent", lambda: len(answered) > 50)
        served.stop(signal.SIGKILL)
        sending.join()
        served.serve()
        position = served.verify()
        bodies = [fact["data"]["body"] for fact in served.facts("inbox-coder") if fact["type"] == "MessageSent"]
        assert len(bodies) == len(set(bodies)) >= len(answered)
        assert {fact["position"] for fact in served.facts("inbox-coder")} >= set(answered)
        assert position >= max(answered)
        after = running(served, "coder")
        assert after is not None
        assert (after["generation"], after["since"]) == (row["generation"], row["since"])


class TestDisk:
    """A disk that is full, and one that fails."""

    def test_full(self, served: Served) -> None:
        """On a full disk a send is refused and nothing of it happens; with room again, the hive goes on."""
        with small_disk(served.data):
            served.serve()
            filler = fill(served.data)
            refusals = []
            for _ in range(200):
                try:
                    served.ask("send", name="operator", body="x" * 60_000)
                except client.Refused as refused:
                    refusals.append((refused.code, str(refused)))
                    break
            assert refusals == [
                ("unavailable", "the disk with the log is full: nothing was written; make room and try again")
            ]
            before = served.verify()
            filler.unlink()
            sent = served.ask("send", name="operator", body="with room")
            assert sent["message_id"] == before + 1
            assert [message["body"] for message in served.ask("inbox", limit=1)["messages"]] == ["with room"]
            assert served.stop().code == 0
            served.verify()

    def test_full_from_the_start(self, served: Served) -> None:
        """Where there is no room for a log at all, it says so instead of starting."""
        with small_disk(served.data):
            fill(served.data)
            ended = served.refused()
        assert ended.code == 1
        assert "Traceback" not in ended.said
        assert "full" in ended.said or "No space left" in ended.said

    def test_failing_fsync(self, served: Served) -> None:
        """Where the disk does not keep what was written, nothing is answered any more, and the daemon ends."""
        if shutil.which("strace") is None:
            pytest.skip("strace is not installed")
        served.serve()
        sent = served.ask("send", name="operator", body="kept")
        assert served.daemon is not None
        tracing = subprocess.Popen(
            [
                *("strace", "-f", "-p", str(served.daemon.pid), "-o", "/dev/null"),
                *("-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO"),
            ],
            stderr=subprocess.PIPE,
        )
        assert tracing.stderr is not None
        attached = tracing.stderr.readline()
        if b"attached" not in attached:
            tracing.wait()
            pytest.skip(f"strace may not trace here: {attached.decode().strip()}")
        try:
            with pytest.raises((client.Refused, client.Unanswered)) as refused:
                served.ask("send", name="operator", body="perhaps")
            ended = served.ended()
        finally:
            tracing.terminate()
            tracing.wait()
        assert getattr(refused.value, "code", "") == "unavailable"
        assert ended.code == 1
        assert "hyperhive: the log could not be made durable" in ended.said
        served.serve()
        served.verify()
        assert sent["message_id"] in {fact["position"] for fact in served.facts("inbox-operator")}
        assert served.ask("send", name="operator", body="goes on")["ok"] is True


def running(served: Served, name: str) -> dict[str, object] | None:
    """Return an agent's row, where it runs."""
    rows = served.ask("agent_status")["agent_statuses"]
    return next((row for row in rows if row["name"] == name and row["running"]), None)


def types(served: Served) -> list[str]:
    """Return the types of all facts so far; none where there is no table yet."""
    try:
        return [fact["type"] for fact in served.facts()]
    except sqlite3.Error:
        return []


def someone_else() -> pwd.struct_passwd:
    """Return a user without rights, or skip."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    return pwd.getpwnam("nobody")


def everybodys_python() -> str:
    """Return a Python of this version that anybody may run, or skip."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    found = shutil.which(version, path="/usr/local/bin:/usr/bin")
    if found is None:
        pytest.skip(f"{sys.executable} may be root's alone, and there is no /usr/bin/{version} to use instead")
    return found


def fill(disk: Path) -> Path:
    """Leave no room on a disk; returns the file that takes it."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4_096)
    return filler


@contextlib.contextmanager
def small_disk(at: Path) -> Iterator[None]:
    """Mount a disk of 4 MiB, or skip."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    at.mkdir(mode=0o700)
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", str(at)], capture_output=True, check=False
    )
    if mount.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {mount.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)
