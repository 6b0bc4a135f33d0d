"""A runtime whose containers are entries in a dictionary; it fails, hangs and crashes on command."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs

from harness.wire import check_name
from hyperhive.runtimes.protocol import Container, NoSuchContainer, Probe, Spec, StillRunning


@attrs.define
class MemoryRuntime:
    """Implements `hyperhive.runtimes.protocol.Runtime`; every act has a moment before it takes effect and one after."""

    name: str = "memory"
    isolated: bool = True
    containers: dict[str, Container] = attrs.field(factory=dict)
    specs: dict[str, Spec] = attrs.field(factory=dict)
    acts: list[str] = attrs.field(factory=list)
    """What was done, in order: ``start coder 2``."""
    broken: dict[str, Exception] = attrs.field(factory=dict)
    """What an act raises before it takes effect, by its verb."""
    broken_after: dict[str, Exception] = attrs.field(factory=dict)
    """What an act raises once, after it took effect, by its verb."""
    hanging: set[str] = attrs.field(factory=set)
    """Verbs of acts that never take effect."""
    gone_on: asyncio.Event = attrs.field(factory=asyncio.Event)
    """Lets acts that hang go on."""
    stuck: int = 0
    """How many acts hang now."""
    busy: int = 0
    busiest: int = 0
    """How many acts were under way at once, at most."""
    ended: list[str] = attrs.field(factory=list)
    """Acts that somebody gave up on."""
    moments: int = 0
    """How many moments there were so far."""
    cut_at: int | None = None
    """The moment at which nothing goes on any more, until somebody gives up on it."""
    cut: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def probe(self) -> Probe:
        """Say that it works."""
        return Probe(ok=True, detail="in memory")

    async def build(self, spec: Spec) -> None:
        """Note that it was built."""
        async with self._act("build", spec.name):
            self.acts.append(f"build {spec.name} {spec.generation}")

    async def create(self, spec: Spec) -> None:
        """Note a spec."""
        async with self._act("create", spec.name):
            self.specs[spec.name] = spec
            self.acts.append(f"create {spec.name} {spec.generation}")
            self.containers.setdefault(spec.name, Container(name=spec.name, running=False, generation=spec.generation))

    async def start(self, name: str) -> None:
        """Let the spec's generation run, and no other."""
        async with self._act("start", name):
            if name not in self.specs:
                raise NoSuchContainer(name)
            generation = self.specs[name].generation
            found = self.containers[name]
            if not (found.running and found.generation == generation):
                self.acts.append(f"start {name} {generation}")
                self.containers[name] = Container(name=name, running=True, generation=generation, pid=1)
            if (late := self.broken_after.pop("start", None)) is not None:
                raise late

    async def stop(self, name: str, grace_seconds: float) -> None:
        """End a container, if it runs."""
        async with self._act("stop", name):
            if name in self.containers and self.containers[name].running:
                self.acts.append(f"stop {name} {grace_seconds:g}")
                self.crash(name, 143)

    async def remove(self, name: str) -> None:
        """Forget a container."""
        async with self._act("remove", name):
            if name in self.containers and self.containers[name].running:
                raise StillRunning(name)
            if self.containers.pop(name, None) is not None:
                self.acts.append(f"remove {name}")
            self.specs.pop(name, None)

    async def logs(self, name: str, lines: int) -> tuple[str, ...]:
        """Nothing is ever written."""
        return ()

    async def log_path(self, name: str) -> Path:
        """Return the spec's."""
        return self.specs[name].log

    async def command(
        self, spec: Spec, argv: Sequence[str], *, environment: Mapping[str, str] | None = None
    ) -> tuple[str, ...]:
        """Return the argv as it is."""
        return tuple(argv)

    def run(self, name: str, generation: int) -> None:
        """Let a container run that nobody started here."""
        self.containers[name] = Container(name=name, running=True, generation=generation, pid=1)

    def crash(self, name: str, status: int | None = 1) -> None:
        """Let a container's program end by itself."""
        self.containers[name] = attrs.evolve(self.containers[name], running=False, pid=None, exit_status=status)

    async def moment(self) -> None:
        """Let others go on; stop here for ever, if this is where everything is cut."""
        self.moments += 1
        if self.cut_at is not None and self.moments == self.cut_at:
            self.cut.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)

    @asynccontextmanager
    async def _act(self, verb: str, name: str) -> AsyncIterator[None]:
        check_name(name)
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        try:
            await self.moment()
            if verb in self.hanging:
                self.stuck += 1
                try:
                    await self.gone_on.wait()
                finally:
                    self.stuck -= 1
            if verb in self.broken:
                raise self.broken[verb]
            yield
            await self.moment()
        except asyncio.CancelledError:
            for _ in range(5):
                await asyncio.sleep(0)  # a real one has to kill first what it has begun
            self.ended.append(f"{verb} {name}")
            raise
        finally:
            self.busy -= 1

    # Last, because it hides the builtin from annotations after it.
    async def list(self) -> list[Container]:
        """Return what there is."""
        async with self._act("list", "all"):
            return sorted(self.containers.values(), key=lambda container: container.name)
