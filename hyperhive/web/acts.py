"""What may be done over HTTP: forms in, the same commands as every other surface, JSON or a redirect out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import attrs
from starlette.requests import Request
from starlette.responses import Response

from hyperhive.commands import agents, messages
from hyperhive.commands.daemon import FreezeHive, ThawHive
from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.commands.errors import Invalid, Refused
from hyperhive.commands.questions import AnswerQuestion, CancelQuestion, Resolution, Resolved
from hyperhive.commands.resolving import resolve
from hyperhive.events.envelope import OPERATOR
from hyperhive.events.questions import QuestionAnsweredLate
from hyperhive.projections.history import History
from hyperhive.projections.views import question_row
from hyperhive.web.forms import accepted, read_form, refused
from hyperhive.web.guard import Endpoint

Form = Mapping[str, list[str]]
Act = Callable[[Request, Form], Awaitable[dict[str, object]]]
"""Does one thing; returns what JSON clients are told besides ``ok``. Raises `Refused`."""


@attrs.frozen(kw_only=True)
class Acts:
    """The acts, by path."""

    dispatcher: Dispatcher
    history: History

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
            "/revive/{name}": self._action(agents.ReviveAgent),
            "/purge-tombstone/{name}": self._action(agents.PurgeTombstone),
            "/freeze": self._whole(FreezeHive),
            "/thaw": self._whole(ThawHive),
            "/send/{name}": self._send,
            "/answer-question/{id:int}": self._answer,
            "/cancel-question/{id:int}": self._cancel,
        }
        return {path: _endpoint(act) for path, act in acts.items()}

    def _action(self, kind: type[agents.Action]) -> Act:
        async def act(request: Request, _form: Form) -> dict[str, object]:
            await self.dispatcher.dispatch(kind(actor=OPERATOR, agent=request.path_params["name"]))
            return {}

        return act

    def _pause(self, *, paused: bool) -> Act:
        async def act(request: Request, _form: Form) -> dict[str, object]:
            name = request.path_params["name"]
            await self.dispatcher.dispatch(agents.SetPaused(actor=OPERATOR, agent=name, paused=paused))
            return {}

        return act

    def _whole(self, kind: type[FreezeHive | ThawHive]) -> Act:
        async def act(_request: Request, _form: Form) -> dict[str, object]:
            await self.dispatcher.dispatch(kind(actor=OPERATOR))
            return {}

        return act

    async def _destroy(self, request: Request, form: Form) -> dict[str, object]:
        purge = _one(form, "purge", "") == "1"
        await self.dispatcher.dispatch(
            agents.DestroyAgent(actor=OPERATOR, agent=request.path_params["name"], purge=purge),
        )
        return {}

    async def _send(self, request: Request, form: Form) -> dict[str, object]:
        command = messages.SendMessage(actor=OPERATOR, to=request.path_params["name"], body=_one(form, "body"))
        return {"message_id": (await self.dispatcher.dispatch(command))[0].position}

    async def _answer(self, request: Request, form: Form) -> dict[str, object]:
        return await self._resolve(
            AnswerQuestion(
                actor=OPERATOR,
                question=request.path_params["id"],
                options=tuple(form.get("option", ())),
                text=_one(form, "text", ""),
            ),
        )

    async def _cancel(self, request: Request, _form: Form) -> dict[str, object]:
        return await self._resolve(CancelQuestion(actor=OPERATOR, question=request.path_params["id"]))

    async def _resolve(self, command: Resolution) -> dict[str, object]:
        facts = await resolve(self.dispatcher, command, self.history.question)
        return {"late": isinstance(facts[0].event, QuestionAnsweredLate)}


def _endpoint(act: Act) -> Endpoint:
    async def answer(request: Request) -> Response:
        try:
            return accepted(request, await act(request, await read_form(request)))
        except Resolved as second:
            return refused(second, standing=question_row(second.standing) if second.standing else None)
        except Refused as refusal:
            return refused(refusal)

    return answer


def _one(form: Form, name: str, default: str | None = None) -> str:
    """Return a field's only value; without a default it has to be there."""
    values = form.get(name, [] if default is None else [default])
    if len(values) != 1:
        raise Invalid(f"the form has {len(values)} fields {name!r}; one is right")
    return values[0]
