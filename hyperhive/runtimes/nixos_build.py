"""Builds the command lines and files that NixOS containers are driven by, as functions of values."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from hyperhive.runtimes import idmap, runner, unit_text
from hyperhive.runtimes.confinement import EgressPolicy
from hyperhive.runtimes.keeper import SHELL
from hyperhive.runtimes.machine import EXIT, OUTPUT, Places, escaped, limits, owned, relay_of
from hyperhive.runtimes.protocol import Spec, container_name
from hyperhive.runtimes.sandbox import SOCKET_DIR, UID

CONFS = Path("/etc/nixos-containers")
"""Where `nixos-container` keeps what the host's unit of a container reads (NixOS 22.05 and later)."""
LIST = ("nixos-container", "list")
NIX = ("nix", "--extra-experimental-features", "nix-command flakes")
PROFILES = Path("/nix/var/nix/profiles/per-container")
"""Where each container's systems are, by its name."""
MAX_CREATED = 11
"""Characters of a name that `nixos-container create` takes: a longer one could not name a link, which ours have not."""


def build_argv(flake: Path) -> tuple[str, ...]:
    """Return the command line that builds an agent's system and changes nothing else."""
    return (*NIX, "build", "--no-link", "--no-write-lock-file", _reference(flake) + _SYSTEM)


def environment(cache: Path) -> dict[str, str]:
    """Return what Nix gets, also where `nixos-container` runs it, which says nothing of features.

    The daemon's unit may write neither to root's home nor to the store: Nix's own daemon builds.
    """
    features = "extra-experimental-features = nix-command flakes"
    return {**runner.HOST_ENVIRONMENT, "NIX_CONFIG": features, "NIX_REMOTE": "daemon", "XDG_CACHE_HOME": str(cache)}


def create_argv(name: str, flake: Path) -> tuple[str, ...]:
    """Return the command line that makes a container; its addresses are never used."""
    return ("nixos-container", "create", container_name(name), "--no-write-lock-file", "--flake", _reference(flake))


def update_argv(name: str, flake: Path) -> tuple[str, ...]:
    """Return the command line that gives it the system that was built."""
    return ("nixos-container", "update", container_name(name), "--no-write-lock-file", "--flake", _reference(flake))


def act_argv(act: str, name: str) -> tuple[str, ...]:
    """Return the command line of `start`, `stop`, `status`, `destroy`."""
    return ("nixos-container", act, container_name(name))


def terminal_argv(name: str, argv: Sequence[str], environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the command line that runs a program in a running container, as its agent."""
    inner = ("env", "-i", *(f"{key}={value}" for key, value in environment.items()), *argv)
    script = f"cd /state && exec {shlex.join(inner)}"
    run = ("nixos-container", "run", container_name(name), "--")
    # It comes from the host, so that nothing of what keeps the container's own programs would keep it.
    user = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--no-new-privs", "--inh-caps=-all")
    return (*run, *user, "--bounding-set=-all", "--", SHELL, "-c", script)


def conf(spec: Spec, places: Places, flake: Path) -> str:
    """Return the container's file in `CONFS`: no address, no way out but by the host's say, its own directories."""
    binds = [f"--bind-ro={escaped(spec.socket_dir)}:{SOCKET_DIR}", f"--bind-ro={escaped(places.output)}:{OUTPUT}"]
    binds.append(f"--bind-ro={escaped(places.etc / 'environment')}:/run/hive-environment")
    for number, (seen, (_, write)) in enumerate(owned(spec).items()):
        word = "--bind" if write else "--bind-ro"
        binds.append(f"{word}={escaped(places.mounted(number))}:{escaped(seen)}")
    private = 0 if spec.egress.policy is EgressPolicy.HOST else 1
    for path in binds:
        # The start script splits it at spaces, and knows no quotes.
        if any(character.isspace() for character in path):
            raise ValueError(f"{path} has a space in it, which no container of NixOS can have in a bind mount")
    return (
        f"PRIVATE_NETWORK={private}\n"
        "AUTO_START=0\n"
        f"FLAKE={_reference(flake)}\n"
        f'EXTRA_NSPAWN_FLAGS="--no-new-privileges=yes {" ".join(binds)}"\n'
    )


def dropin(spec: Spec, places: Places, *, owner: tuple[int, int]) -> str:
    """Return the part that makes NixOS's unit of any container the unit of this one."""
    relay = relay_of(spec.name)
    helper = (sys.executable, "-I", str(Path(idmap.__file__)), "--host")
    mounts = [
        (*helper, str(path), str(places.mounted(number)), *map(str, owner), str(UID), "1")
        for number, (path, _) in enumerate(owned(spec).values())
    ]
    ends = [("umount", "--lazy", str(places.mounted(number))) for number in range(len(mounts))]
    return (
        "# Written by hyperhive; gone with the agent's container.\n"
        "[Unit]\n"
        f"Wants={relay}\n"
        f"After={relay}\n"
        "\n"
        "[Service]\n"
        f"EnvironmentFile={unit_text.plain(str(places.mark))}\n"
        + "".join(f"ExecStartPre={unit_text.command(mount)}\n" for mount in mounts)
        + f"ExecStopPost={unit_text.command((SHELL, '-c', EXIT, str(places.exit)))}\n"
        + "".join(f"ExecStopPost=-{unit_text.command(end)}\n" for end in ends)
        + "Restart=no\nRestartForceExitStatus=\nSuccessExitStatus=\nOOMPolicy=continue\n"
        + "".join(limits(spec.limits))
    )


def environment_file(variables: Mapping[str, str]) -> str:
    """Return a file for EnvironmentFile=, whose quoting is the shell's (systemd.exec(5))."""
    lines = []
    for name, value in variables.items():
        quoted = "".join(f"\\{character}" if character in '"\\$`' else character for character in value)
        lines.append(f'{name}="{quoted}"\n')
    return "".join(lines)


_SYSTEM = "#nixosConfigurations.container.config.system.build.toplevel"


def _reference(flake: Path) -> str:
    # `path:` copies it as it is; git would run in a tree that an agent wrote.
    return f"path:{flake}"
