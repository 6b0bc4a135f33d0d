"""Web ports: the hash, the choice, and the story of two agents whose names lead to one port."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from hyperhive.config import Directories, PortsConfig
from hyperhive.homes.ports import Choice, assign, choose, fnv1a_32, hashed, read

PORTS = PortsConfig()
VECTORS = {
    b"": 0x811C9DC5,
    b"a": 0xE40C292C,
    b"b": 0xE70C2DE5,
    b"c": 0xE60C2C52,
    b"d": 0xE10C2473,
    b"e": 0xE00C22E0,
    b"f": 0xE30C2799,
    b"fo": 0x6222E842,
    b"foo": 0xA9F37ED7,
    b"foob": 0x3F5076EF,
    b"fooba": 0x39AAA18A,
    b"foobar": 0xBF9CF968,
    b"\0": 0x050C5D1F,
    b"a\0": 0x2B24D044,
    b"foobar\0": 0x0C1C9EB8,
}
"""Published with the algorithm (draft-eastlake-fnv, and the authors' test suite)."""
ANALYST, AUDITOR = "analyst", "auditor"
"""Two names that a hive may well have, and that lead to one port."""
BOTH = 8689


@pytest.fixture
def directories(tmp_path: Path) -> Directories:
    """A hive's directories."""
    # Not create(): pytest's directories are too long for the path of a socket, which nobody needs here.
    for inside in ("data/agents", "data/applied", "run/agents"):
        (tmp_path / inside).mkdir(parents=True)
    return Directories(data=tmp_path / "data", run=tmp_path / "run")


def prepared(directories: Directories, name: str, ports: PortsConfig = PORTS) -> int:
    """Prepare an agent's home as a start does, and return its port."""
    directories.create_agent(name)
    return assign(name, ports, directories)


def fresh(name: str, ports: PortsConfig = PORTS, **others: int | None) -> Choice:
    """Choose for an agent that is new."""
    return choose(name, ports, kept=None, applied=False, others=others)


class TestHash:
    """FNV-1a, 32 bit."""

    @pytest.mark.parametrize("text", VECTORS)
    def test_published_vectors(self, text: bytes) -> None:
        """It gives what its authors say that it gives."""
        assert fnv1a_32(text) == VECTORS[text]

    def test_names(self) -> None:
        """A name leads to one port for ever: these are pinned."""
        found = {name: hashed(name, PORTS) for name in ("coder", "reviewer", ANALYST, AUDITOR, "writer", "site", "qa")}
        assert found == {
            "coder": 8202,
            "reviewer": 8842,
            ANALYST: BOTH,
            AUDITOR: BOTH,
            "writer": 8706,
            "site": 8706,
            "qa": 8991,
        }


class TestChoice:
    """The three cases, the manager, and the ends of the range."""

    def test_manager(self) -> None:
        """The manager's is 8000, whatever the range and whatever a file says."""
        assert choose("manager", PORTS, kept=8100, applied=True, others={}) == Choice(port=8000, keep=False)

    def test_kept(self) -> None:
        """What was chosen once stays, also where another agent has the same, or the range is another now."""
        assert choose(ANALYST, PORTS, kept=8123, applied=False, others={AUDITOR: 8123}).port == 8123
        assert choose(ANALYST, PortsConfig(base=20_000), kept=8123, applied=True, others={}).port == 8123

    def test_older_agent(self) -> None:
        """One whose configuration was applied before there were files keeps its hashed port without probing."""
        found = choose(ANALYST, PORTS, kept=None, applied=True, others={AUDITOR: BOTH})
        assert found == Choice(port=BOTH, keep=True)

    def test_fresh(self) -> None:
        """A new agent takes its hashed port where that is free."""
        assert fresh(ANALYST, coder=8202) == Choice(port=BOTH, keep=True)

    def test_fresh_probes(self) -> None:
        """It goes past every port that another holds: by its file, or else by its name."""
        assert fresh(ANALYST, auditor=BOTH).port == BOTH + 1
        assert fresh(ANALYST, auditor=None).port == BOTH + 1
        assert fresh(ANALYST, auditor=None, coder=BOTH + 1).port == BOTH + 2
        assert fresh(ANALYST, auditor=9000).port == BOTH, "the other has moved away"

    def test_wraps(self) -> None:
        """Past the end of the range it goes on at its beginning."""
        ports = PortsConfig(base=8100, count=3)
        first = hashed("coder", ports)
        taken = {"a": first, "b": 8100 + (first - 8100 + 1) % 3}
        assert fresh("coder", ports, **taken).port == 8100 + (first - 8100 + 2) % 3
        whole = PortsConfig(base=8100, count=900)
        name = next(name for number in range(100_000) if hashed(name := f"agent-{number}", whole) == 8999)
        assert fresh(name, whole, other=8999).port == 8100
        assert fresh(name, whole, other=8999, another=8100).port == 8101

    def test_goes_past_the_managers(self) -> None:
        """A range that has 8000 in it leaves it to the manager."""
        ports = PortsConfig(base=8000, count=1)
        assert fresh("coder", ports) == Choice(port=8000, keep=False, shared=True)
        assert fresh("coder", PortsConfig(base=8000, count=2)).port == 8001

    def test_full(self) -> None:
        """Where every port is taken it is the hashed one, which is not kept: another may come free."""
        others: dict[str, int | None] = {f"agent-{number}": 8100 + number for number in range(900)}
        assert choose(ANALYST, PORTS, kept=None, applied=False, others=others) == Choice(
            port=BOTH, keep=False, shared=True
        )
        del others["agent-17"]
        assert choose(ANALYST, PORTS, kept=None, applied=False, others=others) == Choice(port=8117, keep=True)

    @given(
        name=st.from_regex(r"[a-z0-9][a-z0-9-]{0,59}", fullmatch=True),
        others=st.dictionaries(st.text("abc", min_size=1), st.none() | st.integers(1, 65_535), max_size=30),
        base=st.integers(1024, 60_000),
        count=st.integers(1, 40),
    )
    def test_is_free(self, name: str, others: dict[str, int | None], base: int, count: int) -> None:
        """Whatever others hold: a kept choice is in the range and nobody's; a shared one means that none was free."""
        ports = PortsConfig(base=base, count=count)
        others.pop(name, None)
        found = choose(name, ports, kept=None, applied=False, others=others)
        held = {8000} | {hashed(other, ports) if port is None else port for other, port in others.items()}
        if name != "manager":
            assert base <= found.port < base + count
            assert found.keep == (found.port not in held)
            assert found.shared == (set(range(base, base + count)) <= held)


class TestStory:
    """Two agents whose names lead to one port, from the first spawn on."""

    def test_two_agents(self, directories: Directories) -> None:
        """The second goes on to the next port, and both keep theirs, whichever starts first, whoever is destroyed."""
        assert prepared(directories, ANALYST) == BOTH
        assert prepared(directories, AUDITOR) == BOTH + 1
        assert directories.port_file(AUDITOR).read_text() == f"{BOTH + 1}\n"
        assert directories.port_file(AUDITOR).stat().st_mode & 0o777 == 0o600
        # Started again, in the other order.
        assert [prepared(directories, name) for name in (AUDITOR, ANALYST)] == [BOTH + 1, BOTH]
        # A tombstone keeps its port; what was purged does not.
        assert prepared(directories, "manager") == 8000
        for kept in directories.agent_dir(ANALYST).iterdir():
            if kept.is_file():
                kept.unlink()
        directories.agent_state(ANALYST).rmdir()
        directories.agent_dir(ANALYST).rmdir()
        assert prepared(directories, AUDITOR) == BOTH + 1

    def test_older_agents(self, directories: Directories) -> None:
        """Next to an older agent without a file, which has its hashed port, a new one goes on to the next."""
        directories.create_agent(ANALYST)
        directories.applied(ANALYST).mkdir()
        assert prepared(directories, AUDITOR) == BOTH + 1
        assert prepared(directories, ANALYST) == BOTH
        assert directories.port_file(ANALYST).read_text() == f"{BOTH}\n"

    def test_two_older_agents(self, directories: Directories) -> None:
        """Two older ones stay where people reach them, on one port: only a new file can part them."""
        for name in (ANALYST, AUDITOR):
            directories.create_agent(name)
            directories.applied(name).mkdir()
        assert [prepared(directories, name) for name in (ANALYST, AUDITOR)] == [BOTH, BOTH]
        directories.port_file(AUDITOR).write_text("8700\n")
        assert prepared(directories, AUDITOR) == 8700

    def test_no_room(self, directories: Directories) -> None:
        """Where the range is too small the last one shares, which is said; in a larger one it gets its own."""
        narrow = PortsConfig(base=8100, count=2)
        ports = [prepared(directories, name, narrow) for name in ("a", "b")]
        assert sorted(ports) == [8100, 8101]
        with capture_logs() as lines:
            shared = prepared(directories, "c", narrow)
        assert shared == hashed("c", narrow)
        assert [(line["event"], line["log_level"], line["port"]) for line in lines] == [
            ("no_port_free", "warning", shared)
        ]
        assert prepared(directories, "c", PortsConfig(base=8100, count=40)) not in ports


class TestFile:
    """The kept file, which may be damaged."""

    @pytest.mark.parametrize("content", ["", "port", "0", "65536", "-1", "8100.5", "8100 8101", "99999999", "\u0663"])
    def test_no_port_in_it(self, directories: Directories, content: str) -> None:
        """What holds no port is said, and written anew."""
        directories.create_agent("coder")
        directories.port_file("coder").write_text(content)
        with capture_logs() as lines:
            assert assign("coder", PORTS, directories) == 8202
        assert [line["event"] for line in lines] == ["port_unread"]
        assert read(directories.port_file("coder")) == 8202

    @pytest.mark.parametrize("content", ["8500", "8500\n", " 8500 \n"])
    def test_written_by_hand(self, directories: Directories, content: str) -> None:
        """Space around it does no harm."""
        directories.create_agent("coder")
        directories.port_file("coder").write_text(content)
        assert assign("coder", PORTS, directories) == 8500

    def test_link(self, directories: Directories, tmp_path: Path) -> None:
        """A symlink is neither read nor written through."""
        elsewhere = tmp_path / "elsewhere"
        elsewhere.write_text("8500\n")
        directories.create_agent("coder")
        directories.port_file("coder").symlink_to(elsewhere)
        assert assign("coder", PORTS, directories) == 8202
        assert (elsewhere.read_text(), directories.port_file("coder").is_symlink()) == ("8500\n", False)

    def test_left_in_the_middle(self, directories: Directories) -> None:
        """What a daemon that died while it wrote has left is in nobody's way."""
        directories.create_agent("coder")
        directories.port_file("coder").with_suffix(".new").write_text("8")
        assert assign("coder", PORTS, directories) == 8202
        assert sorted(path.name for path in directories.agent_dir("coder").iterdir()) == ["port", "state"]

    def test_what_is_no_agent(self, directories: Directories) -> None:
        """A directory that is no agent's holds no port."""
        (directories.data / "agents" / "lost+found").mkdir()
        (directories.data / "agents" / "coder-file").touch()
        assert prepared(directories, "coder") == 8202
