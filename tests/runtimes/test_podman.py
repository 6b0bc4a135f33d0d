"""podman passes the contract, as root and as any other user; its limits hold."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import attrs
import pytest

from hyperhive.commands.agents import Action, RebuildAgent, SpawnAgent
from hyperhive.events.agents import AgentFact, RebuildFailed, RebuildSucceeded
from hyperhive.events.envelope import OPERATOR
from hyperhive.reactors.lifecycle import Home, Lifecycle
from hyperhive.runtimes.confinement import Egress, Limits
from hyperhive.runtimes.protocol import Runtime, Spec
from tests.commands.desk import Desk
from tests.runtimes.contract import RuntimeContract
from tests.runtimes.home import FOREVER, PATIENCE_SECONDS, home, observed, started, until
from tests.runtimes.home import Home as Place

FACTORY = "hyperhive.runtimes.podman:Podman"
ROOT = Path(__file__).parents[2]

ESSENTIAL = (
    "TestPodman or started_runs or asks_first or daemon_killed or socket_is_reached or output_is_kept"
    " or another_program"
)

pytestmark = pytest.mark.skipif(
    shutil.which("podman") is None, reason="podman is not installed (apt install podman runc catatonit)"
)


class TestContract(RuntimeContract):
    """The promises of every runtime, by whoever runs the tests."""

    factory = FACTORY


class TestLimits:
    """What one container may take."""

    def test_tasks_and_memory(self) -> None:
        """A container that starts too many processes, or takes too much memory, meets its own limit."""
        program = (
            "import os, subprocess, sys, time\nstarted = []\n"
            "try:\n    for _ in range(200): started.append(subprocess.Popen(['sleep', '60']))\n"
            "except OSError: pass\n"
            "for each in started: each.kill()\nfor each in started: each.wait()\n"
            "eater = subprocess.run([sys.executable, '-c', 'x = bytearray(400 << 20); print(len(x))'])\n"
            "open('seen', 'w').write(f'{len(started)} {eater.returncode}')\n"
        )
        with home(FACTORY) as place:
            spec = place.spec(program + FOREVER, limits=Limits(memory_bytes=200 << 20, tasks=40), egress=Egress())
            asyncio.run(started(place.runtime(), spec))
            processes, status = map(int, (spec.state / "seen").read_text().split())
        assert 10 < processes < 40
        assert status != 0


class TestImage:
    """An image of an agent's own."""

    def test_containerfile(self, hive_db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What the agent's Containerfile adds is there, and nothing of git.

        A rebuild from one that cannot be built says why; the container runs on, the same process in the same
        generation. Mended, the rebuild leads to the next one. An image and its tree stay as long as an agent is
        configured with it or runs on it, and no longer.
        """
        monkeypatch.chdir("/")  # where a daemon of systemd's is: no pattern may be taken for names there
        with home(FACTORY) as place:
            build = place.root / "applied"
            (build / ".git").mkdir(parents=True)
            (build / "motto").write_text("per aspera")
            good = "FROM localhost/hyperhive-base\nCOPY . /opt/own\n"
            (build / "Containerfile").write_text(good)
            look = "import os\nopen('seen', 'w').write(open('/opt/own/motto').read() + str(os.listdir('/opt/own')))\n"
            spec = place.spec(look + FOREVER, build=build)

            async def planned(_name: str, generation: int) -> Spec:
                return attrs.evolve(spec, generation=generation)

            async def story() -> None:
                runtime = place.runtime()
                desk = Desk(hive_db)
                agents = Home(plan=planned, prepare=planned, clear=nothing, close=nothing)
                lifecycle = Lifecycle(
                    desk.dispatcher, runtime, agents, parallel=1, deadline_seconds=120, grace_seconds=0
                )

                async def asked(command: Action) -> AgentFact:
                    await desk.dispatcher.dispatch(command)
                    await asyncio.gather(*lifecycle.tick())
                    told = desk.log.read(1, desk.hive.position)[-1].event
                    assert isinstance(told, AgentFact)
                    return told

                await asked(SpawnAgent(actor=OPERATOR, agent="coder"))
                await until((spec.state / "runs").exists)
                (before,) = images_of(place)
                first = await observed(runtime, "coder")
                assert (first.running, first.generation) == (True, 1)
                assert (spec.state / "seen").read_text() == "per aspera['Containerfile', 'motto']"

                (build / "Containerfile").write_text(good + "COPY nowhere /opt\n")
                failed = await asked(RebuildAgent(actor=OPERATOR, agent="coder"))
                assert isinstance(failed, RebuildFailed)
                assert "nowhere" in failed.error
                assert (failed.running, failed.generation) == (True, 1)
                assert await observed(runtime, "coder") == first

                (build / "Containerfile").write_text(good)
                (build / "motto").write_text("ad astra")
                assert await asked(RebuildAgent(actor=OPERATOR, agent="coder")) == RebuildSucceeded(
                    agent="coder", generation=2
                )
                assert (await observed(runtime, "coder")).generation == 2
                (now,) = images_of(place)
                trees = Path(said("podman", "info", "--format", "{{.Store.GraphRoot}}").strip()).parent / "hyperhive"
                assert now != before
                await gone(trees / before, runtime, "coder")
                assert (trees / now).is_dir()

                await forgotten(place, runtime, build, trees / now)
                desk.log.close()

            asyncio.run(story())


def said(*argv: str) -> str:
    """Run a command that has to succeed."""
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def images_of(place: Place) -> set[str]:
    """Return the images that agents of a home have."""
    listed = json.loads(said("podman", "image", "ls", "--format", "json"))
    return {one["Id"] for one in listed if any(name.endswith(f":{place.hive}") for name in one.get("Names") or [])}


async def forgotten(place: Place, runtime: Runtime, build: Path, tree: Path) -> None:
    """Let an agent's configuration go while it runs, and then the agent: its image goes first, its tree last."""
    shutil.rmtree(build)
    await runtime.remove("other")
    await started(runtime, place.spec(name="other"))
    assert images_of(place) == set()
    assert tree.is_dir()  # noqa: ASYNC240 - a test's look
    await runtime.stop("coder", 0)
    await runtime.remove("coder")
    await gone(tree, runtime, "other")


async def gone(tree: Path, runtime: Runtime, name: str) -> None:
    """Wait until a tree is no more. Each start looks, also one of what runs; who ended just now may still be there."""
    end = time.monotonic() + PATIENCE_SECONDS
    while tree.exists():  # noqa: ASYNC240 - a test's look
        assert time.monotonic() < end, f"{tree} stays"
        await runtime.start(name)


async def nothing(_name: str) -> None:
    """Leave all as it is."""


class TestWithoutRoot:
    """As a user who has no more than a home directory."""

    def test_passes_the_contract(self) -> None:
        """What differs without root, user ids, sockets, signals and adoption, keeps its promises for another user.

        All of `TestContract` does; it takes a minute, and whoever runs the tests without root runs it. What its agents
        try in order to get out is refused.
        """
        user = _other_user()
        with tempfile.TemporaryDirectory(prefix="hh-user-", dir="/tmp") as place:
            os.chown(place, user.pw_uid, user.pw_gid)
            environment = {"HOME": place, "XDG_RUNTIME_DIR": place, "PATH": os.environ["PATH"], "TMPDIR": place}
            environment["PYTHONPATH"] = f"{ROOT}:{sysconfig.get_path('purelib')}"
            environment["PYTHONDONTWRITEBYTECODE"] = "1"
            as_user = _as(user)
            suites = ("tests/runtimes/test_podman.py::TestContract", "tests/runtimes/test_escape.py::TestPodman")
            tests = (*suites, "-p", "no:cacheprovider", "-k", ESSENTIAL)
            argv = (*as_user, _python_for(as_user), "-m", "pytest", *tests)
            ended = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout[-4_000:] + ended.stderr[-2_000:]
        assert "skipped" not in ended.stdout.splitlines()[-1]


def _other_user() -> pwd.struct_passwd:
    """Return a user without rights who has subordinate ids; skips where there is none."""
    if os.geteuid() != 0:
        pytest.skip("the tests do not run as root: TestContract has been this user's already")
    ids = Path("/etc/subuid").read_text().splitlines() if Path("/etc/subuid").exists() else []
    names = {line.split(":")[0] for line in ids}
    users = [user for user in pwd.getpwall() if user.pw_name in names and user.pw_uid != 0]
    if not users:
        pytest.skip("no user here has subordinate ids (/etc/subuid)")
    return users[0]


def _as(user: pwd.struct_passwd) -> tuple[str, ...]:
    return ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")


def _python_for(as_user: tuple[str, ...]) -> str:
    """Return this Python, or the system's of the same version where the user may not read this one's directory."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    look = "import os, sys; os.stat(os.path.realpath(sys.argv[1])); os.listdir(sys.base_prefix)"
    for python in (sys.executable, f"/usr/bin/python{version}"):
        argv = (*as_user, python, "-c", look, python)
        if subprocess.run(argv, capture_output=True, check=False, cwd="/").returncode == 0:
            return python
    pytest.skip(f"another user can run neither {sys.executable} nor /usr/bin/python{version}")
