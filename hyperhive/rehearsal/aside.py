"""Requests that `claude` makes on its own behalf, such as one for a session's title, and a plain answer to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def asked_schema(request: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Give the JSON schema of an aside: it has a form to be filled in and offers no tools. None: it is no aside."""
    form = (request.get("output_config") or {}).get("format")
    schema = form.get("schema") if isinstance(form, Mapping) else None
    return schema if isinstance(schema, Mapping) and not request.get("tools") else None


def example(schema: Mapping[str, Any]) -> Any:
    """Fill a JSON schema with the plainest value that fits it."""
    if choices := schema.get("enum"):
        return choices[0]
    match schema.get("type"):
        case "object":
            wanted = schema.get("properties", {})
            return {name: example(wanted.get(name, {})) for name in schema.get("required", wanted)}
        case "array":
            return []
        case "integer" | "number":
            return 0
        case "boolean":
            return False
        case _:
            return "Rehearsal"
