"""The log of every release, replayed for ever: what it meant then it means now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hyperhive.config import Directories
from hyperhive.keeping.importing import import_log
from hyperhive.projections import database, views
from hyperhive.replay.verify import verify

HERE = Path(__file__).parent
RELEASES = sorted(path.stem for path in HERE.glob("*.jsonl"))


@pytest.mark.parametrize("release", RELEASES)
def test_reads_and_means_the_same(release: str, tmp_path: Path) -> None:
    """Its facts decode, its chain holds, and its views are those that its release showed at the end."""
    directories = Directories(data=tmp_path / "data", run=tmp_path / "run")
    with (HERE / f"{release}.jsonl").open("rb") as exported:
        import_log(exported, directories)
    verify(directories.hive_db)
    log, hive = database.open_hive(directories.hive_db)
    log.close()
    shown = json.loads(json.dumps(views.state(hive)))
    expected = json.loads((HERE / f"{release}.state.json").read_text())
    assert expected == as_then(shown, expected)


def as_then(shown: Any, expected: Any) -> Any:
    """Leave out what only a later release shows; what was shown then stands."""
    match shown, expected:
        case dict(), dict():
            return {key: as_then(shown.get(key), value) for key, value in expected.items()}
        case list(), list() if len(shown) == len(expected):
            return [as_then(*pair) for pair in zip(shown, expected, strict=True)]
        case _:
            return shown


def test_there_is_one() -> None:
    """A release without a golden log would be forgotten in silence."""
    assert RELEASES
