"""Messages of a session as `claude` writes them, for tests that need one of each without a session."""

from __future__ import annotations

import json
import socket
import uuid
from pathlib import Path
from typing import Any

from hyperhive.events.stream_store import StreamEvent

AT = "2026-11-22T14:41:30.974Z"

Data = dict[str, Any]


def event(data: Data, *, id_: int = 7, at: str = AT) -> StreamEvent:
    """Return a message as the host keeps it."""
    return StreamEvent(run="r", number=id_, at=at, type=str(data.get("type", "unknown")), data=data, id=id_)


def assistant(*blocks: Data, model: str = "claude-sonnet-4-5", **more: Any) -> Data:
    """Return what the model said."""
    message = {"role": "assistant", "model": model, "content": list(blocks), "usage": {"input_tokens": 54_000}}
    return {"type": "assistant", "message": message, "parent_tool_use_id": None, **more}


def text(words: str) -> Data:
    """Return a block of text."""
    return {"type": "text", "text": words}


def tool(id_: str, name: str, /, **given: Any) -> Data:
    """Return a call."""
    return {"type": "tool_use", "id": id_, "name": name, "input": given}


def result(id_: str, content: Any, *, failed: bool = False, detail: Any = None) -> Data:
    """Return a call's result."""
    block = {"type": "tool_result", "tool_use_id": id_, "content": content, "is_error": failed}
    return {"type": "user", "message": {"role": "user", "content": [block]}, "tool_use_result": detail}


def prompt(content: str) -> Data:
    """Return what the session was told."""
    return {"type": "user", "message": {"role": "user", "content": content}, "isReplay": True}


def system(subtype: str, **more: Any) -> Data:
    """Return a message of the program's."""
    return {"type": "system", "subtype": subtype, **more}


def mail(body: str, *, id_: int = 7, sender: str = "operator") -> str:
    """Return a turn's prompt as the harness writes it."""
    quoted = "\n".join(f"> {line}" for line in body.split("\n"))
    return f"1 message for you.\n\n[message {id_} from {sender} at 2026-01-02T03:04:05Z]\n{quoted}"


class Speaker:
    """A harness that says what a test wants, on an agent's own socket."""

    def __init__(self, path: Path) -> None:
        self.run = uuid.uuid4().hex
        self.next = 0
        self._path = path

    def say(self, *messages: Data, at: str | None = None) -> None:
        """Let messages come into the stream."""
        events = [
            {"at": at or _now(), "type": str(message.get("type", "unknown")), "data": message} for message in messages
        ]
        for first in range(0, len(events), 100):
            batch = events[first : first + 100]
            self._ask({"cmd": "stream", "run": self.run, "first": self.next, "events": batch})
            self.next += len(batch)

    def report(self, kind: str, **fields: Any) -> None:
        """Report something."""
        self._ask({"cmd": "report", "event": {"kind": kind, **fields}})

    def take(self) -> None:
        """Take the mail that waits, holding none: what was handed over before comes again."""
        self._ask({"cmd": "recv", "wait_seconds": 0, "holding": []})

    def send(self, body: str, to: str = "operator") -> None:
        """Write to somebody."""
        self._ask({"cmd": "send", "to": to, "body": body})

    def _ask(self, request: Data) -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self._path))
            connection.sendall(json.dumps(request).encode() + b"\n")
            reply = json.loads(connection.makefile().readline())
        assert reply["ok"], reply


def _now() -> str:
    from harness.log import now

    return now()
