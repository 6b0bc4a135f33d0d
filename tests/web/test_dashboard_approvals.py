"""An approval whose base moves between a grant and its outcome, which no real daemon leaves apart for long."""

from __future__ import annotations

from playwright.sync_api import expect

from hyperhive.commands.agents import ReportOutcome
from hyperhive.commands.approvals import Approve, ReportApplied
from hyperhive.events.configurations import AgentSettings
from hyperhive.events.envelope import DAEMON, OPERATOR
from hyperhive.events.hive import HiveCreated
from tests.web.browser import Chromium, needs_chromium
from tests.web.staged import Told, staged

pytestmark = needs_chromium

TOML = """\
# coder: writes code, fixes what breaks
model = "sonnet"

[limits]
turn_seconds = 600
"""


def test_moved_while_one_looks(chromium: Chromium) -> None:
    """Where the base moves under somebody who looks, the old diff cannot be approved; the new one comes when asked."""
    with staged([Told(100, HiveCreated(hive="h1"))]) as stage:
        first = stage.wish("coder", TOML)
        stage.dispatch(Approve(actor=OPERATOR, approval=1, seen=True, commit=first, base=None))
        stage.dispatch(ReportApplied(actor=DAEMON, approval=1, settings=AgentSettings(turn_seconds=600)))
        stage.dispatch(ReportOutcome(actor=DAEMON, agent="coder", intent=stage.pending("coder")))
        second = stage.wish("coder", TOML.replace("600", "900"))
        stage.dispatch(Approve(actor=OPERATOR, approval=2, seen=True, commit=second, base=first))
        third = stage.wish("coder", TOML.replace("600", "1200"))
        tab = chromium.tab(stage)
        page, ask = tab.page, tab.page.locator("#approval-3")
        expect(ask.locator(".l.del mark")).to_have_text("600")
        expect(ask.locator(".l.add mark")).to_have_text("1200")
        page.fill("#note-3", "half a thou")
        stage.dispatch(ReportApplied(actor=DAEMON, approval=2, settings=AgentSettings(turn_seconds=900)))
        moved = f"the base moved from {first[:7]} to {second[:7]} while you looked. read the new diff, then decide."
        expect(ask.locator("[data-stale] p")).to_have_text(moved)
        expect(ask.locator(".side .btn.main")).to_be_hidden()
        expect(ask.locator(".diff")).to_be_hidden()
        page.click("[data-shows-moved]")
        expect(ask.locator(".l.del mark")).to_have_text("900")
        expect(page.locator("#note-3")).to_have_value("half a thou")
        stage.dispatch(ReportOutcome(actor=DAEMON, agent="coder", intent=stage.pending("coder")))
        page.click("#approve-3 .btn.main")
        expect(ask).to_have_count(0)
        expect(page.locator("#approval-3-built")).to_contain_text("approved by operator")
        granted = stage.facts("approval-3")[-1]
        assert (granted["data"]["commit"], granted["data"]["base"]) == (third, second)
        assert tab.trouble == []
