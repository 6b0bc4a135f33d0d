"""Facts about mail: sent, handed over, acknowledged, parked.

Streams ``inbox-<recipient>``. A message's id is the position of the fact that made it. System messages have no fact of
their own: an inbox is folded, and a ``ContainerCrashed`` *is* a message to the manager.
"""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class InboxFact:
    """A fact in the stream of one inbox."""

    to: str

    @property
    def stream(self) -> str:
        """The recipient's inbox."""
        return f"inbox-{self.to}"


@attrs.frozen(kw_only=True)
class MessageSent(InboxFact):
    """Somebody wrote to the inbox's owner; ``sender`` is whoever owns the socket it came in on."""

    sender: str
    body: str


@attrs.frozen(kw_only=True)
class MessagesHandedOver(InboxFact):
    """The messages left for the owner's turn; delivered only once acknowledged."""

    ids: tuple[int, ...]


@attrs.frozen(kw_only=True)
class MessagesAcknowledged(InboxFact):
    """The turn that received the messages has ended: they are delivered."""

    ids: tuple[int, ...]


@attrs.frozen(kw_only=True)
class MessagesParked(InboxFact):
    """The messages were handed over too often without being acknowledged, and wait for the operator."""

    ids: tuple[int, ...]


@attrs.frozen(kw_only=True)
class MessageRequeued(InboxFact):
    """The operator put a parked message back; its failed deliveries count no more."""

    id: int


@attrs.frozen(kw_only=True)
class MessageDropped(InboxFact):
    """The operator decided that a parked message is never to be delivered."""

    id: int


@attrs.frozen(kw_only=True)
class MessageRefused(InboxFact):
    """An agent wrote to somebody whom its configuration does not let it write to; the inbox does not get it."""

    sender: str
