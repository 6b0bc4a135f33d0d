"""Where things lie, and which directories are refused."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.wire import WireError
from hyperhive.config import Directories, DirectoryError, locate

NOBODY = 65_534
LONGEST = "x" * 60


@pytest.fixture
def place() -> Iterator[Path]:
    """Give a directory that is short enough for sockets, and that others may enter."""
    with tempfile.TemporaryDirectory(prefix="hh-", dir="/tmp") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture
def directories(place: Path) -> Directories:
    """Give directories that are not made yet."""
    return Directories(data=place / "d", run=place / "r")


def mode(path: Path) -> int:
    """Return a file's permissions."""
    return stat.S_IMODE(path.stat().st_mode)


def as_nobody(act: Callable[[], object]) -> str:
    """Do something in a child process without rights, and return what was raised."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        said = ""
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            act()
        except BaseException as error:  # noqa: BLE001 - the child's end is told to the parent
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        said = told.read()
    os.waitpid(child, 0)
    return said


class TestPaths:
    """Every path by name."""

    def test_are_the_contracts(self) -> None:
        """Names and places are what other programs rely on."""
        found = Directories(data=Path("/d"), run=Path("/r"))
        assert [
            *("/d/hive.sqlite", "/r/host.sock", "/r/agents/coder/agent.sock", "/d/agents/coder/state"),
            *(
                "/d/agents/coder/hyperhive-events.sqlite",
                "/d/agents/coder/port",
                "/d/proposed/coder",
                "/d/applied/coder",
            ),
            *("/d/agents/coder/harness.log", "/d/hyperhive.toml"),
        ] == [
            str(path)
            for path in (
                *(found.hive_db, found.host_sock, found.agent_sock("coder"), found.agent_state("coder")),
                *(found.stream_db("coder"), found.port_file("coder"), found.proposed("coder"), found.applied("coder")),
                *(found.agent_log("coder"), found.config_file),
            )
        ]

    @pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "A", "a\n", "-a", "a" * 61])
    def test_are_made_of_names_alone(self, name: str, directories: Directories) -> None:
        """No path is made from what is no name."""
        for path in (
            *(directories.agent_dir, directories.agent_sock, directories.agent_socket_dir, directories.agent_state),
            *(directories.stream_db, directories.port_file, directories.proposed, directories.applied),
            *(directories.agent_log, directories.create_agent),
        ):
            with pytest.raises(WireError, match="is not an agent's name"):
                path(name)


class TestLocate:
    """Where they are when nobody says."""

    def test_root(self) -> None:
        """Root keeps to the system's directories, whatever XDG says."""
        found = locate(None, None, {"XDG_STATE_HOME": "/x", "XDG_RUNTIME_DIR": "/y"}, uid=0)
        assert Directories(data=Path("/var/lib/hyperhive"), run=Path("/run/hyperhive")) == found

    def test_others_follow_xdg(self) -> None:
        """Others follow the XDG variables, and the value remembers that."""
        found = locate(None, None, {"XDG_STATE_HOME": "/x", "XDG_RUNTIME_DIR": "/y"}, uid=1000)
        assert Directories(data=Path("/x/hyperhive"), run=Path("/y/hyperhive")) == found
        assert (found.data_origin, found.run_origin) == ("environment XDG_STATE_HOME", "environment XDG_RUNTIME_DIR")

    def test_others_without_xdg(self) -> None:
        """Without them (a relative one counts as none): the home directory, and a directory for this user alone."""
        found = locate(None, None, {"HOME": "/home/u", "XDG_STATE_HOME": "relative"}, uid=99_999)
        assert Directories(data=Path("/home/u/.local/state/hyperhive"), run=Path("/tmp/hyperhive-99999")) == found

    def test_flag_wins_over_environment(self) -> None:
        """A flag wins over the environment, which wins over the usual place."""
        environment = {"HYPERHIVE_DATA_DIR": "/e", "HYPERHIVE_RUN_DIR": "/f"}
        found = locate("/a", None, environment, uid=0)
        assert (Path("/a"), "--data-dir", Path("/f"), "environment HYPERHIVE_RUN_DIR") == (
            *(found.data, found.data_origin),
            *(found.run, found.run_origin),
        )

    def test_relative_ones_become_absolute(self) -> None:
        """A relative directory is meant from here, also after the daemon went elsewhere."""
        assert locate("x", "~root/y", {}, uid=0).data == Path.cwd() / "x"
        assert locate("x", "~root/y", {}, uid=0).run.is_absolute()

    @pytest.mark.parametrize("bad", ["", " ", "a\0b", "~no-such-user/x"])
    def test_what_is_no_directory(self, bad: str) -> None:
        """What cannot be a directory is refused by the name of the flag."""
        with pytest.raises(DirectoryError, match="--data-dir is"):
            locate(bad, None, {})


class TestCreate:
    """Making them, and refusing to."""

    def test_makes_them_for_the_owner_alone(self, directories: Directories) -> None:
        """Everything is made with 0700, whatever the umask."""
        before = os.umask(0)
        try:
            directories.create()
            directories.create_agent("coder")
        finally:
            os.umask(before)
        made = [
            directories.data,
            directories.run,
            directories.agent_state("coder"),
            directories.agent_socket_dir("coder"),
        ]
        assert {0o700} == {mode(path) for path in (*made, *directories.data.iterdir(), directories.run / "agents")}

    def test_again_changes_nothing(self, directories: Directories) -> None:
        """Creating what is there keeps it, with the mode that an operator gave it."""
        directories.create()
        directories.create_agent("coder")
        directories.run.chmod(0o750)
        (directories.agent_state("coder") / "notes").write_text("kept")
        directories.create()
        directories.create_agent("coder")
        assert (mode(directories.run), (directories.agent_state("coder") / "notes").read_text()) == (0o750, "kept")

    def test_run_directory_may_be_as_long_as_the_socket_path_allows(self, place: Path) -> None:
        """28 bytes leave room for the longest name, 29 do not; the message has both numbers and a remedy."""
        fits = place / ("x" * (27 - len(str(place))))
        good = Directories(data=place / "d", run=fits)
        good.create()
        assert (len(str(fits)), len(str(good.agent_sock(LONGEST)))) == (28, 107)
        with pytest.raises(DirectoryError, match=r"has 29 bytes; at most 28 leave room .* --run-dir /tmp/hive"):
            Directories(data=place / "e", run=Path(f"{fits}x")).create()
        assert not (place / "e").exists()

    def test_length_counts_bytes(self, place: Path) -> None:
        """A letter outside ASCII counts as the bytes that the socket's path has."""
        with pytest.raises(DirectoryError, match="has 30 bytes"):
            Directories(data=place / "d", run=Path("/" + "ä" * 14 + "x")).create()

    def test_no_permission(self, directories: Directories, place: Path) -> None:
        """Where one may not write, the message says where, whose it is and who one is."""
        place.chmod(0o555)
        said = as_nobody(directories.create)
        assert said.startswith(
            f"DirectoryError: no permission to write in {place} (uid {os.geteuid()}, mode 0555) as uid"
        )
        assert "--data-dir" in said

    def test_existing_one_without_permission(self, directories: Directories) -> None:
        """So for a directory that is there already."""
        directories.data.mkdir()
        directories.data.chmod(0o555)
        assert f"no permission to write in {directories.data}" in as_nobody(directories.create)

    def test_a_file_in_the_way(self, directories: Directories) -> None:
        """A file where a directory should be is named."""
        directories.data.write_text("")
        with pytest.raises(DirectoryError, match="is not a directory; give another --data-dir"):
            directories.create()

    def test_writable_by_everybody(self, directories: Directories) -> None:
        """A directory in which everybody may lay things is refused with the command that mends it."""
        directories.data.mkdir()
        directories.data.chmod(0o777)
        with pytest.raises(DirectoryError, match="run: chmod o-w"):
            directories.create()


class TestSymlinks:
    """Links that could lead out."""

    @pytest.mark.parametrize("which", ["agents", "proposed", "applied"])
    def test_inside_are_refused(self, directories: Directories, place: Path, which: str) -> None:
        """What hyperhive made it made as a directory; a link in its place could lead out."""
        (place / "elsewhere").mkdir()
        directories.data.mkdir()
        (directories.data / which).symlink_to(place / "elsewhere")
        with pytest.raises(DirectoryError, match="nor may it be a symlink"):
            directories.create()

    @pytest.mark.parametrize("which", ["", "state"])
    def test_of_an_agent_are_refused(self, directories: Directories, place: Path, which: str) -> None:
        """So with an agent's directories, dangling or not."""
        directories.create()
        link = directories.agent_dir("coder") / which
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(place / "nowhere")
        with pytest.raises(DirectoryError, match="nor may it be a symlink"):
            directories.create_agent("coder")
        assert not (place / "nowhere").exists()

    def test_own_link_to_another_disk_is_fine(self, place: Path) -> None:
        """The data directory itself may be the operator's link to a larger disk."""
        (place / "disk").mkdir()
        (place / "d").symlink_to(place / "disk")
        Directories(data=place / "d", run=place / "r").create()
        assert (place / "disk" / "agents").is_dir()

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs a link that belongs to somebody else")
    def test_link_of_another_user_is_refused(self, place: Path) -> None:
        """A link that another user laid where our run directory should be (in /tmp) is not followed."""
        (place / "target").mkdir()
        (place / "r").symlink_to(place / "target")
        os.chown(place / "r", NOBODY, NOBODY, follow_symlinks=False)
        with pytest.raises(DirectoryError, match=f"is a symlink of uid {NOBODY}"):
            Directories(data=place / "d", run=place / "r").create()
        assert list((place / "target").iterdir()) == []
