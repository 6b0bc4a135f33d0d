"""Mail as the model reads it: no body can pass for the host's words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from harness.wire import Mail

QUOTE = "> "
"""Stands before every line of a body, and before no line of the host's."""

_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # controls, but for the tab; line breaks never get here
    "\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # marks of direction, invisible
    "\U000e0000-\U000e0fff"  # tags and selectors: letters that no one sees
    "\ud800-\udfff]"  # half of a pair, which no UTF-8 can carry
)


def render(mail: Iterable[Mail]) -> str:
    """Write messages under a line each that only the host writes."""
    return "\n\n".join(f"{_head(message)}\n{quote(message.body)}" for message in mail)


def turn(mail: Sequence[Mail]) -> str:
    """Write the prompt of a turn on new mail."""
    return f"{_count(mail)} for you.\n\n{render(mail)}"


def again(ids: Iterable[int], reason: str, fresh: Sequence[Mail]) -> str:
    """Write the prompt that goes on after a failure, in a session which has the mail of ``ids`` already."""
    numbers = ", ".join(map(str, ids))
    start = f"The turn on message {numbers} was cut off ({_line(reason)}). The mail stands above; go on where you were."
    return f"{start}\n\n{_count(fresh)} came since.\n\n{render(fresh)}" if fresh else start


def quote(body: str) -> str:
    """Put `QUOTE` before every line, whatever Unicode counts as a line break, and show what would be unseen."""
    return "\n".join(QUOTE + _line(line) for line in body.splitlines() or [""])


def _head(message: Mail) -> str:
    seen = " (delivered before; you may have dealt with it)" if message.redelivered else ""
    return f"[message {message.id} from {_line(message.sender)} at {_line(message.at)}]{seen}"


def _line(text: str) -> str:
    return _UNSEEN.sub(_show, " ".join(text.splitlines()))


def _show(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", "surrogatepass").decode("ascii")


def _count(mail: Sequence[Mail]) -> str:
    return "1 message" if len(mail) == 1 else f"{len(mail)} messages"
