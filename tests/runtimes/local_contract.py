"""What holds for the runtimes that keep their own records: nothing is lost, and nothing started twice, without them."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import time
from pathlib import Path

import attrs
import pytest

from hyperhive.runtimes import marks, procfs
from hyperhive.runtimes.logs import earlier, tail
from hyperhive.runtimes.procfs import Process
from hyperhive.runtimes.protocol import Container, RuntimeTimeout, Spec
from hyperhive.runtimes.records import Record, Records
from tests.runtimes.contract import HOLDS, RUNS, RuntimeContract
from tests.runtimes.home import PATIENCE_SECONDS, Home, held, killed_daemon, observed, started, stopped, until

COUNTED = f"{HOLDS}open('starts', 'a').write('x')\n{RUNS}"


def records(home: Home) -> Records:
    """Return what the runtime keeps."""
    return Records(home.run_dir / "containers")


def recorded(home: Home) -> Record:
    """Return the record of the one container."""
    record = records(home).read("coder")
    assert record
    return record


def keeper_pid(home: Home) -> int:
    """Return the number of the container's keeper."""
    run = recorded(home).run
    assert run
    return run.keeper.pid


class LocalContract(RuntimeContract):
    """Records, marks and locks, on top of the contract."""

    def test_daemon_killed_before_it_wrote_the_pid(self, home: Home) -> None:
        """A keeper that its record does not name yet is found by its mark, adopted, and not started a second time."""
        spec = home.spec(COUNTED, generation=5)
        killed_daemon(home, spec)
        before = recorded(home)
        records(home).write(Record(spec=spec, run=None))

        async def story() -> Container:
            runtime = home.runtime()
            await runtime.start("coder")
            return await observed(runtime, "coder")

        container = asyncio.run(story())
        assert (container.running, container.generation) == (True, 5)
        after = recorded(home)
        assert after.run
        assert before.run
        assert after.run.keeper == before.run.keeper
        assert (spec.state / "starts").read_text() == "x"

    def test_daemon_killed_before_the_mark_was_there(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        """What a dead daemon had forked, and is nothing yet, holds the lock; the next daemon starts no second."""
        monkeypatch.setattr("hyperhive.runtimes.local.KILL_SECONDS", 0.1)

        async def story() -> bool:
            runtime = home.runtime()
            spec = home.spec()
            await runtime.create(spec)
            with records(home).lock_file("coder").open("w") as forked:
                fcntl.flock(forked, fcntl.LOCK_EX)
                with pytest.raises(RuntimeTimeout, match=r"coder\.lock"):
                    await runtime.start("coder")
                assert not (await observed(runtime, "coder")).running
            return (await started(runtime, spec)).running

        assert asyncio.run(story())

    @pytest.mark.parametrize("rubbish", ["", "{", "[]", '{"version":1,"spec":{},"run":null}'])
    def test_broken_record(self, home: Home, rubbish: str) -> None:
        """A record that cannot be read hides nothing: what runs is seen by its mark, adopted by a new spec, stopped."""
        spec = home.spec(COUNTED, generation=2)
        killed_daemon(home, spec)
        (home.run_dir / "containers/coder.json").write_text(rubbish)

        async def story() -> tuple[Container, Container]:
            runtime = home.runtime()
            seen = await observed(runtime, "coder")
            await runtime.create(spec)
            await runtime.start("coder")
            again = await observed(runtime, "coder")
            await runtime.stop("coder", 1)
            return seen, again

        seen, again = asyncio.run(story())
        assert (seen.running, seen.generation) == (True, 2)
        assert seen.pid == again.pid
        assert not held(spec.state / "held")
        assert (spec.state / "starts").read_text() == "x"

    def test_lost_run_directory(self, home: Home) -> None:
        """Where the whole run directory was removed, what runs is still listed, stopped, and never doubled."""
        spec = home.spec(COUNTED)
        killed_daemon(home, spec)
        for path in (home.run_dir / "containers").glob("coder.*"):
            path.unlink()

        async def story() -> list[Container]:
            runtime = home.runtime()
            assert (await observed(runtime, "coder")).running
            await runtime.stop("coder", 1)
            return await runtime.list()

        assert asyncio.run(story()) == []
        assert not held(spec.state / "held")

    def test_number_used_again(self, home: Home) -> None:
        """A recorded number that is another process's by now is not taken for the container, nor killed."""
        bystander = procfs.find(os.getpid())
        assert bystander

        async def story() -> tuple[Container, Container]:
            runtime = home.runtime()
            spec = home.spec()
            await started(runtime, spec)
            await runtime.stop("coder", 0)
            run = recorded(home).run
            assert run
            earlier = Process(pid=bystander.pid, start_ticks=bystander.start_ticks - 1)
            records(home).write(Record(spec=spec, run=attrs.evolve(run, keeper=earlier, first=earlier)))
            before = await observed(runtime, "coder")
            await runtime.stop("coder", 0)
            return before, await started(runtime, spec)

        before, after = asyncio.run(story())
        assert not before.running
        assert after.running

    def test_other_boot(self, home: Home) -> None:
        """A record of an earlier boot names no process of this one."""
        bystander = procfs.find(os.getpid())
        assert bystander

        async def story() -> Container:
            runtime = home.runtime()
            spec = home.spec()
            await started(runtime, spec)
            await runtime.stop("coder", 0)
            run = recorded(home).run
            assert run
            records(home).write(
                Record(spec=spec, run=attrs.evolve(run, keeper=bystander, first=bystander, boot_id="another"))
            )
            await runtime.stop("coder", 0)
            return await observed(runtime, "coder")

        assert not asyncio.run(story()).running

    def test_killed_keeper(self, home: Home) -> None:
        """A container whose keeper was killed is stopped, and nothing of it is left."""

        async def story() -> Spec:
            runtime = home.runtime()
            spec = home.spec(HOLDS + RUNS)
            await started(runtime, spec)
            os.kill(keeper_pid(home), signal.SIGKILL)
            await stopped(runtime, "coder")
            return spec

        spec = asyncio.run(story())
        assert not held(spec.state / "held")

    def test_daemon_reaps_its_children(self, home: Home) -> None:
        """A daemon that lists its containers leaves no zombie of one that ended."""
        others = set(procfs.children(os.getpid()))

        def zombies() -> list[int]:
            mine = set(procfs.children(os.getpid())) - others
            return [child for child in mine if procfs.find(child) is None]

        async def story() -> None:
            runtime = home.runtime()
            container = await started(runtime, home.spec())
            assert container.pid
            os.kill(container.pid, signal.SIGKILL)
            await until(zombies)
            end = time.monotonic() + PATIENCE_SECONDS
            while zombies():
                assert time.monotonic() < end
                await runtime.list()

        asyncio.run(story())

    def test_cancelled_start(self, home: Home) -> None:
        """A start that is cancelled, at whatever step, leaves no process; one that was quicker leaves its own."""

        async def story() -> None:
            runtime = home.runtime()
            await runtime.create(home.spec())
            for steps in (0, 1, 2, 4, 8, 16, 32, 64):
                starting = asyncio.create_task(runtime.start("coder"))
                for _ in range(steps):
                    await asyncio.sleep(0.0005)
                starting.cancel()
                await asyncio.wait({starting})
                assert (await observed(runtime, "coder")).running is not starting.cancelled()
                await runtime.stop("coder", 0)
                assert marks.scan(home.hive, believed=lambda _: True) == {}

        asyncio.run(story())

    def test_other_hives_are_not_seen(self, home: Home) -> None:
        """Two hives on one host keep agents of the same name without meeting."""
        other = attrs.evolve(home, root=home.root / "other", hive=f"{home.hive}-2")

        async def story() -> Container:
            here, there = home.runtime(), other.runtime()
            spec = other.spec()
            await started(there, spec)
            assert await here.list() == []
            await here.stop("coder", 0)
            try:
                return await observed(there, "coder")
            finally:
                await there.stop("coder", 0)

        assert asyncio.run(story()).running

    def test_log_is_bounded(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        """A program that prints without measure fills two files and no more, is not held up, and is still heard."""
        limit = 256 * 1024
        monkeypatch.setattr("hyperhive.runtimes.logs.MAX_BYTES", limit)
        flood = (
            "import os, time\n"
            "for _ in range(64): os.write(1, b'x' * 65535 + b'\\n')\n"
            "open('runs', 'w').close()\n"
            "while True:\n    os.write(1, b'still here\\n')\n    time.sleep(0.01)\n"
        )

        async def story() -> Path:
            runtime = home.runtime()
            spec = home.spec(flood)
            await started(runtime, spec)
            await until(lambda: tail(spec.log, 1) == ("still here",))
            return spec.log

        log = asyncio.run(story())
        assert earlier(log).stat().st_size == limit
        assert log.stat().st_size <= limit
        assert sorted(path.name for path in log.parent.iterdir()) == [log.name, earlier(log).name]
