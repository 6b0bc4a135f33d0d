"""What may be done over HTTP: forms in, the same commands as every other surface, JSON or a redirect out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import attrs
from starlette.requests import Request
from starlette.responses import Response

from harness.wire import OPERATOR
from hyperhive.commands import agents, messages
from hyperhive.commands.approvals import Approve, Deny
from hyperhive.commands.daemon import FreezeHive, ThawHive
from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.commands.errors import Invalid, Refused, Settled
from hyperhive.commands.questions import AnswerQuestion, CancelQuestion, Resolution
from hyperhive.commands.resolving import resolve
from hyperhive.commands.sessions import ChooseModel, said_to_session
from hyperhive.events.questions import QuestionAnsweredLate
from hyperhive.projections.approvals import Approval
from hyperhive.projections.history import History
from hyperhive.projections.questions import Question
from hyperhive.projections.views import approval_row, question_row
from hyperhive.proposals import agent_toml
from hyperhive.proposals.proposals import Proposals
from hyperhive.web.forms import accepted, read_form, refused
from hyperhive.web.guard import Endpoint, agent_of, person_of
from hyperhive.web.rebuilds import Rebuilds

_MOST_DIGITS = 18

Form = Mapping[str, list[str]]
Act = Callable[[Request, Form], Awaitable[dict[str, object]]]
"""Does one thing; returns what JSON clients are told besides ``ok``. Raises `Refused`."""


@attrs.frozen(kw_only=True)
class Acts:
    """The acts, by path."""

    dispatcher: Dispatcher
    history: History
    proposals: Proposals
    rebuilds: Rebuilds = attrs.field(init=False)

    @rebuilds.default
    def _rebuilds(self) -> Rebuilds:
        return Rebuilds(self.dispatcher)

    def endpoints(self) -> dict[str, Endpoint]:
        """Return an endpoint for each path; all are for POST."""
        acts: dict[str, Act] = {
            "/start/{name}": self._action(agents.StartAgent),
            "/kill/{name}": self._action(agents.KillAgent),
            "/restart/{name}": self._action(agents.RestartAgent),
            "/rebuild/{name}": self._action(agents.RebuildAgent),
            "/destroy/{name}": self._destroy,
            "/lift/{name}": self._action(agents.LiftQuarantine),
            "/pause/{name}": self._pause(paused=True),
            "/resume/{name}": self._pause(paused=False),
            "/revive/{name}": self._revive,
            "/purge-tombstone/{name}": self._action(agents.PurgeTombstone),
            "/rebuild-outdated": self._rebuild_outdated,
            "/model/{name}": self._model,
            "/command/{name}": self._command,
            "/cancel/{name}": self._action(agents.InterruptTurn),
            "/freeze": self._whole(FreezeHive),
            "/thaw": self._whole(ThawHive),
            "/send/{name}": self._send,
            "/request-spawn": self._request_spawn,
            "/approve/{id:int}": self._approve,
            "/deny/{id:int}": self._deny,
            "/rollback/{name}": self._roll_back,
            "/read-messages": self._read,
            "/requeue/{name}/{id:int}": self._parked(messages.RequeueMessage),
            "/drop/{name}/{id:int}": self._parked(messages.DropMessage),
            "/answer-question/{id:int}": self._answer,
            "/cancel-question/{id:int}": self._cancel,
        }
        return {path: _endpoint(act) for path, act in acts.items()}

    def of_agent(self) -> dict[str, Endpoint]:
        """Return what an agent's own page does, by path; all are for POST."""
        acts: dict[str, Act] = {
            "/send": self._send,
            "/api/model": self._model,
            "/api/cancel": self._action(agents.InterruptTurn),
            "/api/command": self._command,
        }
        return {path: _endpoint(act) for path, act in acts.items()}

    def _action(self, kind: type[agents.Action]) -> Act:
        async def act(request: Request, _form: Form) -> dict[str, object]:
            await self.dispatcher.dispatch(kind(actor=person_of(request).actor, agent=agent_of(request)))
            return {}

        return act

    def _pause(self, *, paused: bool) -> Act:
        async def act(request: Request, _form: Form) -> dict[str, object]:
            name = agent_of(request)
            await self.dispatcher.dispatch(agents.SetPaused(actor=person_of(request).actor, agent=name, paused=paused))
            return {}

        return act

    def _whole(self, kind: type[FreezeHive | ThawHive]) -> Act:
        async def act(request: Request, _form: Form) -> dict[str, object]:
            await self.dispatcher.dispatch(kind(actor=person_of(request).actor))
            return {}

        return act

    async def _rebuild_outdated(self, request: Request, _form: Form) -> dict[str, object]:
        return {"agents": self.rebuilds.begin(person_of(request).actor)}

    async def _destroy(self, request: Request, form: Form) -> dict[str, object]:
        purge = _one(form, "purge", "") == "1"
        await self.dispatcher.dispatch(
            agents.DestroyAgent(actor=person_of(request).actor, agent=agent_of(request), purge=purge),
        )
        return {}

    async def _model(self, request: Request, form: Form) -> dict[str, object]:
        """Choose a model; an empty one takes the choice back."""
        model = _one(form, "model").strip() or None
        actor = person_of(request).actor
        await self.dispatcher.dispatch(ChooseModel(actor=actor, agent=agent_of(request), model=model))
        return {"model": model}

    async def _command(self, request: Request, form: Form) -> dict[str, object]:
        """Say something to the session itself; of the hive's own commands it does what they mean."""
        actor, text = person_of(request).actor, _one(form, "text").strip()
        await self.dispatcher.dispatch(said_to_session(actor, agent_of(request), text))
        return {}

    async def _send(self, request: Request, form: Form) -> dict[str, object]:
        command = messages.SendMessage(actor=person_of(request).actor, to=agent_of(request), body=_one(form, "body"))
        return {"message_id": (await self.dispatcher.dispatch(command))[0].position}

    async def _revive(self, request: Request, _form: Form) -> dict[str, object]:
        await self.proposals.revive(person_of(request).actor, request.path_params["name"])
        return {}

    async def _request_spawn(self, request: Request, form: Form) -> dict[str, object]:
        name, reason, config = _one(form, "name"), _one(form, "reason", ""), _one(form, "config", "")
        filled_in = agent_toml.written(model=_one(form, "model", ""), prompt=_one(form, "prompt", ""))
        if config and filled_in:
            raise Invalid("the form has a config as well as a model or a prompt; one of them is right")
        return {
            "approval_id": await self.proposals.request_spawn(
                person_of(request).actor, name, reason, config or filled_in or None
            )
        }

    async def _approve(self, request: Request, form: Form) -> dict[str, object]:
        command = Approve(
            actor=person_of(request).actor,
            approval=request.path_params["id"],
            note=_one(form, "note", ""),
            seen=True,
            commit=_one(form, "commit") or None,
            base=_one(form, "base") or None,
        )
        await self.proposals.approve(command)
        return {}

    async def _deny(self, request: Request, form: Form) -> dict[str, object]:
        command = Deny(actor=person_of(request).actor, approval=request.path_params["id"], note=_one(form, "note", ""))
        await self.proposals.deny(command)
        return {}

    async def _roll_back(self, request: Request, form: Form) -> dict[str, object]:
        name, commit = request.path_params["name"], _one(form, "commit", "")
        return {
            "approval_id": await self.proposals.roll_back(
                person_of(request).actor, name, commit or None, _one(form, "note", "")
            )
        }

    async def _read(self, request: Request, form: Form) -> dict[str, object]:
        ids = tuple(_whole_number("id", written) for written in form.get("id", ()))
        command = messages.AcknowledgeMail(actor=person_of(request).actor, to=OPERATOR, ids=ids)
        facts = await self.dispatcher.dispatch(command)
        return {"read": len(facts[0].event.ids) if facts else 0}

    def _parked(self, kind: type[messages.RequeueMessage | messages.DropMessage]) -> Act:
        async def act(request: Request, _form: Form) -> dict[str, object]:
            name, message = request.path_params["name"], request.path_params["id"]
            await self.dispatcher.dispatch(kind(actor=person_of(request).actor, to=name, message=message))
            return {}

        return act

    async def _answer(self, request: Request, form: Form) -> dict[str, object]:
        return await self._resolve(
            AnswerQuestion(
                actor=person_of(request).actor,
                question=request.path_params["id"],
                options=tuple(form.get("option", ())),
                text=_one(form, "text", ""),
            ),
        )

    async def _cancel(self, request: Request, _form: Form) -> dict[str, object]:
        return await self._resolve(CancelQuestion(actor=person_of(request).actor, question=request.path_params["id"]))

    async def _resolve(self, command: Resolution) -> dict[str, object]:
        facts = await resolve(self.dispatcher, command, self.history.question)
        return {"late": isinstance(facts[0].event, QuestionAnsweredLate)}


def _endpoint(act: Act) -> Endpoint:
    async def answer(request: Request) -> Response:
        try:
            return accepted(request, await act(request, await read_form(request)))
        except Settled as second:
            return refused(second, standing=_shown(second.standing))
        except Refused as refusal:
            return refused(refusal)

    return answer


def _shown(standing: Question | Approval | None) -> dict[str, object] | None:
    match standing:
        case Question():
            return question_row(standing)
        case Approval():
            return approval_row(standing)
        case None:
            return None


def _whole_number(name: str, written: str) -> int:
    if not (written.isascii() and written.isdecimal() and len(written) < _MOST_DIGITS):
        raise Invalid(f"{name} is {written[:80]!r}; a whole number is right")
    return int(written)


def _one(form: Form, name: str, default: str | None = None) -> str:
    """Return a field's only value; without a default it has to be there."""
    values = form.get(name, [] if default is None else [default])
    if len(values) != 1:
        raise Invalid(f"the form has {len(values)} fields {name!r}; one is right")
    return values[0]
