"""The past page without a browser: what it is given, what it refuses, and that nobody else waits for it."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from harness.tools import Sent
from hyperhive.commands.errors import Invalid, Unavailable
from hyperhive.commands.messages import SendMessage
from hyperhive.commands.reports import ReportTurnStarted
from hyperhive.events.envelope import actor_of_agent
from hyperhive.replay.past import Event, Node
from hyperhive.web.past import reading, track
from hyperhive.web.past.asking import read_asked
from hyperhive.web.past.causes import Step, listed, trunk
from hyperhive.web.past.reading import Reading
from hyperhive.web.past.track import Lane, Look, Mark, Window, drawn, merged, window
from hyperhive.web.site import site
from tests.events.archived import archive, small
from tests.language import DAWN
from tests.replay.stories import SECOND
from tests.replay.test_tool_calls import Session
from tests.web.agent.said import assistant, result, tool
from tests.web.seated import BOB, Seated, seated

__all__ = ["small"]


def event(position: int, at: int, type_: str, **data: object) -> Event:
    """Return an event as the past lists it."""
    return Event(
        position=position, at=at, type=type_, stream="s-1", actor="daemon", agent="coder", correlation=1,
        causation=None, data=dict(data), words=f"{type_} {position}",
    )  # fmt: skip


def node(position: int, *children: Node, asked: bool = False) -> Node:
    """Return a fact of a tree."""
    return Node(
        position=position, at=position, type="MessageSent", actor="daemon", words="w", asked=asked, children=children
    )


class TestTrack:
    """What stands out, on so many pixels."""

    SHOWN = Window(begin=0, end=1_000, width=1_000)

    def marks(self, *xs: float) -> list[tuple[float, int]]:
        """Merge crashes at these places; return where they are then, and how many each is."""
        given = [
            Mark(lane=Lane.CRASHES, look=Look.CRASH, x=x, position=at, last=at, words="") for at, x in enumerate(xs, 1)
        ]
        return [(mark.x, mark.count) for mark in merged(given)]

    def test_dense_marks_merge(self) -> None:
        """What is closer than 9 px becomes one with its number; at 9 px two are two."""
        assert self.marks(10, 18.9, 100, 109) == [(14.4, 2), (100, 1), (109, 1)]
        assert self.marks(*range(0, 900, 8)) == [(448.0, 113)]

    def test_merged_are_apart(self) -> None:
        """After merging no two marks of a lane are closer than 9 px."""
        found = [x for x, _ in self.marks(0, 8, 17, 26, 30, 31, 90, 98, 107, 300)]
        assert all(after - before >= track.APART for before, after in pairwise(found))

    def test_lanes_do_not_merge(self) -> None:
        """A crash and a question at the same moment are two; a number over different looks says so."""
        facts = [
            event(1, 500, "ContainerCrashed"),
            event(2, 500, "QuestionAsked", id=1),
            event(3, 501, "ApprovalRequested", id=1),
            event(4, 502, "ApprovalGranted", id=1),
            event(5, 503, "ApprovalRequested", id=2),
            event(6, 504, "ApprovalDenied", id=2),
        ]
        found = drawn(facts, self.SHOWN)
        assert [(mark.lane, mark.look, mark.count) for mark in found.marks] == [
            ("crashes", "crash", 1),
            ("approvals", "many", 2),
            ("questions", "question", 1),
        ]
        assert (found.marks[1].position, found.marks[1].last) == (4, 6)

    def test_lines_say_how_long_it_waited(self) -> None:
        """A line goes from asked to ended, from the edge where it was asked before, to the edge where it waits."""
        facts = [
            event(1, 100, "QuestionAnswered", id=7),
            event(2, 200, "QuestionAsked", id=8),
            event(3, 300, "QuestionExpired", id=8),
            event(4, 900, "ApprovalRequested", id=1),
        ]
        found = drawn(facts, self.SHOWN)
        assert [(wait.lane, wait.begin, wait.end) for wait in found.waits] == [
            ("questions", 0, 100),
            ("questions", 200, 300),
            ("approvals", 900, 1_000),
        ]
        assert [(mark.look, mark.x) for mark in found.marks] == [("asked", 900), ("question", 200)]

    @pytest.mark.parametrize(
        ("span", "at", "expected"),
        [
            (None, 50, (10, 1_000)),
            (5_000, 50, (10, 1_000)),  # the log is shorter
            (100, 950, (900, 1_000)),
            (100, 500, (450, 550)),  # around a moment that the newest stretch does not hold
            (100, 20, (10, 110)),
        ],
    )
    def test_window(self, span: int | None, at: int, expected: tuple[int, int]) -> None:
        """The moment is always in the stretch that is shown."""
        found = window(span=span, at=at, first=10, now=1_000, width=100)
        assert (found.begin, found.end) == expected
        assert found.begin <= at <= found.end


class TestCauses:
    """The tree as a picture."""

    def test_trunk_goes_where_it_was_asked(self) -> None:
        """The line goes through the one that was asked for, then on with the last; the others are branches."""
        tree = node(1, node(2), node(3, node(5, node(6), node(7), asked=True)), node(4, node(8)))

        def shape(steps: tuple[Step, ...]) -> list[Any]:
            return [[step.node.position, *(shape(branch) for branch in step.branches)] for step in steps]

        assert shape(trunk(tree)) == [[1, [[2]], [[4], [8]]], [3], [5, [[6]]], [7]]

    def test_nothing_is_lost(self) -> None:
        """The list has every fact with its depth."""
        tree = node(1, node(2), node(3, node(4)), asked=True)
        assert [(depth, each.position) for depth, each in listed(tree)] == [(0, 1), (1, 2), (1, 3), (2, 4)]


class TestAsking:
    """What an address may say."""

    @pytest.mark.parametrize(
        ("query", "said"),
        [
            ({"type": "Nonsense"}, "no event is of the type 'Nonsense'"),
            ({"causes": "pie"}, "tree, list, json"),
            ({"span": "9h"}, "1h, 6h, 24h, 7d, all"),
            ({"text": "x" * 201}, "201 characters"),
        ],
    )
    def test_refused(self, query: dict[str, str], said: str) -> None:
        """What means nothing is refused with what would be right."""
        with pytest.raises(Invalid, match=said):
            read_asked(query)

    def test_zones(self) -> None:
        """A browser may know another zone than this machine, or say anything: then its distance from UTC counts."""
        assert str(read_asked({"zone": "Mars/Olympus", "offset": "-150"}).zone) == "UTC-02:30"
        for zone in ("Mars/Olympus", "../../etc/passwd", "", "\x00"):
            assert str(read_asked({"zone": zone}).zone) == "UTC"
        assert str(read_asked({"zone": "Europe/Berlin"}).zone) == "Europe/Berlin"


@pytest.fixture
def there(hive_db: Path) -> Seated:
    """A site with a little past: coder, ann and bob."""
    return seated(hive_db)


def told(there: Seated, path: str, query: str = "") -> Any:
    """Ask as a viewer for JSON."""
    return json.loads(there.ask(path, key=BOB, query=query).body)


class TestWays:
    """Over HTTP."""

    @pytest.mark.parametrize(
        ("query", "status", "said"),
        [
            ("at=99999", 404, "there is no position 99999"),
            ("at=soon", 422, "'soon' is no moment"),
            ("at=1999-01-01T00:00:00Z", 404, "before the log"),
            ("at=2999-01-01T00:00:00Z", 422, "yet to come"),
            ("at=-1", 422, "is no moment"),
            ("at=%00", 422, "is no moment"),
            ("type=x", 422, "no event is of the type"),
        ],
    )
    def test_moments_that_are_none(self, there: Seated, query: str, status: int, said: str) -> None:
        """What cannot be shown is refused in words, on every way."""
        for path in ("/page/past", "/api/past/track", "/api/past/events", "/api/past/jump"):
            answer = there.ask(path, query=query)
            assert answer.status == status, path
            assert said in json.loads(answer.body)["error"]

    @pytest.mark.parametrize(
        ("path", "query"),
        [
            ("/api/past/track", "width=0"),
            ("/api/past/track", "width=1e9"),
            ("/api/past/events", "limit=1001"),
            ("/api/past/events", "before=x"),
            ("/api/past/jump", "to=hell"),
            ("/api/past/jump", "by=--1"),
        ],
    )
    def test_numbers_that_are_none(self, there: Seated, path: str, query: str) -> None:
        """So are numbers and names out of bounds."""
        assert there.ask(path, query=query).status == 422

    def test_before_everything(self, there: Seated) -> None:
        """Position 0 can be looked at: nobody was there."""
        body = there.ask("/page/past", query="at=0").body.decode()
        assert "before everything" in body
        assert "there was no container" in body
        assert told(there, "/api/past/events", "at=0")["events"] == []
        assert told(there, "/api/past/track", "at=0")["position"] == 0

    def test_jumps(self, there: Seated) -> None:
        """One event on and back, among those that the filter lets through; None where there is no more."""
        head = there.desk.hive.position

        def to(query: str) -> int | None:
            found: int | None = told(there, "/api/past/jump", query)["position"]
            return found

        assert to("at=2&by=1") == 3
        assert to("at=2&by=-1") == 1
        assert (to("at=1&by=-1"), to(f"at={head}&by=1")) == (None, None)
        assert to("at=1&by=1&type=SpawnSucceeded") == 2
        assert to("at=1&by=1&to=crash") is None

    def test_timeline_as_json(self, there: Seated) -> None:
        """It is filtered by agent, type, actor and text, ends at the moment, and goes on page by page."""

        def positions(query: str) -> list[int]:
            return [each["position"] for each in told(there, "/api/past/events", query)["events"]]

        head = there.desk.hive.position
        assert positions("") == list(range(head, 0, -1))
        assert positions("at=2") == [2, 1]
        assert positions("agent=coder") == [2, 1]
        assert positions("type=SpawnSucceeded") == [2]
        assert positions("text=BOB") == [head]
        assert positions("actor=daemon") == [2]
        assert positions("limit=1&before=3") == [2]
        assert told(there, "/api/past/events", "limit=1")["next"] == head

    def test_tool_call_in_the_picture(self, there: Seated, hive_db: Path) -> None:
        """Between a turn and what came of it stands the call of the tool, in the tree, the list and the JSON."""
        there.dispatch(ReportTurnStarted(actor=actor_of_agent("coder"), agent="coder"))
        there.dispatch(SendMessage(actor=actor_of_agent("coder"), to="operator", body="<b>done</b>"))
        at, seconds = there.desk.hive.position, (there.desk.now - DAWN) / SECOND
        session = Session(hive_db, "coder")
        session.say(seconds, assistant(tool("t1", "mcp__hive__send", to="operator", body="<b>done</b>")))
        session.say(seconds, result("t1", Sent(message_id=at).text()))
        words = "coder called send (to operator, body &lt;b&gt;done&lt;/b&gt;)"
        for how in ("tree", "list"):
            body = there.ask("/page/past", query=f"at={at}&causes={how}").body.decode()
            causes = body[body.index('id="causes"') :]
            call = causes.index(words, causes.index("coder began a turn"))
            assert "coder wrote to operator" in causes[call:]
        body = there.ask("/page/past", query=f"at={at}&causes=json").body.decode()
        assert "&#34;name&#34;: &#34;send&#34;" in body

    @pytest.mark.usefixtures("small")
    def test_archived_past_is_the_same(self, hive_db: Path) -> None:
        """What lies in segments is shown as if it did not."""
        there = seated(hive_db)
        for number in range(30):
            there.add(f"p{number}", "viewer", f"a-key-number-{number}")
        ways = (("/page/past", "at=9"), ("/api/past/events", "at=20"), ("/page/past", "at=30&agent=coder&causes=json"))

        def seen() -> list[str]:
            bodies = [there.ask(path, query=query).body.decode() for path, query in ways]
            return [re.sub(r"<header.*?</header>", "", body, flags=re.DOTALL) for body in bodies]

        before = seen()
        assert archive(hive_db, until=25)
        there = seated_again(there)
        assert seen() == before


def seated_again(there: Seated) -> Seated:
    """Let the site open the past anew."""
    return Seated(there.desk, there.holds, site(there.holds))


class TestReading:
    """The thread of the past."""

    def test_nobody_waits_for_a_fold(self, there: Seated) -> None:
        """While one question takes its time, the loop goes on, the next one waits for it, and too many are refused."""

        async def scene() -> None:
            past = Reading(there.holds.history.path)
            begun, release = threading.Event(), threading.Event()
            at_once: list[int] = []

            def slow(_past: object) -> int:
                at_once.append(1)
                begun.set()
                assert release.wait(30)
                assert len(at_once) == 1
                at_once.clear()
                return 1

            asked = [asyncio.create_task(past.ask(slow)) for _ in range(reading.MOST_WAITING)]
            assert await asyncio.to_thread(begun.wait, 30)
            with pytest.raises(Unavailable, match="too many at once"):
                await past.ask(slow)
            release.set()
            assert await asyncio.gather(*asked) == [1] * reading.MOST_WAITING
            await past.close()
            with pytest.raises(Unavailable):
                await past.ask(slow)

        asyncio.run(scene())
