"""Placeholders in a scenario's texts: {name} is filled in, {{name}} stands for {name}, other braces are left alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

# Only a bare identifier counts, so that code and JSON can be written into a scenario as they are.
_PLACEHOLDER = re.compile(r"\{\{([A-Za-z_]\w*)\}\}|\{([A-Za-z_]\w*)\}")


def names_in(value: object) -> Iterator[str]:
    """Name every placeholder in a text, or in the texts of a table."""
    for text in _texts(value):
        for found in _PLACEHOLDER.finditer(text):
            if found[2] is not None:
                yield found[2]


def fill(value: Any, values: Mapping[str, str]) -> Any:
    """Fill the placeholders of a text, or of every text in a table; keys of tables are left alone."""
    match value:
        case str():
            return _PLACEHOLDER.sub(lambda found: values[found[2]] if found[2] else f"{{{found[1]}}}", value)
        case Mapping():
            return {key: fill(inner, values) for key, inner in value.items()}
        case list() | tuple():
            return [fill(inner, values) for inner in value]
        case _:
            return value


def _texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Mapping():
            for inner in value.values():
                yield from _texts(inner)
        case list() | tuple():
            for inner in value:
                yield from _texts(inner)
        case _:
            pass
