"""The past page in a real Chromium: dragged, walked by keys, linked to, filtered; and that nothing can be pressed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from hyperhive.commands.questions import AskQuestion
from hyperhive.events.envelope import MANAGER
from tests.web.browser import Chromium, Tab, needs_chromium
from tests.web.shift import AGAIN, ASKED, BEFORE_CODER, CRASHED, shift
from tests.web.staged import TOKEN, Stage, staged

pytestmark = needs_chromium


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A hive that has had a shift."""
    with staged(shift()) as found:
        yield found


@pytest.fixture
def tab(stage: Stage, chromium: Chromium) -> Tab:
    """The newest moment."""
    return opened(stage, chromium)


def opened(stage: Stage, chromium: Chromium, query: str = "", **options: object) -> Tab:
    """Open a moment in a storage of its own."""
    tab = Tab(chromium.context(**options).new_page(), stage.home)
    tab.watch()
    tab.page.goto(f"{stage.home}/past{query}#login={TOKEN}")
    tab.page.wait_for_selector("#handle")
    return tab


def at(page: Page, position: int) -> None:
    """Wait until a position is what is shown, and what the address says."""
    expect(page.locator("#deck")).to_have_attribute("data-position", str(position))
    page.wait_for_function("at => new URLSearchParams(location.search).get('at') === at", arg=str(position))
    expect(page.locator("#handle")).to_have_attribute("aria-valuenow", str(position))


def test_history_leads_here(stage: Stage, chromium: Chromium) -> None:
    """The link in the bar and every position in the activity lead to the moment that they say."""
    page = chromium.tab(stage, token=TOKEN).page
    page.click("#fact-17 a")
    at(page, CRASHED)
    page.go_back()
    page.click(".bar .history")
    at(page, len(shift()))


def test_drag(tab: Tab) -> None:
    """Dragged to any moment every view shows that moment; what came after it is hatched; one step in the history."""
    page = tab.page
    lanes = page.locator(".lanes").bounding_box()
    assert lanes is not None
    before = page.evaluate("history.length")
    y = lanes["y"] + 55
    page.mouse.move(lanes["x"] + lanes["width"] * 0.95, y)
    page.mouse.down()
    for part in (0.8, 0.6, 0.45):
        page.mouse.move(lanes["x"] + lanes["width"] * part, y, steps=4)
    page.mouse.up()
    # 45 % of 20 hours is 11 hours ago: after approval 1 was asked, before question 1 was answered.
    at(page, ASKED - 1)
    assert page.locator("#q1 .question").inner_text() == "may scribe post the changelog to the forum itself?"
    assert "after i have read it" in page.locator("#q1 .later").inner_text()
    assert "operator approved" in page.locator("#approval-1 .later").inner_text()
    assert page.locator("#agent-coder .c-state").inner_text().startswith("thinking")
    assert page.locator("#agent-coder .is-now").inner_text() == "now idle"
    assert page.evaluate("history.length") == before + 1
    after = page.locator(".after").bounding_box()
    assert after is not None
    assert abs(after["x"] - lanes["x"] - lanes["width"] * 0.45) < 30
    page.mouse.move(lanes["x"] + lanes["width"] * 0.45, y)
    page.mouse.down()
    page.mouse.move(lanes["x"] + lanes["width"] + 300, y, steps=5)
    page.mouse.up()
    at(page, len(shift()))
    assert tab.trouble == []


def test_keys(tab: Tab, stage: Stage) -> None:
    """Arrows go by event, with shift by crash; a text field keeps its arrows; esc goes back to now."""
    page = tab.page
    for key, position in (
        ("ArrowLeft", 25),
        ("ArrowLeft", 24),
        ("Shift+ArrowLeft", AGAIN),
        ("Shift+ArrowLeft", CRASHED),
        ("ArrowRight", CRASHED + 1),
        ("Shift+ArrowRight", AGAIN),
    ):
        page.keyboard.press(key)
        at(page, position)
    page.keyboard.press("Shift+ArrowRight")
    expect(page.locator("#deck-why")).to_have_text("no crash after this one")
    page.keyboard.press("/")
    expect(page.locator("#filter-text")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Escape")
    at(page, AGAIN)
    # As fast as the keys are, no step is lost.
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    at(page, AGAIN - 5)
    page.keyboard.press("Escape")
    page.wait_for_url(f"{stage.home}/")
    assert tab.trouble == []


def test_jumps_and_moments(tab: Tab) -> None:
    """Buttons and marks lead to crashes, approvals and questions; a typed time or position to what it says."""
    page = tab.page
    page.click("[data-jump=approval][data-by='-1']")
    at(page, 21)
    page.click("[data-jump=question][data-by='-1']")
    at(page, 14)
    page.click("[data-jump=crash][data-by='1']")
    at(page, CRASHED)
    page.click(f"[data-mark=crashes][data-at='{AGAIN}']")
    at(page, AGAIN)
    for text, position in (("4", BEFORE_CODER), ("-690m", ASKED - 2), ("now", len(shift()))):
        page.fill("#go-to", text)
        page.keyboard.press("Enter")
        at(page, position)
        page.evaluate("document.activeElement.blur()")
    page.fill("#go-to", "no moment")
    page.keyboard.press("Enter")
    expect(page.locator("#deck-why")).to_contain_text("'no moment' is no moment")


def test_link_reproduces(tab: Tab, stage: Stage, chromium: Chromium) -> None:
    """Whoever opens the address sees the same: moment, filters, the causes as they were shown, the stretch of time."""
    page = tab.page
    page.select_option("#filter-agent", "coder")
    page.fill("#filter-text", "tests")
    page.wait_for_function("() => location.search.includes('text=tests')")
    page.click("[data-set=causes][data-value=list]")
    page.click("[data-set=span][data-value=all]")
    page.fill("#go-to", str(AGAIN))
    page.keyboard.press("Enter")
    at(page, AGAIN)
    given = urlsplit(page.url)
    assert parse_qs(given.query) == {
        "at": [str(AGAIN)],
        "agent": ["coder"],
        "text": ["tests"],
        "causes": ["list"],
        "span": ["all"],
    }
    other = opened(stage, chromium, f"?{given.query}")
    parts = ("#deck .moment", "#causes", "#facts", "#swarm", "#questions", "#messages")
    assert [other.page.inner_text(part) for part in parts] == [page.inner_text(part) for part in parts]
    assert other.page.input_value("#filter-text") == "tests"
    assert other.page.input_value("#filter-agent") == "coder"
    assert other.page.locator("#facts > li").count() == 1
    # Back and forth in the browser's own history, too.
    page.go_back()
    page.wait_for_function("at => document.getElementById('deck').dataset.position !== at", arg=str(AGAIN))
    page.go_forward()
    at(page, AGAIN)
    assert tab.trouble == other.trouble == []


def test_nothing_can_be_pressed(stage: Stage, chromium: Chromium) -> None:
    """Everything that acts is disabled or absent, and the page is marked as past: violet, hatched, in words."""
    for scheme, ground in (("dark", "rgb(16, 12, 25)"), ("light", "rgb(241, 236, 249)")):
        page = opened(stage, chromium, f"?at={ASKED}", color_scheme=scheme).page
        assert page.locator("#page form, #page [data-act]").count() == 0
        acting = page.locator(":is(#bar, #questions, #approvals, #swarm, #tombstones, #messages) button")
        assert acting.count() > 10
        assert page.locator(":is(#bar, #questions, #approvals, #swarm, #messages) button:not(:disabled)").count() == 0
        assert "DESTR0Y" not in page.inner_text("#swarm")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == ground
        hatched = "getComputedStyle(document.body, '::after').backgroundImage"
        assert page.evaluate(hatched).startswith("repeating-linear-gradient")
        assert "you are looking at the past" in page.inner_text("#deck")
        assert page.evaluate("getComputedStyle(document.getElementById('deck')).position") == "sticky"
        assert page.evaluate("document.getAnimations().length") == 0


def test_bar_counts_now(tab: Tab, stage: Stage) -> None:
    """While somebody looks back, the bar goes on telling what needs them now, and the moment stays."""
    page = tab.page
    page.keyboard.press("Shift+ArrowLeft")
    at(page, AGAIN)
    assert page.inner_text("#bar-past").strip() == f"past {AGAIN}"
    stage.dispatch(AskQuestion(actor=MANAGER, question="may i?", options=(), agents_may_ask=True))
    expect(page.locator("#bar .needs a")).to_have_text("1 question")
    at(page, AGAIN)
    assert page.locator("#q2").count() == 0
    page.click("[data-jump=event][data-by='1']")
    expect(page.locator("#came")).to_contain_text(re.compile("^3 events came after"))


def test_filters_and_causes(tab: Tab) -> None:
    """The timeline as list, track and JSON, filtered by agent, type, actor and text; the causes as tree, list, JSON."""
    page = tab.page
    page.click("[data-jump=crash][data-by='-1']")
    at(page, AGAIN)
    tree = page.locator("#causes .trunk > .step-of")
    assert [row.split("\n")[0].strip() for row in tree.all_inner_texts()] == [
        "coder was started and runs",
        "~ coder crashed (exit status 1)",
    ]
    assert page.locator("#causes [aria-current=true]").inner_text().startswith("~ coder crashed")
    assert "coder: crashed" in page.inner_text("#causes .changed")
    tree.first.locator("a").click()
    at(page, 19)
    page.click("[data-set=causes][data-value=json]")
    expect(page.locator("#causes pre")).to_contain_text('"StartSucceeded"')
    assert json.loads(page.inner_text("#causes pre"))["causes"]["children"][0]["position"] == AGAIN
    for control, value, expected in (
        ("#filter-type", "StatusChanged", ["fact-8"]),
        ("#filter-type", "", None),
        ("#filter-actor", "operator", ["fact-15", "fact-14", "fact-3"]),
        ("#filter-actor", "", None),
        ("#filter-text", "HALVE", ["fact-10"]),
    ):
        page.select_option(control, value) if control == "#filter-type" else page.fill(control, value)
        if expected is None:
            expect(page.locator("#facts > li")).to_have_count(19)
            continue
        expect(page.locator("#facts > li")).to_have_count(len(expected))
        assert page.eval_on_selector_all("#facts > li", "rows => rows.map(row => row.id)") == expected
    page.click("[data-set=timeline][data-value=json]")
    expect(page.locator("#facts-json")).to_contain_text("halve the test time")
    assert [each["position"] for each in json.loads(page.inner_text("#facts-json"))] == [10]
    page.click("[data-clear]")
    expect(page.locator("#facts-json")).to_contain_text("HiveCreated")


def test_wrong_address(stage: Stage, chromium: Chromium) -> None:
    """An address that leads nowhere says so, with a way out."""
    page = chromium.context().new_page()
    page.goto(f"{stage.home}/past?at=4711#login={TOKEN}")
    expect(page.locator(".wrong")).to_contain_text("there is no position 4711")
    page.click("text=newest moment")
    at(page, len(shift()))


@pytest.mark.parametrize("width", [320, 1280])
def test_fits(stage: Stage, chromium: Chromium, width: int) -> None:
    """Nothing scrolls sideways, on a small phone neither."""
    page = opened(stage, chromium, f"?at={ASKED}", viewport={"width": width, "height": 700}).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
