"""Whatever agents write is text: a hundred payloads in every field that they can influence, in a real Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page

from hyperhive.commands.messages import SendMessage
from hyperhive.commands.questions import AskQuestion
from hyperhive.events import agents, hive, messages, questions, turns
from hyperhive.events.envelope import MANAGER, OPERATOR, actor_of_agent
from tests.web.browser import Chromium, Tab, needs_chromium
from tests.web.hostile import PAYLOADS, watch, watched
from tests.web.staged import TOKEN, Stage, Told, staged

pytestmark = needs_chromium

BATCH = -(-len(PAYLOADS) // 3)
BATCHES = [PAYLOADS[at : at + BATCH] for at in range(0, len(PAYLOADS), BATCH)]


def facts(batch: tuple[str, ...]) -> Iterator[Told]:
    """Yield facts in which agents have put each payload wherever they can; a hundred seconds old, all of them."""
    yield Told(200, hive.HiveCreated(hive="h1"))
    for name in ["manager", *(f"{kind}{n}" for kind in "abc" for n in range(len(batch)))]:
        yield Told(190, agents.SpawnRequested(agent=name), OPERATOR)
        yield Told(180, agents.SpawnSucceeded(agent=name, generation=1))
    for n, text in enumerate(batch):
        own = actor_of_agent(f"a{n}")
        yield Told(170, turns.HarnessStarted(agent=f"a{n}", run=text, version=text), own)
        yield Told(170, turns.ModelChanged(agent=f"a{n}", model=text), own)
        yield Told(170, turns.SessionLost(agent=f"a{n}", expected=text, actual=text), own)
        yield Told(170, turns.LoginNeeded(agent=f"c{n}", detail=text), actor_of_agent(f"c{n}"))
        yield Told(160, agents.RebuildRequested(agent=f"b{n}"), OPERATOR)
        yield Told(159, agents.RebuildFailed(agent=f"b{n}", error=f"{text}\n{text}", running=True))
        yield Told(158, agents.SpawnRequested(agent=f"d{n}"), OPERATOR)
        yield Told(157, agents.SpawnFailed(agent=f"d{n}", error=text))
        yield Told(156, messages.MessageSent(to="operator", sender=f"a{n}", body=text), own)
        asked: dict[str, Any] = {"asker": "manager", "question": text}
        yield Told(155, questions.QuestionAsked(id=n + 1, **asked, options=(text, f"or {text}")), MANAGER)
        if n % 3 == 0:
            yield Told(20, questions.QuestionAnswered(id=n + 1, **asked, answer=text), OPERATOR)
    yield from endings(batch)


def endings(batch: tuple[str, ...]) -> Iterator[Told]:
    """Yield the newest facts, which the activity tells of, and mail that is parked."""
    yield Told(150, messages.MessageSent(to="c0", sender="a0", body=batch[0]), actor_of_agent("a0"))
    yield Told(149, messages.MessagesParked(to="c0", ids=(2 + 2 * (1 + 3 * len(batch)),)))
    for n, text in enumerate(batch):
        kind = (turns.StatusChanged, turns.TurnEnded, turns.HarnessReported)[n % 3]
        own = actor_of_agent(f"a{n}")
        if kind is turns.HarnessReported:
            yield Told(100, turns.HarnessReported(agent=f"a{n}", kind=text, detail={text: text}), own)
        elif kind is turns.TurnEnded:
            yield Told(100, turns.TurnEnded(agent=f"c{n}", ok=False, error=text, session_id=text), own)
        yield Told(99, turns.StatusChanged(agent=f"a{n}", status="thinking", text=text), own)


@pytest.fixture(
    params=range(len(BATCHES)), ids=lambda at: f"{at * BATCH + 1} to {min(len(PAYLOADS), (at + 1) * BATCH)}"
)
def batch(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """A third of the payloads."""
    found: tuple[str, ...] = BATCHES[request.param]
    return found


@pytest.fixture
def stage(batch: tuple[str, ...]) -> Iterator[Stage]:
    """A hive full of them."""

    async def journal(_name: str, _unit: str, _lines: int) -> str:
        return "\n".join(batch)

    with staged(list(facts(batch)), journal=journal) as found:
        yield found


def shown(page: Page, selector: str) -> str:
    """Return all that is written in some elements, without the blanks that differ."""
    texts = page.eval_on_selector_all(selector, "found => found.map(one => one.textContent)")
    return plain("\n".join(texts))


def plain(text: str) -> str:
    """Return a text without blanks and control characters, which logs leave out."""
    return "".join(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x20\x7f]", "", text).split())


PLACES = (".question", ".option", ".letter .body", ".words", ".output", ".c-model", ".logs-lines")


def test_is_text(stage: Stage, chromium: Chromium, batch: tuple[str, ...]) -> None:
    """On the page, and in what comes while it is open, each payload stands as it is, and none of them runs."""
    tab = Tab(chromium.context().new_page(), stage.home)
    page = tab.page
    tab.watch()
    watch(page)
    with watched(page) as seen:
        tab.go(f"/#login={TOKEN}")
        page.wait_for_selector("#connection[data-live=live]")
        page.click("[data-logs=a0]")
        page.wait_for_selector("#logs-a0 .logs-lines[data-read]")
        page.click("#older")
        page.wait_for_selector("#older-mail .letter")
        # The same once more by way of the stream and the morph.
        for text in batch:
            stage.dispatch(SendMessage(actor=actor_of_agent("a0"), to="operator", body=f"late {text}"))
        late = AskQuestion(
            actor=actor_of_agent("b0"), question=f"late {batch[0]}", options=batch[1:3], agents_may_ask=True
        )
        stage.dispatch(late)
        page.wait_for_selector(f"#q{len(batch) + 1}")
        body = "text => document.querySelector('#messages .body').textContent.endsWith(text)"
        page.wait_for_function(body, arg=batch[-1].replace("\r", ""))
        for place in PLACES:
            found = shown(page, place)
            missing = [text for at, text in enumerate(batch) if at % 3 and plain(text) not in found]
            assert missing == [], place
        page.mouse.move(300, 300)
        page.mouse.move(1_100, 300)
    assert seen == []
    assert tab.trouble == []
    assert page.locator("#page :is(script, iframe, object, embed, base, meta, link, img, style, marquee)").count() == 0
    assert page.locator('form[action="/freeze"]').count() == 1
    assert page.locator("#swarm").count() == 1


def test_is_text_in_the_past(stage: Stage, chromium: Chromium, batch: tuple[str, ...]) -> None:
    """On the past page each payload stands as it is in every view, list, tree and JSON, and none of them runs."""
    tab = Tab(chromium.context().new_page(), stage.home, expected=("422",))  # texts that are no moment
    page = tab.page
    tab.watch()
    watch(page)
    for text in batch:
        stage.dispatch(SendMessage(actor=actor_of_agent("a0"), to="operator", body=f"late {text}"))
    with watched(page) as seen:
        page.goto(f"{stage.home}/past#login={TOKEN}")
        page.wait_for_selector("#handle")
        for place in (".question", ".option", ".words", ".output", ".c-model"):
            found = shown(page, place)
            missing = [text for at, text in enumerate(batch) if at % 3 and plain(text) not in found]
            assert missing == [], place
        found = shown(page, "#messages .body")
        assert [text for text in batch[-10:] if plain(text) not in found] == []
        page.mouse.move(300, 300)
        ways = (
            "causes][data-value=list",
            "causes][data-value=json",
            "timeline][data-value=json",
            "span][data-value=all",
        )
        for way in ways:
            page.click(f"[data-set={way}]")
            page.wait_for_selector(f"[data-set={way}][aria-pressed=true]")
        page.click("[data-older-facts]")
        # In the address and in the fields, too.
        for text in batch[::8]:
            page.fill("#filter-text", text)
            page.wait_for_function(
                "text => new URLSearchParams(location.search).get('text') === text", arg=fields(text)
            )
            page.fill("#go-to", text)
            page.press("#go-to", "Enter")
            page.wait_for_function("() => document.getElementById('deck-why').textContent.includes('is no moment')")
    ours = f"request: {stage.home}/"  # what was typed is asked for
    assert [each for each in seen if not each.startswith(ours)] == []
    assert tab.trouble == []
    assert page.locator("#page :is(script, iframe, object, embed, base, meta, link, img, style, marquee)").count() == 0
    assert page.locator("#swarm").count() == 1


def fields(text: str) -> str:
    """Return what a field of one line holds of a text."""
    return re.sub(r"[\r\n]", "", text)
