"""The past of the hive's log, asked beside the event loop: one question at a time, and only so many waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from hyperhive.commands.errors import Invalid, NotFound, Unavailable
from hyperhive.replay.past import BadMoment, NotThere, Past, Unreplayable

MOST_WAITING = 16
"""Questions asked and not answered yet; whoever comes then is told so and may ask again."""

T = TypeVar("T")


class _Closing(Exception):  # noqa: N818 - the way out of a long fold
    """The daemon ends."""


class Reading:
    """Opens the log when it is first asked, in a thread of its own. The daemon may be writing to it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="past")
        self._past: Past | None = None
        self._waiting = 0
        self._closing = False

    async def ask(self, question: Callable[[Past], T]) -> T:
        """Answer a question in the thread; raises `Invalid`, `NotFound`, and `Unavailable` for a log that is broken."""
        if self._closing or self._waiting >= MOST_WAITING:
            raise Unavailable("the past is being asked by too many at once; ask again in a moment")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, question)
        except BadMoment as error:
            raise Invalid(str(error)) from None
        except NotThere as error:
            raise NotFound(str(error)) from None
        except Unreplayable as error:
            raise Unavailable(str(error)) from None
        except _Closing:
            raise Unavailable("the daemon is about to end") from None
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """End; a fold that is under way ends with its block."""
        self._closing = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._shut)
        self._thread.shutdown(wait=False)

    def _answer(self, question: Callable[[Past], T]) -> T:
        if self._past is None:
            self._past = Past(self._path, said=self._said)
        return question(self._past)

    def _said(self, _done: int, _all: int) -> None:
        if self._closing:
            raise _Closing

    def _shut(self) -> None:
        if self._past is not None:
            self._past.close()
