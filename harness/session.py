"""The session's process: the SDK and `claude`, kept warm between turns; it comes and goes with the session."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import os
import signal
import socket
import sys
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import attrs
from claude_agent_sdk import ClaudeSDKClient, CLINotFoundError

from harness import failures, processes, reading, stream, tools
from harness.options import Start, options_of
from harness.tap import Tap

USAGE_SECONDS = 3.0
"""`claude` asks the API for it where it is logged in with a subscription, so it may take a while, or fail."""
STATUS_SECONDS = 5.0
SERVER_ERROR = 300
"""Characters of why a tool server does not work."""
STDERR_LINES = 20

Message = dict[str, Any]


class Session:
    """One session, from the first message of the harness to the end of either side."""

    def __init__(self, harness: asyncio.StreamReader, writer: asyncio.StreamWriter, start: Start) -> None:
        self._harness = harness
        self._writer = writer
        self._start = start
        self._reader = reading.Reader()
        self._stderr: deque[str] = deque(maxlen=STDERR_LINES)
        self._claude_ended = asyncio.Event()
        self._in_turn = False
        self._model = start.model
        self._cost_usd: float | None = 0.0
        self._tool_calls: dict[int, asyncio.Future[Message]] = {}
        self._numbers = itertools.count(1)
        self._interrupting: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._tap: Tap | None = None

    async def run(self) -> None:
        """Connect and serve."""
        try:
            client, tap = await self._connect()
        except Exception as error:  # noqa: BLE001 - whatever keeps a session from coming up is reported
            self._say("failed", ok=False, error_kind=_kind_of(error, self._start), error=self._explain(str(error)))
            return
        self._say("ready")
        listening = asyncio.create_task(self._listen(client, tap))
        ending = asyncio.create_task(self._claude_ended.wait())
        await asyncio.wait({listening, ending}, return_when=asyncio.FIRST_COMPLETED)
        if self._in_turn:
            # The harness wants no more of this turn, or `claude` has crashed in it: no tool may run on unseen.
            if self._claude_ended.is_set():
                self._turn_ended(ok=False, error_kind="crash", error=self._explain("claude ended in mid-turn"))
            processes.kill_descendants(os.getpid())
        await client.disconnect()
        listening.cancel()

    async def _connect(self) -> tuple[ClaudeSDKClient, Tap]:
        try:
            client, tap = await self._open(self._start)
        except Exception:
            if self._start.resume is None or not any("No conversation found" in line for line in self._stderr):
                raise
            # The harness sees by the new id that the session is lost, and reports it.
            self._claude_ended.clear()
            return await self._open(attrs.evolve(self._start, resume=None))
        if self._start.resume is not None:
            self._cost_usd = await _cost_so_far(tap)
        return client, tap

    async def _open(self, start: Start) -> tuple[ClaudeSDKClient, Tap]:
        options = options_of(start, tools.build_server(start.tools, self._call_tool, typed=False), self._stderr.append)
        tap = Tap(options, on_message=self._on_message, on_end=self._claude_ended.set)
        self._tap = tap
        client = ClaudeSDKClient(options, transport=tap)
        await client.connect()
        return client, tap

    async def _listen(self, client: ClaudeSDKClient, tap: Tap) -> None:
        while line := await self._harness.readline():
            message = json.loads(line)
            match message["do"]:
                case "turn":
                    await self._turn(client, message, lambda prompt: client.query(_stream_of(prompt)))
                case "command":
                    # Past the SDK, which marks every prompt as one in which nothing is a command.
                    await self._turn(client, message, tap.say)
                case "interrupt":
                    # Its answer may wait for a tool, whose result comes this way too.
                    self._interrupting = asyncio.create_task(client.interrupt())
                case "tool_result":
                    call = self._tool_calls.pop(message["call"], None)
                    if call is not None and not call.done():
                        call.set_result(message)

    async def _turn(self, client: ClaudeSDKClient, message: Message, say: Callable[[Message], Awaitable[None]]) -> None:
        self._in_turn = True
        number = str(uuid.uuid4())
        self._reader.begin(number)
        try:
            if message["model"] != self._model:
                await client.set_model(message["model"])
                self._model = message["model"]
            await say(_prompt(message["prompt"], number))
        except Exception as error:  # noqa: BLE001 - a `claude` that does not take its prompt has failed the turn
            self._turn_ended(ok=False, error_kind="crash", error=self._explain(str(error)))

    def _on_message(self, message: Message) -> None:
        self._say("event", event=stream.event_of(message))
        for seen in self._reader.read(message):
            match seen:
                case reading.SessionSeen(session_id=session_id, model=model):
                    self._say("session", session_id=session_id, model=model)
                case reading.ServersSeen(failed=failed):
                    self._asking = asyncio.create_task(self._tell_servers(failed))
                case reading.SessionReset():
                    self._cost_usd = 0.0
                    self._say("session_reset")
                case reading.StatusSeen(status=status):
                    self._say("status", status=status)
                case reading.TurnEnded():
                    self._turn_ended(
                        ok=seen.ok,
                        error_kind=seen.error_kind,
                        error=seen.error,
                        cost_usd=self._cost_since(seen.total_cost_usd),
                        usage=dict(seen.usage),
                        session_id=seen.session_id,
                    )

    async def _tell_servers(self, failed: tuple[str, ...]) -> None:
        """Say which tool servers do not work, and why, as far as `claude` tells."""
        errors: Message = {}
        if failed and self._tap is not None:
            with contextlib.suppress(TimeoutError, OSError):
                status = await self._tap.ask("mcp_status", within_seconds=STATUS_SECONDS)
                errors = {str(server.get("name")): server.get("error") for server in status.get("mcpServers", [])}
        said = [failures.shorten(self._start.redact(str(errors.get(name) or "")), SERVER_ERROR) for name in failed]
        self._say("servers", failed=list(failed), errors=said)

    def _cost_since(self, total_usd: float) -> float:
        """Return what was spent since the last look at the total; where that is not known, nothing."""
        before, self._cost_usd = self._cost_usd, total_usd
        return 0.0 if before is None else max(0.0, total_usd - before)

    def _turn_ended(self, **outcome: Any) -> None:
        if self._in_turn:
            self._in_turn = False
            self._say("turn_ended", **outcome)
            if not self._claude_ended.is_set():
                processes.reap_orphans()

    async def _call_tool(self, name: str, arguments: Message) -> Mapping[str, Any]:
        number = next(self._numbers)
        answer = self._tool_calls[number] = asyncio.get_running_loop().create_future()
        self._say("tool", call=number, name=name, arguments=arguments)
        try:
            result = await answer
        except asyncio.CancelledError:
            self._tool_calls.pop(number, None)
            self._say("tool_cancelled", call=number)
            raise
        if not result["ok"]:
            raise tools.ToolRefused(result["error"])
        reply: Mapping[str, Any] = result["reply"]
        return reply

    def _explain(self, text: str) -> str:
        """Return an error's text with what `claude` said on stderr, without secrets."""
        return failures.shorten(self._start.redact("\n".join([text, *self._stderr])))

    def _say(self, did: str, **fields: Any) -> None:
        self._writer.write(json.dumps({"did": did, **fields}, separators=(",", ":")).encode() + b"\n")


def main() -> None:
    """Run in a process of its own, with the harness on the other end of standard input's socket."""
    harness = socket.socket(fileno=os.dup(0))
    # Nothing that the session starts may find that socket, or end up on it.
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    processes.adopt_orphans()
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGTERM, _die)
    processes.die_with_parent()
    # What the SDK logs of a failure comes back to the harness as the turn's error.
    logging.getLogger("claude_agent_sdk").setLevel(logging.CRITICAL)
    asyncio.run(_main(harness))


async def _main(harness: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=harness, limit=sys.maxsize)
    line = await reader.readline()
    if not line:
        return
    start = json.loads(line)
    del start["do"]
    await Session(reader, writer, Start(**start)).run()
    with contextlib.suppress(OSError):
        await writer.drain()
        writer.close()
        await writer.wait_closed()


def _die(*_: object) -> None:
    """End at once, and leave nothing behind: the harness was killed."""
    processes.kill_descendants(os.getpid())
    os._exit(1)


async def _cost_so_far(tap: Tap) -> float | None:
    """Return what a resumed session counts from: `claude` takes up its total where it ended in peace, else 0."""
    try:
        usage = await tap.ask("get_usage", within_seconds=USAGE_SECONDS)
        return float(usage["session"]["total_cost_usd"])
    except Exception:  # noqa: BLE001 - an older `claude`, or no network: one turn's cost is not worth the session
        return None


def _kind_of(error: Exception, start: Start) -> failures.Kind:
    path = start.claude_path
    missing = isinstance(error, CLINotFoundError) or (path is not None and not os.access(path, os.X_OK))
    return "claude_missing" if missing else "start"


def _prompt(text: str, number: str) -> Message:
    return {
        "type": "user",
        "message": {"role": "user", "content": text},
        "parent_tool_use_id": None,
        "session_id": "default",
        "uuid": number,
    }


async def _stream_of(message: Message) -> AsyncIterator[Message]:
    yield message
