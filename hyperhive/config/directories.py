"""Where everything lies: the data directory, the run directory, and the paths inside them."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import ClassVar

import attrs

from harness.wire import check_name

SOCKET_PATH_BYTES = 107
"""sun_path holds 108 with its closing NUL, unix(7)."""
_LONGEST_NAME = "x" * 60
RUN_PATH_BYTES = SOCKET_PATH_BYTES - len(f"/agents/{_LONGEST_NAME}/agent.sock")


class DirectoryError(Exception):
    """A directory that cannot be used; the text says why and what to do."""

    code: ClassVar[str] = "unavailable"


@attrs.frozen(kw_only=True)
class Directories:
    """The data and the run directory of one hive; every path is made here and nowhere else."""

    data: Path
    run: Path
    data_origin: str = attrs.field(default="given", eq=False)
    run_origin: str = attrs.field(default="given", eq=False)

    @property
    def hive_db(self) -> Path:
        """Log and projections."""
        return self.data / "hive.sqlite"

    @property
    def config_file(self) -> Path:
        """The configuration that is read when no other is named."""
        return self.data / "hyperhive.toml"

    @property
    def lock_file(self) -> Path:
        """Held by the one daemon of this data directory."""
        return self.data / "hive.lock"

    @property
    def token_file(self) -> Path:
        """The dashboard's secret."""
        return self.data / "token"

    @property
    def host_sock(self) -> Path:
        """The operators' and tools' socket."""
        return self.run / "host.sock"

    @property
    def images(self) -> Path:
        """Where tarballs of systems are laid out for machines; made when there is one."""
        return self.data / "images"

    def agent_dir(self, name: str) -> Path:
        """Name all that the host keeps of an agent."""
        return self.data / "agents" / check_name(name)

    def agent_state(self, name: str) -> Path:
        """Name the agent's own directory, mounted at /state."""
        return self.agent_dir(name) / "state"

    def stream_db(self, name: str) -> Path:
        """Name its turn stream, kept by the host."""
        return self.agent_dir(name) / "hyperhive-events.sqlite"

    def port_file(self, name: str) -> Path:
        """Name the file of its web port, once chosen."""
        return self.agent_dir(name) / "port"

    def agent_log(self, name: str) -> Path:
        """Name the file of what its container wrote to stdout and stderr."""
        return self.agent_dir(name) / "harness.log"

    def agent_config(self, name: str) -> Path:
        """Name the directory with the files of its configuration, which its container sees."""
        return self.agent_dir(name) / "config"

    def agent_socket_dir(self, name: str) -> Path:
        """Name the directory that is mounted into its container."""
        return self.run / "agents" / check_name(name)

    def agent_sock(self, name: str) -> Path:
        """Name its socket."""
        return self.agent_socket_dir(name) / "agent.sock"

    def proposed(self, name: str) -> Path:
        """Name its configuration as the manager proposes it (git)."""
        return self.data / "proposed" / check_name(name)

    def applied(self, name: str) -> Path:
        """Name its configuration as the operator approved it (git)."""
        return self.data / "applied" / check_name(name)

    def create(self) -> None:
        """Make what is missing (0700), and refuse what could not work or could be somebody else's.

        Raises `DirectoryError`: a run directory too long for a socket's path, no permission, not a directory, writable
        by everybody, a symlink below the data or run directory or one laid by another user.
        """
        check_run_length(self.run)
        self.create_data()
        _make_root(self.run, "--run-dir")
        make_directory(self.run / "agents")

    def create_data(self) -> None:
        """Make what is missing of the data directory alone, for who needs no socket."""
        _make_root(self.data, "--data-dir")
        for inside in ("agents", "proposed", "applied"):
            make_directory(self.data / inside)

    def create_agent(self, name: str) -> None:
        """Make an agent's directories: kept record, state, socket."""
        for directory in (self.agent_dir(name), self.agent_state(name), self.agent_socket_dir(name)):
            make_directory(directory)


def check_run_length(run: Path) -> None:
    """Refuse a run directory below which the socket of an agent with the longest name would not fit."""
    length = len(os.fsencode(run))
    if length > RUN_PATH_BYTES:
        raise DirectoryError(
            f"the run directory {run} has {length} bytes; at most {RUN_PATH_BYTES} leave room for an agent's socket, "
            f"whose path may have {SOCKET_PATH_BYTES}: give a shorter one, such as --run-dir /tmp/hive"
        )


def make_directory(directory: Path) -> None:
    """Make one directory (0700) whose parent exists; what is there already must be a real directory, not a symlink."""
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise DirectoryError(_no_write(directory.parent, error)) from None
    if not stat.S_ISDIR(directory.lstat().st_mode):
        raise DirectoryError(f"{directory} is not a directory (nor may it be a symlink); move it away")


def _make_root(directory: Path, flag: str) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        pass
    except OSError as error:
        raise DirectoryError(f"{_no_write(_existing(directory), error)}, or give another {flag}") from None
    check_root(directory, flag)


def check_root(directory: Path, flag: str) -> None:
    """Refuse a data or run directory that cannot be used; where it is not there yet, its place."""
    if not os.path.lexists(directory):
        place = _existing(directory)
        if not os.access(place, os.W_OK | os.X_OK):
            raise DirectoryError(f"{_no_write(place, None)}, or give another {flag}")
        return
    link = directory.lstat()
    # A link that another user laid (in /tmp) could lead anywhere; systemd's own links belong to root.
    if stat.S_ISLNK(link.st_mode) and link.st_uid not in {0, os.geteuid()}:
        raise DirectoryError(f"{directory} is a symlink of uid {link.st_uid}; remove it or give another {flag}")
    try:
        status = directory.stat()
    except OSError as error:
        raise DirectoryError(f"{directory}: {error.strerror}; give another {flag}") from None
    if not stat.S_ISDIR(status.st_mode):
        raise DirectoryError(f"{directory} is not a directory; give another {flag}")
    if status.st_mode & stat.S_IWOTH:
        raise DirectoryError(
            f"{directory} is writable by everybody; run: chmod o-w {directory}, or give another {flag}"
        )
    if not os.access(directory, os.W_OK | os.X_OK):
        raise DirectoryError(f"{_no_write(directory, None)}, or give another {flag}")


def _existing(directory: Path) -> Path:
    return next(parent for parent in (directory, *directory.parents) if parent.exists())


def _no_write(directory: Path, error: OSError | None) -> str:
    if error is not None and not isinstance(error, PermissionError):
        return f"nothing can be made in {directory}: {error.strerror}; make room there"
    try:
        status = directory.stat()
        owner = f" (uid {status.st_uid}, mode {stat.S_IMODE(status.st_mode):04o})"
    except OSError:
        owner = ""
    return f"no permission to write in {directory}{owner} as uid {os.geteuid()}; run this as its owner"
