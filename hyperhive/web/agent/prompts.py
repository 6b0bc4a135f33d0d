"""What a session was told: the mail in a prompt as the harness writes it, a slash command, or anything else."""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs

_HEAD = re.compile(r"\[message (\d{1,18}) from (\S{1,64}) at ([0-9T:.+Z-]{1,40})\]( \(delivered before.*\))?")
_COUNT = re.compile(r"\d+ messages? for you\.")
_QUOTE = "> "
_COMMAND = re.compile(
    r"<command-name>(?P<name>[^<]{1,80})</command-name>.*?<command-args>(?P<args>.*?)</command-args>", re.DOTALL
)
_OUTPUT = re.compile(r"<local-command-(?:stdout|stderr)>(?P<text>.*)</local-command-(?:stdout|stderr)>", re.DOTALL)


@attrs.frozen
class Mail:
    """One message, as its turn began on it."""

    id: int
    sender: str
    at: str
    body: str
    again: bool


@attrs.frozen
class Command:
    """A slash command."""

    text: str


@attrs.frozen
class Output:
    """What a slash command printed."""

    text: str


@attrs.frozen
class Words:
    """What the harness itself says, and whatever looks like nothing else."""

    text: str


Said = Mail | Command | Output | Words


def said_in(prompt: str) -> Iterator[Said]:
    """Yield what a prompt is made of; nothing of it is lost but the number of messages."""
    if found := _COMMAND.search(prompt):
        yield Command(f"{found['name'].strip()} {found['args'].strip()}".strip())
    elif found := _OUTPUT.fullmatch(prompt.strip()):
        if text := found["text"].strip():
            yield Output(text)
    else:
        yield from _turn(prompt)


def _turn(prompt: str) -> Iterator[Said]:
    """Take a turn's prompt apart, as `harness.envelope` writes it."""
    head: re.Match[str] | None = None
    lines: list[str] = []
    for line in prompt.split("\n"):
        begins = _HEAD.fullmatch(line)
        if begins is None and (head is None or not line or line.startswith(_QUOTE)):
            lines.append(line)
            continue
        # A line without the mark is the host's: it ends the mail before it.
        yield from _closed(head, lines)
        head, lines = begins, [] if begins else [line]
    yield from _closed(head, lines)


def _closed(head: re.Match[str] | None, lines: list[str]) -> Iterator[Said]:
    if head is not None:
        body = "\n".join(line.removeprefix(_QUOTE) for line in lines).strip("\n")
        yield Mail(int(head[1]), head[2], head[3], body, head[4] is not None)
    elif (text := "\n".join(lines).strip("\n")) and not _COUNT.fullmatch(text):
        yield Words(text)
