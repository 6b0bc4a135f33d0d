"""``python -m tests.web.screens [NAME …]``: takes the pictures that stand in docs/screens, or those of some pages."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.served import place
from tests.web import scene, shift, waiting
from tests.web.agent.said import Speaker
from tests.web.agent.session import plays
from tests.web.browser import ARGUMENTS, DEADLINE_MS, PROGRAM, address_of, own_ports, token_of, with_sleeping_coder
from tests.web.staged import TOKEN, Stage, staged

PLACE = Path(__file__).parents[2] / "docs" / "screens"
SCHEMES = ("dark", "light")
WIDTHS = (1280, 360)
_STILL = "() => document.getAnimations().every(one => one.effect.getTiming().iterations === Infinity)"
_BRIGHT = "() => document.getAnimations().forEach(one => { one.pause(); one.currentTime = 0; })"


@contextlib.contextmanager
def opened(browser: Browser, scheme: str, width: int, height: int = 900) -> Iterator[Page]:
    """Open a window of some width, in one of the two schemes."""
    phone = width < 600
    options: dict[str, Any] = {"viewport": {"width": width, "height": height}, "color_scheme": scheme}
    context = browser.new_context(**options, has_touch=phone)
    context.set_default_timeout(DEADLINE_MS)
    yield context.new_page()
    context.close()


def at_home(page: Page, stage: Stage) -> Page:
    """Log in, and wait until the page is live."""
    page.goto(f"{stage.home}/#login={TOKEN}")
    page.wait_for_selector("#connection[data-live=live]")
    return page


def take(page: Page, name: str, scheme: str, width: int, **options: Any) -> None:
    """Take a picture, with nothing under the pointer, nothing fading and every pulse at its brightest."""
    page.mouse.move(0, 0)
    page.wait_for_function(_STILL)
    page.evaluate(_BRIGHT)
    page.screenshot(path=PLACE / f"{name}-{scheme}-{width}.png", **options)


def dashboard(browser: Browser) -> None:
    """Everything that a night can bring, half answered."""
    with staged(scene.night(), journal=scene.journal, kept=scene.kept()) as stage:
        waiting.two(stage)
        for scheme in SCHEMES:
            for width in WIDTHS:
                with opened(browser, scheme, width) as page:
                    at_home(page, stage).wait_for_selector(".approval .diff mark")
                    page.check("#q32-1")
                    page.check("#q32-3")
                    page.fill("#q32-free", "only rows after 2025")
                    page.check("#q31-1")
                    page.click("[data-logs=coder]")
                    page.wait_for_selector("#logs-coder .logs-lines[data-read]")
                    page.click("[data-opens=purge-mole]")
                    page.evaluate("document.activeElement.blur()")
                    page.evaluate("scrollTo(0, 0)")
                    take(page, "dashboard", scheme, width, full_page=True)


def states(browser: Browser) -> None:
    """What asks before it acts, what was refused, and a frozen hive."""
    with staged(scene.night(), journal=scene.journal, kept=scene.kept()) as stage:
        waiting.two(stage)
        for scheme in SCHEMES:
            with opened(browser, scheme, 1280) as page:
                at_home(page, stage).wait_for_selector(".approval .diff mark")
                page.click("[data-opens=cancel-31]")
                page.click("[data-opens=destroy-reviewer]")
                page.fill("#wipe-reviewer", "revie")
                page.click("[data-opens=ask-agent]")
                page.fill("#request-spawn [name=name]", "coder")
                page.fill("#request-spawn [name=prompt]", "you write code.")
                page.click("#request-spawn button")
                page.wait_for_selector("#request-spawn [data-error]:not([hidden])")
                page.click("#freeze button")
                page.wait_for_selector("#thaw")
                page.evaluate("document.activeElement.blur()")
                page.focus("#note-2")
                page.evaluate("scrollTo(0, 0)")
                take(page, "states", scheme, 1280, full_page=True)
                page.click("#thaw button")
                page.wait_for_selector("#freeze")


def asks(browser: Browser) -> None:
    """Approvals whose base moved, that are superseded, too large or being built; a question that ran out."""
    for scheme in SCHEMES:
        with staged(scene.night(), kept=scene.kept()) as stage, opened(browser, scheme, 1280) as page:
            waiting.moved(stage)
            at_home(page, stage).wait_for_selector("#approval-3 .diff mark")
            waiting.move(stage)
            page.wait_for_selector("#approval-3 [data-stale] p")
            waiting.ended(stage)
            page.wait_for_selector("#approval-6 .btn.main[disabled]")
            page.check("#q31-2")
            page.wait_for_selector("#questions >> text=expired")
            take(page, "asks", scheme, 1280, clip={"x": 0, "y": 0, "width": 1280, "height": 1_000}, full_page=True)


def away(browser: Browser) -> None:
    """A page whose daemon does not answer: what was there stays readable, what was typed is kept."""
    for scheme in SCHEMES:
        with staged(scene.night(), kept=scene.kept()) as stage, opened(browser, scheme, 1280) as page:
            waiting.two(stage)
            at_home(page, stage).wait_for_selector(".approval .diff mark")
            page.fill("#note-2", "ask reviewer first")
            stage.end()
            page.wait_for_selector("html[data-live=disconnected]")
            expect(page.locator("#restart-coder button")).to_be_disabled()
            take(page, "away", scheme, 1280)


def fresh(browser: Browser) -> None:
    """A hive that has just begun."""
    with staged(scene.fresh()) as stage:
        for scheme in SCHEMES:
            for width in WIDTHS:
                with opened(browser, scheme, width) as page:
                    take(at_home(page, stage), "fresh", scheme, width, full_page=True)


def past(browser: Browser) -> None:
    """The past: the window alone, at a crash."""
    with staged(shift.shift()) as stage:
        for scheme in SCHEMES:
            for width in WIDTHS:
                with opened(browser, scheme, width, 1_000 if width > 600 else 1_400) as page:
                    page.goto(f"{stage.home}/past?at={shift.CRASHED}#login={TOKEN}")
                    page.wait_for_selector("#handle")
                    page.wait_for_selector("#connection[data-live=live]")
                    take(page, "past", scheme, width)


def agent(browser: Browser) -> None:
    """An agent's page, in the middle of a turn."""
    with place() as served:
        served.serve(*own_ports())
        with_sleeping_coder(served)
        plays(served, Speaker(served.run / "agents" / "coder" / "agent.sock"))
        for scheme in SCHEMES:
            for width in WIDTHS:
                with opened(browser, scheme, width, 1_400) as page:
                    page.goto(f"{address_of(served)}/agent/coder/#login={token_of(served)}")
                    page.wait_for_selector("html[data-live=live]")
                    page.wait_for_selector(".is-tool .g-pending")
                    if width > 600:
                        page.click("#say")
                        page.keyboard.type("/c")
                        page.wait_for_selector("#completions:not([hidden])")
                    take(page, "agent", scheme, width)


PAGES: Mapping[str, Callable[[Browser], None]] = {
    each.__name__: each for each in (dashboard, states, asks, away, fresh, past, agent)
}


def main() -> None:
    """Take them, all or those that are named."""
    PLACE.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=ARGUMENTS)
        for name in sys.argv[1:] or PAGES:
            PAGES[name](browser)
        browser.close()


if __name__ == "__main__":
    main()
