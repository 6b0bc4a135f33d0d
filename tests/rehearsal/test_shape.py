"""Bodies that are no Messages API request."""

from __future__ import annotations

import json

import pytest

from hyperhive.rehearsal.shape import MalformedError, read_request
from tests.rehearsal.talk import Json, request, result, said, told, use


def body(*messages: object, **more: object) -> bytes:
    """Build a body with these messages."""
    return json.dumps({"model": "m", "messages": list(messages), **more}).encode()


BROKEN = {
    b"{": "the body is not JSON: Expecting property name",
    b'{"a":"\xff"}': "the body is not JSON: 'utf-8' codec can't decode byte 0xff",
    b'{"a":"\\uD800"}': "the body is not JSON: it has half of a surrogate pair",
    b"[" * 100_000: "the body is not JSON: maximum recursion depth",
    b"[]": "the body must be a JSON object",
    b'{"messages":[]}': "model: a string is needed",
    body(): "messages: an array of at least one message is needed",
    body({"content": "x"}): "messages.0: an object with role and content is needed",
    body(told("x"), {"role": "user"}): "messages.1.content: a string or an array of blocks is needed",
    body({"role": "user", "content": [1]}): "messages.0.content.0: an object is needed",
    body(told({"text": "x"})): "messages.0.content.0.type: a string is needed",
    body(told({"type": "text"})): "messages.0.content.0.text: a string is needed",
    body(said({"type": "tool_use", "id": "a"})): "messages.0.content.0: a tool_use has id, name and input",
    body(told({"type": "tool_result"})): "messages.0.content.0.tool_use_id: a string is needed",
    body(told({**result("x"), "content": 5})): "messages.0.content.0.content: text or blocks are needed",
    body(told({**result("x"), "content": [5]})): "messages.0.content.0.content.0: an object is needed",
    body(told("x"), output_config="json"): "output_config: an object is needed",
}


class TestReadRequest:
    """Reading a body."""

    @pytest.mark.parametrize("broken", BROKEN, ids=list(BROKEN.values()))
    def test_broken_body_is_refused_with_its_place(self, broken: bytes) -> None:
        """The error says where the body is no request, and what is needed there."""
        with pytest.raises(MalformedError) as caught:
            read_request(broken)
        assert str(caught.value).startswith(BROKEN[broken])

    @pytest.mark.parametrize(
        "fine",
        [
            request(told("x"), said("y", use("Bash")), told(result("z"))),
            request(told({"type": "image", "source": {}}), {"role": "system", "content": "notes"}),
            request(told("a real pair: \ud83d\udc1d".encode("utf-16", "surrogatepass").decode("utf-16"))),
        ],
    )
    def test_request_is_read(self, fine: Json) -> None:
        """A request comes through as it is; blocks of kinds that nobody here knows are no mistake."""
        assert read_request(json.dumps(fine).encode()) == fine
