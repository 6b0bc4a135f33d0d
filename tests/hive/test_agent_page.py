"""An agent's page on a real session, in Chromium: what it says is shown, what is written there reaches it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hive.live import LiveHive, live
from tests.web.browser import GONE, Chromium, _browser, chromium, needs_chromium

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


def test_a_session(hive: LiveHive, chromium: Chromium) -> None:
    """A message, a running call over a restart of the daemon, a command, a model, an interrupt: all from the page."""
    port = int(hive.ask("urls")["urls"]["home"].rpartition(":")[2].strip("/"))
    tab = chromium.tab(hive, path="/agent/coder/")
    tab.expected = GONE
    page = tab.page
    page.wait_for_selector("#stream .is-mail >> text=You were just (re)started")
    page.fill("#say", "hold it")
    page.keyboard.press("Enter")
    page.wait_for_selector("#stream .is-prose strong >> text=hold")
    page.wait_for_selector(".agent-bar .state >> text=thinking")
    page.wait_for_selector("[data-tool] .g-pending")
    page.fill("#say", "/compact keep it")
    page.keyboard.press("Enter")
    page.wait_for_selector(".waiting >> text=waits for the end of this turn")
    hive.kill_daemon()
    page.wait_for_selector(".agent-bar >> text=disconnected")
    hive.serve(listen=f"127.0.0.1:{port}")
    page.wait_for_selector("html[data-live=live]")
    (hive.state("coder") / "go").touch()
    page.wait_for_selector("[data-tool] [data-ends] >> text=s", state="attached")
    page.wait_for_selector("#stream .is-compacted >> text=compacted")
    page.wait_for_selector("#stream .is-command >> text=/compact keep it")
    page.fill("#say", "/model vendor/large-2")
    page.keyboard.press("Enter")
    hive.until("the choice", lambda: hive.agent("coder")["model"] == "vendor/large-2")
    page.fill("#say", "think")
    page.keyboard.press("Enter")
    hive.until("the turn on it", lambda: hive.agent("coder")["status"] == "thinking")
    page.wait_for_selector("#interrupt button:enabled")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.wait_for_selector("header.turn >> text=cancelled")
    page.fill("#say", "once more")
    page.keyboard.press("Enter")
    hive.until("a turn on that model", lambda: hive.agent("coder")["active_model"] == "vendor/large-2")
    ids = page.eval_on_selector_all("#stream .entry[id]", "all => all.map(each => each.id)")
    assert len(ids) == len(set(ids))
    assert ids == sorted(ids, key=lambda each: [int(part) for part in each[1:].split("-")])
    assert tab.trouble == []
