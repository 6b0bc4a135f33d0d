#!/usr/bin/python3 -ISE
"""A stand-in for `nixos-container`, `nix`, `nix-env` and NixOS's start of a container: a test double, no part of NixOS.

It does what these programs do with names, files, links, exit statuses and systemd's units, as far as hyperhive uses
them, on a host that is a Debian. What it "builds" is no system of NixOS: the units of `harness-base.nix`, as Nix
evaluated them, on the host's own /usr. It "evaluates" an `agent.nix` by looking for a few texts in it.

Which of the programs it is follows from its name.
"""

# ruff: noqa: T201, C901, PLR0912, S606 - it prints, reads command lines and becomes other programs, as those do

import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path("/usr/local/lib/nixos-stand-in")
"""What it is told by who installs it: base.json (the base's config, by host name), trees (what containers see, too)."""
CONFS = Path("/etc/nixos-containers")
ROOTS = Path("/var/lib/nixos-containers")
STORE = Path("/nix/store")
PROFILES = Path("/nix/var/nix/profiles/per-container")
GC_ROOTS = Path("/nix/var/nix/gcroots/per-container")
LOCK = Path("/run/lock/nixos-container")
MAX_NAME = 11
ATTRIBUTE = re.compile(r'nixosConfigurations\."?container"?\.config\.system\.build\.toplevel')
USERS = "root:x:0:0:root:/root:/bin/sh\nagent:x:1000:1000:agent:/state:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"
GROUPS = "root:x:0:\nagent:x:1000:\nnogroup:x:65534:\n"


PAM = ("auth", "account", "password", "session")
MASKED = (
    *("dbus.service", "dbus.socket", "systemd-logind.service", "console-getty.service", "systemd-sysusers.service"),
    *("systemd-update-utmp.service", "systemd-update-utmp-runlevel.service", "systemd-tmpfiles-clean.timer"),
    *("dev-hugepages.mount", "systemd-remount-fs.service", "systemd-tmpfiles-setup-dev.service"),
    *("systemd-user-sessions.service", "systemd-journal-flush.service", "modprobe@.service"),
)
"""Of Debian's own units: what a system of NixOS would have users and files for."""


def die(text: str, status: int = 1) -> None:
    """End as they do."""
    print(text, file=sys.stderr)
    sys.exit(status)


def call(*argv: str) -> int:
    """Run a program on this one's own output."""
    return subprocess.run(argv, check=False).returncode


def output(*argv: str) -> str:
    """Run a program and return what it printed."""
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout


# ── nix build ──


def nix(arguments: list[str]) -> None:
    """`nix build [-o LINK | --no-link] [--no-write-lock-file] [--] path:DIRECTORY#ATTRIBUTE`."""
    features = os.environ.get("NIX_CONFIG", "")
    link: str | None = "result"
    reference = None
    words = iter(arguments)
    for word in words:
        match word:
            case "--extra-experimental-features":
                features += f" {next(words)}"
            case "-o":
                link = next(words)
            case "--no-link":
                link = None
            case "build" | "--" | "--no-write-lock-file":
                pass
            case _ if word.startswith("-"):
                die(f"error: unrecognised flag '{word}'")
            case _:
                reference = word
    for feature in ("nix-command", "flakes"):
        if feature not in features.split():
            flag = f"--extra-experimental-features {feature}"
            die(f"error: experimental Nix feature '{feature}' is disabled; add '{flag}' to enable it")
    directory, _, attribute = (reference or "").removeprefix("path:").partition("#")
    if not ATTRIBUTE.fullmatch(attribute):
        die(f"error: flake '{directory}' does not provide attribute '{attribute}'")
    Path(os.environ["XDG_CACHE_HOME"], "nix").mkdir(parents=True, exist_ok=True)
    system = build(Path(directory))
    if "--no-write-lock-file" not in arguments:
        (Path(directory) / "flake.lock").write_text("{ }")
    if link is not None:
        Path(link).unlink(missing_ok=True)
        Path(link).symlink_to(system)


def build(flake: Path) -> Path:
    """Make the system of a flake as hyperhive generates it."""
    if not (flake / "flake.nix").exists():
        die(f"error: source tree referenced by 'path:{flake}' does not contain a '/flake.nix' file")
    host = re.search(r'hostName = lib.mkForce "([^"]+)"', (flake / "flake.nix").read_text())
    agent = (flake / "agent.nix").read_text()
    if thrown := re.search(r'throw "([^"]*)"', agent):
        die(f"error: {thrown[1]}")
    assert host is not None
    config = (HERE / "base.json").read_text()
    sources = "\0".join((host[1], agent, config, (HERE / "harness").read_text()))
    system = STORE / f"{hashlib.sha256(sources.encode()).hexdigest()[:32]}-nixos-system-{host[1]}"
    if not system.exists():
        partial = system.with_name(f"{system.name}.{os.getpid()}")
        write_system(
            partial, system, host[1], agent, json.loads(config)["manager" if host[1] == "h-manager" else "agent"]
        )
        try:
            partial.rename(system)
        except OSError:  # somebody else was faster
            shutil.rmtree(partial)
    return system


def write_system(place: Path, system: Path, host: str, agent: str, config: dict[str, Any]) -> None:
    """Write what a system is, which lies at a place of its own until it is whole."""
    units = place / "etc/systemd/system"
    (units / "multi-user.target.wants").mkdir(parents=True)
    (place / "bin").mkdir()
    (place / "system").write_text("x86_64-linux")
    (place / "sw").symlink_to("/usr")
    for name in MASKED:
        (units / name).symlink_to("/dev/null")
    (units / "default.target").symlink_to("/usr/lib/systemd/system/multi-user.target")
    own = re.search(r'hive\.harness = "([^"]+)"', agent)
    for name, service in config["systemd"]["services"].items():
        text = unit_text(service).replace(
            "/nix/hyperhive-harness/bin/hyperhive-harness", own[1] if own else str(HERE / "harness")
        )
        (units / f"{name}.service").write_text(text)
        (units / "multi-user.target.wants" / f"{name}.service").symlink_to(f"../{name}.service")
    (place / "etc/pam.d").mkdir()
    for name in ("su-l", "other"):
        (place / "etc/pam.d" / name).write_text("".join(f"{kind} required pam_permit.so\n" for kind in PAM))
    for name, text in {"passwd": USERS, "group": GROUPS, "hostname": f"{host}\n"}.items():
        (place / "etc" / name).write_text(text)
    for name, text in re.findall(r'environment\.etc\."([^"]+)"\.text = "([^"]*)"', agent):
        (place / "etc" / name).write_text(text)
    switch = "exit 4" if "cannotSwitch" in agent else f"/bin/sh {system}/activate"
    (place / "activate").write_text(ACTIVATE.format(system=system))
    (place / "init").write_text(f"#!/bin/sh\n/bin/sh {system}/activate || exit 1\nexec /usr/lib/systemd/systemd\n")
    (place / "bin/switch-to-configuration").write_text(f'#!/bin/sh\n[ "$1" = test ] || exit 2\n{switch}\n')
    (place / "bin/switch-to-configuration").chmod(0o755)


ACTIVATE = """set -e
mkdir -p /run /etc/systemd
ln -sfn {system} /run/current-system
cp -rf {system}/etc/pam.d /etc/
for file in {system}/etc/*; do
  [ -d "$file" ] || cp -f "$file" /etc/
done
rm -rf /etc/systemd/system
ln -sfn {system}/etc/systemd/system /etc/systemd/system
mkdir -p /state
"""


def unit_text(service: dict[str, Any]) -> str:
    """Return a unit as NixOS writes one."""

    def lines(settings: dict[str, Any]) -> str:
        said = ""
        for key, value in settings.items():
            for each in value if isinstance(value, list) else [value]:
                said += f"{key}={str(each).lower() if isinstance(each, bool) else each}\n"
        return said

    path = ":".join(f"{entry}/bin:{entry}/sbin" for entry in service["path"])
    head = f"[Unit]\nDescription={service['description']}\n{lines(service['unitConfig'])}"
    return f'{head}\n[Service]\nEnvironment="PATH={path}"\n{lines(service["serviceConfig"])}'


# ── nix-env ──


def nix_env(arguments: list[str]) -> None:
    """`nix-env -p PROFILE --set PATH` and `--switch-generation NUMBER`."""
    option, profile, act, value = arguments
    if option not in {"-p", "--profile"} or not Path(profile).parent.is_dir():
        die(f"error: opening lock file '{profile}.lock': No such file or directory")
    link = Path(profile)
    if act == "--set":
        numbers = [int(each.name.split("-")[-2]) for each in link.parent.glob(f"{link.name}-*-link")]
        if link.is_symlink() and link.resolve() == Path(value):
            return
        target = link.with_name(f"{link.name}-{max(numbers, default=0) + 1}-link")
        target.symlink_to(value)
    else:
        target = link.with_name(f"{link.name}-{value}-link")
        if not target.is_symlink():
            die(f"error: generation {value} does not exist")
    partial = link.with_name(f".{link.name}.{os.getpid()}")
    partial.symlink_to(target.name)
    partial.replace(link)


# ── nixos-container ──


def nixos_container(arguments: list[str]) -> None:
    """`nixos-container ACTION NAME …`."""
    os.umask(0o022)
    flake = None
    given: list[str] = []
    passed: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            given += words
        elif word == "--flake":
            flake = next(words)
        elif word == "--no-write-lock-file":
            passed.append(word)
        elif word.startswith("--"):
            die(f"Unknown option: {word[2:]}")
        else:
            given.append(word)
    if not given:
        die("nixos-container: no action specified")
    action, *rest = given
    CONFS.mkdir(mode=0o755, parents=True, exist_ok=True)
    ROOTS.mkdir(mode=0o700, parents=True, exist_ok=True)
    if action == "list":
        for conf in sorted(CONFS.glob("*.conf")):
            print(conf.stem)
        return
    if not rest:
        die("nixos-container: no container name specified")
    name, *command = rest
    if not re.fullmatch(r"[a-zA-Z0-9_-]+", name):
        die("nixos-container: invalid container name")
    if action == "create":
        create(name, flake, passed)
        return
    if not (CONFS / f"{name}.conf").exists():
        if action == "destroy":
            return
        if action == "status":
            print("gone")
        die(f"nixos-container: container '{name}' does not exist")
    act(action, name, flake, passed, command)


def create(name: str, flake: str | None, passed: list[str]) -> None:
    """Make its file, build its system, and set it."""
    with LOCK.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        conf = CONFS / f"{name}.conf"
        if conf.exists():
            die(f"nixos-container: container '{name}' already exists")
        if len(name) > MAX_NAME:
            die(f"nixos-container: container name '{name}' is too long")
        text = "PRIVATE_NETWORK=1\nHOST_ADDRESS=10.233.1.1\nLOCAL_ADDRESS=10.233.1.2\nHOST_BRIDGE=\nHOST_PORT=\n"
        conf.write_text(f"{text}AUTO_START=0\nFLAKE={flake}\n")
    print("host IP is 10.233.1.1, container IP is 10.233.1.2", file=sys.stderr)
    PROFILES.mkdir(mode=0o700, parents=True, exist_ok=True)
    (PROFILES / name).mkdir(mode=0o755, exist_ok=True)
    install(name, flake, passed)


def install(name: str, flake: str | None, passed: list[str]) -> None:
    """Build, beside wherever this was called, and set the profile."""
    link = ".tmp"
    if call(
        "nix",
        "build",
        "-o",
        link,
        *passed,
        "--",
        f'{flake}#nixosConfigurations."container".config.system.build.toplevel',
    ):
        die(f"nixos-container: failed to build container from flake '{flake}'")
    system = str(Path(link).readlink())
    Path(link).unlink()
    if call("nix-env", "-p", str(PROFILES / name / "system"), "--set", system):
        die("nixos-container: failed to set container configuration")


def act(action: str, name: str, flake: str | None, passed: list[str], command: list[str]) -> None:
    """Do what is done to a container that exists."""
    unit = f"container@{name}"
    match action:
        case "start" | "stop":
            if call("systemctl", action, unit):
                die(f"nixos-container: failed to {action} container")
        case "status":
            print("up" if running(unit) else "down")
        case "update":
            kept = re.search(r"^FLAKE=(.*)$", (CONFS / f"{name}.conf").read_text(), re.MULTILINE)
            install(name, flake or (kept[1] if kept else None), passed)
            if running(unit):
                print("reloading container...", file=sys.stderr)
                if call("systemctl", "reload", unit):
                    die("nixos-container: failed to reload container")
        case "run":
            inside = " ".join("'" + word.replace("'", "'\\''") + "'" for word in command)
            words = ("nsenter", "-t", str(leader(name)), "-m", "-u", "-i", "-n", "-p", "--")
            os.execvp(words[0], (*words, "su", "root", "-l", "-c", f"exec {inside}"))
        case "terminate":
            terminate(name)
        case "destroy":
            if running(unit):
                terminate(name)
            for tree in (PROFILES / name, GC_ROOTS / name, ROOTS / name):
                shutil.rmtree(tree, ignore_errors=True)
            (CONFS / f"{name}.conf").unlink()
        case _:
            die(f"nixos-container: unknown action '{action}'")


def running(unit: str) -> bool:
    """Whether systemd says so."""
    return "ActiveState=active" in output("systemctl", "show", unit)


def leader(name: str) -> int:
    """Return the container's first process."""
    said = output("machinectl", "show", name, "-p", "Leader").strip()
    if not re.fullmatch(r"Leader=\d+", said):
        die("unable to get container's main PID", 255)
    return int(said.removeprefix("Leader="))


def terminate(name: str) -> None:
    """Kill it."""
    first = leader(name)
    if call("machinectl", "terminate", name):
        die("nixos-container: failed to terminate container")
    while Path(f"/proc/{first}").exists():
        time.sleep(0.1)


# ── container@.service ──

UNIT = """[Unit]
Description=Container '%i' (stand-in)
RequiresMountsFor=/var/lib/nixos-containers/%i

[Service]
Type=notify
Environment=INSTANCE=%i ROOT=/var/lib/nixos-containers/%i
Environment=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin
EnvironmentFile=-/etc/nixos-containers/%i.conf
ExecStartPre=-/usr/bin/machinectl terminate %i
ExecStart=/usr/local/lib/nixos-stand-in/container-start
ExecReload=/usr/local/bin/nixos-container run %i -- bash --login -c \
  "/nix/var/nix/profiles/system/bin/switch-to-configuration test"
SyslogIdentifier=container %i
RestartForceExitStatus=133
SuccessExitStatus=133
TimeoutStartSec=1min
Restart=on-failure
Slice=machine.slice
Delegate=true
KillMode=mixed
KillSignal=TERM
"""


def container_start(_: list[str]) -> None:
    """Become systemd-nspawn with the container's system as its first process."""
    name, root = os.environ["INSTANCE"], Path(os.environ["ROOT"])
    for wanted in ("etc", "var/lib/private", "root", "usr", "nix/store", "nix/var/nix/profiles"):
        (root / wanted).mkdir(parents=True, exist_ok=True)
    for file in ("etc/os-release", "etc/machine-id"):
        (root / file).touch()
    # In a container of NixOS all of these come of the store.
    for top in ("bin", "sbin", "lib", "lib64"):
        if not (root / top).is_symlink():
            (root / top).symlink_to(f"usr/{top}")
    profile, gc = PROFILES / name, GC_ROOTS / name
    for directory in (profile, gc):
        directory.mkdir(parents=True, exist_ok=True)
    if os.environ.get("FLAKE") and not (profile / "system").is_symlink():
        subprocess.run(("nixos-container", "update", name), check=True)
    argv = ["systemd-nspawn", "--keep-unit", "-M", name, "-D", str(root)]
    if os.environ.get("PRIVATE_NETWORK") == "1":
        argv.append("--private-network")
    if os.environ.get("HOST_ADDRESS"):
        argv.append("--network-veth")
    argv += ["--notify-ready=yes", "--kill-signal=SIGRTMIN+3", f"--bind-ro={STORE}", "--link-journal=try-guest"]
    argv += [f"--bind={profile}:/nix/var/nix/profiles", f"--bind={gc}:/nix/var/nix/gcroots"]
    argv += [f"--setenv=PATH={os.environ['PATH']}", "--bind-ro=/usr"]
    argv += [f"--bind-ro={tree}" for tree in (HERE / "trees").read_text().splitlines()]
    argv += os.environ.get("EXTRA_NSPAWN_FLAGS", "").split()
    if not Path("/sys/fs/cgroup/cgroup.controllers").exists():
        os.environ["SYSTEMD_NSPAWN_UNIFIED_HIERARCHY"] = "0"
    os.execvp(argv[0], [*argv, "/bin/sh", "/nix/var/nix/profiles/system/init"])


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    {
        "nix": nix,
        "nix-env": nix_env,
        "nixos-container": nixos_container,
        "container-start": container_start,
    }[Path(sys.argv[0]).name](sys.argv[1:])
