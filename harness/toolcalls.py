"""The session's tool calls on their way to the host and back, and the mail that a turn takes in by them."""

from __future__ import annotations

from functools import partial
from typing import Any

from harness import wire
from harness.child import Child
from harness.link import Call, Closed, Link, Refused, command_id
from harness.loop import Loop
from harness.reports import Reports

READING = frozenset({"recv", "recent", "list"})
"""Tools that change nothing by being called twice; every other carries a command id."""


class ToolCalls:
    """The calls that wait for the host; what `recv` brings is added to ``held``, to be acknowledged with the turn."""

    def __init__(self, link: Link, loop: Loop, reports: Reports, held: dict[int, wire.Mail]) -> None:
        self._link = link
        self._loop = loop
        self._reports = reports
        self._held = held
        self._waiting: dict[int, tuple[str, Call]] = {}

    def start(self, child: Child, number: int, name: str, arguments: dict[str, Any]) -> None:
        """Pass a call of a running turn on to the host."""
        request: dict[str, Any] = {**arguments, "cmd": name}
        if name == "recv":
            request["holding"] = list(self._held)
        if name not in READING:
            request["command_id"] = command_id()
        try:
            call = self._link.start(
                request, on_done=lambda call: self._loop.post(partial(self._done, child, number, call))
            )
        except wire.WireError as error:
            refuse(child, number, str(error))
            return
        self._waiting[number] = (name, call)
        self._show_status()

    def cancel(self, number: int) -> None:
        """Forget a call that the session no longer waits for; mail that it would have brought comes again."""
        if number in self._waiting:
            _, call = self._waiting.pop(number)
            self._link.withdraw(call)

    def cancel_all(self) -> None:
        """Forget every call: the turn is over."""
        for number in list(self._waiting):
            self.cancel(number)

    def _done(self, child: Child, number: int, call: Call) -> None:
        name, waiting = self._waiting.get(number, ("", None))
        if waiting is not call:
            return
        del self._waiting[number]
        try:
            reply = call.result()
        except Refused as refused:
            refuse(child, number, str(refused))
        except Closed:
            return
        else:
            if name == "recv":
                for mail in map(wire.Mail.from_wire, reply["messages"]):
                    self._held[mail.id] = mail
            child.say({"do": "tool_result", "call": number, "ok": True, "reply": reply})
        self._show_status()

    def _show_status(self) -> None:
        polling = any(name == "recv" for name, _ in self._waiting.values())
        self._reports.status("waiting" if polling else "thinking")


def refuse(child: Child, number: int, text: str) -> None:
    """Answer a call with an error that the model reads."""
    child.say({"do": "tool_result", "call": number, "ok": False, "error": text})
