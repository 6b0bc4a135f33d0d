"""Deciding about people: who gets a key of their own, and whose key ends."""

from __future__ import annotations

import attrs

from harness.wire import WireError, check_name
from hyperhive.commands.command import Command
from hyperhive.commands.errors import Conflict, Invalid, NotFound
from hyperhive.events import operators as facts
from hyperhive.events.envelope import Fact, Role
from hyperhive.projections.hive import Hive

MAX_PEOPLE = 1_000
_TAKEN = frozenset(role.value for role in Role) | {"system"}


@attrs.frozen(kw_only=True)
class AddOperator(Command):
    """Let somebody look, or look and act, with a key of which this is the hash."""

    name: str
    role: facts.PersonRole
    key_hash: str


@attrs.frozen(kw_only=True)
class RemoveOperator(Command):
    """Let somebody's key open nothing any more."""

    name: str


def add(hive: Hive, command: AddOperator) -> list[Fact]:
    """Add the person; who is there already keeps the key that they have."""
    try:
        name = check_name(command.name)
    except WireError as error:
        raise Invalid(str(error).replace("an agent's name", "a person's name")) from None
    if name in _TAKEN:
        raise Invalid(f"{name} is a role's name; give the person's own")
    if name in hive.operators:
        raise Conflict(f"{name} is there already, as {hive.operators[name].role}; remove and add again for a new key")
    if len(hive.operators) >= MAX_PEOPLE:
        raise Conflict(f"{len(hive.operators)} people have keys already; remove some")
    return [facts.OperatorAdded(operator=name, role=command.role, key_hash=command.key_hash)]


def remove(hive: Hive, command: RemoveOperator) -> list[Fact]:
    """Remove the person."""
    if command.name not in hive.operators:
        known = ", ".join(sorted(hive.operators)) or "nobody yet"
        raise NotFound(f"no operator {command.name[:80]!r}; there are: {known}")
    return [facts.OperatorRemoved(operator=command.name)]
