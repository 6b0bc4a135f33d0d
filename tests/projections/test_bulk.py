"""Many facts folded at once, against the same facts folded one by one."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hyperhive.events import agents, messages, turns
from hyperhive.events.envelope import Fact, Recorded
from hyperhive.projections.hive import PROJECTIONS, Hive
from hyperhive.projections.sessions import DAY
from tests.language import DAWN

NAMES = ("manager", "coder", "reviewer")
BEGUN: list[Fact] = [agents.SpawnRequested(agent=each) for each in NAMES]
"""What is there before any of the histories."""

name = st.sampled_from(NAMES)
ids = st.lists(st.integers(1, 60), max_size=4).map(tuple)  # also of other inboxes, of none, and twice the same
facts: st.SearchStrategy[Fact] = st.one_of(
    st.builds(messages.MessageSent, to=name, sender=name, body=st.just("look")),
    st.builds(messages.MessageSent, to=name, sender=name, body=st.just("again")),
    st.builds(messages.MessagesHandedOver, to=name, ids=ids),
    st.builds(messages.MessagesAcknowledged, to=name, ids=ids),
    st.builds(messages.MessagesParked, to=name, ids=ids),
    st.builds(turns.HarnessStarted, agent=name, run=st.just("run"), version=st.just("1")),
    st.builds(turns.TurnStarted, agent=name, ids=ids),
    st.builds(turns.StatusChanged, agent=name, status=st.sampled_from(["idle", "waiting"]), text=st.none()),
    st.builds(
        turns.TurnEnded,
        agent=name,
        ok=st.booleans(),
        cost_usd=st.sampled_from([0.0, 0.1, 0.7]),
        input_tokens=st.integers(0, 9),
        session_id=st.sampled_from([None, "a", "b"]),
    ),
    st.builds(turns.LoginNeeded, agent=name),
    st.builds(messages.MessageRefused, to=name, sender=name),
    st.builds(agents.RestartSucceeded, agent=name, generation=st.integers(2, 4)),
    st.builds(agents.RestartFailed, agent=name, error=st.just("no"), running=st.booleans()),
    st.builds(agents.ContainerCrashed, agent=name, generation=st.just(1)),
    st.builds(agents.DestroySucceeded, agent=st.just("reviewer"), purge=st.just(False)),
)


def recorded(history: list[Fact]) -> list[Recorded]:
    """Give facts their places; a day passes now and then."""
    return [
        Recorded(at, fact.stream, at, type(fact).__name__, DAWN + at * DAY // 7, "daemon", at, None, fact)
        for at, fact in enumerate(history, start=1)
    ]


class TestAtOnce:
    """`Hive.fold_all` against `Hive.fold`."""

    @settings(max_examples=60, deadline=None)
    @given(history=st.lists(facts, min_size=10, max_size=60), cut=st.integers(0, 60), looked=st.booleans())
    def test_leaves_the_same_rows(self, history: list[Fact], cut: int, looked: bool) -> None:
        """Whatever happens, and wherever it is cut in two: the same rows in the same order, group by group."""
        one_by_one, at_once = Hive(), Hive()
        happened = recorded([*BEGUN, *history])
        for fact in happened:
            one_by_one.fold(fact)
        if looked:  # whoever asks for an inbox has the rows grouped from then on
            at_once.messages.group("coder")
        at_once.fold_all(happened[:cut])
        at_once.fold_all(iter(happened[cut:]))
        assert at_once.position == one_by_one.position
        for projection in PROJECTIONS:
            found, expected = at_once.rows[projection.name], one_by_one.rows[projection.name]
            assert list(found.items()) == list(expected.items())
            if len(projection.key) > 1:
                for each in (*NAMES, "operator"):
                    assert list(found.group(each).items()) == list(expected.group(each).items())

    def test_work_that_goes_on(self) -> None:
        """Long work of one agent, of which most is overwritten: totals are those of every turn, mail left is there."""
        history = [*BEGUN]
        for number in range(200):
            sent = len(history) + 1
            history += [
                messages.MessageSent(to="coder", sender="manager", body=f"{number}"),
                messages.MessagesHandedOver(to="coder", ids=(sent, sent)),  # which counts once
                turns.TurnStarted(agent="coder", ids=(sent,)),
                turns.StatusChanged(agent="coder", status="thinking"),
                turns.TurnEnded(agent="coder", ok=number % 3 != 0, cost_usd=0.1),
            ]
            history += [messages.MessagesAcknowledged(to="coder", ids=(sent,))] if number % 50 else []
        one_by_one, at_once = Hive(), Hive()
        for fact in recorded(history):
            one_by_one.fold(fact)
        at_once.fold_all(recorded(history))
        assert at_once.rows == one_by_one.rows
        assert [row.body for row in at_once.messages.group("coder").values()] == ["0", "50", "100", "150"]
        session = at_once.sessions["coder"]
        assert (session.turns, session.failed_turns, round(session.cost_usd, 6)) == (200, 67, 20.0)
