"""A segment: closed facts in one compressed file, which says what it holds and proves it.

The file is a row of zstd frames (RFC 8878), so that ``zstdcat`` shows it. The first holds one line of JSON, the
`Header`; each other one some facts, each as the two lines that its hash covers: the envelope as a JSON array, and the
data. So a segment is verified by hashing what stands there, and a frame can be read without those before it.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

import msgspec

from hyperhive.events.hashing import Envelope, canonical, seal

FORMAT = 1
FACTS = 20_000
"""In one segment: moved in one transaction, which a daemon at work must not feel."""
RAW_BYTES = 16 * 1024 * 1024
"""In one segment, uncompressed."""
FRAME_FACTS = 1_000
FRAME_BYTES = 256 * 1024
"""In one frame, about: what is read for one fact."""
_LEVEL = 12
"""Within a few percent of the smallest, in a fifth of the time."""
_LARGEST_FRAME = 64 * 1024 * 1024
_LONGEST_HEADER = 1024 * 1024

_Hex = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
_Position = Annotated[int, msgspec.Meta(ge=1, le=2**62)]


class BadSegment(Exception):  # noqa: N818
    """Bytes that are not what a segment has at this place."""


class Frame(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One frame: up to which position, its compressed length, and the chain's hash at its end."""

    last: _Position
    bytes: Annotated[int, msgspec.Meta(ge=1, le=_LARGEST_FRAME)]
    head: _Hex


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first frame: what follows."""

    hyperhive: Literal["segment"] = "segment"
    format: int = FORMAT
    first: _Position
    last: _Position
    previous: _Hex
    """The hash before the first fact."""
    frames: Annotated[list[Frame], msgspec.Meta(min_length=1)]


Written = tuple[bytes, bytes]
"""A fact as the two lines that its hash covers."""

_decode_header = msgspec.json.Decoder(Header).decode
_decode_envelope = msgspec.json.Decoder(tuple[int, str, int, str, int, str, int, int | None]).decode


def decode_envelope(written: bytes) -> Envelope:
    """Read the first of a fact's two lines. Raises `msgspec.MsgspecError`."""
    return _decode_envelope(written)


def pack(facts: Iterable[tuple[Envelope, bytes, bytes]], *, previous: bytes) -> tuple[Header, bytes]:
    """Write facts (envelope, data, hash), which follow on ``previous`` and each other, as a segment's content.

    Takes as many as a segment may have and leaves the others. Raises `BadSegment` for none, and for data with a line of
    its own.
    """
    import zstandard  # noqa: PLC0415 - 2 MB that a hive without segments should not pay

    compress = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True, write_content_size=True).compress
    frames: list[Frame] = []
    packed: list[bytes] = []
    lines: list[bytes] = []
    first = last = size = total = 0
    head = b""

    def close() -> None:
        nonlocal size
        packed.append(compress(b"".join(lines)))
        frames.append(Frame(last, len(packed[-1]), head.hex()))
        lines.clear()
        size = 0

    for envelope, data, hash_ in facts:
        if b"\n" in data:
            raise BadSegment(f"the data at position {envelope[0]} has a line of its own, which no release wrote")
        line = b"%b\n%b\n" % (canonical(envelope), data)
        first, last, head = first or envelope[0], envelope[0], hash_
        lines.append(line)
        size += len(line)
        total += len(line)
        if len(lines) >= FRAME_FACTS or size >= FRAME_BYTES:
            close()
        if last - first + 1 >= FACTS or total >= RAW_BYTES:
            break
    if lines:
        close()
    if not frames:
        raise BadSegment("there is no fact to archive")
    header = Header(first=first, last=last, previous=previous.hex(), frames=frames)
    return header, compress(msgspec.json.encode(header) + b"\n") + b"".join(packed)


class Segment:
    """A segment's content, read a frame at a time."""

    def __init__(self, content: bytes, *, proven: bool = False) -> None:
        """Read the header; ``proven`` is content with the SHA-256 that was kept. Raises `BadSegment`."""
        self.proven = proven
        head, self._rest = _first_frame(content)
        try:
            self.header = _decode_header(head)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise BadSegment(f"it does not say what it holds: {error}") from None
        if self.header.format != FORMAT:
            raise BadSegment(f"it has the format {self.header.format}, and this release reads {FORMAT}")
        if self.header.last != self.header.frames[-1].last:
            raise BadSegment("its frames do not end where it says")
        self._lasts = [frame.last for frame in self.header.frames]
        self._offsets = [0]
        for frame in self.header.frames:
            self._offsets.append(self._offsets[-1] + frame.bytes)
        self._open: tuple[int, list[Written]] | None = None

    def __len__(self) -> int:
        return len(self._lasts)

    def frame_of(self, position: int) -> int:
        """Return the number of the frame that holds a position."""
        return bisect.bisect_left(self._lasts, position)

    def bounds(self, number: int) -> tuple[int, int]:
        """Return the first and last position of a frame."""
        return (self._lasts[number - 1] + 1 if number else self.header.first), self._lasts[number]

    def previous(self, number: int) -> bytes:
        """Return the hash before a frame."""
        return bytes.fromhex(self.header.frames[number - 1].head if number else self.header.previous)

    def written(self, number: int) -> list[Written]:
        """Return the facts of a frame. Raises `BadSegment`."""
        if self._open is None or self._open[0] != number:
            first, last = self.bounds(number)
            lines = _decompress(self._rest[self._offsets[number] : self._offsets[number + 1]]).split(b"\n")
            if len(lines) != 2 * (last - first + 1) + 1:
                raise BadSegment(f"{last - first + 1} facts should stand there, and do not")
            self._open = number, list(zip(lines[:-1:2], lines[1::2], strict=True))
        return self._open[1]

    def hashed(self, number: int) -> Iterator[tuple[bytes, bytes, bytes]]:
        """Yield the facts of a frame, each with its hash. Raises `BadSegment` where they do not lead to the head."""
        hash_ = self.previous(number)
        for envelope, data in self.written(number):
            hash_ = seal(hash_, envelope, data)
            yield envelope, data, hash_
        if hash_.hex() != self.header.frames[number].head:
            raise BadSegment("its facts do not lead to the hash that was kept")


def _first_frame(content: bytes) -> tuple[bytes, bytes]:
    import zstandard  # noqa: PLC0415 - as above

    decompressor = zstandard.ZstdDecompressor().decompressobj()
    try:
        _check_size(content, _LONGEST_HEADER)
        head = decompressor.decompress(content)
    except zstandard.ZstdError as error:
        raise BadSegment(f"it is not a segment: {error}") from None
    if not decompressor.eof:
        raise BadSegment("it ends in its first line")
    return head, decompressor.unused_data


def _decompress(frame: bytes) -> bytes:
    import zstandard  # noqa: PLC0415 - as above

    try:
        _check_size(frame, _LARGEST_FRAME)
        return zstandard.ZstdDecompressor().decompress(frame, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise BadSegment(f"zstd cannot read it: {error}") from None


def _check_size(frame: bytes, largest: int) -> None:
    import zstandard  # noqa: PLC0415 - as above

    size = zstandard.get_frame_parameters(frame).content_size
    if size > largest:
        raise BadSegment("a frame says that it is larger than any")
