"""``python -m tests.web.screens``: takes the pictures of the dashboard that stand in docs/screens."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from hyperhive.commands.agents import ReportOutcome
from hyperhive.commands.approvals import Approve, ReportApplied
from hyperhive.commands.reports import ReportFact
from hyperhive.events.configurations import AgentSettings
from hyperhive.events.envelope import DAEMON, MANAGER, OPERATOR
from hyperhive.events.turns import StatusChanged
from tests.web import scene, shift
from tests.web.browser import ARGUMENTS, PROGRAM
from tests.web.staged import TOKEN, Stage, commit_in, staged

PLACE = Path(__file__).parents[2] / "docs" / "screens"

BEFORE = """\
# coder: writes code, fixes what breaks
model = "sonnet"
recipients = ["manager", "reviewer"]

[limits]
usd_per_day = 0.50
memory_mb = 2048
"""
AFTER = """\
# coder: writes code, fixes what breaks
model = "opus"
recipients = ["manager", "reviewer", "tester"]

[limits]
usd_per_day = 1.25
memory_mb = 2048

[mcp.browser]
command = "playwright-mcp"
args = ["--headless"]
"""


def asks(stage: Stage) -> None:
    """Let two approvals wait: a changed configuration of coder, and a new agent."""
    proposals = stage.proposals
    stage.run(proposals.ensure_proposed("coder", None))
    first = commit_in(stage.data / "proposed" / "coder", BEFORE)
    number = stage.run(proposals.request_apply(MANAGER, "coder", first, ""))
    stage.dispatch(Approve(actor=OPERATOR, approval=number, seen=True, commit=first, base=None))
    stage.dispatch(ReportApplied(actor=DAEMON, approval=number, settings=AgentSettings(model="sonnet")))
    stage.dispatch(ReportOutcome(actor=DAEMON, agent="coder", intent=stage.pending("coder")))
    text = "reproducing the port collision of two agents"
    says = StatusChanged(agent="coder", status="thinking", text=text)
    stage.dispatch(ReportFact(actor=scene.CODER, agent="coder", fact=says))
    second = commit_in(stage.data / "proposed" / "coder", AFTER)
    reason = "the dashboard tests need a browser, and sonnet gave up on the port race twice."
    stage.run(proposals.request_apply(MANAGER, "coder", second, reason))
    wish = "reads upstream release notes every morning and mails me what will break us. needs nothing but the web."
    stage.run(proposals.request_spawn(MANAGER, "lamplighter", wish, 'model = "haiku"\n[limits]\nusd_per_day = 1.0\n'))


def picture(browser: Browser, stage: Stage, name: str, scheme: str, width: int) -> None:
    """Take one picture."""
    phone = width < 600
    context = browser.new_context(
        viewport={"width": width, "height": 780 if phone else 900},
        color_scheme="light" if scheme == "light" else "dark",
        has_touch=phone,
    )
    page = context.new_page()
    page.goto(f"{stage.home}/#login={TOKEN}")
    page.wait_for_selector("#connection[data-live=live]")
    if name == "dashboard":
        page.wait_for_selector(".approval .diff mark")
        page.check("#q32-1")
        page.check("#q32-3")
        page.fill("#q32-free", "only rows after 2025")
        page.check("#q31-1")
        page.click("[data-logs=coder]")
        page.wait_for_selector("#logs-coder .logs-lines[data-read]")
        page.click("[data-opens=purge-mole]")
        page.evaluate("document.activeElement.blur()")
        page.mouse.move(0, 0)
        page.evaluate("scrollTo(0, 0)")
    page.wait_for_function(
        "() => document.getAnimations().every(one => one.effect.getTiming().iterations === Infinity)"
    )
    page.screenshot(path=PLACE / f"{name}-{scheme}-{width}.png", full_page=True)
    context.close()


def states(browser: Browser, stage: Stage, scheme: str) -> None:
    """Take a picture of what asks, fails and waits: a frozen hive, before it destroys and cancels; a refusal."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, color_scheme="light" if scheme == "light" else "dark"
    )
    page = context.new_page()
    page.goto(f"{stage.home}/#login={TOKEN}")
    page.wait_for_selector("#connection[data-live=live]")
    page.wait_for_selector(".approval .diff mark")
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
    page.mouse.move(0, 0)
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_function(
        "() => document.getAnimations().every(one => one.effect.getTiming().iterations === Infinity)"
    )
    page.screenshot(path=PLACE / f"states-{scheme}-1280.png", full_page=True)
    page.click("#thaw button")
    page.wait_for_selector("#freeze")
    context.close()


def looked_back(browser: Browser, stage: Stage, scheme: str, width: int) -> None:
    """Take a picture of the past: the window alone, at a crash."""
    phone = width < 600
    context = browser.new_context(
        viewport={"width": width, "height": 1_400 if phone else 1_000},
        color_scheme="light" if scheme == "light" else "dark",
        has_touch=phone,
    )
    page = context.new_page()
    page.goto(f"{stage.home}/past?at={shift.CRASHED}#login={TOKEN}")
    page.wait_for_selector("#handle")
    page.wait_for_selector("#connection[data-live=live]")
    page.screenshot(path=PLACE / f"past-{scheme}-{width}.png")
    context.close()


def main() -> None:
    """Take them all."""
    PLACE.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=ARGUMENTS)
        with staged(scene.night(), journal=scene.journal, kept=scene.kept()) as stage:
            asks(stage)
            for scheme in ("dark", "light"):
                for width in (1280, 360):
                    picture(browser, stage, "dashboard", scheme, width)
            for scheme in ("dark", "light"):
                states(browser, stage, scheme)
        with staged(scene.fresh()) as stage:
            for scheme in ("dark", "light"):
                picture(browser, stage, "fresh", scheme, 1280)
        with staged(shift.shift()) as stage:
            for scheme in ("dark", "light"):
                for width in (1280, 360):
                    looked_back(browser, stage, scheme, width)
        browser.close()


if __name__ == "__main__":
    main()
