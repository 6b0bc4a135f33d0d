"""``GET /metrics``: the daemon in numbers, as Prometheus reads them (text format 0.0.4). Never a text of an agent's."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable, Iterator

from starlette.requests import Request
from starlette.responses import Response

from hyperhive.projections.agents import State
from hyperhive.projections.freeze import freeze_of
from hyperhive.projections.hive import Hive
from hyperhive.web.live import Feed

_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counts what is there when it is asked."""

    def __init__(self, hive: Hive, feed: Feed, connections: Callable[[], int]) -> None:
        self._hive = hive
        self._feed = feed
        self._connections = connections

    async def __call__(self, _request: Request) -> Response:
        """Answer with every figure."""
        return Response("".join(self._lines()), media_type=_TYPE)

    def _lines(self) -> Iterator[str]:
        hive, feed = self._hive, self._feed
        yield from _one("log_position", "counter", "The last position of the log.", hive.position)
        states = [agent.state for agent in hive.agents.values()]
        yield from _head("agents", "gauge", "Agents by state.")
        yield from (f'hyperhive_agents{{state="{state.value}"}} {states.count(state)}\n' for state in State)
        pending = sum(agent.pending is not None for agent in hive.agents.values())
        yield from _one("agents_pending", "gauge", "Agents that something is being done to.", pending)
        turns = sum(session.turns for session in hive.sessions.values())
        failed = sum(session.failed_turns for session in hive.sessions.values())
        cost = sum(session.cost_usd for session in hive.sessions.values())
        yield from _one("turns_total", "counter", "Turns of all agents that are not purged.", turns)
        yield from _one("turns_failed_total", "counter", "Turns of them that failed.", failed)
        yield from _one("cost_dollars_total", "counter", "What they cost.", round(cost, 6))
        parked = sum(message.parked_at is not None for message in hive.messages.values())
        yield from _one("messages_undelivered", "gauge", "Messages in inboxes, parked ones too.", len(hive.messages))
        yield from _one("messages_parked", "gauge", "Messages that wait for the operator.", parked)
        yield from _one("questions_open", "gauge", "Questions that wait for an answer.", len(hive.questions))
        yield from _one("frozen", "gauge", "Whether every turn is held.", int(freeze_of(hive.freeze).frozen))
        yield from _one("http_connections", "gauge", "Open HTTP connections.", self._connections())
        yield from _one("streams_open", "gauge", "Open live streams.", len(feed.streams))
        yield from _one("stream_events_total", "counter", "Events sent, to all live streams together.", feed.sent)
        used = resource.getrusage(resource.RUSAGE_SELF)
        seconds = round(used.ru_utime + used.ru_stime, 3)
        yield from _one("process_cpu_seconds_total", "counter", "Processor time of the daemon.", seconds)
        unit = 1 if sys.platform == "darwin" else 1_024  # getrusage(2)
        yield from _one("process_memory_peak_bytes", "gauge", "Its largest memory so far.", used.ru_maxrss * unit)


def _head(name: str, kind: str, about: str) -> Iterator[str]:
    yield f"# HELP hyperhive_{name} {about}\n# TYPE hyperhive_{name} {kind}\n"


def _one(name: str, kind: str, about: str, value: float) -> Iterator[str]:
    yield from _head(name, kind, about)
    yield f"hyperhive_{name} {value}\n"
