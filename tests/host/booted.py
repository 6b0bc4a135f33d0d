"""A Debian host with systemd, made from the machine's own mirror and booted for a test under systemd-nspawn."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import attrs
import pytest
from filelock import FileLock

from hyperhive.runtimes import procfs

PACKAGES = (
    *("systemd-sysv", "systemd-container", "dbus", "dbus-user-session", "libpam-systemd"),
    *("python3", "pipx", "git", "bubblewrap", "podman", "runc", "catatonit", "uidmap"),
)
REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 120.0
BUILD_SECONDS = 400

KEPT = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hyperhive-tests"
_SOURCES = ("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages")
_LEGACY = not Path("/sys/fs/cgroup/cgroup.controllers").exists()
_GROUPS = Path("/sys/fs/cgroup")
_CONTROLLERS = tuple(
    path.name
    for path in sorted(_GROUPS.glob("*"))
    if _LEGACY and not path.is_symlink() and path.name not in {"systemd", "unified"} and (path / "tasks").exists()
)

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Host:
    """A running host: commands are run in it as root."""

    root: Path
    pid: int
    """Of its first process, as this machine counts."""
    console: Path

    def run(
        self, *argv: str, check: bool = True, environment: Mapping[str, str] | None = None, seconds: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Run a command there and wait for it."""
        variables = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
        variables |= {"LANG": "C.UTF-8", **(environment or {})}
        enter = ("nsenter", "-t", str(self.pid), "-m", "-u", "-i", "-n", "-p", "-C", "--", "/usr/bin/env", "-i")
        words = (*enter, "-C", "/root", *(f"{name}={value}" for name, value in variables.items()), *argv)
        ended = subprocess.run(
            words, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=seconds, check=False
        )
        assert not check or ended.returncode == 0, f"{argv}: {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
        return ended

    def said(self, *argv: str) -> str:
        """Run a command that has to succeed, and return what it printed."""
        return self.run(*argv).stdout

    def until(self, what: str, look: Callable[[], T]) -> T:
        """Look again and again until there is something to see; fail with the journal's end."""
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            if found := look():
                return found
            time.sleep(0.1)
        journal = self.run("journalctl", "--no-pager", "--lines=60", check=False).stdout
        raise AssertionError(f"waited for: {what}\n{journal}")


def reason_against() -> str | None:
    """Return why no host can be booted on this machine."""
    if os.geteuid() != 0:
        return "booting a host needs root"
    for program, package in (("systemd-nspawn", "systemd-container"), ("mmdebstrap", "mmdebstrap")):
        if shutil.which(program) is None:
            return f"{program} is not installed (apt install {package})"
    return None


@contextlib.contextmanager
def booted(*, shown: Mapping[Path, Path]) -> Iterator[Host]:
    """Boot a host that also sees parts of this machine, read-only, at these paths; leave nothing of it behind."""
    if reason := reason_against():
        pytest.skip(reason)
    tarball = image()
    place = Path("/var/tmp", f"hh-host-{secrets.token_hex(6)}")
    place.mkdir(mode=0o700)
    cgroups = list(_own_cgroups(place.name))
    try:
        root = place / "root"
        root.mkdir()
        subprocess.run(("tar", "-xpf", str(tarball), "--numeric-owner", "-C", str(root)), check=True)
        with _running(root, place, shown, cgroups) as host:
            yield host
    finally:
        # Its tens of thousands of files go in a fifth of the time that Python would take.
        subprocess.run(("rm", "-rf", "--one-file-system", str(place)), check=True)
        for group in cgroups:
            _remove(group)


@contextlib.contextmanager
def _running(root: Path, place: Path, shown: Mapping[Path, Path], cgroups: Sequence[Path]) -> Iterator[Host]:
    argv = ["systemd-nspawn", f"--directory={root}", f"--machine={place.name}", "--boot", "--capability=all"]
    argv += ["--register=no", "--keep-unit", "--link-journal=no", "--resolv-conf=off", "--private-network"]
    # A container's services may not have keys, but a host's may, and runc gives each container some.
    argv += ["--system-call-filter=@keyring bpf"]
    argv += [f"--bind-ro={path}:{there}" for path, there in shown.items()]
    environment = {**os.environ, **({"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "0"} if _LEGACY else {})}

    console = place / "console"
    with console.open("wb") as output:
        enter = 'n=$1; shift; while [ "$n" -gt 0 ]; do echo 0 >"$1/cgroup.procs"; shift; n=$((n - 1)); done; exec "$@"'
        words = ("sh", "-c", enter, "sh", str(len(cgroups)), *map(str, cgroups), *argv)
        nspawn = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)
    first = None
    try:
        end = time.monotonic() + PATIENCE_SECONDS
        while first is None or not _ready(first, root, console):
            assert nspawn.poll() is None, console.read_text(errors="replace")
            assert time.monotonic() < end, console.read_text(errors="replace")
            found = procfs.children(nspawn.pid)
            first = next((pid for pid in found if procfs.namespace_pids(pid)[-1:] == (1,)), None)
            time.sleep(0.05)
        host = Host(root=root, pid=first, console=console)
        if cgroups:
            # It gets its part of the controllers to divide further, as it would have on a machine of its own.
            for name in _CONTROLLERS:
                host.run("mount", "-o", "remount,bind,rw", f"{_GROUPS}/{name}")
            host.run("systemctl", "daemon-reexec")
        yield host
    finally:
        if first is not None and (process := procfs.find(first)):
            procfs.send(process, signal.SIGKILL)
        try:
            nspawn.wait(timeout=30)
        except subprocess.TimeoutExpired:
            nspawn.kill()
            nspawn.wait()


def _ready(first: int, root: Path, console: Path) -> bool:
    look = Host(root=root, pid=first, console=console)
    return look.run("systemctl", "is-system-running", check=False).stdout.strip() in {"running", "degraded"}


def _own_cgroups(name: str) -> Iterator[Path]:
    """Make groups of our own where this machine is on cgroup v1: two hosts would share those of their machines."""
    for controller in (*_CONTROLLERS, "systemd") if _LEGACY else ():
        group = _GROUPS / controller / name
        with contextlib.suppress(OSError):
            group.mkdir()
            yield group
            # A group of processors is empty at first, and takes nobody then.
            for part in group.parent.glob("cpuset.[cm][pe][um]s"):
                (group / part.name).write_text(part.read_text())


def _remove(group: Path) -> None:
    """Remove a cgroup and all below it; what died in it leaves a moment later."""
    end = time.monotonic() + PATIENCE_SECONDS
    while group.exists() and time.monotonic() < end:
        for directory in sorted((group, *group.rglob("*/")), key=lambda path: -len(path.parts)):
            with contextlib.suppress(OSError):
                directory.rmdir()
        time.sleep(0.05)


def image() -> Path:
    """Return the host's tree as a tarball, made once and kept for later runs."""
    sources = _sources()
    digest = hashlib.sha256("\n".join((*sources, *PACKAGES)).encode()).hexdigest()[:16]
    kept = KEPT / f"host-{digest}.tar"
    KEPT.mkdir(parents=True, exist_ok=True)
    with FileLock(KEPT / "lock"):
        if not kept.exists():
            suite = sources[0].split()[-2]
            listed = KEPT / "sources.list"
            listed.write_text("".join(f"{line}\n" for line in sources))
            partial = kept.with_name("partial.tar")
            argv = ("mmdebstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", suite, str(partial))
            made = subprocess.run(
                (*argv, str(listed)), capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
            )
            assert made.returncode == 0, made.stderr[-3000:]
            for old in KEPT.glob("host-*.tar"):
                old.unlink()
            partial.rename(kept)
    return kept


def _sources() -> list[str]:
    """Read the machine's own Debian sources, as lines of a sources.list; the first is the release."""
    argv = (*_SOURCES, "Origin: Debian", "Component: main")
    for attempt in range(2):
        found = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.splitlines()
        if found:
            return [f"deb {line}" for line in sorted(found, key=len)]
        if attempt == 0:
            subprocess.run(("apt-get", "update", "-qq"), capture_output=True, check=False)
    raise AssertionError("apt knows no Debian mirror here: apt-get indextargets lists none of origin Debian")
