"""Every form of the dashboard, pressed in Chromium on a rehearsed hive: real containers, real sessions."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from hyperhive.commands.messages import MAX_DELIVERIES
from hyperhive.projections.agents import QUARANTINE_CRASHES
from tests.hive.live import LiveHive
from tests.hive.rehearsed import asked, decided, hive, running, tab, types
from tests.web.browser import States, Tab, _browser, chromium, needs_chromium

__all__ = ["_browser", "chromium", "hive", "tab"]

pytestmark = [pytest.mark.hive, needs_chromium]


def state_of(page: Page, name: str) -> Any:
    """Return where a row shows its state."""
    return page.locator(f"#agent-{name} .c-state > span").first


class TestVerbs:
    """The verbs of a row."""

    def test_stop_and_start(self, hive: LiveHive, tab: Tab) -> None:
        """Stop stops, and its slot becomes start, which starts."""
        page = tab.page
        page.click("#first-coder button")
        expect(state_of(page, "coder")).to_have_text("stopped")
        expect(page.locator("#first-coder")).to_have_attribute("action", "/start/coder")
        assert types(hive, "agent-coder")[-2:] == ["KillRequested", "KillSucceeded"]
        expect(page.locator("#first-coder button")).to_have_text("start")
        page.click("#first-coder button")
        hive.until("it runs", lambda: "coder" in running(hive))
        expect(page.locator("#first-coder button")).to_have_text("stop")

    @pytest.mark.parametrize("verb", ["restart", "rebuild"])
    def test_restart_and_rebuild(self, hive: LiveHive, tab: Tab, verb: str) -> None:
        """While it is under way the row is pending and its verbs are off; afterwards they are on again."""
        page = tab.page
        seen = page.evaluate_handle(
            """() => { const seen = []; new MutationObserver(() => {
              const row = document.getElementById("agent-coder");
              if (row.hasAttribute("data-pending")) seen.push([row.querySelector(".c-state").textContent.trim(),
                [...row.querySelectorAll(".verbs form button, .verbs .destroys")].every(one => one.disabled
                  || one.dataset.state)]);
            }).observe(document.getElementById("page"), { childList: true, subtree: true, attributes: true });
            return seen; }"""
        )
        page.click(f"#{verb}-coder button")
        hive.until("it runs again", lambda: "coder" in running(hive))
        hive.until("it was pending", lambda: seen.evaluate("seen => seen.length > 0"))
        state, off = seen.evaluate("seen => seen[0]")
        assert state.startswith(f"{verb}ing…")
        assert off
        expect(page.locator(f"#{verb}-coder button")).to_have_text(verb)
        expect(page.locator(f"#{verb}-coder button")).to_be_enabled()

    def test_pause_and_resume(self, hive: LiveHive, tab: Tab) -> None:
        """A paused row says so with a badge, and its slot offers resume."""
        page = tab.page
        page.click("#pause-coder button")
        expect(page.locator("#agent-coder .badge >> text=paused")).to_be_visible()
        expect(page.locator("#pause-coder")).to_have_attribute("action", "/resume/coder")
        expect(page.locator("#pause-coder button")).to_have_text("resume")
        page.click("#pause-coder button")
        expect(page.locator("#agent-coder .badge")).to_have_count(0)
        assert types(hive, "agent-coder")[-2:] == ["AgentPaused", "AgentResumed"]

    def test_the_manager_stays(self, tab: Tab) -> None:
        """Nobody is offered to destroy the manager."""
        assert tab.page.locator("#agent-manager .verbs form").count() == 4
        assert tab.page.locator("#agent-manager .destroys").count() == 0

    def test_refused(self, hive: LiveHive, tab: Tab) -> None:
        """What is refused says why beside its button, which can be pressed again."""
        page = tab.page
        # In one step: an update that comes between would put the page's own address back.
        page.locator("#restart-coder").evaluate(
            "form => { form.setAttribute('action', '/restart/nobody'); form.querySelector('button').click(); }"
        )
        expect(page.locator("#restart-coder [data-error]")).to_contain_text("no agent 'nobody'")
        expect(page.locator("#restart-coder button")).to_have_text("try again")
        expect(page.locator("#restart-coder button")).to_be_enabled()

    def test_rebuild_all_that_need_it(self, hive: LiveHive, tab: Tab) -> None:
        """Agents whose harness is of another release say so; one press rebuilds them all, one after the other."""
        page, names = tab.page, ("coder", "twin")
        hive.spawn("twin")
        before = hive.facts()[-1]["position"]
        for name in names:
            hive.until("it is idle", lambda name=name: hive.agent(name)["status"] == "idle")  # type: ignore[misc]
            hive.harness(name).report("harness_started", run="of another release", version="0.0.1")
            expect(page.locator(f"#agent-{name} .badge")).to_have_text("needs update")
        expect(page.locator("#rebuild-outdated button")).to_have_text("rebuild the 2 that need it")
        page.click("#rebuild-outdated button")
        for name in names:
            expect(page.locator(f"#agent-{name} .badge")).to_have_count(0)
        expect(page.locator("#rebuild-outdated")).to_have_count(0)
        hive.until("both are rebuilt", lambda: len(hive.facts(None, "RebuildSucceeded", after=before)) == len(names))
        found = hive.facts(None, "RebuildRequested", "RebuildSucceeded", after=before)
        told = [(fact["type"], fact["data"]["agent"]) for fact in found]
        assert told == [(kind, name) for name in names for kind in ("RebuildRequested", "RebuildSucceeded")]
        hive.ask("destroy", name="twin", purge=True)
        hive.until("it is gone", lambda: not hive.state("twin").parent.exists())


class TestSessions:
    """What a row tells of a real session."""

    def test_thinks_then_idle(self, hive: LiveHive, tab: Tab) -> None:
        """While its turn runs it thinks; afterwards it is idle, and the row has the model and what today has cost."""
        row = tab.page.locator("#agent-coder")
        hive.ask("send", name="coder", body="hold: row")
        hive.until("it is held", (hive.state("coder") / "holding-row").exists)
        expect(row.locator(".c-state > span").first).to_have_text("thinking")
        expect(row.locator(".c-glyph.green .g-thinking")).to_have_count(1)
        (hive.state("coder") / "go-row").touch()
        expect(row.locator(".c-state > span").first).to_have_text("idle")
        expect(row.locator(".c-model")).to_have_attribute("title", hive.agent("coder")["active_model"])
        expect(row.locator(".c-today")).to_have_text(re.compile(r"\$\d+\.\d\d"))
        expect(row.locator(".c-today")).not_to_contain_text("$0.00")

    def test_waits(self, hive: LiveHive, tab: Tab) -> None:
        """A session that waits for mail in the middle of its turn says that it waits."""
        state = tab.page.locator("#agent-coder .c-state > span").first
        hive.ask("send", name="coder", body="listen 1")
        expect(state).to_have_text("waiting")
        hive.ask("send", name="coder", body="here is some")
        expect(state).to_have_text("idle")


class TestSpawning:
    """An agent that comes."""

    def test_is_shown(self, hive: LiveHive, tab: Tab) -> None:
        """It stands there as spawning, and by whom, until it is a container; once that moment may be too short."""
        seen = tab.page.evaluate_handle(
            """() => { const seen = []; new MutationObserver(() => {
              const row = document.querySelector("[id^=coming-sprite]");
              if (row) seen.push(row.textContent);
            }).observe(document.getElementById("page"), { childList: true, subtree: true });
            return seen; }"""
        )
        for number in range(8):
            name = f"sprite-{number}"
            hive.ask("spawn", name=name)
            expect(tab.page.locator(f"#agent-{name} .verbs")).to_be_visible()
            hive.ask("destroy", name=name, purge=True)
            hive.until("it is gone", lambda name=name: not hive.state(name).parent.exists())  # type: ignore[misc]
            if seen.evaluate("seen => seen.length"):
                break
        (said, *_) = seen.evaluate("seen => seen")
        assert "spawning…" in said
        assert "asked by operator" in said


class TestDestroy:
    """Soft and hard endings, tombstones."""

    def test_asks_first(self, hive: LiveHive, tab: Tab) -> None:
        """DESTR0Y only asks, with the harmless choice in the focus; keep it keeps it."""
        page = tab.page
        before = len(hive.facts("agent-coder"))
        page.click("[data-opens=destroy-coder]")
        expect(page.locator("#destroy-coder")).to_contain_text(
            "destroy coder? its notes, login and configuration are kept."
        )
        expect(page.locator("[data-closes=destroy-coder]")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#destroy-coder")).to_be_hidden()
        expect(page.locator("[data-opens=destroy-coder]")).to_be_focused()
        assert len(hive.facts("agent-coder")) == before

    def test_soft_then_revived_then_purged(self, hive: LiveHive, tab: Tab) -> None:
        """Destroyed, it is a tombstone with what it keeps; revived, it runs; purged by its typed name, it is gone."""
        page = tab.page
        hive.ask("spawn", name="mole")
        hive.until("it runs", lambda: "mole" in running(hive))
        page.click("[data-opens=destroy-mole]")
        page.click("#soft-mole button")
        expect(page.locator("#stone-mole")).to_be_visible()
        expect(page.locator("#stone-mole .c-size")).to_have_text(re.compile("^[0-9.]+ K?B$"))
        expect(page.locator("#stone-mole .c-login")).to_have_text("no login")
        expect(page.locator("#agent-mole")).to_have_count(0)
        page.click("#revive-mole button")
        expect(page.locator("#agent-mole .verbs")).to_be_visible()
        hive.until("it runs", lambda: "mole" in running(hive))
        page.click("[data-opens=destroy-mole]")
        page.click("#soft-mole button")
        page.click("[data-opens=purge-mole]")
        wipe = page.locator("#purge-mole button:not([type=button])")
        expect(wipe).to_be_disabled()
        page.fill("#purge-mole input", "moel")
        expect(wipe).to_be_disabled()
        expect(page.locator("#purge-mole input")).to_have_attribute("title", "that is not “mole”")
        page.fill("#purge-mole input", "mole")
        wipe.click()
        expect(page.locator("#stone-mole")).to_have_count(0)
        hive.until("it is purged", lambda: not hive.state("mole").parent.exists())

    def test_locked_out_then_quarantined_then_wiped(self, hive: LiveHive, tab: Tab) -> None:
        """A refused key and too many crashes are said, with what to do; a typed name wipes the notes beside DESTR0Y."""
        page, row = tab.page, tab.page.locator("#agent-hare")
        hive.ask("spawn", name="hare")
        hive.ask("send", name="hare", body="the key is taken away")
        expect(row.locator(".badge")).to_have_text("needs login")
        expect(row.locator(".words")).to_have_text("hyperhive login hare")
        expect(page.locator("[data-needs] a[href='#swarm'] >> text=needs login")).to_be_visible()
        hive.ask("set_paused", name="hare", paused=True)
        for crash in range(1, QUARANTINE_CRASHES + 1):
            hive.until("it runs", lambda: "hare" in running(hive))
            hive.kill_agent("hare")
            hive.until("it crashed", lambda crash=crash: types(hive, "agent-hare").count("ContainerCrashed") == crash)  # type: ignore[misc]
            if crash < QUARANTINE_CRASHES:
                hive.ask("start", scope={"agent_names": ["hare"]})
        expect(row.locator(".badge >> text=quarantined")).to_be_visible()
        expect(row.locator(".c-state > span").first).to_have_text("crashed")
        expect(row.locator(".words")).to_contain_text("nobody but you can lift it")
        expect(page.locator("#first-hare button")).to_have_text("lift")
        page.click("#first-hare button")
        expect(row.locator(".badge >> text=quarantined")).to_have_count(0)
        expect(page.locator("#first-hare")).to_have_attribute("action", "/start/hare")
        page.click("[data-opens=destroy-hare]")
        expect(page.locator("#hard-hare button")).to_be_disabled()
        page.fill("#wipe-hare", "hare")
        page.click("#hard-hare button")
        expect(page.locator("#agent-hare")).to_have_count(0)
        hive.until("it is gone", lambda: not hive.state("hare").parent.exists())
        expect(page.locator("#stone-hare")).to_have_count(0)


class TestQuestions:
    """Questions of the manager."""

    def test_one_option_and_words(self, hive: LiveHive, tab: Tab) -> None:
        """A radio button and own words are one answer, and the ask gives way to a line that says so."""
        page = tab.page
        id_ = asked(hive, "how should we ship?: hold; ship, and open an issue", how="choose")
        page.check(f"#q{id_}-2")
        page.fill(f"#q{id_}-free", "by friday")
        expect(page.locator(f"#answer-{id_}[data-ready]")).to_have_count(1)
        page.click(f"#answer-{id_} button:not([type=button])")
        expect(page.locator(f"#q{id_}")).to_have_count(0)
        expect(page.locator(f"#q{id_}-over")).to_contain_text(
            "answered by operator: “ship, and open an issue, by friday”"
        )
        (answered,) = [fact for fact in hive.facts(f"question-{id_}") if fact["type"] == "QuestionAnswered"]
        assert answered["data"]["answer"] == "ship, and open an issue, by friday"

    def test_several_options(self, hive: LiveHive, tab: Tab) -> None:
        """Checkboxes may be several."""
        page = tab.page
        id_ = asked(hive, "who may read it?: reviewer; scribe; archivist", how="tick")
        page.check(f"#q{id_}-1")
        page.check(f"#q{id_}-3")
        page.click(f"#answer-{id_} button:not([type=button])")
        expect(page.locator(f"#q{id_}")).to_have_count(0)
        assert hive.facts(f"question-{id_}")[-1]["data"]["answer"] == "reviewer, archivist"

    def test_nothing_is_no_answer(self, hive: LiveHive, tab: Tab) -> None:
        """An answer without anything in it is refused with the reason; the question stays."""
        page = tab.page
        id_ = asked(hive, "anything?")
        page.click(f"#answer-{id_} button:not([type=button])")
        expect(page.locator(f"#answer-{id_} [data-error]")).to_be_visible()
        expect(page.locator(f"#answer-{id_} button:not([type=button])")).to_have_text("try again")
        page.fill(f"#q{id_}-free", "yes")
        expect(page.locator(f"#answer-{id_} [data-error]")).to_be_hidden()
        page.click(f"#answer-{id_} button:not([type=button])")
        expect(page.locator(f"#q{id_}")).to_have_count(0)

    def test_cancel(self, hive: LiveHive, tab: Tab) -> None:
        """Cancelling is a form of its own, which first says what the manager will read."""
        page = tab.page
        id_ = asked(hive, "publish tonight?")
        page.fill(f"#q{id_}-free", "half a thou")
        page.click(f"[data-opens=cancel-{id_}]")
        expect(page.locator(f"#cancel-{id_}")).to_contain_text("manager will read “[cancelled]”")
        expect(page.locator(f"#answer-{id_}")).to_be_hidden()
        page.click(f"[data-closes=cancel-{id_}]")
        expect(page.locator(f"#q{id_}-free")).to_have_value("half a thou")
        page.click(f"[data-opens=cancel-{id_}]")
        page.click(f"#cancel-{id_} .destructive")
        expect(page.locator(f"#q{id_}-over")).to_contain_text("cancelled by operator")
        assert types(hive, f"question-{id_}")[-1] == "QuestionCancelled"

    def test_countdown_to_its_end(self, hive: LiveHive, tab: Tab) -> None:
        """A deadline counts down and at its end the ask gives way; where one goes, the focus goes to the next one."""
        page = tab.page
        decided(hive)
        other = asked(hive, "slow?", how="hurry 7859")
        short = asked(hive, "quick?", how="hurry 59")
        expect(page.locator(f"#q{other} [data-deadline]")).to_have_text(re.compile("^2h (10|09)m$"))
        expect(page.locator(f"#q{other} [data-deadline]")).to_have_attribute("data-urgency", "far")
        expect(page.locator(f"#q{short} [data-deadline]")).to_have_attribute("data-urgency", "now")
        page.focus(f"#q{short}-free")
        hive.ask("cancel", id=short)
        expect(page.locator(f"#q{other}")).to_be_focused()
        brief = asked(hive, "gone?", how="hurry 1")
        expect(page.locator(f"#q{brief}-over")).to_contain_text("expired")
        expect(page.locator(f"#q{brief}")).to_have_count(0)
        page.click(f"[data-opens=cancel-{other}]")
        page.click(f"#cancel-{other} .destructive")
        expect(page.locator("#questions .empty")).to_be_visible()

    def test_title_counts(self, hive: LiveHive, tab: Tab) -> None:
        """The page's title says how many things wait."""
        page = tab.page
        before = int(page.get_attribute("#bar", "data-needs") or "0")
        id_ = asked(hive, "seen?")
        page.wait_for_function("count => document.title.startsWith(`(${count}) `)", arg=before + 1)
        page.fill(f"#q{id_}-free", "yes")
        page.keyboard.press("Control+Enter")
        expect(page.locator(f"#q{id_}")).to_have_count(0)


class TestMail:
    """The operator's mail."""

    def test_write(self, hive: LiveHive, tab: Tab) -> None:
        """A letter goes to whom was chosen; without words there is nothing to send."""
        page = tab.page
        expect(page.locator("#compose button")).to_be_disabled()
        page.select_option("#compose-to", "coder")
        expect(page.locator("#compose-body")).to_have_attribute("placeholder", "write to coder")
        page.fill("#compose-body", "good morning")
        states = States.of(page, "#compose button")
        page.click("#compose button")
        assert states.until("done") == "sent"
        expect(page.locator("#compose-body")).to_have_value("")
        bodies = [fact["data"]["body"] for fact in hive.facts("inbox-coder") if fact["type"] == "MessageSent"]
        assert bodies[-1] == "good morning"

    def test_read(self, hive: LiveHive, tab: Tab) -> None:
        """What comes in is new until it is marked read."""
        page = tab.page
        hive.ask("send", name="coder", body="say: done, see /state/notes")
        letter = page.locator(".letter.new >> text=done, see /state/notes")
        expect(letter).to_be_visible()
        page.click("#read-messages button")
        expect(letter).to_have_count(0)
        expect(page.locator(".letter >> text=done, see /state/notes")).to_be_visible()

    def test_parked(self, hive: LiveHive, tab: Tab) -> None:
        """Mail that an agent took five times and never answered is parked; it can be tried again, and dropped."""
        page, parked = tab.page, tab.page.locator(".letter.parked")
        hive.spawn("mute")
        with hive.stands_still("mute"):
            hive.ask("send", name="mute", body="say: what is it")
            for verb, fact in (("requeue", "MessageRequeued"), ("drop", "MessageDropped")):
                for _ in range(MAX_DELIVERIES + 1):
                    hive.harness("mute").take()
                expect(parked).to_contain_text(f"operator to mute, {MAX_DELIVERIES} tries")
                page.click(f"form[action^='/{verb}/'] button")
                expect(parked).to_have_count(0)
                assert fact in types(hive, "inbox-mute")
        hive.ask("destroy", name="mute", purge=True)
        hive.until("it is gone", lambda: not hive.state("mute").parent.exists())


class TestHive:
    """The hive as a whole."""

    def test_freeze_and_thaw(self, hive: LiveHive, tab: Tab) -> None:
        """One press parks every agent, and the bar says by whom; thaw lets them go on."""
        page = tab.page
        page.click("#freeze button")
        expect(page.locator("#frozen")).to_contain_text("by operator")
        expect(page.locator("#thaw button")).to_be_visible()
        page.click("#thaw button")
        expect(page.locator("#frozen")).to_have_count(0)
        assert types(hive, "hive-hive")[-2:] == ["HiveFrozen", "HiveThawed"]

    def test_logs(self, hive: LiveHive, tab: Tab) -> None:
        """Logs are read once they are opened, by unit and number of lines, and stay open while the row changes."""
        page = tab.page
        assert page.locator("#logs-coder .logs-lines").count() == 0
        page.click("[data-logs=coder]")
        lines = page.locator("#logs-coder .logs-lines[data-read]")
        expect(lines).to_contain_text("coder")
        assert lines.evaluate("one => one.clientHeight") == 288 - 2
        assert lines.evaluate("one => one.scrollTop + one.clientHeight >= one.scrollHeight - 2")
        with page.expect_request(lambda request: "unit=hive-ag3nt.service" in request.url):
            page.select_option("#logs-coder [data-unit]", "hive-ag3nt.service")
        with page.expect_request(lambda request: "lines=5000" in request.url):
            page.select_option("#logs-coder [data-lines]", "5000")
        with page.expect_request(lambda request: "/api/journal/coder" in request.url):
            page.click("#logs-coder [data-refresh]")
        page.click("#pause-coder button")
        expect(page.locator("#pause-coder button")).to_have_text("resume")
        page.click("#pause-coder button")
        expect(lines).to_be_visible()
        expect(page.locator("#logs-coder [data-lines]")).to_have_value("5000")
        page.click("[data-logs=coder]")
        expect(lines).to_be_hidden()

    def test_activity(self, hive: LiveHive, tab: Tab) -> None:
        """Facts are told in words, newest first, each with the way to its moment; they can be filtered."""
        page = tab.page
        hive.ask("freeze")
        hive.ask("thaw")
        # Sessions write facts of their own meanwhile: what is the newest one is for nobody to say.
        one = hive.ask("send", name="coder", body="hello")["message_id"]
        expect(page.locator(f"#fact-{one}")).to_contain_text("operator wrote to coder")
        expect(page.locator(f"#fact-{one} a")).to_have_attribute("href", f"/past?at={one}")
        ids = page.eval_on_selector_all("#facts li[id]", "rows => rows.map(row => Number(row.id.slice(5)))")
        assert ids == sorted(ids, reverse=True)
        page.select_option("#activity-about", "kind:hive")
        expect(page.locator("#facts li[data-kind=hive]:visible")).not_to_have_count(0)
        expect(page.locator("#facts li[id]:not([data-kind=hive]):visible")).to_have_count(0)
        two = hive.ask("send", name="coder", body="hello again")["message_id"]
        expect(page.locator(f"#fact-{two}")).to_have_count(1)
        expect(page.locator(f"#fact-{two}")).to_be_hidden()

    def test_agents_page(self, tab: Tab) -> None:
        """A name leads to the agent's page in a tab of its own, which cannot reach back."""
        with tab.page.expect_popup() as opened:
            tab.page.click("#agent-coder a.agent")
        popup = opened.value
        popup.wait_for_load_state()
        assert popup.evaluate("window.opener") is None
        assert "login=" not in popup.url
