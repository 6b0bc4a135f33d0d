"""The gate: whom a request is for, what page it is from, and how every answer is sealed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.web.asking import HOST, ORIGIN
from tests.web.seated import Seated, seated

PATHS = ["/", "/healthz", "/static/ask.js", "/page/dashboard", "/api/state", "/events", "/agent/coder/", "/nowhere"]


@pytest.fixture
def there(hive_db: Path) -> Seated:
    """The site."""
    return seated(hive_db)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7000", "127.0.0.1", "127.0.0.1:7001", "", f"{HOST}.evil"]
)
def test_host(there: Seated, path: str, host: str) -> None:
    """Data, pages and streams alike: what is for another host is refused, and told the right one (DNS rebinding)."""
    answer = there.ask(path, host=host)
    assert (answer.status, HOST.encode() in answer.body or b"localhost:7000" in answer.body) == (421, True)


@pytest.mark.parametrize("path", [path for path in PATHS if path != "/events"])
@pytest.mark.parametrize(
    "origin",
    ["http://127.0.0.1:8123", "http://localhost:7000", "https://127.0.0.1:7000", "null", "http://evil.example", ""],
)
def test_origin(there: Seated, path: str, origin: str) -> None:
    """A page of any other origin gets nothing: another port, another name of the same host, a sandboxed frame."""
    answer = there.ask(path, origin=origin)
    assert (answer.status, "access-control-allow-origin" in answer.headers) == (403, False)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "else"])
def test_fetched_by_a_page_elsewhere(there: Seated, site: str) -> None:
    """What a browser says is from elsewhere is refused where no Origin tells it: pictures, scripts, frames."""
    for path in ("/api/state", "/static/ask.js", "/"):
        assert there.ask(path, sec_fetch_site=site, sec_fetch_dest="image").status == 403
        assert there.ask(path, sec_fetch_site=site, sec_fetch_dest="iframe").status == 403
    assert there.ask("/freeze", method="POST", sec_fetch_site=site, sec_fetch_dest="document").status == 403


def test_a_link_from_elsewhere(there: Seated) -> None:
    """A link on another page opens the shell, in which nothing is told."""
    answer = there.ask("/", key=None, sec_fetch_site="cross-site", sec_fetch_dest="document", sec_fetch_mode="navigate")
    assert (answer.status, b"coder" in answer.body) == (200, False)


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_our_own(there: Seated, site: str) -> None:
    """Our own pages and what a person types get their answer."""
    assert there.ask("/api/state", sec_fetch_site=site, origin=ORIGIN).status == 200


def test_preflight(there: Seated) -> None:
    """What another origin asks leave for is not allowed."""
    asked = {"access_control_request_method": "POST", "access_control_request_headers": "authorization"}
    answer = there.ask("/freeze", method="OPTIONS", key=None, origin="http://evil.example", **asked)
    assert (answer.status, [name for name in answer.headers if "access-control" in name]) == (403, [])


@pytest.mark.parametrize("path", PATHS[:-3] + PATHS[-2:])
def test_seals(there: Seated, path: str) -> None:
    """Every answer forbids foreign and inline script, frames, guesses at its type, referrers, and readers elsewhere."""
    for given in ({}, {"key": None}, {"host": "evil.example"}, {"origin": "http://evil.example"}):
        headers = there.ask(path, **given).headers
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert (policy["default-src"], policy["script-src"], policy["style-src"]) == ("'none'", "'self'", "'self'")
        assert (policy["frame-ancestors"], policy["base-uri"], policy["connect-src"]) == ("'none'", "'none'", "'self'")
        assert policy["require-trusted-types-for"] == "'script'"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cross-origin-embedder-policy"] == "require-corp"
        assert headers["cache-control"] in {"no-store", "no-cache"}
