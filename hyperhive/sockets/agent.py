"""What an agent may say on its own socket. Who speaks is whoever owns the socket, whatever the request claims."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import attrs

from harness import wire
from hyperhive.commands.dispatcher import Answer, Dispatcher
from hyperhive.commands.errors import Conflict, Invalid
from hyperhive.commands.messages import AcknowledgeMail, SendMessage, TakeMail
from hyperhive.commands.questions import AskQuestion
from hyperhive.events.envelope import actor_of_agent, rfc3339
from hyperhive.events.messages import MessagesAcknowledged, MessagesHandedOver
from hyperhive.events.stream_store import StreamGap
from hyperhive.projections.history import History
from hyperhive.projections.messages import MESSAGES, Message
from hyperhive.sockets.lines import Connection, Reply, Request
from hyperhive.sockets.reports import report_of
from hyperhive.sockets.requests import command_id, read
from hyperhive.sockets.streams import TurnStreams

MAX_STREAM_EVENTS = 2_000


@attrs.frozen(kw_only=True)
class Host:
    """What the agents' sockets need of the daemon."""

    dispatcher: Dispatcher
    streams: TurnStreams
    history: History
    session: Callable[[str], dict[str, Any]]
    """What an agent's next turn runs with: model, credentials, permission mode …"""
    agents_may_ask: bool = False
    """Whether agents that are not the manager may ask the operator."""


@attrs.frozen(kw_only=True)
class _Send:
    to: str
    body: str
    command_id: str | None = None


@attrs.frozen(kw_only=True)
class _Recv:
    wait_seconds: float = wire.WAIT_DEFAULT_SECONDS
    holding: tuple[int, ...] = ()


@attrs.frozen(kw_only=True)
class _Ack:
    ids: tuple[int, ...]


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
class _Report:
    event: dict[str, Any]
    command_id: str | None = None


@attrs.frozen(kw_only=True)
class _Stream:
    run: str
    first: int
    events: tuple[dict[str, Any], ...]


class AgentSocket:
    """Answers the requests on one agent's socket."""

    def __init__(self, name: str, host: Host) -> None:
        self._name = name
        self._actor = actor_of_agent(name)
        self._host = host
        self._verbs: dict[str, Callable[[Request], Awaitable[Reply]]] = {
            "send": self._send,
            "recv": self._recv,
            "ack": self._ack,
            "recent": self._recent,
            "report": self._report,
            "stream": self._stream,
            "session": self._session,
            "ask_operator": self._ask_operator,
        }

    async def __call__(self, _connection: Connection, request: Request) -> Reply:
        """Answer one request."""
        cmd = request.get("cmd")
        verb = self._verbs.get(cmd) if isinstance(cmd, str) else None
        if verb is None:
            raise Invalid(f"no command {str(cmd)[:40]!r} here; there are: {', '.join(self._verbs)}")
        return await verb(request)

    async def _send(self, request: Request) -> Reply:
        said = read(request, _Send)
        command = SendMessage(actor=self._actor, to=said.to, body=said.body, id=command_id(said.command_id))
        sent = await self._host.dispatcher.dispatch(command)
        return {"ok": True, "message_id": sent[0].position}

    async def _recv(self, request: Request) -> Reply:
        said = read(request, _Recv)
        if said.wait_seconds < 0:
            raise Invalid(f"wait_seconds is {said.wait_seconds}; it is 0 to {wire.WAIT_MAX_SECONDS:.0f}")
        answer = await self._host.dispatcher.wait(
            TakeMail(actor=self._actor, to=self._name, holding=frozenset(said.holding)),
            view=MESSAGES.name,
            group=self._name,
            seconds=min(said.wait_seconds, wire.WAIT_MAX_SECONDS),
        )
        return {"ok": True, "messages": [shown(row, redelivered=row.redelivered) for row in self._handed_over(answer)]}

    def _handed_over(self, answer: Answer) -> list[Message]:
        ids = [id_ for fact in answer if isinstance(fact.event, MessagesHandedOver) for id_ in fact.event.ids]
        mail = self._host.dispatcher.hive.messages.group(self._name)
        return [row for id_ in ids if (row := mail.get((self._name, id_))) is not None]

    async def _ack(self, request: Request) -> Reply:
        said = read(request, _Ack)
        command = AcknowledgeMail(actor=self._actor, to=self._name, ids=said.ids)
        answer = await self._host.dispatcher.dispatch(command)
        acked = [id_ for fact in answer if isinstance(fact.event, MessagesAcknowledged) for id_ in fact.event.ids]
        return {"ok": True, "acked": acked}

    async def _recent(self, request: Request) -> Reply:
        limit = read(request, _Recent).limit
        if not 1 <= limit <= wire.RECENT_MAX_MESSAGES:
            raise Invalid(f"limit is {limit}; it is 1 to {wire.RECENT_MAX_MESSAGES}")
        rows = self._host.history.recent(self._name, limit)
        return {"ok": True, "messages": fitting([shown(row) for row in rows])}

    async def _report(self, request: Request) -> Reply:
        said = read(request, _Report)
        id_ = command_id(said.command_id)
        await self._host.dispatcher.dispatch(report_of(said.event, actor=self._actor, agent=self._name, command_id=id_))
        return {"ok": True}

    async def _stream(self, request: Request) -> Reply:
        said = read(request, _Stream)
        if said.first < 0 or not said.run or len(said.events) > MAX_STREAM_EVENTS:
            raise Invalid(f"a stream batch has a run, a first number from 0, and at most {MAX_STREAM_EVENTS} events")
        try:
            expected = await self._host.streams.append(self._name, said.run[:64], said.first, said.events)
        except StreamGap as gap:
            raise Conflict(str(gap)) from gap
        return {"ok": True, "next": expected}

    async def _session(self, _request: Request) -> Reply:
        return {"ok": True, **self._host.session(self._name)}

    async def _ask_operator(self, request: Request) -> Reply:
        said = read(request, _AskOperator)
        command = AskQuestion(
            actor=self._actor,
            question=said.question,
            options=said.options,
            multi=said.multi,
            ttl_seconds=said.ttl_seconds,
            agents_may_ask=self._host.agents_may_ask,
            id=command_id(said.command_id),
        )
        asked = await self._host.dispatcher.dispatch(command)
        return {"ok": True, "question_id": asked[0].event.id}


def shown(row: Message, *, redelivered: bool | None = None) -> dict[str, Any]:
    """Show a message as the wire carries it."""
    mail: dict[str, Any] = {"id": row.id, "at": rfc3339(row.at), "from": row.sender, "body": row.body}
    if redelivered is not None:
        mail["redelivered"] = redelivered
    return mail


def fitting(mail: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Keep the newest (first) messages that fit one line."""
    room = wire.MAX_LINE_BYTES - 1_024
    kept = []
    for message in mail:
        room -= len(wire.encode(message)) + 1
        if room < 0:
            break
        kept.append(message)
    return kept
