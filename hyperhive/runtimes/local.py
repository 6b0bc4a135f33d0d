"""What the runtimes without a container manager share: keepers, records, adoption, and the end of whole trees."""

from __future__ import annotations

import abc
import asyncio
import datetime as dt
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import structlog

from harness.wire import check_name
from hyperhive.runtimes import keeper, limits, logs, marks, procfs
from hyperhive.runtimes.checking import check
from hyperhive.runtimes.keeper import Launch
from hyperhive.runtimes.marks import Marked
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

START_SECONDS = 15.0
"""For a program to run after its keeper does; a loaded host needs well below one."""
KILL_SECONDS = 10.0
"""For killed processes to be gone; only one that hangs in the kernel needs longer."""

_OUTPUT_SECONDS = 1.0
"""For the last words of a program that failed at once to reach its log, or for its cgroups to be empty."""
_FIRST_LOOK_SECONDS = 0.002
_LAST_LOOK_SECONDS = 0.1

_log = structlog.get_logger(__name__)


class Local(abc.ABC):
    """A runtime whose containers are processes of this host, kept by a keeper each.

    ``hive`` marks the processes as one hive's, and is the same for a data directory for ever.
    """

    name: str
    isolated: bool

    def __init__(self, *, run_dir: Path, hive: str) -> None:
        if not hive or "/" in hive or "\0" in hive:
            raise ValueError(f"the hive's id is {hive!r}; it may not be empty, nor hold a /")
        self._hive = hive
        self._run_dir = run_dir
        self._records = Records(run_dir / "containers")
        self._locks: dict[str, asyncio.Lock] = {}
        self._children: list[subprocess.Popen[bytes]] = []

    @abc.abstractmethod
    async def probe(self) -> Probe:
        """See `Runtime.probe`."""

    @abc.abstractmethod
    async def command(
        self, spec: Spec, argv: Sequence[str], *, environment: Mapping[str, str] | None = None
    ) -> tuple[str, ...]:
        """See `Runtime.command`."""

    @abc.abstractmethod
    async def _launch(self, spec: Spec) -> Launch:
        """Return what the keeper runs."""

    @abc.abstractmethod
    def _program(self, keeper_pid: int) -> int | None:
        """Return the program's number once it runs."""

    def _first(self, keeper_pid: int) -> int | None:  # noqa: ARG002 - for who has sandboxes
        """Return the first process of the sandbox, which is gone when all of it is."""
        return None

    @abc.abstractmethod
    def _believed(self, pid: int) -> bool:
        """Whether a mark on this process is ours, rather than set by an agent on a process of its own."""

    def _confine(self, spec: Spec) -> None:  # noqa: B027 - for who has limits
        """Make what keeps the container within its limits; nothing of it runs yet."""

    def _check(self, spec: Spec) -> None:
        """Raise `InvalidSpec` where the spec's directories will not do."""
        check(spec, self._run_dir)

    async def build(self, spec: Spec) -> None:  # noqa: B027 - for who has images
        """Build nothing."""

    async def create(self, spec: Spec) -> None:
        """Write the record, which comes before any process."""
        async with self._alone(spec.name):
            self._check(spec)
            self._records.prepare()
            before = self._records.read(spec.name)
            self._records.write(Record(spec=spec, run=before.run if before else None))

    async def start(self, name: str) -> None:
        """Start a keeper where none of this generation lives."""
        async with self._alone(name):
            record = self._records.read(name)
            if record is None:
                raise NoSuchContainer(name)
            self._check(record.spec)
            what = await self._launch(record.spec)
            lock = await self._make_way(record.spec)
            if lock is None:
                return
            try:
                await self._start(record.spec, what, lock)
            finally:
                os.close(lock)

    async def stop(self, name: str, grace_seconds: float) -> None:
        """End the program, then whatever carries the mark, also where no record is left."""
        async with self._alone(name):
            found = await self._scan()
            run = self._run(name, found)
            # While the parents live, also what cleared its environment is found.
            tree = marks.with_descendants(run.processes()) if run else []
            if run is not None and grace_seconds > 0:
                await self._ask_to_end(run, grace_seconds)
            await self._kill(name, tree)

    async def remove(self, name: str) -> None:
        """Delete the record."""
        async with self._alone(name):
            found = await self._scan()
            if self._run(name, found) is not None:
                raise StillRunning(name)
            await self._kill(name)
            self._records.delete(name)

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

    # ── what runs ──

    async def _scan(self) -> dict[str, list[Marked]]:
        return await asyncio.to_thread(marks.scan, self._hive, believed=self._believed)

    def _run(self, name: str, found: Mapping[str, list[Marked]]) -> Run | None:
        """Return the living run: the recorded one, or else the one whose keeper carries the mark, which is adopted."""
        record = self._records.read(name)
        if record and record.run and record.run.alive():
            return record.run
        marked = _keeper_among(found.get(name, []))
        if marked is None:
            return None
        run = self._with_first(Run(keeper=marked.process, generation=marked.generation, at=marked.process.started_at()))
        if record:
            self._records.write(Record(spec=record.spec, run=run))
        _log.info("adopted", container=container_name(name), pid=run.keeper.pid, generation=run.generation)
        return run

    def _with_first(self, run: Run) -> Run:
        number = self._first(run.keeper.pid)
        return attrs.evolve(run, first=procfs.find(number) if number else None)

    async def _observe(self, name: str, found: Mapping[str, list[Marked]]) -> Container | None:
        run = self._run(name, found)
        if run is not None:
            return Container(
                name=name,
                running=True,
                generation=run.generation,
                pid=self._program(run.keeper.pid),
                started_at=run.at,
            )
        if name in found and not self._act(name).locked():
            async with self._alone(name):
                found = await self._scan()
                if name in found and self._run(name, found) is None:
                    _log.warning("reaping what its program left behind", container=container_name(name))
                    await self._kill(name)
        record = self._records.read(name)
        if record is None:
            return None
        return Container(
            name=name,
            running=False,
            generation=record.run.generation if record.run else record.spec.generation,
            started_at=record.run.at if record.run else None,
            exit_status=self._records.exit_status(name) if record.run else None,
        )

    # ── beginning ──

    async def _make_way(self, spec: Spec) -> int | None:
        """Return the container's lock, held, with nothing of that name running; None where the generation runs already.

        The lock is a keeper's from the fork on, also of one whose daemon died before it could say that it started it.
        """
        async for _ in _looks(KILL_SECONDS):
            found = await self._scan()
            run = self._run(spec.name, found)
            if run is not None and run.generation == spec.generation and procfs.alive(run.keeper):
                if self._program(run.keeper.pid) is not None:
                    return None
                # It is about to run, or has just ended.
                continue
            if run is not None or spec.name in found:
                await self._kill(spec.name)
            lock = os.open(self._records.lock_file(spec.name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
            else:
                return lock
        raise RuntimeTimeout(
            f"the lock {self._records.lock_file(spec.name)} did not come free", deadline_seconds=KILL_SECONDS
        )

    async def _start(self, spec: Spec, what: Launch, lock: int) -> None:
        offset = spec.log.stat().st_size if spec.log.exists() else 0
        exit_file = self._records.exit_file(spec.name)
        exit_file.unlink(missing_ok=True)
        if what.groups:
            self._records.write_groups(spec.name, what.groups)
        self._confine(spec)
        # Not in a thread: who cancels this would leave the thread with a closed lock. It takes some 3 ms.
        launched = keeper.launch(
            what,
            mark=marks.mark(self._hive, spec.name, spec.generation),
            exit_file=exit_file,
            log=spec.log,
            lock=lock,
        )
        self._children += [launched.keeper, launched.relay]
        try:
            run = Run(keeper=procfs.child(launched.keeper.pid), generation=spec.generation, at=dt.datetime.now(dt.UTC))
            self._records.write(Record(spec=spec, run=run))
            await self._program_runs(spec, what, launched, offset)
            self._records.write(Record(spec=spec, run=self._with_first(run)))
        except BaseException:
            await self._kill(spec.name)
            raise

    async def _program_runs(self, spec: Spec, what: Launch, launched: keeper.Launched, offset: int) -> None:
        """Wait until the program itself runs, or has already run to a good end."""
        async for _ in _looks(START_SECONDS):
            if self._program(launched.keeper.pid) is not None:
                return
            if launched.keeper.poll() is not None:
                break
        else:
            raise RuntimeTimeout(f"the program of {spec.container} did not run", deadline_seconds=START_SECONDS)
        status = self._records.exit_status(spec.name)
        if status != 0:
            async for _ in _looks(_OUTPUT_SECONDS):
                if launched.relay.poll() is not None:
                    break
            raise RuntimeFailed(what.argv, status, logs.since(spec.log, offset))

    # ── ending ──

    async def _ask_to_end(self, run: Run, grace_seconds: float) -> None:
        asked: int | None = None
        async for _ in _looks(grace_seconds):
            if not run.alive():
                return
            program = self._program(run.keeper.pid)
            if program is not None and program != asked and (target := procfs.find(program)):
                procfs.send(target, signal.SIGTERM)
                asked = program

    async def _kill(self, name: str, tree: Iterable[Process] = ()) -> None:
        """Kill a tree, all that carries this container's mark, and all that came from either, until nothing is left.

        Weakness: where nothing isolates, a process that both cleared its environment and left its parents is not found.
        """
        left = list(tree)
        record = self._records.read(name)
        if record and record.run:
            left += record.run.processes()
        async for _ in _looks(KILL_SECONDS):
            found = await self._scan()
            left = marks.with_descendants([*left, *(marked.process for marked in found.get(name, []))])
            if not left:
                self._reap_children()
                await self._leave_groups(name)
                return
            for process in left:
                procfs.send(process, signal.SIGKILL)
        numbers = " ".join(str(process.pid) for process in left)
        raise RuntimeTimeout(f"{container_name(name)} did not die: process {numbers}", deadline_seconds=KILL_SECONDS)

    async def _leave_groups(self, name: str) -> None:
        """Remove the cgroups in which nothing lives any more; the kernel needs a moment to see that."""
        async for _ in _looks(_OUTPUT_SECONDS):
            groups = [group for group in self._records.groups(name) if group.is_dir()]
            if not groups:
                return
            limits.remove(groups)

    def _reap_children(self) -> None:
        self._children = [child for child in self._children if child.poll() is None]

    # ── one at a time ──

    def _act(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    @asynccontextmanager
    async def _alone(self, name: str) -> AsyncIterator[None]:
        check_name(name)
        async with self._act(name):
            yield

    # Last, because it hides the builtin from annotations after it.
    async def list(self) -> list[Container]:
        """Observe what has a record or carries the mark; costs one look at each process of the machine."""
        self._reap_children()
        found = await self._scan()
        names = sorted({*self._records.names(), *found})
        return [container for name in names if (container := await self._observe(name, found))]


def _keeper_among(marked: Sequence[Marked]) -> Marked | None:
    """Return the keeper; its child looks the same before it becomes the program, but has a keeper for a parent."""
    keepers = {each.process.pid: each for each in marked if keeper.is_keeper(each.process.pid)}
    eldest = [each for pid, each in keepers.items() if procfs.parent(pid) not in keepers]
    return max(eldest, key=lambda each: each.generation, default=None)


async def _looks(seconds: float) -> AsyncIterator[None]:
    """Yield at once and then ever less often, until the time is over."""
    end = time.monotonic() + seconds
    pause = _FIRST_LOOK_SECONDS
    while True:
        yield
        left = end - time.monotonic()
        if left <= 0:
            return
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 1.5, _LAST_LOOK_SECONDS)
