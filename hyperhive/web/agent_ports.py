"""Agents' own web ports: one listener each, an origin of its own, with keys of its own."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import attrs
import structlog
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.events.envelope import Recorded
from hyperhive.projections.agents import State
from hyperhive.web.access import AgentKeys
from hyperhive.web.guard import Gate, Guarded, Way
from hyperhive.web.listener import HttpServer, PortTaken, bind

log = structlog.get_logger("ports")

_PORT = re.compile(r":\d+\Z")


@attrs.frozen(kw_only=True)
class Place:
    """Where agents' ports are: the address to listen on, and the names that it has for people."""

    address: str
    names: frozenset[str]
    scheme: str = "http"


class AgentPorts:
    """Listens for every agent that has a container, and for nobody else."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        server: HttpServer,
        place: Place,
        *,
        ways: list[Way],
        keys: AgentKeys,
        port_of: Callable[[str], int | None],
    ) -> None:
        self._hive = dispatcher.hive
        self._server = server
        self._place = place
        self._ways = ways
        self._keys = keys
        self._port_of = port_of
        self._open: dict[str, tuple[int, Callable[[], None]]] = {}
        self._tried: dict[str, int] = {}
        """The ports that could not be had; tried again when something is done with the agent's container."""
        self._binding: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._changed.set()
        self._unlisten = dispatcher.listen(self._note)

    def origin(self, name: str, host: str) -> str | None:
        """Return where an agent's page is an origin of its own now, for who asks for this host; None where it is not.

        So it is none for who comes through a proxy, which knows nothing of these ports.
        """
        found = self._open.get(name)
        called = _PORT.sub("", host)
        return None if found is None or called not in self._place.names else self._origin(called, found[0])

    def _origin(self, host: str, port: int) -> str:
        return f"{self._place.scheme}://{host}:{port}"

    def _note(self, facts: list[Recorded]) -> None:
        for fact in facts:
            category, _, name = fact.stream.partition("-")
            if category == "agent":
                self._tried.pop(name, None)
                self._changed.set()

    async def run(self) -> None:
        """Follow the hive until cancelled; then no port is open any more."""
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                self.tick()
        finally:
            self._unlisten()
            for task in self._binding.values():
                task.cancel()
            await asyncio.gather(*self._binding.values(), return_exceptions=True)
            for name in tuple(self._open):
                self._close(name)

    def tick(self) -> None:
        """Open what is missing, close what is no more."""
        wanted = {
            agent.name: port
            for agent in self._hive.agents.values()
            if agent.state in {State.RUNNING, State.STOPPED} and (port := self._port_of(agent.name)) is not None
        }
        for name, (port, _end) in tuple(self._open.items()):
            if wanted.get(name) != port:
                self._close(name)
        for name in self._binding.keys() - wanted.keys():
            self._binding[name].cancel()
        for name, port in wanted.items():
            if name not in self._open and name not in self._binding and self._tried.get(name) != port:
                self._tried[name] = port
                self._binding[name] = asyncio.create_task(self._bind(name, port))

    async def _bind(self, name: str, port: int) -> None:
        try:
            listener = await bind(self._place.address, port)
            self._open[name] = (port, await self._server.serve_beside(self._app(name, port), listener))
        except PortTaken as error:
            log.warning("agent_port", stream=f"agent-{name}", port=port, error=str(error))
        finally:
            del self._binding[name]
            self._changed.set()  # meanwhile another port may be wanted, or none

    def _close(self, name: str) -> None:
        _port, end = self._open.pop(name)
        self._tried.pop(name, None)
        end()

    def _app(self, name: str, port: int) -> ASGIApp:
        routes = [Route(way.path, Guarded(way, self._keys.of(name)), methods=[way.method]) for way in self._ways]
        origins = {self._origin(host, port) for host in self._place.names}
        return Gate(_named(name, Starlette(routes=routes)), origins)


def _named(name: str, app: ASGIApp) -> ASGIApp:
    """Let every request know whose page it asks for."""

    async def pass_on(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "agent": name}, receive, send)

    return pass_on
