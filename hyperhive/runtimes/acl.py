"""Lets one more user into the directory of an agent's sockets, by POSIX ACL (acl(5)), also for sockets made later."""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path

_ACCESS, _DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
_VERSION = 2
_USER_OBJ, _USER, _GROUP_OBJ, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
_NOBODY = 0xFFFFFFFF
"""ACL_UNDEFINED_ID, for entries that name nobody (linux/posix_acl_xattr.h)."""


def admit(directory: Path, uid: int) -> None:
    """Let this user, and no other beside the owner, enter the directory and connect to every socket in it.

    A socket that is made there later admits them too, as long as its mode leaves the group's bits set, which are then
    the mask of the list (0660, say). Raises `OSError` where the file system keeps no such lists.
    """
    os.setxattr(directory, _ACCESS, packed(uid, owner=7, user=5))
    os.setxattr(directory, _DEFAULT, packed(uid, owner=7, user=7))
    for entry in os.scandir(directory):
        if stat.S_ISSOCK(entry.stat(follow_symlinks=False).st_mode):
            # Not followed: on Linux no symbolic link has an ACL.
            os.setxattr(entry.path, _ACCESS, packed(uid, owner=6, user=6), follow_symlinks=False)


def packed(uid: int, *, owner: int, user: int) -> bytes:
    """Return a list with the owner's rights and one user's, as the kernel takes it."""
    entries = (
        (_USER_OBJ, owner, _NOBODY),
        (_USER, user, uid),
        (_GROUP_OBJ, 0, _NOBODY),
        (_MASK, user, _NOBODY),
        (_OTHER, 0, _NOBODY),
    )
    return struct.pack("<I", _VERSION) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
