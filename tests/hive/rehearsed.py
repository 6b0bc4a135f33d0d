"""A rehearsed hive for tests of the dashboard: its manager asks and proposes what the operator's mail says.

A module that imports `hive` has one such hive for all of its tests, with an agent coder beside the manager. Both have
real sessions; what they should do comes as mail, so that each test says by itself what it needs.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hive.live import LiveHive, live
from tests.web.browser import Chromium, Tab

_HURRY = """
[[rule]]
who = "manager"
turn = '> hurry @TTL@: (?P<question>.+)'
once = "conversation"
call = [{ tool = "ask_operator", input = { question = "{question}", ttl_seconds = @TTL@ } }]
"""
SCENARIO = r"""
[[rule]]
who = "manager"
turn = '> ask: (?P<question>.+)'
once = "conversation"
call = [{ tool = "ask_operator", input = { question = "{question}" } }]

[[rule]]
who = "manager"
turn = '> choose: (?P<question>[^:]+): (?P<one>[^;]+); (?P<two>[^;]+)$'
once = "conversation"
call = [{ tool = "ask_operator", input = { question = "{question}", options = ["{one}", "{two}"] } }]

[[rule]]
who = "manager"
turn = '> tick: (?P<question>[^:]+): (?P<one>[^;]+); (?P<two>[^;]+); (?P<three>[^;]+)$'
once = "conversation"
[[rule.call]]
tool = "ask_operator"
input = { question = "{question}", options = ["{one}", "{two}", "{three}"], multi = true }
@HURRY@
[[rule]]
who = "manager"
turn = '"operator_answered", "id": (?P<id>\d+), .*"answer": "(?P<answer>[^"]*)"'
once = "conversation"
call = [{ tool = "send", input = { to = "operator", body = "to q{id}: {answer}" } }]

[[rule]]
who = "manager"
turn = '> wish: (?P<name>[a-z]+), (?P<reason>.+)'
once = "conversation"
call = [{ tool = "request_spawn", input = { name = "{name}", reason = "{reason}" } }]

[[rule]]
who = "manager"
result = "Bash"
matches = 'proposed (?P<name>[a-z]+) (?P<commit>[0-9a-f]{40}): (?P<note>.*)'
call = [{ tool = "request_apply_commit", input = { agent = "{name}", commit = "{commit}", note = "{note}" } }]

[[rule]]
who = "manager"
turn = '> propose: (?P<name>[a-z]+), (?P<seconds>\d+) seconds, (?P<more>\d+) lines more, (?P<note>.*)'
once = "conversation"
[[rule.call]]
tool = "Bash"
[rule.call.input]
command = '''
set -eu
cd /proposed/{name}
printf '# {name}: writes code, fixes what breaks\nmodel = "sonnet"\n\n[limits]\nturn_seconds = {seconds}\n' > agent.toml
yes '# more' | head -n {more} >> agent.toml
git add -A
git commit -qm 'Give it {seconds} seconds'
echo "proposed {name} $(git rev-parse HEAD): {note}"
'''

[[rule]]
who = "manager"
turn = '> write: (?P<name>[a-z]+), (?P<body>.+)'
once = "conversation"
call = [{ tool = "send", input = { to = "{name}", body = "{body}" } }]

# A turn that runs until it may end.
[[rule]]
who = "coder"
turn = '> hold: (?P<what>\w+)'
once = "turn"
text = "I **hold** {what}."
[[rule.call]]
tool = "Bash"
[rule.call.input]
command = "touch /state/holding-{what}; while [ ! -e /state/go-{what} ]; do sleep 0.1; done; echo held {what}"
timeout = 600000

[[rule]]
who = "coder"
turn = '> say: (?P<what>.+)'
once = "conversation"
call = [{ tool = "send", input = { to = "operator", body = "{what}" } }]

[[rule]]
who = "coder"
result = "recv"
text = "somebody wrote"

[[rule]]
who = "coder"
turn = '> listen (?P<n>\d+)'
once = "turn"
call = [{ tool = "recv", input = { wait_seconds = 180 } }]

[[rule]]
turn = '> the key is taken away'
contains = "the key is taken away"
error = { status = 401, message = "invalid x-api-key", retry = false }

[default]
text = "nothing left to do"
""".replace("@HURRY@", "".join(_HURRY.replace("@TTL@", str(ttl)) for ttl in (1, 59, 7_859)))


@pytest.fixture(scope="module")
def hive() -> Iterator[LiveHive]:
    """A hive whose manager and coder are awake."""
    with live(SCENARIO) as found:
        found.spawn("coder")
        found.awake("manager")
        yield found


@pytest.fixture
def tab(hive: LiveHive, chromium: Chromium) -> Iterator[Tab]:
    """The dashboard, live; nothing that a page must not do was done in the end."""
    found = opened(hive, chromium)
    yield found
    assert found.trouble == []


def opened(hive: LiveHive, chromium: Chromium) -> Tab:
    """Open the dashboard and wait until it is live."""
    found = chromium.tab(hive)
    found.expected = ("status of 409", "status of 404", "status of 422")
    found.page.wait_for_selector("#connection[data-live=live]")
    return found


def running(hive: LiveHive) -> list[str]:
    """Return who runs and has nothing under way."""
    rows = hive.ask("agent_status")["agent_statuses"]
    return [row["name"] for row in rows if row["running"] and row["pending"] is None]


def asked(hive: LiveHive, question: str, *, how: str = "ask") -> int:
    """Let the manager's session ask; return the question's id."""
    hive.ask("send", name="manager", body=f"{how}: {question}")
    return hive.until(f"{question!r} is asked", lambda: _questions(hive, question.partition(":")[0]))[-1]


def _questions(hive: LiveHive, question: str) -> list[int]:
    facts = hive.facts(None, "QuestionAsked")
    return [fact["data"]["id"] for fact in facts if fact["data"]["question"] == question]


def proposed(hive: LiveHive, name: str, seconds: int, note: str, *, more: int = 0) -> int:
    """Let the manager's session commit a configuration and ask for it; return the approval's id."""
    before = len(_proposals(hive, name))
    hive.ask("send", name="manager", body=f"propose: {name}, {seconds} seconds, {more} lines more, {note}")
    return hive.until("it is proposed", lambda: _proposals(hive, name)[before:])[-1]


def _proposals(hive: LiveHive, name: str) -> list[int]:
    facts = hive.facts(None, "ApprovalRequested")
    return [fact["data"]["id"] for fact in facts if fact["data"]["agent"] == name]


def types(hive: LiveHive, stream: str) -> list[str]:
    """Return the types of a stream's facts."""
    return [fact["type"] for fact in hive.facts(stream)]


def decided(hive: LiveHive) -> None:
    """Leave nobody waiting: what other tests have left is cancelled and denied."""
    for question in hive.http("/api/state").json["questions"]:
        hive.ask("cancel", id=question["id"])
    for approval in hive.ask("pending")["approvals"]:
        hive.ask("deny", id=approval["id"])
