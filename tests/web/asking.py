"""Ask an ASGI application, without a network."""

from __future__ import annotations

from typing import Any

import attrs
from starlette.types import ASGIApp, Message

HOST = "127.0.0.1:7000"
ORIGIN = f"http://{HOST}"


@attrs.frozen
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


async def ask(
    app: ASGIApp, path: str, *, method: str = "GET", query: str = "", body: bytes = b"", **headers: str
) -> Answer:
    """Send one request; underscores in names of headers become hyphens. ``host`` is the right one unless given."""
    given = {"host": HOST, **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in given.items()],
        "server": ("127.0.0.1", 7000),
        "client": ("127.0.0.1", 1),
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start, *bodies = sent
    return Answer(
        status=start["status"],
        headers={name.decode(): value.decode() for name, value in start["headers"]},
        body=b"".join(message.get("body", b"") for message in bodies),
    )
