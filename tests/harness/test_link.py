"""Requests over a connection that comes and goes."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import wire
from harness.link import Closed, Link, Refused, command_id
from tests.harness.host import HangUp, Host, Reply, Request


@pytest.fixture
def link(host: Host) -> Iterator[Link]:
    """Return an open link."""
    link = Link(host.path)
    link.open()
    yield link
    link.close()


def send(body: str) -> Request:
    """Return a request that must be done once."""
    return {"cmd": "send", "to": "manager", "body": body, "command_id": command_id()}


RECV: Request = {"cmd": "recv", "wait_seconds": 180, "holding": []}


class TestRequests:
    def test_a_reply_comes_back(self, link: Link) -> None:
        """A request returns the host's reply to it."""
        assert link.request(send("hello"))["message_id"] == 1001

    def test_a_refusal_has_its_code(self, link: Link) -> None:
        """The host's no is an exception with the code and the text."""
        with pytest.raises(Refused, match="no agent 'nobody'") as refused:
            link.request({"cmd": "send", "to": "nobody", "body": "x"})
        assert refused.value.code == "not_found"

    def test_a_long_poll_holds_nothing_up(self, host: Host, link: Link) -> None:
        """While one request waits, others are answered, and the waiting one wakes for its mail."""
        poll = link.start(RECV)
        assert [link.request(send(str(n)))["message_id"] for n in range(3)] == [1001, 1002, 1003]
        assert not poll.done
        host.deliver("wake up")
        assert poll.result()["messages"][0]["body"] == "wake up"

    def test_what_no_line_can_carry_is_not_sent(self, link: Link) -> None:
        """A request over the wire's limit is an error here."""
        with pytest.raises(wire.WireError):
            link.start(send("x" * wire.MAX_LINE_BYTES))


class TestReconnecting:
    def test_waits_for_a_host_that_is_not_there_yet(self, place: Path) -> None:
        """A link that is opened before the daemon is answered once it runs."""
        link = Link(place / "agent.sock")
        link.open()
        call = link.start(send("early"))
        host = Host(place / "agent.sock").start()
        try:
            assert call.result()["ok"]
        finally:
            link.close()
            host.stop()

    def test_a_restarted_daemon_hears_what_was_open(self, host: Host, link: Link) -> None:
        """A long poll goes on over a restart, on the socket's new inode."""
        poll = link.start(RECV)
        host.wait(lambda: host.asked("recv"))
        host.stop()
        host.start()
        host.deliver("after the restart")
        assert poll.result()["messages"][0]["body"] == "after the restart"

    def test_nothing_is_done_twice(self, host: Host, link: Link) -> None:
        """A reply that was lost brings the request again under the same id, and the host does it once."""
        done: list[Reply] = []

        def hang_up_after_doing_it(request: Request) -> Reply | None:
            if done:
                return None
            done.append(host._done.setdefault(request["command_id"], host._send(None, request)))  # type: ignore[arg-type]
            raise HangUp

        host.answers["send"] = hang_up_after_doing_it
        assert link.request(send("once"))["message_id"] == 1001
        assert len(host.asked("send")) == 2
        assert len(host.sent) == 1

    def test_open_requests_come_again_in_their_order(self, host: Host, link: Link) -> None:
        """What was said while the host was away arrives as it was said."""
        host.stop()
        calls = [link.start(send(str(n))) for n in range(20)]
        host.start()
        for call in calls:
            call.result()
        assert [request["body"] for request in host.asked("send")] == [str(n) for n in range(20)]

    def test_a_host_that_hangs_up_at_once_is_not_stormed(self, place: Path) -> None:
        """A peer that closes every connection without a word is tried ever more seldom."""
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(place / "agent.sock"))
            listener.listen()
            link = Link(place / "agent.sock")
            link.open()
            try:
                times = [_next_connection(listener) for _ in range(4)]
            finally:
                link.close()
        pauses = [after - before for before, after in itertools.pairwise(times)]
        assert pauses[0] >= 0.09
        assert all(after > 1.5 * before for before, after in itertools.pairwise(pauses))


def _next_connection(listener: socket.socket) -> float:
    listener.accept()[0].close()
    return time.monotonic()


class TestWithdrawing:
    def test_nobody_hears_the_reply(self, link: Link) -> None:
        """A withdrawn request ends at once, in `Closed`."""
        call = link.start(RECV)
        link.withdraw(call)
        with pytest.raises(Closed):
            call.result()

    def test_the_host_hands_nothing_to_it(self, host: Host, link: Link) -> None:
        """A withdrawn long poll takes no mail: the next one gets it, as delivered for the first time."""
        call = link.start(RECV)
        host.wait(lambda: host.asked("recv"))
        link.withdraw(call)
        host.wait(lambda: not host._connections or len(host.asked("recv")) > 1)
        again = link.start(RECV)
        host.wait(lambda: len(host.asked("recv")) > 1)
        host.deliver("for the living")
        assert again.result()["messages"][0]["redelivered"] is False

    def test_others_stay(self, host: Host, link: Link) -> None:
        """What else was open is answered all the same."""
        poll, other = link.start(RECV), link.start({"cmd": "recv", "wait_seconds": 180, "holding": [9]})
        host.wait(lambda: len(host.asked("recv")) == 2)
        link.withdraw(poll)
        host.deliver("still there")
        assert other.result()["messages"]


class TestClosing:
    def test_ends_what_waits(self, host: Host, link: Link) -> None:
        """Closing the link wakes whoever waits for a reply, and later requests fail at once."""
        call = link.start(RECV)
        host.wait(lambda: host.asked("recv"))
        threading.Timer(0.01, link.close).start()
        with pytest.raises(Closed):
            call.result()
        with pytest.raises(Closed):
            link.request(RECV)
