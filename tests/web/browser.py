"""Pages in a real Chromium: a daemon (or a whole hive) in a process of its own, and tabs that are logged in.

A test that needs Chromium asks for ``chromium`` and says in ``pytestmark`` that it does:

    pytestmark = needs_chromium

    def test_shows(chromium: Chromium) -> None:
        with place() as served:
            served.serve()
            tab = chromium.tab(served)
            tab.page.wait_for_selector("[data-section=swarm]")

Every tab notes what a page must never do (`Tab.trouble`): errors, refused content, requests to anywhere else.
"""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import attrs
import pytest
from playwright.sync_api import Browser, BrowserContext, JSHandle, Page, Request, expect, sync_playwright

from tests.served import Served

PROGRAM = shutil.which("chromium")
_WITHOUT = (
    # Each context has a window, and each window loads the pages of a list below its address bar, which nobody sees:
    # half of what a context costs.
    *("WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "WebUIOmniboxFullPopup"),
    # Chromium takes the last list alone, so what Playwright would do without stands here, too.
    *("AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "HttpsUpgrades", "LensOverlay"),
    *("MediaRouter", "NetworkTimeServiceQuerying", "OptimizationHints", "PaintHolding", "PreconnectToSearch"),
    *("AimEnabled", "HttpsFirstBalancedModeAutoEnable", "AvoidCorsURLLoaderRestartOnRedirect"),
)
ARGUMENTS = [
    f"--disable-features={','.join(_WITHOUT)}",
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
]
DEADLINE_MS = 60_000
"""For what takes a moment; generous, since the machine may be busy."""

GONE = ("net::ERR_",)
"""In whatever Chromium says of a daemon that died, whichever moment of a request that was."""

expect.set_options(timeout=DEADLINE_MS)
needs_chromium = pytest.mark.skipif(PROGRAM is None, reason="no chromium; on Debian and Ubuntu: apt install chromium")


class Serves(Protocol):
    """A running daemon: `tests.served.Served`, or a whole hive (`tests.hive.live.LiveHive`)."""

    def ask(self, cmd: str, **fields: object) -> dict[str, Any]:
        """Say something on host.sock."""


def address_of(served: Serves) -> str:
    """Return where its site is, without a slash at the end."""
    return str(served.ask("urls")["urls"]["home"]).rstrip("/")


@attrs.define
class Tab:
    """One tab, and what went wrong in it."""

    page: Page
    home: str
    trouble: list[str] = attrs.field(factory=list)
    expected: tuple[str, ...] = ()
    """Parts of console messages that are no trouble, such as those of a daemon that is down."""

    def watch(self) -> None:
        """Note what a page must never do."""
        self.page.on("pageerror", lambda error: self.trouble.append(f"error: {error}"))
        self.page.on("console", lambda message: self._on_console(message.type, message.text))
        self.page.on("request", lambda request: self._on_request(request))  # noqa: PLW0108 - playwright marks a method, and slots take no mark

    def _on_console(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"} and not any(part in text for part in self.expected):
            self.trouble.append(f"console: {text}")

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.home}/", "about:")):
            self.trouble.append(f"request: {request.url}")

    def go(self, path: str = "/") -> Tab:
        """Open a path of the site and wait until the page is there."""
        self.page.goto(f"{self.home}{path}")
        self.page.wait_for_selector("#page:not([hidden], [inert])")
        return self


@attrs.frozen
class Chromium:
    """One browser; each context is a person of its own, with a storage of its own."""

    browser: Browser
    contexts: list[BrowserContext] = attrs.field(factory=list)

    def context(self, **options: Any) -> BrowserContext:
        """Open a storage of its own."""
        context = self.browser.new_context(**options)
        context.set_default_timeout(DEADLINE_MS)
        self.contexts.append(context)
        return context

    def tab(self, served: Serves, *, token: str | None = None, path: str = "/", **options: Any) -> Tab:
        """Open the dashboard (or another path) in a new context, logged in as the operator or whoever has ``token``."""
        home = address_of(served)
        tab = Tab(self.context(**options).new_page(), home)
        tab.watch()
        tab.go(f"{path}#login={token or token_of(served)}")
        return tab

    def close(self) -> None:
        """Close every context."""
        while self.contexts:
            self.contexts.pop().close()


_STATES = """selector => { const seen = [];
  const note = () => { const button = document.querySelector(selector);
    const said = [button?.dataset.state ?? "", button?.textContent.trim() ?? ""];
    if (said.join() !== seen.at(-1)?.join()) seen.push(said); };
  new MutationObserver(note).observe(document, { subtree: true, childList: true, attributes: true });
  return seen; }"""


@attrs.frozen
class States:
    """What a button says from now on, in its order: some of it stands for two seconds, when nobody may look."""

    page: Page
    seen: JSHandle

    @classmethod
    def of(cls, page: Page, selector: str) -> States:
        """Begin to note."""
        return cls(page, page.evaluate_handle(_STATES, selector))

    def until(self, state: str) -> str:
        """Wait until it has been in a state; return what it said then."""
        end = time.monotonic() + DEADLINE_MS / 1_000
        while True:
            found: list[list[str]] = self.seen.evaluate("seen => seen")
            if words := [said for was, said in found if was == state]:
                return words[-1]
            assert time.monotonic() < end, f"never {state}: {found}"
            self.page.wait_for_timeout(20)


def own_ports() -> tuple[str, ...]:
    """Return options of a daemon whose one agent has a port that nobody else on this machine has."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # The range has to lie below 60,000; the system gives ports up to 60,999.
    return ("--set", f"ports.base={min(port, 59_999)}", "--set", "ports.count=1")


def with_coder(served: Served) -> None:
    """Let there be an agent coder that runs (and has no login)."""
    served.ask("spawn", name="coder")
    served.until("coder runs", lambda: [row for row in served.ask("agent_status")["agent_statuses"] if row["running"]])


def with_sleeping_coder(served: Served) -> None:
    """Let there be an agent coder whose harness is there, has taken no mail and never will: a test speaks for it."""
    served.ask("freeze")
    with_coder(served)
    served.until("its harness", lambda: [one for one in served.facts("turn-coder") if one["type"] == "HarnessStarted"])
    served.ask("set_paused", name="coder", paused=True)
    served.ask("thaw")


def token_of(served: Any) -> str:
    """Return the operator's token, as it lies in the data directory."""
    data: Path = served.data if hasattr(served, "data") else served.home / "d"
    return (data / "token").read_text().strip()


def port_of(home: str) -> int:
    """Return the port in an address."""
    port = urlsplit(home).port
    assert port is not None
    return port


@pytest.fixture(scope="module")
def _browser() -> Iterator[Browser]:
    """One Chromium for a module's tests."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def chromium(_browser: Browser) -> Iterator[Chromium]:
    """A browser with nothing in it."""
    found = Chromium(_browser)
    yield found
    found.close()
