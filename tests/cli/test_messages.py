"""send, inbox, parked, requeue."""

from __future__ import annotations

import json
import signal
from typing import Any, ClassVar

import pytest

from harness.wire import MAX_BODY_BYTES
from tests.cli.host import ScriptedHost, serving
from tests.cli.program import Program, read_until


def message(number: int, body: str = "hello", **more: Any) -> dict[str, Any]:
    """Make a message as the daemon gives it."""
    return {"id": number, "at": "2026-02-03T04:05:06.5Z", "from": "coder", "body": body, "read": False} | more


class TestSend:
    """Writing to an agent."""

    def test_carries_the_text(self, hyperhive: Program, host: ScriptedHost) -> None:
        """The text goes as it is, with a command id of its own; the message's id comes back."""
        host.answers["send"] = {"message_id": 7}
        ended = hyperhive("send", "manager", "  a\n“b” \\n  ")
        (request,) = host.asked("send")
        assert (ended.code, ended.out, ended.err) == (0, "", "message 7 waits for manager\n")
        assert (
            request["name"],
            request["body"],
            len(request["command_id"]) >= 16,
        ) == ("manager", "  a\n“b” \\n  ", True)

    def test_json(self, hyperhive: Program, host: ScriptedHost) -> None:
        """--json prints the id."""
        host.answers["send"] = {"message_id": 7}
        assert json.loads(hyperhive("send", "manager", "x", "--json").out) == {"message_id": 7}

    def test_reads_stdin(self, hyperhive: Program, host: ScriptedHost) -> None:
        """A text of - comes from stdin, up to the last byte that fits."""
        host.answers["send"] = {"message_id": 7}
        body = "é" * (MAX_BODY_BYTES // 2)
        assert hyperhive("send", "manager", "-", given=body.encode()).code == 0
        assert host.asked("send")[0]["body"] == body

    @pytest.mark.parametrize(
        ("given", "complaint"),
        [
            (b"x" * (MAX_BODY_BYTES + 1), f"longer than {MAX_BODY_BYTES} bytes"),
            ("é".encode() * MAX_BODY_BYTES, f"longer than {MAX_BODY_BYTES} bytes"),
            (b"\xff\xfe", "not UTF-8"),
            (b" \n", "empty"),
        ],
    )
    def test_bad_text_is_refused_before_it_is_sent(
        self, hyperhive: Program, host: ScriptedHost, given: bytes, complaint: str
    ) -> None:
        """Too long, not text, or nothing: a usage error that says so."""
        ended = hyperhive("send", "manager", "-", given=given)
        assert (ended.code, complaint in ended.err, host.requests) == (2, True, [])

    def test_lost_answer_is_asked_for_again_under_the_same_id(self, hyperhive: Program, host: ScriptedHost) -> None:
        """A daemon that breaks off gets the same command id again, so that nothing is sent twice."""
        host.answers["send"] = [b"", {"message_id": 7}]
        assert hyperhive("send", "manager", "x").code == 0
        first, second = host.asked("send")
        assert first == second

    def test_command_id_is_the_callers(self, hyperhive: Program, host: ScriptedHost) -> None:
        """--command-id reaches the daemon."""
        host.answers["send"] = {"message_id": 7}
        hyperhive("send", "manager", "x", "--command-id", "deploy-17")
        assert host.asked("send")[0]["command_id"] == "deploy-17"


class TestInbox:
    """Reading the operator's mail."""

    def test_shows_oldest_first_and_marks(self, hyperhive: Program, host: ScriptedHost) -> None:
        """The newest comes last; what was not read is starred, and marked as read after it was shown."""
        host.answers |= {"inbox": {"messages": [message(9, "two\nlines"), message(7, read=True)]}, "read": {}}
        ended = hyperhive("inbox")
        assert ended.out == (
            "  #7  2026-02-03 04:05:06  from coder\n    hello\n\n"
            "* #9  2026-02-03 04:05:06  from coder\n    two\n    lines\n\n"
        )
        assert (host.asked("inbox"), host.asked("read")) == ([{"limit": 20, "unread": False}], [{"ids": [9]}])

    def test_body_cannot_pass_for_a_head(self, hyperhive: Program, host: ScriptedHost) -> None:
        """Every line of a body is indented, whatever ends it."""
        forged = "hi\n* #8  2026-02-03 04:05:06  from operator\r* #8 \u2028* #8"
        host.answers |= {"inbox": {"messages": [message(7, forged)]}, "read": {}}
        heads = [line for line in hyperhive("inbox").out.splitlines() if line.startswith("* #")]
        assert heads == ["* #7  2026-02-03 04:05:06  from coder"]

    def test_keep_marks_nothing(self, hyperhive: Program, host: ScriptedHost) -> None:
        """--keep leaves unread what it shows."""
        host.answers["inbox"] = {"messages": [message(7)]}
        assert hyperhive("inbox", "--keep", "--unread", "-n", "5").code == 0
        assert (host.asked("inbox"), host.asked("read")) == ([{"limit": 5, "unread": True}], [])

    def test_json_is_the_messages(self, hyperhive: Program, host: ScriptedHost) -> None:
        """--json prints all fields, in order."""
        host.answers |= {"inbox": {"messages": [message(9), message(7)]}, "read": {}}
        assert json.loads(hyperhive("inbox", "--json").out) == [message(7), message(9)]

    def test_follow_outlives_a_restart_of_the_daemon(self, hyperhive: Program) -> None:
        """--follow shows each message once, also those that come while and after the daemon was away."""
        socket_path = hyperhive.run / "host.sock"
        with serving(socket_path) as host:
            host.answers |= {"inbox": [{"messages": [message(1)]}, {"messages": [message(1), message(2)]}], "read": {}}
            process = hyperhive.start("inbox", "--follow", "--json")
            try:
                seen = read_until(process, '"id": 2')
            except BaseException:
                process.kill()
                raise
        with serving(socket_path) as host:
            host.answers |= {"inbox": {"messages": [message(2), message(3)]}, "read": {}}
            try:
                seen += read_until(process, '"id": 3')
            finally:
                process.send_signal(signal.SIGINT)
                process.communicate(timeout=30)
        assert [json.loads(line)["id"] for line in seen.splitlines()] == [1, 2, 3]
        assert process.returncode == 130

    def test_empty(self, hyperhive: Program, host: ScriptedHost) -> None:
        """An empty inbox is said on stderr, and is no failure."""
        host.answers["inbox"] = {"messages": []}
        ended = hyperhive("inbox", "--unread")
        assert (ended.code, ended.out, ended.err) == (0, "", "no unread messages\n")


class TestParked:
    """What could not be delivered."""

    PARKED: ClassVar = {
        "to": "bob",
        "id": 7,
        "at": "2026-02-03T04:05:06Z",
        "from": "coder",
        "body": "x",
        "deliveries": 5,
    }

    def test_lists(self, hyperhive: Program, host: ScriptedHost) -> None:
        """Each shows who wrote to whom and how often its delivery failed."""
        host.answers["parked"] = {"messages": [self.PARKED]}
        assert hyperhive("parked").out == "  #7  2026-02-03 04:05:06  coder to bob, 5 deliveries failed\n    x\n\n"
        assert json.loads(hyperhive("parked", "--json").out) == [self.PARKED]

    def test_requeue(self, hyperhive: Program, host: ScriptedHost) -> None:
        """Requeue names the inbox and the message."""
        host.answers["requeue"] = {}
        ended = hyperhive("requeue", "bob", "7")
        assert (ended.code, host.asked("requeue")) == (0, [{"name": "bob", "id": 7}])
        assert ended.err == "message 7 waits for bob again\n"
