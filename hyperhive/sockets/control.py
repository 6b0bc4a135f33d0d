"""What a harness has to hear at once, whatever its turn is doing: to hold its turn loop, to interrupt, a command."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import attrs

from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.commands.messages import is_held
from hyperhive.events.envelope import Recorded
from hyperhive.projections.agents import Agent
from hyperhive.projections.freeze import freeze_of
from hyperhive.projections.slash_commands import SlashCommand

Interrupt = Literal["cancel", "freeze"]
"""``cancel``: the operator ended this turn, its mail counts as read. ``freeze``: it goes on once the hive is thawed."""


@attrs.frozen(kw_only=True)
class Control:
    """How things stand for one agent's turn loop."""

    seen: int
    """The position of the newest fact that it follows from; the harness says it with its next request."""
    hold: bool
    """Whether no turn may begin."""
    interrupt: Interrupt | None
    """Why a running turn has to end, by a fact that the harness has not seen."""
    commands: tuple[SlashCommand, ...] = ()
    """What the operator said to `claude` itself and no turn has taken up yet, oldest first."""

    def shown(self) -> dict[str, Any]:
        """Show it as the wire does."""
        commands = [{"id": row.id, "text": row.text} for row in self.commands]
        return {"seen": self.seen, "hold": self.hold, "interrupt": self.interrupt, "commands": commands}


class Controls:
    """Lets harnesses wait for a change."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    def now(self, name: str, seen: int | None) -> Control:
        """Return how things stand; a harness that has seen nothing yet has no turn to interrupt."""
        hive = self._dispatcher.hive
        agent = hive.agents.get(name) or Agent(name=name)
        freeze = freeze_of(hive.freeze)
        commands = tuple(hive.slash_commands.group(name).values())
        newest = max(agent.control, freeze.position, *(row.id for row in commands[-1:]))
        frozen = freeze.position if freeze.frozen else 0
        interrupt: Interrupt | None = None
        if seen is not None and max(agent.interrupt, frozen) > seen:
            interrupt = "cancel" if agent.interrupt > frozen else "freeze"
        return Control(seen=newest, hold=is_held(hive, name), interrupt=interrupt, commands=commands)

    async def wait(self, name: str, seen: int | None, seconds: float) -> Control:
        """Return how things stand as soon as that is something that the harness has not seen, or when time is over."""
        changed = asyncio.Event()

        def look(_facts: list[Recorded]) -> None:
            if self._dispatcher.released or self.now(name, seen).seen != seen:
                changed.set()

        end = self._dispatcher.listen(look)
        try:
            look([])
            async with asyncio.timeout(seconds):
                await changed.wait()
        except TimeoutError:
            pass
        finally:
            end()
        return self.now(name, seen)
