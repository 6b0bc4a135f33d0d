"""The runtime of NixOS containers keeps the contract, where there is a `nixos-container`, or what stands for it.

On a NixOS host that has to be tried by hand. tests/host runs this file on a Debian, against a stand-in for NixOS's own
programs (tests/host/nixos_stand_in.py), whose containers boot the units of our base; docs/install/nixos.md says what
that shows, and what it does not.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperhive.runtimes import nixos_build
from hyperhive.runtimes.nixos import Nixos
from hyperhive.runtimes.protocol import Container, RuntimeFailed, Spec
from tests.runtimes.contract import RUNS, RuntimeContract
from tests.runtimes.home import Home, home, observed, started, until

FACTORY = "hyperhive.runtimes.nixos:Nixos"
STAND_IN = Path("/usr/local/lib/nixos-stand-in")


@pytest.fixture(autouse=True, scope="module")
def works(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip where there are no such programs; on a NixOS host the harness's package could not run a test's program."""
    probe = asyncio.run(Nixos(run_dir=tmp_path_factory.mktemp("run"), hive="probe").probe())
    if not probe.ok:
        pytest.skip(f"{probe.detail} {probe.remedy}")
    if not STAND_IN.is_dir():
        pytest.skip("this is a NixOS host, where containers run the harness and no test's program")


@pytest.fixture(autouse=True)
def none_left() -> Iterator[None]:
    """Leave no container behind, as another hive's would be in the way of the next one."""
    yield
    for name in subprocess.run(nixos_build.LIST, capture_output=True, text=True, check=True).stdout.split():
        subprocess.run(("nixos-container", "destroy", name), check=True)


class TestNixos(RuntimeContract):
    """What every runtime promises, but where the container's own system decides."""

    factory = FACTORY

    def test_a_program_that_cannot_run(self, home: Home) -> None:
        """A start that fails says what failed, and leaves nothing running."""

        async def story() -> Container:
            runtime = home.runtime()
            await runtime.create(home.spec(build=configuration(home, '{ hive.harness = "/nowhere/harness"; }')))
            with pytest.raises(RuntimeFailed) as failure:
                await runtime.start("coder")
            assert "/nowhere/harness" in failure.value.output
            return await observed(runtime, "coder")

        assert not asyncio.run(story()).running

    def test_another_program_in_the_same_place(self, home: Home) -> None:
        """The command for a person's terminal runs where the agent does, as its user and with no rights."""

        async def story() -> tuple[str, ...]:
            spec = home.spec()
            (spec.state / "note").write_text("from the agent")
            await started(home.runtime(), spec)
            script = (
                'cat note; printf " %s %s %s %s " "$HYPERHIVE_AGENT" "$TERM" "$SECRET" "$(id -u):$(id -g):$(id -G)";'
                " grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status | tr -d '\\n\\t'; exit 4"
            )
            return await home.runtime().command(spec, ("sh", "-c", script), environment={"TERM": "xterm"})

        argv = asyncio.run(story())
        environment = {"SECRET": "s", "PATH": "/usr/local/bin:/usr/bin:/bin"}
        ended = subprocess.run(argv, capture_output=True, text=True, env=environment, check=False)
        rights = "CapEff:0000000000000000CapBnd:0000000000000000NoNewPrivs:1"
        assert (ended.stdout, ended.returncode) == (f"from the agent coder xterm  1000:1000:1000 {rights}", 4), ended


def configuration(home: Home, agent: str) -> Path:
    """Write what is applied for an agent."""
    directory = home.root / "applied"
    directory.mkdir(exist_ok=True)
    (directory / "agent.nix").write_text(agent)
    return directory


MOTTO = "open('seen', 'w').write(open('/etc/motto').read())\n"


class TestSystems:
    """What a container is built of."""

    @pytest.fixture
    def home(self) -> Iterator[Home]:
        """Make a home that is left empty."""
        with home(FACTORY) as made:
            yield made

    def test_a_rebuild(self, home: Home) -> None:
        """The next start has what was applied; a build that fails leaves the same process and the same system."""
        good = '{ environment.etc."motto".text = "%s"; }'

        async def story() -> list[str]:
            runtime = home.runtime()
            seen = []
            spec = home.spec(MOTTO + RUNS, build=configuration(home, good % "per aspera"))
            await runtime.build(spec)
            first = await started(runtime, spec)
            seen.append((spec.state / "seen").read_text())
            spec = home.spec(MOTTO + RUNS, generation=2, build=configuration(home, '{ x = throw "no such package"; }'))
            with pytest.raises(RuntimeFailed, match="no such package"):
                await runtime.build(spec)
            assert await observed(runtime, "coder") == first
            spec = home.spec(MOTTO + RUNS, generation=2, build=configuration(home, good % "ad astra"))
            await runtime.build(spec)
            assert await observed(runtime, "coder") == first
            second = await started(runtime, spec)
            assert (second.generation, second.pid != first.pid) == (2, True)
            return [*seen, (spec.state / "seen").read_text()]

        assert asyncio.run(story()) == ["per aspera", "ad astra"]

    def test_nothing_changes_under_an_agent(self, home: Home) -> None:
        """What was built is not switched to in a running container, which could fail; the next start has it."""
        text = '{ environment.etc."motto".text = "of now"; cannotSwitch = true; }'

        async def story() -> Spec:
            runtime = home.runtime()
            first = await started(runtime, home.spec(build=configuration(home, "{ }")))
            spec = home.spec(MOTTO + RUNS, build=configuration(home, text))
            await runtime.create(spec)
            assert await observed(runtime, "coder") == first
            await runtime.stop("coder", 10)
            (spec.state / "runs").unlink()
            await runtime.start("coder")
            await until((spec.state / "runs").exists)
            return spec

        assert (asyncio.run(story()).state / "seen").read_text() == "of now"

    def test_long_names_at_once(self, home: Home) -> None:
        """Names that `nixos-container create` takes for too long, made at the same time: each has its own system."""
        names = ["weatherman", "proof-reader-of-the-evening-edition", "b"]
        tell = "import socket\nopen('seen', 'w').write(socket.gethostname())\n" + RUNS

        async def story() -> list[str]:
            runtime = home.runtime()
            specs = [home.spec(tell, name=name) for name in names]
            await asyncio.gather(*(started(runtime, spec) for spec in specs))
            seen = [(spec.state / "seen").read_text() for spec in specs]
            for name in names:
                await runtime.stop(name, 0)
                await runtime.remove(name)
            assert await runtime.list() == []
            return seen

        assert asyncio.run(story()) == [f"h-{name}" for name in names]
        listed = subprocess.run(nixos_build.LIST, capture_output=True, text=True, check=True).stdout
        assert listed == ""
