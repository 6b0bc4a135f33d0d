"""A hundred texts that want to be more than text, in every field of an agent's page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.served import Served, place
from tests.web.agent.said import Data, Speaker, assistant, prompt, result, system, text, tool
from tests.web.browser import Chromium, address_of, needs_chromium, own_ports, token_of, with_sleeping_coder
from tests.web.hostile import MARK, PAYLOADS, watch, watched
from tests.web.test_agent_page import so

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A daemon with one agent whose own harness is asleep."""
    with place() as found:
        found.serve(*own_ports())
        with_sleeping_coder(found)
        yield found


def everywhere(number: int, payload: str) -> list[Data]:
    """Return messages with a payload in each place where an agent, or a model, can write."""
    patch = {"structuredPatch": [{"oldStart": 1, "newStart": 1, "lines": [f"+{payload}", f"-{payload}"]}]}
    return [
        assistant(text(payload), text(f"[{payload}]({payload})\n\n![{payload}]({payload})\n\n`{payload}`")),
        assistant({"type": "thinking", "thinking": payload}),
        assistant(text(payload), error=payload),
        assistant(tool(f"{payload}{number}", payload, **{payload: payload})),
        result(f"{payload}{number}", payload, failed=number % 2 == 0, detail=patch if number % 3 == 0 else payload),
        result(payload, [{"type": "text", "text": payload}, {"type": payload}]),
        prompt(payload),
        prompt(f"<command-name>{payload}</command-name><command-args>{payload}</command-args>"),
        prompt(f"<local-command-stdout>{payload}</local-command-stdout>"),
        {**prompt(payload), "isSynthetic": True},
        system("api_retry", attempt=1, max_retries=payload, error_status=529, error=payload, retry_delay_ms=1),
        system("compact_boundary", compact_metadata={"pre_tokens": payload, "post_tokens": payload}),
        system("status", status=payload, compact_error=payload),
        system("task_notification", status=payload, summary=payload),
        system("init", slash_commands=[payload]),
        {"type": "result", "is_error": True, "errors": [payload], "modelUsage": {payload: {"contextWindow": payload}}},
        {"type": payload, payload: payload},
    ]


def test_every_field(served: Served, chromium: Chromium) -> None:
    """Stream, mail, status, model and errors: all of it is shown as text, in every fold, and nothing of it runs."""
    coder = Speaker(served.run / "agents" / "coder" / "agent.sock")
    page = chromium.context().new_page()
    watch(page)
    with watched(page) as seen:
        page.goto(f"{address_of(served)}/agent/coder/#login={token_of(served)}")
        page.wait_for_selector("html[data-live=live]")
        for number, payload in enumerate(PAYLOADS):
            clean = payload.encode("utf-8", "replace").decode()
            coder.report("turn_started", ids=[])
            coder.say(*everywhere(number, clean))
            coder.report("status", status="thinking", text=clean)
            coder.report("model_changed", model=clean)
            coder.report("turn_ended", ok=False, error=clean, error_kind=clean)
            served.ask("send", name="coder", body=clean)
        coder.say(assistant(text("the last line")))
        page.wait_for_selector("#stream >> text=the last line")
        page.click("[data-opens=inbox]")
        page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
        for _ in range(30):
            page.evaluate("scrollTo(0, 0)")
            page.wait_for_timeout(20)
        page.fill("#say", "/")
        page.mouse.move(300, 300)
        page.keyboard.press("Tab")
    assert seen == []
    so(page, f"document.getElementById('stream').innerText.split('{MARK}').length > {len(PAYLOADS) + 1}")
    so(page, f"document.getElementById('inbox').innerText.split('{MARK}').length > 21")
    for path in ("", "?kind=errors", "?q=hostile"):
        answered = page.evaluate(
            "async (path) => (await (await import('/static/ask.js')).ask('/agent/coder/stream' + path)).status", path
        )
        assert answered == 200
