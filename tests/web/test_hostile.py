"""Texts of agents that want to be more than text, and pages of other origins, in Chromium."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from tests.served import Served, place
from tests.web.browser import Chromium, address_of, needs_chromium, own_ports, port_of, token_of, with_coder
from tests.web.hostile import MARK, PAYLOADS, RUN, watch, watched

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A daemon with one agent."""
    with place() as found:
        found.serve(*own_ports())
        with_coder(found)
        yield found


def said(served: Served, *bodies: str) -> None:
    """Let coder write to the operator."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(served.run / "agents" / "coder" / "agent.sock"))
        replies = connection.makefile()
        for body in bodies:
            connection.sendall(json.dumps({"cmd": "send", "to": "operator", "body": body}).encode() + b"\n")
            assert json.loads(replies.readline())["ok"]


def test_payloads() -> None:
    """They are a hundred, and each is another one."""
    assert len(set(PAYLOADS)) == len(PAYLOADS) >= 100


def test_messages(served: Served, chromium: Chromium) -> None:
    """A hundred hostile messages are shown as text; nothing of them runs, is fetched, or becomes an element."""
    page = chromium.context().new_page()
    watch(page)
    with watched(page) as seen:
        page.goto(f"{address_of(served)}/#login={token_of(served)}")
        page.wait_for_selector("[data-section=messages]")
        said(served, *PAYLOADS)
        said(served, "the last one")
        page.wait_for_selector("#messages >> text=the last one")
        page.wait_for_selector("#older")
        while page.is_visible("#older"):
            listed = page.locator("#older-mail li").count()
            page.click("#older")
            page.wait_for_function("before => document.querySelectorAll('#older-mail li').length > before", arg=listed)
        page.mouse.move(200, 200)
        page.keyboard.press("Tab")
    assert seen == []
    shown = page.inner_text("#messages")
    assert shown.count(MARK) >= len(PAYLOADS) - 1
    page.reload()
    with watched(page) as again:
        page.wait_for_selector("#messages >> text=the last one")
    assert again == []


def test_the_eye_sees(served: Served, chromium: Chromium) -> None:
    """What would run is seen: a page that took a payload for markup would fail such a test."""
    for act in (
        f"document.body.append(Object.assign(document.createElement('script'), {{textContent: '{RUN}'}}))",
        f"document.body.append(document.createRange().createContextualFragment('<img src=x onerror={RUN}>'))",
        "document.body.append(Object.assign(document.createElement('img'), {src: 'http://hostile.invalid/x.png'}))",
        f"{RUN}",
        "alert(1)",
    ):
        page = chromium.context().new_page()
        watch(page)
        page.goto(address_of(served))
        page.wait_for_selector("#login input")
        with watched(page) as seen:
            page.evaluate(f"try {{ {act} }} catch (error) {{ window.__reports.push(String(error)) }}")
            page.wait_for_function("document.readyState === 'complete'")
        assert seen, act


class _Elsewhere(BaseHTTPRequestHandler):
    """Serves a page on another port of the same host, as any agent can, and keeps what it is asked."""

    heard: ClassVar[list[str]] = []
    page = ""

    def do_GET(self) -> None:
        self.heard.append(f"{self.path} {self.headers.get('cookie', '')} {self.headers.get('authorization', '')}")
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.page.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


@contextmanager
def elsewhere() -> Iterator[int]:
    """Serve on another port."""
    _Elsewhere.heard.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


_TRIES = """async (home) => {
  const found = {};
  const tried = async (name, act) => {
    try { found[name] = await act(); } catch (error) { found[name] = error.name; }
  };
  const read = async (path, options) => (await fetch(home + path, options)).text();
  await tried("state", () => read("/api/state", {credentials: "include"}));
  await tried("page", () => read("/page/dashboard", {credentials: "include"}));
  await tried("shell", () => read("/"));
  await tried("events", () => read("/events"));
  await tried("opaque", async () => (await fetch(home + "/freeze", {method: "POST", mode: "no-cors",
    headers: {"Content-Type": "application/x-www-form-urlencoded"}, body: ""})).type);
  await tried("token", () => read("/freeze", {method: "POST", headers: {Authorization: "Bearer x"}}));
  await tried("source", () => new Promise((resolve) => {
    const source = new EventSource(home + "/events");
    source.onerror = () => resolve("refused");
    source.onmessage = (event) => resolve(event.data);
  }));
  const element = (name, attributes) => new Promise((resolve) => {
    const made = Object.assign(document.createElement(name), attributes);
    made.onload = () => resolve("loaded");
    made.onerror = () => resolve("refused");
    document.body.append(made);
  });
  await tried("script", () => element("script", {src: home + "/static/ask.js", type: "module"}));
  await tried("classic", () => element("script", {src: home + "/api/state"}));
  await tried("image", () => element("img", {src: home + "/static/icon.svg"}));
  await tried("style", () => element("link", {rel: "stylesheet", href: home + "/static/page.css"}));
  await tried("frame", async () => {
    const frame = document.createElement("iframe");
    frame.src = home + "/";
    document.body.append(frame);
    await new Promise((resolve) => (frame.onload = resolve));
    return String(frame.contentDocument?.body.innerText ?? "closed");
  });
  await tried("opened", async () => {
    const opened = window.open(home + "/");
    await new Promise((resolve) => setTimeout(resolve, 300));
    try { return opened === null ? "blocked" : opened.closed ? "severed" : String(opened.document?.cookie); }
    catch (error) { return error.name; }
  });
  found.storage = localStorage.getItem("hyperhive.key");
  found.cookies = document.cookie;
  return found;
}"""


def test_a_page_on_another_port(served: Served, chromium: Chromium) -> None:
    """A page on another port of the same host, in the same browser, reads nothing, does nothing, is told no key."""
    tab = chromium.tab(served)
    before = served.facts()[-1]["position"]
    with elsewhere() as port:
        _Elsewhere.page = "<!doctype html><title>elsewhere</title><p>elsewhere</p>"
        page = tab.page.context.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        found = page.evaluate(_TRIES, address_of(served))
        # A form and a link that leave the page: what is posted is refused, and a link brings the shell alone.
        page.evaluate(
            "(action) => { const form = Object.assign(document.createElement('form'), {method: 'post', action});"
            " document.body.append(form); form.submit(); }",
            f"{address_of(served)}/freeze",
        )
        page.wait_for_selector("text=may not ask here")
    assert {name: found[name] for name in ("state", "page", "shell", "events", "token")} == dict.fromkeys(
        ("state", "page", "shell", "events", "token"), "TypeError"
    )
    assert found["opaque"] in {"opaque", "TypeError"}
    refused = ("source", "script", "classic", "image", "style")
    assert {name: found[name] for name in refused} == dict.fromkeys(refused, "refused")
    assert found["frame"] in {"closed", ""}
    assert found["opened"] in {"severed", "SecurityError", "blocked"}
    assert (found["storage"], found["cookies"]) == (None, "")
    assert all(heard.split(" ", 1)[1].strip() == "" for heard in _Elsewhere.heard), _Elsewhere.heard
    frozen = [fact["type"] for fact in served.facts() if fact["position"] > before and fact["type"] == "HiveFrozen"]
    assert frozen == []


def test_an_agents_port_is_another_origin(served: Served, chromium: Chromium) -> None:
    """The agent's page on its own port has a key of its own in its own storage, which opens the dashboard not."""
    tab = chromium.tab(served)
    url = tab.page.evaluate(
        "(async () => (await (await (await import('/static/ask.js'))"
        ".ask('/api/agent-key/coder', {method: 'POST'})).json()).url)()"
    )
    assert port_of(url) != port_of(tab.home)
    page = tab.page.context.new_page()
    page.goto(url)
    page.wait_for_selector("#page >> text=coder")
    key = page.evaluate("localStorage.getItem('hyperhive.key')")
    assert key != token_of(served)
    assert page.url == url.partition("#")[0]
    answered = tab.page.evaluate(
        "async (key) => (await fetch('/api/state', {headers: {Authorization: `Bearer ${key}`}})).status", key
    )
    assert answered == 401
    refused = page.evaluate(
        "async (key) => (await fetch('/api/state', {headers: {Authorization: `Bearer ${key}`}})).status",
        token_of(served),
    )
    assert refused == 401
