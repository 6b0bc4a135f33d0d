"""A scripted host: an inbox, reports and a stream on a real unix socket; it can go away and come back."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from harness import wire

AT = "2026-01-02T03:04:05.678Z"
DEADLINE_SECONDS = 60.0

Reply = dict[str, Any]
Request = dict[str, Any]


class HangUp(Exception):  # noqa: N818
    """Raised by an answer: the host goes away without a reply."""


class Host:
    """One agent's side of a daemon. What it knows survives `stop`, as a log would."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.requests: list[Request] = []
        self.reports: list[dict[str, Any]] = []
        self.sent: list[Request] = []
        self.acked: list[int] = []
        self.handed_over: list[list[int]] = []
        self.stream: dict[str, list[tuple[int, dict[str, Any]]]] = {}
        self.session: dict[str, Any] = {"agent": "coder", "role": "agent"}
        self.control: dict[str, Any] = {"seen": 1, "hold": False, "interrupt": None}
        self.answers: dict[str, Callable[[Request], Reply | None]] = {}
        """By command: asked first; what it returns is the reply, None leaves the usual one."""
        self._mail: list[wire.Mail] = []
        self._deliveries: dict[int, int] = {}
        self._done: dict[str, Reply] = {}
        self._changed = threading.Condition()
        self._listener: socket.socket | None = None
        self._connections: list[socket.socket] = []

    def start(self) -> Host:
        """Listen, on a new inode each time."""
        self.path.unlink(missing_ok=True)
        listener = self._listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.path))
        listener.listen()
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Go away as a killed daemon does: every connection ends, long polls too."""
        with self._changed:
            listener, self._listener = self._listener, None
            connections, self._connections = self._connections, []
            self._changed.notify_all()
        for end in (listener, *connections):
            if end is not None:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()
        self.path.unlink(missing_ok=True)

    def deliver(self, body: str, *, sender: str = "operator") -> int:
        """Put a message into the inbox."""
        with self._changed:
            number = len(self._mail) + 1
            self._mail.append(wire.Mail(id=number, at=AT, sender=sender, body=body))
            self._changed.notify_all()
        return number

    def wait(self, met: Callable[[], Any], *, seconds: float = DEADLINE_SECONDS) -> Any:
        """Return what ``met`` returns once that is true; fails the test where it does not come to be."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not (found := met()):
                left = deadline - time.monotonic()
                assert left > 0, f"in vain; the host has heard {[r['cmd'] for r in self.requests]}, {self.reports}"
                self._changed.wait(min(left, 0.1))
        return found

    def wait_report(self, kind: str, count: int = 1, **fields: Any) -> dict[str, Any]:
        """Return the nth report of a kind with these fields, once it has come."""
        self.wait(lambda: len(self.told(kind, **fields)) >= count)
        return self.told(kind, **fields)[count - 1]

    def told(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        """Return the reports of a kind with these fields."""
        wanted = {"kind": kind, **fields}
        return [report for report in self.reports if wanted.items() <= report.items()]

    def asked(self, cmd: str) -> list[Request]:
        """Return the requests of a command, each as often as it came."""
        return [request for request in self.requests if request["cmd"] == cmd]

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Return the stream's events in their order."""
        return [event for run in self.stream.values() for _, event in run if kind in (None, event["type"])]

    def prompts(self, count: int = 1) -> list[str]:
        """Return what the session was told at the beginning of each turn, once this many are known.

        The stream comes on a way of its own: the report of a turn's end may well be here before its first event.
        """

        def told() -> list[str]:
            users = (event["data"] for event in self.events("user"))
            return [data["message"]["content"] for data in users if data.get("isReplay")]

        self.wait(lambda: len(told()) >= count)
        return told()

    def tool_results(self, count: int = 1) -> list[str]:
        """Return what tools gave back to the model, once this many are known."""

        def given() -> list[str]:
            contents = (event["data"]["message"]["content"] for event in self.events("user"))
            return [str(block) for content in contents if isinstance(content, list) for block in content]

        self.wait(lambda: len(given()) >= count)
        return given()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with self._changed:
                    if self._listener is not listener:
                        connection.close()
                        return
                    self._connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        lock = threading.Lock()
        with contextlib.suppress(OSError, ValueError), connection.makefile("rb") as lines:
            for line in lines:
                request = wire.decode(line)
                threading.Thread(target=self._answer, args=(connection, lock, request), daemon=True).start()
        with self._changed:
            if connection in self._connections:
                self._connections.remove(connection)
            self._changed.notify_all()

    def _answer(self, connection: socket.socket, lock: threading.Lock, request: Request) -> None:
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
        try:
            reply = self._reply(connection, request)
        except HangUp:
            self._hang_up(connection)
            return
        if "id" in request:
            reply = {**reply, "id": request["id"]}
        with contextlib.suppress(OSError), lock:
            connection.sendall(wire.encode(reply))

    def _hang_up(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    def _reply(self, connection: socket.socket, request: Request) -> Reply:
        answer = self.answers.get(request["cmd"])
        if answer is not None and (scripted := answer(request)) is not None:
            return scripted
        with self._changed:
            once = request.get("command_id")
            if once in self._done:
                return self._done[once]
            reply: Reply = getattr(self, f"_{request['cmd']}")(connection, request)
            if once is not None:
                self._done[once] = reply
            self._changed.notify_all()
            return reply

    def _send(self, _: socket.socket, request: Request) -> Reply:
        if request["to"] == "nobody":
            return {"ok": False, "code": "not_found", "error": "no agent 'nobody'; there are: coder, manager"}
        self.sent.append(request)
        return {"ok": True, "message_id": 1000 + len(self.sent)}

    def _recv(self, connection: socket.socket, request: Request) -> Reply:
        deadline = time.monotonic() + min(request["wait_seconds"], wire.WAIT_MAX_SECONDS)
        while connection in self._connections:
            waiting = [mail for mail in self._mail if mail.id not in {*request["holding"], *self.acked}]
            if waiting or time.monotonic() >= deadline:
                return {"ok": True, "messages": list(self._hand_over(waiting))}
            self._changed.wait(min(0.5, max(0.0, deadline - time.monotonic())))
        raise HangUp

    def _hand_over(self, waiting: Iterable[wire.Mail]) -> Iterator[Reply]:
        ids = []
        for mail in waiting:
            ids.append(mail.id)
            count = self._deliveries[mail.id] = self._deliveries.get(mail.id, 0) + 1
            yield {**mail.to_wire(), "redelivered": count > 1}
        if ids:
            self.handed_over.append(ids)

    def _ack(self, _: socket.socket, request: Request) -> Reply:
        self.acked += request["ids"]
        return {"ok": True, "acked": request["ids"]}

    def _recent(self, _: socket.socket, request: Request) -> Reply:
        return {"ok": True, "messages": [mail.to_wire() for mail in self._mail[-request["limit"] :]]}

    def _report(self, _: socket.socket, request: Request) -> Reply:
        event = request["event"]
        self.reports.append(event)
        if event["kind"] == "turn_ended":
            self.acked += event["ack"]
            self.session["session_id"] = event.get("session_id") or self.session.get("session_id")
        if event["kind"] == "session_lost":
            self.session["session_id"] = event["actual"]
        return {"ok": True}

    def _stream(self, _: socket.socket, request: Request) -> Reply:
        run = self.stream.setdefault(request["run"], [])
        expected = run[-1][0] + 1 if run else 0
        first, events = request["first"], request["events"]
        if first > expected and events[0]["type"] != "dropped":
            return {"ok": False, "code": "conflict", "error": f"the stream goes on at {expected}, not at {first}"}
        run += [(number, event) for number, event in enumerate(events, first) if number >= expected]
        return {"ok": True, "next": max(expected, first + len(events))}

    def steer(self, *, hold: bool = False, interrupt: str | None = None) -> None:
        """Change what the turn loop has to do; whoever asks hears it at once."""
        with self._changed:
            self.control = {"seen": self.control["seen"] + 1, "hold": hold, "interrupt": interrupt}
            self._changed.notify_all()

    def _control(self, connection: socket.socket, request: Request) -> Reply:
        while connection in self._connections:
            if request.get("seen") != self.control["seen"]:
                return {"ok": True, **self.control}
            self._changed.wait(0.5)
        raise HangUp

    def _session(self, _: socket.socket, __: Request) -> Reply:
        return {"ok": True, **self.session}
