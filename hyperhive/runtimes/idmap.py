"""Mounts directories with other owners than they have on disk, for this process alone, and becomes another program.

Run by path and as root, before `systemd-nspawn`: an agent's files keep the daemon's user on disk, whatever user the
agent is in its machine. Of the standard library alone, importing nothing of hyperhive: it starts with every machine.

    python -I idmap.py SOURCE TARGET USER GROUP SEEN COUNT … -- ARGV …

Each six words mount SOURCE at TARGET, with the users from USER on and the groups from GROUP on seen as those from SEEN
on (COUNT of them); files of all others belong to nobody there, and can be neither made nor written. With --host before
them, six words mount one directory for everybody. See mount_setattr(2).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

# The same on every architecture but alpha: asm-generic/unistd.h.
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_OPEN_TREE_CLONE = 1
_AT_FDCWD, _AT_EMPTY_PATH = -100, 0x1000
_MOVE_MOUNT_F_EMPTY_PATH = 0x4
_MOUNT_ATTR_IDMAP = 0x100000
_CLONE_NEWNS, _CLONE_NEWUSER = 0x20000, 0x10000000
_MS_REC, _MS_SLAVE = 16384, 1 << 19
_WORDS = 6

_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def main(arguments: Sequence[str]) -> None:
    """Mount, and become the program; raises `OSError` with the path where a file system cannot do it."""
    if arguments[0] == "--host":
        # For all to see, where somebody else's program follows and unmounts it.
        _mount(*_asked(arguments[1:]))
        return
    end = arguments.index("--")
    maps = [arguments[at : at + _WORDS] for at in range(0, end, _WORDS)]
    # What is mounted ends with this program, and is seen by nobody else.
    _call("unshare", _libc.unshare(_CLONE_NEWNS))
    _call("mount /", _libc.mount(None, b"/", None, _MS_REC | _MS_SLAVE, None))
    for words in maps:
        _mount(*_asked(words))
    argv = arguments[end + 1 :]
    os.execvp(argv[0], list(argv))  # noqa: S606 - there is no shell by intent


def _asked(words: Sequence[str]) -> tuple[str, str, dict[str, str]]:
    source, target, user, group, seen, count = words
    return source, target, {"uid_map": f"{user} {seen} {count}\n", "gid_map": f"{group} {seen} {count}\n"}


def _mount(source: str, target: str, mapping: dict[str, str]) -> None:
    tree = _call(source, _libc.syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(source), _OPEN_TREE_CLONE))
    users = _user_namespace(mapping)
    attributes = _MountAttr(attr_set=_MOUNT_ATTR_IDMAP, userns_fd=users)
    size = ctypes.sizeof(attributes)
    _call(
        f"{source}: its file system cannot show other owners (mount_setattr)",
        _libc.syscall(_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH, ctypes.byref(attributes), size),
    )
    moved = _libc.syscall(_MOVE_MOUNT, tree, b"", _AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH)
    _call(target, moved)
    os.close(users)
    os.close(tree)


def _user_namespace(mapping: dict[str, str]) -> int:
    """Return a handle of a user namespace that maps so, and in which nothing runs."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        unshared = _libc.unshare(_CLONE_NEWUSER)
        os.write(writing, b"x" if unshared == 0 else b"")
        os.close(writing)
        if unshared == 0:
            signal.pause()
        os._exit(1)
    try:
        os.close(writing)
        if os.read(reading, 1) != b"x":
            raise OSError("no user namespace can be made here (user.max_user_namespaces)")
        for kind, text in mapping.items():
            with open(f"/proc/{child}/{kind}", "w", encoding="ascii") as file:  # noqa: PTH123 - pathlib costs 10 ms
                file.write(text)
        return os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _call(what: str, result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return int(result)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except OSError as error:
        sys.exit(f"idmap: {error}")
