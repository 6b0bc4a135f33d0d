"""Records a golden log of a hive that has lived: its export, its last state, and a hash of its state at every position.

    python -m tests.golden.record NAME DATA_DIR

NAME is the release, or the release and what is new in it (``0.2.0``, ``0.2.0-approvals``); a name that is there stays
as it is, since what a release meant does not change. DATA_DIR is of a whole hive that ran, such as one of ``hyperhive
serve --data-dir DATA_DIR --rehearse FILE``, in which agents were spawned, asked, answered, restarted and killed.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hyperhive._version import version
from hyperhive.events.exchange import export
from hyperhive.events.log import read, read_only
from hyperhive.projections import views
from hyperhive.projections.hive import Hive
from tests.golden.shapes import Shape, digest, merge, shape_of

HERE = Path(__file__).parent


def states(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the hive as it stood after each fact."""
    hive = Hive()
    with contextlib.closing(read_only(path)) as connection:
        for fact in read(connection):
            hive.fold_all([fact])
            yield json.loads(json.dumps(views.state(hive)))


def positions(path: Path) -> dict[str, Any]:
    """Return what this release knows of a state, and the hash of each."""
    shape: Shape = None
    for state in states(path):
        shape = merge(shape, shape_of(state))
    return {"shape": shape, "states": [digest(shape, state) for state in states(path)]}


def record(name: str, path: Path, place: Path = HERE) -> None:
    """Write the files of a golden log that are not there yet."""
    log = place / f"{name}.jsonl"
    if not log.exists():
        with log.open("xb") as opened:
            export(path, opened.write, release=version())
    *_, last = states(path)
    for kind, value in (("state", last), ("positions", positions(path))):
        file = place / f"{name}.{kind}.json"
        if not file.exists():
            file.write_text(json.dumps(value, indent=1) + "\n")


if __name__ == "__main__":
    record(sys.argv[1], Path(sys.argv[2]) / "hive.sqlite")
