"""The operator chooses on which model a real session's turns run; the model's API sees the choice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hive.live import LiveHive, live

pytestmark = pytest.mark.hive

SCENARIO = """
[[rule]]
who = "coder"
turn = '> say (?P<word>\\w+)'
once = "turn"
call = [{ tool = "send", input = { to = "operator", body = "{word}" } }]

[default]
text = "nothing left to do"
"""
CONFIGURED = "claude-haiku-4-5"
CHOSEN = "vendor/large-2@20260101"
"""A name that `claude` passes on as it is: retired ones of its own it replaces."""


@pytest.fixture(scope="module")
def hive() -> Iterator[LiveHive]:
    """Give a hive whose configuration names a model."""
    with live(SCENARIO, settings=("manager=false", f"claude.model={CONFIGURED}")) as hive:
        hive.spawn("coder")
        yield hive


def turn(hive: LiveHive, word: str) -> str:
    """Let coder have a turn, and return the model that the API was asked for in it, as it answered."""
    before = len(hive.facts("turn-coder", "TurnEnded"))
    assert hive.run("send", "coder", f"say {word}").returncode == 0
    hive.until(f"coder says {word}", lambda: word in hive.mail("operator"))
    hive.until("the end of the turn", lambda: len(hive.facts("turn-coder", "TurnEnded")) > before)
    return str(hive.agent("coder")["active_model"])


def sessions(hive: LiveHive) -> set[str]:
    """The ids of all sessions so far."""
    return {str(fact["data"]["session_id"]) for fact in hive.facts("turn-coder", "TurnEnded")}


def test_choice_holds_from_the_next_turn_on(hive: LiveHive) -> None:
    """A choice changes the kept session's model, is kept over restarts of both sides, and can be taken back."""
    assert turn(hive, "one") == CONFIGURED
    assert hive.run("model", "coder", CHOSEN).returncode == 0
    assert hive.agent("coder")["model"] == CHOSEN
    assert turn(hive, "two") == CHOSEN
    hive.kill_daemon()
    hive.serve()
    assert turn(hive, "three") == CHOSEN
    before = len(hive.facts("turn-coder", "TurnEnded"))
    assert hive.run("restart", "coder").returncode == 0
    hive.until("the turn on the kick", lambda: len(hive.facts("turn-coder", "TurnEnded")) > before)
    assert turn(hive, "four") == CHOSEN
    assert hive.http("/model/coder", [("model", "claude-sonnet-4-5")]).json == {
        "ok": True,
        "model": "claude-sonnet-4-5",
    }
    assert turn(hive, "five") == "claude-sonnet-4-5"
    assert hive.run("model", "coder", "--default").returncode == 0
    assert turn(hive, "six") == CONFIGURED
    chosen = [fact["data"]["model"] for fact in hive.facts("turn-coder", "ModelChosen")]
    assert chosen == [CHOSEN, "claude-sonnet-4-5", None]
    assert {fact["actor"] for fact in hive.facts("turn-coder", "ModelChosen")} == {"operator"}
    assert len(sessions(hive)) == 1, "the session went on through every change"


def test_no_model(hive: LiveHive) -> None:
    """What could be read as an option or is no name is refused, and nothing follows."""
    before = hive.ask("state")["state"]["position"]
    for name in ("-p", "a b", "x" * 101):
        ended = hive.run("model", "coder", "--", name)
        assert (ended.returncode, "is no model's name" in ended.stderr) == (2, True)
    answer = hive.http("/model/coder", [("model", "--settings=/etc/passwd")])
    assert (answer.status, answer.json["code"]) == (422, "invalid")
    assert hive.http("/model/nobody", [("model", "opus")]).status == 404
    assert hive.http("/model/coder", []).status == 422
    assert hive.ask("state")["state"]["position"] == before
