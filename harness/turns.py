"""The turn loop: one turn of the session for each batch of mail, acknowledged at its end, or for a slash command."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import attrs

from harness import envelope, failures, wire
from harness.backoff import Backoff
from harness.child import Child, Message
from harness.control import Command, Control
from harness.egress import Egress
from harness.failures import Kind
from harness.link import Call, Closed, Link, Refused
from harness.log import log
from harness.loop import Loop
from harness.reports import Outcome, Reports
from harness.settings import Place, SessionSpec, SettingsError
from harness.spool import Spool
from harness.toolcalls import ToolCalls, refuse
from harness.version import VERSION
from harness.warm import Sessions, Warm

INTERRUPT_SECONDS = 1.5
"""What a running turn has to end when the harness is told to stop."""
FLUSH_SECONDS = 0.5
RELEASE_SECONDS = 1.0


class Turns:
    """One harness's life; all of it runs in the main thread."""

    def __init__(self, place: Place, link: Link, loop: Loop, spool: Spool, egress: Egress) -> None:
        self._link = link
        self._loop = loop
        self._spool = spool
        self._egress = egress
        self._held: dict[int, wire.Mail] = {}
        self._tried: set[int] = set()
        self._outcome: Outcome | None = None
        self._in_turn = False
        self._cut_off: Kind = "api"
        self._backoff = Backoff(place.backoff_seconds)
        self._host_backoff = Backoff(place.backoff_seconds)
        self._reports = Reports(link, loop, place.generation)
        self._control = Control(link, loop)
        self._tool_calls = ToolCalls(link, loop, self._reports, self._held)
        self._sessions = Sessions(
            place, on_message=self._heard, on_gone=lambda child, code: loop.post(partial(self._gone, child, code))
        )

    def run(self) -> None:
        """Live until told to stop."""
        try:
            self._reports.harness_started(self._spool.run, VERSION)
            self._control.open()
            while not self._loop.stopping:
                if not self._control.commands:
                    self._poll(0.0 if self._held else wire.WAIT_MAX_SECONDS)
                if (self._held or self._control.commands) and self._loop.until(lambda: not self._control.hold):
                    self._attempt()
            self._spool.flush(FLUSH_SECONDS)
        except Closed:
            log("stopped_without_host", held=len(self._held))
        finally:
            self._sessions.release("stopped", grace_seconds=RELEASE_SECONDS)

    def _poll(self, wait_seconds: float) -> None:
        """Take mail in, beside what is held already; meanwhile a session that idles is released.

        A slash command ends the wait.
        """
        request = {"cmd": "recv", "wait_seconds": wait_seconds, "holding": list(self._held)}
        call = self._ask(request)

        def over() -> bool:
            return call.done or bool(self._control.commands)

        if not self._loop.until(over, seconds=self._sessions.idle_seconds_left()):
            if not self._loop.stopping:
                self._sessions.release("idle")
            self._loop.until(over)
        if not call.done:
            self._link.withdraw(call)
            return
        try:
            for mail in map(wire.Mail.from_wire, call.result()["messages"]):
                self._held[mail.id] = mail
            self._host_backoff.reset()
        except Refused as refused:
            log("recv_refused", code=refused.code, error=refused)
            self._loop.pause(self._host_backoff.next())

    def _attempt(self) -> None:
        """Have one turn: on the oldest slash command, else on the held mail."""
        spec = self._spec()
        if spec is None:
            self._loop.pause(self._backoff.next())
            return
        if self._control.hold:
            # A freeze that came meanwhile interrupts no turn, since none runs yet: none may begin.
            return
        if self._control.commands:
            self._turn_on_command(spec, self._control.take())
        else:
            self._turn_on_mail(spec)

    def _turn_on_mail(self, spec: SessionSpec) -> None:
        self._reports.turn_started(self._held)
        outcome = self._turn(spec, lambda warm: {"do": "turn", "prompt": self._prompt(warm)})
        # What a cancelled turn was about has been read: that is what the operator ended. What takes too long once does
        # so again, and each time costs as much.
        read = outcome.ok or outcome.error_kind in ("cancelled", "overtime")
        self._reports.turn_ended(outcome, ack=self._held if read else ())
        if read:
            self._backoff.reset()
            self._let_go()
        else:
            self._failed(outcome.error_kind or "turn")

    def _turn_on_command(self, spec: SessionSpec, command: Command) -> None:
        """Say it to `claude` itself, once, however that ends; mail is another turn's."""
        held = set(self._held)
        self._reports.turn_started((), command=command.id)
        outcome = self._turn(spec, lambda _warm: {"do": "command", "prompt": command.text})
        taken_in = self._held.keys() - held
        self._reports.turn_ended(outcome, ack=taken_in if outcome.ok else ())
        for id_ in taken_in:
            del self._held[id_]
        if self._sessions.warm is not None:
            # What stood in the conversation may have gone from it: it is told again.
            self._sessions.warm.given = ()

    def _failed(self, kind: Kind) -> None:
        warm = self._sessions.warm
        if kind not in failures.ENVIRONMENT:
            # The host hands the mail over again, and counts; after too many times it parks it.
            self._let_go()
        else:
            self._tried.update(self._held)
            self._cut_off = kind
            if warm is not None and warm.ready:
                warm.given = tuple(self._held)
        if kind != "frozen" and not self._loop.stopping:
            self._back_off(kind)

    def _let_go(self) -> None:
        self._held.clear()
        self._tried.clear()
        if self._sessions.warm is not None:
            self._sessions.warm.given = ()

    def _back_off(self, kind: Kind) -> None:
        seconds = self._backoff.next()
        self._reports.status("idle", f"{kind}: next try in {seconds:.0f} s")
        first = min(seconds, self._backoff.first_seconds)
        self._loop.pause(first)
        if kind == "login" and not self._loop.stopping:
            # New mail ends this wait: after a login somebody writes.
            self._poll(seconds - first)
        else:
            # A command ends this wait: it may be what helps.
            self._loop.until(lambda: bool(self._control.commands), seconds=seconds - first)

    def _turn(self, spec: SessionSpec, prompt: Callable[[Warm], Message]) -> Outcome:
        """Have one turn; what it has begun is over with it."""
        self._in_turn = True
        outcome = self._turn_of_session(spec, prompt)
        self._in_turn = False
        self._tool_calls.cancel_all()
        self._sessions.used()
        if outcome.error_kind in failures.PROCESS:
            self._sessions.discard()
        log("turn_ended", ok=outcome.ok, kind=outcome.error_kind, mail=len(self._held))
        return outcome

    def _turn_of_session(self, spec: SessionSpec, prompt: Callable[[Warm], Message]) -> Outcome:
        self._outcome = None
        self._egress.reach(spec.env.get("ANTHROPIC_BASE_URL"))
        try:
            warm = self._sessions.ready(spec)
        except OSError as error:
            return Outcome(ok=False, error_kind="start", error=str(error))
        warm.child.say({**prompt(warm), "model": spec.model})
        self._control.interrupt = None
        ended = self._loop.until(
            lambda: self._outcome is not None or self._control.interrupt is not None, seconds=spec.turn_seconds
        )
        if not ended and self._loop.stopping:
            return self._interrupted(warm, "stopped", "told to stop")
        if not ended:
            return self._interrupted(warm, "overtime", f"longer than {spec.turn_seconds:g} s (limits.turn_seconds)")
        match self._control.interrupt:
            case "cancel":
                return self._interrupted(warm, "cancelled", "the operator ended this turn")
            case "freeze":
                return self._interrupted(warm, "frozen", "the hive was frozen")
        assert self._outcome is not None  # noqa: S101 - the loop waited for it
        return self._outcome

    def _interrupted(self, warm: Warm, kind: Kind, why: str) -> Outcome:
        """End the running turn; one that came to its own end meanwhile has ended well."""
        if self._outcome is None:
            warm.child.say({"do": "interrupt"})
            if not self._loop.until(lambda: self._outcome is not None, seconds=INTERRUPT_SECONDS, even_stopping=True):
                self._sessions.release("not interrupted")
        outcome = self._outcome or Outcome(ok=False)
        return outcome if outcome.ok else attrs.evolve(outcome, error_kind=kind, error=why)

    def _prompt(self, warm: Warm) -> str:
        given = [id_ for id_ in self._held if id_ in warm.given]
        if given:
            return envelope.again(given, self._cut_off, [mail for mail in self._held.values() if mail.id not in given])
        return envelope.turn(
            [attrs.evolve(mail, redelivered=mail.redelivered or mail.id in self._tried) for mail in self._held.values()]
        )

    def _spec(self) -> SessionSpec | None:
        call = self._ask({"cmd": "session"})
        if not self._loop.until(lambda: call.done):
            self._link.withdraw(call)
            return None
        try:
            return SessionSpec.from_wire(call.result())
        except (Refused, SettingsError) as error:
            log("no_session", error=error)
            return None

    def _ask(self, request: dict[str, Any]) -> Call:
        """Send a request whose reply `Loop.until` waits for."""
        return self._link.start(request, on_done=lambda _: self._loop.post(_nothing))

    def _heard(self, child: Child, message: Message) -> None:
        """Take a session's message, in its reader's thread: the stream must not wait for the main one."""
        if message["did"] == "event":
            self._spool.add(message["event"])
        else:
            self._loop.post(partial(self._on_message, child, message))

    def _on_message(self, child: Child, message: Message) -> None:
        warm = self._sessions.warm
        if warm is None or warm.child is not child:
            return
        match message["did"]:
            case "ready":
                self._sessions.came_up(warm)
            case "session":
                self._on_session(warm, message["session_id"], message["model"])
            case "servers":
                self._reports.servers(tuple(message["failed"]), message["errors"])
            case "session_reset":
                warm.session_id = warm.resumed = None
            case "status" if self._in_turn:
                self._reports.status(message["status"])
            case "tool":
                self._on_tool(child, message)
            case "tool_cancelled":
                self._tool_calls.cancel(message["call"])
            case "failed" | "turn_ended":
                self._on_outcome(message)

    def _on_outcome(self, message: Message) -> None:
        if message["did"] == "failed" and message["error_kind"] == "start":
            self._sessions.did_not_come_up()
        self._outcome = Outcome(**{key: value for key, value in message.items() if key != "did"})

    def _on_tool(self, child: Child, message: Message) -> None:
        if self._in_turn:
            self._tool_calls.start(child, message["call"], message["name"], message["arguments"])
        else:
            refuse(child, message["call"], "no mail began this turn; end it, and new mail wakes you")

    def _on_session(self, warm: Warm, session_id: str, model: str) -> None:
        expected = warm.session_id or warm.resumed
        warm.session_id = session_id
        if expected is not None and expected != session_id:
            self._reports.session_lost(expected=expected, actual=session_id)
        self._reports.model(model)

    def _gone(self, child: Child, code: int) -> None:
        warm = self._sessions.warm
        if warm is None or warm.child is not child:
            return
        log("session_gone", pid=child.pid, exit=code)
        self._sessions.clean_up()
        if self._outcome is None:
            if not warm.ready:
                self._sessions.did_not_come_up()
            kind: Kind = "crash" if warm.ready else "start"
            self._outcome = Outcome(
                ok=False, error_kind=kind, error=f"the session's process ended with exit code {code}"
            )


def _nothing() -> None:
    """Wake the loop."""
