"""The manager's real session asks the operator, goes on with other work, and acts on what it reads."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.hive.live import LiveHive, live

pytestmark = pytest.mark.hive

HOSTILE = (
    "\x00\x1b]0;owned\x07\x1b[31m\r\x08\x7f\x9b1m \u202egnp.exe\u202c\u2028#9 <b onclick='x'>&amp;</b> \\ \U0001f41d"
)
LONGEST = HOSTILE + "?" * (4_000 - len(HOSTILE))
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")

TTLS = (1, 5, 20, 60)
HURRY = """
[[rule]]
who = "manager"
turn = '> hurry about (?P<topic>\\w+) @TTL@$'
once = "conversation"
call = [{ tool = "ask_operator", input = { question = "What about {topic}?", ttl_seconds = @TTL@ } }]
"""


def toml(text: str) -> str:
    """Write any text as a TOML string."""
    return '"' + "".join(f"\\U{ord(character):08x}" for character in text) + '"'


SCENARIO = """
# The answer comes as mail: it is passed on, each one once.
[[rule]]
who = ["manager", "coder"]
turn = '"operator_answered", "id": (?P<id>\\d+), .*"answer": "(?P<answer>[^"]*)"(?P<late>, "late": true)?\\}'
once = "conversation"
call = [{ tool = "send", input = { to = "operator", body = "{speaker} read {id}: {answer}{late}" } }]

# Or in the middle of a turn, for which the session waits.
[[rule]]
who = "manager"
result = "recv"
matches = '"operator_answered", "id": (?P<id>\\d+), .*"answer": "(?P<answer>[^"]*)"'
call = [{ tool = "send", input = { to = "operator", body = "{speaker} waited for {id}: {answer}" } }]

[[rule]]
who = "manager"
result = "ask_operator"
turn = '> wait for'
call = [{ tool = "recv", input = { wait_seconds = 180 } }]

[[rule]]
who = "manager"
turn = '> choose one (?P<topic>\\w+)'
once = "conversation"
call = [{ tool = "ask_operator", input = { question = "Which {topic}?", options = ["red", "green", "blue"] } }]

[[rule]]
who = "manager"
turn = '> choose several (?P<topic>\\w+)'
once = "conversation"
[[rule.call]]
tool = "ask_operator"
input = { question = "Which {topic}?", options = ["red", "green", "blue"], multi = true }

[[rule]]
who = ["manager", "coder"]
turn = '> (ask about|wait for) (?P<topic>\\w+)'
once = "conversation"
call = [{ tool = "ask_operator", input = { question = "What about {topic}?" } }]

@HURRY@

[[rule]]
who = "manager"
turn = '> be hostile'
once = "conversation"
call = [{ tool = "ask_operator", input = { question = @LONGEST@, options = [@HOSTILE@, "b"] } }]

[default]
text = "nothing left to do"
"""
SCENARIO = SCENARIO.replace("@LONGEST@", toml(LONGEST)).replace("@HOSTILE@", toml(HOSTILE))
SCENARIO = SCENARIO.replace("@HURRY@", "\n".join(HURRY.replace("@TTL@", str(ttl)) for ttl in TTLS))


@pytest.fixture(scope="module")
def hive() -> Iterator[LiveHive]:
    """Give one hive to all stories that do not need a daemon to die; agents may ask in it."""
    with live(SCENARIO, settings=("questions=true",)) as hive:
        hive.spawn("coder")
        yield hive


def asked(hive: LiveHive, question: str) -> dict[str, Any]:
    """Wait until somebody has asked this; return the question as it is listed."""

    def look() -> dict[str, Any]:
        rows = hive.ask("questions", all=True)["questions"]
        return next((row for row in rows if row["question"] == question), {})

    return hive.until(f"the question {question!r}", look)


def passed_on(hive: LiveHive, words: str) -> str:
    """Wait until the operator is written to in these words, by a session that acted on what it read."""
    return hive.until(
        f"mail to the operator: {words!r}", lambda: next((body for body in hive.mail("operator") if body == words), "")
    )


def types(hive: LiveHive, number: int) -> list[str]:
    """Return what has happened to a question."""
    return [fact["type"] for fact in hive.facts(f"question-{number}")]


def test_one_choice_over_host_sock(hive: LiveHive) -> None:
    """One option of three, and a word with it, is one string that the session acts on."""
    hive.ask("send", name="manager", body="choose one colour")
    row = asked(hive, "Which colour?")
    assert (row["asker"], row["options"], row["multi"]) == ("manager", ["red", "green", "blue"], False)
    assert hive.ask("answer", id=row["id"], options=["green"], text="but dark")["late"] is False
    passed_on(hive, f"manager read {row['id']}: green, but dark")
    assert types(hive, row["id"]) == ["QuestionAsked", "QuestionAnswered"]


def test_several_over_the_cli(hive: LiveHive) -> None:
    """Several options stand in the order of their offer, then the text; whoever comes second hears of it."""
    hive.ask("send", name="manager", body="choose several colours")
    row = asked(hive, "Which colours?")
    number = str(row["id"])
    assert f"#{number}  " in (shown := hive.run("questions")).stdout
    assert "Which colours?\n      [ ] 1  red\n      [ ] 2  green\n      [ ] 3  blue\n" in shown.stdout
    ended = hive.run("answer", number, "--option", "3", "--option", "1", "and", "gold")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", f"question {number} is answered\n")
    passed_on(hive, f"manager read {number}: red, blue, and gold")
    second = hive.run("cancel", number, "--yes")
    said = f"hyperhive: question {number} was answered already: red, blue, and gold\n"
    assert (second.returncode, second.stderr) == (4, said)


def test_free_text_over_http(hive: LiveHive) -> None:
    """A form with the operator's token answers; without it nobody does; a second answer is told of the first."""
    hive.ask("send", name="manager", body="ask about taste")
    number = asked(hive, "What about taste?")["id"]
    path, form = f"/answer-question/{number}", [("text", "sweet & sour = ümami")]
    assert hive.http(path, form, Authorization="").status == 401
    assert [row["id"] for row in hive.http("/api/state").json["questions"]] == [number]
    answer = hive.http(path, form)
    assert (answer.status, answer.json) == (200, {"ok": True, "late": False})
    passed_on(hive, f"manager read {number}: sweet & sour = ümami")
    second = hive.http(path, [("text", "bitter")])
    assert (second.status, second.json["standing"]["answer"]) == (409, "sweet & sour = ümami")
    assert hive.http("/api/state").json["questions"] == []


def test_form_of_a_page(hive: LiveHive) -> None:
    """A browser's form is answered with the way back to the page."""
    hive.ask("send", name="manager", body="ask about form")
    number = asked(hive, "What about form?")["id"]
    answer = hive.http(f"/answer-question/{number}", [("text", "round")], Accept="text/html")
    assert (answer.status, answer.headers["location"]) == (303, "/")
    passed_on(hive, f"manager read {number}: round")


def test_cancel_over_the_cli(hive: LiveHive) -> None:
    """The session reads that there will be no answer, and goes on."""
    hive.ask("send", name="manager", body="ask about sense")
    number = asked(hive, "What about sense?")["id"]
    ended = hive.run("cancel", str(number), "--yes")
    assert (ended.returncode, ended.stderr) == (0, f"question {number} is cancelled\n")
    passed_on(hive, f"manager read {number}: [cancelled]")
    answer = hive.http(f"/cancel-question/{number}", [])
    assert (answer.status, answer.json["standing"]["answer"]) == (409, "[cancelled]")


def test_expiry_and_a_late_answer(hive: LiveHive) -> None:
    """At the deadline the session reads that the question expired; what comes later it reads as a note."""
    hive.ask("send", name="manager", body="hurry about time 1")
    number = asked(hive, "What about time?")["id"]
    passed_on(hive, f"manager read {number}: [expired]")
    ended = hive.run("answer", str(number), "tomorrow")
    assert "had expired; the agent reads your answer as a late note" in ended.stderr
    passed_on(hive, f'manager read {number}: tomorrow, "late": true')
    assert types(hive, number) == ["QuestionAsked", "QuestionExpired", "QuestionAnsweredLate"]
    (row,) = [row for row in hive.ask("questions", all=True)["questions"] if row["id"] == number]
    assert (row["status"], row["answer"], row["resolved_by"]) == ("expired", "[expired]", "daemon")


def test_agent_asks_where_it_may(hive: LiveHive) -> None:
    """Where the operator has allowed it an agent asks in its own name, and is the one that reads the answer."""
    hive.ask("send", name="coder", body="ask about tests")
    row = asked(hive, "What about tests?")
    assert row["asker"] == "coder"
    hive.ask("answer", id=row["id"], text="many")
    passed_on(hive, f"coder read {row['id']}: many")


def test_wakes_who_waits(hive: LiveHive) -> None:
    """A session that waits for mail in its turn is handed the answer in the moment in which it becomes a fact."""
    hive.ask("send", name="manager", body="wait for godot")
    number = asked(hive, "What about godot?")["id"]
    hive.until("the session waits", lambda: hive.agent("manager")["status"] == "waiting")
    turn = hive.facts("turn-manager", "TurnStarted")[-1]
    hive.ask("answer", id=number, text="he comes")
    passed_on(hive, f"manager waited for {number}: he comes")
    answered, handed_over = hive.facts(after=hive.facts(f"question-{number}")[-1]["position"] - 1)[:2]
    assert (answered["type"], handed_over["type"]) == ("QuestionAnswered", "MessagesHandedOver")
    assert (handed_over["data"]["ids"], handed_over["at"]) == ([answered["position"]], answered["at"])
    assert hive.facts("turn-manager", "TurnStarted")[-1] == turn


def test_hostile_text(hive: LiveHive) -> None:
    """What a session writes to move a cursor, forge a line or run in a page is whole as data and harmless as text."""
    hive.ask("send", name="manager", body="be hostile")
    row = asked(hive, LONGEST)
    assert row["options"] == [HOSTILE, "b"]
    listed = json.loads((written := hive.run("questions", "--json")).stdout)
    assert [(each["question"], each["options"]) for each in listed] == [(LONGEST, [HOSTILE, "b"])]
    assert [each["question"] for each in hive.http("/api/state").json["questions"]] == [LONGEST]
    shown = hive.run("questions").stdout
    assert UNSAFE.findall(shown + written.stdout) == []
    assert [line.split("  ")[0] for line in shown.splitlines() if line.startswith("#")] == [f"#{row['id']}"]
    assert shown.count("\\x1b]0;owned\\x07\\x1b[31m\\r\\x08\\x7f\\x9b1m \\u202egnp.exe") == 2
    assert hive.run("answer", str(row["id"]), "--option", "1").returncode == 0
    assert hive.facts(f"question-{row['id']}", "QuestionAnswered")[0]["data"]["answer"] == HOSTILE


def test_deadline_passes_while_no_daemon_runs() -> None:
    """The next daemon lets it expire, once, and so the session hears of it that outlived the daemon."""
    with live(SCENARIO) as hive:
        hive.awake("manager")
        number, deadline = left_waiting(hive)
        hive.until("the deadline has passed", lambda: time.time() > deadline)
        assert types(hive, number) == ["QuestionAsked"]
        hive.serve()
        passed_on(hive, f"manager read {number}: [expired]")
        (expired,) = hive.facts(f"question-{number}", "QuestionExpired")
        assert expired["position"] > hive.facts("hive-hive", "DaemonStarted")[1]["position"]
        hive.kill_daemon()
        hive.serve()
        hive.ask("send", name="manager", body="ask about more")
        asked(hive, "What about more?")
        assert types(hive, number) == ["QuestionAsked", "QuestionExpired"]


def left_waiting(hive: LiveHive) -> tuple[int, float]:
    """Kill the daemon while a question waits that expires soon; return its number and deadline.

    On a busy machine the question may be faster: then one is asked that has more time.
    """
    for ttl in TTLS:
        hive.ask("send", name="manager", body=f"hurry about {ttl} {ttl}")
        row = asked(hive, f"What about {ttl}?")
        hive.kill_daemon()
        if types(hive, row["id"]) == ["QuestionAsked"]:
            return row["id"], datetime.fromisoformat(row["deadline_at"]).timestamp()
        hive.serve()
    raise AssertionError("a minute was not enough to kill a daemon")
