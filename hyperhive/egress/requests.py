"""A request to a proxy (RFC 9110, RFC 9112): ``CONNECT host:port``, or any other method with an absolute http URL."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import attrs

from hyperhive.egress.policy import BadTarget, Target, target_of

MAX_HEAD_BYTES = 32_768

_METHOD = re.compile(r"[A-Z][A-Z-]{0,31}")
_WHERE = re.compile(r"[\x21-\x7e]+")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")
"""A field line (RFC 9112, section 5): with a blank before its colon, a fold, or another line end it would be one
thing to us and another to the server."""
_OURS = ("proxy-", "connection:", "keep-alive:", "host:")
"""Headers that are for the proxy, or that it writes itself."""


class BadRequest(Exception):  # noqa: N818 - the house names errors for their cause
    """Nothing that a proxy can do."""


@attrs.frozen(kw_only=True)
class ProxyRequest:
    """Where a client wants to go; ``head`` is what that server gets first, and for CONNECT nothing."""

    target: Target
    tunnel: bool
    head: bytes = b""


def parse(head: bytes) -> ProxyRequest:
    """Read a request's head, blank line included; raises `BadRequest`."""
    try:
        first, *headers = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        method, where, version = first.split(" ")
    except ValueError:
        raise BadRequest("this is a proxy: CONNECT host:port, or an absolute http:// address") from None
    if not _METHOD.fullmatch(method) or version not in {"HTTP/1.0", "HTTP/1.1"}:
        raise BadRequest("the request line is no HTTP/1.1")
    if not _WHERE.fullmatch(where):
        raise BadRequest("an address has printable ASCII characters alone, and others as %XX")
    for header in headers:
        if not _HEADER.fullmatch(header):
            raise BadRequest(f"{header[:100]!r} is no header: NAME: VALUE, on one line")
    try:
        if method == "CONNECT":
            return ProxyRequest(target=target_of(where), tunnel=True)
        parts = urlsplit(where)
        if parts.scheme != "http":
            raise BadRequest(f"{where[:100]!r}: only http:// goes this way; for https:// ask with CONNECT")
        target = target_of(parts.netloc, 80)
    except (BadTarget, ValueError) as error:
        raise BadRequest(str(error)) from None
    # One request a connection, and the host that was allowed: nothing that comes later can lead elsewhere.
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    kept = [header for header in headers if not header.lower().startswith(_OURS)]
    lines = [f"{method} {path} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close", *kept]
    return ProxyRequest(target=target, tunnel=False, head=("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
