"""The operator speaks to a real session itself: past the mail, in its turn, and no agent's mail does the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hyperhive.events.stream_reading import StreamReader
from tests.hive.live import LiveHive, live

pytestmark = pytest.mark.hive

SCENARIO = r"""
[[rule]]
who = "coder"
turn = '> hold (?P<n>\d+)'
once = "turn"
[[rule.call]]
tool = "Bash"
[rule.call.input]
command = "touch /state/holding{n}; while [ ! -e /state/go{n} ]; do sleep 0.1; done"
timeout = 600000

[[rule]]
who = "coder"
turn = '> say (?P<word>.+)'
once = "turn"
call = [{ tool = "send", input = { to = "operator", body = "{word}" } }]

[default]
text = "nothing left to do"
"""


@pytest.fixture(scope="module")
def hive() -> Iterator[LiveHive]:
    """Give one hive to all stories."""
    with live(SCENARIO, settings=("manager=false",)) as hive:
        hive.spawn("coder")
        yield hive


def ended(hive: LiveHive) -> list[dict[str, Any]]:
    """The ends of all turns so far."""
    return [fact["data"] for fact in hive.facts("turn-coder", "TurnEnded")]


def stream(hive: LiveHive) -> list[dict[str, Any]]:
    """What the session has said so far."""
    reader = StreamReader(hive.home / "d" / "agents" / "coder" / "hyperhive-events.sqlite")
    return [event.data for event in reader.after(0, 10_000)]


def command(hive: LiveHive, text: str) -> None:
    """Say something to coder's session, and wait for the end of the turn on it."""
    before = len(ended(hive))
    assert hive.http("/command/coder", [("text", text)]).json == {"ok": True}
    hive.until(f"the end of {text}", lambda: len(ended(hive)) > before)


def mail(hive: LiveHive, body: str, answer: str) -> None:
    """Write to coder, and wait for what it answers and for the end of the turn."""
    before, heard = len(ended(hive)), hive.mail("operator").count(answer)
    hive.ask("send", name="coder", body=body)
    hive.until(f"the answer to {body!r}", lambda: hive.mail("operator").count(answer) > heard)
    hive.until("the end of the turn", lambda: len(ended(hive)) > before)


def test_compact_comes_after_the_running_turn(hive: LiveHive) -> None:
    """It waits for the turn that runs, over a restart of the daemon, and compacts the session once."""
    hive.ask("send", name="coder", body="hold 1")
    hive.until("the turn", (hive.state("coder") / "holding1").exists)
    assert hive.http("/command/coder", [("text", "/compact keep the ports")]).json == {"ok": True}
    hive.kill_daemon()
    hive.serve()
    assert not hive.facts("turn-coder", "SlashCommandTaken")
    (hive.state("coder") / "go1").touch()
    hive.until("the command's turn", lambda: hive.facts("turn-coder", "SlashCommandTaken"))
    hive.until(
        "its end",
        lambda: hive.facts(
            "turn-coder", "TurnEnded", after=hive.facts("turn-coder", "SlashCommandTaken")[0]["position"]
        ),
    )

    def boundaries() -> list[dict[str, Any]]:
        return [data for data in stream(hive) if data.get("subtype") == "compact_boundary"]

    # The stream is told apart from the reports, and may come later.
    (boundary,) = hive.until("the boundary in the stream", boundaries)
    assert boundary["compact_metadata"]["trigger"] == "manual"
    begun = hive.facts("turn-coder", "TurnStarted")[-1]
    (given,) = hive.facts("turn-coder", "SlashCommandGiven")
    assert (begun["causation"], given["actor"]) == (given["position"], "operator")
    mail(hive, "say compacted", "compacted")
    assert len(hive.facts("turn-coder", "SlashCommandTaken")) == 1


def test_clear_begins_a_session(hive: LiveHive) -> None:
    """The next turns are on another session, which is resumed after a restart; none counts as lost, no cost is."""
    before = ended(hive)[-1]["session_id"]
    command(hive, "/clear")
    cleared = ended(hive)[-1]
    assert cleared["ok"] is True
    assert cleared["session_id"] not in (None, before)
    mail(hive, "say cleared", "cleared")
    turn = ended(hive)[-1]
    assert turn["session_id"] == cleared["session_id"]
    assert turn["cost_usd"] > 0
    count = len(ended(hive))
    hive.ask("restart", name="coder")
    hive.until("the turn on the kick", lambda: len(ended(hive)) > count)
    assert ended(hive)[-1]["session_id"] == cleared["session_id"]
    assert hive.facts("turn-coder", "SessionLost") == []


def test_what_claude_knows_itself(hive: LiveHive) -> None:
    """Its own commands answer in the stream, and the model is not asked."""
    command(hive, "/context")
    hive.until("its answer in the stream", lambda: any("Context Usage" in str(data) for data in stream(hive)))
    assert ended(hive)[-1]["input_tokens"] == 0


def test_mail_is_never_a_command(hive: LiveHive) -> None:
    """A message that begins with a slash is mail: whoever sent it, the session is neither cleared nor compacted."""
    before = ended(hive)[-1]["session_id"]
    resets = sum(data.get("type") == "conversation_reset" for data in stream(hive))
    for body in ("/clear\nsay one", "\n/clear\n\nsay one", "/compact\nsay one"):
        mail(hive, body, "one")
    assert ended(hive)[-1]["session_id"] == before
    assert sum(data.get("type") == "conversation_reset" for data in stream(hive)) == resets


def test_ours_and_refusals(hive: LiveHive) -> None:
    """/model chooses and /cancel interrupts by facts of their own; what is no command is refused with a reason."""
    assert hive.http("/command/coder", [("text", "/model claude-sonnet-4-5")]).status == 200
    assert hive.agent("coder")["model"] == "claude-sonnet-4-5"
    assert hive.http("/command/coder", [("text", "/model default")]).status == 200
    assert hive.agent("coder")["model"] is None
    hive.ask("send", name="coder", body="hold 2")
    hive.until("the turn", (hive.state("coder") / "holding2").exists)
    assert hive.http("/command/coder", [("text", "/cancel")]).status == 200
    hive.until("its end", lambda: ended(hive)[-1]["error_kind"] == "cancelled")
    for text in ("hello", "/a\nb", "/model", ""):
        answer = hive.http("/command/coder", [("text", text)])
        assert (answer.status, answer.json["code"]) == (422, "invalid")
