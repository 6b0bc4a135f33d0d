"""Who asks: the person behind a key, and what a way through the site asks of that person."""

from __future__ import annotations

import base64
import enum
import hmac
import time
from collections.abc import Callable

import attrs

from hyperhive.events.envelope import OPERATOR, Actor, Role
from hyperhive.projections.hive import Hive
from hyperhive.projections.operators import hash_of

AGENT_KEY_SECONDS = 7 * 86_400
"""How long a key for one agent's page is good: a page that is left open goes on over a weekend."""


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


class Keys:
    """Every key that opens the hive: the data directory's, and those of people."""

    def __init__(self, token: str, hive: Hive) -> None:
        self._token = hash_of(token)
        self._hive = hive

    def __call__(self, key: str) -> Person | None:
        """Return whose key this is.

        Keys are looked up by their hashes: how long that takes says nothing about a key that is nearly right.
        """
        given = hash_of(key)
        if given == self._token:
            return Person(OPERATOR)
        return next((Person(row.actor) for row in self._hive.operators.values() if row.key_hash == given), None)

    def hash_of(self, actor: Actor) -> str | None:
        """Return the hash of the key that somebody has now; None for who has none."""
        if actor == OPERATOR:
            return self._token
        row = self._hive.operators.get(actor.name)
        return row.key_hash if row is not None and row.actor == actor else None


class AgentKeys:
    """Keys that open one agent's page, and nothing else.

    Such a key stands in the storage of the agent's own port. Whoever gets hold of that port gets the key, and with it
    what that agent's page shows and does, until it ends. It is a signature and kept nowhere: a restarted daemon knows
    it still, and it ends with the key of the person that it was made for.
    """

    def __init__(self, token: str, keys: Keys, *, clock: Callable[[], float] = time.time) -> None:
        self._secret = hmac.digest(token.encode(), b"keys of agents' pages", "sha256")
        self._keys = keys
        self._clock = clock

    def make(self, agent: str, person: Person) -> str:
        """Return a new key for this agent's page."""
        payload = f"{int(self._clock()) + AGENT_KEY_SECONDS} {person.actor.role.value} {person.actor.name}"
        signature = self._sign(agent, payload, self._keys.hash_of(person.actor) or "")
        return f"{_written(payload.encode())}.{_written(signature)}"

    def of(self, agent: str) -> Recognise:
        """Return who knows the keys of this agent's page."""

        def recognise(key: str) -> Person | None:
            try:
                payload, signature = (base64.b64decode(part, b"-_", validate=True) for part in key.split("."))
                until, role, name = payload.decode().split(" ")
                person = Person(Actor(Role(role), name))
                own = self._keys.hash_of(person.actor)
                is_in_time = self._clock() < int(until)
            except ValueError:
                return None
            if own is None or not is_in_time:
                return None
            right = self._sign(agent, payload.decode(), own)
            return person if hmac.compare_digest(signature, right) else None

        return recognise

    def _sign(self, agent: str, payload: str, own: str) -> bytes:
        return hmac.digest(self._secret, f"{agent}\n{payload}\n{own}".encode(), "sha256")


def _written(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode()
