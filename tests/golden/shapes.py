"""A state as an older release showed it: what it knew, and nothing that came later; and its hash."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

Shape = dict[str, Any] | list[Any] | None
"""The keys of objects, the shape of a list's members (nothing where it was always empty), None for a plain value."""


def shape_of(value: Any) -> Shape:
    """Return what keys a value has."""
    match value:
        case dict():
            return {key: shape_of(each) for key, each in value.items()}
        case list():
            merged: Shape = None
            for each in value:
                merged = merge(merged, shape_of(each))
            return [merged] if value else []
        case _:
            return None


def merge(one: Shape, other: Shape) -> Shape:
    """Return the keys of either."""
    match one, other:
        case dict(), dict():
            return {key: merge(one.get(key), other.get(key)) for key in {**one, **other}}
        case list(), list():
            members = [*one, *other]
            return [merge(members[0], members[-1])] if members else []
        case _:
            return other if one is None else one


def known(shape: Shape, value: Any) -> Any:
    """Return a value without what a shape does not know."""
    match shape, value:
        case dict(), dict():
            return {key: known(inner, value[key]) for key, inner in shape.items() if key in value}
        case [inner], list():
            return [known(inner, each) for each in value]
        case [], list():
            return len(value)
        case _:
            return value


def digest(shape: Shape, value: Any) -> str:
    """Return a short hash of what a shape knows of a value: 64 bits find any accident."""
    return sha256(json.dumps(known(shape, value), sort_keys=True).encode()).hexdigest()[:16]
