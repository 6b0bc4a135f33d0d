"""`hyperhive log anchor|export|import`, `backup`, `restore`, `replay verify`: the record as people handle it."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from pathlib import Path

import pytest

from hyperhive.daemon.alone import alone
from hyperhive.events.envelope import rfc3339
from tests.cli.program import Program
from tests.events import tampering
from tests.replay.test_verify import lived


@pytest.fixture
def hive(hyperhive: Program, migrated: Path) -> Program:
    """Give the program on a hive that has lived; no daemon runs."""
    hyperhive.data.mkdir(mode=0o700)
    shutil.copy(migrated, hyperhive.data / "hive.sqlite")
    lived(hyperhive.data / "hive.sqlite").log.close()
    return hyperhive


def tamper(hive: Program, position: int) -> None:
    """Change a fact by hand."""
    tampering.tamper(hive.data / "hive.sqlite", f"UPDATE events SET actor = 'nobody' WHERE position = {position}")  # noqa: S608 - ours


class TestAnchor:
    """`log anchor` and `log verify --anchor`."""

    def test_tail(self, hive: Program) -> None:
        """What was anchored holds, and a tail that is cut off afterwards is seen."""
        file = str(hive.home / "anchors")
        assert hive("log", "anchor", file).out.startswith("anchored at position ")
        said = json.loads(hive("log", "anchor", file, "--json").out)
        assert hive("log", "verify", "--anchor", file).out.endswith("; anchors that hold: 2\n")
        cut = f"DELETE FROM events WHERE position = {said['position']}"  # noqa: S608 - ours
        tampering.tamper(hive.data / "hive.sqlite", cut)
        assert hive("log", "verify").code == 0
        ended = hive("log", "verify", "--anchor", file, "--json")
        assert ended.code == 1
        assert json.loads(ended.out)["position"] == said["position"]
        assert f"the log ends at {said['position'] - 1} now; its tail was cut" in ended.err

    def test_not_an_anchor(self, hive: Program) -> None:
        """Some other file is named with its line, and not written to."""
        file = hive.home / "diary"
        file.write_text("dear diary\n")
        for arguments in (("log", "anchor", str(file)), ("log", "verify", "--anchor", str(file))):
            ended = hive(*arguments)
            assert ended.code == 1
            assert "diary, line 1 is not an anchor" in ended.err
        assert file.read_text() == "dear diary\n"


class TestExport:
    """`log export` and `log import`."""

    def test_moved(self, hive: Program) -> None:
        """A hive that was exported here and imported there has the same chain, and its views follow from it."""
        exported = hive("log", "export").out
        new = str(hive.home / "new")
        done = hive("log", "import", "-", "--data-dir", new, given=exported.encode())
        assert (done.code, done.err) == (0, "")
        assert hive("log", "verify", "--data-dir", new).out == hive("log", "verify").out
        assert hive("replay", "verify", "--data-dir", new).code == 0
        assert hive("log", "export", "--data-dir", new).out == exported

    def test_file(self, hive: Program) -> None:
        """--output makes a file of its owner's alone, and replaces none."""
        file = hive.home / "hive.jsonl"
        ended = hive("log", "export", "-o", str(file), "--from", "2", "--to", "5")
        assert (ended.code, ended.out) == (0, "")
        assert ended.err.startswith(f"4 facts in {file}, head ")
        assert file.stat().st_mode & 0o777 == 0o600
        assert len(file.read_text().splitlines()) == 6
        again = hive("log", "export", "-o", str(file))
        assert again.code == 1
        assert "is there already; name a new file" in again.err

    def test_redacted(self, hive: Program) -> None:
        """--redact leaves out what was said, and whoever imports it is told so."""
        exported = hive("log", "export", "--redact").out
        assert "hello" not in exported
        done = hive("log", "import", "-", "--json", "--data-dir", str(hive.home / "new"), given=exported.encode())
        assert json.loads(done.out)["redacted"] is True
        assert "it is a redacted log" in done.err

    def test_wrong(self, hive: Program) -> None:
        """What cannot be done is told, with an exit code for each, and leaves nothing behind."""
        exported = hive("log", "export").out.encode()
        new = hive.home / "new"
        taken = hive("log", "import", "-", given=exported)
        assert (taken.code, "holds a hive of" in taken.err) == (4, True)
        cut = hive("log", "import", "-", "--data-dir", str(new), given=exported[:-3])
        assert (cut.code, "the file ends in the middle of it; nothing was imported" in cut.err) == (1, True)
        assert not (new / "hive.sqlite").exists()
        with alone(new / "hive.lock", "--data-dir"):
            busy = hive("log", "import", "-", "--data-dir", str(new), given=exported)
        assert (busy.code, f"runs on {new}" in busy.err) == (4, True)
        assert hive("log", "export", "--from", "9", "--to", "8").code == 2
        nothing = hive("log", "export", "--data-dir", str(hive.home / "nowhere"))
        assert (nothing.code, "no hive in" in nothing.err) == (1, True)

    def test_broken(self, hive: Program) -> None:
        """A log whose chain is broken is exported to no file."""
        tamper(hive, 4)
        ended = hive("log", "export", "-o", str(hive.home / "hive.jsonl"))
        assert ended.code == 1
        assert "the log is broken at position 4" in ended.err
        assert [path for path in hive.home.iterdir() if "jsonl" in path.name] == []


class TestMoments:
    """Positions and times on a command line."""

    def test_times(self, hive: Program) -> None:
        """--from and --to take positions, RFC 3339 times with any zone, and ages; both ends are included."""
        lines = [json.loads(line) for line in hive("log", "export").out.splitlines()]
        facts = lines[1:-1]
        begin, end = rfc3339(facts[6]["at"]), rfc3339(facts[11]["at"])
        expected = [fact["position"] for fact in facts if facts[6]["at"] <= fact["at"] <= facts[11]["at"]]
        for first, last in ((begin, end), (begin.replace("Z", "+00:00"), end)):
            out = hive("log", "export", "--from", first, "--to", last).out.splitlines()
            assert [json.loads(line)["position"] for line in out[1:-1]] == expected
        everything = hive("log", "export", "--from", "9999w", "--to", "0s").out.splitlines()
        assert len(everything) == len(lines)

    @pytest.mark.parametrize("arguments", [("--to", "1999-01-01T00:00:00Z"), ("--from", "2999-01-01T00:00:00Z")])
    def test_nothing_there(self, hive: Program, arguments: tuple[str, str]) -> None:
        """A time before the first fact or after the last is told with what there is."""
        ended = hive("log", "export", *arguments)
        assert (ended.code, "the log has 1 to" in ended.err, ended.out) == (2, True, "")


class TestArchive:
    """`log archive`."""

    def test_archive(self, hive: Program) -> None:
        """The past goes into files, and every other command says what it said before."""
        asked = [("log", "export"), ("log", "verify"), ("log", "show"), ("replay", "verify", "--json")]
        before = [hive(*arguments) for arguments in asked]
        done = hive("log", "archive", "--before", "10")
        assert (done.code, done.err) == (0, "")
        assert re.fullmatch(r"1 to 9: segments/0000000001-0000000009-[0-9a-f]{8}\.zst, \d+ bytes\n", done.out)
        (segment,) = json.loads(hive("log", "archive", "--before", "0s", "--json").out)
        assert segment["first"] == 10
        assert [hive(*arguments) for arguments in asked] == before
        again = hive("log", "archive", "--before", "90d")
        assert (again.code, again.out) == (0, "")
        assert "nothing before that to archive" in again.err

    def test_missing(self, hive: Program) -> None:
        """A segment that is gone is named with its positions, and what is readable still is."""
        hive("log", "archive", "--before", "10")
        (file,) = (hive.data / "segments").iterdir()
        file.unlink()
        for arguments in (("log", "show", "--after", "3"), ("log", "export"), ("log", "verify"), ("replay", "verify")):
            ended = hive(*arguments)
            assert ended.code == 1
            assert "Traceback" not in ended.err
            assert str(file) in ended.err
            assert re.search(r"what is (before 1 is whole, and what is after 9|before 1 and after 9) can", ended.err)
        assert hive("log", "show", "--after", "9").code == 0
        refused = hive("backup", str(hive.home / "taken"))
        assert (refused.code, "is not there; put it back" in refused.err) == (1, True)

    def test_wrong(self, hive: Program) -> None:
        """What cannot be done is told, and the log stays as it is."""
        assert hive("log", "archive").code == 2
        assert hive("log", "archive", "--before", "soon").code == 2
        with alone(hive.data / "hive.lock", "--data-dir"):
            busy = hive("log", "archive", "--before", "10")
        assert (busy.code, f"runs on {hive.data}" in busy.err) == (4, True)
        tamper(hive, 4)
        broken = hive("log", "archive", "--before", "10")
        assert (broken.code, "broken at position 4" in broken.err) == (1, True)
        assert not (hive.data / "segments").exists()

    def test_other_releases(self, hive: Program) -> None:
        """A file of an older release, and of a newer one, is named as such."""
        with sqlite3.connect(hive.data / "hive.sqlite") as connection:
            connection.execute("UPDATE alembic_version SET version_num = '0001'")
        for arguments in (("log", "archive", "--before", "10"), ("log", "verify")):
            assert "hyperhive db upgrade" in hive(*arguments).err
        with sqlite3.connect(hive.data / "hive.sqlite") as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        for arguments in (("log", "export"), ("log", "show")):
            assert "written by a newer release" in hive(*arguments).err


class TestBackup:
    """`backup` and `restore`."""

    def test_there_and_back(self, hive: Program) -> None:
        """A backup restores a hive, in place or elsewhere; what was there stays beside it."""
        file = str(hive.home / "taken.sqlite")
        taken = json.loads(hive("backup", file, "--json").out)
        asked = hive("restore", file)
        assert (asked.code, "say --yes if it is meant" in asked.err) == (2, True)
        done = json.loads(hive("restore", file, "--yes", "--json").out)
        assert (done["position"], done["head"]) == (taken["position"], taken["head"])
        assert Path(done["aside"]).exists()
        assert hive("replay", "verify").code == 0
        shown = hive("log", "show", "--limit", "1").out
        assert "HiveRestored" in shown
        assert done["epoch"] in shown
        elsewhere = hive("restore", file, "--data-dir", str(hive.home / "new"))
        assert (elsewhere.code, "goes on from position" in elsewhere.out) == (0, True)

    def test_wrong(self, hive: Program) -> None:
        """What cannot be done is told, and the hive stays as it is."""
        file = hive.home / "taken.sqlite"
        hive("backup", str(file))
        before = (hive.data / "hive.sqlite").read_bytes()
        again = hive("backup", str(file))
        assert (again.code, "is there already" in again.err) == (1, True)
        assert hive("restore", str(hive.home / "nothing"), "--yes").code == 2
        with alone(hive.data / "hive.lock", "--data-dir"):
            busy = hive("restore", str(file), "--yes")
        assert (busy.code, f"runs on {hive.data}" in busy.err) == (4, True)
        file.write_text("my diary " * 1_000)
        other = hive("restore", str(file), "--yes")
        assert (other.code, "is not a hive's database" in other.err, "nothing was replaced" in other.err) == (
            1,
            True,
            True,
        )
        assert (hive.data / "hive.sqlite").read_bytes() == before


class TestReplayVerify:
    """`replay verify`: a report of everything."""

    def test_whole(self, hive: Program) -> None:
        """Chain and views are told together."""
        chain, views, checkpoints = hive("replay", "verify").out.splitlines()
        assert re.fullmatch(r"chain: holds, \d+ facts, head [0-9a-f]{64}", chain)
        assert views.startswith("views: fold and tables agree at position ")
        assert checkpoints == "checkpoints: none of this release yet"
        told = json.loads(hive("replay", "verify", "--json").out)
        assert (told["ok"], told["chain"]["ok"], told["views"]["ok"]) == (True, True, True)
        assert told["chain"]["count"] == told["views"]["position"]

    def test_chain(self, hive: Program) -> None:
        """A chain that is broken is told although the views agree with what stands there."""
        tamper(hive, 4)
        ended = hive("replay", "verify", "--json")
        told = json.loads(ended.out)
        assert (ended.code, told["ok"], told["chain"]["position"], told["views"]["ok"]) == (1, False, 4, True)
        assert "the log is broken at position 4" in ended.err

    def test_views(self, hive: Program) -> None:
        """Views that differ are told although the chain holds."""
        with sqlite3.connect(hive.data / "hive.sqlite") as connection:
            connection.execute("UPDATE messages SET body = 'hallo' WHERE body = 'hello'")
        ended = hive("replay", "verify")
        assert ended.code == 1
        assert ended.out.startswith("chain: holds, ")
        assert "\nviews: not what the log folds to\n" in ended.out
        assert "messages, row [" in ended.err

    def test_both(self, hive: Program) -> None:
        """Both are told where both are wrong."""
        tamper(hive, 4)
        with sqlite3.connect(hive.data / "hive.sqlite") as connection:
            connection.execute("DELETE FROM messages")
        ended = hive("replay", "verify")
        assert ended.out.startswith("chain: broken\nviews: not what the log folds to\n")
        assert len(ended.err.splitlines()) == 2
