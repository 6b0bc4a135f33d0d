"""An agent's page on a real session, in Chromium: what it says is shown, what is written there reaches it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.hive.live import LiveHive, live
from tests.web.browser import GONE, Chromium, Tab, _browser, chromium, needs_chromium

__all__ = ["_browser", "chromium"]

pytestmark = [pytest.mark.hive, needs_chromium]

SCENARIO = r"""
[[rule]]
who = "coder"
turn = '> hold'
once = "turn"
text = "I **hold** it."
[[rule.call]]
tool = "Bash"
[rule.call.input]
command = "touch /state/holding; while [ ! -e /state/go ]; do sleep 0.1; done; echo held"
timeout = 600000

[[rule]]
who = "coder"
turn = '> think'
delay_seconds = 3600
text = "never said"

[default]
text = "nothing left to do"
"""


@pytest.fixture(scope="module")
def hive() -> Iterator[LiveHive]:
    """Give a hive with one agent."""
    with live(SCENARIO, settings=("manager=false", "claude.model=claude-sonnet-4-5")) as hive:
        hive.spawn("coder")
        yield hive


@pytest.fixture
def windows(hive: LiveHive, chromium: Chromium) -> Iterator[tuple[Tab, Tab]]:
    """Coder's page in two windows; nothing that a page must not do was done in the end."""
    both = chromium.tab(hive, path="/agent/coder/"), chromium.tab(hive, path="/agent/coder/")
    for tab in both:
        tab.expected = GONE
        tab.page.wait_for_selector("html[data-live=live]")
    yield both
    for tab in both:
        assert tab.trouble == []


def says(page: Page, text: str) -> None:
    """Write into the message box and send it."""
    page.fill("#say", text)
    page.keyboard.press("Enter")


def test_a_session(hive: LiveHive, windows: tuple[Tab, Tab]) -> None:
    """A message, a running call over a death of the daemon, a command, a model, an interrupt: in both windows at once.

    What the other window has begun is kept all the while: a draft, an opened call, the opened inbox.
    """
    one, two = windows[0].page, windows[1].page
    port = int(hive.ask("urls")["urls"]["home"].rpartition(":")[2].strip("/"))
    one.wait_for_selector("#stream .is-mail >> text=You were just (re)started")
    says(one, "hold it")
    for page in (one, two):
        page.wait_for_selector("#stream .is-prose strong >> text=hold")
        page.wait_for_selector(".agent-bar .state >> text=thinking")
        page.wait_for_selector("[data-tool] .g-pending")
    held = two.locator("[data-tool]:has(.g-pending)")
    held.locator("summary").click()
    two.click("[data-opens=inbox]")
    two.fill("#say", "half a sen")
    says(one, "/compact keep it")
    for page in (one, two):
        page.wait_for_selector(".waiting >> text=waits for the end of this turn")
    hive.kill_daemon()
    for page in (one, two):
        page.wait_for_selector(".agent-bar >> text=disconnected")
    hive.serve(listen=f"127.0.0.1:{port}")
    for page in (one, two):
        page.wait_for_selector("html[data-live=live]")
    begun = two.locator("details[open][data-tool]")
    expect(begun.locator(".input")).to_contain_text("holding")
    expect(two.locator("#inbox")).to_contain_text("hold it")
    expect(two.locator("#inbox")).to_be_visible()
    (hive.state("coder") / "go").touch()
    for page in (one, two):
        page.wait_for_selector("[data-tool] [data-ends] >> text=s", state="attached")
        page.wait_for_selector("#stream .is-compacted >> text=compacted")
        page.wait_for_selector("#stream .is-command >> text=/compact keep it")
    expect(begun.locator(".result")).to_contain_text("held")
    expect(two.locator("#inbox")).to_be_hidden()
    expect(two.locator("#say")).to_have_value("half a sen")
    says(one, "/model vendor/large-2")
    hive.until("the choice", lambda: hive.agent("coder")["model"] == "vendor/large-2")
    says(one, "think")
    hive.until("the turn on it", lambda: hive.agent("coder")["status"] == "thinking")
    one.wait_for_selector("#interrupt button:enabled")
    one.keyboard.press("Escape")
    one.keyboard.press("Escape")
    for page in (one, two):
        page.wait_for_selector("header.turn >> text=cancelled")
    two.locator("#say").press_sequentially("tence")
    two.keyboard.press("Enter")
    hive.until("a turn on that model", lambda: hive.agent("coder")["active_model"] == "vendor/large-2")
    assert "half a sentence" in hive.mail("coder")
    for page in (one, two):
        expect(page.locator("#model-name")).to_have_value("vendor/large-2")
        ids = page.eval_on_selector_all("#stream .entry[id]", "all => all.map(each => each.id)")
        assert len(ids) == len(set(ids))
        assert ids == sorted(ids, key=lambda each: [int(part) for part in each[1:].split("-")])


def cancelled(hive: LiveHive, number: int) -> bool:
    """Whether the turn on a numbered thought has been ended from outside."""
    ids = [
        fact["position"]
        for fact in hive.facts("inbox-coder", "MessageSent")
        if fact["data"]["body"] == f"think {number}"
    ]
    ends = hive.facts("turn-coder", "TurnEnded", after=ids[-1])
    return any(fact["data"]["error_kind"] == "cancelled" for fact in ends)


def test_the_dock(hive: LiveHive, windows: tuple[Tab, Tab]) -> None:
    """The chip chooses, a completed command runs, claude's own answers, a turn ends by the button and by a command."""
    one, two = windows[0].page, windows[1].page
    chosen = one.locator("#model-name option").last.get_attribute("value")
    one.select_option("#model-name", chosen)
    hive.until("the choice", lambda: hive.agent("coder")["model"] == chosen)
    expect(two.locator("#model-name")).to_have_value(str(chosen))
    says(two, "/context")
    for page in (one, two):
        page.wait_for_selector("#stream .is-command >> text=/context")
        page.wait_for_selector("#stream .is-prose >> text=Context Usage")
    ways: list[Callable[[], None]] = [lambda: one.click("#interrupt button"), lambda: says(one, "/cancel")]
    for number, ends in enumerate(ways, start=1):
        says(two, f"think {number}")
        hive.until("it thinks", lambda: hive.agent("coder")["status"] == "thinking")
        one.wait_for_selector("#interrupt button:enabled")
        ends()
        hive.until("it is cancelled", lambda number=number: cancelled(hive, number))  # type: ignore[misc]
        one.wait_for_selector("#interrupt button:disabled")
    former = hive.facts("turn-coder", "TurnEnded")[-1]["data"]["session_id"]
    one.click("#say")
    one.keyboard.type("/cle")
    expect(one.locator("#completions li:visible")).to_have_text(re.compile("^/clear"))
    one.keyboard.press("Tab")
    expect(one.locator("#say")).to_have_value("/clear ")
    one.keyboard.press("Enter")
    two.wait_for_selector("#stream .is-command >> text=/clear")
    hive.until(
        "a session of its own", lambda: hive.facts("turn-coder", "TurnEnded")[-1]["data"]["session_id"] != former
    )
