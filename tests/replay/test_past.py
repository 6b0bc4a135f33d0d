"""The past as other rooms ask it: states, times, differences, lists, marks, causes, and broken logs."""

from __future__ import annotations

import lzma
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hyperhive.events import agents, codec
from hyperhive.events.envelope import OPERATOR, Recorded
from hyperhive.projections import database, sentences, views
from hyperhive.replay.changes import changes
from hyperhive.replay.past import BadMoment, Filter, Kind, Node, NotThere, Past, Unreplayable
from hyperhive.replay.store import beside, discard
from hyperhive.replay.telling import _WORDS, told
from tests.events.archived import archive, small
from tests.events.tampering import tamper
from tests.language import DAWN
from tests.replay.stories import SECOND, Writer, folded, opened, story

__all__ = ["small"]

NOW = datetime.fromtimestamp(DAWN / SECOND, UTC) + timedelta(hours=1)


@pytest.fixture
def at(hive_db: Path) -> dict[str, int]:
    """Write the story; return who is where in it."""
    return story(hive_db)


@pytest.fixture
def past(hive_db: Path, at: dict[str, int]) -> Past:  # noqa: ARG001 - written first
    """Open it."""
    return opened(hive_db)


def words(past: Past, a: int, b: int) -> list[str]:
    """Return a difference as it is read."""
    return [change.words for change in past.diff(a, b)]


def path_to(node: Node) -> list[Node]:
    """Return the nodes from the root down to the one that was asked for."""
    if node.asked:
        return [node]
    return next(([node, *below] for child in node.children if (below := path_to(child))), [])


class TestState:
    """The hive as it stood."""

    def test_views_are_those_of_the_present(self, hive_db: Path, past: Past) -> None:
        """It shows what ``/api/state`` would have shown, and beyond it the mail of everybody."""
        state = past.state(past.head)
        shown = views.state(folded(hive_db, past.head))
        assert shown == {key: state[key] for key in shown}
        assert [row["body"] for row in state["inboxes"]["coder"]][-1] == "naïve 🐝 \x1b[2J"
        assert msgspec.json.decode(msgspec.json.encode(state)) == state

    def test_a_transient_is_seen_while_it_lasts(self, past: Past, at: dict[str, int]) -> None:
        """Between an intent and its outcome the container shows it."""
        pending = {n: past.state(at[n])["agents"][1]["pending"] for n in ("rebuild", "rebuilt")}
        assert pending == {"rebuild": "rebuilding", "rebuilt": None}
        assert past.state(at["crash"])["crashed"] == ["coder"]

    def test_before_everything(self, past: Past) -> None:
        """Position 0 is an empty hive."""
        assert (past.state(0)["agents"], past.state(0)["at"]) == ([], None)


class TestTimes:
    """Times to positions."""

    def test_last_at_that_time(self, past: Past, at: dict[str, int]) -> None:
        """A time means the last event that was written by then."""
        second = at["answered"]  # one event a second
        exact = datetime.fromtimestamp(DAWN / SECOND + second, UTC)
        assert past.position(exact.isoformat(), now=NOW) == at["answered"]
        later = (exact + timedelta(milliseconds=500)).isoformat()
        assert past.position(later, now=NOW) == at["answered"]
        assert past.position("now", now=NOW) == at["head"]

    def test_before_the_first_event(self, past: Past) -> None:
        """A time before the log is told with when it begins."""
        with pytest.raises(
            NotThere, match=r"before the log: it begins at 2026-01-01T00:00:01\.000000Z with position 1"
        ):
            past.position("2025-12-31", now=NOW)

    def test_yet_to_come(self, past: Past) -> None:
        """A time in the future is none of the past."""
        with pytest.raises(BadMoment, match="which is yet to come; it is 2026-01-01 01:00:00"):
            past.position("2026-06-01", now=NOW)

    def test_beyond_the_end(self, past: Past, at: dict[str, int]) -> None:
        """A position that is not there yet is told with the last one."""
        with pytest.raises(NotThere, match=f"no position 99; the log ends at {at['head']}"):
            past.position("99", now=NOW)


class TestDiff:
    """What changed, in words."""

    def test_crash(self, past: Past, at: dict[str, int]) -> None:
        """A crash is called one."""
        assert words(past, at["crash"] - 1, at["crash"]) == [
            "coder: crashed",
            'inbox of manager: 1 message came from system: “{"event": "container_crash", "agent": "coder"}”',
        ]

    def test_question(self, past: Past, at: dict[str, int]) -> None:
        """A question is told when it is asked, and how it ended."""
        assert words(past, at["turn"], at["asked"]) == ["manager asked question 1: “really?”"]
        assert words(past, at["asked"], at["answered"])[0] == "operator answered question 1 of manager: “yes”"

    def test_turn(self, past: Past, at: dict[str, int]) -> None:
        """What a turn cost, and what it did."""
        (agent,) = words(past, at["ended"] - 1, at["ended"])
        assert agent == "manager: is idle, turns 0 → 1, cost $0.0000 → $0.5000"

    def test_backwards(self, past: Past, at: dict[str, int]) -> None:
        """With the later moment first, what going back would change."""
        assert words(past, at["crash"], at["crash"] - 1)[0] == "coder: stopped → running, is idle"

    def test_nothing(self, past: Past, at: dict[str, int]) -> None:
        """A moment does not differ from itself."""
        assert past.diff(at["head"], at["head"]) == []

    def test_any_two_states(self, past: Past) -> None:
        """A difference is empty exactly where the views are equal, and every change has words of one line."""
        states = [past.state(position) for position in range(past.head + 1)]
        for before in states:
            for after in states:
                views_differ = any(before[v] != after[v] for v in before if v not in ("position", "at", "crashed"))
                found = changes(before, after)
                assert bool(found) == views_differ
                assert all(change.words and "\n" not in change.words for change in found)

    def test_views_of_tomorrow(self) -> None:
        """A view that this release has no words for is told all the same: a list by its ids, anything else as it is."""
        before: dict[str, Any] = {"petitions": [{"id": 1, "status": "pending"}], "weather": "rain"}
        after: dict[str, Any] = {
            "petitions": [{"id": 1, "status": "denied"}, {"id": 2, "status": "pending"}],
            "weather": 3,
        }
        assert [change.words for change in changes(before, after)] == [
            "petitions: 1: status pending → denied",
            "petitions: 2 is new: id 2, status pending",
            "weather: rain → 3",
        ]


class TestEvents:
    """Lists of facts."""

    @pytest.mark.parametrize("after", [None, 0])
    def test_filters(self, past: Past, at: dict[str, int], after: int | None) -> None:
        """By agent, type, actor, text, from either end; the same as looking at each fact."""
        for wanted, expected in (
            (Filter(), list(range(1, at["head"] + 1))),
            (Filter(types=("ContainerCrashed",)), [at["crash"]]),
            (Filter(types=("ContainerCrashed",), agent="manager"), []),
            (Filter(agent="nobody"), []),
            (Filter(actor="nobody", types=("Never",)), []),
            (Filter(text="REALLY?"), [at["asked"], at["answered"]]),
            (Filter(text="“new”\nPLEASE"), [at["wish"]]),
            (Filter(text="🐝", agent="coder"), [at["head"]]),
            (Filter(actor="operator", agent="coder"), [3 + 1, at["rebuild"], at["head"]]),
        ):
            found = past.events(wanted, after=after)
            positions = [event.position for event in found.events]
            assert (positions if after == 0 else positions[::-1], found.next) == (expected, None)

    def test_pages(self, past: Past, at: dict[str, int]) -> None:
        """Page after page is everything, once."""
        seen: list[int] = []
        before: int | None = None
        while True:
            page = past.events(Filter(), before=before, most=4)
            seen += [event.position for event in page.events]
            if page.next is None:
                break
            before = page.next
        assert seen == list(range(at["head"], 0, -1))

    def test_words(self, past: Past) -> None:
        """Every event is told in one line."""
        assert all(event.words and "\n" not in event.words for event in past.events(Filter()).events)

    def test_words_for_every_type(self) -> None:
        """No type of this release is told by its name alone, but for failures, which have an error."""
        known = {*_WORDS, *(cls.__name__ for cls in sentences.TELLERS)}
        assert {name for name in codec.TYPES if name not in known and not name.endswith("Failed")} == set()

    def test_type_of_tomorrow(self) -> None:
        """A type without words is told by its name and its data."""
        event = agents.SpawnFailed(agent="coder", error="no\nroom")
        fact = Recorded(1, "agent-coder", 1, "ImageLost", 0, "daemon", 1, None, event)
        assert told(fact) == "daemon: image lost (error no room, running false, agent coder)"


class TestMarks:
    """What stands out on a track."""

    def test_marks(self, past: Past, at: dict[str, int]) -> None:
        """Crashes and questions, oldest first, each with whom it is about."""
        found = [(mark.position, mark.kind, mark.agent) for mark in past.marks()]
        assert found == [
            (at["asked"], Kind.QUESTION, "manager"),
            (at["answered"], Kind.QUESTION, "manager"),
            (at["crash"], Kind.CRASH, "coder"),
        ]
        assert [mark.position for mark in past.marks(most=1)] == [at["crash"]]
        assert [mark.position for mark in past.marks(after=at["asked"], until=at["answered"])] == [at["answered"]]

    @pytest.mark.parametrize("parts", [1, 3, 7, 100])
    def test_track(self, past: Past, parts: int) -> None:
        """Parts are the whole log without a gap, and each mark counts in the part that it stands in."""
        track = past.track(parts)
        assert [p for part in track for p in range(part.first, part.last + 1)] == list(range(1, past.head + 1))
        for part in track:
            inside = [mark for mark in past.marks() if part.first <= mark.position <= part.last]
            assert sum(part.counts.values()) == len(inside)


class TestWhy:
    """Chains of causes."""

    def test_from_the_message_to_the_crash(self, past: Past, at: dict[str, int]) -> None:
        """Message, turn, question, answer (by whom), rebuild, crash: each because of the one before."""
        found = path_to(past.why("agent:coder"))
        chain = ("wish", "turn", "asked", "answered", "rebuild", "rebuilt", "crash")
        assert [node.position for node in found] == [at[name] for name in chain]
        assert [node.inferred for node in found] == [False] * 6 + [True]
        assert [node.actor for node in found][3] == "operator"

    def test_what_followed(self, past: Past, at: dict[str, int]) -> None:
        """Below an event stands what it led to, the crash of the container that it made included."""
        node = path_to(past.why(str(at["rebuild"])))[-1]
        assert [child.position for child in node.children] == [at["rebuilt"]]
        assert [child.position for child in node.children[0].children] == [at["crash"]]

    def test_everything(self, past: Past, at: dict[str, int]) -> None:
        """With everything, also what else followed from each cause."""

        def positions(node: Node) -> set[int]:
            return {node.position}.union(*map(positions, node.children))

        assert at["ended"] in positions(past.why("agent:coder", everything=True))
        assert at["ended"] not in positions(past.why("agent:coder"))

    def test_subjects(self, past: Past, at: dict[str, int]) -> None:
        """A question is its newest event; what never was is told as such."""
        assert path_to(past.why("question:1"))[-1].position == at["answered"]
        for subject in ("approval:3", "configuration:coder", "agent:nobody", "question:99"):
            with pytest.raises(NotThere, match="nothing has happened to"):
                past.why(subject)
        for subject in ("coder", "agent:", ":1", "-1", ""):
            with pytest.raises(NotThere, match="is no event; write a position, or question:12"):
                past.why(subject)
        with pytest.raises(NotThere, match=f"no event 99; the log has 1 to {at['head']}"):
            past.why("99")

    def test_long_chain(self, hive_db: Path) -> None:
        """Of a chain of hundreds the nearest causes are shown, and the first; and below only so much."""
        writer = Writer(hive_db)
        last = writer.write(agents.SpawnRequested(agent="coder"), OPERATOR)
        first = last
        for number in range(300):
            last = writer.write(agents.ContainerReaped(agent="coder", reason=str(number)), cause=last)
        writer.close()
        with opened(hive_db) as past:
            found = path_to(past.why(str(last)))
            assert (found[0].position, found[-1].position, found[1].left_out) == (first, last, 40)
            below = past.why(str(first))
            while below.children:
                (below,) = below.children
            assert below.more


class TestScene:
    """One event and what it changed."""

    def test_scene(self, past: Past, at: dict[str, int]) -> None:
        """It is the event, the state after it, and the difference it made."""
        scene = past.scene(at["crash"])
        assert scene.event is not None
        assert (scene.event.type, scene.state) == ("ContainerCrashed", past.state(at["crash"]))
        assert list(scene.changes) == past.diff(at["crash"] - 1, at["crash"])
        assert past.scene(0).event is None


@pytest.mark.usefixtures("small")
class TestArchive:
    """A log whose past is archived into segments."""

    def test_same(self, hive_db: Path, at: dict[str, int]) -> None:
        """Every state, difference, list and cause is what it was."""
        asked = [Filter(), Filter(text="really"), Filter(agent="coder"), Filter(types=("ContainerCrashed",))]

        def everything() -> list[Any]:
            with opened(hive_db) as past:
                states = [past.state(position) for position in range(at["head"] + 1)]
                lists = [past.events(wanted) for wanted in asked]
                causes = [past.why(str(position)) for position in range(1, at["head"] + 1)]
                times = past.position("2026-01-01T00:00:05Z", now=NOW)
                return [states, lists, causes, past.diff(2, at["head"]), past.marks(), times, past.why("question:1")]

        before = everything()
        discard(beside(hive_db))
        assert archive(hive_db, until=at["head"] - 1)
        assert everything() == before

    def test_segment_is_missing(self, hive_db: Path, at: dict[str, int]) -> None:
        """Without a segment, what it held is named, and what is before it is there."""
        with opened(hive_db) as past:
            expected = [past.state(position) for position in range(13)]
        archive(hive_db, until=at["head"] - 1)
        max(hive_db.parent.rglob("*.zst")).unlink()
        for _ in range(2):  # with checkpoints, and without
            with opened(hive_db) as past:
                with pytest.raises(Unreplayable, match=r"at position 1[345]: .* is not there"):
                    past.state(at["head"])
                with pytest.raises(Unreplayable, match=r"at position 14: .* is not there"):
                    past.event(14 + 1)
                assert [past.state(position) for position in range(13)] == expected
            discard(beside(hive_db))


class TestTrouble:
    """Logs that are not what was written: the position is named, and what is before it is readable."""

    def test_any_fact_changed(self, hive_db: Path, at: dict[str, int]) -> None:
        """A fact that was changed by hand is never part of a state; the positions before it are all there."""
        expected = opened(hive_db).state(at["turn"] - 1)
        tamper(hive_db, f"UPDATE events SET data = replace(data, 'manager', 'manacle') WHERE position = {at['turn']}")  # noqa: S608
        (hive_db.parent / "hive.sqlite.checkpoints").unlink()
        with opened(hive_db) as past:
            with pytest.raises(
                Unreplayable, match=f"at position {at['turn']}: its hash.*hyperhive replay at {at['turn'] - 1}"
            ):
                past.state(at["head"])
            assert past.state(at["turn"] - 1) == expected
            assert path_to(past.why(str(at["coder spawned"])))[-1].position == at["coder spawned"]

    def test_type_of_a_newer_release(self, hive_db: Path, at: dict[str, int]) -> None:
        """A fact that a newer release wrote is named with its type and position."""
        (hive_db.parent / "hive.sqlite.checkpoints").unlink(missing_ok=True)
        writer = Writer(hive_db)
        log = writer._log
        position = at["head"] + 1
        unknown = type("AgentLevitated", (), {"stream": "agent-coder"})
        log.record(unknown(), at=writer.now, actor="daemon", data=b'{"agent":"coder"}')
        log.commit()
        writer.close()
        with opened(hive_db) as past:
            expected = f"at position {position}: an event of the type AgentLevitated, which this release does not know"
            with pytest.raises(Unreplayable, match=expected):
                past.state(position)
            assert past.state(at["head"])["crashed"] == ["coder"]

    @pytest.fixture
    def long(self, hive_db: Path) -> Path:
        """Write facts on many pages."""
        writer = Writer(hive_db)
        for number in range(300):
            writer.write(agents.ContainerReaped(agent="coder", reason=f"{number} " * 50))
        writer.close()
        return hive_db

    def test_cut_off(self, long: Path) -> None:
        """Of a file that was cut off, which SQLite refuses as a whole, everything can be asked that is still there."""
        whole, named = long.read_bytes(), []
        for share in (0.05, 0.5, 0.7, 0.9, 0.99):
            left = int(len(whole) * share)
            long.write_bytes(whole[:left])
            position = _first_lost(long, f"the file was cut off: {left} of its {len(whole)} bytes are there")
            assert position is not None
            named.append(position)
            if position > 1:
                with opened(long) as past:
                    assert past.hive(position - 1).position == past.head == position - 1
                    assert past.why(str(position - 1)).words.startswith("a container of coder that nobody owned")
        assert named == sorted(named)
        assert named[0] == 1
        assert named[-1] > 100

    def test_older(self, tmp_path: Path) -> None:
        """A file from before facts had a table of their own: what to do about it, and that works."""
        older = tmp_path / "hive.sqlite"
        older.write_bytes(lzma.decompress((Path(__file__).parents[1] / "golden" / "0007.sqlite.xz").read_bytes()))
        with pytest.raises(Unreplayable, match="an older release wrote the file; upgrade it first"):
            Past(older)
        database.upgrade(older)
        with opened(older) as past:
            assert past.hive(past.head).position == past.head > 0

    def test_any_page(self, long: Path) -> None:
        """Whichever page is lost: the first position that is gone is named, and all before it can be asked."""
        hive_db = long
        whole, named = hive_db.read_bytes(), set()
        pages = len(whole) // 4_096
        for page in range(3, pages, max(1, pages // 12)):
            hive_db.write_bytes(whole[: page * 4_096] + bytes(4_096) + whole[(page + 1) * 4_096 :])
            position = _first_lost(hive_db)
            named.add(position)
            if position is not None and position > 1:
                with opened(hive_db) as past:
                    assert past.hive(position - 1).position == position - 1
        assert any(position is not None and position > 100 for position in named)

    def test_no_log(self, tmp_path: Path) -> None:
        """Where there is no log, that is what is said; nothing is made."""
        with pytest.raises(NotThere, match="no log at"):
            Past(tmp_path / "hive.sqlite")
        (tmp_path / "diary").write_text("dear diary" * 100)
        with pytest.raises(Unreplayable, match="file is not a database"):
            Past(tmp_path / "diary")
        assert [path.name for path in tmp_path.iterdir()] == ["diary"]


def _first_lost(path: Path, why: str = "") -> int | None:
    """Ask for the newest state; return the position that is named as the first that cannot be read."""
    discard(beside(path))
    try:
        with opened(path) as past:
            past.state(past.position("now", now=NOW))
    except Unreplayable as broken:
        assert f"cannot be read at position {broken.position}: " in str(broken)  # noqa: PT017 - it need not be raised
        assert why in str(broken)  # noqa: PT017 - as above
        return broken.position
    return None
