"""The dashboard in Chromium: a key, what is so, what changes, what somebody does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Route

from tests.served import Served, place
from tests.web.browser import Chromium, States, address_of, needs_chromium, token_of

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A daemon with one agent that has no session."""
    with place() as found:
        found.serve()
        found.ask("spawn", name="coder")
        found.until("coder is there", lambda: found.ask("agent_status")["agent_statuses"])
        yield found


def test_login_link(served: Served, chromium: Chromium) -> None:
    """A link with a key opens the page; then the key stands in no address and no cookie."""
    tab = chromium.tab(served)
    tab.page.wait_for_selector("[data-section=swarm] >> text=coder")
    assert tab.page.url == f"{address_of(served)}/"
    assert tab.page.context.cookies() == []
    assert tab.page.evaluate("history.length") <= 2
    tab.go()
    assert tab.trouble == []


def test_without_a_key(served: Served, chromium: Chromium) -> None:
    """Without a key a form asks for one and says how it is had; a wrong one brings it back with the reason."""
    page = chromium.context().new_page()
    page.goto(address_of(served))
    page.wait_for_selector("#login code >> text=hyperhive open")
    assert page.inner_text("#page") == ""
    assert page.locator("#login form").evaluate("one => one.getBoundingClientRect().width") <= 460, "it is laid out"
    page.fill("#login input", "wrong")
    page.wait_for_selector("#login form[data-ready] .btn.main")
    page.click("#login button")
    page.wait_for_selector("#login [data-reason] >> text=this key is not known here")
    page.fill("#login input", token_of(served))
    page.click("#login button")
    page.wait_for_selector("[data-section=swarm] >> text=coder")


def test_content_comes_first(served: Served, chromium: Chromium) -> None:
    """The content is shown before its scripts are there; till then nothing answers, and what happens is not missed."""
    tab = chromium.tab(served)
    page = tab.page
    held: list[Route] = []
    page.route("**/dashboard.js", lambda route: held.append(route))  # noqa: PLW0108 - playwright marks it
    page.goto(address_of(served))
    page.wait_for_selector("#page[inert] #agent-coder")
    assert page.locator("#agent-coder .badge >> text=paused").count() == 0
    served.ask("set_paused", name="coder", paused=True)
    served.until("the script is asked for", lambda: page.evaluate("1") and held)
    held[0].continue_()
    page.wait_for_selector("#page:not([inert]) #agent-coder .badge >> text=paused")
    page.wait_for_selector("#connection[data-live=live]")
    served.ask("set_paused", name="coder", paused=False)
    assert tab.trouble == []


def test_live(served: Served, chromium: Chromium) -> None:
    """What happens is shown without a reload, and what somebody types meanwhile stays, with the focus."""
    tab = chromium.tab(served)
    body = tab.page.locator("#compose-body")
    body.fill("half a sen")
    served.ask("send", name="coder", body="from elsewhere")
    served.ask("spawn", name="late")
    tab.page.wait_for_selector("#compose-to option[value=late]", state="attached")
    assert body.input_value() == "half a sen"
    assert tab.page.evaluate("document.activeElement.name") == "body"
    body.press_sequentially("tence")
    said = States.of(tab.page, "#compose button")
    tab.page.click("#compose button")
    assert said.until("done") == "sent"
    sent = [fact["data"]["body"] for fact in served.facts("inbox-coder") if fact["type"] == "MessageSent"]
    assert sent[-1] == "half a sentence"
    assert tab.trouble == []
