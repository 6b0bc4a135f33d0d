"""The dashboard on a real hive, in two windows at once: a manager that asks, an operator who decides by the forms."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.hive.live import LiveHive, live
from tests.web.browser import Chromium, _browser, address_of, chromium, needs_chromium, port_of

__all__ = ["_browser", "chromium"]

pytestmark = [pytest.mark.hive, needs_chromium]

SCENARIO = r"""
[[rule]]
who = "manager"
turn = '> plan the night'
once = "conversation"
call = [
  { tool = "ask_operator", input = { question = "how shall we ship?", options = ["hold it", "ship it"] } },
  { tool = "request_spawn", input = { name = "scribe", reason = "somebody has to write it down" } },
  { tool = "send", input = { to = "operator", body = "two things wait for you" } },
]

[[rule]]
who = "manager"
turn = '"operator_answered", "id": (?P<id>\d+), .*"answer": "(?P<answer>[^"]*)"'
once = "conversation"
call = [{ tool = "send", input = { to = "operator", body = "as you said: {answer}" } }]

[[rule]]
who = "scribe"
turn = '> write (?P<what>\w+) down'
once = "conversation"
call = [{ tool = "send", input = { to = "operator", body = "{what} is written down" } }]

[default]
text = "nothing left to do"
"""
GONE = ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE")


@pytest.fixture
def hive() -> Iterator[LiveHive]:
    """Give a hive whose manager is awake."""
    with live(SCENARIO) as hive:
        hive.awake("manager")
        yield hive


def test_a_night(hive: LiveHive, chromium: Chromium) -> None:
    """What a real session asks for stands in both windows; each form's act, too, over a death of the daemon."""
    one, two = chromium.tab(hive), chromium.tab(hive)
    port = port_of(address_of(hive))
    for tab in (one, two):
        tab.expected = GONE
        tab.page.wait_for_selector("html[data-live=live]")
    one.page.fill("#compose-body", "plan the night")
    one.page.click("#compose button")
    for tab in (one, two):
        expect(tab.page.locator("#questions [data-ask] .question")).to_have_text("how shall we ship?")
        expect(tab.page.locator("#approvals .approval")).to_contain_text("“somebody has to write it down”")
        expect(tab.page.locator("#messages .letter >> text=two things wait for you")).to_be_visible()
    one.page.check("text=hold it")
    one.page.fill("#questions input[name=text]", "until mon")
    two.page.fill("#approvals textarea", "welcome")
    hive.kill_daemon()
    for tab in (one, two):
        expect(tab.page.locator("#connection[data-live=disconnected]")).to_be_visible()
        expect(tab.page.locator("#approvals .btn.main")).to_be_disabled()
    hive.serve(listen=f"127.0.0.1:{port}")
    for tab in (one, two):
        tab.page.evaluate("document.querySelector('[data-retry]')?.click()")
        expect(tab.page.locator("#connection[data-live=live]")).to_be_visible()
    one.page.press("#questions input[name=text]", "End")
    one.page.locator("#questions input[name=text]").press_sequentially("day")
    one.page.click("#questions .answer .btn.main")
    two.page.click("#approvals .approval .btn.main")
    for tab in (one, two):
        expect(tab.page.locator("#questions .over")).to_contain_text("hold it, until monday")
        expect(tab.page.locator("#approvals .over").first).to_contain_text("approved by operator")
        expect(tab.page.locator("#messages .letter >> text=as you said: hold it, until monday")).to_be_visible()
        expect(tab.page.locator("#agent-scribe .verbs")).to_be_visible()
    hive.awake("scribe")
    two.page.select_option("#compose-to", "scribe")
    two.page.fill("#compose-body", "write everything down")
    two.page.click("#compose button")
    for tab in (one, two):
        expect(tab.page.locator("#messages .letter >> text=everything is written down")).to_be_visible()
    two.page.click("#read-messages button")
    for tab in (one, two):
        expect(tab.page.locator("#messages .letter.new")).to_have_count(0)
        assert tab.trouble == []
