"""The dashboard on a rehearsed hive, in two windows at once, over a death of the daemon; and for who may only look."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.hive.live import LiveHive
from tests.hive.rehearsed import asked, decided, hive, opened, proposed
from tests.web.browser import GONE, Chromium, Tab, _browser, address_of, chromium, needs_chromium, port_of

__all__ = ["_browser", "chromium", "hive"]

pytestmark = [pytest.mark.hive, needs_chromium]

EMPTY = {
    "questions": "when an agent needs a decision, it asks here",
    "approvals": "new agents and changed configurations come here before they happen",
    "tombstones": "a destroyed agent leaves its notes here",
}

TOP = "document.getElementById('agent-coder').getBoundingClientRect().top"
SCROLL = "document.querySelector('#logs-coder .logs-lines').scrollTop"


def prints(hive: LiveHive, word: str) -> None:
    """Let coder's container have printed more than its logs show at once."""
    with (hive.home / "d" / "agents" / "coder" / "harness.log").open("a") as log:
        log.writelines(f"{word} {number}\n" for number in range(60))


class Desk:
    """What an operator has begun in two windows, and what must stay of it whatever happens."""

    def __init__(self, hive: LiveHive, one: Page, two: Page) -> None:
        self.one, self.two = one, two
        self.radio = asked(hive, "how shall we ship?: hold it; ship it", how="choose")
        self.ticks = asked(hive, "who reads it?: scribe; poet; weaver", how="tick")
        self.approval = proposed(hive, "coder", 900, "it needs time", more=30)
        one.check(f"#q{self.radio}-1")
        one.fill(f"#q{self.radio}-free", "until mon")
        one.check(f"#q{self.ticks}-1")
        one.check(f"#q{self.ticks}-3")
        one.select_option("#activity-about", "kind:question")
        one.focus(f"#q{self.radio}-free")
        two.fill(f"#note-{self.approval}", "wel")
        two.fill("#compose-body", "half a letter")
        prints(hive, "before")
        two.click("[data-logs=coder]")
        expect(two.locator("#logs-coder .logs-lines")).to_contain_text("before 59")
        two.click("[data-opens=destroy-coder]")
        two.fill("#wipe-coder", "cod")
        two.locator("#logs-coder .logs-lines").evaluate("one => { one.scrollTop = 300; }")
        two.evaluate("document.getElementById('swarm').scrollIntoView()")
        self.top = float(two.evaluate(TOP))

    def stands(self) -> None:
        """See that nothing is lost."""
        one, two = self.one, self.two
        expect(one.locator(f"#q{self.radio}-1")).to_be_checked()
        expect(one.locator(f"#q{self.radio}-free")).to_have_value("until mon")
        expect(one.locator(f"#q{self.radio}-free")).to_be_focused()
        checked = one.locator(f"#q{self.ticks} input[type=checkbox]").evaluate_all("all => all.map(one => one.checked)")
        assert checked == [True, False, True]
        expect(one.locator("#activity-about")).to_have_value("kind:question")
        expect(two.locator(f"#note-{self.approval}")).to_have_value("wel")
        expect(two.locator("#compose-body")).to_have_value("half a letter")
        expect(two.locator("#logs-coder .logs-lines")).to_be_visible()
        assert two.evaluate(SCROLL) == 300
        expect(two.locator("#destroy-coder")).to_be_visible()
        expect(two.locator("#wipe-coder")).to_have_value("cod")
        assert abs(two.evaluate(TOP) - self.top) < 2, "what somebody looks at was pushed away"


def newest(page: Page) -> list[str]:
    """Return the activity's rows, the newest first."""
    found: list[str] = page.evaluate("[...document.querySelectorAll('#facts li[id]')].map(row => row.id)")
    return found


def reaches(tab: Tab, hive: LiveHive) -> None:
    """Wait until a window shows all that there is."""
    head: Any = hive.facts()[-1]["position"]
    shown = "document.querySelector('#connection .at').textContent.replace(/\\D/g, '')"
    tab.page.wait_for_function(f"head => Number({shown}) >= head", arg=head)


def test_nothing_waits(hive: LiveHive, chromium: Chromium) -> None:
    """Where nobody waits, empty sections say what will come there, and the bar that nothing needs anybody."""
    decided(hive)
    page = opened(hive, chromium).page
    for section, says in EMPTY.items():
        expect(page.locator(f"#{section} .empty")).to_contain_text(says)
    expect(page.locator("[data-needs]")).to_contain_text("nothing needs you")
    top = "id => document.getElementById(id).getBoundingClientRect().top"
    assert page.evaluate(top, "swarm") < page.evaluate(top, "questions"), "the swarm comes first then"


def test_a_night(hive: LiveHive, chromium: Chromium) -> None:
    """Nothing that is begun is lost, as the page changes and as the daemon dies; each act stands in both windows."""
    windows = one, two = opened(hive, chromium), opened(hive, chromium)
    port = port_of(address_of(hive))
    for tab in windows:
        tab.expected = (*tab.expected, *GONE)
    desk = Desk(hive, one.page, two.page)
    hive.ask("send", name="manager", body="write: operator, the first thing")
    prints(hive, "meanwhile")
    later = asked(hive, "and now?")
    for tab in windows:
        expect(tab.page.locator("#messages .letter >> text=the first thing")).to_be_visible()
        expect(tab.page.locator(f"#q{later}")).to_be_attached()
    expect(two.page.locator("#logs-coder .logs-lines")).to_contain_text("meanwhile 59")
    desk.stands()
    hive.kill_daemon()
    for tab in windows:
        expect(tab.page.locator("#connection[data-live=disconnected]")).to_contain_text("last heard")
        expect(tab.page.locator("#approvals .btn.main")).to_be_disabled()
    one.page.press(f"#q{desk.radio}-free", "Control+Enter")
    expect(one.page.locator(f"#answer-{desk.radio} [data-error]")).to_contain_text("what you wrote is kept")
    hive.serve(listen=f"127.0.0.1:{port}")
    hive.ask("send", name="manager", body="write: operator, the second thing")
    for tab in windows:
        tab.page.evaluate("document.querySelector('[data-retry]')?.click()")
        expect(tab.page.locator("#connection[data-live=live]")).to_be_visible()
        expect(tab.page.locator("#messages .letter >> text=the second thing")).to_be_visible()
    desk.stands()

    one.page.locator(f"#q{desk.radio}-free").press_sequentially("day")
    one.page.click(f"#answer-{desk.radio} .btn.main")
    one.page.click(f"#answer-{desk.ticks} .btn.main")
    two.page.locator(f"#note-{desk.approval}").press_sequentially("come")
    two.page.click(f"#approve-{desk.approval} [formaction]")
    two.page.fill(f"#q{later}-free", "yes")
    two.page.click(f"#answer-{later} .btn.main")
    two.page.select_option("#compose-to", "coder")
    two.page.fill("#compose-body", "say: all is written down")
    two.page.click("#compose button")
    for tab in windows:
        expect(tab.page.locator(f"#q{desk.radio}-over")).to_contain_text("hold it, until monday")
        expect(tab.page.locator(f"#approval-{desk.approval}-over")).to_contain_text("denied by operator")
        for words in (
            f"to q{desk.radio}: hold it, until monday",
            f"to q{desk.ticks}: scribe, weaver",
            "all is written",
        ):
            expect(tab.page.locator(f"#messages .letter >> text={words}")).to_be_visible()
    assert hive.facts(f"approval-{desk.approval}")[-1]["data"]["note"] == "welcome"
    two.page.click("#read-messages button")
    for tab in windows:
        expect(tab.page.locator("#messages .letter.new")).to_have_count(0)
    hive.until("both rest", lambda: all(hive.agent(name)["status"] == "idle" for name in ("manager", "coder")))
    for tab in windows:
        reaches(tab, hive)
    hive.until("both show the same", lambda: newest(one.page) == newest(two.page))
    assert len(set(newest(one.page))) == len(newest(one.page))
    assert one.trouble == two.trouble == []


def test_viewers_only_look(hive: LiveHive, chromium: Chromium) -> None:
    """Who may only look is shown everything and offered nothing."""
    question = asked(hive, "may vera see this?: yes; no", how="choose")
    link = hive.ask("operator_add", name="vera", role="viewer")["link"]
    page = chromium.tab(hive, token=link.partition("#login=")[2]).page
    expect(page.locator(f"#q{question}")).to_contain_text("may vera see this?")
    expect(page.locator("#agent-manager")).to_be_visible()
    assert page.locator("#page form[data-act]").count() == 0
    expect(page.locator("[data-me]")).to_have_text("vera")
