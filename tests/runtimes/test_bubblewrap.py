"""The sandboxing runtime keeps the contract, and keeps an agent in."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import claude_agent_sdk
import pytest

import harness
from hyperhive.runtimes import marks, procfs
from hyperhive.runtimes.bubblewrap import Bubblewrap
from hyperhive.runtimes.protocol import InvalidSpec, Spec
from hyperhive.runtimes.records import Records
from tests.runtimes.contract import HOLDS, RUNS
from tests.runtimes.home import Home, held, home, listening, observed, started, stopped, until
from tests.runtimes.local_contract import LocalContract
from tests.runtimes.person import Person

FACTORY = "hyperhive.runtimes.bubblewrap:Bubblewrap"
PROBE = Path(__file__).with_name("probe.py").read_text()
SECRET = "of-the-daemon"
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True, scope="module")
def works(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip where this machine has no sandbox to try, and say why."""
    probe = asyncio.run(Bubblewrap(run_dir=tmp_path_factory.mktemp("run"), hive="probe").probe())
    if not probe.ok:
        pytest.skip(f"{probe.detail} {probe.remedy}")


class TestBubblewrap(LocalContract):
    """What every runtime promises, and those without a container manager."""

    factory = FACTORY


@pytest.fixture(scope="module")
def place() -> Iterator[Home]:
    """Make one home for all that looks at the same sandbox."""
    with home(FACTORY) as made:
        yield made


@pytest.fixture(scope="module")
def report(place: Home) -> dict[str, Any]:
    """Let an agent try whatever it can, once, while another one runs, and return what it wrote down."""
    other = place.spec(name="other")
    spec = place.spec(PROBE)
    host_sock = place.root / "run/host.sock"
    hidden = [
        spec.log,
        host_sock,
        place.run_dir,
        place.root,
        other.state,
        other.socket_dir,
        REPOSITORY / "pyproject.toml",
        REPOSITORY / "hyperhive",
        REPOSITORY / "tests",
        Path.home() / ".bashrc",
        Path("/etc/shadow"),
        Path("/etc/ssl/private"),
        Path("/etc/machine-id"),
        Path("/home"),
        Path("/sys/kernel"),
        Path("/var/lib"),
        Path("/dev/kmsg"),
        Path("/run/dbus"),
    ]
    written = ["/usr/x", "/etc/x", "/x", "/run/x", "/run/hyperhive/x", "/dev/x", f"{sys.prefix}/x"]
    written += [f"{Path(harness.__file__).parent}/x", "/proc/sys/kernel/core_pattern"]
    (spec.state / "question").write_text(
        json.dumps(
            {
                "pid": os.getpid(),
                "hidden": [str(path) for path in hidden if path.exists() or path == host_sock],
                "written": written,
                "listed": [str(REPOSITORY), str(Path.home())],
            }
        )
    )

    async def story() -> dict[str, Any]:
        runtime = place.runtime()
        os.environ["HYPERHIVE_TEST_SECRET"] = SECRET
        with listening(host_sock, ""), listening(spec.socket_dir / "agent.sock", ""):
            await started(runtime, other)
            await started(runtime, spec)
        del os.environ["HYPERHIVE_TEST_SECRET"]
        seen: dict[str, Any] = json.loads((spec.state / "report").read_text())
        return seen

    return asyncio.run(story())


class TestWhatAnAgentSees:
    """An agent's view is a short list."""

    def test_its_own_machine(self, report: dict[str, Any]) -> None:
        """It has a host name of its own, and is nobody of the host's."""
        assert (report["host_name"], report["uid"], report["user"]) == ("h-coder", 1000, "agent")

    def test_its_own_processes(self, report: dict[str, Any]) -> None:
        """It sees bubblewrap's init and itself."""
        assert report["processes"] == [1, 2]

    def test_no_environment_of_the_daemon(self, report: dict[str, Any]) -> None:
        """No environment that it can read holds anything of the daemon's."""
        assert report["environments"].count("HYPERHIVE_AGENT=") == 1
        assert SECRET not in report["environments"]

    def test_the_root(self, report: dict[str, Any]) -> None:
        """Its root holds the system, its state, its socket, and the way to its Python."""
        packages = [path for path in sys.path if path.endswith("-packages")]
        ways = {Path(path).parts[1] for path in (sys.prefix, sys.base_prefix, harness.__file__, *packages)}
        system = {"bin", "dev", "etc", "lib", "lib32", "lib64", "libx32", "nix", "proc", "run", "sbin", "state"}
        assert set(report["root"]) <= {*system, "tmp", "usr", "var", *ways}
        assert {"state", "proc", "usr"} <= set(report["root"])

    def test_nothing_of_the_hives(self, report: dict[str, Any]) -> None:
        """No log, no host.sock, no other agent, nothing of the operator's: none of it exists there."""
        assert report["hidden"] == []

    def test_only_its_socket(self, report: dict[str, Any]) -> None:
        """Below /run is its socket alone."""
        assert [path for path in report["run"] if "current-system" not in path] == [
            "/run/hyperhive",
            "/run/hyperhive/agent.sock",
        ]

    def test_only_python_of_the_checkout(self, report: dict[str, Any]) -> None:
        """Of a checkout and of the operator's home it sees the directories that lead to its Python."""
        needed = [Path(path).resolve() for path in (sys.prefix, sys.base_prefix, Path(harness.__file__).parent)]
        needed += [Path(path).resolve() for path in sys.path if path.endswith("-packages")]
        for directory, names in report["beside_python"].items():
            for name in names:
                assert any(path.is_relative_to(Path(directory).resolve() / name) for path in needed), name

    def test_no_private_keys(self, report: dict[str, Any]) -> None:
        """Of the host's /etc nothing is there that holds secrets."""
        assert not [path for path in report["etc"] if "private" in path or "shadow" in path or path.endswith(".key")]

    def test_its_own_tmp(self, report: dict[str, Any]) -> None:
        """Its /tmp is empty at the start (but for an installation that lies in /tmp), and what it puts there stays."""
        python = {Path(path).parts[2] for path in (sys.prefix, harness.__file__) if path.startswith("/tmp/")}
        assert set(report["tmp"]) - python == {"mine"}
        assert not Path("/tmp/mine").exists()


class TestWhatAnAgentCannotDo:
    """An agent's reach ends at its walls."""

    def test_write_outside_its_state(self, report: dict[str, Any]) -> None:
        """Neither the system, nor its Python, nor the harness, nor the socket's directory, nor the root is writable."""
        assert set(report["writes"].values()) <= {"Read-only file system", "FileNotFoundError", "PermissionError"}
        assert report["writes"]["/usr/x"] != "FileNotFoundError"
        assert not Path("/usr/x").exists()

    def test_write_to_the_kernel(self, report: dict[str, Any]) -> None:
        """No file of the kernel's is writable, also where the daemon is root and permissions alone would let it be."""
        assert report["kernel"] == []

    def test_reach_other_processes(self, report: dict[str, Any]) -> None:
        """The daemon's number names nothing there that it could signal or trace."""
        assert (report["signal"], report["ptrace"]) == ("ProcessLookupError", "No such process")

    def test_gain_rights(self, report: dict[str, Any]) -> None:
        """It has no capability and gets none: no mount, device, raw socket, chroot, or user namespace of its own."""
        refused = {"Operation not permitted", "PermissionError", "No space left on device"}
        refused.add("Address family not supported by protocol")  # the filter of system calls comes first
        acts = ("mount", "remount", "namespace", "device", "raw", "chroot")
        assert {report[act] for act in acts} <= refused
        assert {value for name, value in report["status"].items() if name.startswith("Cap")} == {"0" * 16}
        assert report["status"]["NoNewPrivs"] == "1"


class TestTheSandboxAsAWhole:
    """A sandbox ends whole, and is not taken for another."""

    @pytest.fixture
    def home(self) -> Iterator[Home]:
        """Make a home of its own."""
        with home(FACTORY) as made:
            yield made

    @pytest.mark.parametrize("part", ["keeper", "bubblewrap", "first process", "program"])
    def test_killing_any_part_ends_it_all(self, home: Home, part: str) -> None:
        """Whichever process of a container is killed, nothing of it goes on, without anybody's help."""
        fork = "import os\nif os.fork() == 0:\n    os.setsid()\n    while True: signal.pause()\n"

        async def story() -> Spec:
            runtime = home.runtime()
            spec = home.spec(f"import signal\n{HOLDS}{fork}{RUNS}")
            container = await started(runtime, spec)
            record = Records(home.run_dir / "containers").read("coder")
            assert record
            assert record.run
            (bubblewrap,) = procfs.children(record.run.keeper.pid)
            (first,) = procfs.children(bubblewrap)
            parts = {
                "keeper": record.run.keeper.pid,
                "bubblewrap": bubblewrap,
                "first process": first,
                "program": container.pid or 0,
            }
            assert held(spec.state / "held")
            os.kill(parts[part], signal.SIGKILL)
            await until(lambda: not held(spec.state / "held"))
            await stopped(runtime, "coder")
            return spec

        asyncio.run(story())

    def test_a_forged_mark(self, home: Home) -> None:
        """An agent that marks a process of its own as another agent's is not believed: no adoption, no kill."""
        forge = (
            "import os, subprocess\n"
            f"subprocess.Popen(('sleep', '1000'), env={{'HYPERHIVE_CONTAINER': '{home.hive}/h-victim/1'}})\n"
        )

        async def story() -> tuple[list[str], bool]:
            runtime = home.runtime()
            await started(runtime, home.spec(forge + RUNS))
            await until(lambda: "victim" in marks.scan(home.hive, believed=lambda _: True))
            names = [container.name for container in await runtime.list()]
            await runtime.stop("victim", 0)
            assert "victim" in marks.scan(home.hive, believed=lambda _: True)
            return names, (await observed(runtime, "coder")).running

        assert asyncio.run(story()) == (["coder"], True)

    def test_a_loader_variable_stays_inside(self, home: Home) -> None:
        """A variable of an agent's configuration that would take over a program reaches none outside the sandbox."""

        async def story() -> list[str | None]:
            runtime = home.runtime()
            container = await started(runtime, home.spec(environment={"LD_PRELOAD": "/state/evil.so"}))
            record = Records(home.run_dir / "containers").read("coder")
            assert record
            assert record.run
            assert container.pid
            (bubblewrap,) = procfs.children(record.run.keeper.pid)
            pids = (record.run.keeper.pid, bubblewrap, container.pid)
            return [procfs.variable(pid, "LD_PRELOAD") for pid in pids]

        assert asyncio.run(story()) == [None, None, "/state/evil.so"]

    def test_private_directories_where_every_agent_sees(self, home: Home) -> None:
        """A state, log or run directory in a tree that every sandbox shows is refused."""

        async def story() -> None:
            spec = home.spec(state=Path(sys.prefix) / "bin")
            with pytest.raises(InvalidSpec, match="every agent can read"):
                await home.runtime().create(spec)

        asyncio.run(story())

    def test_a_persons_terminal(self, home: Home) -> None:
        """A command for a terminal has one inside the sandbox, of the right size, and Ctrl-C reaches it."""
        spec = home.spec()
        script = "stty size; hostname; exec sleep 1000"
        person = Person(asyncio.run(home.runtime().command(spec, ("sh", "-c", script))))
        person.sees("33 77")
        person.sees("h-coder")
        person.types("\x03")
        assert person.exit_status() == 128 + signal.SIGINT

    def test_a_program_of_the_operators(self, home: Home) -> None:
        """A program outside the system runs inside where the spec shows it, and nothing that lies beside it is seen."""
        tools = home.root / "tools"
        tools.mkdir()
        (tools / "real").write_text("#!/bin/sh\necho here; ls $(dirname $0)\n")
        (tools / "real").chmod(0o755)
        (tools / "secret").touch()
        (tools / "tool").symlink_to("real")
        run = f"import subprocess\nsubprocess.run(('{tools}/tool',), stdout=open('said', 'w'))\n"

        async def story() -> str:
            spec = home.spec(run + RUNS, readable=(tools / "tool",))
            await started(home.runtime(), spec)
            return (spec.state / "said").read_text()

        assert asyncio.run(story()) == "here\nreal\ntool\n"

    def test_claude_runs(self, home: Home) -> None:
        """The bundled `claude` runs inside, at its own path."""
        claude = Path(claude_agent_sdk.__file__).parent / "_bundled/claude"
        if not claude.exists() or not claude.stat().st_mode & stat.S_IXUSR:
            pytest.skip("this build of claude_agent_sdk bundles no claude")
        run = f"import subprocess\nsubprocess.run(('{claude}', '--version'), stdout=open('said', 'w'))\n"

        async def story() -> str:
            spec = home.spec(run + RUNS)
            await started(home.runtime(), spec)
            return (spec.state / "said").read_text()

        assert "Claude Code" in asyncio.run(story())
