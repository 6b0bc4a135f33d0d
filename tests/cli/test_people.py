"""``operator`` and ``open``: keys for people, links for browsers."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from tests.cli.host import ScriptedHost
from tests.cli.program import Program
from tests.served import Served, place
from tests.web.browser import token_of

LINK = "http://127.0.0.1:7000/#login=abc"


def people(served: Served) -> Program:
    """Return the program on a daemon's directories."""
    return Program(served.home, served.data, served.run)


def test_story() -> None:
    """Somebody is let in with a link that is shown once, listed without a key, and removed, which ends the key."""
    with place() as served:
        served.serve()
        program = people(served)
        added = program("operator", "add", "bob", "--role", "viewer")
        assert (added.code, added.out.startswith(f"http://127.0.0.1:{served.port}/#login=")) == (0, True)
        key = added.out.strip().partition("#login=")[2]
        assert key not in added.err
        rows = json.loads(program("operator", "list", "--json").out)
        assert [(row["name"], row["role"], row["added_by"]) for row in rows] == [("bob", "viewer", "operator")]
        assert (program("operator", "add", "bob").code, program("operator", "remove", "eve", "--yes").code) == (4, 3)
        assert program("operator", "add", "Not A Name").code == 2
        assert program("operator", "remove", "bob").code == 2
        assert program("operator", "remove", "bob", "--yes").code == 0
        assert json.loads(program("operator", "list", "--json").out) == []
        assert key not in served.said()
        assert program("open").out == f"http://127.0.0.1:{served.port}/#login={token_of(served)}\n"
        assert program("open", "nobody").code == 3
        assert token_of(served) not in served.said()


def test_opened_in_a_browser(host: ScriptedHost, hyperhive: Program) -> None:
    """A browser is started with a file that only this user can read: the link is on no command line."""
    host.answers["link"] = {"link": LINK}
    browser = hyperhive.home / "browser"
    browser.write_text(f'#!/bin/sh\necho "$@" > {hyperhive.home}/given\n')
    browser.chmod(0o700)
    opened = hyperhive("open", "coder", environment={"BROWSER": f"{browser} %s"})
    assert (opened.code, opened.out) == (0, "")
    assert host.asked("link") == [{"name": "coder"}]
    given = (hyperhive.home / "given").read_text().strip()
    way = Path(given.removeprefix("file://"))
    assert stat.S_IMODE(way.stat().st_mode) == 0o600
    assert f"url={LINK}" in way.read_text()
    assert LINK not in given
    assert hyperhive("open", "--print", environment={"BROWSER": str(browser)}).out == f"{LINK}\n"
