"""An answer that is kept and given to many: its bytes, its compressed bytes, its ETag."""

from __future__ import annotations

import gzip
from functools import cached_property
from hashlib import sha256

import attrs
from starlette.requests import Request
from starlette.responses import Response

_WORTH_COMPRESSING = 1_000


@attrs.frozen(slots=False, kw_only=True)
class Held:
    """A body that stays as it is; compressed at the first request that wants it so, and then no more."""

    body: bytes
    media_type: str
    headers: dict[str, str] = attrs.field(factory=dict)

    @cached_property
    def etag(self) -> str:
        """A strong validator: the hash of what is told."""
        return f'"{sha256(self.body).hexdigest()[:32]}"'

    @cached_property
    def compressed(self) -> bytes:
        """The body for a client that takes gzip."""
        return gzip.compress(self.body, 6, mtime=0)

    def answer(self, request: Request) -> Response:
        """Answer 304 to whoever has it already, else all of it."""
        headers = {**self.headers, "ETag": self.etag, "Vary": "Accept-Encoding, Authorization"}
        if self.etag in (each.strip() for each in request.headers.get("if-none-match", "").split(",")):
            return Response(status_code=304, headers=headers)
        if len(self.body) >= _WORTH_COMPRESSING and "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            return Response(self.compressed, headers=headers, media_type=self.media_type)
        return Response(self.body, headers=headers, media_type=self.media_type)
