"""What a harness says of itself carries the generation of its container."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.link import Link
from harness.loop import Loop
from harness.reports import Reports
from tests.harness.host import Host


@pytest.fixture
def link(host: Host) -> Iterator[Link]:
    """Return an open link."""
    link = Link(host.path)
    link.open()
    yield link
    link.close()


def test_says_its_generation(host: Host, link: Link) -> None:
    """Every report carries it."""
    reports = Reports(link, Loop(), generation=3)
    reports.harness_started("r1", "1.0")
    reports.turn_started([7])
    reports.status("compacting")
    assert [request["generation"] for request in host.asked("report")] == [3, 3, 3]


def test_without_one(host: Host, link: Link) -> None:
    """A harness that was not told a generation claims none."""
    Reports(link, Loop()).harness_started("r1", "1.0")
    (request,) = host.asked("report")
    assert "generation" not in request


def test_too_late(host: Host, link: Link, capfd: pytest.CaptureFixture[str]) -> None:
    """A report that the host drops is not sent again; the harness says so in its log, and goes on."""
    host.answers["report"] = lambda _: {"ok": True, "dropped": True}
    reports = Reports(link, Loop(), generation=1)
    reports.turn_started([7])
    reports.status("compacting")
    assert len(host.asked("report")) == 2
    assert capfd.readouterr().err.count("report_too_late") == 2
