"""Speaks HTTP to a rehearsal with the standard library alone."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import attrs

CODER = {"x-api-key": "rehearsal-coder"}


@attrs.frozen
class Reply:
    """A whole reply."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Read the body."""
        return json.loads(self.body)

    def events(self) -> list[dict[str, Any]]:
        """Read the body as a stream of events."""
        lines = self.body.decode().splitlines()
        return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


def speak(
    url: str,
    path: str = "/v1/messages?beta=true",
    body: object = None,
    *,
    method: str = "",
    headers: Mapping[str, str] = CODER,
) -> Reply:
    """Send one request; bytes go as they are, anything else as JSON."""
    content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    with _connection(url) as connection:
        connection.request(method or ("GET" if content is None else "POST"), path, content, dict(headers))
        reply = connection.getresponse()
        found = {name.lower(): value for name, value in reply.getheaders()}
        return Reply(status=reply.status, headers=found, body=reply.read())


@contextmanager
def _connection(url: str) -> Iterator[http.client.HTTPConnection]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    try:
        yield connection
    finally:
        connection.close()
