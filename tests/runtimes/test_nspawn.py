"""The runtime of systemd's machines keeps the contract, on a host that systemd runs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from hyperhive.runtimes.confinement import Egress, EgressPolicy, Limits
from hyperhive.runtimes.nspawn import Nspawn
from hyperhive.runtimes.protocol import Journaled, RuntimeFailed, Spec
from tests.runtimes.contract import RUNS, RuntimeContract
from tests.runtimes.escape import EscapeSuite
from tests.runtimes.home import PROGRAM, Home, home, listening, observed, started, until

FACTORY = "hyperhive.runtimes.nspawn:Nspawn"


@pytest.fixture(autouse=True, scope="module")
def works(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip where systemd runs no machines, and say why; tests/host runs this very file on a host where it does."""
    probe = asyncio.run(Nspawn(run_dir=tmp_path_factory.mktemp("run"), hive="probe").probe())
    if not probe.ok:
        pytest.skip(f"{probe.detail} {probe.remedy}")


class TestNspawn(RuntimeContract):
    """What every runtime promises."""

    factory = FACTORY


class TestEscapes(EscapeSuite):
    """What an agent cannot do from inside a machine, tried there."""

    factory = FACTORY


LOOK = (
    "import json, os, socket\n"
    "def tried(act):\n"
    "    try: return str(act())\n"
    "    except OSError as error: return type(error).__name__\n"
    "links = os.listdir('/sys/class/net')\n"
    "seen = {'uid': os.getuid(), 'host': socket.gethostname(), 'links': links, 'run': sorted(os.listdir('/run')),\n"
    "  'shadow': os.path.exists('/etc/shadow'), 'lib': sorted(os.listdir('/var')),\n"
    "  'usr': tried(lambda: open('/usr/x', 'w')), 'etc': tried(lambda: open('/etc/x', 'w')),\n"
    "  'status': open('/proc/self/status').read(), 'unshare': tried(lambda: os.unshare(os.CLONE_NEWUSER)) \n"
    "    if hasattr(os, 'unshare') else 'PermissionError',\n"
    "  'out': tried(lambda: socket.create_connection(('192.0.2.1', 80), timeout=2))}\n"
    "open('seen', 'w').write(json.dumps(seen))\n"
)


class TestTheMachineAsAWhole:
    """What a machine is beyond the contract."""

    @pytest.fixture
    def home(self) -> Iterator[Home]:
        """Make a home that is left empty."""
        with home(FACTORY) as made:
            yield made

    def test_what_an_agent_sees(self, home: Home) -> None:
        """It is nobody's user, without rights, without a network, and nothing of the host's but its system is there."""

        async def story() -> dict[str, Any]:
            spec = home.spec(LOOK + RUNS, egress=Egress(policy=EgressPolicy.NONE))
            await started(home.runtime(), spec)
            seen: dict[str, Any] = json.loads((spec.state / "seen").read_text())
            return seen

        seen = asyncio.run(story())
        assert (seen["uid"], seen["host"], seen["links"]) == (1000, "h-coder", ["lo"])
        assert (seen["shadow"], seen["lib"]) == (False, ["tmp"])
        assert {seen["usr"], seen["etc"]} <= {"PermissionError", "OSError"}
        assert seen["unshare"] == "PermissionError"
        assert seen["out"] == "OSError"
        assert "CapEff:\t0000000000000000" in seen["status"]
        assert "CapBnd:\t0000000000000000" in seen["status"]
        assert "NoNewPrivs:\t1" in seen["status"]

    def test_its_files_are_the_daemons(self, home: Home) -> None:
        """What it writes belongs to the daemon's user on disk, and what the daemon writes there is its own."""

        async def story() -> Spec:
            spec = home.spec("open('mine', 'w').close()\nopen('given', 'a').write('more')\n" + RUNS)
            (spec.state / "given").write_text("given, ")
            await started(home.runtime(), spec)
            return spec

        spec = asyncio.run(story())
        assert (spec.state / "mine").stat().st_uid == os.geteuid()
        assert (spec.state / "given").read_text() == "given, more"

    def test_journal(self, home: Home) -> None:
        """A running machine's journal is had by unit; of one that ended there is none."""

        async def story() -> tuple[str | None, str | None, str | None]:
            runtime = home.runtime()
            assert isinstance(runtime, Journaled)
            await started(runtime, home.spec("print('said here', flush=True)\n" + RUNS))
            await until(lambda: "said here" in (home.root / "logs/coder.log").read_text())
            mine = await runtime.journal("coder", "hive-ag3nt.service", 20)
            other = await runtime.journal("coder", "hive-m1nd.service", 20)
            await runtime.stop("coder", 1)
            return mine, other, await runtime.journal("coder", "", 20)

        mine, other, ended = asyncio.run(story())
        assert mine is not None
        assert "h-coder harness[" in mine
        assert "said here" in mine
        assert other is not None
        assert "said here" not in other
        assert ended is None

    def test_limits(self, home: Home) -> None:
        """Memory and tasks have an end: what is over it is killed or refused, and the machine goes on."""
        greedy = (
            "import os, subprocess, sys\n"
            "eat = subprocess.run((sys.executable, '-c', 'x = bytearray(400 << 20)'))\n"
            "forks = 0\n"
            "try:\n"
            "    while forks < 200:\n"
            "        if os.fork() == 0: signal.pause()\n"
            "        forks += 1\n"
            "except OSError: pass\n"
            "open('seen', 'w').write(f'{eat.returncode} {forks}')\n"
        )

        async def story() -> str:
            spec = home.spec("import signal\n" + greedy + RUNS, limits=Limits(memory_bytes=128 << 20, tasks=64))
            await started(home.runtime(), spec)
            return (spec.state / "seen").read_text()

        status, forks = map(int, asyncio.run(story()).split())
        assert status in {-signal.SIGKILL, 1}
        assert forks < 64

    def test_a_second_daemon_admits_the_same_user(self, home: Home) -> None:
        """A terminal on a running agent, after another daemon took over, leaves it its users and its socket."""
        ask = (
            "import os, socket, time\n"
            "while not os.path.exists('again'): time.sleep(0.01)\n"
            "s = socket.socket(socket.AF_UNIX)\n"
            "s.connect(os.environ['HYPERHIVE_SOCKET'])\n"
            "open('unfinished', 'w').write(s.makefile().read())\n"
            "os.rename('unfinished', 'answer')\n"
        )

        async def story() -> Spec:
            spec = home.spec("open('runs', 'w').close()\n" + ask + "import signal\nsignal.pause()\n")
            await started(home.runtime(), spec)
            await home.runtime().command(spec, ("true",))
            with listening(spec.socket_dir / "agent.sock", "still there"):
                (spec.state / "again").touch()
                await until((spec.state / "answer").exists)
            return spec

        assert (asyncio.run(story()).state / "answer").read_text() == "still there"

    def test_another_hives_machine(self, home: Home) -> None:
        """A machine of the same name that is another hive's is neither listed, nor stopped, nor replaced."""
        other = attrs.evolve(home, root=home.root / "other", hive=f"{home.hive}-2")

        async def story() -> None:
            await started(home.runtime(), home.spec())
            there = other.runtime()
            assert await there.list() == []
            await there.create(other.spec())
            for act in (there.start("coder"), there.stop("coder", 1)):
                with pytest.raises(RuntimeFailed, match="not this hive's"):
                    await act
            assert (await observed(home.runtime(), "coder")).running

        asyncio.run(story())

    def test_an_image(self, home: Home) -> None:
        """Of a system of its own an agent sees that one, writes nothing to it, and runs all the same."""
        image = Path(os.environ.get("HYPERHIVE_TEST_IMAGE", "/nowhere"))
        if not image.is_dir():
            pytest.skip("there is no system to show here (HYPERHIVE_TEST_IMAGE)")

        async def story() -> Spec:
            runtime = Nspawn(run_dir=home.run_dir, hive=home.hive, program=PROGRAM, image=image)
            spec = home.spec("open('seen', 'w').write(open('/etc/hive-image').read())\n" + RUNS)
            await started(runtime, spec)
            return spec

        assert (asyncio.run(story()).state / "seen").read_text() == "of its own"
