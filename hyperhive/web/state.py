"""``GET /api/state``: the whole hive as JSON, written once for each position and not for each request."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from hyperhive.projections import views
from hyperhive.projections.hive import Hive
from hyperhive.projections.views import Kept
from hyperhive.web.held import Held

_encode = msgspec.json.Encoder().encode


class State:
    """Answers with the hive as it stands."""

    def __init__(self, hive: Hive, kept: Callable[[], Mapping[str, Kept]]) -> None:
        self._hive = hive
        self._kept = kept
        self._made_of: tuple[int, Mapping[str, Kept]] | None = None
        self._held = Held(body=b"", media_type="application/json")

    async def __call__(self, request: Request) -> Response:
        """Answer; nothing but the log and what was found on disk of tombstones is in it."""
        made_of = self._hive.position, self._kept()
        if made_of != self._made_of:
            self._made_of = made_of
            self._held = Held(body=_encode(views.state(self._hive, made_of[1])), media_type="application/json")
        return self._held.answer(request)
