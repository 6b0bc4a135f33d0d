"""The main job, whole: a message goes through real sessions in real sandboxes, and the answer comes back."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from hyperhive.cli.demo import WISH
from tests.hive.live import LiveHive, live

pytestmark = pytest.mark.hive

DEMO = (Path(__file__).parents[2] / "hyperhive/rehearsal/scenarios/demo.toml").read_text()


def answered(hive: LiveHive) -> list[str]:
    """What the operator got, once there is something and every turn has ended."""
    answers = hive.mail("operator")
    if not answers:
        return []
    idle = all(row["status"] in ("idle", None) and not row["undelivered"] for row in agents(hive))
    return answers if idle else []


def agents(hive: LiveHive) -> list[dict[str, object]]:
    """The agents' rows."""
    rows: list[dict[str, object]] = hive.ask("agent_status")["agent_statuses"]
    return rows


def test_the_answer_comes_back() -> None:
    """The operator asks the manager, coder really works, reviewer reads it, and the operator gets one answer."""
    with live(DEMO) as hive:
        hive.spawn("coder", "reviewer")
        hive.ask("send", name="manager", body=WISH)
        (answer,) = hive.until("an answer", lambda: answered(hive))
        assert "the tests pass" in answer
        assert "def slug(" in (hive.state("coder") / "slug.py").read_text()
        # From the wish to the answer it is one chain of causes.
        (wish,) = hive.facts("inbox-manager", "MessageSent", after=0)[:1]
        (told,) = hive.facts("inbox-operator", "MessageSent")
        assert told["correlation"] == wish["position"]
        assert [fact["type"] for fact in hive.facts() if fact["type"].endswith("Failed")] == []


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_daemon_killed_at_any_moment(seed: int) -> None:
    """Killed three times and started again, the story ends in the same conversation, each message once."""
    dice = random.Random(seed)
    with live(DEMO) as hive:
        hive.spawn("coder", "reviewer")
        hive.ask("send", name="manager", body=WISH)
        for _ in range(3):
            seen = len(hive.facts())
            wanted = seen + dice.randrange(1, 9)
            hive.until("more facts, or the end", lambda: len(hive.facts()) >= wanted or answered(hive))  # noqa: B023
            hive.kill_daemon()
            hive.serve()
        answers = hive.until("an answer", lambda: answered(hive))
        assert len(answers) == 1
        sent = Counter((fact["stream"], fact["data"]["body"]) for fact in hive.facts(None, "MessageSent"))
        assert set(sent.values()) == {1}
        acknowledged = Counter(
            (fact["stream"], id_) for fact in hive.facts(None, "MessagesAcknowledged") for id_ in fact["data"]["ids"]
        )
        assert set(acknowledged.values()) == {1}
