"""What the runtimes share whose containers are machines with a systemd of their own, each a unit of the host's."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import datetime as dt
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from harness.wire import check_name, is_name
from hyperhive.runtimes import host, logs, machine, marks, procfs, runner, sandbox, systemd
from hyperhive.runtimes.checking import check, check_apart
from hyperhive.runtimes.machine import Places
from hyperhive.runtimes.marks import MARK
from hyperhive.runtimes.procfs import Process
from hyperhive.runtimes.protocol import (
    Container,
    NoSuchContainer,
    Probe,
    RuntimeFailed,
    RuntimeTimeout,
    Spec,
    StillRunning,
    container_name,
)
from hyperhive.runtimes.records import Record, Records, Run

START_SECONDS = 20.0
"""For a machine to boot and its program to run; here it takes half a second."""
STOP_SECONDS = 15.0
"""For what was killed to be gone."""
KILL_SECONDS = 3.0
"""For a machine to be gone after its first process was killed."""

_OUTPUT_SECONDS = 1.0


class Booted(abc.ABC):
    """A runtime of machines `h-<agent>`, registered with systemd-machined; units of the host outlive any daemon."""

    name: str
    isolated: bool
    template: str
    """The host's unit of a machine, with %s for its name."""
    start_seconds = START_SECONDS

    def __init__(self, *, run_dir: Path, hive: str, program: Sequence[str] | None = None) -> None:
        self._run_dir = run_dir
        self._hive = hive
        self._records = Records(run_dir / "containers")
        self._machines = run_dir / "machines"
        self._python = host.python()
        self._harness = tuple(program) if program else host.harness_argv()
        self._locks: dict[str, asyncio.Lock] = {}
        self._reloading = asyncio.Lock()

    @abc.abstractmethod
    async def probe(self) -> Probe:
        """See `Runtime.probe`."""

    @abc.abstractmethod
    async def command(
        self, spec: Spec, argv: Sequence[str], *, environment: Mapping[str, str] | None = None
    ) -> tuple[str, ...]:
        """See `Runtime.command`."""

    @abc.abstractmethod
    async def _furnish(self, spec: Spec) -> str:
        """Write what the machine is made of; return the part that makes the host's unit its own."""

    def _start_argv(self, name: str) -> tuple[str, ...]:
        return ("systemctl", "start", self._unit_of(name))

    def _stop_argv(self, name: str) -> tuple[str, ...]:
        return ("systemctl", "stop", self._unit_of(name))

    async def _clear(self, name: str) -> None:
        """Remove what was made of a machine that is to be no more."""
        await asyncio.to_thread(shutil.rmtree, self._places(name).directory, ignore_errors=True)

    def _agent_of(self, unit: str) -> str:
        before, _, after = (self.template % "h-\0").partition("\0")
        return unit.removeprefix(before).removesuffix(after)

    def _unit_of(self, name: str) -> str:
        return self.template % container_name(name)

    async def build(self, spec: Spec) -> None:  # noqa: B027 - for who has systems of their own
        """Build nothing."""

    async def create(self, spec: Spec) -> None:
        """Write the record."""
        async with self._alone(spec.name):
            self._check(spec)
            self._records.prepare()
            before = self._records.read(spec.name)
            self._records.write(Record(spec=spec, run=before.run if before else None))

    async def start(self, name: str) -> None:
        """Boot the machine where none of this generation runs."""
        async with self._alone(name):
            record = self._records.read(name)
            if record is None:
                raise NoSuchContainer(name)
            spec = record.spec
            self._check(spec)
            unit = await self._unit(name)
            if unit.busy:
                if self._generation(unit) == spec.generation and self._program(unit.main_pid) is not None:
                    return
                await self._end(name, 0)
            try:
                await self._boot(spec)
            except BaseException:
                await self._end(name, 0)
                raise

    async def stop(self, name: str, grace_seconds: float) -> None:
        """Power the machine off, which sends its program SIGTERM; then kill what is left of it."""
        async with self._alone(name):
            if (await self._unit(name)).busy:
                await self._end(name, grace_seconds)

    async def remove(self, name: str) -> None:
        """Delete the record, the units and the tree."""
        async with self._alone(name):
            if (await self._unit(name)).busy:
                raise StillRunning(name)
            self._records.delete(name)
            await self._clear(name)
            parts = (_dropin_path(self._unit_of(name)), _relay_path(name))
            if sum(_unlinked(path) for path in parts):
                await self._reload()

    async def logs(self, name: str, lines: int) -> tuple[str, ...]:
        """Read the end of the log, and of the earlier one where that is needed."""
        return await asyncio.to_thread(logs.tail, await self.log_path(name), lines)

    async def log_path(self, name: str) -> Path:
        """Return the path of the latest spec."""
        check_name(name)
        record = self._records.read(name)
        if record is None:
            raise NoSuchContainer(name)
        return record.spec.log

    async def journal(self, name: str, unit: str, lines: int) -> str | None:
        """Return the end of a running machine's journal, of one unit or of all; None where it does not run."""
        check_name(name)
        if not (await self._unit(name)).busy:
            return None
        argv = machine.journal_argv(name, lines, unit)
        output = await runner.run(argv, deadline_seconds=systemd.LOOK_SECONDS, keep_bytes=logs.JOURNAL_BYTES)
        if output.status != 0:
            raise RuntimeFailed(argv, output.status, output.text)
        return output.text

    # ── what it is made of ──

    def _check(self, spec: Spec) -> None:
        check(spec, self._run_dir)
        shown = sandbox.shown(sandbox.system(self._machines), self._python)
        check_apart((spec.state, spec.socket_dir, spec.log, self._run_dir), shown, "which every agent can read")

    def _places(self, name: str) -> Places:
        return Places(directory=self._machines / name)

    # ── what runs ──

    async def _unit(self, name: str) -> systemd.Unit:
        """Look at a machine's unit; raises `RuntimeFailed` where it is another's."""
        (unit,) = await systemd.show(self._unit_of(name))
        if unit.busy and not self._owns(name, unit):
            owner = procfs.variable(unit.main_pid, MARK) or "nobody's of a hive"
            raise RuntimeFailed(
                ("systemctl", "start", self._unit_of(name)),
                None,
                f"{unit.id} runs already and is not this hive's ({owner}); stop that one, or use another name",
            )
        return unit

    def _generation(self, unit: systemd.Unit) -> int | None:
        """Return the generation of a running machine of this hive."""
        mark = procfs.variable(unit.main_pid, MARK) if unit.main_pid else None
        if mark is None:
            return None
        hive, _, rest = mark.partition("/")
        return int(rest.rpartition("/")[2]) if hive == self._hive else None

    def _owns(self, name: str, unit: systemd.Unit) -> bool:
        """Whether a machine is this hive's: by its mark, which it has from its first program on, or by its unit."""
        if unit.main_pid and procfs.variable(unit.main_pid, MARK) is not None:
            return self._generation(unit) is not None
        try:
            return str(self._places(name).mark) in _dropin_path(self._unit_of(name)).read_text()
        except FileNotFoundError:
            return False

    def _program(self, nspawn: int) -> int | None:
        """Return the number of the program: the child of the eldest of its unit's shells that is none of its own."""
        for first in procfs.children(nspawn):
            shells = [process for child in procfs.children(first) if (process := _shell(child)) is not None]
            if not shells:
                continue
            eldest = min(shells, key=lambda process: process.start_ticks)
            for child in procfs.children(eldest.pid):
                line = procfs.command_line(child)
                if line and Path(line[0]).name not in machine.KEEPERS:
                    return child
        return None

    def _seen(self, name: str, unit: systemd.Unit | None) -> Container | None:
        record = self._records.read(name)
        run = record.run if record else None
        if unit is not None and unit.busy:
            process = procfs.find(unit.main_pid) if unit.main_pid else None
            generation = self._generation(unit)
            if generation is None:
                generation = run.generation if run else 0
            return Container(
                name=name,
                running=True,
                generation=generation,
                pid=self._program(unit.main_pid) if process else None,
                started_at=run.at if run else process.started_at() if process else None,
            )
        if record is None:
            return None
        return Container(
            name=name,
            running=False,
            generation=run.generation if run else record.spec.generation,
            started_at=run.at if run else None,
            exit_status=_exit_status(self._places(name).exit) if run else None,
        )

    # ── beginning and ending ──

    async def _boot(self, spec: Spec) -> None:
        dropin = await self._furnish(spec)
        places = self._places(spec.name)
        places.exit.unlink(missing_ok=True)
        mark = marks.mark(self._hive, spec.name, spec.generation)
        systemd.lay(places.mark, f'{MARK}="{mark}"\n')
        changed = [
            systemd.lay(_dropin_path(self._unit_of(spec.name)), dropin),
            systemd.lay(_relay_path(spec.name), machine.relay_unit(spec, places)),
        ]
        if any(changed):
            await self._reload()
        logs.prepare(spec.log)
        offset = spec.log.stat().st_size
        at = dt.datetime.now(dt.UTC)
        self._records.write(Record(spec=spec, run=_run(os.getpid(), spec, at)))
        unit = self._unit_of(spec.name)
        await systemd.attempt(("systemctl", "reset-failed", unit))
        systemd.trim(unit)
        try:
            await runner.check(self._start_argv(spec.name), deadline_seconds=self.start_seconds)
        except RuntimeFailed as error:
            raise RuntimeFailed(self._harness, error.status, await self._words(spec, offset, error.output)) from error
        await self._program_runs(spec, at, offset)

    async def _program_runs(self, spec: Spec, at: dt.datetime, offset: int) -> None:
        async for _ in _looks(self.start_seconds):
            unit = await self._unit(spec.name)
            if not unit.busy:
                break
            if unit.main_pid:
                self._records.write(Record(spec=spec, run=_run(unit.main_pid, spec, at)))
                if self._program(unit.main_pid) is not None:
                    return
        else:
            raise RuntimeTimeout(f"the program of {spec.container} did not run", deadline_seconds=self.start_seconds)
        status = _exit_status(self._places(spec.name).exit)
        if status != 0:
            raise RuntimeFailed(self._harness, status, await self._words(spec, offset, ""))

    async def _words(self, spec: Spec, offset: int, said: str) -> str:
        """Return what the program printed, or else what systemd has to say."""
        await self._relayed(spec.name)
        printed = logs.since(spec.log, offset)
        if printed:
            return printed
        argv = ("journalctl", "-u", self._unit_of(spec.name), "-b", "--no-pager", "--output=cat", "--lines=20")
        output = await runner.run(argv, deadline_seconds=systemd.LOOK_SECONDS)
        return f"{said}\n{output.text}"

    async def _end(self, name: str, grace_seconds: float) -> None:
        unit = self._unit_of(name)
        if grace_seconds > 0 and await systemd.attempt(("machinectl", "poweroff", f"h-{name}")):
            async for _ in _looks(grace_seconds):
                if not (await self._unit(name)).busy:
                    break
        await self._kill(name)
        await runner.check(self._stop_argv(name), deadline_seconds=STOP_SECONDS)
        await self._relayed(name)
        await systemd.attempt(("systemctl", "reset-failed", unit))

    async def _kill(self, name: str) -> None:
        """Kill the machine's first process, and so all of it; then its keeper, which by then has ended by itself."""
        found = await self._unit(name)
        for first in procfs.children(found.main_pid) if found.main_pid else ():
            if process := procfs.find(first):
                procfs.send(process, signal.SIGKILL)
        async for _ in _looks(KILL_SECONDS):
            if not (await self._unit(name)).busy:
                return
        await systemd.attempt(("systemctl", "kill", "--signal=KILL", found.id))

    async def _relayed(self, name: str) -> None:
        """Wait until all that was printed is in the log; a relay that nobody ever wrote to is ended."""
        relay = machine.relay_of(name)
        async for _ in _looks(_OUTPUT_SECONDS):
            (unit,) = await systemd.show(relay)
            if not unit.busy:
                return
        await systemd.attempt(("systemctl", "stop", relay))

    async def _reload(self) -> None:
        async with self._reloading:
            await systemd.act("daemon-reload")

    # ── one at a time ──

    @asynccontextmanager
    async def _alone(self, name: str) -> AsyncIterator[None]:
        check_name(name)
        async with self._locks.setdefault(name, asyncio.Lock()):
            yield

    # Last, because it hides the builtin from annotations after it.
    async def list(self) -> list[Container]:
        """Observe what has a record, and every machine with this hive's mark."""
        units = {self._agent_of(unit.id): unit for unit in await systemd.show(self.template % "h-*") if unit.busy}
        found = {name: unit for name, unit in units.items() if is_name(name) and self._owns(name, unit)}
        names = sorted({*self._records.names(), *found})
        return [container for name in names if (container := self._seen(name, found.get(name))) is not None]


def _dropin_path(unit: str) -> Path:
    return systemd.RUNTIME_UNITS / f"{unit}.d" / "hyperhive.conf"


def _relay_path(name: str) -> Path:
    return systemd.RUNTIME_UNITS / machine.relay_of(name)


def _unlinked(path: Path) -> bool:
    there = path.exists()
    path.unlink(missing_ok=True)
    if path.parent.suffix == ".d":
        with contextlib.suppress(OSError):  # somebody has a part of his own there
            path.parent.rmdir()
    return there


def _shell(pid: int) -> Process | None:
    """Return a process that is the first one of a harness's unit."""
    line = procfs.command_line(pid)
    return procfs.find(pid) if machine.OUTPUT in line and Path(line[0]).name in {"sh", "bash"} else None


def _exit_status(path: Path) -> int | None:
    """Read how a unit ended, as a shell says it."""
    try:
        code, status = path.read_text().split()
        return int(status) if code == "exited" else 128 + signal.Signals[f"SIG{status}"].value
    except (FileNotFoundError, ValueError, KeyError):
        return None


def _run(pid: int, spec: Spec, at: dt.datetime) -> Run:
    return Run(keeper=procfs.find(pid) or Process(pid=pid, start_ticks=0), generation=spec.generation, at=at)


async def _looks(seconds: float) -> AsyncIterator[None]:
    """Yield at once and then ever less often, until the time is over."""
    end = time.monotonic() + seconds
    pause = 0.02
    while True:
        yield
        left = end - time.monotonic()
        if left <= 0:
            return
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 1.5, 0.25)
