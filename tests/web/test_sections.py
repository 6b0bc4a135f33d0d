"""Sections: rendered when what they are made of has changed, and for all who may see the same at once."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from hyperhive.commands.agents import SetPaused
from hyperhive.commands.messages import SendMessage
from hyperhive.events import codec, messages, questions, turns
from hyperhive.events.envelope import OPERATOR, actor_of_agent
from hyperhive.projections.hive import PROJECTIONS
from hyperhive.web.sections import Page, Sight
from hyperhive.web.site import dashboard_of
from tests.web.seated import ANN, BOB, TOKEN, Seated, seated

LETTER = SendMessage(actor=actor_of_agent("coder"), to="operator", body="<b>hello</b>")


@pytest.fixture
def there(hive_db: Path) -> Seated:
    """The site."""
    return seated(hive_db)


def counting(there: Seated, kept: dict[str, Any] | None = None) -> tuple[Page, Counter[str]]:
    """Return the dashboard of a hive, and how often each of its sections is made."""
    made: Counter[str] = Counter()

    def counted(section: Any) -> Any:
        def view(sight: Sight) -> Mapping[str, Any]:
            made[section.name] += 1
            found: Mapping[str, Any] = section.view(sight)
            return found

        return attrs.evolve(section, view=view)

    sections = [counted(section) for section in dashboard_of(there.holds)]
    return Page("dashboard", sections, there.desk.dispatcher, there.holds.history, lambda: kept or {}), made


def test_once_for_all(there: Seated) -> None:
    """However many ask, each section is made once for those who may act and once for those who look."""
    page, made = counting(there)
    for _ in range(5):
        page.whole(may_act=True)
        page.section("swarm", may_act=True)
        page.whole(may_act=False)
    assert made == dict.fromkeys(page.sections, 2)


def test_again_when_touched(there: Seated) -> None:
    """After a fact just those are made again that it may have changed."""
    page, made = counting(there)
    page.whole(may_act=True)
    made.clear()
    there.dispatch(LETTER)
    page.whole(may_act=True)
    assert set(made) == {name for name in page.sections if name in page.touches("MessageSent")}
    assert "questions" not in made
    made.clear()
    there.dispatch(SetPaused(actor=OPERATOR, agent="coder", paused=True))
    page.whole(may_act=True)
    assert {"swarm", "activity"} <= set(made) == set(page.touches("AgentPaused"))


def test_what_is_beside_the_log(there: Seated) -> None:
    """What was found on disk changes a section, too, without any fact."""
    kept: dict[str, Any] = {}
    page, made = counting(there, kept)
    page.whole(may_act=True)
    made.clear()
    kept["old"] = "anything"
    page.whole(may_act=True)
    assert set(made) == {"tombstones"}


def test_the_same_again(there: Seated) -> None:
    """A section that was made again and came out as it was is the same answer: nobody is sent it twice."""
    page, _made = counting(there)
    before = page.section("swarm", may_act=True)
    there.dispatch(SetPaused(actor=OPERATOR, agent="coder", paused=True))
    there.dispatch(SetPaused(actor=OPERATOR, agent="coder", paused=False))
    assert page.section("swarm", may_act=True) is before


def test_touches(there: Seated) -> None:
    """Which section a fact touches follows from the views that fold it; every fact touches the activity."""
    sections = {section.name: section for section in dashboard_of(there.holds)}

    def touched(event: type) -> set[str]:
        return {name for name, section in sections.items() if section.is_touched_by(event)}

    assert all(sections["activity"].is_touched_by(event) for event in codec.TYPES.values())
    assert "questions" in touched(questions.QuestionAsked)
    assert "questions" not in touched(messages.MessageSent)
    assert "swarm" in touched(turns.StatusChanged)
    assert not {"messages", "questions", "tombstones"} & touched(turns.StatusChanged)


def test_reads_views_that_are_there(there: Seated) -> None:
    """A section names views that there are."""
    known = {view.name for view in PROJECTIONS}
    assert {name for section in dashboard_of(there.holds) for name in section.reads or ()} <= known


class TestAnswers:
    """What is answered over HTTP."""

    def test_escaped(self, there: Seated) -> None:
        """What an agent wrote is text."""
        there.dispatch(LETTER)
        body = there.ask("/page/dashboard/messages").body
        assert b"&lt;b&gt;hello&lt;/b&gt;" in body
        assert b"<b>" not in body

    def test_not_modified(self, there: Seated) -> None:
        """Who has it already is told so in a few bytes, until it has changed."""
        for path in ("/page/dashboard", "/page/dashboard/swarm", "/page/dashboard?only", "/api/state", "/"):
            query = "only=messages,activity" if path.endswith("?only") else ""
            path = path.partition("?")[0]  # noqa: PLW2901 - the two halves of one address
            first = there.ask(path, query=query)
            again = there.ask(path, query=query, if_none_match=f'"other", {first.headers["etag"]}')
            assert (first.status, again.status, again.body) == (200, 304, b"")
        before = there.ask("/page/dashboard").headers["etag"]
        there.dispatch(LETTER)
        assert there.ask("/page/dashboard", if_none_match=before).status == 200

    def test_rights(self, there: Seated) -> None:
        """Who may act gets forms, another operator the very same bytes, a viewer none of them."""
        mine, anns, bobs = (there.ask("/page/dashboard", key=key).body for key in (TOKEN, ANN, BOB))
        assert mine == anns != bobs
        assert (b"<form" in mine, b"<form" in bobs) == (True, False)

    def test_compressed(self, there: Seated) -> None:
        """Whoever takes gzip gets the same bytes in fewer."""
        plain, packed = (there.ask("/static/sections.js", accept_encoding=taken) for taken in ("", "br, gzip"))
        assert (plain.headers.get("content-encoding"), packed.headers["content-encoding"]) == (None, "gzip")
        assert gzip.decompress(packed.body) == plain.body
        assert len(packed.body) < len(plain.body)

    @pytest.mark.parametrize("only", ["", "nothing", "swarm,nothing", "swarm,swarm", ",", "../etc"])
    def test_unknown_sections(self, there: Seated, only: str) -> None:
        """A section that there is not is 404, with those that there are."""
        answer = there.ask("/page/dashboard", query=f"only={only}")
        assert (answer.status, "activity" in json.loads(answer.body)["error"]) == (404, True)
        assert there.ask("/page/dashboard/nothing").status == 404

    def test_some(self, there: Seated) -> None:
        """Several sections come together, in the page's order, without what stands around them."""
        body = there.ask("/page/dashboard", query="only=activity,bar").body
        assert body.index(b'data-section="bar"') < body.index(b'data-section="activity"')
        assert body.count(b"data-section=") == 2

    @pytest.mark.parametrize("path", ["/static/../site.py", "/static/nothing.js", "/static/", "/static//etc/passwd"])
    def test_no_such_file(self, there: Seated, path: str) -> None:
        """Only what lay there at the start is served."""
        assert there.ask(path, key=None).status == 404

    def test_shells_are_for_all(self, there: Seated) -> None:
        """A shell has nothing of the hive in it, and no script but by address."""
        for path in ("/", "/agent/coder/"):
            body = there.ask(path, key=None).body
            assert b"coder" not in body
            assert b"<script>" not in body
            assert there.ask(path, key=None, accept_encoding="gzip").status == 200


def test_ready(hive_db: Path) -> None:
    """Readiness is for anybody: 503 until everything is open."""
    ready = [False]
    there = seated(hive_db, ready=lambda: ready[0])
    assert there.ask("/readyz", key=None).status == 503
    ready[0] = True
    assert there.ask("/readyz", key=None).status == 200


def test_metrics(there: Seated) -> None:
    """The figures are Prometheus's text format, and have no text of an agent's in them."""
    there.dispatch(LETTER)
    answer = there.ask("/metrics", key=BOB)
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.body.decode().splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert values["hyperhive_log_position"] == str(there.desk.hive.position)
    assert values['hyperhive_agents{state="running"}'] == "1"
    assert values["hyperhive_messages_undelivered"] == str(len(there.desk.hive.messages))
    assert all(line.startswith(("# HELP hyperhive_", "# TYPE hyperhive_", "hyperhive_")) for line in lines)
    assert "coder" not in answer.body.decode()
