"""The filter of system calls of a sandbox, as the kernel takes it (seccomp(2), classic BPF).

It closes what namespaces leave open: the keyrings, which belong to the user and not to a namespace; sockets of families
that no network namespace holds (vsock reaches the hypervisor, and through it the world); and large parts of the kernel
that no agent needs (bpf, io_uring, perf, userfaultfd, …). What is refused gets EPERM, or EAFNOSUPPORT for a socket.
"""

from __future__ import annotations

import errno
import platform
import struct
from collections.abc import Iterator

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_ANY_BIT = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN = 0x06
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND = 0, 4, 16, 24
"""Offsets in ``struct seccomp_data``; of the arguments the lower halves (little endian)."""

AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32 = 0x40000000
"""The bit of x86-64's second ABI, whose calls would pass by their other numbers."""

FAMILIES = (1, 2, 10, 16)
"""AF_UNIX, AF_INET, AF_INET6, AF_NETLINK."""
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
"""Type into a terminal."""

REFUSED: dict[str, dict[str, int]] = {
    "x86_64": {
        "add_key": 248, "request_key": 249, "keyctl": 250,
        "bpf": 321, "perf_event_open": 298, "userfaultfd": 323,
        "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
        "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161,
        "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433,
        "mount_setattr": 442, "unshare": 272, "setns": 308,
        "name_to_handle_at": 303, "open_by_handle_at": 304,
        "kexec_load": 246, "kexec_file_load": 320, "init_module": 175, "finit_module": 313, "delete_module": 176,
        "reboot": 169, "swapon": 167, "swapoff": 168, "acct": 163, "quotactl": 179, "quotactl_fd": 443,
        "syslog": 103, "iopl": 172, "ioperm": 173, "settimeofday": 164, "adjtimex": 159, "clock_settime": 227,
        "clock_adjtime": 305, "lookup_dcookie": 212, "move_pages": 279, "migrate_pages": 256, "mbind": 237,
        "vhangup": 153, "uselib": 134, "ustat": 136, "sysfs": 139, "nfsservctl": 180, "fanotify_init": 300,
    },
    "aarch64": {
        "add_key": 217, "request_key": 218, "keyctl": 219,
        "bpf": 280, "perf_event_open": 241, "userfaultfd": 282,
        "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
        "mount": 40, "umount2": 39, "pivot_root": 41, "chroot": 51,
        "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433,
        "mount_setattr": 442, "unshare": 97, "setns": 268,
        "name_to_handle_at": 264, "open_by_handle_at": 265,
        "kexec_load": 104, "kexec_file_load": 294, "init_module": 105, "finit_module": 273, "delete_module": 106,
        "reboot": 142, "swapon": 224, "swapoff": 225, "acct": 89, "quotactl": 60, "quotactl_fd": 443,
        "syslog": 116, "settimeofday": 170, "adjtimex": 171, "clock_settime": 112, "clock_adjtime": 266,
        "lookup_dcookie": 18, "move_pages": 239, "migrate_pages": 238, "mbind": 235, "vhangup": 58,
        "nfsservctl": 42, "fanotify_init": 262,
    },
}  # fmt: skip
"""By machine: the calls that get EPERM (numbers of the kernel's tables, arch/*/entry/syscalls)."""
CLONE3 = 435
"""Its flags lie in memory, where a filter cannot look; programs go back to clone where there is none."""
CLONE = {"x86_64": 56, "aarch64": 220}
NEW_NAMESPACES = 0x7E020000
"""Every CLONE_NEW… of clone(2): namespaces of its own would give it capabilities within them."""
SOCKET = {"x86_64": 41, "aarch64": 198}
SOCKETPAIR = {"x86_64": 53, "aarch64": 199}
IOCTL = {"x86_64": 16, "aarch64": 29}


def program(machine: str | None = None) -> bytes | None:
    """Return the filter for this machine, or nothing where its numbers are not known here."""
    machine = machine or platform.machine()
    if machine not in AUDIT:
        return None
    return b"".join(_program(machine))


def _program(machine: str) -> Iterator[bytes]:
    refused = _ERRNO | errno.EPERM
    yield _load(_ARCHITECTURE)
    # Programs of another architecture (32 bits) would come by other numbers.
    yield from (_jump(_EQUAL, AUDIT[machine], 1, 0), _return(_ERRNO | errno.ENOSYS))
    yield _load(_NUMBER)
    if machine == "x86_64":
        yield from (_jump(_AT_LEAST, X32, 0, 1), _return(_ERRNO | errno.ENOSYS))
    for number in REFUSED[machine].values():
        yield from (_jump(_EQUAL, number, 0, 1), _return(refused))
    for number in (SOCKET[machine], SOCKETPAIR[machine]):
        yield from _block(number, _families())
    yield from (_jump(_EQUAL, CLONE3, 0, 1), _return(_ERRNO | errno.ENOSYS))
    yield from _block(
        CLONE[machine], [_load(_FIRST), _jump(_ANY_BIT, NEW_NAMESPACES, 0, 1), _return(refused), _return(_ALLOW)]
    )
    yield from _block(IOCTL[machine], _terminals(refused))
    yield _return(_ALLOW)


def _block(number: int, inside: list[bytes]) -> Iterator[bytes]:
    """Do these for one call; they end in a return."""
    yield from (_jump(_EQUAL, number, 0, len(inside)), *inside)


def _families() -> list[bytes]:
    lines = [_load(_FIRST)]
    for index, family in enumerate(FAMILIES):
        lines.append(_jump(_EQUAL, family, len(FAMILIES) - index, 0))
    return [*lines, _return(_ERRNO | errno.EAFNOSUPPORT), _return(_ALLOW)]


def _terminals(refused: int) -> list[bytes]:
    return [
        _load(_SECOND),
        _jump(_EQUAL, TIOCSTI, 1, 0),
        _jump(_EQUAL, TIOCLINUX, 0, 1),
        _return(refused),
        _return(_ALLOW),
    ]


def _load(offset: int) -> bytes:
    return struct.pack("<HBBI", _LOAD, 0, 0, offset)


def _jump(code: int, value: int, when: int, otherwise: int) -> bytes:
    return struct.pack("<HBBI", code, when, otherwise, value)


def _return(value: int) -> bytes:
    return struct.pack("<HBBI", _RETURN, 0, 0, value)
