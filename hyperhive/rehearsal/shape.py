"""Whether a request body has the shape of a Messages API request, so that what reads it need not ask again."""

from __future__ import annotations

import json
from typing import Any


class MalformedError(Exception):
    """A body that is no Messages API request; the text says what would be right."""


def read_request(body: bytes) -> dict[str, Any]:
    """Read a request's body; raises `MalformedError`."""
    try:
        request: dict[str, Any] = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"the body is not JSON: {error}") from None
    if b"\\ud" in body.lower():
        _check_surrogates(request)
    _check(isinstance(request, dict), "the body must be a JSON object")
    _check(isinstance(request.get("model"), str), "model: a string is needed")
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        raise MalformedError("messages: an array of at least one message is needed")
    for number, message in enumerate(messages):
        _check_message(message, f"messages.{number}")
    form = request.get("output_config")
    _check(form is None or isinstance(form, dict), "output_config: an object is needed")
    return request


def _check_surrogates(request: object) -> None:
    try:
        json.dumps(request, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise MalformedError("the body is not JSON: it has half of a surrogate pair") from None


def _check_message(message: object, at: str) -> None:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise MalformedError(f"{at}: an object with role and content is needed")
    content = message.get("content")
    if isinstance(content, str):
        return
    if not isinstance(content, list):
        raise MalformedError(f"{at}.content: a string or an array of blocks is needed")
    for number, block in enumerate(content):
        _check_block(block, f"{at}.content.{number}")


def _check_block(block: object, at: str) -> None:
    if not isinstance(block, dict):
        raise MalformedError(f"{at}: an object is needed")
    match block.get("type"):
        case "text":
            _check(isinstance(block.get("text"), str), f"{at}.text: a string is needed")
        case "tool_use":
            named = isinstance(block.get("id"), str) and isinstance(block.get("name"), str)
            _check(named and isinstance(block.get("input"), dict), f"{at}: a tool_use has id, name and input")
        case "tool_result":
            _check(isinstance(block.get("tool_use_id"), str), f"{at}.tool_use_id: a string is needed")
            content = block.get("content")
            _check(content is None or isinstance(content, str | list), f"{at}.content: text or blocks are needed")
            for number, inner in enumerate(content if isinstance(content, list) else []):
                _check_block(inner, f"{at}.content.{number}")
        case kind:
            _check(isinstance(kind, str), f"{at}.type: a string is needed")


def _check(holds: bool, right: str) -> None:  # noqa: FBT001 - an assertion, called as one
    if not holds:
        raise MalformedError(right)
