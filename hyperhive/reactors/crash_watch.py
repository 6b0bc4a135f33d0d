"""Looks at the containers every so often, and notes those that stopped although nobody had asked for it."""

from __future__ import annotations

from hyperhive.commands.agents import ReportCrash
from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.events.envelope import DAEMON
from hyperhive.runtimes.protocol import Runtime


class CrashWatch:
    """The reactor. The first look only seeds: what stopped while no daemon looked is not a crash that anybody saw."""

    def __init__(self, dispatcher: Dispatcher, runtime: Runtime) -> None:
        self._dispatcher = dispatcher
        self._runtime = runtime
        self._seeded = False

    async def tick(self) -> None:
        """Look once.

        What should run is noted before looking, with its generation: whatever happens to a container meanwhile moves
        one or the other, and the decider then drops the report.
        """
        agents = self._dispatcher.hive.agents.values()
        expected = {agent.name: agent.generation for agent in agents if agent.running and agent.pending is None}
        found = {container.name: container for container in await self._runtime.list()}
        if not self._seeded:
            self._seeded = True
            return
        for name, generation in expected.items():
            container = found.get(name)
            if container is not None and container.running:
                continue
            status = container.exit_status if container is not None else None
            await self._dispatcher.dispatch(
                ReportCrash(actor=DAEMON, agent=name, generation=generation, exit_status=status),
            )
