"""NixOS containers: exact command lines and files, and their sequence, with a `nixos-container` that only records.

Nothing here shows that NixOS does what it is told: that has to be seen on a NixOS host (docs/install/nixos.md).
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import attrs
import pytest

from hyperhive.runtimes import idmap, nixos_build
from hyperhive.runtimes.confinement import Egress, EgressPolicy, Limits
from hyperhive.runtimes.machine import Places
from hyperhive.runtimes.nixos import Nixos
from hyperhive.runtimes.protocol import RuntimeFailed, Spec

SPEC = Spec(
    name="coder",
    state=Path("/data/agents/coder/state"),
    socket_dir=Path("/run/hive/agents/coder"),
    log=Path("/data/agents/coder/harness.log"),
    generation=3,
    egress=Egress(policy=EgressPolicy.NONE),
    limits=Limits(memory_bytes=1 << 30),
)
HERE = "/run/hive/machines/coder"
PLACES = Places(directory=Path(HERE))
FLAKE = Path("/data/applied/coder")
BUILD = (
    "nix --extra-experimental-features nix-command flakes build --no-link --no-write-lock-file "
    "path:/data/applied/coder#nixosConfigurations.container.config.system.build.toplevel"
)


class TestWords:
    """What the tools are told."""

    def test_argv(self) -> None:
        """Every act is one command line, with the flake as a path, in which no git ever runs."""
        assert " ".join(nixos_build.build_argv(FLAKE)) == BUILD
        flake = ("--no-write-lock-file", "--flake", "path:/data/applied/coder")
        assert nixos_build.create_argv("coder", FLAKE) == ("nixos-container", "create", "h-coder", *flake)
        assert nixos_build.update_argv("coder", FLAKE) == ("nixos-container", "update", "h-coder", *flake)
        for act in ("start", "stop", "status", "destroy"):
            assert nixos_build.act_argv(act, "coder") == ("nixos-container", act, "h-coder")

    def test_terminal(self) -> None:
        """A person's program runs in the container as its agent, with no right and with quotes that hold."""
        argv = nixos_build.terminal_argv("coder", ("sh", "-c", "echo 'x y'"), {"A": "b c"})
        script = "cd /state && exec env -i 'A=b c' sh -c 'echo '\"'\"'x y'\"'\"''"
        assert argv == (
            *("nixos-container", "run", "h-coder", "--", "setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"),
            *("--no-new-privs", "--inh-caps=-all", "--bounding-set=-all", "--", "/bin/sh", "-c", script),
        )

    def test_conf(self) -> None:
        """The container gets no address, and sees its socket, its output, its state."""
        assert nixos_build.conf(SPEC, PLACES, FLAKE) == (
            "PRIVATE_NETWORK=1\nAUTO_START=0\nFLAKE=path:/data/applied/coder\n"
            'EXTRA_NSPAWN_FLAGS="--no-new-privileges=yes --bind-ro=/run/hive/agents/coder:/run/hyperhive '
            f"--bind-ro={HERE}/output:/run/hive-output --bind-ro={HERE}/etc/environment:/run/hive-environment "
            f'--bind={HERE}/mounts/0:/state"\n'
        )
        host = attrs.evolve(SPEC, egress=Egress(policy=EgressPolicy.HOST))
        assert nixos_build.conf(host, PLACES, FLAKE).startswith("PRIVATE_NETWORK=0\n")

    def test_conf_with_a_space(self) -> None:
        """A path that NixOS's start script would split is refused."""
        with pytest.raises(ValueError, match="space"):
            nixos_build.conf(attrs.evolve(SPEC, socket_dir=Path("/run/my hive")), PLACES, FLAKE)

    def test_dropin(self) -> None:
        """The unit mounts the state as the agent's own before, unmounts it after, and keeps the limits."""
        assert nixos_build.dropin(SPEC, PLACES, owner=(0, 0)) == (
            "# Written by hyperhive; gone with the agent's container.\n"
            "[Unit]\nWants=hyperhive-output-coder.service\nAfter=hyperhive-output-coder.service\n"
            "\n"
            "[Service]\n"
            f"EnvironmentFile={HERE}/mark\n"
            f'ExecStartPre="{sys.executable}" "-I" "{idmap.__file__}" "--host" "/data/agents/coder/state" '
            f'"{HERE}/mounts/0" "0" "0" "1000" "1"\n'
            'ExecStopPost="/bin/sh" "-c" "printf \\"%%s %%s\\\\n\\" \\"$$EXIT_CODE\\" \\"$$EXIT_STATUS\\" >\\"$$0\\"" '
            f'"{HERE}/exit"\n'
            f'ExecStopPost=-"umount" "--lazy" "{HERE}/mounts/0"\n'
            "Restart=no\nRestartForceExitStatus=\nSuccessExitStatus=\nOOMPolicy=continue\n"
            "MemoryMax=1073741824\nMemorySwapMax=0\n"
        )

    def test_environment(self) -> None:
        """Values keep quotes, dollars and backslashes."""
        assert nixos_build.environment_file({"A": 'x "y" $z \\ `w`'}) == 'A="x \\"y\\" \\$z \\\\ \\`w\\`"\n'


RECORD = """#!/bin/sh
[ "$(basename "$0")" != systemctl ] || exec printf 'Id=container@h-coder.service\\nActiveState={active}\\n'
echo "$(basename "$0") $*" >>"{log}"
case "$(basename "$0") $1" in "nixos-container list") cat "{listed}" ;; esac
[ "$(basename "$0")" != nix ] || exit {built}
"""


class TestSequence:
    """In which order the tools are called; they only record."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Path:
        """Make a host's directories."""
        for directory in ("agents/coder/state", "socket", "run", "bin", "applied/coder", "confs"):
            (tmp_path / directory).mkdir(parents=True)
        (tmp_path / "applied/coder/flake.nix").write_text("{ }")
        (tmp_path / "listed").write_text("")
        return tmp_path

    def flake(self, place: Path) -> str:
        """Return what Nix was given."""
        return (place / "run/machines/coder/flake/flake.nix").read_text()

    def made(
        self, place: Path, monkeypatch: pytest.MonkeyPatch, *, built: int = 0, active: str = "inactive"
    ) -> list[str]:
        """Build and create once, and return what was called."""
        for name in ("nixos-container", "nix", "systemctl"):
            text = RECORD.format(log=place / "called", listed=place / "listed", built=built, active=active)
            (place / "bin" / name).write_text(text)
            (place / "bin" / name).chmod(0o755)
        path = f"{place}/bin:{os.environ['PATH']}"
        monkeypatch.setattr("hyperhive.runtimes.runner.HOST_ENVIRONMENT", {"PATH": path})
        monkeypatch.setenv("PATH", path)
        spec = attrs.evolve(
            SPEC,
            state=place / "agents/coder/state",
            socket_dir=place / "socket",
            log=place / "coder.log",
            build=place / "applied/coder",
        )
        runtime = Nixos(run_dir=place / "run", hive="h", flake="path:/nix/store/x-source")

        async def story() -> None:
            await runtime.build(spec)
            await runtime.create(spec)

        asyncio.run(story())
        return (place / "called").read_text().splitlines()

    def test_first(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A container that is not there is built, then created."""
        assert [line.split()[:2] for line in self.made(place, monkeypatch)] == [
            ["nix", "--extra-experimental-features"],
            ["nixos-container", "list"],
            ["nixos-container", "create"],
        ]

    def test_again(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that is there is built, then updated."""
        (place / "listed").write_text("h-other\nh-coder\n")
        assert (
            self.made(place, monkeypatch)[-1]
            == f"nixos-container update h-coder --no-write-lock-file --flake path:{place}/run/machines/coder/flake"
        )

    def test_one_that_runs(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that runs is built for, and not updated before it has ended."""
        (place / "listed").write_text("h-coder\n")
        dropin = place / "units/container@h-coder.service.d/hyperhive.conf"
        dropin.parent.mkdir(parents=True)
        dropin.write_text(f"EnvironmentFile={place}/run/machines/coder/mark\n")
        monkeypatch.setattr("hyperhive.runtimes.systemd.RUNTIME_UNITS", place / "units")
        assert [line.split()[0] for line in self.made(place, monkeypatch, active="active")] == ["nix"]
        assert (place / "run/machines/coder/pending").exists()

    def test_a_build_that_fails(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the build fails nothing else is called: the old system and the old record stay."""
        (place / "listed").write_text("h-coder\n")
        with pytest.raises(RuntimeFailed, match="nix ended with status 1"):
            self.made(place, monkeypatch, built=1)
        assert len((place / "called").read_text().splitlines()) == 1
        assert not (place / "run/containers").exists()

    def test_without_a_configuration(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An agent to which nothing is applied is the base alone, on the hyperhive that the host names."""
        (place / "applied/coder/flake.nix").unlink()
        (place / "applied/coder").rmdir()
        self.made(place, monkeypatch)
        assert 'inputs.hyperhive.url = "path:/nix/store/x-source";' in self.flake(place)
        assert (place / "run/machines/coder/flake/agent.nix").read_text() == "{ }\n"

    def test_what_is_applied(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its own module is copied, the flake written anew, and what git keeps of it stays at home."""
        applied = place / "applied/coder"
        (applied / "agent.nix").write_text("{ environment.systemPackages = [ ]; }\n")
        (applied / ".git").mkdir()
        self.made(place, monkeypatch)
        copy = place / "run/machines/coder/flake"
        assert sorted(path.name for path in copy.iterdir()) == ["agent.nix", "flake.nix"]
        assert (copy / "agent.nix").read_text() == (applied / "agent.nix").read_text()
        assert "nixosConfigurations.container" in self.flake(place)
