"""What systemd is told, heard on a real datagram socket."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperhive.daemon.notify import Notifier

DEADLINE_SECONDS = 60.0


@pytest.fixture(params=["path", "abstract"])
def ear(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A socket as systemd's, and what $NOTIFY_SOCKET calls it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(DEADLINE_SECONDS)
        if request.param == "path":
            place = Path("/tmp") / f"hh-notify-{os.getpid()}"
            listening.bind(str(place))
            yield listening, str(place)
            place.unlink()
        else:
            listening.bind(f"\0hyperhive-{tmp_path.name}-{os.getpid()}")
            yield listening, f"@hyperhive-{tmp_path.name}-{os.getpid()}"


def heard(listening: socket.socket) -> list[str]:
    """Return the lines of the next message."""
    return listening.recv(4096).decode().split("\n")


class TestSaying:
    """The messages."""

    def test_ready_and_stopping(self, ear: tuple[socket.socket, str]) -> None:
        """Each is one datagram, to a path as well as to an abstract name."""
        listening, address = ear
        notifier = Notifier.of({"NOTIFY_SOCKET": address})
        notifier.ready()
        notifier.stopping()
        assert (heard(listening), heard(listening)) == (["READY=1"], ["STOPPING=1"])

    def test_reloading(self, ear: tuple[socket.socket, str]) -> None:
        """A reload says when it began, on the monotonic clock, as Type=notify-reload wants it."""
        listening, address = ear
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000
        Notifier.of({"NOTIFY_SOCKET": address}).reloading()
        first, second = heard(listening)
        assert first == "RELOADING=1"
        name, _, usec = second.partition("=")
        assert name == "MONOTONIC_USEC"
        assert before <= int(usec) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000

    def test_watchdog(self, ear: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch) -> None:
        """It speaks, and again after half of the time after which it would be taken for dead."""
        listening, address = ear
        environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "200000", "WATCHDOG_PID": str(os.getpid())}
        pauses: list[float] = []

        async def pause(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 3:
                raise asyncio.CancelledError

        monkeypatch.setattr(asyncio, "sleep", pause)
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(Notifier.of(environment).watch())
        assert [heard(listening) for _ in range(3)] == [["WATCHDOG=1"]] * 3
        assert pauses == [0.1] * 3

    @pytest.mark.parametrize(
        "environment",
        [
            {},
            {"WATCHDOG_USEC": "0"},
            {"WATCHDOG_USEC": "soon"},
            {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"},
        ],
    )
    def test_nobody_watches(self, environment: dict[str, str]) -> None:
        """Without a watchdog, or with one for another process, there is nothing to say."""
        notifier = Notifier.of({"NOTIFY_SOCKET": "@somebody", **environment})
        assert notifier.watchdog_seconds is None
        asyncio.run(asyncio.wait_for(notifier.watch(), DEADLINE_SECONDS))


class TestNobodyThere:
    """The hive goes on, whoever listens."""

    @pytest.mark.parametrize("address", [None, "", "/nowhere/at/all", "@nobody-here", "vsock:2:1234", "/" + "x" * 200])
    def test_says_it_to_nobody(self, address: str | None) -> None:
        """An address that is not there, or is none, is no reason to end."""
        notifier = Notifier.of({} if address is None else {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000"})
        notifier.ready()
        notifier.reloading()
        notifier.stopping()

    def test_without_a_socket_there_is_no_watchdog(self) -> None:
        """WATCHDOG_USEC alone, as a shell inside a service has it, watches nobody."""
        assert Notifier.of({"WATCHDOG_USEC": "1000000"}).watchdog_seconds is None

    def test_full(self, ear: tuple[socket.socket, str]) -> None:
        """One that does not listen does not hold us up."""
        _listening, address = ear
        notifier = Notifier.of({"NOTIFY_SOCKET": address})
        begun = time.monotonic()
        for _ in range(2_000):
            notifier.ready()
        assert time.monotonic() - begun < DEADLINE_SECONDS
