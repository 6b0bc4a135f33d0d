"""Approvals in Chromium: what a real session asks for is shown whole, and what is shown is what is decided about."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.hive.live import LiveHive
from tests.hive.rehearsed import hive, opened, proposed, running, tab, types
from tests.web.browser import Chromium, Tab, _browser, chromium, needs_chromium

__all__ = ["_browser", "chromium", "hive", "tab"]

pytestmark = [pytest.mark.hive, needs_chromium]

TOML = ["# coder: writes code, fixes what breaks", 'model = "sonnet"', "", "[limits]", "turn_seconds = 600"]


def test_spawn(hive: LiveHive, tab: Tab) -> None:
    """The operator asks for an agent, sees what that is, approves it, and it comes."""
    page = tab.page
    page.click("[data-opens=ask-agent]")
    page.fill("#request-spawn [name=name]", "weaver")
    page.fill("#request-spawn [name=reason]", "writes code")
    page.click("#request-spawn button")
    ask = page.locator("article.approval.spawn:has-text('weaver')")
    expect(ask).to_contain_text("“writes code”")
    expect(page.locator("[data-needs]")).to_contain_text("approval")
    ask.locator(".btn.main").click()
    expect(page.locator("#agent-weaver .verbs")).to_be_visible()
    hive.until("it runs", lambda: "weaver" in running(hive))
    expect(page.locator("#approvals .over:has-text('weaver')")).to_contain_text("approved by operator")


def test_spawn_with_a_configuration(hive: LiveHive, tab: Tab) -> None:
    """Model and role prompt are the new agent's `agent.toml`, shown whole before it is approved."""
    page = tab.page
    page.click("[data-opens=ask-agent]")
    page.fill("#request-spawn [name=name]", "scribe")
    page.fill("#request-spawn [name=model]", "vendor/large")
    page.fill("#request-spawn [name=prompt]", 'You write docs.\nYou say "done" at the end.')
    page.click("#request-spawn button")
    ask = page.locator("article.approval.spawn:has-text('scribe')")
    expect(ask.locator(".l.add code")).to_have_text(
        ['model = "vendor/large"', 'prompt = """', "You write docs.", r"You say \"done\" at the end." + '"""']
    )
    ask.locator(".btn.main:enabled").click()
    applied = hive.until("it is applied", lambda: hive.facts("configuration-scribe"))
    settings = applied[-1]["data"]["settings"]
    assert (settings["model"], settings["prompt"]) == ("vendor/large", 'You write docs.\nYou say "done" at the end.')
    hive.awake("scribe")
    expect(page.locator("#agent-scribe .c-model")).to_have_text("vendor/large")


def test_name_taken(tab: Tab) -> None:
    """A wish that cannot be had says why beside its button, and keeps what was typed."""
    page = tab.page
    page.click("[data-opens=ask-agent]")
    page.fill("#request-spawn [name=name]", "coder")
    page.click("#request-spawn button")
    expect(page.locator("#request-spawn [data-error]")).to_contain_text("coder exists already")
    expect(page.locator("#request-spawn [name=name]")).to_have_value("coder")


def test_superseded_then_denied(hive: LiveHive, tab: Tab) -> None:
    """A proposal gives way to a newer one of its agent; that is shown whole, in colour, and denied with a note."""
    page = tab.page
    former = proposed(hive, "coder", 300, "more haste")
    page.fill(f"#note-{former}", "half a thou")
    number = proposed(hive, "coder", 600, "sonnet gave up twice")
    expect(page.locator(f"#approval-{former}")).to_have_count(0)
    expect(page.locator(f"#approval-{former}-over")).to_contain_text(f"superseded by #{number}")
    ask = page.locator(f"#approval-{number}")
    expect(ask.locator(".diff .file")).to_contain_text("agent.toml")
    expect(ask.locator(".diff .l.add code")).to_have_text(TOML)
    expect(ask.locator(".hl-c")).to_have_text(TOML[0])
    expect(ask.locator(".hl-s")).to_have_text('"sonnet"')
    expect(ask).to_contain_text("“sonnet gave up twice”")
    page.fill(f"#note-{number}", "not on a weekend")
    page.click(f"#approve-{number} [formaction]")
    expect(ask).to_have_count(0)
    expect(page.locator(f"#approval-{number}-over")).to_contain_text("denied by operator")
    assert hive.facts(f"approval-{number}")[-1]["data"]["note"] == "not on a weekend"
    assert hive.facts("configuration-coder") == []


def test_applied_and_rolled_back(hive: LiveHive, tab: Tab, chromium: Chromium) -> None:
    """What is approved is applied; another window rolls it back, and the proposal that somebody looks at gives way."""
    name, other = "scribbler", opened(hive, chromium)
    hive.ask("spawn", name=name)
    hive.ask("set_paused", name=name, paused=True)
    hive.until("it runs", lambda: name in running(hive))
    page, block = other.page, other.page.locator(f"#configs-{name}")

    def applied() -> list[str]:
        return [fact["data"]["commit"] for fact in hive.facts(f"configuration-{name}")]

    for count, seconds in enumerate((900, 1_200), start=1):
        number = proposed(hive, name, seconds, "as it was said")
        tab.page.click(f"#approve-{number} .btn.main:enabled")
        hive.until("it is rebuilt", lambda count=count: types(hive, f"agent-{name}").count("RebuildSucceeded") == count)  # type: ignore[misc]
    assert hive.facts(f"configuration-{name}")[-1]["data"]["settings"]["turn_seconds"] == 1_200
    former, newest = applied()
    number = proposed(hive, name, 1_500, "still too short")
    ask = tab.page.locator(f"#approval-{number}")
    expect(ask.locator(".l.del mark")).to_have_text("1200")
    tab.page.fill(f"#note-{number}", "half a thou")
    # A page that has not heard of the newest base: it has the former one in its form.
    late = "(form, base) => { form.elements.base.value = base; form.querySelector('.btn.main').click(); }"
    tab.page.locator(f"#approve-{number}").evaluate(late, former)
    moved = f"not approved: the base moved from {former[:12]} to {newest[:12]}"
    expect(tab.page.locator(f"#approve-{number} [data-error]")).to_contain_text(moved)
    expect(tab.page.locator(f"#note-{number}")).to_have_value("half a thou")
    assert types(hive, f"approval-{number}") == ["ApprovalRequested"]
    page.click(f"[data-opens=configs-{name}]")
    expect(block.locator(f"#config-{name}-{newest[:7]} .badge")).to_have_text("applied")
    back = block.locator(f"#config-{name}-{former[:7]}")
    back.get_by_role("button", name="roll back to").click()
    expect(back.locator(".sure")).to_contain_text(f"roll {name} back to {former[:7]}? its container is rebuilt")
    expect(back.get_by_role("button", name="keep it")).to_be_focused()
    back.get_by_role("button", name="roll back", exact=True).click()
    hive.until("it is applied again", lambda: applied()[-1] == former)
    expect(back.locator(".badge")).to_have_text("applied")
    expect(back.locator(".sure")).to_have_count(0)
    by_hand = hive.facts(f"configuration-{name}")[-1]["data"]["approval"]
    assert [fact["actor"] for fact in hive.facts(f"approval-{by_hand}")[:2]] == ["operator", "operator"]
    for each in (tab, other):
        expect(each.page.locator(f"#approval-{number}")).to_have_count(0)
        expect(each.page.locator(f"#approval-{number}-over")).to_contain_text(f"superseded by #{by_hand}")
    hive.until("it is rebuilt", lambda: types(hive, f"agent-{name}").count("RebuildSucceeded") == 3)
    assert other.trouble == []


def test_too_large(hive: LiveHive, tab: Tab) -> None:
    """What cannot be shown whole cannot be approved, and says so; it can be denied."""
    page = tab.page
    number = proposed(hive, "coder", 700, "a long one", more=6_000)
    ask = page.locator(f"#approval-{number}")
    expect(ask).to_contain_text("what cannot be shown whole cannot be approved")
    expect(ask.locator(".diff .count")).to_contain_text("+")
    expect(ask.locator(".diff .l")).to_have_count(0)
    expect(ask.locator(".btn.main")).to_be_disabled()
    page.click(f"#approve-{number} [formaction]")
    expect(ask).to_have_count(0)
