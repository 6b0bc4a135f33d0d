"""What a container wrote, for any surface: name, unit and number of lines are checked before anything is asked."""

from __future__ import annotations

import asyncio

import attrs

from hyperhive.commands.agents import require_container
from hyperhive.commands.errors import Invalid, NotFound, Unavailable
from hyperhive.projections.hive import Hive
from hyperhive.runtimes.logs import MAX_LINES, UNITS
from hyperhive.runtimes.protocol import Journaled, NoSuchContainer, Runtime, RuntimeTrouble

DEADLINE_SECONDS = 5.0


@attrs.frozen(kw_only=True)
class Journal:
    """Reads the journal of a container that has one; of the others, and of one that has ended, the kept output."""

    hive: Hive
    runtime: Runtime
    deadline_seconds: float = DEADLINE_SECONDS

    async def __call__(self, name: str, unit: str, lines: int) -> str:
        """Return the last lines, control characters and all; an empty unit is every unit. Raises `Refused`."""
        if unit and unit not in UNITS:
            raise Invalid(f"the unit is {unit[:80]!r}; it is empty or one of {', '.join(UNITS)}")
        if not 1 <= lines <= MAX_LINES:
            raise Invalid(f"lines is {lines}; it is 1 to {MAX_LINES}")
        require_container(self.hive, name)
        try:
            async with asyncio.timeout(self.deadline_seconds):
                return await self._read(name, unit, lines)
        except NoSuchContainer as error:
            raise NotFound(str(error)) from error
        except RuntimeTrouble as error:
            raise Unavailable(f"the journal of {name} cannot be read: {error}") from error
        except TimeoutError:
            raise Unavailable(
                f"the journal of {name} did not come within {self.deadline_seconds:g} s; try fewer lines"
            ) from None

    async def _read(self, name: str, unit: str, lines: int) -> str:
        journal = await self.runtime.journal(name, unit, lines) if isinstance(self.runtime, Journaled) else None
        if journal is not None:
            return journal
        return "".join(f"{line}\n" for line in await self.runtime.logs(name, lines))
