"""Makes text visible as what it is: no character in it moves, hides or reorders what stands beside it."""

from __future__ import annotations

import unicodedata

_HIDING = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"})
"""Controls, formats (bidirectional marks, zero-width signs, tags), private and unassigned signs, other line ends."""
_BLANKS = frozenset("\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000")
"""Spaces that look like a plain one and are none."""
_EMPTY = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
"""Letters and marks that show nothing, and the variation selectors below."""


def visible(text: str) -> str:
    r"""Show a line of text; a tab stays, what would not be seen as itself becomes its escape, such as ``\u202e``."""
    return "".join(sign if sign == "\t" or not _hides(sign) else _escape(sign) for sign in text)


def visible_path(path: str) -> str:
    r"""Show a file's name; a tab is no blank here, and a doubled backslash keeps names apart."""
    return "".join("\\\\" if sign == "\\" else _escape(sign) if _hides(sign) else sign for sign in path)


def _hides(sign: str) -> bool:
    return (
        unicodedata.category(sign) in _HIDING
        or sign in _BLANKS
        or sign in _EMPTY
        or "\ufe00" <= sign <= "\ufe0f"
        or "\U000e0100" <= sign <= "\U000e01ef"
    )


def _escape(sign: str) -> str:
    return sign.encode("unicode_escape", "surrogatepass").decode()
