"""What is served as it lies here: scripts, styles, pictures. Read once, at the start."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from hyperhive.web.access import Who
from hyperhive.web.guard import Way
from hyperhive.web.held import Held

ROOT = Path(__file__).parent / "static"
TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
    ".md": "text/plain",
    "": "text/plain",
}
"""By the end of a file's name; another file is not served."""


class Static:
    """Every file below `ROOT`, by its path; no request ever touches the disk."""

    def __init__(self) -> None:
        self._files = {
            file.relative_to(ROOT).as_posix(): Held(
                body=file.read_bytes(), media_type=TYPES[file.suffix], headers={"Cache-Control": "no-cache"}
            )
            for file in sorted(ROOT.rglob("*"))
            if file.is_file() and file.suffix in TYPES
        }

    async def __call__(self, request: Request) -> Response:
        """Answer with a file, or 404."""
        file = self._files.get(request.path_params["path"])
        return PlainTextResponse("no such file\n", 404) if file is None else file.answer(request)


def static_way() -> Way:
    """Return the way to all of them; anybody may have what everybody has."""
    return Way(path="/static/{path:path}", who=Who.PUBLIC, answer=Static())
