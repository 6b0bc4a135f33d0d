"""The way out inside a container: loopback ports whose connections a host's proxy takes, over real sockets."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import egress as module
from harness.egress import VARIABLE, Egress

ANSWER_SECONDS = 60
OPENED = b"HTTP/1.1 200 Connection established\r\n\r\n"
ROOT = Path(module.__file__).parents[1]


class Proxy:
    """A host's proxy: it takes each connection to the function that the test gives it."""

    def __init__(self, path: Path, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(128)
        self.taken = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.taken += 1
                threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            self._serve(connection)

    def close(self) -> None:
        """End it; who is connected stays so."""
        # Closing alone leaves a thread in accept.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def path() -> Iterator[Path]:
    """Name the host's socket, where no proxy listens yet."""
    with tempfile.TemporaryDirectory(prefix="hh-", dir="/tmp") as directory:
        yield Path(directory) / "egress.sock"


@contextlib.contextmanager
def proxy(path: Path, serve: Callable[[socket.socket], None]) -> Iterator[Proxy]:
    """Listen there."""
    path.unlink(missing_ok=True)
    made = Proxy(path, serve)
    try:
        yield made
    finally:
        made.close()


def echo(connection: socket.socket) -> None:
    """Say what was heard, once the other side has ended its own."""
    heard = b""
    while chunk := connection.recv(65_536):
        heard += chunk
    connection.sendall(b"heard " + heard)


def port_of(variables: dict[str, str]) -> int:
    """Return the port that programs are led to."""
    return int(variables["https_proxy"].rpartition(":")[2])


def asked(port: int, text: bytes) -> bytes:
    """Connect, say something, end it, and read the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS) as client:
        client.sendall(text)
        client.shutdown(socket.SHUT_WR)
        return read(client)


def read(client: socket.socket) -> bytes:
    """Read to the end; one that broke has ended, too."""
    said = b""
    with contextlib.suppress(ConnectionError):
        while chunk := client.recv(65_536):
            said += chunk
    return said


def test_nothing_to_carry() -> None:
    """With the host's network there are no ports and no variables."""
    none = Egress.from_environment({})
    assert none.open() == {}
    none.reach("http://127.0.0.1:1")


def test_variables(path: Path) -> None:
    """Every program's way of asking for a proxy names the same port; the container's own loopback is left out."""
    variables = Egress.from_environment({VARIABLE: str(path)}).open()
    names = {"http_proxy", "https_proxy", "all_proxy"}
    assert set(variables) == names | {name.upper() for name in names} | {"no_proxy", "NO_PROXY"}
    assert {variables[name] for name in names} == {f"http://127.0.0.1:{port_of(variables)}"}
    assert variables["no_proxy"] == "localhost,127.0.0.1,::1"


def test_both_ways(path: Path) -> None:
    """What is said passes whole, also after one side has ended its own; the host sees it as it was said."""
    whole = os.urandom(3_000_000)
    with proxy(path, echo):
        port = port_of(Egress(path).open())
        assert asked(port, whole) == b"heard " + whole
        assert asked(port, b"") == b"heard "


def test_many_at_once(path: Path) -> None:
    """As many connections as the host takes are carried, one more waits for its turn, and every one is served."""
    go = threading.Event()

    def held(connection: socket.socket) -> None:
        go.wait(ANSWER_SECONDS)
        echo(connection)

    with proxy(path, held) as host, contextlib.ExitStack() as open_:
        port = port_of(Egress(path).open())
        clients = []
        for number in range(module.MAX_CONNECTIONS + 5):
            client = open_.enter_context(socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS))
            client.sendall(b"%d" % number)
            client.shutdown(socket.SHUT_WR)
            clients.append(client)
        until(lambda: host.taken == module.MAX_CONNECTIONS)
        go.set()
        assert [read(client) for client in clients] == [b"heard %d" % number for number in range(len(clients))]
        assert host.taken == len(clients)


def test_a_host_that_is_away(path: Path) -> None:
    """A connection waits for a host that is just being restarted, and is carried once it is there."""
    port = port_of(Egress(path).open())
    answers: list[bytes] = []
    client = threading.Thread(target=lambda: answers.append(asked(port, b"late")))
    client.start()
    with proxy(path, echo):
        client.join(ANSWER_SECONDS)
    assert answers == [b"heard late"]


def test_a_host_that_stays_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not come ends the connection, and the next one is taken all the same."""
    monkeypatch.setattr(module, "AWAY_SECONDS", 0.0)
    port = port_of(Egress(path).open())
    assert asked(port, b"x") == b""
    with proxy(path, echo):
        assert asked(port, b"y") == b"heard y"


class TestTheModel:
    """A model's API on the host's own loopback."""

    def test_it_is_found(self, path: Path) -> None:
        """It answers at the same address; the client sees nothing of the tunnel, whose first words may come apart."""
        port = free_port()

        def tunnel(connection: socket.socket) -> None:
            opening = b""
            while not opening.endswith(b"\r\n\r\n"):
                opening += connection.recv(1)
            for byte in OPENED:
                connection.sendall(bytes([byte]))
            connection.sendall(opening.split(b"\r\n")[0] + b" and ")
            echo(connection)

        with proxy(path, tunnel):
            way = Egress(path)
            way.reach(f"http://127.0.0.1:{port}/v1")
            # Once more, as each session does.
            way.reach(f"http://127.0.0.1:{port}/v1")
            assert asked(port, b"hello") == b"CONNECT 127.0.0.1:%d HTTP/1.1 and heard hello" % port

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 403 Forbidden\r\n\r\nsecret",
            b"",
            b"HTTP/1.1 200",
            b"HTTP/1.1 2000 x\r\n\r\nsecret",
            b"x" * 20_000,
        ],
        ids=["refused", "nothing", "cut off", "odd", "endless"],
    )
    def test_a_host_that_refuses(self, path: Path, answer: bytes) -> None:
        """Where the host opens nothing the client's connection ends, and none of the host's words pass as a model's."""
        port = free_port()
        with proxy(path, lambda connection: connection.sendall(answer)):
            way = Egress(path)
            way.reach(f"http://localhost:{port}")
            assert asked(port, b"") == b""

    @pytest.mark.parametrize(
        "base_url",
        [None, "", "http://", "http://127.0.0.1:99999", "http://[::1", "https://models.example"],
    )
    def test_no_loopback(self, path: Path, base_url: str | None) -> None:
        """What is no address of the host's loopback opens no port, and is no error."""
        before = set(threading.enumerate())
        Egress(path).reach(base_url)
        assert set(threading.enumerate()) <= before

    def test_a_port_that_is_taken(self, path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """Where a program of the agent's own has the port already that is said, and nothing else fails."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            Egress(path).reach(f"http://127.0.0.1:{taken.getsockname()[1]}")
        assert "model_out_of_reach" in "".join(capfd.readouterr())


class TestAsAProgram:
    """As a terminal's programs are run: ``python -m harness.egress COMMAND …``."""

    def run(self, path: Path, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a command with a way out."""
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), VARIABLE: str(path)}
        words = (sys.executable, "-sP", "-m", "harness.egress", *argv)
        return subprocess.run(words, capture_output=True, text=True, env=environment, check=False)

    def test_a_command(self, path: Path) -> None:
        """The command has the way out, and its exit status is the program's own."""
        with proxy(path, echo):
            ask = (
                "import os, socket, sys\n"
                "s = socket.create_connection(('127.0.0.1', int(os.environ['https_proxy'].rpartition(':')[2])))\n"
                "s.sendall(b'x'); s.shutdown(socket.SHUT_WR); print(s.makefile().read()); sys.exit(7)\n"
            )
            ended = self.run(path, sys.executable, "-c", ask)
        assert (ended.stdout, ended.returncode) == ("heard x\n", 7), ended.stderr

    def test_how_it_ends(self, path: Path) -> None:
        """One that a signal ended, or that cannot be run, is said as a shell says it."""
        assert self.run(path, "sh", "-c", "kill -9 $$").returncode == 128 + signal.SIGKILL
        missing = self.run(path, "/nowhere/program")
        assert (missing.returncode, missing.stderr) == (127, "/nowhere/program: No such file or directory\n")


def free_port() -> int:
    """Return a port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; fail where it does not come."""
    end = time.monotonic() + ANSWER_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
