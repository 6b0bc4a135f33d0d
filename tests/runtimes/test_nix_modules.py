"""The Nix files: all parse, and the modules evaluate to what a host and an agent's container need.

They are evaluated against a stand-in for nixpkgs' library, and, where ``NIXPKGS_LIB`` names a directory with the real
one (nixpkgs' own `lib`), against that, too; there the flake is checked as a whole. No package is ever built.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from hyperhive.runtimes import nixos_build, nixos_flake

ROOT = Path(__file__).resolve().parents[2]
NIX_FILES = ROOT / "nix"
HERE = Path(__file__).parent
NIXPKGS_LIB = os.environ.get("NIXPKGS_LIB", "")
SOURCE = "path:/nix/store/x-source"


def with_lib() -> str:
    """Return what the modules are evaluated with where the real library is here."""
    return f"import {HERE}/with_lib.nix {{ lib = import {NIXPKGS_LIB}; }}"


real = pytest.mark.skipif(
    not NIXPKGS_LIB, reason="NIXPKGS_LIB does not name the lib of nixpkgs, which is not to be had"
)


@pytest.fixture(scope="module")
def nix() -> str:
    """Return the evaluator."""
    found = shutil.which("nix-instantiate")
    if found is None:
        pytest.skip("nix-instantiate is not installed (apt install nix-bin)")
    return found


@pytest.fixture(params=["stand-in", pytest.param("nixpkgs", marks=real)])
def library(request: pytest.FixtureRequest) -> str:
    """Return what the modules are evaluated with."""
    if request.param == "stand-in":
        return f"import {HERE}/stand_in.nix"
    return with_lib()


@pytest.mark.parametrize("path", [ROOT / "flake.nix", *sorted(NIX_FILES.glob("*.nix"))], ids=lambda p: p.name)
def test_parses(nix: str, path: Path) -> None:
    """Every file is Nix."""
    ended = subprocess.run((nix, "--parse", str(path)), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_package() -> None:
    """The daemon's package takes exactly the dependencies of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {re.split("[>=<]", dependency)[0] for dependency in project["dependencies"]}
    text = (NIX_FILES / "daemon.nix").read_text()
    listed = text.partition("dependencies = [")[2].partition("]")[0].split()
    assert set(listed) == wanted


def evaluated(nix: str, library: str, expression: str) -> object:
    """Evaluate something with the modules at hand; raises `AssertionError` with what Nix said."""
    given = '{ packages = s.packages; flake = "' + SOURCE + '"; }'
    text = f"let s = {library}; module = import {NIX_FILES}/module.nix {given}; "
    text += f"base = import {NIX_FILES}/harness-base.nix {{ packages = s.packages; }}; in {expression}"
    argv = (nix, "--eval", "--strict", "--json", "--readonly-mode", "--expr", text)
    ended = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_module(nix: str, library: str) -> None:
    """Every option of the host's module is there, typed and told of; by default it is off."""
    options = evaluated(nix, library, "s.options module")
    names = {"enable", "package", "settings", "openFirewall", "environmentFile", "adminUsers"}
    assert isinstance(options, dict)
    assert set(options["services.hyperhive"]) == names
    off = evaluated(nix, library, "s.config module { }")
    assert isinstance(off, dict)
    assert not off.get("systemd", {}).get("services")


def test_module_enabled(nix: str, library: str) -> None:
    """Settings become TOML, users become admins, the port opens only when asked for, and the unit is hardened."""
    given = '{ enable = true; openFirewall = true; adminUsers = [ "alice" ]; settings.listen = "0.0.0.0:7001"; }'
    config = evaluated(nix, library, f"s.config module {given}")
    assert isinstance(config, dict)
    assert config["users"]["groups"]["hive-admin"]["members"] == ["alice"]
    assert config["networking"]["firewall"]["allowedTCPPorts"] == [7001]
    unit = config["systemd"]["services"]["hyperhive"]["serviceConfig"]
    assert (unit["Type"], unit["KillMode"], unit["ProtectSystem"]) == ("notify", "process", "strict")
    assert unit["SupplementaryGroups"] == ["systemd-journal"]
    assert {str(nixos_build.CONFS), "/run", "/var/lib/nixos-containers"} < set(unit["ReadWritePaths"])
    made = {rule.split()[1] for rule in config["systemd"]["tmpfiles"]["rules"]}
    assert {str(nixos_build.CONFS), "/var/lib/nixos-containers"} < made
    assert unit["ExecStart"].startswith("/nix/hyperhive/bin/hyperhive serve --config ")
    closed = evaluated(nix, library, "s.config module { enable = true; }")
    assert isinstance(closed, dict)
    assert not closed["networking"]["firewall"]["allowedTCPPorts"]


@pytest.mark.parametrize(("host", "unit"), [("h-coder", "hive-ag3nt"), ("h-manager", "hive-m1nd")])
def test_base(nix: str, library: str, host: str, unit: str) -> None:
    """The base runs the harness by its role, finds new packages by itself, and has git by declaration."""
    config = evaluated(nix, library, f's.base base "{host}"')
    assert isinstance(config, dict)
    service = config["systemd"]["services"][unit]
    assert service["path"] == ["/run/current-system/sw"]
    assert service["serviceConfig"]["User"] == "agent"
    assert service["serviceConfig"]["EnvironmentFile"] == "/run/hive-environment"
    assert config["programs"]["git"]["enable"] is True


@real
@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ('adminUsers = "alice";', "adminUsers' is not of type `list of string'"),
        ('environmentFile = "relative";', "environmentFile' is not of type `null or absolute path'"),
        ("settings.x = _: 1;", "settings.x' is not of type `TOML value'"),
        ("settings.listen = 7000;", "settings.listen' is not of type `string'"),
        ("openFirewal = true;", "openFirewal' does not exist"),
    ],
)
def test_module_refuses(nix: str, given: str, refused: str) -> None:
    """What is no value of an option is refused with the option's name, as NixOS does."""
    with pytest.raises(AssertionError, match=re.escape(refused)):
        evaluated(nix, with_lib(), f"s.config module {{ enable = true; {given} }}")


class Flakes:
    """This repository, an agent's flake on it, and a flake in the place of nixpkgs, with a store of their own."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.source = place / "hyperhive"
        self.agent = place / "agent"
        nixpkgs = place / "nixpkgs"
        for name in ("hyperhive", "harness", "migrations", "packaging", "nix"):
            shutil.copytree(ROOT / name, self.source / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("flake.nix", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, self.source)
        shutil.copytree(NIXPKGS_LIB, nixpkgs / "lib")
        shutil.copy(HERE / "nixpkgs.nix", nixpkgs / "flake.nix")
        shutil.copy(HERE / "with_lib.nix", nixpkgs / "nixos.nix")
        self.agent.mkdir()
        for name, text in nixos_flake.generated("coder", "coder@hive.invalid", f"path:{self.source}").items():
            (self.agent / name).write_text(text)
        self.own = ("--override-input", "nixpkgs", f"path:{nixpkgs}")
        self.agents = ("--override-input", "hyperhive/nixpkgs", f"path:{nixpkgs}")

    def nix(self, *arguments: str) -> str:
        """Run Nix; fail with what it said."""
        argv = arguments if arguments[0] == "nix" else (*nixos_build.NIX, *arguments, "--no-write-lock-file")
        argv = (*argv, "--offline", "--store", str(self.place / "store"))
        environment = {**os.environ, "HOME": str(self.place)}
        ended = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def asked(self, flake: Path, attribute: str, look: str, *overrides: str) -> object:
        """Evaluate a function of an attribute of a flake."""
        reference = f"path:{flake}#{attribute}"
        return json.loads(self.nix("eval", "--json", reference, "--apply", look, *overrides))


@pytest.fixture
def flakes(tmp_path: Path) -> Flakes:
    """Lay them out."""
    if shutil.which("nix") is None:
        pytest.skip("nix is not installed (apt install nix-bin)")
    return Flakes(tmp_path)


@real
def test_flake_check(flakes: Flakes) -> None:
    """The flake is whole: packages for both machines, modules, and a virtual machine whose host evaluates."""
    flakes.nix("flake", "check", "--no-build", f"path:{flakes.source}", *flakes.own)
    shown = json.loads(flakes.nix("flake", "show", "--json", f"path:{flakes.source}", *flakes.own))
    assert set(shown) == {"checks", "nixosModules", "packages"}
    packages = ["default", "harness", "hyperhive"]
    assert {system: sorted(made) for system, made in shown["packages"].items()} == {
        "aarch64-linux": packages,
        "x86_64-linux": packages,
    }


@real
def test_agent(flakes: Flakes) -> None:
    """What builds an agent evaluates; its module adds what it likes, and what the host decides it does not change."""
    (flakes.agent / "agent.nix").write_text(
        "{ pkgs, ... }: {\n"
        "  environment.systemPackages = [ pkgs.git ];\n"
        '  networking.hostName = "h-manager";\n'
        '  programs.git.config.user.name = "somebody else";\n'
        "}\n"
    )
    flakes.nix(*nixos_build.build_argv(flakes.agent), "--dry-run", *flakes.agents)
    look = """c: {
      host = c.networking.hostName;
      packages = map toString c.environment.systemPackages;
      git = c.programs.git.config;
      units = builtins.attrNames c.systemd.services;
    }"""
    assert flakes.asked(flakes.agent, "nixosConfigurations.container.config", look, *flakes.agents) == {
        "host": "h-coder",
        "packages": ["/nix/git"],
        "git": {"init": {"defaultBranch": "main"}, "user": {"name": "coder", "email": "coder@hive.invalid"}},
        "units": ["hive-ag3nt"],
    }


@real
def test_a_host_change_rebuilds_no_agent(flakes: Flakes) -> None:
    """The daemon's sources may change without any change to an agent's system; the harness's may not."""

    def made() -> list[object]:
        daemon = flakes.asked(flakes.source, "packages.x86_64-linux.hyperhive", "p: p.drvPath", *flakes.own)
        top = "nixosConfigurations.container.config.system.build.toplevel"
        return [daemon, flakes.asked(flakes.agent, top, "p: p.drvPath", *flakes.agents)]

    before = made()
    with (flakes.source / "hyperhive/app.py").open("a") as file:
        file.write("# changed\n")
    host = made()
    with (flakes.source / "harness/__init__.py").open("a") as file:
        file.write("# changed\n")
    harness = made()
    assert [old == new for old, new in zip(before, host, strict=True)] == [False, True]
    assert [old == new for old, new in zip(host, harness, strict=True)] == [False, False]
