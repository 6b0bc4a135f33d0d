"""An agent's page in Chromium, with a stream that a test speaks itself."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.served import Served, place
from tests.web.agent.said import Data, Speaker, assistant, mail, prompt, result, system, text, tool
from tests.web.browser import (
    DEADLINE_MS,
    GONE,
    Chromium,
    Tab,
    address_of,
    needs_chromium,
    own_ports,
    token_of,
    with_sleeping_coder,
)
from tests.web.wire import Stream

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A daemon with one agent whose own harness is asleep: nobody writes to it."""
    with place() as found:
        found.serve(*own_ports())
        with_sleeping_coder(found)
        yield found


@pytest.fixture
def coder(served: Served) -> Speaker:
    """What speaks as coder's session."""
    return Speaker(served.run / "agents" / "coder" / "agent.sock")


def opened(chromium: Chromium, served: Served, **options: Any) -> Tab:
    """Open coder's page."""
    tab = chromium.tab(served, path="/agent/coder/", **options)
    tab.page.wait_for_selector("#bar h1 >> text=coder")
    assert tab.page.inner_text("#bar .house") == platform.node()
    tab.page.wait_for_selector("html[data-live=live]")
    return tab


def so(page: Page, expression: str) -> None:
    """Wait until an expression is true in a page, whose policy allows no waiting inside of it."""
    end = time.monotonic() + DEADLINE_MS / 1_000
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"in vain: {expression}"
        page.wait_for_timeout(20)


def up_to(page: Page, selector: str) -> None:
    """Turn the wheel until something older has come."""
    end = time.monotonic() + DEADLINE_MS / 1_000
    page.mouse.move(300, 400)
    while not page.locator(selector).count():
        assert time.monotonic() < end, f"in vain: {selector}"
        page.mouse.wheel(0, -4_000)
        page.wait_for_timeout(20)


def shown(page: Page) -> list[str]:
    """Return the numbers of the lines that are shown, in their order, each as often as it is there."""
    said = page.eval_on_selector_all("#stream .is-prose", "all => all.map(each => each.innerText)")
    return [words.split()[-1] for words in said if "line" in words]


def lines(first: int, last: int) -> list[Data]:
    """Return messages that say which line they are."""
    return [assistant(text(f"line {number}")) for number in range(first, last)]


def test_shapes(served: Served, coder: Speaker, chromium: Chromium) -> None:
    """Words are markup, calls are folded with input and result, errors open, compaction and what nobody knows show."""
    tab = opened(chromium, served)
    coder.report("turn_started", ids=[])
    long = "\n".join(f"row {number}" for number in range(41))
    coder.say(
        prompt(mail("please **look**", id_=1182, sender="manager")),
        assistant({"type": "thinking", "thinking": "hm hm"}, thinking_duration_ms=6_000),
        assistant(text("the **collision** is `real`")),
        assistant(tool("t1", "Bash", command="pytest -q")),
        result("t1", f"Exit code 1\n{long}", failed=True),
        assistant(tool("t2", "Read", file_path="a.py")),
        result("t2", "1\ta", detail={"file": {"numLines": 88}}),
        assistant(tool("t3", "Bash", command="sleep 60")),
        system("api_retry", attempt=2, max_retries=5, error_status=529, error="overloaded", retry_delay_ms=8_000),
        system(
            "compact_boundary", compact_metadata={"pre_tokens": 171_000, "post_tokens": 38_000, "duration_ms": 21e3}
        ),
        {"type": "weather", "rain": ["a lot"]},
    )
    page = tab.page
    page.wait_for_selector(".is-raw >> text=weather")
    assert page.inner_text(".is-mail .name") == "manager"
    assert page.inner_text(".is-mail .said") == "please **look**"
    assert page.inner_text(".is-prose strong") == "collision"
    assert "thought for 6 s" in page.inner_text(".is-thought")
    failed = page.locator("[data-tool=t1]")
    assert failed.get_attribute("open") is not None
    assert "exit 1" in failed.locator("[data-ends]").inner_text()
    assert "last 6 of 42 lines" in failed.inner_text()
    failed.locator("[data-all]").click()
    page.wait_for_selector("[data-tool=t1] pre.whole")
    assert "row 0\n" in failed.locator("pre.whole").inner_text()
    read = page.locator("[data-tool=t2]")
    assert (read.get_attribute("open"), "88 lines" in read.inner_text()) == (None, True)
    read.locator("summary").focus()
    page.keyboard.press("Enter")
    assert "a.py" in read.locator(".input").inner_text()
    assert page.locator("[data-tool=t3] .g-pending").count() == 1
    assert "529 overloaded tried again after 8 s, 2 of 5" in page.inner_text(".is-error")
    assert "compacted, 171k down to 38k tokens in 21 s" in page.inner_text(".is-compacted")
    page.wait_for_selector(".agent-bar .state >> text=thinking")
    page.wait_for_selector("header.turn >> text=so far")
    coder.report("turn_ended", ok=True, cost_usd=0.21, usage={"input_tokens": 41_000, "output_tokens": 3_200})
    page.wait_for_selector("header.turn[data-ended] >> text=$0.21 ok")
    assert "3 tools, 41k in, 3.2k out" in page.inner_text("header.turn")
    assert page.inner_text("[data-tool=t3] [data-ends]") == "no result"
    page.wait_for_selector(".turn-list >> text=$0.21")
    assert "171k" not in page.inner_text(".context"), "what is left after a compaction counts"
    assert page.inner_text(".context").split() == ["context", "19%", "38k", "of", "200k"]
    assert tab.trouble == []


def test_a_result_joins_its_call(served: Served, coder: Speaker, chromium: Chromium) -> None:
    """A result that comes later ends its call in place, whether that is in this page or comes with an older one."""
    tab = opened(chromium, served)
    page = tab.page
    coder.say(assistant(tool("late", "Bash", command="make")))
    call = page.locator("[data-tool=late]")
    call.wait_for()
    coder.say(result("late", "made"))
    call.locator(".result >> text=made").wait_for(state="attached")
    assert page.locator("[data-of-tool=late]").count() == 0
    coder.say(assistant(tool("far", "Bash", command="far")), *lines(0, 100), result("far", "near"))
    page.wait_for_selector("#stream >> text=line 99")
    page.reload()
    page.wait_for_selector("[data-of-tool=far]")
    up_to(page, "[data-tool=far]")
    assert page.locator("[data-of-tool=far]").count() == 0
    assert tab.trouble == []


def test_pages_and_following(served: Served, coder: Speaker, chromium: Chromium) -> None:
    """It shows the newest, follows unless scrolled up, counts what is newer, and brings older pages without a jump."""
    coder.say(assistant(tool("err", "Bash", command="x")), result("err", "no", failed=True), *lines(1_000, 1_300))
    tab = opened(chromium, served)
    page = tab.page
    page.wait_for_selector("#stream >> text=line 1299")
    every = "(await (await import('/static/ask.js')).ask('/agent/coder/stream?kind=errors')).text()"
    errors = page.evaluate(f"(async () => (await {every}).split('<article').length - 1)()")
    assert page.locator("#stream [data-failed], #stream .is-error").count() < errors
    so(page, f"document.querySelector('[data-errors]').textContent === '{errors}'")
    first = len(shown(page))
    assert first < 120, "it never loads all"
    assert page.evaluate("document.documentElement.scrollHeight - scrollY - innerHeight") < 2
    coder.say(*lines(1_300, 1_302))
    page.wait_for_selector("#stream >> text=line 1301")
    so(page, "document.documentElement.scrollHeight - scrollY - innerHeight < 2")
    page.mouse.move(300, 400)
    page.mouse.wheel(0, -900)
    so(page, "!document.getElementById('follow').checked")
    coder.say(*lines(1_302, 1_314))
    page.wait_for_selector("#newer >> text=12 newer ↓")
    top = page.evaluate("scrollY")
    coder.say(*lines(1_314, 1_315))
    page.wait_for_selector("#newer >> text=13 newer ↓")
    assert page.evaluate("scrollY") == top
    up_to(page, "#stream >> text=line 1000")
    numbers = [int(number) for number in shown(page) if int(number) >= 1_000]
    assert numbers == list(range(1_000, 1_315))
    page.click("#newer button")
    so(page, "document.getElementById('follow').checked")
    so(page, "document.documentElement.scrollHeight - scrollY - innerHeight < 2")
    assert tab.trouble == []


def test_search_and_kinds(served: Served, coder: Speaker, chromium: Chromium) -> None:
    """A search looks through the whole stream, kinds choose among it, and what comes meanwhile is held to them, too."""
    needle = "the needle in coder's hay"
    coder.say(assistant(text(needle)), *lines(2_000, 2_200), assistant(tool("n", "Bash", command="grep needle")))
    tab = opened(chromium, served)
    page = tab.page
    page.wait_for_selector("#stream >> text=line 2199")
    page.keyboard.press("/")
    page.keyboard.type("NEEDLE in coder")
    page.wait_for_selector(f"#stream >> text={needle}")
    so(page, "document.querySelectorAll('#stream .entry').length === 1")
    coder.say(assistant(text("nothing of it")), assistant(text(f"again {needle}")))
    page.wait_for_selector("#stream >> text=again")
    assert page.locator("#stream .entry").count() == 2
    page.keyboard.press("Escape")
    page.wait_for_selector("#stream >> text=line 2199")
    page.click(".kinds >> text=tools")
    page.wait_for_selector("#stream .is-tool >> text=grep needle")
    so(page, "!document.querySelector('#stream .entry:not(.is-tool, .is-result, .is-more)')")
    page.wait_for_selector("#stream .is-tool >> text=grep needle")
    page.fill("#find", "zzz nowhere zzz")
    page.wait_for_selector("#nothing >> text=nothing of that")
    assert tab.trouble == []


def test_without_gap_or_repeat(served: Served, coder: Speaker, chromium: Chromium) -> None:
    """Two pages see every line once and in order, over a restart of the daemon in the middle; a draft stays."""
    tab, other = opened(chromium, served), opened(chromium, served)
    for each in (tab, other):
        each.expected = GONE
        each.page.fill("#say", "half a sen")
    coder.say(*lines(3_000, 3_040))
    port = int(address_of(served).rpartition(":")[2])
    assert served.daemon is not None
    served.daemon.kill()
    served.daemon.wait()
    tab.page.wait_for_selector(".agent-bar >> text=disconnected")
    tab.page.wait_for_selector("#say-form button:disabled[title='the daemon is disconnected']")
    served.serve(*own_ports(), "--listen", f"127.0.0.1:{port}")
    coder.say(*lines(3_040, 3_080))
    for each in (tab, other):
        each.page.wait_for_selector("#stream >> text=line 3079")
        assert [number for number in shown(each.page) if int(number) >= 3_000] == [str(n) for n in range(3_000, 3_080)]
        assert each.page.input_value("#say") == "half a sen"
        each.page.wait_for_selector("html[data-live=live]")
        each.page.wait_for_selector("#say-form button:enabled:not([title])")
        assert each.trouble == []


def test_the_stream_for_programs(served: Served, coder: Speaker) -> None:
    """`/events` gives raw events with their ids, resumes after one, and the page's state is JSON."""
    port = int(address_of(served).rpartition(":")[2])
    live = Stream.open(port, token_of(served), path="/agent/coder/events")
    opening = live.event()
    assert opening is not None
    assert opening.name == "open"
    coder.say(*lines(4_000, 4_003))
    first = live.event()
    assert first is not None
    assert first.data["data"]["message"]["content"] == [{"type": "text", "text": "line 4000"}]
    again = Stream.open(port, token_of(served), path="/agent/coder/events", after=first.id)
    again.event()
    second = again.event()
    assert second is not None
    assert (second.id, second.data["data"]["message"]["content"][0]["text"]) == ((first.id or 0) + 1, "line 4001")
    reset = Stream.open(port, token_of(served), path="/agent/coder/events", after=10**9).event()
    assert reset is not None
    assert reset.name == "reset"


def test_dock(served: Served, chromium: Chromium) -> None:
    """Enter sends, shift and enter break the line, a slash opens the list, tab completes, enter runs it."""
    tab = opened(chromium, served)
    page = tab.page
    page.click("#say")
    page.keyboard.type("first")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("second")
    page.keyboard.press("Enter")
    page.wait_for_selector(".waiting >> text=operator")
    assert served.facts("inbox-coder")[-1]["data"]["body"] == "first\nsecond"
    so(page, "document.getElementById('say').value === ''")
    page.keyboard.type("/co")
    page.wait_for_selector("#completions:not([hidden])")
    names = page.eval_on_selector_all("#completions li:not([hidden])", "all => all.map(each => each.dataset.command)")
    assert names == ["/compact", "/context", "/cost"]
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    assert page.input_value("#say") == "/context "
    page.keyboard.press("Enter")
    page.wait_for_selector(".waiting >> text=/context")
    assert [fact["data"]["text"] for fact in served.facts("turn-coder") if fact["type"] == "SlashCommandGiven"] == [
        "/context"
    ]
    so(page, "document.getElementById('say').value === ''")
    page.keyboard.type("/model vendor/large")
    page.keyboard.press("Enter")
    so(page, "document.getElementById('model-name').value === 'vendor/large'")
    page.select_option("#model-name", "")
    page.click("#say")
    so(page, "document.getElementById('model-name').value === ''")
    served.until("the choice is taken back", lambda: served.ask("agent_status")["agent_statuses"][0]["model"] is None)
    page.fill("#say", "/model --evil")
    page.keyboard.press("Enter")
    page.wait_for_selector("#say-form [data-error] >> text=is no model's name")
    assert page.input_value("#say") == "/model --evil"
    assert [message for message in tab.trouble if "422" not in message] == []


def test_interrupt_by_keys(served: Served, coder: Speaker, chromium: Chromium) -> None:
    """Esc closes what is open; esc twice with nothing open interrupts the turn that runs, once."""
    tab = opened(chromium, served)
    page = tab.page
    coder.report("turn_started", ids=[])
    page.wait_for_selector("#interrupt button:enabled")
    page.click("[data-opens=inbox]")
    page.wait_for_selector("#inbox >> text=mail")
    before = len([fact for fact in served.facts("turn-coder") if fact["type"] == "TurnInterruptRequested"])
    page.keyboard.press("?")
    page.wait_for_selector("#keys >> text=interrupt the turn, with nothing open")
    page.keyboard.press("Escape")
    page.wait_for_selector("#keys", state="hidden")
    assert page.locator("#inbox").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("#inbox").is_hidden()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")

    def asked() -> list[dict[str, Any]]:
        return [fact for fact in served.facts("turn-coder") if fact["type"] == "TurnInterruptRequested"]

    served.until("the interrupt", lambda: len(asked()) > before)
    coder.report("turn_ended", ok=False, error_kind="cancelled", error="the operator ended this turn")
    page.wait_for_selector("header.turn >> text=cancelled")
    page.wait_for_selector("#interrupt button:disabled")
    assert len(asked()) == before + 1
    assert tab.trouble == []


def test_own_port(served: Served, coder: Speaker, chromium: Chromium) -> None:
    """The same page on the agent's own port, with a key of its own: it shows, follows and acts."""
    tab = chromium.tab(served)
    url = tab.page.evaluate(
        "(async () => (await (await (await import('/static/ask.js'))"
        ".ask('/api/agent-key/coder', {method: 'POST'})).json()).url)()"
    )
    page = tab.page.context.new_page()
    page.goto(url)
    page.wait_for_selector("#bar h1 >> text=coder")
    page.wait_for_selector("html[data-live=live]")
    coder.say(*lines(5_000, 5_001))
    page.wait_for_selector("#stream >> text=line 5000")
    page.fill("#say", "over the own port")
    page.keyboard.press("Enter")

    def sent() -> list[str]:
        return [str(fact["data"].get("body")) for fact in served.facts("inbox-coder")]

    served.until("the message", lambda: "over the own port" in sent())


def test_viewer(served: Served, chromium: Chromium) -> None:
    """Who may only look sees all of it and no form."""
    key = served.ask("operator_add", name="vera", role="viewer")["link"].rpartition("=")[2]
    tab = opened(chromium, served, token=key)
    assert tab.page.locator("form").count() == 0
    assert "you may look" in tab.page.inner_text("#dock")
    assert tab.trouble == []


def test_journal_without_motion(served: Served, coder: Speaker, chromium: Chromium) -> None:
    """The journal opens in place, at its newest line, and closes at esc; for whoever wants it still, nothing moves."""
    tab = opened(chromium, served, reduced_motion="reduce")
    page = tab.page
    coder.report("turn_started", ids=[])
    coder.report("status", status="thinking", text="still")
    page.wait_for_selector(".agent-bar .state >> text=thinking")
    page.click("[data-opens=journal]")
    page.wait_for_selector("#journal .lines[data-read] >> text=coder")
    so(
        page,
        "(one => one.scrollTop + one.clientHeight >= one.scrollHeight - 2)(document.querySelector('#journal pre'))",
    )
    assert page.evaluate("document.getAnimations().length") == 0
    box = "document.querySelector('#journal pre').getBoundingClientRect()"
    so(page, f"(one => one.bottom > 100 && one.top < innerHeight)({box})")
    page.keyboard.press("Escape")
    assert page.locator("#journal").is_hidden()
    coder.report("turn_ended", ok=True)
    page.wait_for_selector("#interrupt button:disabled")
    assert tab.trouble == []


_BELOW_THE_BAR = """(([bar, row]) => row.position === "static" || bar.bottom <= row.top)(
  [document.getElementById("bar"), document.querySelector(".tools-row")].map((one) => ({
    position: getComputedStyle(one).position, ...one.getBoundingClientRect().toJSON() })))"""


@pytest.mark.parametrize("width", [320, 360, 600, 760, 1040, 1280])
def test_nothing_sticks_out(served: Served, coder: Speaker, chromium: Chromium, width: int) -> None:
    """Nothing scrolls sideways, at any width, whatever long words an agent writes."""
    coder.say(assistant(text("W" * 500)), assistant(tool("w", "Bash", command="w" * 900)), result("w", "w" * 900))
    coder.report("status", status="thinking", text="w" * 100)
    tab = opened(chromium, served, viewport={"width": width, "height": 700})
    tab.page.wait_for_selector(".is-tool")
    for details in tab.page.locator("#stream details").all():
        details.evaluate("each => each.open = true")
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
    so(tab.page, _BELOW_THE_BAR)
    assert json.dumps(tab.trouble) == "[]"
