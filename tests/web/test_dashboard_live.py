"""The dashboard in every state: by the keyboard alone, in small windows, for quiet eyes and for ears."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from hyperhive.commands.agents import ReportOutcome
from hyperhive.commands.reports import ReportFact
from hyperhive.events.envelope import DAEMON, actor_of_agent
from hyperhive.events.turns import HarnessStarted
from tests.web import scene
from tests.web.browser import Chromium, needs_chromium
from tests.web.staged import Stage, staged

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def night() -> Iterator[Stage]:
    """A hive in every state."""
    with staged(scene.night(), journal=scene.journal, kept=scene.kept()) as found:
        yield found


@pytest.fixture(scope="module")
def fresh() -> Iterator[Stage]:
    """A hive that has just begun."""
    with staged(scene.fresh()) as found:
        yield found


def test_a_reload_keeps_drafts(night: Stage, chromium: Chromium) -> None:
    """What was typed and not sent is there again after a reload, and says since when."""
    page = chromium.tab(night).page
    page.check("#q32-2")
    page.fill("#q32-free", "only rows after 2025")
    page.reload()
    expect(page.locator("#q32-free")).to_have_value("only rows after 2025")
    expect(page.locator("#q32-2")).to_be_checked()
    expect(page.locator("#answer-32 [data-draft]")).to_contain_text("draft from")


def test_time_that_runs_out_is_said(night: Stage, chromium: Chromium) -> None:
    """Whoever listens hears of ten minutes, of one, and of the end; nothing is said in between."""
    page = chromium.tab(night).page
    page.clock.install()
    page.reload()
    page.wait_for_selector("#connection[data-live=live]")
    said = page.locator("#told-left[aria-live=polite]")
    expect(said).to_have_text("")
    page.clock.fast_forward(130_000)
    expect(said).to_have_text("q31: 1 minute left to answer")
    page.clock.fast_forward(100_000)
    expect(said).to_have_text("q31: no time left to answer")
    page.clock.fast_forward("02:00:00")
    expect(said).to_have_text("q32: 10 minutes left to answer")


def test_keyboard_alone(chromium: Chromium) -> None:
    """Sections, rows, logs, options and answers are a few keys away; no single key decides anything."""
    with staged(scene.night(), journal=scene.journal) as stage:
        page = chromium.tab(stage).page
        page.wait_for_selector("#connection[data-live=live]")
        page.keyboard.press("Tab")
        expect(page.locator(".skip")).to_be_focused()
        for key, section in zip(
            "qastmv", ("questions", "approvals", "swarm", "tombstones", "messages", "activity"), strict=True
        ):
            page.keyboard.press("g")
            page.keyboard.press(key)
            expect(page.locator(f"#{section}")).to_be_focused()
        page.keyboard.press("s")
        expect(page.locator("#swarm")).to_be_focused()
        page.keyboard.press("j")
        expect(page.locator("#agent-manager")).to_be_focused()
        page.keyboard.press("j")
        page.keyboard.press("l")
        expect(page.locator("#logs-archivist .logs-lines")).to_be_visible()
        page.keyboard.press("l")
        expect(page.locator("#logs-archivist")).to_be_hidden()
        page.keyboard.press("l")
        expect(page.locator("#logs-archivist .logs-lines")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("#logs-archivist")).to_be_hidden()
        page.keyboard.press("k")
        expect(page.locator("#agent-manager")).to_be_focused()
        page.keyboard.press("?")
        expect(page.locator("#keys")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("#keys")).to_be_hidden()
        before = stage.facts("question-31"), stage.facts("agent-archivist"), stage.facts("hive-hive")
        for key in "adfpyxnrDAFP":
            page.keyboard.press(key)
        assert (stage.facts("question-31"), stage.facts("agent-archivist"), stage.facts("hive-hive")) == before
        page.focus("#q31")
        page.keyboard.press("3")
        expect(page.locator("#q31-3")).to_be_checked()
        page.keyboard.press("Control+Enter")
        expect(page.locator("#q31")).to_have_count(0)
        assert stage.facts("question-31")[-1]["data"]["answer"] == "mark the test as known to flake, then ship"


def test_focus_is_seen(night: Stage, chromium: Chromium) -> None:
    """Every control that tab reaches has the ring: two pixels of mauve."""
    page = chromium.tab(night).page
    page.wait_for_selector("#connection[data-live=live]")
    ring = """() => { const one = document.activeElement, style = getComputedStyle(one);
      return one === document.body ? null : [one.outerHTML.slice(0, 80), style.outlineStyle, style.outlineWidth]; }"""
    seen = 0
    for _ in range(120):
        page.keyboard.press("Tab")
        found = page.evaluate(ring)
        if found is None:
            break
        assert found[1:] == ["solid", "2px"], found
        seen += 1
    assert seen > 60


@pytest.mark.parametrize("width", [1280, 1100, 900, 700, 360, 320])
@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_nothing_scrolls_sideways(night: Stage, chromium: Chromium, width: int, scheme: str) -> None:
    """At any width the page fits, also with everything open."""
    page = chromium.tab(night, viewport={"width": width, "height": 800}, color_scheme=scheme).page
    page.wait_for_selector("#connection[data-live=live]")
    page.click("[data-logs=coder]")
    page.click("[data-opens=purge-mole]")
    page.click("[data-opens=destroy-reviewer]")
    page.click("[data-opens=cancel-31]")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("touch", "least"), [(False, 24), (True, 40)])
def test_targets(night: Stage, chromium: Chromium, *, touch: bool, least: int) -> None:
    """Whatever is pressed is large enough: 24 pixels for a pointer, 40 for a finger (DESTR0Y alone stays small)."""
    options: dict[str, Any] = (
        {"viewport": {"width": 360, "height": 780}, "has_touch": True, "is_mobile": True} if touch else {}
    )
    page = chromium.tab(night, **options).page
    page.wait_for_selector("#connection[data-live=live]")
    small = """least => [...document.querySelectorAll("#page button")]
      .filter(one => one.offsetParent !== null && !one.matches(".destroys"))
      .filter(one => one.getBoundingClientRect().height < least).map(one => one.outerHTML)"""
    assert page.evaluate(small, least) == []


def test_reduced_motion(night: Stage, chromium: Chromium) -> None:
    """Nothing moves for whoever wants it still; the counting seconds show life."""
    page = chromium.tab(night, reduced_motion="reduce").page
    page.wait_for_selector("#agent-tester[data-pending]")
    assert page.evaluate("document.getAnimations().length") == 0
    still = chromium.tab(night, reduced_motion="no-preference").page
    still.wait_for_selector("#agent-tester[data-pending]")
    assert still.evaluate("document.getAnimations().length") > 0


def test_states_in_words(night: Stage, chromium: Chromium) -> None:
    """Every row says in words what its glyph and colour say."""
    page = chromium.tab(night).page
    page.wait_for_selector("#connection[data-live=live]")
    states = {
        "manager": "thinking", "scribe": "compacting", "reviewer": "idle", "relay": "waiting", "tester": "restarting…",
        "mender": "crashed",
    }  # fmt: skip
    for name, state in states.items():
        expect(page.locator(f"#agent-{name} .c-state > span").first).to_have_text(state)
    for name, badge in {"forager": "needs login", "archivist": "paused", "mender": "quarantined"}.items():
        expect(page.locator(f"#agent-{name} .badge")).to_have_text(badge)
    expect(page.locator("#agent-forager .words")).to_have_text("hyperhive login forager")
    expect(page.locator("#agent-tester .words")).to_have_text("asked by manager")
    expect(page.locator("#agent-mender #first-mender button")).to_have_text("lift")
    assert page.locator("#agent-tester .verbs form button:enabled").count() == 0
    expect(page.locator("#coming-scout .c-state > span").first).to_have_text("spawning…")
    expect(page.locator("#stone-mole .c-size")).to_have_text("1.2 GB")
    expect(page.locator("#stone-mole .c-age")).to_have_text("21 days ago")
    expect(page.locator("#agent-coder .c-today")).to_contain_text("$2.61")


def test_obscured_words_are_plain_for_ears(night: Stage, chromium: Chromium) -> None:
    """Who listens, or looks for a word on the page, has the plain one."""
    page = chromium.tab(night).page
    page.wait_for_selector("#connection[data-live=live]")
    for name in ("questions", "approvals", "swarm", "tombstones", "messages", "activity"):
        expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="destroy coder", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="purge mole", exact=True).first).to_be_visible()
    expect(page.get_by_role("button", name="revive mole", exact=True)).to_be_visible()
    assert "DESTR0Y" in page.inner_text("#swarm")


def test_first_steps(fresh: Stage, chromium: Chromium) -> None:
    """A new hive says what to do next, and leads there; every empty place says what will come."""
    page = chromium.tab(fresh).page
    page.wait_for_selector("#connection[data-live=live]")
    expect(page.locator("#first .step.done")).to_have_count(2)
    page.click("[data-writes=manager]")
    expect(page.locator("#compose-body")).to_be_focused()
    for section in ("questions", "approvals", "tombstones", "messages"):
        expect(page.locator(f"#{section} .empty")).to_be_visible()
    expect(page.locator("#request-spawn")).to_be_visible()
    expect(page.locator(".needs")).to_have_text("nothing needs you")
    page.click("[data-hides=first]")
    page.reload()
    expect(page.locator("#questions")).to_be_visible()
    expect(page.locator("#first")).to_be_hidden()


def test_parked_mail(chromium: Chromium) -> None:
    """Parked mail can be tried again, or dropped."""
    with staged(scene.night()) as stage:
        page = chromium.tab(stage).page
        parked = page.locator(".letter.parked")
        expect(parked).to_contain_text("manager to forager, 5 tries")
        parked.locator("form[action^='/drop/'] button").click()
        expect(parked).to_have_count(0)
        assert stage.facts("inbox-forager")[-1]["type"] == "MessageDropped"
    with staged(scene.night()) as stage:
        page = chromium.tab(stage).page
        page.click("form[action^='/requeue/'] button")
        expect(page.locator(".letter.parked")).to_have_count(0)
        assert stage.facts("inbox-forager")[-1]["type"] == "MessageRequeued"


def test_rebuild_all_that_need_it(chromium: Chromium) -> None:
    """One press rebuilds every container that needs an update, one after the other."""

    def hello(stage: Stage, name: str, version: str) -> None:
        fact = HarnessStarted(agent=name, run=f"run-{version}", version=version)
        stage.dispatch(ReportFact(actor=actor_of_agent(name), agent=name, fact=fact))

    with staged(scene.night()) as stage:
        page = chromium.tab(stage).page
        for name in ("coder", "reviewer"):
            hello(stage, name, "0.0.1")
            expect(page.locator(f"#agent-{name} .badge")).to_have_text("needs update")
        expect(page.locator("#rebuild-outdated button")).to_have_text("rebuild the 2 that need it")
        page.click("#rebuild-outdated button")
        for name, other in (("coder", "reviewer"), ("reviewer", "coder")):
            expect(page.locator(f"#agent-{name}[data-pending] .c-state")).to_contain_text("rebuilding…")
            expect(page.locator(f"#agent-{other}[data-pending]")).to_have_count(0)
            stage.dispatch(ReportOutcome(actor=DAEMON, agent=name, intent=stage.pending(name)))
            hello(stage, name, "0.1.0")
            expect(page.locator(f"#agent-{name} .badge")).to_have_count(0)
        expect(page.locator("#rebuild-outdated")).to_have_count(0)


def test_the_swarm_is_one_click_away(night: Stage, chromium: Chromium) -> None:
    """On a small laptop, below the asks: a click in the bar, or one key, and the swarm is there."""
    page = chromium.tab(night, viewport={"width": 1280, "height": 640}).page
    page.wait_for_selector("#connection[data-live=live]")
    page.click(".swarm-link")
    assert page.evaluate("document.querySelector('#swarm').getBoundingClientRect().top") < 100
    page.evaluate("scrollTo(0, 0)")
    page.keyboard.press("s")
    assert page.evaluate("document.querySelector('#swarm').getBoundingClientRect().top") < 100
