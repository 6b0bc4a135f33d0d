"""Several runtimes as one: each agent lives in the one that was chosen for it, all others in the daemon's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hyperhive.runtimes.protocol import (
    Container,
    Journaled,
    NoSuchContainer,
    Probe,
    Runtime,
    RuntimeUnavailable,
    Spec,
)


class Several:
    """A runtime of runtimes. What an agent left in another one is found there, stopped there, and removed there."""

    def __init__(
        self,
        default: Runtime,
        *,
        build: Callable[[str], Runtime],
        used: Sequence[str] = (),
        chosen: Callable[[str], str | None],
    ) -> None:
        self._default = default
        self._build = build
        self._chosen = chosen
        self._runtimes: dict[str, Runtime] = {default.name: default}
        self._seen_in: dict[str, Runtime] = {}
        """Where each container ran when it was last started, or seen."""
        for name in used:
            self._runtime(name)

    @property
    def name(self) -> str:
        """The daemon's."""
        return self._default.name

    @property
    def isolated(self) -> bool:
        """Whether the daemon's runtime isolates; see `isolates` for an agent's own."""
        return self._default.isolated

    def isolates(self, name: str) -> bool:
        """Whether this agent is kept from the rest of the host: where it runs, which may not be where it will."""
        return self._seen_in.get(name, self.of(name)).isolated

    def of(self, name: str) -> Runtime:
        """Return the runtime that an agent's container is made in."""
        return self._runtime(self._chosen(name) or self._default.name)

    async def try_(self, runtime: str) -> None:
        """Raise `UnknownRuntime` or `RuntimeUnavailable` where no agent could move there."""
        probe = await self._runtime(runtime).probe()
        if not probe.ok:
            raise RuntimeUnavailable(runtime, probe)

    async def probe(self) -> Probe:
        """Try the daemon's."""
        return await self._default.probe()

    async def build(self, spec: Spec) -> None:
        """Build for where it was chosen to be; it may still run elsewhere."""
        await self.of(spec.name).build(spec)

    async def create(self, spec: Spec) -> None:
        """Create it where it was chosen to be, once nothing of it is anywhere else."""
        runtime = self.of(spec.name)
        for other in self._others(runtime):
            await other.remove(spec.name)
        await runtime.create(spec)

    async def start(self, name: str) -> None:
        """Start it there."""
        runtime = self.of(name)
        # Before it runs: its first question may come at once.
        self._seen_in[name] = runtime
        await runtime.start(name)

    async def stop(self, name: str, grace_seconds: float) -> None:
        """Stop it wherever it runs."""
        await asyncio.gather(*(runtime.stop(name, grace_seconds) for runtime in self._runtimes.values()))

    async def remove(self, name: str) -> None:
        """Remove it from everywhere."""
        for runtime in list(self._runtimes.values()):
            await runtime.remove(name)

    async def logs(self, name: str, lines: int) -> tuple[str, ...]:
        """Read them where it is."""
        return await (await self._home(name)).logs(name, lines)

    async def log_path(self, name: str) -> Path:
        """Return the path where it is."""
        return await (await self._home(name)).log_path(name)

    async def journal(self, name: str, unit: str, lines: int) -> str | None:
        """Return the journal of a container that runs and has one; None where there is none."""
        for runtime in list(self._runtimes.values()):
            found = await runtime.journal(name, unit, lines) if isinstance(runtime, Journaled) else None
            if found is not None:
                return found
        return None

    async def command(
        self, spec: Spec, argv: Sequence[str], *, environment: Mapping[str, str] | None = None
    ) -> tuple[str, ...]:
        """Return the argv of the chosen one."""
        return await self.of(spec.name).command(spec, argv, environment=environment)

    async def where(self, name: str) -> str:
        """Return the name of the runtime that an agent runs in, or would run in."""
        for runtime in self._runtimes.values():
            if any(container.name == name and container.running for container in await runtime.list()):
                return runtime.name
        return self.of(name).name

    def _runtime(self, name: str) -> Runtime:
        if name not in self._runtimes:
            self._runtimes[name] = self._build(name)
        return self._runtimes[name]

    def _others(self, runtime: Runtime) -> list[Runtime]:
        return [other for other in self._runtimes.values() if other is not runtime]

    async def _home(self, name: str) -> Runtime:
        """Return the runtime that has a container of this name: the chosen one, or else where it was before."""
        chosen = self.of(name)
        for runtime in (chosen, *self._others(chosen)):
            try:
                await runtime.log_path(name)
            except NoSuchContainer:
                continue
            return runtime
        return chosen

    # Last, because it hides the builtin from annotations after it.
    async def list(self) -> list[Container]:
        """Observe all; of a name that two have, the one that runs counts, or else the chosen one's."""
        runtimes = [*self._runtimes.values()]
        seen: dict[str, tuple[bool, bool, Container]] = {}
        for runtime, containers in zip(
            runtimes, await asyncio.gather(*(each.list() for each in runtimes)), strict=True
        ):
            for container in containers:
                rank = (container.running, self.of(container.name) is runtime, container)
                if container.running:
                    self._seen_in[container.name] = runtime
                if container.name not in seen or rank[:2] > seen[container.name][:2]:
                    seen[container.name] = rank
        return [seen[name][2] for name in sorted(seen)]
