"""States of the dashboard that come seldom or go soon: failures, what has just ended, older facts, quiet refreshes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

import pytest
from playwright.sync_api import Page, Route, expect

from hyperhive.commands.agents import ReportOutcome
from hyperhive.commands.approvals import Approve, ReportApplied
from hyperhive.commands.messages import SendMessage
from hyperhive.commands.questions import AnswerQuestion
from hyperhive.events import agents, egress, messages, questions
from hyperhive.events.configurations import AgentSettings
from hyperhive.events.envelope import DAEMON, MANAGER, OPERATOR
from hyperhive.events.hive import HiveCreated
from tests.web import scene
from tests.web.browser import Chromium, needs_chromium
from tests.web.staged import Stage, Told, staged
from tests.web.waiting import AFTER, BEFORE, configured, proposed

pytestmark = needs_chromium

LETTERS = 130
"""So many facts are more than the activity shows at once."""


def trouble() -> list[Told]:
    """Return what went wrong in a hive, after a lot of mail."""
    named = {name: agents.SpawnSucceeded(agent=name, generation=1) for name in ("manager", "coder", "poet")}
    return [
        Told(900, HiveCreated(hive="h1")),
        *(Told(800, each) for name, fact in named.items() for each in (agents.SpawnRequested(agent=name), fact)),
        *(Told(700, messages.MessageSent(to="coder", sender="operator", body=f"letter {n}")) for n in range(LETTERS)),
        Told(90, agents.RebuildRequested(agent="coder"), OPERATOR),
        Told(80, agents.RebuildFailed(agent="coder", error="no space left\nwhile copying /state", running=True)),
        Told(70, agents.SpawnRequested(agent="weaver"), OPERATOR),
        Told(60, agents.SpawnFailed(agent="weaver", error="no network namespace")),
        Told(50, egress.EgressBlocked(agent="poet", host="evil.example", port=443)),
        Told(40, questions.QuestionAsked(id=1, asker="manager", question="shall we ship? " * 40), MANAGER),
    ]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """A hive in trouble."""
    with staged(trouble()) as found:
        yield found


def opened(stage: Stage, chromium: Chromium) -> Page:
    """Open the dashboard and wait until it is live."""
    page = chromium.tab(stage).page
    page.wait_for_selector("#connection[data-live=live]")
    return page


def test_failures(stage: Stage, chromium: Chromium) -> None:
    """What failed says so in its row, with the reason in its words and all of the output at a press."""
    page = opened(stage, chromium)
    row = page.locator("#agent-coder")
    expect(row.locator(".c-state .red")).to_have_text("rebuild failed")
    expect(row.locator(".words")).to_have_text("it runs on: no space left")
    expect(page.locator("#said-coder")).to_be_hidden()
    page.click("[data-opens=said-coder]")
    expect(page.locator("#said-coder")).to_have_text("no space left\nwhile copying /state")
    stage.dispatch(SendMessage(actor=OPERATOR, to="coder", body="while it is open"))
    expect(page.locator("#facts li").first).to_contain_text("operator wrote to coder")
    expect(page.locator("#said-coder")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#said-coder")).to_be_hidden()
    expect(page.locator("#coming-weaver .c-state")).to_have_text("failed")
    expect(page.locator("#coming-weaver .words")).to_have_text("no network namespace")
    expect(page.locator("#agent-poet .words")).to_have_text("was kept from evil.example")


def test_what_has_ended_goes(chromium: Chromium) -> None:
    """An ask that has ended stays half a minute as one line, or while the pointer is on it; one under way stays."""
    with staged(trouble()) as stage:
        commit = stage.wish("scout", 'model = "sonnet"\n')
        page = opened(stage, chromium)
        page.clock.install()
        page.reload()
        page.wait_for_selector("#connection[data-live=live]")
        stage.dispatch(AnswerQuestion(actor=OPERATOR, question=1, text="on monday"))
        stage.dispatch(Approve(actor=OPERATOR, approval=1, seen=True, commit=commit, base=None))
        over, building = page.locator("#q1-over"), page.locator("#approval-1-built")
        expect(over).to_contain_text("answered by operator: “on monday”")
        assert over.locator(".cut").evaluate("one => one.getBoundingClientRect().right <= innerWidth - 336"), "it fits"
        expect(building).to_contain_text("approved by operator")
        expect(building).to_contain_text("applying…")
        over.hover()
        page.clock.fast_forward(32_000)
        expect(over).to_be_visible()
        page.mouse.move(0, 0)
        page.clock.fast_forward(2_000)
        expect(over).to_be_hidden()
        expect(building).to_be_visible()


def test_older_activity_in_place(stage: Stage, chromium: Chromium) -> None:
    """What is older comes below what is shown, by keyboard, too, without gap or repeat while newer facts push on."""
    page = opened(stage, chromium)
    shown = "[...document.querySelectorAll('#activity li[id^=fact-]')].map(row => Number(row.id.slice(5)))"
    older = page.locator("#activity .older a")
    first = page.evaluate(shown)
    expect(older).to_have_attribute("href", f"/past?at={first[-1]}")
    older.focus()
    page.keyboard.press("Enter")
    page.wait_for_function(f"count => {shown}.length > count", arg=len(first))
    for number in range(5):
        stage.dispatch(SendMessage(actor=OPERATOR, to="poet", body=f"meanwhile {number}"))
    newest = stage.facts("inbox-poet")[-1]["position"]
    page.wait_for_function(f"head => {shown}[0] === head", arg=newest)
    page.select_option("#activity-about", "agent:poet")
    expect(page.locator("#older-facts > li[id^=fact]:visible")).to_have_count(0)
    page.select_option("#activity-about", "")
    while older.is_visible():
        count = page.evaluate(f"{shown}.length")
        older.click()
        page.wait_for_function(
            f"count => {shown}.length > count || document.querySelector('#activity .older a').hidden", arg=count
        )
    page.wait_for_function(f"() => {shown}.at(-1) === 1")
    everything = page.evaluate(shown)
    assert everything == sorted(set(everything), reverse=True)
    letters = [fact["position"] for fact in stage.facts("inbox-coder")]
    assert set(letters) <= set(everything)
    assert page.url == f"{stage.home}/"


def test_countdowns(chromium: Chromium) -> None:
    """A countdown is calm, amber in its last ten minutes, filled in its last one, and grey when it is over."""
    asked = {7_200: "ink2", 300: "amber", 30: "fill-ink", -1: "ink3"}
    told = [
        Told(
            40,
            questions.QuestionAsked(id=n, asker="manager", question="ship?", deadline_at=scene.deadline(left)),
            MANAGER,
        )
        for n, left in enumerate(asked, 1)
    ]
    with staged([Told(900, HiveCreated(hive="h1")), *told]) as stage:
        page = opened(stage, chromium)
        looks = """() => [...document.querySelectorAll('.ask .countdown')].map((one) => {
          const { color, backgroundColor } = getComputedStyle(one);
          return [color, backgroundColor !== 'rgba(0, 0, 0, 0)'];
        })"""
        tokens = """names => names.map((name) => {
          const one = document.body.appendChild(document.createElement('i'));
          one.style.color = `var(--${name})`;
          return getComputedStyle(one).color;
        })"""
        colours = page.evaluate(tokens, list(asked.values()))
        wanted = [[colour, name == "fill-ink"] for colour, name in zip(colours, asked.values(), strict=True)]
        assert page.evaluate(looks) == wanted
        expect(page.locator("#q4 .countdown")).to_contain_text("0s")


def test_pressed_before_the_page_knew(chromium: Chromium) -> None:
    """An approval whose base moved before the page heard of it is refused with what moved; nothing is granted."""
    with staged(trouble()) as stage:
        first = configured(stage, "coder", BEFORE)
        second, commit = proposed(stage, "coder", BEFORE.replace("2048", "4096"))
        stage.dispatch(Approve(actor=OPERATOR, approval=second, seen=True, commit=commit, base=first))
        third, _ = proposed(stage, "coder", AFTER)
        tab = chromium.tab(stage)
        tab.expected = ("status of 409",)
        page = tab.page
        page.wait_for_selector(f"#approval-{third} .diff mark")
        page.fill(f"#note-{third}", "half a thou")
        held: list[Route] = []
        page.route("**/page/dashboard*", lambda route: held.append(route))  # noqa: PLW0108 - playwright marks it
        stage.dispatch(ReportApplied(actor=DAEMON, approval=second, settings=AgentSettings(model="sonnet")))
        stage.dispatch(ReportOutcome(actor=DAEMON, agent="coder", intent=stage.pending("coder")))
        page.click(f"#approve-{third} .btn.main")
        why = page.locator(f"#approve-{third} [data-error]")
        expect(why).to_contain_text(f"not approved: the base moved from {first[:12]} to {commit[:12]};")
        expect(page.locator(f"#approve-{third} .btn.main")).to_have_text("try again")
        expect(page.locator(f"#note-{third}")).to_have_value("half a thou")
        assert [fact["type"] for fact in stage.facts(f"approval-{third}")] == ["ApprovalRequested"]
        assert tab.trouble == []


def test_logs_that_are_not_followed(chromium: Chromium) -> None:
    """Logs are read again while they are followed; whoever stops that stays where they read, until they go on."""
    reads = iter(range(1, 10_000))

    async def journal(_name: str, _unit: str, _lines: int) -> str:
        return f"read {next(reads)}\n" + "line\n" * 60

    with staged(scene.night(), journal=journal) as stage:
        page = opened(stage, chromium)
        page.clock.install()
        page.reload()
        page.wait_for_selector("#connection[data-live=live]")
        page.click("[data-logs=coder]")
        lines, follow = page.locator("#logs-coder .logs-lines"), page.locator("#logs-coder .switch")
        idle = page.locator("#logs-coder [data-refresh]:not([data-state])")
        expect(lines).to_contain_text("read 1")
        page.clock.fast_forward(2_500)
        expect(lines).not_to_contain_text(re.compile(r"read 1(?!\d)"))
        lines.evaluate("one => { one.scrollTop = 0; }")
        follow.uncheck()
        expect(idle).to_be_visible()
        shown = lines.inner_text()
        assert lines.evaluate("one => one.scrollTop") == 0
        page.clock.fast_forward(60_000)
        assert idle.count() == 1, "it is not read again"
        assert lines.inner_text() == shown
        follow.check()
        expect(lines).not_to_have_text(shown)
        assert lines.evaluate("one => one.scrollTop + one.clientHeight >= one.scrollHeight - 2")


_ASKED = """(() => {
  const real = window.fetch;
  window.asked = { at: [], open: 0 };
  window.fetch = (path, options) => {
    if (path !== "/page/dashboard") return real(path, options);
    window.asked.at.push(Date.now());
    window.asked.open += 1;
    const answer = real(path, options);
    const { port1, port2 } = new MessageChannel(); // whoever asked goes on before this is heard
    port1.onmessage = () => { window.asked.open -= 1; };
    answer.then((told) => told.clone().text()).finally(() => port2.postMessage(""));
    return answer;
  };
})()"""


@pytest.mark.parametrize(("told", "seconds"), [(scene.night, 2), (scene.fresh, 5)])
def test_refreshes_without_traffic(chromium: Chromium, told: object, seconds: int) -> None:
    """A page that hears nothing asks again after 5 seconds, after 2 where something is pending."""
    assert callable(told)
    with staged(told()) as stage:
        page = chromium.tab(stage).page
        page.add_init_script(_ASKED)
        page.clock.install()
        page.reload()
        page.wait_for_selector("#connection[data-live=live]")
        page.clock.pause_at(page.evaluate("Date.now() + 20000"))
        while page.evaluate("asked.at.length") < 5:
            page.wait_for_function("() => asked.open === 0", polling=20)
            page.clock.run_for(100)
        gaps = [(later - former) / 1_000 for former, later in pairwise(page.evaluate("asked.at.slice(2)"))]
        assert len(gaps) >= 2
        assert all(seconds <= gap < seconds + 2 for gap in gaps), gaps
