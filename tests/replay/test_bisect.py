"""The first position at which something was so: the same whether it is found by halves or by looking at all."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import jmespath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperhive.events import agents
from hyperhive.replay.expression import PHRASES, BadExpression, predicate
from hyperhive.replay.past import NotThere
from tests.projections.histories import Step, batches
from tests.replay.stories import Writer, lived, opened, story

EXPRESSIONS = (
    "position > `7`",
    "agent coder crashed",
    "agent coder is running",
    "agent coder is stopping",
    "agent coder is spawning",
    "agent coder is quarantined",
    "agent coder is destroyed",
    "agent coder exists",
    "agent coder needs login",
    "agent coder has more than 1 messages",
    "agent coder spent more than 0.5",
    "agent coder took more than 1 turns",
    "question 1 is open",
    "any question is open",
    "any message is parked",
    "the hive is frozen",
    "length(agents[?running]) > `1`",
    "agents[?name=='manager'].tokens.input | [0] > `3`",
    "agents[?name=='manager' && tokens.input > `3`] && position > `4`",
    "agents[0].name == 'coder'",
    "sum(agents[].cost_usd) > `1`",
    "inboxes.manager[1]",
    "max_by(agents, &cost_usd).name == 'coder'",
    "contains(to_string(@), 'expired')",
    "agents[*].[name, status] | [1]",
    "transients[?failed]",
    "inbox && !frozen",
    "approvals[?status=='pending']",
    "agents[?needs_update]",
    "!(agents[?failed]) && length(inbox) > `0`",
    "at > 'x'",
    "nothing_of_the_kind",
)


class TestFirst:
    """Against evaluating every state with the library itself."""

    @settings(max_examples=25, deadline=None)
    @given(history=batches, chance=st.floats(0, 1))
    def test_is_the_first(self, migrated: Path, history: list[list[Step]], chance: float) -> None:
        """For each expression, on any history and from anywhere: what looking at each whole state finds."""
        with tempfile.TemporaryDirectory() as place:
            path = Path(shutil.copy(migrated, Path(place) / "hive.sqlite"))
            head = lived(path, history)
            if head == 0:
                return
            first = max(1, round(chance * head))
            with opened(path) as past:
                states = {position: past.state(position) for position in range(first, head + 1)}
                for text in EXPRESSIONS:
                    wanted = predicate(text)
                    plain = jmespath.compile(wanted.text)
                    truths = {at: plain.search(state) not in (None, False, "", [], {}) for at, state in states.items()}
                    expected = next((at for at, true in truths.items() if true), None)
                    assert past.bisect(wanted, first=first).position == expected, text

    def test_says_how(self, hive_db: Path) -> None:
        """By halves only where it can become true and nothing else; and not where an agent was destroyed."""
        head = story(hive_db)["head"]
        spent = predicate("agent coder spent more than 5")
        with opened(hive_db) as past:
            assert past.bisect(predicate("position > `9`")).by_search
            assert past.bisect(spent).by_search
            crashed = past.bisect(predicate("agent coder crashed"))
            assert (crashed.by_search, crashed.position) == (False, head - 1)
        writer = Writer(hive_db)
        asked = writer.write(agents.DestroyRequested(agent="coder"))
        writer.write(agents.DestroySucceeded(agent="coder"), cause=asked)
        writer.close()
        with opened(hive_db) as past:
            found = past.bisect(spent)
            assert (found.by_search, "destroyed" in found.reason) == (False, True)
            assert past.bisect(predicate("agent manager spent more than 0")).by_search

    def test_halves_are_few(self, hive_db: Path) -> None:
        """Only a few states are looked at where it can be searched."""
        writer = Writer(hive_db)
        for _ in range(200):
            writer.write(agents.ContainerReaped(agent="coder", reason="nobody's"))
        writer.close()
        with opened(hive_db) as past:
            found = past.bisect(predicate("position >= `123`"))
            assert (found.position, found.by_search) == (123, True)
            assert found.evaluations <= 16

    def test_time_is_up(self, hive_db: Path) -> None:
        """Where there is no time to look at all, it says how far it came."""
        writer = Writer(hive_db)
        for _ in range(200):
            writer.write(agents.ContainerReaped(agent="coder", reason="nobody's"))
        writer.close()
        with opened(hive_db) as past:
            found = past.bisect(predicate("frozen"), seconds=0.0)
            assert (found.position, found.looked_from) == (None, 1)
            assert found.looked_to < 200
            assert past.bisect(predicate("frozen"), first=found.looked_to + 1).looked_to == 200

    def test_range(self, hive_db: Path) -> None:
        """A range that is none is refused."""
        story(hive_db)
        with opened(hive_db) as past, pytest.raises(NotThere, match="no positions from 9 to 3"):
            past.bisect(predicate("frozen"), first=9, last=3)


class TestExpressions:
    """What is read, and what is refused."""

    @pytest.mark.parametrize("number", range(len(PHRASES)))
    def test_phrases(self, number: int) -> None:
        """Each phrase is read as it is written in the list of them."""
        shown = PHRASES[number][0].replace("NAME", "coder").replace(" N", " 3")
        for text in (
            [shown.split(" | ")[0]],
            [f"agent coder is {word}" for word in shown.split(" | ")[1:]],
        ):
            for phrase in text:
                assert predicate(phrase).text != phrase

    @pytest.mark.parametrize("text", ["agents[?", "agent coder did what", "a b", "", "agents[?x=`]", "foo(", "nope(@)"])
    def test_does_not_parse(self, hive_db: Path, text: str) -> None:
        """What is neither a phrase nor JMESPath is refused with what is wrong; so is a function that there is not."""
        story(hive_db)
        with opened(hive_db) as past, pytest.raises(BadExpression, match=r"neither a phrase|cannot be computed"):
            past.bisect(predicate(text))

    def test_phrase_with_a_name_that_is_none(self) -> None:
        """A phrase cannot be made into another expression by what stands in it."""
        with pytest.raises(BadExpression, match="is not an agent's name"):
            predicate("agent x']||frozen||agents[?name=='y is running")

    @pytest.mark.parametrize(
        "text",
        [
            "@" + ".[@,@][]" * 40,
            "join('', [to_string(@), to_string(@)])" + " | join('', [@, @])" * 40,
            "[" * 500 + "@" + "]" * 500,
            "agents[]" + ".[@,@][]" * 60 + ".name",
        ],
    )
    def test_runs_for_ever(self, hive_db: Path, text: str) -> None:
        """An expression that doubles its result again and again is ended, and so is one that is nested too deep."""
        story(hive_db)
        with opened(hive_db) as past, pytest.raises(BadExpression, match=r"takes more than|makes a value of|nested"):
            past.bisect(predicate(text))

    def test_too_long(self) -> None:
        """One that is too long is not even read."""
        with pytest.raises(BadExpression, match="an expression of 3000 characters; at most 2000"):
            predicate("a" * 3_000)
