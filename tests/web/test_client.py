"""The client's core in Chromium: forms, what is changed in place, a daemon that is killed under an open page."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from tests.served import Served, place
from tests.web.browser import (
    Chromium,
    States,
    Tab,
    address_of,
    needs_chromium,
    own_ports,
    with_coder,
    with_sleeping_coder,
)

pytestmark = needs_chromium

BODY = "#compose-body"
BUTTON = "#compose button"
REACHED = "last => Number(document.querySelector('#connection .at').textContent.replace(/\\D/g, '')) >= last"
"""Whether a page shows the hive as it was at a position, or later."""


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A daemon with one agent."""
    with place() as found:
        found.serve(*own_ports())
        with_sleeping_coder(found)
        yield found


def sent(served: Served) -> list[str]:
    """Return what coder was sent."""
    return [fact["data"]["body"] for fact in served.facts("inbox-coder") if fact["type"] == "MessageSent"]


class TestForms:
    """Every form that does something."""

    def test_failed(self, served: Served, chromium: Chromium) -> None:
        """What was refused says why beside the button, keeps what was typed, and can be tried again."""
        tab = chromium.tab(served)
        tab.expected = ("413",)
        before = len(sent(served))
        tab.page.fill(BODY, "x" * 70_000)
        tab.page.click(BUTTON)
        tab.page.wait_for_selector(f"{BUTTON}[data-state=failed] >> text=try again")
        assert "at most 65536 are allowed" in tab.page.inner_text("#compose [data-error]")
        assert len(tab.page.input_value(BODY)) == 70_000
        served.ask("send", name="coder", body="in between")
        tab.page.wait_for_function(REACHED, arg=served.facts()[-1]["position"])
        assert tab.page.is_visible("#compose [data-error]")
        tab.page.fill(BODY, "shorter")
        assert not tab.page.is_visible("#compose [data-error]")
        states = States.of(tab.page, BUTTON)
        tab.page.click(BUTTON)
        assert states.until("done") == "sent"
        assert tab.page.input_value(BODY) == ""
        tab.page.wait_for_selector(f"{BUTTON}:not([data-state]) >> text=send")
        assert sent(served)[before:] == ["in between", "shorter"]
        assert tab.trouble == []

    def test_pressed_twice(self, served: Served, chromium: Chromium) -> None:
        """While it is busy a second press does nothing, and its width stays."""
        tab = chromium.tab(served)
        before = len(sent(served))
        width = tab.page.eval_on_selector(BUTTON, "button => button.offsetWidth")
        held: list[Route] = []
        tab.page.route("**/send/coder", lambda route: held.append(route))  # noqa: PLW0108 - playwright marks it
        tab.page.fill(BODY, "once")
        tab.page.click(BUTTON)
        tab.page.wait_for_selector(f"{BUTTON}[data-state=busy][aria-busy=true] >> text=sending")
        assert tab.page.eval_on_selector(BUTTON, "button => button.offsetWidth") >= width
        tab.page.click(BUTTON)
        tab.page.press(BODY, "Control+Enter")
        served.until("it is on its way", lambda: tab.page.evaluate("1") and held)
        assert len(held) == 1
        states = States.of(tab.page, BUTTON)
        held[0].continue_()
        states.until("done")
        assert sent(served)[before:] == ["once"]

    def test_two_pages(self, served: Served, chromium: Chromium) -> None:
        """What one does the other one sees, and keeps its own draft."""
        one, two = chromium.tab(served), chromium.tab(served)
        two.page.fill(BODY, "a draft")
        one.page.fill(BODY, "from one")
        states = States.of(one.page, BUTTON)
        one.page.click(BUTTON)
        states.until("done")
        last = served.facts()[-1]["position"]
        two.page.wait_for_function(REACHED, arg=last)
        assert two.page.input_value(BODY) == "a draft"
        assert one.trouble == two.trouble == []


class TestKeys:
    """A key that ends under an open page."""

    def test_removed(self, served: Served, chromium: Chromium) -> None:
        """Whose key is taken away is asked for another one at once, with the reason; drafts stay behind the form."""
        key = served.ask("operator_add", name="ann")["link"].partition("#login=")[2]
        tab = chromium.tab(served, token=key)
        tab.expected = ("401",)
        tab.page.wait_for_selector("#bar >> text=ann")
        tab.page.fill(BODY, "a draft")
        served.ask("operator_remove", name="ann")
        tab.page.wait_for_selector("#login [data-reason] >> text=it may have been removed")
        assert not tab.page.is_visible("#page")
        assert tab.page.evaluate("localStorage.length") == 0
        other = served.ask("operator_add", name="eve")["link"].partition("#login=")[2]
        tab.page.fill("#login input", other)
        tab.page.click("#login button")
        tab.page.wait_for_selector("#bar >> text=eve")
        assert tab.page.input_value(BODY) == "a draft"

    def test_viewer(self, served: Served, chromium: Chromium) -> None:
        """A viewer sees the same without forms, and is refused where a form is made up."""
        key = served.ask("operator_add", name="bob", role="viewer")["link"].partition("#login=")[2]
        tab = chromium.tab(served, token=key)
        tab.expected = ("403",)
        tab.page.wait_for_selector("#swarm >> text=coder")
        assert tab.page.query_selector("form[data-act]") is None
        status = tab.page.evaluate(
            "async () => { const {ask} = await import('/static/ask.js');"
            " try { return (await ask('/freeze', {method: 'POST', body: new URLSearchParams()})).status; }"
            " catch (error) { return [error.status, error.message]; } }"
        )
        assert status == [403, "viewer:bob may only look; an operator may do that"]


_LOOKS = """() => { const seen = [];
  new MutationObserver((all) => seen.push(...all.map((one) => one.oldValue))).observe(
    document.getElementById("connection"), { attributeFilter: ["data-live"], attributeOldValue: true });
  return seen; }"""
"""How the connection stood, each time before it stood otherwise."""


def test_killed_under_an_open_page(chromium: Chromium) -> None:
    """The page says that it is disconnected and keeps what was typed; later it shows what it missed."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        listen = ("--listen", f"127.0.0.1:{free.getsockname()[1]}")
    with place() as served:
        served.serve(*own_ports(), *listen)
        with_coder(served)
        tab = chromium.tab(served)
        tab.expected = ("ERR_", "Failed to load resource")
        page = tab.page
        page.wait_for_selector("html[data-live=live]")
        page.click("[data-opens=destroy-coder]")
        looks = page.evaluate_handle(_LOOKS)
        assert served.stop(signal.SIGKILL).code == -signal.SIGKILL
        page.wait_for_selector("html[data-live=disconnected]")
        sends = page.locator("#page form[data-act] button:not([type=button])")
        expect(page.locator("#restart-coder button[disabled]")).to_have_attribute("title", "the daemon is disconnected")
        page.fill(BODY, "typed while it was away")
        page.fill("#wipe-coder", "coder")
        assert sends.evaluate_all("all => all.filter(one => !one.disabled).map(one => one.outerHTML)") == []
        page.press(BODY, "Control+Enter")
        page.wait_for_selector("#compose [data-error] >> text=not sent, the daemon is disconnected")
        served.serve(*own_ports(), *listen)
        served.ask("send", name="coder", body="missed")
        page.wait_for_selector("html[data-live=live]")
        last = served.facts()[-1]["position"]
        page.wait_for_function(REACHED, arg=last)
        assert looks.evaluate("seen => seen.slice(0, 3)") == ["live", "disconnected", "catching-up"]
        expect(page.locator("#restart-coder button")).to_be_enabled()
        expect(page.locator("#hard-coder button")).to_be_enabled()
        assert page.locator("#page [data-away], #page [title*=disconnected]").count() == 0
        assert page.input_value(BODY) == "typed while it was away"
        page.fill(BODY, "sent when it was back")
        states = States.of(page, BUTTON)
        page.click(BUTTON)
        states.until("done")
        assert sent(served)[-1] == "sent when it was back"
        assert tab.trouble == []


_BEFORE = """<section id="s" data-section="s"><h2>before</h2>
<ul id="u" style-free><li id="a">a</li><li id="b">b</li></ul>
<details id="d"><summary>more</summary><p>one</p></details>
<form id="f" data-act action="/x" method="post">
<input id="t" name="t" value=""><textarea id="w" name="w"></textarea>
<input id="c" type="checkbox" name="c">
<input id="r1" type="radio" name="r" value="1"><input id="r2" type="radio" name="r">
<select id="o"><option>x</option><option>y</option></select><button id="p">press</button></form>
<div id="k" data-keep></div><time id="z" datetime="2026-01-01T00:00:00Z">raw</time>
<div id="sc" class="sc"><p id="long">long</p></div></section>"""
_AFTER = _BEFORE.replace("before", "after").replace('<li id="a">a</li>', '<li id="c2">c</li>').replace(">one<", ">two<")
_USE = """async ([before, after]) => {
  const {morph} = await import("/static/morph.js");
  const {parse} = await import("/static/parse.js");
  const {fill} = await import("/static/times.js");
  const at = (id) => document.getElementById(id);
  document.body.replaceChildren(parse(before).body.firstElementChild);
  fill(document.body);
  document.styleSheets[0].insertRule("#sc { height: 20px; overflow: auto }");
  document.styleSheets[0].insertRule("#long { height: 500px }");
  at("sc").scrollTop = 77;
  at("d").open = true;
  at("t").value = "typed"; at("w").value = "written"; at("c").checked = true; at("r2").checked = true;
  at("o").selectedIndex = 1;
  at("k").append("of a script");
  at("p").dataset.state = "busy"; at("p").textContent = "pressing";
  const reason = Object.assign(document.createElement("p"), {textContent: "no"});
  reason.dataset.error = "";
  at("f").append(reason);
  at("w").focus(); at("w").setSelectionRange(2, 4);
  const same = ["s", "u", "b", "d", "f", "t", "w", "c", "o", "k"].map(at);
  morph(at("s"), parse(after).querySelector("[data-section]"));
  fill(document.body);
  return {
    heading: document.querySelector("h2").textContent,
    rows: [...at("u").children].map((row) => row.id),
    same: same.every((element) => element.isConnected && at(element.id) === element),
    open: at("d").open, inside: at("d").querySelector("p").textContent,
    typed: [at("t").value, at("w").value, at("c").checked, at("r1").checked, at("r2").checked, at("o").value],
    kept: at("k").textContent, button: at("p").textContent, reason: at("f").querySelector("[data-error]")?.textContent,
    focus: [document.activeElement.id, at("w").selectionStart, at("w").selectionEnd],
    scroll: at("sc").scrollTop, time: at("z").textContent === "raw", utc: at("z").title,
  };
}"""


def blank(served: Served, chromium: Chromium) -> Page:
    """Return a page of the site with nothing on it that moves."""
    page = chromium.context().new_page()
    tab = Tab(page, address_of(served))
    page.goto(tab.home)
    page.wait_for_selector("#login input")
    return page


def test_changed_in_place(served: Served, chromium: Chromium) -> None:
    """Text, choices, focus, selection, scroll, open blocks, busy buttons, reasons: all stays that is somebody's."""
    found = blank(served, chromium).evaluate(_USE, [_BEFORE, _AFTER])
    assert found == {
        "heading": "after",
        "rows": ["c2", "b"],
        "same": True,
        "open": True,
        "inside": "two",
        "typed": ["typed", "written", True, False, True, "y"],
        "kept": "of a script",
        "button": "pressing",
        "reason": "no",
        "focus": ["w", 2, 4],
        "scroll": 77,
        "time": False,
        "utc": "2026-01-01 00:00:00 UTC",
    }


def test_what_is_off_does_not_look_ready(served: Served, chromium: Chromium) -> None:
    """The one filled button of a form in which something was typed is not filled while it is off, or pressed."""
    page = blank(served, chromium)
    looks = """() => {
      const form = Object.assign(document.createElement("form"), { className: "x" });
      const button = Object.assign(document.createElement("button"), { className: "btn main" });
      button.style.transition = "none";
      form.append(button);
      form.setAttribute("data-ready", "");
      document.body.append(form);
      const filled = () => getComputedStyle(button).backgroundColor !== "rgba(0, 0, 0, 0)";
      const seen = [filled()];
      button.disabled = true;
      seen.push(filled());
      button.disabled = false;
      button.dataset.state = "busy";
      return [...seen, filled()];
    }"""
    assert page.evaluate(looks) == [True, False, False]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0s"), (-3, "0s"), (42, "42s"), (185, "3m 05s"), (3599, "59m 59s"), (7_800, "2h 10m"), (187_200, "2d 4h")],
)
def test_lengths(served: Served, chromium: Chromium, seconds: int, shown: str) -> None:
    """A length of time is written as everywhere else in the hive."""
    assert (
        blank(served, chromium).evaluate(
            "async (seconds) => (await import('/static/times.js')).length(seconds)", seconds
        )
        == shown
    )


def test_local_times(served: Served, chromium: Chromium) -> None:
    """A time is shown as the clock there has it, with UTC on hover."""
    page = chromium.context(timezone_id="Asia/Tokyo", locale="en-GB").new_page()
    page.goto(address_of(served))
    found = page.evaluate(
        "async ([at, now]) => (await import('/static/times.js')).shown(new Date(at), new Date(now))",
        ["2026-01-01T20:42:00Z", "2026-01-02T01:00:00Z"],
    )
    assert found == "05:42"
