"""The operator's token, which is all that stands between a reader of the dashboard and the hive."""

from __future__ import annotations

import secrets
from pathlib import Path

MIN_CHARACTERS = 20


class ShortToken(Exception):  # noqa: N818
    """The operator's token can be guessed."""


def operator_token(path: Path) -> str:
    """Return the token, making it (0600) at the first start; raises `ShortToken` for one that was made shorter."""
    if not path.exists():
        # In one step: an empty token would let everybody in.
        unfinished = path.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        unfinished.touch(mode=0o600)
        unfinished.write_text(secrets.token_urlsafe(32) + "\n")
        unfinished.replace(path)
    token = path.read_text().strip()
    if len(token) < MIN_CHARACTERS:
        raise ShortToken(f"{path} holds no token of {MIN_CHARACTERS} characters or more; remove it for a new one")
    return token
