"""What a page weighs: all that a browser fetches until the dashboard stands there, compressed as it travels."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator

import pytest
from playwright.sync_api import Response

from tests.web import scene
from tests.web.browser import Chromium, needs_chromium
from tests.web.staged import TOKEN, Stage, staged

pytestmark = needs_chromium

MOST_BYTES = 100_000


@pytest.fixture
def night() -> Iterator[Stage]:
    """A hive of nine, with all that it shows."""
    with staged(scene.night(), kept=scene.kept()) as found:
        yield found


def test_dashboard(night: Stage, chromium: Chromium) -> None:
    """The whole dashboard of a busy hive stays below 100 KB: shell, styles, scripts, sections."""
    page = chromium.context().new_page()
    fetched: list[Response] = []
    page.on("response", lambda response: fetched.append(response))  # noqa: PLW0108 - it takes no builtin
    page.goto(f"{night.home}/#login={TOKEN}")
    page.wait_for_selector("#connection[data-live=live]")
    paths = [response.url for response in fetched if "/events" not in response.url]
    assert {path.removeprefix(night.home).partition("?")[0] for path in paths} >= {"/", "/page/dashboard"}
    weight = 0
    for url in paths:
        headers = {"Accept-Encoding": "gzip", "Authorization": f"Bearer {TOKEN}"}
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:  # noqa: S310 - our own site
            weight += len(answer.read())
    assert weight < MOST_BYTES
