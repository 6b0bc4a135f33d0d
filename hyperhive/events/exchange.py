"""The log as JSON Lines: to keep, to move, to hand to somebody else.

    {"hyperhive":"log","format":1,"release":"0.1.0","hive":"…","first":1,"last":812,"previous":"00…","redacted":false}
    {"position":1,"stream":"hive-hive","version":1,"type":"HiveCreated","at":…,"actor":"daemon",…,"data":{…},"hash":"…"}
    …
    {"count":812,"head":"…","sha256":"…"}

``data`` is byte for byte what the log has, so that the hashes are those of the log; ``sha256`` is of all bytes before
its line, so that nothing can be missing or changed unseen. A redacted export has a chain of its own, from ``previous``
on, and says on each line what the hash was in the log it was made of (``original``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

import msgspec

from hyperhive.events import chain, codec
from hyperhive.events.anchor import head_of

Change = Callable[[str, bytes], bytes]
"""Returns what is shown of a fact's data, by the name of its type."""

FORMAT = 1
LONGEST_LINE = 8 * 1024 * 1024
"""Much more than any fact that the sockets let through."""

_Hex = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
_Position = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
_Time = Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]

_encode = msgspec.json.Encoder().encode


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first line: what follows."""

    hyperhive: Literal["log"] = "log"
    format: int = FORMAT
    release: str
    """That wrote the export, and can read it."""
    hive: str
    first: _Position
    last: _Position
    previous: _Hex
    """The hash before the first fact."""
    redacted: bool


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One fact."""

    position: _Position
    stream: str
    version: _Position
    type: str
    at: _Time
    actor: str
    correlation: _Position
    causation: _Position | None
    data: msgspec.Raw
    hash: _Hex
    original: _Hex | None = None


class Footer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The last line: how much there was, and what it was."""

    count: int
    head: str
    sha256: str


class BadExport(Exception):  # noqa: N818
    """A file that cannot be imported; the text names the line."""

    code = "failed"

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}; nothing was imported")
        self.line = line


class BadRange(Exception):  # noqa: N818
    """There are no such positions."""

    code = "invalid"


def export(
    path: Path,
    write: Callable[[bytes], object],
    *,
    release: str,
    first: int = 1,
    last: int | None = None,
    change: Change | None = None,
) -> Footer:
    """Write the facts from ``first`` to ``last`` (else all that there are now); a daemon may be running.

    With ``change`` (`redaction.redact`) the export says of itself that it is redacted, and has a chain of its own.
    Memory does not grow with the log. The chain is checked as it is read: raises `ChainBroken`, and then there is no
    last line. `BadRange` for positions that are not there, `BadAnchor` for a log without a fact.
    """
    head = head_of(path, named=False)
    last = head.position if last is None else last
    if not 1 <= first <= last <= head.position:
        raise BadRange(f"there are no facts from {first} to {last}; the log has 1 to {head.position}")
    digest = sha256()

    def put(value: msgspec.Struct) -> None:
        line = _encode(value) + b"\n"
        digest.update(line)
        write(line)

    walked = chain.walked(path, first, last)
    own = chain.GENESIS if change else chain.hash_before(path, first)
    put(
        Header(
            release=release,
            hive=head.hive,
            first=first,
            last=last,
            previous=own.hex(),
            redacted=change is not None,
        )
    )
    for envelope, data, hash_ in walked:
        shown = change(envelope[3], bytes(data)) if change else bytes(data)
        own = chain.link(own, envelope, shown) if change else hash_
        put(_line(envelope, shown, own, hash_ if change else None))
    footer = Footer(count=last - first + 1, head=own.hex(), sha256=digest.hexdigest())
    write(_encode(footer) + b"\n")
    return footer


def _line(envelope: chain.Envelope, data: bytes, hash_: bytes, original: bytes | None) -> Line:
    position, stream, version, type_, at, actor, correlation, causation = envelope
    return Line(
        position=position,
        stream=stream,
        version=version,
        type=type_,
        at=at,
        actor=actor,
        correlation=correlation,
        causation=causation,
        data=msgspec.Raw(data),
        hash=hash_.hex(),
        original=None if original is None else original.hex(),
    )


Row = tuple[object, ...]
"""A fact as the table of events keeps it."""


class _Lines:
    """The lines of a file, counted, none longer than there should be; `digest` is of those before the present one."""

    def __init__(self, opened: BinaryIO) -> None:
        self._opened = opened
        self._present = b""
        self.digest = sha256()
        self.number = 0

    def next(self) -> bytes:
        """Return the next line. Raises `BadExport` at the file's end."""
        if not (line := self.read()):
            raise BadExport(self.number, "the file ends here, and more should follow: it was cut off")
        return line

    def read(self) -> bytes:
        """Return the next line, nothing at the file's end."""
        self.digest.update(self._present)
        self._present = self._opened.readline(LONGEST_LINE)
        self.number += 1
        if self._present and not self._present.endswith(b"\n"):
            long = len(self._present) == LONGEST_LINE
            raise BadExport(self.number, "it is longer than any fact" if long else "the file ends in the middle of it")
        return self._present


class Reading:
    """An export that is being read: `header` at once, then the `rows` one after the other, each checked."""

    def __init__(self, opened: BinaryIO) -> None:
        """Read the first line. Raises `BadExport` where it is none that this release can go on from."""
        self._lines = _Lines(opened)
        self.header = _header(self._lines)

    def rows(self) -> Iterator[Row]:
        """Yield the facts; ends only after the last line has confirmed that nothing is missing or changed.

        Raises `BadExport`.
        """
        header, lines = self.header, self._lines
        walk = chain.Walk(position=header.first - 1, head=bytes.fromhex(header.previous))
        while walk.position < header.last:
            yield _row(lines.next(), lines.number, walk, header)
        last = lines.next()
        count = header.last - header.first + 1
        footer = Footer(count=count, head=walk.head.hex(), sha256=lines.digest.hexdigest())
        if last != _encode(footer) + b"\n":
            raise BadExport(lines.number, "the last line does not fit what was read: something was changed")
        if lines.read():
            raise BadExport(lines.number, "there should be nothing after the last line")


def _header(lines: _Lines) -> Header:
    raw = lines.read()
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        found = None
    if not isinstance(found, dict) or found.get("hyperhive") != "log":
        raise BadExport(1, "it is not the beginning of an exported log (hyperhive log export writes one)")
    if found.get("format") != FORMAT:
        raise BadExport(
            1,
            f"the export has the format {found.get('format')!r}, of release {found.get('release')!r}, and this release "
            f"reads {FORMAT}: upgrade hyperhive",
        )
    try:
        return msgspec.convert(found, Header)
    except msgspec.MsgspecError as error:
        raise BadExport(1, f"it does not say what follows: {error}") from None


def _row(raw: bytes, number: int, walk: chain.Walk, header: Header) -> Row:
    at = f"(position {walk.position + 1}) "
    try:
        line = msgspec.json.decode(raw, type=Line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadExport(number, f"{at}it is not a fact: {error}") from None
    data = bytes(line.data)
    envelope = (
        line.position,
        line.stream,
        line.version,
        line.type,
        line.at,
        line.actor,
        line.correlation,
        line.causation,
    )
    try:
        walk.step(envelope, data, bytes.fromhex(line.hash))
        codec.decode(line.type, data)
        return (*envelope, data.decode(), bytes.fromhex(line.hash))
    except chain.ChainBroken as broken:
        raise BadExport(number, f"{at}{broken.reason}") from None
    except codec.UnknownType as error:
        raise BadExport(number, f"{at}{error}; release {header.release} wrote the export and can read it") from None
    except (codec.BadData, UnicodeDecodeError) as error:
        raise BadExport(number, f"{at}{error}") from None
