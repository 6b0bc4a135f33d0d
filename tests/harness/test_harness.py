"""The harness's process without a session: it waits, and costs little."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.host import Host
from tests.harness.running import ROOT, Harness, wait


@pytest.fixture
def harness(host: Host, place: Path) -> Iterator[Harness]:
    """Return a harness that is not started yet."""
    harness = Harness(host.path, place / "state", place / "log")
    yield harness
    harness.end()


class TestWaiting:
    def test_says_hello_and_polls(self, host: Host, harness: Harness) -> None:
        """A harness reports its start, with its run, and asks for mail, for as long as the host lets it wait."""
        harness.start()
        (poll,) = host.wait(lambda: host.asked("recv"))
        assert (poll["wait_seconds"], poll["holding"]) == (180.0, [])
        started = host.wait_report("harness_started")
        assert len(started["run"]) == 32
        assert started["version"]

    def test_has_no_session_without_mail(self, host: Host, harness: Harness) -> None:
        """Neither the SDK nor `claude` runs before there is work."""
        harness.start()
        host.wait(lambda: host.asked("recv"))
        assert harness.family() == []

    def test_waits_for_its_host(self, host: Host, harness: Harness) -> None:
        """A harness that is started before its daemon, or sees it go, goes on when it is there."""
        host.stop()
        harness.start()
        wait(lambda: "host_away" in harness.log.read_text())
        host.start()
        host.wait(lambda: host.asked("recv"))
        host.stop()
        host.start()
        host.wait(lambda: len(host.asked("recv")) == 2)
        assert len(host.told("harness_started")) == 1

    def test_a_host_that_refuses_is_asked_ever_more_seldom(self, host: Host, harness: Harness) -> None:
        """An inbox that is denied is no reason to spin, and no reason to end."""
        host.answers["recv"] = lambda _: {"ok": False, "code": "forbidden", "error": "not now"}
        harness.start()
        host.wait(lambda: len(host.asked("recv")) == 4)
        del host.answers["recv"]
        host.wait(lambda: len(host.asked("recv")) == 5)


class TestEnding:
    def test_stops_when_told(self, host: Host, harness: Harness) -> None:
        """A SIGTERM ends a waiting harness, with 0."""
        harness.start()
        host.wait(lambda: host.asked("recv"))
        assert harness.stop() == 0

    def test_stops_without_a_host(self, host: Host, harness: Harness) -> None:
        """A SIGTERM ends it while the daemon is away, too."""
        host.stop()
        harness.start()
        wait(lambda: "host_away" in harness.log.read_text())
        assert harness.stop() == 0

    def test_says_what_it_lacks(self) -> None:
        """Without its environment it names the variable, and exits with 2."""
        done = subprocess.run(
            [sys.executable, "-P", "-m", "harness"],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 2
        assert "HYPERHIVE_SOCKET is not set; it is the path of agent.sock" in done.stderr
