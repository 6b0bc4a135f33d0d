"""A TCP port: had at once where it is free, waited for where another is about to leave it."""

from __future__ import annotations

import asyncio
import errno
import socket

import pytest

from hyperhive import listening


def test_reuses_the_address() -> None:
    """A port whose last connection is still in TIME_WAIT is had at once."""

    async def story() -> None:
        first = await listening.listen("127.0.0.1", 0)
        port = first.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        server, _ = first.accept()
        server.close()  # who closes first is who waits
        client.close()
        first.close()
        again = await listening.listen("127.0.0.1", port)
        assert again.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 1
        assert again.getsockname()[1] == port
        again.close()

    asyncio.run(asyncio.wait_for(story(), 10))


def test_answers_are_sent_at_once() -> None:
    """What is accepted has no Nagle delay: the second answer on a kept connection comes as soon as the first."""

    async def story() -> None:
        listener = await listening.listen("127.0.0.1", 0)
        undelayed: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def note(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            undelayed.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        async with await asyncio.start_server(note, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            assert await undelayed
            writer.close()

    asyncio.run(asyncio.wait_for(story(), 60))


def test_pauses_double_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """250 ms, doubling to at most 2 s, twelve tries; then the error itself."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    async def story() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            await listening.listen("127.0.0.1", taken.getsockname()[1])

    monkeypatch.setattr(asyncio, "sleep", pause)
    with pytest.raises(OSError, match="in use") as error:
        asyncio.run(story())
    assert error.value.errno == errno.EADDRINUSE
    assert pauses == [0.25, 0.5, 1.0, *[2.0] * 8]


def test_any_other_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that is not this host's is no better in a second."""

    async def never(_seconds: float) -> None:
        raise AssertionError("it waits")

    monkeypatch.setattr(asyncio, "sleep", never)
    with pytest.raises(OSError, match="assign requested address"):
        asyncio.run(listening.listen("192.0.2.1", 0))
