"""The filter of system calls: loaded into a real process, and followed by hand for machines that are not this one."""

from __future__ import annotations

import errno
import json
import platform
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hyperhive.runtimes import seccomp

MACHINE = platform.machine()
MACHINES = ("x86_64", "aarch64")
FILTERED = Path(__file__).with_name("filtered.py")
NAMESPACES = {
    "CLONE_NEWTIME": 0x80,
    "CLONE_NEWNS": 0x20000,
    "CLONE_NEWCGROUP": 0x2000000,
    "CLONE_NEWUTS": 0x4000000,
    "CLONE_NEWIPC": 0x8000000,
    "CLONE_NEWUSER": 0x10000000,
    "CLONE_NEWPID": 0x20000000,
    "CLONE_NEWNET": 0x40000000,
}
CLONE_NEWTIME = "CLONE_NEWTIME"
"""Of clone itself these bits are the signal at the child's end: only unshare and clone3 can make that namespace."""
ALLOWED = 0x7FFF0000
REFUSED = 0x00050000
I386 = 0x40000003


def verdict(program: bytes, number: int, *arguments: int, architecture: int) -> int:
    """Follow a program of classic BPF, as seccomp(2) runs it, to its return."""
    words = [argument & (1 << 64) - 1 for argument in (*arguments, *[0] * 6)][:6]
    data = struct.pack("<IIQ6Q", number, architecture, 0, *words)
    lines = [struct.unpack_from("<HBBI", program, at) for at in range(0, len(program), 8)]
    at, value = 0, 0
    while True:
        code, when, otherwise, operand = lines[at]
        at += 1
        match code:
            case 0x20:
                (value,) = struct.unpack_from("<I", data, operand)
            case 0x15:
                at += when if value == operand else otherwise
            case 0x35:
                at += when if value >= operand else otherwise
            case 0x45:
                at += when if value & operand else otherwise
            case 0x06:
                return int(operand)
            case _:
                raise AssertionError(f"instruction {code:#x}")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Let one process try everything, before it loads the filter and after."""
    program = seccomp.program()
    if program is None:
        pytest.skip(f"there is no filter for {MACHINE}")
    told = tmp_path_factory.mktemp("filter") / "told.json"
    numbers = {
        "clone": seccomp.CLONE,
        "socket": seccomp.SOCKET,
        "socketpair": seccomp.SOCKETPAIR,
        "ioctl": seccomp.IOCTL,
    }
    told.write_text(
        json.dumps(
            {
                "program": program.hex(),
                "refused": seccomp.REFUSED[MACHINE],
                "numbers": {"clone3": seccomp.CLONE3, **{name: of[MACHINE] for name, of in numbers.items()}},
                "namespaces": {name: flag for name, flag in NAMESPACES.items() if name != CLONE_NEWTIME},
                "ioctls": {"TIOCSTI": seccomp.TIOCSTI, "TIOCLINUX": seccomp.TIOCLINUX},
            }
        )
    )
    ended = subprocess.run((sys.executable, str(FILTERED), str(told)), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


class TestInTheKernel:
    """What the kernel does with it."""

    def test_refused_calls(self, report: dict[str, Any]) -> None:
        """Every call of the list gets EPERM, and it is the filter that says so."""
        assert report["after"]["refused"] == dict.fromkeys(seccomp.REFUSED[MACHINE], "EPERM")
        for name in ("add_key", "keyctl", "mount_setattr", "unshare"):
            assert report["before"]["refused"][name] != "EPERM", name

    def test_namespaces(self, report: dict[str, Any]) -> None:
        """No process is made with a namespace of its own; the newer call, whose flags cannot be seen, is unknown."""
        assert set(report["after"]["namespaces"].values()) == {"EPERM"}
        assert report["after"]["clone3"] == "ENOSYS"

    def test_families(self, report: dict[str, Any]) -> None:
        """Sockets are of unix, IP and netlink, of nothing else, whatever stands in bits that the kernel ignores."""
        said = report["after"]["families"]
        assert {family for family, word in enumerate(said) if word != "EAFNOSUPPORT"} <= set(seccomp.FAMILIES)
        assert [said[family] for family in (1, 2, 16)] == ["did"] * 3
        assert report["after"]["families_above"] == ["EAFNOSUPPORT"] * 2
        # The first has no place to write its two descriptors to.
        assert report["after"]["pairs"] == ["EFAULT", "EAFNOSUPPORT"]

    def test_typing(self, report: dict[str, Any]) -> None:
        """Nothing is typed into a terminal."""
        for way in ("typing", "typing_above"):
            assert report["after"][way] == {"TIOCSTI": "EPERM", "TIOCLINUX": "EPERM"}

    def test_daily_work(self, report: dict[str, Any]) -> None:
        """Threads, children, pipes, connections and terminals work as before."""
        assert report["after"]["daily"] == report["before"]["daily"]
        assert "child 3" in report["after"]["daily"]


@pytest.mark.parametrize("machine", MACHINES)
class TestEachMachine:
    """What the program says, followed by hand."""

    def test_calls(self, machine: str) -> None:
        """The calls of the list are refused, and those that every program makes are not."""
        program = seccomp.program(machine)
        assert program is not None
        architecture = seccomp.AUDIT[machine]
        said = {
            name: verdict(program, number, architecture=architecture)
            for name, number in seccomp.REFUSED[machine].items()
        }
        assert said == dict.fromkeys(said, REFUSED | errno.EPERM)
        refused = {
            *seccomp.REFUSED[machine].values(),
            seccomp.CLONE3,
            seccomp.SOCKET[machine],
            seccomp.SOCKETPAIR[machine],
        }
        others = set(range(460)) - refused
        assert {verdict(program, number, architecture=architecture) for number in others} == {ALLOWED}

    def test_arguments(self, machine: str) -> None:
        """Of some calls the arguments decide, each bit of them that the kernel looks at and none that it does not."""
        program = seccomp.program(machine)
        assert program is not None

        def said(number: dict[str, int], *arguments: int) -> int:
            return verdict(program, number[machine], *arguments, architecture=seccomp.AUDIT[machine])

        for name, flag in NAMESPACES.items():
            assert (said(seccomp.CLONE, flag | 0x11) == REFUSED | errno.EPERM) is (name != CLONE_NEWTIME), name
        assert said(seccomp.CLONE, 0x3D0F00) == ALLOWED  # a thread of glibc's
        for family in range(64):
            for above in (0, 1 << 32):
                expected = ALLOWED if family in seccomp.FAMILIES else REFUSED | errno.EAFNOSUPPORT
                assert said(seccomp.SOCKET, family + above) == said(seccomp.SOCKETPAIR, family + above) == expected
        for request in (seccomp.TIOCSTI, seccomp.TIOCLINUX):
            assert said(seccomp.IOCTL, 0, request + (1 << 32)) == REFUSED | errno.EPERM
        assert said(seccomp.IOCTL, seccomp.TIOCSTI, 0x5413) == ALLOWED

    def test_other_numbers(self, machine: str) -> None:
        """A program of another architecture, or of a second ABI, has no calls at all."""
        program = seccomp.program(machine)
        assert program is not None
        others = {I386, *seccomp.AUDIT.values()} - {seccomp.AUDIT[machine]}
        for number in (0, 1, 60, 435):
            for architecture in others:
                assert verdict(program, number, architecture=architecture) == REFUSED | errno.ENOSYS
        if machine == "x86_64":
            for number in (0, 59, 321):
                said = verdict(program, number | seccomp.X32, architecture=seccomp.AUDIT[machine])
                assert said == REFUSED | errno.ENOSYS


def test_an_unknown_machine() -> None:
    """Where the numbers are not known there is no filter, rather than a wrong one."""
    assert seccomp.program("riscv64") is None
