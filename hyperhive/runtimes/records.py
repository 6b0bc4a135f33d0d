"""The durable record of each container under the run directory: what to run, and which process does."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs
import structlog

from harness.wire import is_name
from hyperhive.runtimes import procfs
from hyperhive.runtimes.confinement import Egress, EgressPolicy, Limits
from hyperhive.runtimes.procfs import Process
from hyperhive.runtimes.protocol import InvalidSpec, Spec

_log = structlog.get_logger(__name__)


@attrs.frozen(kw_only=True)
class Run:
    """One launch: the keeper that lives as long as the program does, and the generation that it runs.

    ``first`` is the first process of the sandbox, where there is one: it is gone when all in there are, which is some
    milliseconds after the keeper.
    """

    keeper: Process
    first: Process | None = None
    generation: int
    at: dt.datetime
    boot_id: str = attrs.field(factory=procfs.boot_id)

    def processes(self) -> list[Process]:
        """Return its processes; none of an earlier boot."""
        if self.boot_id != procfs.boot_id():
            return []
        return [self.keeper] if self.first is None else [self.keeper, self.first]

    def alive(self) -> bool:
        """Whether any of them lives."""
        return any(procfs.alive(process) for process in self.processes())


@attrs.frozen(kw_only=True)
class Record:
    """What is known of one container; ``run`` is the latest, also when it is over."""

    spec: Spec
    run: Run | None = None


class Records:
    """The directory of records; each is replaced whole, so that a reader never meets a half."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def prepare(self) -> None:
        """Make the directory, for the daemon's user alone."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def names(self) -> list[str]:
        """Return the names that have a record."""
        try:
            entries = list(self.directory.iterdir())
        except FileNotFoundError:
            return []
        return sorted(entry.stem for entry in entries if entry.suffix == ".json" and is_name(entry.stem))

    def read(self, name: str) -> Record | None:
        """Return a record, or nothing where there is none or none that can be read.

        A broken one (somebody wrote into it) is as good as none: what runs is then found by its mark.
        """
        path = self.directory / f"{name}.json"
        try:
            return _record(json.loads(path.read_bytes()))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, InvalidSpec) as error:
            _log.warning("broken record; the container is found by its mark", container=f"h-{name}", error=repr(error))
            return None

    def write(self, record: Record) -> None:
        """Replace a record, durably."""
        path = self.directory / f"{record.spec.name}.json"
        partial = path.with_suffix(".part")
        with partial.open("w", encoding="utf-8") as file:
            json.dump(_json(record), file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)

    def delete(self, name: str) -> None:
        """Remove all that is kept of a container."""
        for path in (
            self.directory / f"{name}.json",
            self.exit_file(name),
            self.lock_file(name),
            self._groups_file(name),
        ):
            path.unlink(missing_ok=True)

    def exit_file(self, name: str) -> Path:
        """Return where a keeper leaves its program's exit status."""
        return self.directory / f"{name}.exit"

    def lock_file(self, name: str) -> Path:
        """Return the file that a keeper holds locked while it lives, from before its first instruction on."""
        return self.directory / f"{name}.lock"

    def groups(self, name: str) -> list[Path]:
        """Return the cgroups that were made for a container."""
        try:
            return [Path(line) for line in self._groups_file(name).read_text().splitlines()]
        except FileNotFoundError:
            return []

    def write_groups(self, name: str, groups: Iterable[Path]) -> None:
        """Note cgroups, before they are made."""
        self._groups_file(name).write_text("".join(f"{group}\n" for group in groups))

    def _groups_file(self, name: str) -> Path:
        return self.directory / f"{name}.groups"

    def exit_status(self, name: str) -> int | None:
        """Return the exit status of the latest run, where its keeper came to write it."""
        try:
            return int(self.exit_file(name).read_text())
        except (FileNotFoundError, ValueError):
            return None


def _json(record: Record) -> dict[str, Any]:
    spec, run = record.spec, record.run
    return {
        "version": 1,
        "spec": {
            "name": spec.name,
            "state": str(spec.state),
            "socket_dir": str(spec.socket_dir),
            "log": str(spec.log),
            "generation": spec.generation,
            "environment": dict(spec.environment),
            "readable": [str(path) for path in spec.readable],
            "writable": {inside: str(path) for inside, path in spec.writable.items()},
            "read_only": {inside: str(path) for inside, path in spec.read_only.items()},
            "build": None if spec.build is None else str(spec.build),
            "limits": attrs.asdict(spec.limits),
            "egress": {"policy": spec.egress.policy.value, "hosts": list(spec.egress.hosts)},
        },
        "run": run
        and {
            "keeper": attrs.asdict(run.keeper),
            "first": run.first and attrs.asdict(run.first),
            "generation": run.generation,
            "at": run.at.isoformat(),
            "boot_id": run.boot_id,
        },
    }


def _record(raw: dict[str, Any]) -> Record:
    spec, run = raw["spec"], raw["run"]
    return Record(
        spec=Spec(
            name=spec["name"],
            state=Path(spec["state"]),
            socket_dir=Path(spec["socket_dir"]),
            log=Path(spec["log"]),
            generation=spec["generation"],
            environment=spec["environment"],
            readable=tuple(Path(path) for path in spec["readable"]),
            # Records of 0.1.0 have none of these: their containers ran without.
            writable={inside: Path(path) for inside, path in spec.get("writable", {}).items()},
            read_only={inside: Path(path) for inside, path in spec.get("read_only", {}).items()},
            build=Path(spec["build"]) if spec.get("build") else None,
            limits=Limits(**spec.get("limits", {})),
            egress=_egress(spec.get("egress", {"policy": EgressPolicy.HOST.value, "hosts": []})),
        ),
        run=run
        and Run(
            keeper=Process(**run["keeper"]),
            first=run["first"] and Process(**run["first"]),
            generation=run["generation"],
            at=dt.datetime.fromisoformat(run["at"]),
            boot_id=run["boot_id"],
        ),
    )


def _egress(raw: dict[str, Any]) -> Egress:
    return Egress(policy=EgressPolicy(raw["policy"]), hosts=tuple(raw["hosts"]))
