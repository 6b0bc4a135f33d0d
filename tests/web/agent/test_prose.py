"""An agent's words as markup: what CommonMark knows, and nothing that runs, loads or leads anywhere by itself."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser

import pytest

from hyperhive.web.agent.prose import MAX_CHARACTERS, prose
from tests.web.hostile import PAYLOADS

ALLOWED = {
    *("p", "a", "ul", "ol", "li", "code", "pre", "em", "strong", "s", "blockquote", "br", "hr", "span"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"),
}
ATTRIBUTES = {"href", "rel", "target", "class", "start", "style", "title"}


class Elements(HTMLParser):
    """Notes every element and attribute of a markup."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one."""
        self.found.append((tag, dict(attrs)))


@pytest.mark.parametrize(
    "wrap", ["{}", "[{}]({})", "![{}]({})", "<{}>", "`{}`", "```{}\n{}\n```", "|{}|\n|-|\n|{}|", "[a]: {}\n\n[a]"]
)
def test_hostile(wrap: str) -> None:
    """In every place of a text, a hundred payloads become nothing but elements and addresses that are harmless."""
    for payload in PAYLOADS:
        for tag, attributes in Elements(str(prose(wrap.replace("{}", payload)))).found:
            assert tag in ALLOWED, payload
            assert attributes.keys() <= ATTRIBUTES, payload
            assert re.match(r"https?://", attributes.get("href") or "http://"), payload
            assert tag != "a" or attributes["rel"] == "noopener noreferrer nofollow", payload


def test_what_it_knows() -> None:
    """Words, lists, code and tables are markup; a picture is its words and its address."""
    assert str(prose("a **b** `c`")) == "<p>a <strong>b</strong> <code>c</code></p>\n"
    assert '<a href="https://e.example/" rel="noopener' in prose("[x](https://e.example/)")
    assert str(prose("![x](https://e.example/p.png)")) == "<p><span>x (https://e.example/p.png)</span></p>\n"
    assert "<td>1</td>" in prose("|a|\n|-|\n|1|")


@pytest.mark.parametrize(
    "bomb", ["[" * 20_000, ">" * 20_000, "*a " * 7_000, "`" * 20_000, "![[](" * 4_000, "|" * 20_000]
)
def test_bombs(bomb: str) -> None:
    """What is made to take long takes a bounded time, and a longer text is cut where that is said."""
    started = time.process_time()
    prose(bomb)
    assert time.process_time() - started < 5
    assert len(prose("x" * 2 * MAX_CHARACTERS)) < MAX_CHARACTERS + 100
