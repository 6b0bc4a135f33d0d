"""Diagnostics: single lines of key=value on stderr, never a body or a secret."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
import sys

_PLAIN = re.compile(r"[A-Za-z0-9_./:+-]+")


def log(event: str, **fields: object) -> None:
    """Write one line; a value with anything unusual in it is quoted as JSON, so that a line stays a line."""
    shown = "".join(f" {key}={_show(value)}" for key, value in fields.items())
    # Whoever kept the diagnostics may be gone; the harness outlives its daemon.
    with contextlib.suppress(OSError):
        sys.stderr.write(f"at={now()} event={event}{shown}\n")
        sys.stderr.flush()


def now() -> str:
    """Return the time as RFC 3339 UTC with milliseconds."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _show(value: object) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
