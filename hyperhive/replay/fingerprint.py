"""Which code folds: a checkpoint that other code made is not read."""

from __future__ import annotations

import functools
from hashlib import sha256
from pathlib import Path

import msgspec

import hyperhive.events
import hyperhive.projections
import hyperhive.replay
from harness import wire

FORMAT = 1
"""Of the file of checkpoints."""


@functools.cache
def fingerprint() -> str:
    """Return a digest of every source file that a fold, a fact's decoding or the file's index goes through.

    A changed comment changes it, too; what was made is then made again, which takes seconds.
    """
    digest = sha256(f"{FORMAT} {msgspec.__version__}".encode())
    for path in sorted(_sources()):
        digest.update(f"\n{path.parent.name}/{path.name}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _sources() -> list[Path]:
    rooms = (hyperhive.events, hyperhive.projections, hyperhive.replay)
    files = [path for room in rooms for place in room.__path__ for path in Path(place).glob("*.py")]
    return [*files, Path(wire.__file__)]
