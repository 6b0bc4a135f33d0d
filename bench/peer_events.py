"""The hive's facts as the eventsourcing package knows events: the same names, the same fields, its own mapper."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import attrs
from eventsourcing.domain import AggregateEvent
from eventsourcing.persistence import DatetimeAsISO, JSONTranscoder, Mapper, StoredEvent, UUIDAsHex

from hyperhive.events import codec
from hyperhive.events.envelope import Recorded


def _event_class(fact: type) -> type:
    annotations = {field.name: Any for field in attrs.fields(fact)}
    names = {"__annotations__": annotations, "__module__": __name__, "__qualname__": fact.__name__}
    metaclass: Any = type(AggregateEvent)
    made: type = metaclass(fact.__name__, (AggregateEvent,), names)
    return made


CLASSES = {name: _event_class(fact) for name, fact in codec.TYPES.items()}
globals().update(CLASSES)  # it finds a class by its module and name


def stored(facts: Iterable[Recorded]) -> tuple[Mapper[Any], list[StoredEvent]]:
    """Return the peer's mapper, and the facts as it stores them."""
    transcoder = JSONTranscoder()
    transcoder.register(UUIDAsHex())
    transcoder.register(DatetimeAsISO())
    mapper: Mapper[Any] = Mapper(transcoder)
    streams: dict[str, UUID] = {}
    kept = []
    for fact in facts:
        event = CLASSES[fact.type](
            originator_id=streams.setdefault(fact.stream, uuid4()),
            originator_version=fact.version,
            timestamp=datetime.fromtimestamp(fact.at / 1_000_000, tz=UTC),
            **attrs.asdict(fact.event),
        )
        kept.append(mapper.to_stored_event(event))
    return mapper, kept
