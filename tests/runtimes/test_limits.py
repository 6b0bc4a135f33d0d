"""Limits: what is asked of the kernel, by each way, and that an agent in a sandbox really meets them."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from hyperhive.runtimes import limits
from hyperhive.runtimes.bubblewrap import Bubblewrap
from hyperhive.runtimes.confinement import Limits
from hyperhive.runtimes.limits import Kind, Way
from hyperhive.runtimes.protocol import Probe, Spec
from tests.runtimes.home import Home, home, started, stopped, until

FACTORY = "hyperhive.runtimes.bubblewrap:Bubblewrap"
ALL = Limits(memory_bytes=1 << 30, cpu_percent=150, tasks=64)
NONE = Limits()
ENDS = "(this systemd ends an agent as a whole when one of its programs takes too much memory)"
MEMORY = "--property=MemoryMax=1073741824 --property=MemorySwapMax=0"
GREEDY = """
import os, signal, subprocess, sys
started = []
try:
    for _ in range(150): started.append(subprocess.Popen(['sleep', '600']))
except OSError: pass
for each in started: each.kill()
for each in started: each.wait()
eater = subprocess.run([sys.executable, '-c', 'x = bytearray(400 << 20)'], stderr=subprocess.PIPE)
open('seen', 'w').write(f"{len(started)} {eater.returncode} {b'MemoryError' in eater.stderr}")
open('runs', 'w').close()
"""
BUSY = "while True: pass\n"
IDLE = "while True: signal.pause()\n"


class TestWords:
    """Exactly what is asked for."""

    @pytest.mark.parametrize(
        ("user", "asked", "said"),
        [
            (False, ALL, f"{MEMORY} --property=CPUQuota=150% --property=TasksMax=64 "),
            (False, NONE, ""),
            (True, Limits(tasks=64), "--property=TasksMax=64 "),
        ],
    )
    def test_scope(self, user: bool, asked: Limits, said: str) -> None:
        """A scope has the limits that are set, and no others."""
        way = Way(kind=Kind.SCOPE, user=user, program="/bin/systemd-run")
        own = "--user " if user else ""
        words = f"/bin/systemd-run {own}--scope --quiet --collect --unit=u {said}--"
        assert " ".join(limits.scope_argv(way, "u", asked)) == words

    def test_scope_goes_on(self) -> None:
        """Where a scope may say so it lives on when one of its programs took too much memory."""
        way = Way(kind=Kind.SCOPE, program="/bin/systemd-run", policy=True)
        words = f"/bin/systemd-run --scope --quiet --collect --unit=u --property=OOMPolicy=continue {MEMORY} --"
        assert " ".join(limits.scope_argv(way, "u", Limits(memory_bytes=1 << 30))) == words
        assert "OOMPolicy" not in " ".join(limits.scope_argv(way, "u", Limits(tasks=64)))

    def test_said(self) -> None:
        """Where a scope may not, and systemd hears of it, that is said."""
        way = Way(kind=Kind.SCOPE, program="/bin/systemd-run", goes_on=False)
        assert way.detail == f"{Kind.SCOPE.value} {ENDS}"
        assert Way(kind=Kind.SCOPE, program="/bin/systemd-run").detail == Kind.SCOPE.value
        assert "the controller cpu" in Way(kind=Kind.SCOPE, user=True, time=False, program="/bin/systemd-run").detail

    @pytest.mark.parametrize(
        ("way", "asked", "said"),
        [
            (Way(kind=Kind.RLIMITS, program="/bin/prlimit"), ALL, "/bin/prlimit --data=1073741824 --nproc=64 --"),
            (Way(kind=Kind.RLIMITS, program="/bin/prlimit"), Limits(tasks=64), "/bin/prlimit --nproc=64 --"),
            (Way(kind=Kind.RLIMITS, program="/bin/prlimit"), Limits(cpu_percent=50), ""),
            (Way(kind=Kind.RLIMITS), ALL, ""),
            (Way(kind=Kind.CGROUP2), ALL, ""),
        ],
    )
    def test_rlimits(self, way: Way, asked: Limits, said: str) -> None:
        """Each process is limited by itself only where nothing limits all of them."""
        assert " ".join(limits.rlimit_argv(way, asked)) == said

    def test_cgroups(self) -> None:
        """Each version of cgroups has its own files; swap counts as memory."""
        assert limits.settings(Way(kind=Kind.CGROUP2), ALL) == {
            "memory": {"memory.max": "1073741824", "memory.swap.max": "0"},
            "cpu": {"cpu.max": "150000 100000"},
            "pids": {"pids.max": "64"},
        }
        assert limits.settings(Way(kind=Kind.CGROUP1), ALL) == {
            "memory": {"memory.limit_in_bytes": "1073741824", "memory.memsw.limit_in_bytes": "1073741824"},
            "cpu": {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "150000"},
            "pids": {"pids.max": "64"},
        }
        assert limits.settings(Way(kind=Kind.CGROUP2), NONE) == {"memory": {}, "cpu": {}, "pids": {}}

    def test_groups(self) -> None:
        """One group of version 2, one for each controller of version 1, none for what is not limited."""
        one = Way(kind=Kind.CGROUP2, groups=dict.fromkeys(("memory", "cpu", "pids"), Path("/g")))
        three = Way(kind=Kind.CGROUP1, groups={name: Path("/g", name) for name in ("memory", "cpu", "pids")})
        assert limits.groups(one, "h", "h-coder", ALL) == [Path("/g/hyperhive-h-h-coder")]
        assert limits.groups(three, "h", "h-coder", Limits(tasks=64)) == [Path("/g/pids/hyperhive-h-h-coder")]
        assert limits.groups(one, "h", "h-coder", NONE) == []

    def test_left(self, tmp_path: Path) -> None:
        """What is there no more, or in which something lives, is left alone."""
        (tmp_path / "busy/one").mkdir(parents=True)
        (tmp_path / "empty").mkdir()
        limits.remove([tmp_path / "gone", tmp_path / "busy", tmp_path / "empty"])
        assert [path.name for path in tmp_path.iterdir()] == ["busy"]


class TestKept:
    """In real sandboxes."""

    @pytest.fixture(autouse=True, params=["found", "rlimits"])
    def way(self, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Way:
        """Return the strongest way of this machine, and then what is left where no cgroup may be made."""
        if request.param == "rlimits":
            monkeypatch.setattr(limits, "CGROUPS", tmp_path)
            monkeypatch.setattr(limits, "SYSTEMD", tmp_path / "none")
        probe: Probe = asyncio.run(Bubblewrap(run_dir=tmp_path, hive="probe").probe())
        if not probe.ok:
            pytest.skip(f"{probe.detail} {probe.remedy}")
        way = asyncio.run(limits.find("trial"))
        if request.param == "rlimits":
            assert way.kind is Kind.RLIMITS
        elif wanted := os.environ.get("HYPERHIVE_TEST_WAY"):
            assert way.kind.name == wanted
        elif way.kind is Kind.RLIMITS:
            pytest.skip("this user may make no cgroup and has no systemd here, so that the other case is all there is")
        return way

    def test_kept(self, way: Way) -> None:
        """Who starts too many processes is refused, who takes too much memory ends, and the agent itself goes on.

        Unless the way says that it does not.
        """
        with home(FACTORY) as place:
            spec = place.spec(GREEDY + IDLE, limits=Limits(memory_bytes=200 << 20, cpu_percent=40, tasks=40))
            if not way.goes_on:
                asyncio.run(self.ends(place, spec))
                return
            container = asyncio.run(started(place.runtime(), spec))
            processes, status, said = (spec.state / "seen").read_text().split()
            assert container.running
            assert (10 < int(processes) < 40) is way.counts_tasks
            assert ("number of tasks" in way.detail) is not way.counts_tasks
            assert (int(status), said) == ((1, "True") if way.kind is Kind.RLIMITS else (-9, "False"))

    async def ends(self, place: Home, spec: Spec) -> None:
        """Expect that the agent has ended, and is seen to have."""
        runtime = place.runtime()
        await runtime.create(spec)
        await runtime.start(spec.name)
        assert not (await stopped(runtime, spec.name)).running

    def test_processor(self, way: Way) -> None:
        """A busy agent is held back by the kernel where its processor time is limited."""
        if way.kind is Kind.RLIMITS:
            pytest.skip(f"no processor time is limited here, which it says: {way.detail}")
        with home(FACTORY) as place:
            spec = place.spec("open('runs', 'w').close()\n" + BUSY, limits=Limits(cpu_percent=20))

            async def story() -> None:
                container = await started(place.runtime(), spec)
                assert container.pid
                await until(lambda: _throttled(_group(container.pid)) > 2)

            asyncio.run(story())


def _group(pid: int | None) -> Path:
    """Return the cgroup that keeps a process's time, as it is mounted here."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" and (limits.CGROUPS / "cgroup.controllers").exists():
            return limits.CGROUPS / path.lstrip("/")
        if "cpu" in controllers.split(","):
            return limits.CGROUPS / "cpu" / path.lstrip("/")
    raise AssertionError(f"process {pid} is in no group of the controller cpu")


def _throttled(group: Path) -> int:
    words = (group / "cpu.stat").read_text().split()
    return int(words[words.index("nr_throttled") + 1])
