"""The line server alone: every limit of the wire, and clients that behave badly."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from pathlib import Path

import pytest

from harness import wire
from hyperhive.sockets import lines
from hyperhive.sockets.lines import LineServer, Protocol
from tests.sockets.client import Client, until
from tests.sockets.echo import Echo, error, serving

RUBBISH: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"hello\n", "not JSON"),
    "an empty line": (b"\n", "not JSON"),
    "half an object": (b'{"cmd":"echo"\n', "not JSON"),
    "two objects": (b'{"cmd":"echo"} {"cmd":"echo"}\n', "not JSON"),
    "an array": (b'["echo"]\n', "one JSON object"),
    "a number": (b"12\n", "one JSON object"),
    "not UTF-8": (b'{"text":"\xff"}\n', "not UTF-8"),
    "half a surrogate pair": (b'{"text":"\\ud83d"}\n', "surrogate"),
    "half a pair in a key": (b'{"\\udc00":1}\n', "surrogate"),
    "NaN": (b'{"text":NaN}\n', "NaN is not JSON"),
    "Infinity": (b'{"text":-Infinity}\n', "Infinity is not JSON"),
    "a number without end": (b'{"text":1e999}\n', "too large"),
    "an integer without end": (b'{"text":' + b"9" * 5_000 + b"}\n", "not JSON"),
    "a key twice": (b'{"cmd":"echo","text":1,"text":2}\n', "'text' stands twice"),
    "a key twice inside": (b'{"cmd":"echo","text":[{"a":1,"a":1}]}\n', "'a' stands twice"),
    "too deep": (b'{"text":' + b"[" * 64 + b"]" * 64 + b"}\n", "nests deeper than 64"),
    "much too deep": (b"[" * 1_000_000 + b"\n", "nests deeper than 64"),
    "quotes without end": (b'{"text":[' + b"[]," * 70 + b'"' + b'\\"' * 500_000 + b"\n", "not JSON"),
    "a key twice among many": (
        ("{" + "".join(f'"{key}":1,' for key in range(90_000)) + '"z":1,"z":2}\n').encode(),
        "'z' stands twice",
    ),
    "a NUL": (b'{"cmd":"echo"}\0\n', "not JSON"),
}


def padded(size: int) -> bytes:
    """Return a good request that is a line of exactly this size, newline included."""
    frame = b'{"cmd":"echo","junk":"%b"}\n'
    return frame % (b"x" * (size - len(frame % b"")))


class TestLimits:
    """What a line may be."""

    @pytest.mark.parametrize("name", RUBBISH)
    def test_rubbish(self, place: Path, name: str) -> None:
        """Each kind of rubbish gets one error that says what is wrong, and the connection goes on."""
        line, told = RUBBISH[name]

        async def story() -> tuple[dict[str, object], dict[str, object]]:
            async with serving(place / "s"):
                client = await Client.of(place / "s")
                return await client.ask(line), await client.ask({"cmd": "echo", "text": "still here"})

        refusal, answer = asyncio.run(story())
        assert (refusal["ok"], refusal["code"]) == (False, "invalid")
        assert told in str(refusal["error"])
        assert answer == {"ok": True, "echo": "still here"}

    def test_depth_64(self, place: Path) -> None:
        """64 deep is not too deep; the line itself counts."""

        async def story() -> dict[str, object]:
            async with serving(place / "s"):
                return await (await Client.of(place / "s")).ask(b'{"text":' + b"[" * 63 + b"]" * 63 + b"}\n")

        assert asyncio.run(story())["ok"] is True

    def test_brackets_in_strings(self, place: Path) -> None:
        """Brackets inside a string do not nest."""
        text = '[{"\\' * 500

        async def story() -> dict[str, object]:
            async with serving(place / "s"):
                return await (await Client.of(place / "s")).ask({"cmd": "echo", "text": text})

        assert asyncio.run(story()) == {"ok": True, "echo": text}

    def test_exactly_a_mebibyte(self, place: Path) -> None:
        """A line of exactly 1 MiB is answered; its newline counts."""

        async def story() -> dict[str, object]:
            async with serving(place / "s"):
                return await (await Client.of(place / "s")).ask(padded(wire.MAX_LINE_BYTES))

        assert asyncio.run(story())["ok"] is True

    @pytest.mark.parametrize("excess", [1, 100, 3 * wire.MAX_LINE_BYTES])
    def test_over_a_mebibyte(self, place: Path, excess: int) -> None:
        """A longer line, by however much, is refused once, and the next one is answered."""

        async def story() -> list[dict[str, object]]:
            async with serving(place / "s"):
                client = await Client.of(place / "s")
                await client.send(padded(wire.MAX_LINE_BYTES + excess), {"cmd": "echo", "text": "next"})
                return [await client.reply(), await client.reply()]

        refusal, answer = asyncio.run(story())
        assert (refusal["code"], answer) == ("too_large", {"ok": True, "echo": "next"})
        assert "1048576" in str(refusal["error"])

    def test_line_without_an_end(self, place: Path) -> None:
        """A line that does not end is refused before it does, and takes no memory from then on."""

        async def story() -> tuple[dict[str, object], int, bytes]:
            async with serving(place / "s") as (server, _):
                client = await Client.of(place / "s")
                await client.send(b"x" * (2 * wire.MAX_LINE_BYTES))
                refusal = await client.reply()
                await client.send(b"x" * wire.MAX_LINE_BYTES)
                client.half_close()
                return refusal, server.partial, await client.rest()

        refusal, partial, rest = asyncio.run(story())
        assert (refusal["code"], partial, rest) == ("too_large", 0, b"")

    def test_long_error(self, place: Path) -> None:
        """An error does not give back all that a client has sent."""

        async def story() -> dict[str, object]:
            async with serving(place / "s"):
                return await (await Client.of(place / "s")).ask({"cmd": "refuse", "size": 500_000})

        refusal = asyncio.run(story())
        assert len(str(refusal["error"])) == lines.MAX_ERROR_CHARACTERS
        assert str(refusal["error"]).startswith("no such thing yyy")

    def test_reply_over_a_line(self, place: Path) -> None:
        """A reply that fits no line becomes an error with the same id."""

        async def story() -> list[dict[str, object]]:
            async with serving(place / "s"):
                client = await Client.of(place / "s")
                return [await client.ask({"cmd": "long", "size": 2**20, "id": 4}), await client.ask({"text": "next"})]

        refusal, answer = asyncio.run(story())
        assert (refusal["ok"], refusal["code"], refusal["id"]) == (False, "too_large", 4)
        assert answer["ok"] is True


class TestIds:
    """Requests that may be answered out of turn."""

    def test_out_of_turn(self, place: Path) -> None:
        """A request with an id does not wait for one that is open; each reply repeats its id as it was."""

        async def story() -> list[dict[str, object]]:
            async with serving(place / "s") as (_, echo):
                client = await Client.of(place / "s")
                await client.send({"cmd": "wait", "id": "first"}, {"cmd": "echo", "id": 2, "text": "second"})
                second = await client.reply()
                echo.released.set()
                return [second, await client.reply()]

        assert asyncio.run(story()) == [
            {"ok": True, "echo": "second", "id": 2},
            {"ok": True, "echo": None, "id": "first"},
        ]

    def test_repeated(self, place: Path) -> None:
        """An id that is used again, even while it is open, is answered each time."""

        async def story() -> list[dict[str, object]]:
            async with serving(place / "s") as (_, echo):
                client = await Client.of(place / "s")
                await client.send({"cmd": "wait", "id": 1, "text": "a"}, {"cmd": "echo", "id": 1, "text": "b"})
                replies = [await client.reply()]
                echo.released.set()
                return [*replies, await client.reply(), await client.ask({"cmd": "echo", "id": 1, "text": "c"})]

        assert [(reply["id"], reply["echo"]) for reply in asyncio.run(story())] == [(1, "b"), (1, "a"), (1, "c")]

    def test_long_number(self, place: Path) -> None:
        """An id may have more digits than a machine's word; its reply repeats every one."""

        async def story() -> list[dict[str, object]]:
            async with serving(place / "s"):
                client = await Client.of(place / "s")
                return [await client.ask({"cmd": cmd, "id": 10**100}) for cmd in ("echo", "refuse")]

        assert [(reply["ok"], reply["id"]) for reply in asyncio.run(story())] == [(True, 10**100), (False, 10**100)]

    def test_without_ids_in_order(self, place: Path) -> None:
        """Requests without ids are answered one after the other, however long the first takes."""

        async def story() -> tuple[list[str], list[object]]:
            async with serving(place / "s") as (_, echo):
                client = await Client.of(place / "s")
                await client.send(*({"cmd": "wait" if number == 0 else "echo", "text": number} for number in range(9)))
                # One with an id, answered at once, shows that the others were received and wait.
                await client.ask({"cmd": "echo", "id": 0})
                looked_at = [str(request["cmd"]) for request in echo.seen]
                echo.released.set()
                return looked_at, [(await client.reply())["echo"] for _ in range(9)]

        assert asyncio.run(story()) == (["wait", "echo"], list(range(9)))

    @pytest.mark.parametrize("id_", [None, True, 1.5, [1], {"a": 1}, "x" * 129, 10**129])
    def test_bad_id(self, place: Path, id_: object) -> None:
        """An id that is no whole number and no short text is refused, and the request with it."""

        async def story() -> tuple[dict[str, object], int]:
            async with serving(place / "s") as (_, echo):
                client = await Client.of(place / "s")
                return await client.ask({"cmd": "echo", "id": id_}), len(echo.seen)

        refusal, seen = asyncio.run(story())
        assert (refusal["code"], seen) == ("invalid", 0)
        assert "an id is a whole number or a text" in str(refusal["error"])
        assert "id" not in refusal

    def test_protocol_without_ids(self, place: Path) -> None:
        """Where the protocol has no ids, one is a field like any other: nothing is answered out of turn."""

        async def story() -> list[dict[str, object]]:
            async with serving(place / "s", ids=False) as (_, echo):
                client = await Client.of(place / "s")
                await client.send({"cmd": "wait", "id": 1, "text": "a"}, {"cmd": "echo", "id": [2], "text": "b"})
                await until(lambda: echo.waiting)
                echo.released.set()
                return [await client.reply(), await client.reply()]

        assert asyncio.run(story()) == [{"ok": True, "echo": "a"}, {"ok": True, "echo": "b"}]


class TestTooMuch:
    """Clients that want more than their share."""

    def test_open_requests(self, place: Path) -> None:
        """One request more than may be open is refused with its id; the open ones are answered."""
        limit = lines.MAX_OPEN_REQUESTS

        async def story() -> tuple[dict[str, object], set[object]]:
            async with serving(place / "s") as (_, echo):
                client = await Client.of(place / "s")
                await client.send(*({"cmd": "wait", "id": number} for number in range(limit + 1)))
                refusal = await client.reply()
                echo.released.set()
                return refusal, {(await client.reply())["id"] for _ in range(limit)}

        refusal, answered = asyncio.run(story())
        assert (refusal["id"], refusal["code"]) == (limit, "unavailable")
        assert answered == set(range(limit))

    def test_waiting_requests(self, place: Path) -> None:
        """Requests without ids pile up to the same limit, and no further."""
        limit = lines.MAX_OPEN_REQUESTS

        async def story() -> tuple[dict[str, object], int]:
            async with serving(place / "s") as (_, echo):
                client = await Client.of(place / "s")
                await client.ask({"cmd": "echo"})
                await client.send({"cmd": "wait"})
                await until(lambda: echo.waiting)
                await client.send(*({"cmd": "echo"} for _ in range(limit + 1)))
                refusal = await client.reply()
                echo.released.set()
                for _ in range(limit + 1):
                    assert (await client.reply())["ok"] is True
                return refusal, len(echo.seen)

        refusal, seen = asyncio.run(story())
        assert (refusal["code"], seen) == ("unavailable", limit + 2)

    def test_bytes_of_open_requests(self, place: Path) -> None:
        """Open requests hold so many bytes on one socket and no more; once they are answered there is room again."""
        big = "x" * 1_000_000

        async def story() -> tuple[dict[str, object], dict[str, object], int]:
            async with serving(place / "s") as (server, echo):
                clients = [await Client.of(place / "s") for _ in range(5)]
                for client in clients[:4]:
                    await client.send({"cmd": "wait", "junk": big})
                await until(lambda: echo.waiting == 4)
                refusal = await clients[4].ask({"cmd": "echo", "junk": big, "id": 7})
                echo.released.set()
                for client in clients[:4]:
                    await client.reply()
                return refusal, await clients[4].ask({"cmd": "echo", "junk": big, "id": 8}), server.held

        refusal, answer, held = asyncio.run(story())
        assert (refusal["code"], refusal.get("id")) == ("unavailable", 7)
        assert (answer["ok"], held) == (True, 0)

    def test_lines_that_do_not_end(self, place: Path) -> None:
        """Clients in the middle of long lines hold no more than that either; one with a short line is answered."""

        async def story() -> tuple[int, dict[str, object]]:
            async with serving(place / "s") as (server, _):
                greedy = [await Client.of(place / "s") for _ in range(12)]
                for client in greedy:
                    await client.send(b"x" * 1_000_000)
                other = await Client.of(place / "s")
                await until(lambda: server.partial >= 3_000_000)
                return server.partial, await other.ask({"text": "me"})

        partial, answer = asyncio.run(story())
        assert partial <= lines.MAX_HELD_BYTES
        assert answer == {"ok": True, "echo": "me"}

    def test_client_that_does_not_read(self, place: Path) -> None:
        """A client that asks and never reads is cut off, and gives back what it held; others are answered."""

        async def story() -> tuple[int, dict[str, object]]:
            async with serving(place / "s") as (server, _):
                greedy, modest = await Client.of(place / "s"), await Client.of(place / "s")
                await until(lambda: len(server.connections) == 2)
                greedy.stop_reading()
                await greedy.send(*({"cmd": "long", "size": 1_000_000, "id": number} for number in range(8)))
                await until(lambda: len(server.connections) == 1)
                return server.unread, await modest.ask({"text": "me"})

        assert asyncio.run(story()) == (0, {"ok": True, "echo": "me"})

    def test_many_clients_that_do_not_read(self, place: Path) -> None:
        """Clients that stay below the limit alone are cut off where they are over it together."""
        most = 4 * lines.MAX_UNREAD_BYTES

        async def story() -> tuple[int, int]:
            async with serving(place / "s") as (server, _):
                clients = [await Client.of(place / "s") for _ in range(8)]
                await until(lambda: len(server.connections) == 8)
                for client in clients:
                    client.stop_reading()
                    await client.send(*({"cmd": "long", "size": 1_000_000, "id": number} for number in range(4)))
                await until(lambda: len(server.connections) < 8)
                return server.unread, len(server.connections)

        unread, connected = asyncio.run(story())
        assert unread <= most
        assert connected > 0

    def test_one_client_pours(self, place: Path) -> None:
        """A client that sends thousands of lines at once does not make others wait for the last of them."""

        async def story() -> int:
            async with serving(place / "one") as (_, one), serving(place / "other"):
                pouring, other = await Client.of(place / "one"), await Client.of(place / "other")
                # So many fit what the kernel keeps, and come in one piece.
                sending = asyncio.create_task(pouring.send(b'{"id":1}\n' * 20_000))
                await until(lambda: one.seen)
                await other.ask({"text": "me"})
                taken_by_then = len(one.seen) + one.refused
                sending.cancel()
                return taken_by_then

        assert asyncio.run(story()) < 2_000

    def test_many_clients_send_much(self, place: Path) -> None:
        """Many clients that send large lines, all at once, to one socket do not make another's wait for them all."""
        line = b'{"cmd":"echo","junk":[' + b",".join([b"[]"] * 10_000) + b"]}\n"

        async def story() -> int:
            async with serving(place / "one") as (_, one), serving(place / "other"):
                greedy, other = [await Client.of(place / "one") for _ in range(60)], await Client.of(place / "other")
                for client in greedy:
                    await client.ask({})
                sending = [asyncio.create_task(client.send(*[line] * 5)) for client in greedy]
                await until(lambda: len(one.seen) > len(greedy))
                await other.ask({"text": "me"})
                taken_by_then = len(one.seen) + one.refused - len(greedy)
                for task in sending:
                    task.cancel()
                return taken_by_then

        assert asyncio.run(story()) < 60

    def test_too_many_connections(self, place: Path) -> None:
        """A connection too many is told so and closed; when one leaves there is room again."""

        async def story() -> tuple[dict[str, object], bytes, dict[str, object]]:
            async with serving(place / "s", max_connections=3) as (server, _):
                inside = [await Client.of(place / "s") for _ in range(3)]
                for client in inside:
                    await client.ask({})
                outside = await Client.of(place / "s")
                told, rest = await outside.reply(), await outside.rest()
                inside[0].leave()
                await until(lambda: len(server.connections) == 2)
                return told, rest, await (await Client.of(place / "s")).ask({"text": "in"})

        told, rest, answer = asyncio.run(story())
        assert (told["code"], rest) == ("unavailable", b"")
        assert "3 connections" in str(told["error"])
        assert answer == {"ok": True, "echo": "in"}

    def test_two_hundred_connections(self, place: Path) -> None:
        """200 clients that hold on to one socket, half of them in mid-line, do not hold up another socket's client."""

        async def story() -> tuple[dict[str, object], int]:
            async with serving(place / "one", max_connections=256) as (server, _), serving(place / "other"):
                held = [await Client.of(place / "one") for _ in range(200)]
                for client in held[::2]:
                    await client.send(b'{"cmd":')
                answer = await (await Client.of(place / "other")).ask({"text": "me"})
                return answer, len(server.connections)

        assert asyncio.run(story()) == ({"ok": True, "echo": "me"}, 200)


class TestManners:
    """Clients that are slow, leave, or listen only."""

    def test_one_byte_at_a_time(self, place: Path) -> None:
        """A request that comes byte by byte is answered as any other."""

        async def story() -> dict[str, object]:
            async with serving(place / "s"):
                client = await Client.of(place / "s")
                for byte in json.dumps({"cmd": "echo", "text": "ö🐝"}, ensure_ascii=False).encode() + b"\n":
                    await client.send(bytes([byte]))
                    await asyncio.sleep(0)
                return await client.reply()

        assert asyncio.run(story()) == {"ok": True, "echo": "ö🐝"}

    @pytest.mark.parametrize("end", [b"\n", b""])
    def test_half_closed(self, place: Path, end: bytes) -> None:
        """A client that ends its side gets its answers, and then the end; the last newline may be missing."""

        async def story() -> bytes:
            async with serving(place / "s") as (_, echo):
                client = await Client.of(place / "s")
                await client.send({"cmd": "wait", "text": "a"}, b'{"cmd":"echo","text":"b"}' + end)
                client.half_close()
                await until(lambda: echo.waiting)
                echo.released.set()
                return await client.rest()

        assert asyncio.run(story()) == b'{"ok":true,"echo":"a"}\n{"ok":true,"echo":"b"}\n'

    def test_half_closed_with_nothing_asked(self, place: Path) -> None:
        """A client that ends its side without asking anything is let go."""

        async def story() -> bytes:
            async with serving(place / "s"):
                client = await Client.of(place / "s")
                client.half_close()
                return await client.rest()

        assert asyncio.run(story()) == b""

    @pytest.mark.parametrize("half_closed", [False, True])
    def test_leaving_ends_the_work(self, place: Path, half_closed: bool) -> None:
        """What a client waited for ends when it leaves, also one that had only ended its side; nothing is kept."""

        async def story() -> tuple[int, int]:
            async with serving(place / "s") as (server, echo):
                client = await Client.of(place / "s")
                await client.send({"cmd": "wait"}, {"cmd": "wait", "id": 1}, {"cmd": "echo"})
                await until(lambda: echo.waiting == 2)
                if half_closed:
                    client.half_close()
                    stranger = await Client.of(place / "s")
                    await stranger.ask({})
                    assert echo.ended == 0
                    stranger.leave()
                client.leave()
                await until(lambda: not server.connections)
                await until(lambda: echo.ended == 2)
                return len(echo.seen), server.held

        seen, held = asyncio.run(story())
        assert (seen, held) == (2 + half_closed, 0)

    def test_a_defect_of_the_daemon(self, place: Path) -> None:
        """A request that meets a defect is told so, without its details, and the next one is answered."""

        async def story() -> list[dict[str, object]]:
            async with serving(place / "s"):
                client = await Client.of(place / "s")
                return [await client.ask({"cmd": "break", "id": 1}), await client.ask({"cmd": "echo", "id": 2})]

        refusal, answer = asyncio.run(story())
        assert (refusal["code"], refusal["id"], answer["ok"]) == ("unavailable", 1, True)
        assert "RuntimeError" not in str(refusal["error"])


class TestOpening:
    """The socket's file, from the first to the last moment."""

    def test_mode(self, place: Path) -> None:
        """The file has exactly the mode it was given, whatever the umask is, and the umask stays."""

        async def story() -> int:
            async with serving(place / "s", mode=0o660):
                return stat.S_IMODE((place / "s").stat().st_mode)

        before = os.umask(0o077)
        try:
            assert asyncio.run(story()) == 0o660
            assert os.umask(0o077) == 0o077
        finally:
            os.umask(before)

    def test_opening_several_at_once(self, place: Path) -> None:
        """Sockets that open side by side change nobody's umask, not even for a moment."""

        async def open_one(name: str) -> LineServer:
            server = LineServer(place / name, Echo(), Protocol(error=error, ids=True), mode=0o600, max_connections=1)
            (place / f"{name}.d").mkdir(mode=0o755)
            await server.open()
            return server

        async def story() -> set[int]:
            names = [str(number) for number in range(8)]
            servers = await asyncio.gather(*map(open_one, names))
            for server in servers:
                await server.close()
            return {stat.S_IMODE((place / f"{name}.d").stat().st_mode) for name in names}

        before = os.umask(0o022)
        try:
            assert asyncio.run(story()) == {0o755}
        finally:
            assert os.umask(before) == 0o022

    def test_stale_file(self, place: Path) -> None:
        """The socket of a daemon that was killed is replaced."""

        async def story() -> dict[str, object]:
            abandoned = LineServer(place / "s", Echo(), Protocol(error=error, ids=True), mode=0o600, max_connections=1)
            await abandoned.open()
            async with serving(place / "s"):
                return await (await Client.of(place / "s")).ask({"text": "new"})

        assert asyncio.run(story()) == {"ok": True, "echo": "new"}

    def test_path_too_long(self, place: Path) -> None:
        """A path that no socket can have is an error, and nothing is left open."""
        with pytest.raises(OSError, match="too long"):
            asyncio.run(serving(place / ("x" * 108)).__aenter__())

    def test_close(self, place: Path) -> None:
        """After closing nothing works any more: clients see the end, their requests have ended, the file is gone."""

        async def story() -> tuple[int, bytes, bool]:
            async with serving(place / "s") as (_, echo):
                client = await Client.of(place / "s")
                await client.send({"cmd": "wait"}, {"cmd": "wait", "id": 1})
                await until(lambda: echo.waiting == 2)
            return echo.ended, await client.rest(), (place / "s").exists()

        assert asyncio.run(story()) == (2, b"", False)
