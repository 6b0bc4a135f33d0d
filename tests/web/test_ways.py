"""Every way through the site, and who may take it: written a second time, by hand."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from starlette.routing import Route

from hyperhive.web.access import Who
from hyperhive.web.agent_page import agent_ways
from hyperhive.web.guard import Guarded
from hyperhive.web.static import static_way
from tests.web.asking import ask
from tests.web.seated import ANN, BOB, TOKEN, Seated, seated

PUBLIC = """
    GET /   GET /healthz   GET /readyz   GET /static/{path:path}   GET /agent/{name}/   GET /past
"""
VIEWER = """
    GET /page/dashboard   GET /page/dashboard/{section}   GET /events   GET /metrics
    GET /api/me   GET /api/state   GET /api/journal/{name}   POST /api/agent-key/{name}
    GET /api/approval/{id:int}   GET /page/mail   GET /page/activity   GET /page/config/{name}
    GET /agent/{name}/api/state   GET /agent/{name}/api/journal   GET /agent/{name}/page
    GET /agent/{name}/stream   GET /agent/{name}/stream/text   GET /agent/{name}/events
    GET /page/past   GET /api/past/track   GET /api/past/events   GET /api/past/jump
"""
OPERATOR = """
    POST /start/{name}   POST /kill/{name}   POST /restart/{name}   POST /rebuild/{name}   POST /destroy/{name}
    POST /lift/{name}   POST /pause/{name}   POST /resume/{name}   POST /revive/{name}   POST /purge-tombstone/{name}
    POST /model/{name}   POST /command/{name}   POST /cancel/{name}
    POST /agent/{name}/send   POST /agent/{name}/api/model   POST /agent/{name}/api/cancel
    POST /agent/{name}/api/command
    POST /freeze   POST /thaw   POST /send/{name}   POST /answer-question/{id:int}   POST /cancel-question/{id:int}
    POST /request-spawn   POST /approve/{id:int}   POST /deny/{id:int}   POST /rollback/{name}
    POST /read-messages   POST /requeue/{name}/{id:int}   POST /drop/{name}/{id:int}   POST /rebuild-outdated
"""
"""Whoever adds a way says here, too, whom it is for."""


def listed(text: str) -> set[tuple[str, str]]:
    """Read a list of ways."""
    words = text.split()
    return set(zip(words[::2], words[1::2], strict=True))


EXPECTED = {
    **dict.fromkeys(listed(PUBLIC), Who.PUBLIC),
    **dict.fromkeys(listed(VIEWER), Who.VIEWER),
    **dict.fromkeys(listed(OPERATOR), Who.OPERATOR),
}
ACTS = sorted(path for method, path in listed(OPERATOR) if method == "POST")
DATA = sorted(path for method, path in listed(VIEWER) if method == "GET")


def filled(path: str) -> str:
    """Return a path with something in its holes."""
    values = {"{name}": "coder", "{section}": "swarm", "{id:int}": "1"}
    for hole, value in values.items():
        path = path.replace(hole, value)
    return path


@pytest.fixture
def site_of_all(hive_db: Path) -> Seated:
    """The site."""
    return seated(hive_db)


def test_every_way_is_classified(site_of_all: Seated) -> None:
    """There is no way but these, each is for whom it says here, and none is without a guard."""
    found = {}
    for route in site_of_all.app.routes:
        assert isinstance(route, Route), f"{route} is no plain way"
        assert isinstance(route.endpoint, Guarded), f"{route.path} has no guard"
        assert route.methods is not None
        for method in route.methods - {"HEAD"}:
            found[method, route.path] = route.endpoint.who
    assert found == EXPECTED


def test_agents_ways_are_classified(site_of_all: Seated) -> None:
    """What is served on an agent's own port is what stands below /agent/{name}, and the same scripts and styles."""
    ways = [static_way(), *agent_ways(site_of_all.holds.agent_page)]
    below = {
        (way.method, f"/agent/{{name}}{way.path}" if way.path != "/static/{path:path}" else way.path) for way in ways
    }
    agents = {way for way in EXPECTED if way[1].startswith("/agent/")}
    assert below == agents | {("GET", "/static/{path:path}")}


@pytest.mark.parametrize("path", DATA)
def test_data_needs_a_key(site_of_all: Seated, path: str) -> None:
    """Nothing of the hive is told without a key, nor to one that is wrong, in a cookie, or in the address."""
    for given in (
        {"key": None},
        {"key": "wrong"},
        {"key": None, "authorization": TOKEN},
        {"key": None, "authorization": f"bearer {TOKEN}"},
        {"key": None, "authorization": f"Bearer {TOKEN} "},
        {"key": None, "cookie": f"token={TOKEN}; hyperhive.key={TOKEN}"},
        {"key": None, "query": f"login={TOKEN}&token={TOKEN}"},
    ):
        answer = site_of_all.ask(filled(path), **given)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert "hyperhive open" in json.loads(answer.body)["error"]
        assert b"coder" not in answer.body


@pytest.mark.parametrize("path", ACTS)
def test_viewers_only_look(site_of_all: Seated, path: str) -> None:
    """A viewer's act is 403, and nothing follows; without a key it is 401."""
    before = site_of_all.desk.hive.position
    answer = site_of_all.ask(filled(path), key=BOB, method="POST")
    assert (answer.status, json.loads(answer.body)["error"]) == (
        403,
        "viewer:bob may only look; an operator may do that",
    )
    assert site_of_all.ask(filled(path), key=None, method="POST").status == 401
    assert site_of_all.ask(filled(path), key=ANN).status == 405
    assert site_of_all.desk.hive.position == before


@pytest.mark.parametrize(
    "path", [path for path in DATA if not path.endswith(("/events", "/stream/text", "/api/approval/{id:int}"))]
)
def test_viewers_look(site_of_all: Seated, path: str) -> None:
    """A viewer sees what an operator sees, as far as it is no form."""
    answer = site_of_all.ask(filled(path), key=BOB)
    assert answer.status == 200
    assert b"<form" not in answer.body


def test_the_actor_is_the_person(site_of_all: Seated) -> None:
    """What ann does stands in the log as hers, and the agent reads who wrote."""
    for path, body in (("/send/coder", b"body=hello"), ("/freeze", b"")):
        assert site_of_all.ask(path, key=ANN, method="POST", body=body).status == 200
    facts = site_of_all.holds.history.newest(2)
    assert [(type_name, actor) for _, _, type_name, _, actor in facts] == [
        ("HiveFrozen", "operator:ann"),
        ("MessageSent", "operator:ann"),
    ]
    assert [row.sender for row in site_of_all.desk.hive.messages.group("coder").values()][-1] == "operator:ann"
    assert json.loads(site_of_all.ask("/api/me", key=ANN).body) == {"ok": True, "name": "ann", "role": "operator"}


def test_removed(site_of_all: Seated) -> None:
    """A key that was taken away opens nothing any more; one that is given to the same name anew is another."""
    assert site_of_all.ask("/api/me", key=BOB).status == 200
    site_of_all.remove("bob")
    assert site_of_all.ask("/api/me", key=BOB).status == 401
    site_of_all.add("bob", "viewer", "another-key-of-bob")
    assert (
        site_of_all.ask("/api/me", key=BOB).status,
        site_of_all.ask("/api/me", key="another-key-of-bob").status,
    ) == (
        401,
        200,
    )


def test_the_log_has_no_key(site_of_all: Seated) -> None:
    """Neither log nor views have a key: only its hash."""
    raw = site_of_all.desk.path.read_bytes() + (site_of_all.desk.path.parent / "hive.sqlite-wal").read_bytes()
    assert [key for key in (TOKEN, ANN, BOB) if key.encode() in raw] == []


class TestAgentKeys:
    """Keys of agents' pages."""

    def test_opens_its_page_alone(self, site_of_all: Seated) -> None:
        """A key of coder's page is one there, and on no other page nor on the dashboard."""
        holds = site_of_all.holds
        ann = holds.keys(ANN)
        assert ann is not None
        key = holds.agent_keys.make("coder", ann)
        assert holds.agent_keys.of("coder")(key) == ann
        assert holds.agent_keys.of("reviewer")(key) is None
        assert site_of_all.ask("/api/me", key=key).status == 401
        assert site_of_all.ask("/agent/coder/api/state", key=key).status == 401
        assert [holds.agent_keys.of("coder")(each) for each in (TOKEN, ANN, "", ".", "a.b", key[:-4], f"{key}x")] == [
            None
        ] * 7

    def test_ends(self, site_of_all: Seated) -> None:
        """It ends with its time, and with the key of the person that it was made for."""
        holds = site_of_all.holds
        bob = holds.keys(BOB)
        assert bob is not None
        now = [1_000.0]
        keys = type(holds.agent_keys)(TOKEN, holds.keys, clock=lambda: now[0])
        key = keys.make("coder", bob)
        now[0] += 7 * 86_400 - 1
        assert keys.of("coder")(key) == bob
        now[0] += 1
        assert keys.of("coder")(key) is None
        now[0] = 1_000.0
        site_of_all.remove("bob")
        site_of_all.add("bob", "viewer", "another-key-of-bob")
        assert keys.of("coder")(key) is None

    def test_handed_over(self, hive_db: Path) -> None:
        """The dashboard gets a link to the agent's own origin; where there is none, to the page on its own."""
        there = seated(hive_db, agent_origin=lambda _name, host: f"http://{host.partition(':')[0]}:8123")
        told = json.loads(there.ask("/api/agent-key/coder", key=BOB, method="POST", host="localhost:7000").body)
        origin, _, key = told["url"].partition("/#login=")
        assert origin == "http://localhost:8123"
        assert there.holds.agent_keys.of("coder")(key) == there.holds.keys(BOB)
        assert there.ask("/api/agent-key/nobody", method="POST").status == 404

    def test_no_port(self, site_of_all: Seated) -> None:
        """Where nobody of ours listens no key is handed over: somebody else may."""
        told = json.loads(site_of_all.ask("/api/agent-key/coder", method="POST").body)
        assert told == {"ok": True, "url": "/agent/coder/"}


def test_nobody_else_is_asked(site_of_all: Seated) -> None:
    """A path that is no way is 404, with the same seals."""
    answer = asyncio.run(ask(site_of_all.app, "/nowhere"))
    assert (answer.status, answer.headers["x-content-type-options"]) == (404, "nosniff")
