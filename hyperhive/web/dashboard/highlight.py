"""Syntax in colour, for what configurations are written in: one linear pass, no grammar.

A library's lexers are regular expressions that a hostile file may keep busy for long. These have no nested repetition,
and what they do not know stays plain.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple


class Span(NamedTuple):
    """A piece of a line; ``kind`` is k(ey), s(tring), n(umber), c(omment) or empty."""

    text: str
    kind: str = ""


_STRING = r'(?P<s>"(?:[^"\\]|\\.)*"|\'[^\']*\')'
_NUMBER = r"(?P<n>(?<![\w.])[-+]?\d[\d_.]*(?![\w])|\b(?:true|false|null)\b)"
_LANGUAGES = {
    "toml": re.compile(rf"(?P<c>\#.*)|{_STRING}|(?P<k>^\s*[\w.-]+(?=\s*=)|(?<=\[)[\w.\"'-]+(?=\]))|{_NUMBER}"),
    "nix": re.compile(
        rf"(?P<c>\#.*)|(?P<s>\"(?:[^\"\\]|\\.)*\"|''[^']*'')|(?P<k>[\w.-]+(?=\s*=[^=])|"
        rf"\b(?:let|in|with|inherit|rec|if|then|else|import)\b)|{_NUMBER}"
    ),
    "json": re.compile(rf'(?P<k>"(?:[^"\\]|\\.)*"(?=\s*:))|{_STRING}|{_NUMBER}'),
    "md": re.compile(r"(?P<k>^\#+ .*)|(?P<s>`[^`]*`)"),
}
_ENDINGS = {"toml": "toml", "nix": "nix", "json": "json", "md": "md", "lock": "json"}
MAX_CHARACTERS = 2_000
"""A longer line is shown whole, and plain."""


def highlight(line: str, path: str) -> Iterator[Span]:
    """Yield the pieces of a line; together they are the line."""
    language = _LANGUAGES.get(_ENDINGS.get(path.rpartition(".")[2].lower(), ""))
    if language is None or len(line) > MAX_CHARACTERS:
        yield Span(line)
        return
    end = 0
    for found in language.finditer(line):
        if found.start() > end:
            yield Span(line[end : found.start()])
        yield Span(found.group(), found.lastgroup or "")
        end = found.end()
    if end < len(line) or not line:
        yield Span(line[end:])
