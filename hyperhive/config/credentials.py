"""Read the hive's credentials from the one file that holds them, without ever showing them."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import ClassVar

API_KEY = "ANTHROPIC_API_KEY"
OAUTH_TOKEN = "CLAUDE_CODE_OAUTH_TOKEN"  # noqa: S105 - the name of a variable
_OAUTH_PREFIX = "sk-ant-oat"
_MAX_FILE_BYTES = 16_384
_VALUE = re.compile(r"[!-~]+")
_RIGHT = f"a line is an API key (sk-ant-…) alone, or {API_KEY}=… or {OAUTH_TOKEN}=…"


class BadCredentials(Exception):  # noqa: N818 - the house names errors for their cause
    """A credentials file that cannot be used; the text says what would be right and never shows the content."""

    code: ClassVar[str] = "invalid"


def load_credentials(path: Path) -> dict[str, str]:
    """Read an API key or a long-lived token, as the environment variable that `claude` reads it from.

    Lines are ``sk-ant-…`` alone (``sk-ant-oat…`` is a token of `claude setup-token`) or ``NAME=value``; blank ones and
    those that begin with # are skipped. A symlink is followed, because secret stores hand files out as links.

    Raises `BadCredentials`: absent, not a regular file, of another owner, readable by others, not as above.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(_read(path).splitlines(), start=1):
        bare = line.strip().removeprefix("export ").strip()
        if not bare or bare.startswith("#"):
            continue
        name, value = _pair(bare, f"{path}: line {number}")
        if name in found:
            raise BadCredentials(f"{path}: line {number} gives {name} a second time; keep one")
        found[name] = value
    if len(found) > 1:
        raise BadCredentials(f"{path}: holds both {API_KEY} and {OAUTH_TOKEN}; claude uses one: remove the other")
    if not found:
        raise BadCredentials(f"{path}: holds no credentials; {_RIGHT}")
    return found


def _read(path: Path) -> str:
    try:
        # Without O_NONBLOCK a fifo would hold the daemon's start for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise BadCredentials(f"{path}: cannot be read: {error.strerror}; it is a file of mode 0600") from None
    try:
        _check(path, os.fstat(descriptor))
        content = os.read(descriptor, _MAX_FILE_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(content) > _MAX_FILE_BYTES:
        raise BadCredentials(f"{path}: larger than {_MAX_FILE_BYTES} bytes; {_RIGHT}")
    try:
        return content.decode("ascii")
    except UnicodeDecodeError as error:
        raise BadCredentials(f"{path}: byte {error.start} is not ASCII; {_RIGHT}") from None


def _check(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise BadCredentials(f"{path}: is not a regular file; credentials stand in one of mode 0600")
    if status.st_uid != os.geteuid():
        raise BadCredentials(
            f"{path}: belongs to uid {status.st_uid}; it must belong to uid {os.geteuid()}, who runs this"
        )
    mode = stat.S_IMODE(status.st_mode)
    if mode & ~0o600:
        raise BadCredentials(f"{path}: has mode {mode:04o}, so that others may use it; run: chmod 600 {path}")


def _pair(line: str, where: str) -> tuple[str, str]:
    name, equals, value = line.partition("=")
    if not equals and line.startswith("sk-ant-"):
        name, value = (OAUTH_TOKEN if line.startswith(_OAUTH_PREFIX) else API_KEY), line
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1]
    if name.strip() not in {API_KEY, OAUTH_TOKEN} or not _VALUE.fullmatch(value):
        raise BadCredentials(f"{where} is something else; {_RIGHT}")
    if (name.strip() == API_KEY) == value.startswith(_OAUTH_PREFIX) and value.startswith("sk-ant-"):
        other = OAUTH_TOKEN if name.strip() == API_KEY else API_KEY
        raise BadCredentials(f"{where} names {name.strip()}, but its value is one for {other}; rename it")
    return name.strip(), value
