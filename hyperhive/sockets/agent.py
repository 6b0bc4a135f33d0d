"""What an agent may say on its own socket. Who speaks is whoever owns the socket, whatever the request claims."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
import structlog

from harness import wire
from hyperhive.commands.agents import Action, KillAgent, RestartAgent, StartAgent
from hyperhive.commands.asks import Answer
from hyperhive.commands.command import Command
from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.commands.errors import Conflict, Forbidden, Invalid, Unavailable
from hyperhive.commands.messages import AcknowledgeMail, SendMessage, TakeMail, refused_send
from hyperhive.commands.questions import AskQuestion
from hyperhive.commands.reports import Report, is_late
from hyperhive.events.envelope import Role, actor_of_agent, rfc3339
from hyperhive.events.messages import MessagesAcknowledged, MessagesHandedOver
from hyperhive.events.stream_store import StreamGap
from hyperhive.projections import views
from hyperhive.projections.agents import AGENTS
from hyperhive.projections.freeze import FREEZE, HIVE
from hyperhive.projections.history import History
from hyperhive.projections.messages import MESSAGES, Message
from hyperhive.proposals.proposals import Proposals
from hyperhive.sockets.control import Controls
from hyperhive.sockets.fitting import fitting
from hyperhive.sockets.lines import Answering, Connection, Later, Reply, Request
from hyperhive.sockets.reports import report_of
from hyperhive.sockets.requests import Ids, Number, command_id, read
from hyperhive.sockets.streams import TurnStreams

log = structlog.get_logger("sockets")

MAX_STREAM_EVENTS = 2_000
MAX_RUN_CHARACTERS = 64


@attrs.frozen(kw_only=True)
class Host:
    """What the agents' sockets need of the daemon."""

    dispatcher: Dispatcher
    streams: TurnStreams
    history: History
    session: Callable[[str], dict[str, Any]]
    """What an agent's next turn runs with: model, credentials, permission mode …"""
    may_ask: Callable[[str], bool]
    """Whether an agent may ask the operator."""
    proposals: Proposals


@attrs.frozen(kw_only=True)
class _Send:
    to: str
    body: str
    command_id: str | None = None


@attrs.frozen(kw_only=True)
class _Recv:
    wait_seconds: float = wire.WAIT_DEFAULT_SECONDS
    holding: Ids = ()


@attrs.frozen(kw_only=True)
class _Ack:
    ids: Ids


@attrs.frozen(kw_only=True)
class _Recent:
    limit: int = 20


@attrs.frozen(kw_only=True)
class _AskOperator:
    question: str
    options: tuple[str, ...] = ()
    multi: bool = False
    ttl_seconds: int | None = None
    command_id: str | None = None


@attrs.frozen(kw_only=True)
class _RequestSpawn:
    name: str
    reason: str = ""
    config: str | None = None
    command_id: str | None = None


@attrs.frozen(kw_only=True)
class _RequestApply:
    agent: str
    commit: str
    note: str = ""
    command_id: str | None = None


@attrs.frozen(kw_only=True)
class _Report:
    event: dict[str, Any]
    generation: Number | None = None
    command_id: str | None = None


@attrs.frozen(kw_only=True)
class _Stream:
    run: str
    first: Number
    events: tuple[dict[str, Any], ...]


@attrs.frozen(kw_only=True)
class _Control:
    seen: int | None = None
    wait_seconds: float = wire.WAIT_DEFAULT_SECONDS


@attrs.frozen(kw_only=True)
class _Act:
    name: str
    command_id: str | None = None


_LISTED = ("name", "state", "pending", "since", "failed", "quarantined", "paused", "needs_login", "status", "error")
"""What the manager is told of an agent."""


class AgentSocket:
    """Answers the requests on one agent's socket."""

    def __init__(self, name: str, host: Host) -> None:
        self._name = name
        self._actor = actor_of_agent(name)
        self._host = host
        self._controls = Controls(host.dispatcher)
        self._mail_topics = ((MESSAGES.name, name), (AGENTS.name, name), (FREEZE.name, HIVE))
        self._verbs: dict[str, Callable[[Request], Answering]] = {
            "send": self._send,
            "recv": self._recv,
            "ack": self._ack,
            "recent": self._recent,
            "report": self._report,
            "stream": self._stream,
            "session": self._session,
            "control": self._control,
            "ask_operator": self._ask_operator,
            "request_spawn": self._request_spawn,
            "request_apply_commit": self._request_apply,
            "start": self._action(StartAgent),
            "kill": self._action(KillAgent),
            "restart": self._action(RestartAgent),
            "list": self._list,
        }

    def __call__(self, _connection: Connection, request: Request) -> Answering:
        """Answer one request."""
        cmd = request.get("cmd")
        verb = self._verbs.get(cmd) if isinstance(cmd, str) else None
        if verb is None:
            raise Invalid(f"no command {str(cmd)[:40]!r} here; there are: {', '.join(self._verbs)}")
        return verb(request)

    def _asking(self, command: Command, reply: Callable[[Answer], Reply]) -> Later:
        return Later(partial(self._host.dispatcher.ask, command), reply)

    def _send(self, request: Request) -> Answering:
        said = read(request, _Send)
        command = SendMessage(actor=self._actor, to=said.to, body=said.body, id=command_id(said.command_id))
        return self._asking(command, _sent)

    def _recv(self, request: Request) -> Answering:
        said = read(request, _Recv)
        command = TakeMail(actor=self._actor, to=self._name, holding=frozenset(said.holding))
        seconds = poll_seconds(said.wait_seconds)
        wait = partial(self._host.dispatcher.ask, command, topics=self._mail_topics, seconds=seconds)
        return Later(wait, self._received)

    def _received(self, answer: Answer) -> Reply:
        return {"ok": True, "messages": [shown(row, redelivered=row.redelivered) for row in self._handed_over(answer)]}

    def _handed_over(self, answer: Answer) -> list[Message]:
        ids = [id_ for fact in answer if isinstance(fact.event, MessagesHandedOver) for id_ in fact.event.ids]
        mail = self._host.dispatcher.hive.messages.group(self._name)
        return [row for id_ in ids if (row := mail.get((self._name, id_))) is not None]

    def _ack(self, request: Request) -> Answering:
        said = read(request, _Ack)
        return self._asking(AcknowledgeMail(actor=self._actor, to=self._name, ids=said.ids), _acknowledged)

    def _recent(self, request: Request) -> Answering:
        limit = read(request, _Recent).limit
        if not 1 <= limit <= wire.RECENT_MAX_MESSAGES:
            raise Invalid(f"limit is {limit}; it is 1 to {wire.RECENT_MAX_MESSAGES}")
        rows = self._host.history.recent(self._name, limit)
        return {"ok": True, **fitting("messages", (shown(row) for row in rows))}

    def _report(self, request: Request) -> Answering:
        said = read(request, _Report)
        report = report_of(
            said.event,
            actor=self._actor,
            agent=self._name,
            command_id=command_id(said.command_id),
            generation=said.generation,
        )
        return self._asking(report, partial(self._reported, report))

    def _reported(self, report: Report, answer: Answer) -> Reply:
        if answer or not is_late(self._host.dispatcher.hive, report):
            return {"ok": True}
        log.info("report_too_late", stream=f"turn-{self._name}", generation=report.generation)
        return {"ok": True, "dropped": True}

    async def _stream(self, request: Request) -> Reply:
        said = read(request, _Stream)
        if not 1 <= len(said.run) <= MAX_RUN_CHARACTERS:
            raise Invalid(f"a run of {len(said.run)} characters; 1 to {MAX_RUN_CHARACTERS} are allowed")
        if len(said.events) > MAX_STREAM_EVENTS:
            raise Invalid(f"a stream batch of {len(said.events)} events; at most {MAX_STREAM_EVENTS} are allowed")
        try:
            expected = await self._host.streams.append(self._name, said.run, said.first, said.events)
        except StreamGap as gap:
            raise Conflict(str(gap)) from gap
        except sqlite3.Error as error:
            log.warning("stream_not_kept", stream=f"turn-{self._name}", error=str(error))
            raise Unavailable(f"the turn stream cannot be written now: {error}; send the batch again") from error
        return {"ok": True, "next": expected}

    def _session(self, _request: Request) -> Answering:
        return {"ok": True, **self._host.session(self._name)}

    async def _control(self, request: Request) -> Reply:
        said = read(request, _Control)
        seconds = min(max(said.wait_seconds, 0), wire.WAIT_MAX_SECONDS)
        return {"ok": True, **(await self._controls.wait(self._name, said.seen, seconds)).shown()}

    def _action(self, kind: type[Action]) -> Callable[[Request], Answering]:
        def act(request: Request) -> Answering:
            said = read(request, _Act)
            return self._asking(kind(actor=self._actor, agent=said.name, id=command_id(said.command_id)), _done)

        return act

    def _list(self, _request: Request) -> Answering:
        """Show the manager the agents, without what is only the operator's."""
        if self._actor.role is not Role.MANAGER:
            raise Forbidden(f"{self._actor} may not list agents; the manager can")
        rows = views.agent_rows(self._host.dispatcher.hive, coming=True)
        return {"ok": True, "agents": [{name: row[name] for name in _LISTED} for row in rows]}

    def _ask_operator(self, request: Request) -> Answering:
        said = read(request, _AskOperator)
        command = AskQuestion(
            actor=self._actor,
            question=said.question,
            options=said.options,
            multi=said.multi,
            ttl_seconds=said.ttl_seconds,
            agents_may_ask=self._host.may_ask(self._name),
            id=command_id(said.command_id),
        )
        return self._asking(command, _asked)

    async def _request_spawn(self, request: Request) -> Reply:
        said = read(request, _RequestSpawn)
        id_ = command_id(said.command_id)
        number = await self._host.proposals.request_spawn(self._actor, said.name, said.reason, said.config, id_)
        return {"ok": True, "approval_id": number}

    async def _request_apply(self, request: Request) -> Reply:
        said = read(request, _RequestApply)
        id_ = command_id(said.command_id)
        number = await self._host.proposals.request_apply(self._actor, said.agent, said.commit, said.note, id_)
        return {"ok": True, "approval_id": number}


def _sent(answer: Answer) -> Reply:
    refused_send(answer)
    return {"ok": True, "message_id": answer[0].position}


def _acknowledged(answer: Answer) -> Reply:
    acked = [id_ for fact in answer if isinstance(fact.event, MessagesAcknowledged) for id_ in fact.event.ids]
    return {"ok": True, "acked": acked}


def _asked(answer: Answer) -> Reply:
    return {"ok": True, "question_id": answer[0].event.id}


def _done(_answer: Answer) -> Reply:
    return {"ok": True}


def poll_seconds(wanted: float) -> float:
    """Return how long a recv waits: as long as was asked for, to a cap. Raises `Invalid` for a negative time."""
    if wanted < 0:
        raise Invalid(f"wait_seconds is {wanted:g}; it is 0 to {wire.WAIT_MAX_SECONDS:g}")
    return min(wanted, wire.WAIT_MAX_SECONDS)


def shown(row: Message, *, redelivered: bool | None = None) -> dict[str, Any]:
    """Show a message as the wire carries it."""
    mail: dict[str, Any] = {"id": row.id, "at": rfc3339(row.at), "from": row.sender, "body": row.body}
    if redelivered is not None:
        mail["redelivered"] = redelivered
    return mail
