"""The log of every release, replayed for ever: what it meant then it means now."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from hyperhive.config import Directories
from hyperhive.events.exchange import export
from hyperhive.keeping.importing import import_log
from hyperhive.projections import database, views
from hyperhive.replay.verify import verify
from tests.events.archived import archive
from tests.golden.record import record, states
from tests.golden.shapes import digest, merge, shape_of

HERE = Path(__file__).parent
RELEASES = sorted(path.stem for path in HERE.glob("*.jsonl"))


@pytest.fixture(params=RELEASES)
def release(request: pytest.FixtureRequest) -> str:
    """Return the name of each golden log."""
    return str(request.param)


@pytest.fixture
def path(release: str, tmp_path: Path) -> Path:
    """Return a hive made of a golden log."""
    directories = Directories(data=tmp_path / "data", run=tmp_path / "run")
    with (HERE / f"{release}.jsonl").open("rb") as exported:
        import_log(exported, directories)
    return directories.hive_db


def test_reads_and_means_the_same(release: str, path: Path) -> None:
    """Its facts decode, its chain holds, and its views are those that its release showed at the end."""
    verify(path)
    log, hive = database.open_hive(path)
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


def test_every_position(release: str, path: Path) -> None:
    """It replays to the state that its release showed, at each position; what a later one adds does not count."""
    expected = json.loads((HERE / f"{release}.positions.json").read_text())
    found = [digest(expected["shape"], state) for state in states(path)]
    assert len(found) == len(expected["states"])
    both = zip(expected["states"], found, strict=True)
    differ = [position for position, (one, other) in enumerate(both, start=1) if one != other]
    assert differ == []


def test_exports_the_same(release: str, path: Path) -> None:
    """Exported again it has the same facts, to the byte, also once its past is archived."""
    lines = (HERE / f"{release}.jsonl").read_bytes().splitlines()
    for until in (0, len(lines)):
        archive(path, until)
        out = io.BytesIO()
        export(path, out.write, release="0")
        assert out.getvalue().splitlines()[1:-1] == lines[1:-1]


def test_recorded_again(release: str, path: Path, tmp_path: Path) -> None:
    """The command that records a golden log writes the very files that are here, and changes none that is there."""
    record("again", path, tmp_path)
    expected = json.loads((HERE / f"{release}.positions.json").read_text())
    again = json.loads((tmp_path / "again.positions.json").read_text())
    assert len(again["states"]) == len(expected["states"])
    assert merge(again["shape"], expected["shape"]) == again["shape"], "a later release knows no less"
    before = {file: file.read_bytes() for file in tmp_path.glob("again.*")}
    assert len(before) == 3
    record("again", path, tmp_path)
    assert {file: file.read_bytes() for file in before} == before


class TestShapes:
    """What a later release may change of a state, and what not."""

    STATES = ({"a": 1, "rows": []}, {"a": 2, "rows": [{"x": 1, "in": {"y": None}}]}, {"a": 2, "rows": [{"x": 2}]})

    def test_more(self) -> None:
        """A key that is new anywhere changes no hash."""
        shape = merge(merge(shape_of(self.STATES[0]), shape_of(self.STATES[1])), shape_of(self.STATES[2]))
        more = {"a": 2, "new": 1, "rows": [{"x": 1, "in": {"y": None, "z": 1}, "w": [1]}]}
        assert digest(shape, more) == digest(shape, self.STATES[1])

    @pytest.mark.parametrize(
        "other",
        [{"a": 2}, {"a": 3, "rows": []}, {"a": 2, "rows": [{"x": 1}]}, {"a": 2, "rows": [{"x": 1, "in": {"y": 0}}]}],
    )
    def test_other(self, other: dict[str, Any]) -> None:
        """A value that is another, or gone, changes it."""
        shape = shape_of(self.STATES[1])
        assert digest(shape, other) != digest(shape, self.STATES[1])


def test_there_is_one() -> None:
    """A release without a golden log would be forgotten in silence."""
    assert RELEASES
