"""An agent's words as markup: CommonMark without HTML, without pictures, with links that lead out alone."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict
from markupsafe import Markup, escape

MAX_CHARACTERS = 20_000
"""Of one text as markup; more is shown as it was written, when somebody asks for it."""
_MAX_NESTING = 20


class _Renderer(RendererHTML):
    def link_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]) -> str:
        token = tokens[idx]
        token.attrs = {
            "href": str(token.attrs.get("href", "")),
            "rel": "noopener noreferrer nofollow",
            "target": "_blank",
        }
        return self.renderToken(tokens, idx, options, env)

    def image(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]) -> str:
        """Show a picture's words and its address: the picture itself would tell another host that somebody looks."""
        token = tokens[idx]
        words = self.renderInlineAsText(token.children or [], options, env)
        return f"<span>{escape(words)} ({escape(str(token.attrs.get('src', '')))})</span>"


def _leads_out(address: str) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": _MAX_NESTING}, renderer_cls=_Renderer)
    # The library's own way to say which links are right.
    parser.validateLink = _leads_out  # type: ignore[method-assign,assignment]
    return parser.enable(["table", "strikethrough"])


_PARSER = _parser()


def prose(text: str) -> Markup:
    """Write a text as markup; what is past `MAX_CHARACTERS` is left out."""
    return Markup(_PARSER.render(text[:MAX_CHARACTERS]))  # noqa: S704 - the parser escapes, and knows no HTML
