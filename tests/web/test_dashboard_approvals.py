"""Approvals in Chromium: what is shown is what is decided about, with real repositories behind a real daemon."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from hyperhive.commands.agents import ReportOutcome
from hyperhive.commands.approvals import Approve, ReportApplied
from hyperhive.events.configurations import AgentSettings
from hyperhive.events.envelope import DAEMON, OPERATOR
from hyperhive.events.hive import HiveCreated
from tests.served import Served, place
from tests.web.browser import Chromium, Tab, needs_chromium
from tests.web.staged import Told, commit_in, staged
from tests.web.test_dashboard_acts import SETTINGS, running, said

pytestmark = needs_chromium

TOML = """\
# coder: writes code, fixes what breaks
model = "sonnet"

[limits]
turn_seconds = 600
"""


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A daemon with a manager and a coder, in plain processes; whatever else a test needs, it makes."""
    with place() as found:
        found.serve(*SETTINGS)
        found.ask("spawn", name="coder")
        found.until("both run", lambda: len(running(found)) == 2)
        yield found


@pytest.fixture
def tab(served: Served, chromium: Chromium) -> Iterator[Tab]:
    """The dashboard, live."""
    found = chromium.tab(served)
    found.page.wait_for_selector("#connection[data-live=live]")
    found.expected = ("status of 409",)
    yield found
    assert found.trouble == []


def spawned(served: Served, name: str) -> str:
    """Have an agent that no other test knows."""
    served.ask("spawn", name=name)
    served.until("it runs", lambda: name in running(served))
    return name


def wanted(served: Served, name: str, content: str, note: str = "") -> int:
    """Let the manager ask for a changed configuration; return the approval's id."""
    commit = commit_in(served.data / "proposed" / name, content)
    request = {"cmd": "request_apply_commit", "agent": name, "commit": commit, "note": note}
    return int(said(served, "manager", request)["approval_id"])


def test_spawn(served: Served, tab: Tab) -> None:
    """The operator asks for an agent, sees what that is, approves it, and it comes."""
    page = tab.page
    page.click("[data-opens=ask-agent]")
    page.fill("#request-spawn [name=name]", "weaver")
    page.fill("#request-spawn [name=reason]", "writes code")
    page.click("#request-spawn button")
    ask = page.locator("article.approval")
    expect(ask).to_contain_text("spawn weaver")
    expect(ask).to_contain_text("“writes code”")
    expect(page.locator("[data-needs]")).to_contain_text("1 approval")
    page.click("article.approval .btn.main")
    expect(page.locator("#agent-weaver .verbs")).to_be_visible()
    served.until("it runs", lambda: "weaver" in running(served))
    expect(page.locator("#approvals .empty")).to_be_visible()
    expect(page.locator("#approvals .over").first).to_contain_text("approved by operator")


def test_spawn_with_a_configuration(served: Served, tab: Tab) -> None:
    """Model and role prompt are the new agent's `agent.toml`, shown whole before it is approved."""
    page = tab.page
    page.click("[data-opens=ask-agent]")
    page.fill("#request-spawn [name=name]", "scribe")
    page.fill("#request-spawn [name=model]", "vendor/large")
    page.fill("#request-spawn [name=prompt]", 'You write docs.\nYou say "done" at the end.')
    page.click("#request-spawn button")
    ask = page.locator("article.approval")
    expect(ask.locator(".l.add code")).to_have_text(
        ['model = "vendor/large"', 'prompt = """', "You write docs.", r"You say \"done\" at the end." + '"""']
    )
    page.click("article.approval .btn.main:enabled")
    applied = served.until("it is applied", lambda: served.facts("configuration-scribe"))
    settings = applied[-1]["data"]["settings"]
    assert (settings["model"], settings["prompt"]) == ("vendor/large", 'You write docs.\nYou say "done" at the end.')
    expect(page.locator("#agent-scribe .verbs")).to_be_visible()


def test_name_taken(tab: Tab) -> None:
    """A wish that cannot be had says why beside its button, and keeps what was typed."""
    page = tab.page
    page.click("[data-opens=ask-agent]")
    page.fill("#request-spawn [name=name]", "coder")
    page.click("#request-spawn button")
    expect(page.locator("#request-spawn [data-error]")).to_contain_text("coder exists already")
    expect(page.locator("#request-spawn [name=name]")).to_have_value("coder")


def test_diff_then_denied(served: Served, tab: Tab) -> None:
    """A changed configuration is shown whole, in colour, with the reason; denied with a note, nothing is applied."""
    page, name = tab.page, spawned(served, "reader")
    number = wanted(served, name, TOML, "sonnet gave up twice")
    ask = page.locator(f"#approval-{number}")
    expect(ask.locator(".diff .file")).to_contain_text("agent.toml")
    shown = ask.locator(".diff .l.add code").all_text_contents()
    assert shown == TOML.splitlines()
    expect(ask.locator(".hl-c")).to_have_text("# coder: writes code, fixes what breaks")
    expect(ask.locator(".hl-s")).to_have_text('"sonnet"')
    expect(ask).to_contain_text("“sonnet gave up twice”")
    page.fill(f"#note-{number}", "not on a weekend")
    page.click(f"#approve-{number} [formaction]")
    expect(ask).to_have_count(0)
    expect(page.locator(f"#approval-{number}-over")).to_contain_text("denied by operator")
    assert served.facts(f"approval-{number}")[-1]["data"]["note"] == "not on a weekend"
    assert served.facts(f"configuration-{name}") == []


def test_approved(served: Served, tab: Tab) -> None:
    """Approved, exactly the shown commit is applied and the container made anew."""
    page, name = tab.page, spawned(served, "tester")
    number = wanted(served, name, TOML.replace("600", "900"))
    page.click(f"#approve-{number} .btn.main:enabled")
    applied = served.until("it is applied", lambda: served.facts(f"configuration-{name}"))
    assert applied[-1]["data"]["settings"]["turn_seconds"] == 900
    served.until("it is rebuilt", lambda: served.facts(f"agent-{name}")[-1]["type"] == "RebuildSucceeded")
    expect(page.locator(f"#agent-{name} .c-state")).not_to_contain_text("rebuilding")


def test_rolled_back(served: Served, tab: Tab) -> None:
    """What was applied stands below the row; one of them is applied again at a press that says what goes and stays."""
    name = spawned(served, "scribbler")
    page, block = tab.page, tab.page.locator(f"#configs-{name}")

    def applied() -> list[str]:
        return [fact["data"]["commit"] for fact in served.facts(f"configuration-{name}")]

    for count, seconds in enumerate(("900", "1200"), start=1):
        number = wanted(served, name, TOML.replace("600", seconds))
        page.click(f"#approve-{number} .btn.main:enabled")
        served.until("it is applied", lambda count=count: len(applied()) == count)  # type: ignore[misc]
        served.until("it is rebuilt", lambda: name in running(served))
    former, newest = applied()
    page.click(f"[data-opens=configs-{name}]")
    expect(block.locator(f"#config-{name}-{newest[:7]} .badge")).to_have_text("applied")
    back = block.locator(f"#config-{name}-{former[:7]}")
    back.get_by_role("button", name="roll back to").click()
    expect(back.locator(".sure")).to_contain_text(f"roll {name} back to {former[:7]}? its container is rebuilt")
    expect(back.get_by_role("button", name="keep it")).to_be_focused()
    back.get_by_role("button", name="roll back", exact=True).click()
    served.until("it is applied again", lambda: applied()[-1] == former)
    expect(back.locator(".badge")).to_have_text("applied")
    expect(back.locator(".sure")).to_have_count(0)
    by_hand = served.facts(f"configuration-{name}")[-1]["data"]["approval"]
    assert [fact["actor"] for fact in served.facts(f"approval-{by_hand}")[:2]] == ["operator", "operator"]


def test_moved_while_one_looks(chromium: Chromium) -> None:
    """Where the base moves under somebody who looks, the old diff cannot be approved; the new one comes when asked."""
    with staged([Told(100, HiveCreated(hive="h1"))]) as stage:
        first = stage.wish("coder", TOML)
        stage.dispatch(Approve(actor=OPERATOR, approval=1, seen=True, commit=first, base=None))
        stage.dispatch(ReportApplied(actor=DAEMON, approval=1, settings=AgentSettings(turn_seconds=600)))
        stage.dispatch(ReportOutcome(actor=DAEMON, agent="coder", intent=stage.pending("coder")))
        second = stage.wish("coder", TOML.replace("600", "900"))
        stage.dispatch(Approve(actor=OPERATOR, approval=2, seen=True, commit=second, base=first))
        third = stage.wish("coder", TOML.replace("600", "1200"))
        tab = chromium.tab(stage)
        page, ask = tab.page, tab.page.locator("#approval-3")
        expect(ask.locator(".l.del mark")).to_have_text("600")
        expect(ask.locator(".l.add mark")).to_have_text("1200")
        page.fill("#note-3", "half a thou")
        stage.dispatch(ReportApplied(actor=DAEMON, approval=2, settings=AgentSettings(turn_seconds=900)))
        moved = f"the base moved from {first[:7]} to {second[:7]} while you looked. read the new diff, then decide."
        expect(ask.locator("[data-stale] p")).to_have_text(moved)
        expect(ask.locator(".side .btn.main")).to_be_hidden()
        expect(ask.locator(".diff")).to_be_hidden()
        page.click("[data-shows-moved]")
        expect(ask.locator(".l.del mark")).to_have_text("900")
        expect(page.locator("#note-3")).to_have_value("half a thou")
        stage.dispatch(ReportOutcome(actor=DAEMON, agent="coder", intent=stage.pending("coder")))
        page.click("#approve-3 .btn.main")
        expect(ask).to_have_count(0)
        expect(page.locator("#approval-3-built")).to_contain_text("approved by operator")
        granted = stage.facts("approval-3")[-1]
        assert (granted["data"]["commit"], granted["data"]["base"]) == (third, second)
        assert tab.trouble == []


def test_too_large(served: Served, tab: Tab) -> None:
    """What cannot be shown whole cannot be approved, and says so; it can be denied."""
    page = tab.page
    number = wanted(served, "coder", TOML + "# more\n" * 6_000)
    ask = page.locator(f"#approval-{number}")
    expect(ask).to_contain_text("what cannot be shown whole cannot be approved")
    expect(ask.locator(".btn.main")).to_be_disabled()
    page.click(f"#approve-{number} [formaction]")
    expect(ask).to_have_count(0)
