"""The SDK's transport, with every message that `claude` writes heard as it came."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

from claude_agent_sdk import ClaudeAgentOptions

# The SDK yields typed messages, without what it does not know. This is the one private name that we lean on.
from claude_agent_sdk._internal.transport.subprocess_cli import SubprocessCLITransport

Message = dict[str, Any]

_CONTROL = frozenset({"control_request", "control_response", "control_cancel_request"})


class Tap(SubprocessCLITransport):
    """Hands messages to ``on_message`` and only control frames on to the SDK.

    So a message that the SDK cannot parse stops nothing, and none waits in a queue that nobody reads. ``on_end`` is
    called once, when `claude` has ended.
    """

    def __init__(
        self, options: ClaudeAgentOptions, *, on_message: Callable[[Message], None], on_end: Callable[[], None]
    ) -> None:
        super().__init__(prompt=_nothing(), options=options)
        self._on_message = on_message
        self._on_end = on_end
        self._asked: dict[str, asyncio.Future[Message]] = {}

    async def ask(self, subtype: str, *, within_seconds: float) -> Message:
        """Send a control request that the SDK has no method for; raises `TimeoutError`."""
        number = uuid.uuid4().hex
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        request = {"type": "control_request", "request_id": number, "request": {"subtype": subtype}}
        try:
            await self.write(json.dumps(request) + "\n")
            return await asyncio.wait_for(answer, within_seconds)
        finally:
            del self._asked[number]

    async def say(self, message: Message) -> None:
        """Write a message as it is."""
        await self.write(json.dumps(message) + "\n")

    async def read_messages(self) -> AsyncIterator[Message]:
        """Yield the SDK's control frames."""
        try:
            async for message in super().read_messages():
                if message.get("type") not in _CONTROL:
                    self._on_message(message)
                elif not self._is_answer(message):
                    yield message
        finally:
            self._on_end()

    def _is_answer(self, message: Message) -> bool:
        response = message.get("response") or {}
        answer = self._asked.get(response.get("request_id", ""))
        if answer is None:
            return False
        if not answer.done():
            answer.set_result(response.get("response") or {})
        return True


async def _nothing() -> AsyncIterator[Message]:
    return
    yield {}
