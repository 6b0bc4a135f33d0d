"""The first load of the dashboard with fifty agents, in Chromium: when its content is first painted, what it weighs.

Each load is one of somebody who has the key and nothing else: a context of its own, the key in its storage, an empty
cache. The shell shows nothing by itself, so that the first contentful paint is one of what the daemon says: that it is,
and that all fifty stand there, is checked.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

from playwright.sync_api import Browser, Page, StorageState, sync_playwright

from bench.figures import at_most, note, number, scratch
from bench.state import TOKEN, YOUNG, serving
from tests.web.browser import ARGUMENTS, PROGRAM

LOADS = 9
PAINTED = """() => new Promise((resolve) => {
  new PerformanceObserver((list) => {
    const [first] = list.getEntries();
    const inside = first.element?.closest("#page") !== null;
    resolve([performance.getEntriesByName("first-contentful-paint")[0].startTime, inside]);
  }).observe({ type: "largest-contentful-paint", buffered: true });
})"""


class Loads:
    """Loads the dashboard, each time as for the first time."""

    def __init__(self, browser: Browser, home: str) -> None:
        self._browser = browser
        self._home = home
        self._stored = self._log_in()

    def _log_in(self) -> StorageState:
        context = self._browser.new_context()
        page = context.new_page()
        page.goto(f"{self._home}/#login={TOKEN}")
        page.wait_for_selector("#agent-agent-49")
        stored = context.storage_state()
        context.close()
        return stored

    def measure(self, look: Callable[[Page], float]) -> float:
        """Load a page and look at it."""
        context = self._browser.new_context(storage_state=self._stored, viewport={"width": 1280, "height": 900})
        try:
            page = context.new_page()
            page.goto("about:blank")  # the browser has opened its own window by then
            page.goto(f"{self._home}/", wait_until="commit")
            return look(page)
        finally:
            context.close()


def painted(page: Page) -> float:
    """Return after how many milliseconds the first content of the hive was painted."""
    at, inside = page.evaluate(PAINTED)
    assert inside, "what was painted first is no content of the hive"
    assert page.locator("#swarm .row").count() == 50
    return float(at)


def weight(page: Page) -> float:
    """Return how many bytes came, heads and all, until the dashboard was live."""
    page.wait_for_selector("#connection[data-live=live]")
    return float(
        page.evaluate(
            "performance.getEntries().filter(e => e.transferSize).reduce((sum, e) => sum + e.transferSize, 0)"
        )
    )


def main() -> None:
    """Measure and say."""
    assert PROGRAM is not None, "no chromium; on Debian and Ubuntu: apt install chromium"
    with scratch() as place, serving(place / "young", YOUNG) as served, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=ARGUMENTS)
        loads = Loads(browser, f"http://127.0.0.1:{served.port}")
        loads.measure(painted)
        found = sorted(loads.measure(painted) for _ in range(LOADS))
        at_most("first content of the dashboard painted, 50 agents", statistics.median(found), "ms", 300)
        note(f"from {number(found[0])} to {number(found[-1])} ms in {LOADS} loads with an empty cache")
        at_most("its weight as it travels, all that is fetched", loads.measure(weight) / 1_000, "kB", 100)
        browser.close()


if __name__ == "__main__":
    main()
