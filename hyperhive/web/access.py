"""Who asks: the person behind a key, and what a way through the site asks of that person."""

from __future__ import annotations

import enum
from collections.abc import Callable
from hashlib import sha256

import attrs

from hyperhive.events.envelope import OPERATOR, Actor, Role


class Who(enum.Enum):
    """Whom a way is for."""

    PUBLIC = "public"
    """Anybody who can reach the port: it tells nothing of the hive."""
    VIEWER = "viewer"
    """Whoever has a key; operators, too."""
    OPERATOR = "operator"


@attrs.frozen
class Person:
    """Somebody with a key that is valid now."""

    actor: Actor

    @property
    def may_act(self) -> bool:
        """Whether this is more than a viewer; what exactly may be done is for `commands.authority` to say."""
        return self.actor.role is Role.OPERATOR


Recognise = Callable[[str], Person | None]
"""Whose key this is at this moment; None for nobody's."""


def digest(key: str) -> bytes:
    """Return what is kept of a key. Keys are random and long, so that a plain hash cannot be turned back."""
    return sha256(key.encode()).digest()


class Keys:
    """Every key that opens the hive."""

    def __init__(self, token: str) -> None:
        self._token = digest(token)

    def __call__(self, key: str) -> Person | None:
        """Return whose key this is.

        Keys are compared by their hashes: how long that takes says nothing about a key that is nearly right.
        """
        return Person(OPERATOR) if digest(key) == self._token else None
