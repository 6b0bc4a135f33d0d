"""Who may ask over HTTP, and what is answered to whom."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from hyperhive.projections import views
from hyperhive.projections.history import History
from hyperhive.web.site import Site, site
from tests.commands.desk import Desk
from tests.proposals.kept import proposals_at
from tests.web.asking import HOST, ORIGIN, Answer, ask

TOKEN = "a-token-of-the-operators"
BEARER = f"Bearer {TOKEN}"


async def nothing(*_given: object) -> list[str]:
    """No journal."""
    return []


def opened(path: Path) -> tuple[Desk, Starlette]:
    """Build the site of a hive with one agent."""
    desk = Desk(path)
    asyncio.run(desk.spawn("coder"))
    holds = Site(
        dispatcher=desk.dispatcher,
        history=History(path),
        proposals=proposals_at(desk.dispatcher, path),
        kept=dict,
        journal=nothing,  # type: ignore[arg-type] # nobody reads it here
        token=TOKEN,
        origins=frozenset({ORIGIN, "http://localhost:7000"}),
    )
    return desk, site(holds)


def get(app: Starlette, path: str, **headers: Any) -> Answer:
    """Ask for a page."""
    return asyncio.run(ask(app, path, **headers))


class TestHealth:
    """Whether the daemon answers."""

    def test_everybody_may_ask(self, hive_db: Path) -> None:
        """Health needs no token."""
        _, app = opened(hive_db)
        answer = get(app, "/healthz")
        assert (answer.status, answer.body) == (200, b"ok\n")


class TestState:
    """The hive as it stands."""

    def test_is_the_view(self, hive_db: Path) -> None:
        """With the token it is the one view of the hive that every surface shows, as JSON."""
        desk, app = opened(hive_db)
        answer = get(app, "/api/state", authorization=BEARER)
        assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
        assert json.loads(answer.body) == json.loads(json.dumps(views.state(desk.hive, {})))
        assert [row["name"] for row in json.loads(answer.body)["agents"]] == ["coder"]

    @pytest.mark.parametrize(
        "given",
        [
            "",
            "Bearer",
            "Bearer ",
            TOKEN,
            f"bearer {TOKEN}",
            f"Basic {TOKEN}",
            f"{BEARER} ",
            f"{BEARER}x",
            "Bearer \xff",
        ],
    )
    def test_without_the_token(self, hive_db: Path, given: str) -> None:
        """Without exactly the token nothing of the hive is told, but how to ask."""
        _, app = opened(hive_db)
        answer = get(app, "/api/state", **({"authorization": given} if given else {}))
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert b"Authorization: Bearer" in answer.body
        assert b"coder" not in answer.body

    def test_token_elsewhere(self, hive_db: Path) -> None:
        """A cookie is not looked at: pages of other sites cannot make a browser ask in the operator's name."""
        _, app = opened(hive_db)
        assert get(app, "/api/state", cookie=f"token={TOKEN}").status == 401


class TestHost:
    """Requests whose name for this host is another's (DNS rebinding)."""

    @pytest.mark.parametrize("path", ["/healthz", "/api/state", "/nowhere"])
    @pytest.mark.parametrize("host", ["evil.example", "evil.example:7000", "127.0.0.1", "127.0.0.1:7001", ""])
    def test_wrong(self, hive_db: Path, path: str, host: str) -> None:
        """Another host is refused before anything else is looked at, and told the right one."""
        _, app = opened(hive_db)
        answer = get(app, path, host=host, authorization=BEARER)
        assert answer.status == 421
        assert HOST.encode() in answer.body

    @pytest.mark.parametrize("host", [HOST, "localhost:7000"])
    def test_right(self, hive_db: Path, host: str) -> None:
        """The names that this host has are answered."""
        _, app = opened(hive_db)
        assert get(app, "/healthz", host=host).status == 200
