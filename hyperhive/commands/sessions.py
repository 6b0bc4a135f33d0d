"""Deciding about an agent's session: on which model its turns run, and what the operator says to `claude` itself."""

from __future__ import annotations

import re

import attrs

from hyperhive.commands.agents import Action, InterruptTurn, require_container
from hyperhive.commands.errors import Conflict, Invalid, TooLarge
from hyperhive.events import turns
from hyperhive.events.envelope import Actor, Fact
from hyperhive.projections.hive import Hive
from hyperhive.projections.sessions import Session

MAX_MODEL_CHARACTERS = 100
DEFAULT = "default"
"""Said in the place of a model's name: the configured one again."""
MAX_COMMAND_CHARACTERS = 4_000
MAX_WAITING = 20
"""Slash commands that one session may have before it."""
OURS = frozenset({"/model", "/cancel"})
"""What the hive does itself: a session that changed its own model would not keep it."""

_SLASH_COMMAND = re.compile(r"/[A-Za-z][A-Za-z0-9_:.-]{0,63}( [^\x00-\x1f\x7f-\x9f\u2028\u2029]*)?")
# Aliases, names with a date or a window (`opus[1m]`), and those of other servers: ARNs, `vendor/name`, `name@version`.
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+\[\]-]*")


@attrs.frozen(kw_only=True)
class ChooseModel(Action):
    """Run an agent's turns on this model from the next one on; None: on the configured one again."""

    model: str | None


@attrs.frozen(kw_only=True)
class GiveSlashCommand(Action):
    """Say something to `claude` itself, such as ``/compact``; it comes after the running turn."""

    text: str


def said_to_session(actor: Actor, agent: str, text: str) -> Action:
    """Return the command that a line beginning with ``/`` stands for: the hive's own, else one of `claude`'s."""
    match text.split(maxsplit=1):
        case ["/model", name]:
            return ChooseModel(actor=actor, agent=agent, model=None if name.strip() == DEFAULT else name.strip())
        case ["/model"]:
            raise Invalid(f"/model needs a name, such as /model opus, or /model {DEFAULT} for the configured one")
        case ["/cancel"]:
            return InterruptTurn(actor=actor, agent=agent)
        case _:
            return GiveSlashCommand(actor=actor, agent=agent, text=text)


def choose_model(hive: Hive, command: ChooseModel) -> list[Fact]:
    """Note the choice; whether there is such a model, the next turn shows."""
    require_container(hive, command.agent)
    if command.model is not None:
        check_model(command.model)
    session = hive.sessions.get(command.agent) or Session(agent=command.agent)
    if session.chosen_model == command.model:
        return []
    return [turns.ModelChosen(agent=command.agent, model=command.model)]


def check_model(name: str) -> None:
    """Raise `Invalid` for what is no model's name: it becomes an argument of a program and part of every request."""
    if len(name) > MAX_MODEL_CHARACTERS or not _MODEL.fullmatch(name):
        raise Invalid(
            f"{name[:40]!r} is no model's name; such are opus and claude-sonnet-4-5[1m]: "
            f"1 to {MAX_MODEL_CHARACTERS} of a-z, A-Z, 0-9 and . _ : / @ + [ ] -, and the first is a letter or a digit"
        )


def give_slash_command(hive: Hive, command: GiveSlashCommand) -> list[Fact]:
    """Let it wait for the session."""
    require_container(hive, command.agent)
    text = command.text.strip()
    _check_slash_command(text)
    waiting = len(hive.slash_commands.group(command.agent))
    if waiting >= MAX_WAITING:
        raise Conflict(f"{waiting} commands wait for {command.agent} already; at most {MAX_WAITING} may")
    return [turns.SlashCommandGiven(agent=command.agent, text=text)]


def _check_slash_command(text: str) -> None:
    if len(text) > MAX_COMMAND_CHARACTERS:
        raise TooLarge(f"a command of {len(text)} characters; at most {MAX_COMMAND_CHARACTERS} are allowed")
    if not _SLASH_COMMAND.fullmatch(text):
        raise Invalid(f"{text[:40]!r} is no command of claude's; such are /compact and /context, on one line")
    name = text.split(maxsplit=1)[0]
    if name in OURS:
        raise Invalid(f"{name} is the hive's own and goes to no session")
