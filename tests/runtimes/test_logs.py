"""The end of a log is had, whatever its size."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive.runtimes import logs


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return the path of a log that is not there yet."""
    return tmp_path / "coder.log"


class TestTail:
    """The last lines."""

    def test_nothing_there(self, log: Path) -> None:
        """A log that does not exist, or is empty, has no lines."""
        assert logs.tail(log, 10) == ()
        log.touch()
        assert logs.tail(log, 10) == ()

    @pytest.mark.parametrize(
        ("text", "lines", "expected"),
        [
            ("a\nb\nc\n", 2, ("b", "c")),
            ("a\nb\nc", 2, ("b", "c")),
            ("a\n\n\n", 2, ("", "")),
            ("\n", 5, ("",)),
            ("a\nb\n", 0, ()),
            ("a\nb\n", -1, ()),
        ],
    )
    def test_lines(self, log: Path, text: str, lines: int, expected: tuple[str, ...]) -> None:
        """An unfinished last line counts, empty ones too, and none are none."""
        log.write_text(text)
        assert logs.tail(log, lines) == expected

    def test_at_most(self, log: Path) -> None:
        """No more lines than the cap, whoever asks."""
        log.write_text("x\n" * (logs.MAX_LINES + 10))
        assert len(logs.tail(log, 10**9)) == logs.MAX_LINES

    def test_one_endless_line(self, log: Path) -> None:
        """A line without end costs bounded memory: its end is had."""
        with log.open("wb") as file:
            file.truncate(64 * 1024 * 1024)
            file.seek(0, 2)
            file.write(b"the end\n")
        (line,) = logs.tail(log, 3)
        assert line.endswith("the end")
        assert len(line) <= 5 * 1024 * 1024

    def test_rubbish(self, log: Path) -> None:
        """Bytes that are not UTF-8 show as such."""
        log.write_bytes(b"\xff\xfe\n")
        assert logs.tail(log, 1) == ("��",)

    @given(st.lists(st.text(st.characters(exclude_characters="\n", codec="utf-8")), min_size=1), st.integers(1, 50))
    def test_as_splitting(self, tmp_path_factory: pytest.TempPathFactory, written: list[str], lines: int) -> None:
        """The last lines are those that were written last."""
        log = tmp_path_factory.mktemp("log") / "log"
        log.write_bytes("".join(f"{line}\n" for line in written).encode())
        assert logs.tail(log, lines) == tuple(written[-lines:])

    def test_reaches_back(self, log: Path) -> None:
        """Where a new log has too few lines, the earlier one gives the rest."""
        logs.earlier(log).write_text("a\nb\nc\n")
        log.write_text("d\n")
        assert logs.tail(log, 3) == ("b", "c", "d")
        log.unlink()
        assert logs.tail(log, 3) == ("a", "b", "c")


class TestPrepare:
    """The file."""

    def test_for_its_owner(self, log: Path) -> None:
        """A log is made for its owner alone, and what it holds stays."""
        logs.prepare(log)
        assert log.stat().st_mode & 0o777 == 0o600
        log.write_text("kept")
        logs.prepare(log)
        assert log.read_text() == "kept"

    def test_a_link_is_not_followed(self, log: Path, tmp_path: Path) -> None:
        """A log that somebody replaced by a link is refused, and what it leads to is left alone."""
        log.symlink_to(tmp_path / "target")
        with pytest.raises(OSError, match="symbolic links"):
            logs.prepare(log)
        assert not (tmp_path / "target").exists()


class TestSince:
    """What a start that failed has printed."""

    def test_from_there(self, log: Path) -> None:
        """What came after an offset, and no more than the end of it; nothing where there is nothing."""
        assert logs.since(log, 0) == ""
        log.write_text("before after")
        assert logs.since(log, 7) == "after"
        assert logs.since(log, 7, max_bytes=3) == "ter"
        assert logs.since(log, 100) == ""
