"""Takes out of a text what looks like a secret, or is one that the host knows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

HIDDEN = "[secret]"
SHORTEST = 8
"""Characters of a known secret; shorter ones would be found in any text."""

# Keys of Anthropic, GitHub, AWS, Slack, Google, GitLab; a JWT; a private key; what follows a name that says so. Each
# quantifier is bounded or has one way to match alone: these texts are agents'.
_SHAPES = re.compile(
    r"sk-[A-Za-z0-9_-]{16,400}"
    r"|gh[pousr]_[A-Za-z0-9]{20,255}|github_pat_[A-Za-z0-9_]{20,255}|glpat-[A-Za-z0-9_-]{16,255}"
    r"|AKIA[A-Z0-9]{16}|xox[abeprs]-[A-Za-z0-9-]{10,255}|AIza[A-Za-z0-9_-]{30,60}"
    r"|eyJ[A-Za-z0-9_-]{10,2000}\.[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{10,1000}"
    r"|-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[A-Za-z0-9+/=\s\\]{0,10000}(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?"
)
_NAMED = re.compile(
    r"(?i)((?:api[_-]?key|secret|token|passw(?:or)?d|authorization|bearer|credentials?)[\"']?\s{0,3}[:= ]\s{0,3}[\"']?"
    r"(?:bearer |basic )?)([A-Za-z0-9+/_.~=-]{12,4000})"
)

_SECRET_KEY = re.compile(r"(?i)api[_-]?key|secret|token|passw(?:or)?d|authorization")


class Scrubber:
    """Takes secrets out; ``known`` are those of the host, whatever they look like."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        long = sorted({secret for secret in known if len(secret) >= SHORTEST}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, long))) if long else None

    def text(self, text: str) -> str:
        """Return a text without what is, or looks like, a secret."""
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        return _NAMED.sub(_keep_name, _SHAPES.sub(HIDDEN, text))

    def value(self, value: Any) -> Any:
        """Return a JSON value without them, in the same shape."""
        match value:
            case str():
                return self.text(value)
            case list():
                return [self.value(each) for each in value]
            case dict():
                return {self.text(key): self._field(key, each) for key, each in value.items()}
            case _:
                return value

    def _field(self, key: str, value: Any) -> Any:
        secret = isinstance(value, str) and len(value) >= SHORTEST and _SECRET_KEY.search(key) is not None
        return HIDDEN if secret else self.value(value)


def _keep_name(found: re.Match[str]) -> str:
    # A word of prose has no digit; a password of letters alone in prose is not told from one.
    return found[1] + HIDDEN if any(character.isdigit() for character in found[2]) else found[0]
