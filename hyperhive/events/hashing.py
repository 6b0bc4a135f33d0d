"""What a fact's hash is made of."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec

GENESIS = bytes(32)
"""What stands in the place of a hash before the first fact."""

Envelope = tuple[Any, ...]
"""Position, stream, version, type, at, actor, correlation, causation."""

canonical = msgspec.json.Encoder().encode
"""The envelope as a JSON array."""


def link(previous: bytes, envelope: tuple[object, ...], data: bytes) -> bytes:
    """Return the hash of a fact.

    ``envelope`` is position, stream, version, type, at, actor, correlation, causation; as a JSON array it has no raw
    newline, so that the newline before ``data`` separates the two without ambiguity.
    """
    return seal(previous, canonical(envelope), data)


def seal(previous: bytes, envelope: bytes, data: bytes) -> bytes:
    """Return the hash of a fact whose envelope is written already."""
    return sha256(b"%b%b\n%b" % (previous, envelope, data)).digest()
