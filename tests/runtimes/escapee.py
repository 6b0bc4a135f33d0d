"""Runs inside a container as its program, tries to get out in every way of the table, and writes down what came of it.

It knows the host's directories, processes and ports, as one who has been told. Standard library alone.
"""

# ruff: noqa: D103, PTH102, PTH123, PTH208, PLW1510 - each attempt is named by the table; the ways are raw by intent

from __future__ import annotations

import ctypes
import json
import os
import platform
import signal
import socket
import stat
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

LIBC = ctypes.CDLL(None, use_errno=True)
X86 = platform.machine() == "x86_64"
NUMBERS = {
    "keyctl": 250 if X86 else 219,
    "bpf": 321 if X86 else 280,
    "perf_event_open": 298 if X86 else 241,
    "userfaultfd": 323 if X86 else 282,
    "io_uring_setup": 425,
    "open_by_handle_at": 304 if X86 else 265,
    "process_vm_readv": 310 if X86 else 270,
}
TOLD: dict[str, Any] = {}
SECONDS = 3.0


class Refused(Exception):  # noqa: N818
    """The kernel said no."""


def call(result: int) -> int:
    """Return what a C function returned, or raise for its errno."""
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def syscall(name: str, *arguments: Any) -> int:
    """Call the kernel by number."""
    return call(LIBC.syscall(NUMBERS[name], *arguments))


def read(path: str) -> str:
    """Read a file, or list a directory."""
    place = Path(path)
    return " ".join(os.listdir(place)) if place.is_dir() else place.read_text(errors="replace")


def unix(address: str) -> str:
    """Connect to a unix socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(SECONDS)
        connection.connect(address)
    return "connected"


def tcp(host: str, port: int) -> str:
    """Connect by TCP."""
    with socket.create_connection((host, port), SECONDS):
        return "connected"


def kind(family: int, type_: int, protocol: int = 0) -> str:
    """Open a socket of a kind."""
    socket.socket(family, type_, protocol).close()
    return "opened"


def other_state() -> str:
    return read(TOLD["other_state"])


def other_socket() -> str:
    return unix(TOLD["other_socket"])


def log() -> str:
    return read(TOLD["log"])


def host_socket() -> str:
    return unix(TOLD["host_socket"])


def records() -> str:
    return read(TOLD["records"])


def own_output() -> str:
    for fd in (1, 2):
        try:
            os.ftruncate(fd, 0)
        except OSError:
            continue
        return "emptied"
    Path(TOLD["own_output"]).write_text("")
    return "emptied"


def everywhere(name: str) -> str:
    """Find the host's secret in a file of any process."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                found = (entry / name).read_bytes()
            except OSError:
                continue
            if TOLD["secret"].encode() in found:
                return f"in process {entry.name}"
    raise Refused("it is in none")


def environments() -> str:
    return everywhere("environ")


def command_lines() -> str:
    return everywhere("cmdline")


def victim() -> int:
    """Return the number of the host's process, where that is one here that is not of this container's own."""
    pid = int(TOLD["victim"])
    # In a pid namespace of its own the number is either nobody's or another process's.
    if TOLD["secret"].encode() not in Path(f"/proc/{pid}/cmdline").read_bytes():
        raise Refused("the number is another process's here")
    return pid


def trace() -> str:
    pid = victim()
    # A child that ends lets go again; nobody else could ever wait for the end of what is traced.
    child = os.fork()
    if child == 0:
        os._exit(0 if LIBC.ptrace(16, pid, 0, 0) == 0 else ctypes.get_errno() or 1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        raise Refused(os.strerror(status))
    return "attached"


def send_signal() -> str:
    os.kill(victim(), signal.SIGUSR1)
    return "sent"


def mount() -> str:
    call(LIBC.mount(b"none", b"/state", b"tmpfs", 0, None))
    return "mounted"


def remount() -> str:
    call(LIBC.mount(b"none", b"/usr", None, 4096 | 32, None))
    return "remounted"


def device() -> str:
    os.mknod("device", stat.S_IFBLK | 0o600, os.makedev(7, 0))
    return "made"


def raw_socket() -> str:
    return kind(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)


def packet_socket() -> str:
    return kind(17, socket.SOCK_RAW)


def vsock() -> str:
    return kind(40, socket.SOCK_STREAM)


def writes(*paths: str) -> str:
    """Write to any of these."""
    problems = []
    for path in paths:
        try:
            Path(path).write_text("x")
        except OSError as error:
            problems.append(f"{path}: {error.strerror}")
        else:
            return path
    raise Refused("; ".join(problems))


def write_system() -> str:
    return writes("/usr/bin/evil", "/etc/evil", "/bin/evil", "/lib/evil", "/evil")


def write_installation() -> str:
    return writes(*TOLD["installation"], *(f"{place}/evil" for place in TOLD["installation"]))


def user_namespace() -> str:
    if os.fork() == 0:
        os._exit(0 if LIBC.unshare(0x10000000) == 0 else 1)
    if os.waitstatus_to_exitcode(os.wait()[1]) == 0:
        return "unshared"
    # Flags of clone(2): a child in a user namespace of its own, and SIGCHLD.
    child = LIBC.syscall(56 if X86 else 220, 0x10000000 | 17, 0, 0, 0, 0)
    if child == 0:
        os._exit(0)
    call(child)
    os.waitpid(child, 0)
    return "cloned"


def chroot() -> str:
    if os.fork() == 0:
        try:
            os.chroot(".")
        except OSError as error:
            os._exit(error.errno or 1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.wait()[1])
    if status:
        raise Refused(os.strerror(status))
    return "changed"


def status(field: str) -> str:
    """Return a line of /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line.split(None, 1)[1] for line in lines if line.startswith(f"{field}:"))


def gain_rights() -> str:
    if status("NoNewPrivs") != "1":
        return "new privileges are not forbidden"
    for program in ("/usr/bin/su", "/bin/mount", "/usr/bin/sudo"):
        if Path(program).exists():
            ended = subprocess.run([program, "-c", "id -u"], capture_output=True, text=True, input="", timeout=10)
            if ended.stdout.strip() == "0":
                return program
    raise Refused("none is gained")


def capabilities() -> str:
    held = {field: status(field) for field in ("CapEff", "CapPrm", "CapInh", "CapAmb") if int(status(field), 16)}
    if not held:
        raise Refused("there is none")
    return str(held)


def abstract_socket() -> str:
    return unix("\0" + TOLD["abstract"])


def dashboard() -> str:
    return tcp("127.0.0.1", TOLD["loopback_port"])


def other_port() -> str:
    return tcp(TOLD["address"], TOLD["own_port"])


def direct() -> str:
    interfaces = [name for _, name in socket.if_nameindex() if name != "lo"]
    routes = Path("/proc/net/route").read_text().splitlines()[1:]
    if interfaces or routes:
        return f"{interfaces} {routes}"
    return tcp("1.1.1.1", 443)


def names() -> str:
    return str(socket.getaddrinfo("example.org", 443))


def metadata() -> str:
    return tcp("169.254.169.254", 80)


def kernel_settings() -> str:
    return writes("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/vm/overcommit_memory")


def kernel_memory() -> str:
    for path in ("/proc/kcore", "/dev/mem", "/dev/kmsg", "/proc/kmsg"):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            found = os.read(fd, 16)
            os.close(fd)
        except OSError:
            continue
        if found:
            return path
    buffer = ctypes.create_string_buffer(256)
    call(LIBC.klogctl(3, buffer, 256))
    return "messages"


def keyrings() -> str:
    # KEYCTL_GET_KEYRING_ID of the session, then KEYCTL_SEARCH in it for the host's key.
    ring = syscall("keyctl", 0, ctypes.c_int(-3), 0)
    return f"key {syscall('keyctl', 10, ctypes.c_int(ring), b'user', TOLD['secret'].encode(), 0)}"


def cgroups() -> str:
    """Write to a cgroup, or make one, anywhere."""
    for place, below, files in os.walk("/sys/fs/cgroup"):
        for name in {"cgroup.procs", "release_agent", "memory.max", "pids.max"} & set(files):
            try:
                with open(f"{place}/{name}", "w") as file:
                    file.write("0")
            except OSError:
                continue
            return f"{place}/{name}"
        try:
            os.mkdir(f"{place}/evil")
        except OSError:
            del below[8:]
            continue
        if any("cgroup" in found for found in os.listdir(f"{place}/evil")):
            return f"{place}/evil"
    raise Refused("nothing there can be changed")


def handles() -> str:
    # As the "shocker" did: the handle of the root's inode, on the file system of a mounted directory.
    handle = struct.pack("=IiQ", 8, 1, 2)
    place = os.open(".", os.O_RDONLY)
    return f"opened {syscall('open_by_handle_at', place, handle, 0)}"


def kernel_doors() -> str:
    attempts: dict[str, Callable[[], int]] = {
        "bpf": lambda: syscall("bpf", 0, struct.pack("=IIIII", 1, 4, 4, 1, 0), 20),
        "perf_event_open": lambda: syscall(
            "perf_event_open", struct.pack("=IIQ", 1, 112, 0) + b"\0" * 96, 0, -1, -1, 0
        ),
        "userfaultfd": lambda: syscall("userfaultfd", 1),
        "io_uring_setup": lambda: syscall("io_uring_setup", 1, ctypes.create_string_buffer(120)),
    }
    problems = []
    for name, attempt in attempts.items():
        try:
            attempt()
        except OSError as error:
            problems.append(f"{name}: {error.strerror}")
        else:
            return name
    raise Refused("; ".join(problems))


def clock() -> str:
    import time

    time.clock_settime(time.CLOCK_REALTIME, time.time())
    return "set"


def terminal() -> str:
    fd = os.open("/dev/tty", os.O_RDWR)
    call(LIBC.ioctl(fd, 0x5412, b"x"))
    return "typed"


def host_paths() -> str:
    if TOLD["root"] not in Path("/proc/self/mountinfo").read_text():
        raise Refused("no mount names one")
    return "named"


def host_load() -> str:
    return read("/proc/loadavg") + read("/proc/meminfo")[:30]


def attempts() -> Iterator[tuple[str, Callable[[], str]]]:
    """Name every attempt that is made in here."""
    for name in TOLD["attempts"]:
        yield name, globals()["send_signal" if name == "signal" else name]


def main() -> None:
    """Try everything."""
    TOLD.update(json.loads(Path("told.json").read_text()))
    report = {}
    for name, attempt in attempts():
        try:
            report[name] = {"open": True, "said": attempt()}
        except Exception as error:  # noqa: BLE001 - whatever stands in the way
            report[name] = {"open": False, "said": f"{type(error).__name__}: {error}"}
    Path("report.part").write_text(json.dumps(report))
    Path("report.part").rename("report.json")


main()
open("runs", "w").close()
while True:
    signal.pause()
