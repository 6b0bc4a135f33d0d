"""host.sock, version 1: what operators' tools say. A reply has ``version``, ``ok``, ``error`` and the answer."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import attrs

from hyperhive.commands import agents, messages
from hyperhive.commands.daemon import FreezeHive, ThawHive
from hyperhive.commands.decide import decide
from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.commands.errors import Invalid, NotFound, Unavailable
from hyperhive.commands.operators import AddOperator, RemoveOperator
from hyperhive.commands.questions import AnswerQuestion, CancelQuestion, Resolution
from hyperhive.commands.resolving import resolve
from hyperhive.commands.sessions import ChooseModel
from hyperhive.events.chain import ChainBroken
from hyperhive.events.damage import LogDamaged
from hyperhive.events.envelope import OPERATOR, Recorded
from hyperhive.events.operators import PersonRole
from hyperhive.events.questions import QuestionAnsweredLate
from hyperhive.events.segments import Kept as Segment
from hyperhive.projections import views
from hyperhive.projections.freeze import freeze_of
from hyperhive.projections.history import History
from hyperhive.projections.hive import Hive
from hyperhive.projections.operators import hash_of
from hyperhive.projections.views import Kept
from hyperhive.proposals.proposals import Proposals
from hyperhive.sockets.approvals import ApprovalVerbs, Verb
from hyperhive.sockets.fitting import fitting
from hyperhive.sockets.lines import Connection, Reply, Request
from hyperhive.sockets.requests import Ids, Number, command_id, read

VERSION = 1


def error(code: str, text: str) -> Reply:
    """Show an error as version 1 does."""
    return {"version": VERSION, "ok": False, "error": text, "code": code}


def done(**found: Any) -> Reply:
    """Show a success, with what was asked for."""
    return {"version": VERSION, "ok": True, "error": None, **found}


class Link(Protocol):
    """Makes links that log in; whoever may open host.sock may have one."""

    def home_link(self, key: str | None = None) -> str:
        """Return a link to the dashboard, with the operator's own key unless another is given."""

    def agent_link(self, name: str) -> str:
        """Return a link to an agent's page. Raises `NotFound`."""


@attrs.frozen(kw_only=True)
class Daemon:
    """What host.sock needs of the daemon."""

    dispatcher: Dispatcher
    history: History
    proposals: Proposals
    log_path: Callable[[str], str]
    """Where a container's output is kept."""
    login: Callable[[str], Awaitable[list[str]]]
    """The command that runs Claude's own login inside an agent's sandbox."""
    try_runtime: Callable[[str, str], Awaitable[str]]
    """Raise `Refused` where an agent cannot move to a runtime; return where it is now."""
    kept: Callable[[], Mapping[str, Kept]]
    """What destroyed agents keep on disk, as far as that is known."""
    home_url: str
    archive: Callable[[int], Awaitable[Segment | None]]
    """Moves the oldest facts, at most up to a position, into one more segment; None where none are left."""
    link: Link
    """Links that log in."""


@attrs.frozen(kw_only=True)
class _Scope:
    agent_names: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class _Scoped:
    scope: _Scope = _Scope()
    graceful: bool = True


@attrs.frozen(kw_only=True)
class _Named:
    name: str
    purge: bool = False


@attrs.frozen(kw_only=True)
class _Move:
    name: str
    runtime: str


@attrs.frozen(kw_only=True)
class _Paused:
    name: str
    paused: bool


@attrs.frozen(kw_only=True)
class _Model:
    name: str
    model: str | None
    """Null takes the choice back; it has to be said."""


@attrs.frozen(kw_only=True)
class _Send:
    name: str
    body: str
    command_id: str | None = None


@attrs.frozen(kw_only=True)
class _Inbox:
    limit: int = 50
    unread: bool = False


@attrs.frozen(kw_only=True)
class _Read:
    ids: Ids


@attrs.frozen(kw_only=True)
class _Questions:
    all: bool = False
    limit: int = 50


@attrs.frozen(kw_only=True)
class _Numbered:
    id: Number


@attrs.frozen(kw_only=True)
class _Archive:
    until: Number


@attrs.frozen(kw_only=True)
class _Person:
    name: str
    role: PersonRole = "operator"


@attrs.frozen(kw_only=True)
class _Link:
    name: str | None = None


@attrs.frozen(kw_only=True)
class _Answer:
    id: Number
    options: tuple[str, ...] = ()
    text: str = ""


@attrs.frozen(kw_only=True)
class _Requeue:
    name: str
    id: Number


class HostSocket:
    """Answers the requests on host.sock; whoever may open it is the operator."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._verbs: dict[str, Callable[[Connection, Request], Awaitable[Reply | None]]] = {
            "list": self._list,
            "agent_status": self._agent_status,
            "subscribe_agent_status": self._subscribe,
            "start": self._start,
            "stop": self._stop,
            "restart": self._action(agents.RestartAgent),
            "set_paused": self._set_paused,
            "move": self._move,
            "set_model": self._set_model,
            "freeze": self._whole(FreezeHive),
            "thaw": self._whole(ThawHive),
            "lift": self._action(agents.LiftQuarantine),
            "interrupt": self._action(agents.InterruptTurn),
            "tombstones": self._tombstones,
            "revive": self._revive,
            "purge_tombstone": self._action(agents.PurgeTombstone),
            "urls": self._urls,
            "spawn": self._action(agents.SpawnAgent),
            "kill": self._action(agents.KillAgent),
            "rebuild": self._action(agents.RebuildAgent),
            "destroy": self._destroy,
            "send": self._send,
            "inbox": self._inbox,
            "read": self._read,
            "parked": self._parked,
            "requeue": self._requeue,
            "questions": self._questions,
            "answer": self._answer,
            "cancel": self._cancel,
            "operators": self._operators,
            "operator_add": self._operator_add,
            "operator_remove": self._operator_remove,
            "link": self._link,
            "logs": self._logs,
            "login": self._login,
            "state": self._state,
            **{name: _done(verb) for name, verb in _approvals(daemon).verbs().items()},
            "archive": self._archive,
        }

    async def __call__(self, connection: Connection, request: Request) -> Reply | None:
        """Answer one request."""
        cmd = request.get("cmd")
        verb = self._verbs.get(cmd) if isinstance(cmd, str) else None
        if verb is None:
            raise Invalid(f"no command {str(cmd)[:40]!r} here; there are: {', '.join(self._verbs)}")
        return await verb(connection, request)

    @property
    def _hive(self) -> Hive:
        return self._daemon.dispatcher.hive

    async def _list(self, _connection: Connection, _request: Request) -> Reply:
        return done(agents=[row["name"] for row in views.agent_rows(self._hive, coming=True)])

    async def _agent_status(self, _connection: Connection, _request: Request) -> Reply:
        """Beyond version 1: what is done to agents that have no row, and whether the whole hive is frozen."""
        return done(
            agent_statuses=views.agent_rows(self._hive),
            transients=views.transients(self._hive),
            frozen=freeze_of(self._hive.freeze).frozen,
        )

    async def _subscribe(self, connection: Connection, _request: Request) -> None:
        """Write one reply for each agent whose row changed, until the client leaves or the daemon ends."""
        connection.write(done())

        def tell(facts: list[Recorded]) -> None:
            for name in dict.fromkeys(map(_agent_of, facts)):
                agent = self._hive.agents.get(name)
                if agent is not None:
                    connection.write(done(agent_statuses=[views.agent_row(self._hive, agent)]))

        end = self._daemon.dispatcher.listen(tell)
        try:
            await connection.ending.wait()
        finally:
            end()

    async def _start(self, _connection: Connection, request: Request) -> Reply:
        return await self._each(request, lambda name, _said: agents.StartAgent(actor=OPERATOR, agent=name))

    async def _stop(self, _connection: Connection, request: Request) -> Reply:
        return await self._each(
            request,
            lambda name, said: agents.KillAgent(actor=OPERATOR, agent=name, graceful=said.graceful),
        )

    async def _each(self, request: Request, command_for: Callable[[str, _Scoped], agents.Action]) -> Reply:
        said = read(request, _Scoped)
        if not said.scope.agent_names:
            raise Invalid('the scope is empty; name the agents: {"agent_names":["coder"]}')
        commands = [command_for(name, said) for name in dict.fromkeys(said.scope.agent_names)]
        for command in commands:
            decide(self._hive, command)  # all of them or none: a refusal of the last comes before the first is given
        await asyncio.gather(*map(self._daemon.dispatcher.dispatch, commands))
        return done()

    def _action(self, kind: type[agents.Action]) -> Callable[[Connection, Request], Awaitable[Reply]]:
        async def act(_connection: Connection, request: Request) -> Reply:
            await self._daemon.dispatcher.dispatch(kind(actor=OPERATOR, agent=read(request, _Named).name))
            return done()

        return act

    def _whole(self, kind: type[FreezeHive | ThawHive]) -> Callable[[Connection, Request], Awaitable[Reply]]:
        async def act(_connection: Connection, _request: Request) -> Reply:
            await self._daemon.dispatcher.dispatch(kind(actor=OPERATOR))
            return done()

        return act

    async def _set_paused(self, _connection: Connection, request: Request) -> Reply:
        said = read(request, _Paused)
        await self._daemon.dispatcher.dispatch(agents.SetPaused(actor=OPERATOR, agent=said.name, paused=said.paused))
        return done()

    async def _move(self, _connection: Connection, request: Request) -> Reply:
        said = read(request, _Move)
        agents.require_container(self._hive, said.name)
        here = await self._daemon.try_runtime(said.name, said.runtime)
        await self._daemon.dispatcher.dispatch(
            agents.MoveAgent(actor=OPERATOR, agent=said.name, runtime=said.runtime, here=here)
        )
        row = self._hive.agents[said.name]
        return done(rebuilding=row.pending is not None, running=row.running)

    async def _set_model(self, _connection: Connection, request: Request) -> Reply:
        said = read(request, _Model)
        await self._daemon.dispatcher.dispatch(ChooseModel(actor=OPERATOR, agent=said.name, model=said.model))
        return done()

    async def _destroy(self, _connection: Connection, request: Request) -> Reply:
        said = read(request, _Named)
        command = agents.DestroyAgent(actor=OPERATOR, agent=said.name, purge=said.purge)
        await self._daemon.dispatcher.dispatch(command)
        return done()

    async def _revive(self, _connection: Connection, request: Request) -> Reply:
        await self._daemon.proposals.revive(OPERATOR, read(request, _Named).name)
        return done()

    async def _urls(self, _connection: Connection, _request: Request) -> Reply:
        return done(urls={"domain": None, "home": self._daemon.home_url})

    async def _tombstones(self, _connection: Connection, _request: Request) -> Reply:
        return done(tombstones=views.tombstone_rows(self._hive, self._daemon.kept()))

    async def _send(self, _connection: Connection, request: Request) -> Reply:
        said = read(request, _Send)
        id_ = command_id(said.command_id)
        command = messages.SendMessage(actor=OPERATOR, to=said.name, body=said.body, id=id_)
        sent = await self._daemon.dispatcher.dispatch(command)
        return done(message_id=sent[0].position)

    async def _inbox(self, _connection: Connection, request: Request) -> Reply:
        said = read(request, _Inbox)
        if not 1 <= said.limit <= 1_000:
            raise Invalid(f"limit is {said.limit}; it is 1 to 1000")
        if said.unread:
            unread = self._hive.messages.group(OPERATOR.name).values()
            rows = list(unread)[: -said.limit - 1 : -1]
        else:
            rows = self._daemon.history.recent(OPERATOR.name, said.limit)
        shown = ({**views.message_row(row), "read": row.delivered_at is not None} for row in rows)
        return done(**_oldest_first(fitting("messages", shown), "messages"))

    async def _read(self, _connection: Connection, request: Request) -> Reply:
        """Acknowledge mail of the operator's own inbox, which no turn ever takes."""
        ids = read(request, _Read).ids
        dispatcher = self._daemon.dispatcher
        await dispatcher.dispatch(messages.AcknowledgeMail(actor=OPERATOR, to=OPERATOR.name, ids=ids))
        return done()

    async def _parked(self, _connection: Connection, _request: Request) -> Reply:
        parked = (views.message_row(row) for row in self._hive.messages.values() if row.parked_at is not None)
        return done(**fitting("messages", parked))

    async def _requeue(self, _connection: Connection, request: Request) -> Reply:
        said = read(request, _Requeue)
        command = messages.RequeueMessage(actor=OPERATOR, to=said.name, message=said.id)
        await self._daemon.dispatcher.dispatch(command)
        return done()

    async def _questions(self, _connection: Connection, request: Request) -> Reply:
        said = read(request, _Questions)
        if not 1 <= said.limit <= 1_000:
            raise Invalid(f"limit is {said.limit}; it is 1 to 1000")
        rows = self._daemon.history.questions(said.limit) if said.all else list(self._hive.questions.values())
        newest = sorted(rows, key=lambda row: row.id, reverse=True)
        return done(**_oldest_first(fitting("questions", map(views.question_row, newest)), "questions"))

    async def _answer(self, _connection: Connection, request: Request) -> Reply:
        said = read(request, _Answer)
        command = AnswerQuestion(actor=OPERATOR, question=said.id, options=said.options, text=said.text)
        return await self._resolve(command)

    async def _cancel(self, _connection: Connection, request: Request) -> Reply:
        return await self._resolve(CancelQuestion(actor=OPERATOR, question=read(request, _Numbered).id))

    async def _resolve(self, command: Resolution) -> Reply:
        facts = await resolve(self._daemon.dispatcher, command, self._daemon.history.question)
        return done(late=isinstance(facts[0].event, QuestionAnsweredLate))

    async def _operators(self, _connection: Connection, _request: Request) -> Reply:
        return done(operators=views.operator_rows(self._hive))

    async def _operator_add(self, _connection: Connection, request: Request) -> Reply:
        """Make a key and answer with the link that has it; then only its hash is known here."""
        said = read(request, _Person)
        key = secrets.token_urlsafe(32)
        command = AddOperator(actor=OPERATOR, name=said.name, role=said.role, key_hash=hash_of(key))
        await self._daemon.dispatcher.dispatch(command)
        return done(link=self._daemon.link.home_link(key))

    async def _operator_remove(self, _connection: Connection, request: Request) -> Reply:
        await self._daemon.dispatcher.dispatch(RemoveOperator(actor=OPERATOR, name=read(request, _Named).name))
        return done()

    async def _link(self, _connection: Connection, request: Request) -> Reply:
        name = read(request, _Link).name
        link = self._daemon.link
        return done(link=link.home_link() if name is None else link.agent_link(name))

    async def _logs(self, _connection: Connection, request: Request) -> Reply:
        name = self._known(request)
        return done(logs={"path": self._daemon.log_path(name)})

    async def _login(self, _connection: Connection, request: Request) -> Reply:
        name = self._known(request)
        agents.require_container(self._hive, name)
        return done(argv=await self._daemon.login(name))

    async def _state(self, _connection: Connection, _request: Request) -> Reply:
        return done(state=views.state(self._hive, self._daemon.kept()))

    async def _archive(self, _connection: Connection, request: Request) -> Reply:
        """Write one segment: a client that wants more asks again."""
        try:
            kept = await self._daemon.archive(read(request, _Archive).until)
        except (ChainBroken, LogDamaged, OSError) as error:
            raise Unavailable(f"nothing more was archived: {error}") from None
        if kept is None:
            return done(segment=None)
        return done(segment={"first": kept.first, "last": kept.last, "file": kept.file, "bytes": kept.size})

    def _known(self, request: Request) -> str:
        """Return the name, once it is certain that there is such an agent: it becomes part of a path."""
        name = read(request, _Named).name
        if name not in self._hive.agents:
            raise NotFound(f"no agent {name!r}; there are: {', '.join(sorted(self._hive.agents)) or 'none yet'}")
        return name


def _approvals(daemon: Daemon) -> ApprovalVerbs:
    return ApprovalVerbs(dispatcher=daemon.dispatcher, history=daemon.history, proposals=daemon.proposals)


def _done(verb: Verb) -> Callable[[Connection, Request], Awaitable[Reply]]:
    async def answer(connection: Connection, request: Request) -> Reply:
        return done(**await verb(connection, request))

    return answer


def _oldest_first(found: dict[str, Any], name: str) -> dict[str, Any]:
    return {**found, name: found[name][::-1]}


def _agent_of(fact: Recorded) -> str | None:
    """Return whose row a fact changes: its agent's, or that of an inbox's owner, which counts undelivered mail."""
    return getattr(fact.event, "agent", None) or getattr(fact.event, "to", None)
