"""NixOS containers: exact command lines and files, and their sequence, with a `nixos-container` that only records.

Nothing here shows that NixOS does what it is told: that has to be seen on a NixOS host (docs/install/nixos.md).
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import attrs
import pytest

from hyperhive.runtimes import idmap, nixos_build
from hyperhive.runtimes.confinement import Egress, EgressPolicy, Limits
from hyperhive.runtimes.machine import Places
from hyperhive.runtimes.nixos import Nixos
from hyperhive.runtimes.protocol import InvalidSpec, RuntimeFailed, Spec

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
NIX_FILES = Path(__file__).resolve().parents[2] / "nix"
BUILD = (
    "nix --extra-experimental-features nix-command flakes build --no-link --no-write-lock-file "
    "path:/data/applied/coder#nixosConfigurations.container.config.system.build.toplevel"
)


class TestWords:
    """What the tools are told."""

    def test_argv(self) -> None:
        """Every act is one command line, with the flake as a path, in which no git ever runs."""
        assert " ".join(nixos_build.build_argv(FLAKE)) == BUILD
        flake = ("--flake", "path:/data/applied/coder")
        assert nixos_build.create_argv("coder", FLAKE) == ("nixos-container", "create", "h-coder", *flake)
        assert nixos_build.update_argv("coder", FLAKE) == ("nixos-container", "update", "h-coder", *flake)
        for act in ("start", "stop", "status", "destroy"):
            assert nixos_build.act_argv(act, "coder") == ("nixos-container", act, "h-coder")

    def test_terminal(self) -> None:
        """A person's program runs in the container as its agent, with quotes that hold."""
        argv = nixos_build.terminal_argv("coder", ("sh", "-c", "echo 'x y'"), {"A": "b c"})
        script = "cd /state && exec env -i 'A=b c' sh -c 'echo '\"'\"'x y'\"'\"''"
        assert argv == (
            *("nixos-container", "run", "h-coder", "--", "runuser", "--user", "agent", "--"),
            *("/bin/sh", "-c", script),
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

    def made(self, place: Path, monkeypatch: pytest.MonkeyPatch, *, built: int = 0) -> list[str]:
        """Build and create once, and return what was called."""
        for name in ("nixos-container", "nix"):
            (place / "bin" / name).write_text(RECORD.format(log=place / "called", listed=place / "listed", built=built))
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
        runtime = Nixos(run_dir=place / "run", hive="h")

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
            == f"nixos-container update h-coder --flake path:{place}/run/machines/coder/flake"
        )

    def test_a_build_that_fails(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the build fails nothing else is called: the old system and the old record stay."""
        (place / "listed").write_text("h-coder\n")
        with pytest.raises(RuntimeFailed, match="nix ended with status 1"):
            self.made(place, monkeypatch, built=1)
        assert len((place / "called").read_text().splitlines()) == 1
        assert not (place / "run/containers").exists()

    def test_without_a_configuration(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An agent without an applied flake is refused with the place where it was looked for."""
        (place / "applied/coder/flake.nix").unlink()
        with pytest.raises(InvalidSpec, match=r"no flake\.nix in .*applied"):
            self.made(place, monkeypatch)


class TestNix:
    """What can be evaluated without nixpkgs: the syntax, and the modules against a stand-in for its library."""

    @pytest.fixture(scope="class")
    def nix(self) -> str:
        """Return the evaluator."""
        found = shutil.which("nix-instantiate")
        if found is None:
            pytest.skip("nix-instantiate is not installed (apt install nix-bin)")
        return found

    @pytest.mark.parametrize(
        "path", [NIX_FILES.parent / "flake.nix", *sorted(NIX_FILES.glob("*.nix"))], ids=lambda p: p.name
    )
    def test_parses(self, nix: str, path: Path) -> None:
        """Every file is Nix."""
        ended = subprocess.run((nix, "--parse", str(path)), capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr

    def test_package(self) -> None:
        """The daemon's package takes exactly the dependencies of pyproject.toml."""
        project = tomllib.loads((NIX_FILES.parent / "pyproject.toml").read_text())["project"]
        wanted = {re.split("[>=<]", dependency)[0] for dependency in project["dependencies"]}
        text = (NIX_FILES / "daemon.nix").read_text()
        listed = text.partition("dependencies = [")[2].partition("]")[0].split()
        assert set(listed) == wanted

    def evaluated(self, nix: str, expression: str) -> object:
        """Evaluate something with the stand-in at hand."""
        stand_in = Path(__file__).with_name("stand_in.nix")
        text = f"let s = import {stand_in}; module = import {NIX_FILES}/module.nix {{ packages = s.packages; }}; "
        text += f"base = import {NIX_FILES}/harness-base.nix {{ packages = s.packages; }}; in {expression}"
        argv = (nix, "--eval", "--strict", "--json", "--readonly-mode", "--expr", text)
        ended = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    def test_module(self, nix: str) -> None:
        """Every option of the host's module is there, typed and told of; by default it is off."""
        options = self.evaluated(nix, "s.options module")
        names = {"enable", "package", "settings", "openFirewall", "environmentFile", "adminUsers"}
        assert isinstance(options, dict)
        assert set(options["services.hyperhive"]) == names
        assert self.evaluated(nix, "s.config module { }") == {}

    def test_module_enabled(self, nix: str) -> None:
        """Settings become TOML, users become admins, the port opens only when asked for, and the unit is hardened."""
        given = '{ enable = true; openFirewall = true; adminUsers = [ "alice" ]; settings.listen = "0.0.0.0:7001"; }'
        config = self.evaluated(nix, f"s.config module {given}")
        assert isinstance(config, dict)
        assert config["users"]["groups"]["hive-admin"]["members"] == ["alice"]
        assert config["networking"]["firewall"]["allowedTCPPorts"] == [7001]
        unit = config["systemd"]["services"]["hyperhive"]["serviceConfig"]
        assert (unit["Type"], unit["KillMode"], unit["ProtectSystem"]) == ("notify", "process", "strict")
        assert unit["SupplementaryGroups"] == ["systemd-journal"]
        assert unit["ExecStart"].startswith("/nix/hyperhive/bin/hyperhive serve --config ")
        closed = self.evaluated(nix, "s.config module { enable = true; }")
        assert isinstance(closed, dict)
        assert closed["networking"]["firewall"]["allowedTCPPorts"] == {}

    @pytest.mark.parametrize(("host", "unit"), [("h-coder", "hive-ag3nt"), ("h-manager", "hive-m1nd")])
    def test_base(self, nix: str, host: str, unit: str) -> None:
        """The base runs the harness by its role, finds new packages by itself, and has git by declaration."""
        config = self.evaluated(nix, f's.base base "{host}"')
        assert isinstance(config, dict)
        service = config["systemd"]["services"][unit]
        assert service["path"] == ["/run/current-system/sw"]
        assert service["serviceConfig"]["User"] == "agent"
        assert service["serviceConfig"]["EnvironmentFile"] == "/run/hive-environment"
        assert config["programs"]["git"]["enable"] is True
