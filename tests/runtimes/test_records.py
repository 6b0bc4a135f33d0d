"""A record is read as it was written."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import attrs
import pytest

from hyperhive.runtimes.confinement import Egress, EgressPolicy, Limits
from hyperhive.runtimes.procfs import Process
from hyperhive.runtimes.protocol import Spec
from hyperhive.runtimes.records import Record, Records, Run

SPEC = Spec(
    name="coder",
    state=Path("/data/ü/state"),
    socket_dir=Path("/run/s"),
    log=Path("/data/log"),
    generation=3,
    environment={"A": "x\ny"},
    readable=(Path("/opt/claude"),),
    writable={"/proposed": Path("/data/proposed")},
    read_only={"/config": Path("/data/config")},
    limits=Limits(memory_bytes=1 << 30, cpu_percent=150, tasks=512),
    egress=Egress(policy=EgressPolicy.ALLOWLIST, hosts=("docs.example.org", "*.example.net:80")),
)
RUN = Run(
    keeper=Process(pid=7, start_ticks=12345),
    first=Process(pid=9, start_ticks=12346),
    generation=2,
    at=dt.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=dt.UTC),
    boot_id="b",
)


@pytest.fixture
def records(tmp_path: Path) -> Records:
    """Return an empty directory of records."""
    made = Records(tmp_path / "containers")
    made.prepare()
    return made


@pytest.mark.parametrize("run", [None, RUN, attrs.evolve(RUN, first=None)])
def test_as_written(records: Records, run: Run | None) -> None:
    """Every field comes back, with a run and without."""
    record = Record(spec=SPEC, run=run)
    records.write(record)
    assert records.read("coder") == record


def test_for_its_owner(records: Records) -> None:
    """Nobody else reads the records."""
    assert records.directory.stat().st_mode & 0o777 == 0o700


def test_names(records: Records) -> None:
    """Names are those of records; whatever else lies there is none."""
    records.write(Record(spec=SPEC))
    for stray in ("-x.json", "other.lock", "half.part", "UPPER.json"):
        (records.directory / stray).touch()
    assert records.names() == ["coder"]
    assert Records(records.directory / "nowhere").names() == []


def test_delete(records: Records) -> None:
    """A deleted record leaves nothing, and deleting is repeatable."""
    records.write(Record(spec=SPEC))
    records.exit_file("coder").write_text("3\n")
    records.lock_file("coder").touch()
    assert records.exit_status("coder") == 3
    records.delete("coder")
    records.delete("coder")
    assert list(records.directory.iterdir()) == []
    assert (records.read("coder"), records.exit_status("coder")) == (None, None)
