"""The contract that every runtime keeps.

A new runtime passes it with three lines::

    class TestPodman(RuntimeContract):
        factory = "hyperhive.runtimes.podman:Podman"

``factory`` names a class that takes ``run_dir``, ``hive`` and ``program``.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import attrs
import pytest

from harness.wire import WireError
from hyperhive.runtimes.protocol import (
    Container,
    InvalidSpec,
    NoSuchContainer,
    RuntimeFailed,
    Spec,
    StillRunning,
)
from tests.runtimes.home import Home, held, home, killed_daemon, listening, observed, started, stopped, until

BAD_NAMES = ("", "..", "-x", "a/b", "a\nb", "Coder", "a" * 61, "ä")

STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
HOLDS = "import fcntl\nkept = open('held', 'w')\nfcntl.flock(kept, fcntl.LOCK_EX)\n"
RUNS = "import signal\nopen('runs', 'w').close()\nwhile True: signal.pause()\n"


class RuntimeContract:
    """What holds for every runtime, tried on the real one."""

    factory: ClassVar[str]

    @pytest.fixture
    def home(self) -> Iterator[Home]:
        """Make a home that is left empty."""
        with home(self.factory) as place:
            yield place

    def test_it_works_here(self, home: Home) -> None:
        """A runtime whose tests run says that it works, and how."""
        probe = asyncio.run(home.runtime().probe())
        assert (probe.ok, probe.remedy) == (True, "")
        assert probe.detail

    def test_created_is_not_running(self, home: Home) -> None:
        """What was created is listed, with its generation, and does not run."""

        async def story() -> list[Container]:
            runtime = home.runtime()
            await runtime.create(home.spec(generation=4))
            await runtime.create(home.spec(generation=4))
            return await runtime.list()

        assert asyncio.run(story()) == [Container(name="coder", running=False, generation=4)]

    def test_started_runs(self, home: Home) -> None:
        """A started container has a living pid, its generation, and a start that has just been."""

        async def story() -> Container:
            return await started(home.runtime(), home.spec(generation=7))

        before = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=2)
        container = asyncio.run(story())
        assert (container.name, container.running, container.generation) == ("coder", True, 7)
        assert container.pid
        assert Path(f"/proc/{container.pid}").exists()
        assert container.started_at
        assert before <= container.started_at <= dt.datetime.now(dt.UTC)

    def test_start_is_idempotent(self, home: Home) -> None:
        """Starting what runs is a success and starts nothing."""

        async def story() -> tuple[Container, Container]:
            runtime = home.runtime()
            first = await started(runtime, home.spec(f"open('starts', 'a').write('x')\n{RUNS}"))
            await runtime.start("coder")
            await asyncio.gather(runtime.start("coder"), runtime.start("coder"))
            return first, await observed(runtime, "coder")

        first, second = asyncio.run(story())
        assert second == first
        assert (home.root / "agents/coder/state/starts").read_text() == "x"

    def test_starts_at_once_start_one(self, home: Home) -> None:
        """Two starts side by side end in one program."""

        async def story() -> None:
            runtime = home.runtime()
            spec = home.spec(f"{HOLDS}open('starts', 'a').write('x')\n{RUNS}")
            await runtime.create(spec)
            await asyncio.gather(*(runtime.start("coder") for _ in range(4)))
            await until((spec.state / "runs").exists)

        asyncio.run(story())
        assert (home.root / "agents/coder/state/starts").read_text() == "x"

    def test_stop_and_remove_are_idempotent(self, home: Home) -> None:
        """Stopping what does not run, and removing what is not there, are successes."""

        async def story() -> list[Container]:
            runtime = home.runtime()
            await runtime.stop("coder", 1)
            await runtime.remove("coder")
            await started(runtime, home.spec())
            await runtime.stop("coder", 1)
            await runtime.stop("coder", 1)
            await runtime.remove("coder")
            await runtime.remove("coder")
            return await runtime.list()

        assert asyncio.run(story()) == []

    def test_start_of_nothing(self, home: Home) -> None:
        """What was never created is not started, and has no log."""

        async def story() -> None:
            runtime = home.runtime()
            with pytest.raises(NoSuchContainer, match="h-coder"):
                await runtime.start("coder")
            with pytest.raises(NoSuchContainer):
                await runtime.logs("coder", 10)
            with pytest.raises(NoSuchContainer):
                await runtime.log_path("coder")

        asyncio.run(story())

    def test_running_is_not_removed(self, home: Home) -> None:
        """A running container is not removed, and goes on."""

        async def story() -> Container:
            runtime = home.runtime()
            await started(runtime, home.spec())
            with pytest.raises(StillRunning, match="stop it"):
                await runtime.remove("coder")
            return await observed(runtime, "coder")

        assert asyncio.run(story()).running

    def test_remove_keeps_state_and_log(self, home: Home) -> None:
        """Removing a container takes neither its agent's notes nor its log."""

        async def story() -> Spec:
            runtime = home.runtime()
            spec = home.spec(f"open('notes', 'w').write('mine')\nprint('said', flush=True)\n{RUNS}")
            await started(runtime, spec)
            await until(lambda: spec.log.stat().st_size)
            await runtime.stop("coder", 1)
            await runtime.remove("coder")
            return spec

        spec = asyncio.run(story())
        assert (spec.state / "notes").read_text() == "mine"
        assert spec.log.read_text() == "said\n"

    def test_it_works_in_its_state(self, home: Home) -> None:
        """The program finds itself in its state directory, at home there, and what it writes stays on the host."""
        tell = "import json, os\nopen('seen', 'w').write(json.dumps([os.getcwd(), dict(os.environ)]))\n"

        async def story() -> Spec:
            spec = home.spec(tell + RUNS, environment={"COLOUR": "green and blue"})
            await started(home.runtime(), spec)
            return spec

        spec = asyncio.run(story())
        cwd, environment = json.loads((spec.state / "seen").read_text())
        assert cwd == environment["HYPERHIVE_STATE"] == environment["HOME"]
        assert environment["HYPERHIVE_AGENT"] == "coder"
        assert environment["HYPERHIVE_GENERATION"] == "1"
        assert environment["COLOUR"] == "green and blue"

    def test_nothing_of_the_daemons_environment(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        """No variable of the daemon's reaches an agent, whatever its name."""
        monkeypatch.setenv("ANTHROPIC_API_KEY", "the-secret")
        monkeypatch.setenv("LD_LIBRARY_PATH", "/nowhere")
        tell = "import os\nopen('seen', 'w').write(repr(dict(os.environ)))\n"

        async def story() -> Spec:
            spec = home.spec(tell + RUNS)
            await started(home.runtime(), spec)
            return spec

        seen = (asyncio.run(story()).state / "seen").read_text()
        assert "HYPERHIVE_STATE" in seen
        assert "the-secret" not in seen
        assert "LD_LIBRARY_PATH" not in seen

    def test_no_descriptor_is_inherited(self, home: Home) -> None:
        """The program holds stdin, stdout and stderr, and nothing else; stdin is empty."""
        tell = (
            "import os, sys\nfds = [fd for fd in range(3, 256) if os.path.exists(f'/proc/self/fd/{fd}')]\n"
            "open('seen', 'w').write(repr((fds, sys.stdin.read())))\n"
        )

        async def story() -> Spec:
            spec = home.spec(tell + RUNS)
            with (home.root / "secret").open("w") as secret:
                os.set_inheritable(secret.fileno(), True)
                await started(home.runtime(), spec)
            return spec

        assert (asyncio.run(story()).state / "seen").read_text() == "([], '')"

    def test_the_socket_is_reached(self, home: Home) -> None:
        """The agent's socket answers inside, also when the daemon has replaced it by a new one."""
        ask = (
            "import os, socket, time\n"
            "def ask():\n"
            "    s = socket.socket(socket.AF_UNIX)\n"
            "    s.connect(os.environ['HYPERHIVE_SOCKET'])\n"
            "    return s.makefile().read()\n"
            "def note(name, text): open(name, 'w').write(text)\n"
            "note('first', ask())\n"
            "while not os.path.exists('again'): time.sleep(0.01)\n"
            "note('second', ask())\n"
        )

        async def story() -> Spec:
            spec = home.spec(ask + RUNS)
            path = spec.socket_dir / "agent.sock"
            runtime = home.runtime()
            with listening(path, "from the first daemon"):
                await runtime.create(spec)
                await runtime.start("coder")
                await until((spec.state / "first").exists)
            with listening(path, "from the second daemon"):
                (spec.state / "again").touch()
                await until((spec.state / "runs").exists)
            return spec

        spec = asyncio.run(story())
        assert (spec.state / "first").read_text() == "from the first daemon"
        assert (spec.state / "second").read_text() == "from the second daemon"

    def test_output_is_kept(self, home: Home) -> None:
        """Stdout and stderr are kept in order, over restarts, and the last lines are had."""
        talk = "import sys\nprint('out', flush=True)\nprint('err', file=sys.stderr, flush=True)\n"

        async def story() -> tuple[tuple[str, ...], tuple[str, ...], Path]:
            runtime = home.runtime()
            spec = home.spec(talk + RUNS)
            for round_ in (1, 2):
                await started(runtime, spec)
                await until(lambda: spec.log.read_text().count("err\n") == round_)  # noqa: B023 - awaited here
                await runtime.stop("coder", 1)
            return await runtime.logs("coder", 100), await runtime.logs("coder", 2), await runtime.log_path("coder")

        everything, last, path = asyncio.run(story())
        assert everything == ("out", "err", "out", "err")
        assert last == everything[-2:]
        assert path == home.root / "logs/coder.log"

    def test_output_cannot_be_taken_back(self, home: Home) -> None:
        """What an agent has printed it cannot empty through the descriptor that it printed to."""
        talk = (
            "import os\nprint('a confession', flush=True)\n"
            "for fd in (1, 2):\n"
            "    try:\n        os.ftruncate(fd, 0)\n    except OSError: pass\n"
            "    try:\n        os.close(os.open(f'/proc/self/fd/{fd}', os.O_WRONLY | os.O_TRUNC))\n"
            "    except OSError: pass\n"
            "print('done', flush=True)\n"
        )

        async def story() -> tuple[str, ...]:
            runtime = home.runtime()
            spec = home.spec(talk + RUNS)
            await started(runtime, spec)
            await until(lambda: "done" in spec.log.read_text())
            return await runtime.logs("coder", 100)

        assert asyncio.run(story()) == ("a confession", "done")

    def test_stop_asks_first(self, home: Home) -> None:
        """A program that ends by itself on SIGTERM comes to its own end, and its exit status is known."""
        polite = (
            "import signal, sys\n"
            "def end(*_):\n    open('asked', 'a').write('x')\n    sys.exit(5)\n"
            "signal.signal(signal.SIGTERM, end)\n"
        )

        async def story() -> Container:
            runtime = home.runtime()
            await started(runtime, home.spec(polite + RUNS))
            await runtime.stop("coder", 10)
            return await observed(runtime, "coder")

        container = asyncio.run(story())
        assert (container.running, container.pid, container.exit_status) == (False, None, 5)
        assert (home.root / "agents/coder/state/asked").read_text() == "x"

    def test_stop_insists(self, home: Home) -> None:
        """A program that ignores SIGTERM is killed after the grace, and is gone when stop returns."""

        async def story() -> Spec:
            runtime = home.runtime()
            spec = home.spec(STUBBORN + HOLDS + RUNS)
            await started(runtime, spec)
            assert held(spec.state / "held")
            await runtime.stop("coder", 0.2)
            assert not (await observed(runtime, "coder")).running
            return spec

        assert not held(asyncio.run(story()).state / "held")

    @pytest.mark.parametrize("grace_seconds", [0, 10])
    def test_stop_ends_the_whole_tree(self, home: Home, grace_seconds: float) -> None:
        """Grandchildren that made themselves daemons of their own are gone when stop returns."""
        daemonize = (
            "import os\n"
            "if os.fork() == 0:\n"
            "    os.setsid()\n"
            "    if os.fork() == 0:\n"
            f"        {STUBBORN.replace(chr(10), chr(10) + ' ' * 8)}\n"
            f"        {HOLDS.replace(chr(10), chr(10) + ' ' * 8)}\n"
            f"        {RUNS.replace(chr(10), chr(10) + ' ' * 8)}\n"
            "    os._exit(0)\n"
            "os.wait()\n"
        )

        async def story() -> Spec:
            runtime = home.runtime()
            spec = home.spec(f"{daemonize}{RUNS.replace('runs', 'parent')}")
            await started(runtime, spec)
            assert held(spec.state / "held")
            await runtime.stop("coder", grace_seconds)
            return spec

        assert not held(asyncio.run(story()).state / "held")

    def test_it_ends_by_itself(self, home: Home) -> None:
        """A program that ended by itself shows as stopped, with its exit status."""
        wait = "import os, sys, time\nopen('runs', 'w').close()\nwhile not os.path.exists('go'): time.sleep(0.01)\n"

        async def story() -> Container:
            runtime = home.runtime()
            spec = home.spec(f"{wait}sys.exit(3)\n")
            await started(runtime, spec)
            (spec.state / "go").touch()
            return await stopped(runtime, "coder")

        container = asyncio.run(story())
        assert (container.generation, container.pid, container.exit_status) == (1, None, 3)

    def test_killed_from_outside(self, home: Home) -> None:
        """With the process that a container names the whole container ends, and it starts again."""

        async def story() -> tuple[Container, Container]:
            runtime = home.runtime()
            spec = home.spec(HOLDS + RUNS)
            first = await started(runtime, spec)
            assert first.pid
            os.kill(first.pid, signal.SIGKILL)
            await stopped(runtime, "coder")
            assert not held(spec.state / "held")
            return first, await started(runtime, spec)

        first, second = asyncio.run(story())
        assert second.running
        assert second.pid != first.pid

    def test_daemon_killed(self, home: Home) -> None:
        """A container outlives the daemon that started it; the next one adopts it, starts nothing, and stops it."""
        spec = home.spec(f"{HOLDS}open('starts', 'a').write('x')\n{RUNS}", generation=3)
        killed_daemon(home, spec)
        assert held(spec.state / "held")

        async def story() -> list[Container]:
            runtime = home.runtime()
            before = await observed(runtime, "coder")
            await runtime.create(spec)
            await runtime.start("coder")
            same = await observed(runtime, "coder")
            assert same == before
            assert same.running
            await runtime.stop("coder", 10)
            return [before, await observed(runtime, "coder")]

        before, after = asyncio.run(story())
        assert (before.generation, after.generation) == (3, 3)
        assert not after.running
        assert after.exit_status == 128 + signal.SIGTERM
        assert not held(spec.state / "held")
        assert (spec.state / "starts").read_text() == "x"

    def test_crashed_while_no_daemon_looked(self, home: Home) -> None:
        """What ended between two daemons shows as stopped to the second, with its exit status."""
        wait = "import os, sys, time\nopen('runs', 'w').close()\nwhile not os.path.exists('go'): time.sleep(0.01)\n"
        spec = home.spec(f"{HOLDS}{wait}sys.exit(9)\n")
        killed_daemon(home, spec)
        (spec.state / "go").touch()
        container = asyncio.run(stopped(home.runtime(), "coder"))
        assert container.exit_status == 9

    def test_a_new_generation_replaces_the_old(self, home: Home) -> None:
        """Starting a later generation ends the earlier one first; two never run together."""

        async def story() -> tuple[Container, Container]:
            runtime = home.runtime()
            # Fails to run a second time beside the first, which would hold the lock.
            alone = HOLDS.replace("LOCK_EX", "LOCK_EX | fcntl.LOCK_NB") + RUNS
            first = await started(runtime, home.spec(alone, generation=1))
            await runtime.create(home.spec(alone, generation=2))
            assert (await observed(runtime, "coder")).generation == 1
            return first, await started(runtime, home.spec(alone, generation=2))

        first, second = asyncio.run(story())
        assert (second.running, second.generation) == (True, 2)
        assert second.pid != first.pid

    def test_a_program_that_cannot_run(self, home: Home) -> None:
        """A start that fails says what failed and what was printed, and leaves nothing running."""

        async def story() -> Container:
            runtime = home.runtime(("/nowhere/harness", "--quick"))
            await runtime.create(home.spec())
            with pytest.raises(RuntimeFailed) as failure:
                await runtime.start("coder")
            assert "/nowhere/harness" in failure.value.output
            assert failure.value.status
            assert "--quick" in failure.value.argv
            return await observed(runtime, "coder")

        assert not asyncio.run(story()).running

    def test_several_side_by_side(self, home: Home) -> None:
        """Several containers start together, each with its own state, and are listed by name."""
        names = ["a", "b", "c", "d-4"]

        async def story() -> list[Container]:
            runtime = home.runtime()
            tell = "import os\nopen('me', 'w').write(os.environ['HYPERHIVE_AGENT'])\n" + RUNS
            specs = [home.spec(tell, name=name) for name in names]
            await asyncio.gather(*(started(runtime, spec) for spec in specs))
            await runtime.stop("b", 10)
            return await runtime.list()

        containers = asyncio.run(story())
        assert [container.name for container in containers] == names
        assert [container.running for container in containers] == [True, False, True, True]
        assert [(home.root / f"agents/{name}/state/me").read_text() for name in names] == names

    def test_another_program_in_the_same_place(self, home: Home) -> None:
        """The command for a person's terminal runs where the agent does, with its environment and what was added."""

        async def story() -> tuple[str, ...]:
            spec = home.spec()
            (spec.state / "note").write_text("from the agent")
            script = 'cat note; printf " %s %s %s" "$HYPERHIVE_AGENT" "$TERM" "$SECRET"; exit 4'
            return await home.runtime().command(spec, ("sh", "-c", script), environment={"TERM": "xterm"})

        argv = asyncio.run(story())
        ended = subprocess.run(argv, capture_output=True, text=True, env={"SECRET": "s", "PATH": "/"}, check=False)
        assert (ended.stdout, ended.stderr, ended.returncode) == ("from the agent coder xterm ", "", 4)

    @pytest.mark.parametrize("name", BAD_NAMES)
    def test_bad_names(self, home: Home, name: str) -> None:
        """A name that is none is refused by every act before any path is made."""

        async def story() -> None:
            runtime = home.runtime()
            for act in (
                lambda: runtime.start(name),
                lambda: runtime.stop(name, 1),
                lambda: runtime.remove(name),
                lambda: runtime.logs(name, 1),
                lambda: runtime.log_path(name),
            ):
                with pytest.raises(WireError, match="a-z"):
                    await act()

        asyncio.run(story())
        with pytest.raises(WireError, match="a-z"):
            attrs.evolve(home.spec(name="ok"), name=name)
        assert not list(home.run_dir.iterdir())

    def test_bad_specs(self, home: Home) -> None:
        """A spec that cannot hold is refused with the value, and nothing is created."""
        spec = home.spec()
        link = home.root / "link"
        link.symlink_to(spec.state)
        file = home.root / "file"
        file.touch()

        async def story() -> list[Container]:
            runtime = home.runtime()
            for bad in (
                attrs.evolve(spec, state=link),
                attrs.evolve(spec, state=home.root / "nowhere"),
                attrs.evolve(spec, socket_dir=file),
                attrs.evolve(spec, log=home.root / "nowhere/log"),
                attrs.evolve(spec, log=spec.state / "log"),
                attrs.evolve(spec, log=spec.socket_dir / "log"),
                attrs.evolve(spec, state=home.root),
                attrs.evolve(spec, readable=(home.root / "nowhere",)),
                attrs.evolve(spec, readable=(home.root / "logs",)),
            ):
                with pytest.raises(InvalidSpec, match=str(home.root)):
                    await runtime.create(bad)
            return await runtime.list()

        assert asyncio.run(story()) == []
        for wrong in (
            {"state": Path("relative")},
            {"log": home.root / "logs/../../log"},
            {"readable": (Path("claude"),)},
            {"generation": -1},
            {"environment": {"A=B": "x"}},
            {"environment": {"A": "x\0y"}},
            {"environment": {"HYPERHIVE_SOCKET": "/elsewhere"}},
        ):
            with pytest.raises(InvalidSpec):
                home.spec(**wrong)

    def test_a_state_swapped_for_a_link(self, home: Home) -> None:
        """A state directory that became a link after it was created is not followed at the start."""

        async def story() -> None:
            runtime = home.runtime()
            spec = home.spec()
            await runtime.create(spec)
            spec.state.rename(home.root / "elsewhere")
            spec.state.symlink_to(home.root / "elsewhere")
            with pytest.raises(InvalidSpec, match="link"):
                await runtime.start("coder")

        asyncio.run(story())
        assert not (home.root / "elsewhere/runs").exists()
