"""Puts into one file what another person needs to look at an incident of an agent."""

from __future__ import annotations

import contextlib
import platform
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import msgspec

from hyperhive.config import Directories
from hyperhive.events import exchange
from hyperhive.events.anchor import head_of
from hyperhive.events.damage import LogDamaged
from hyperhive.events.envelope import rfc3339
from hyperhive.events.exchange import Change
from hyperhive.events.log import read, read_only, release_at
from hyperhive.events.redaction import REDACTED, redact
from hyperhive.events.rows import Rows
from hyperhive.events.secrets import HIDDEN, Scrubber
from hyperhive.projections import database, views
from hyperhive.projections.hive import Hive
from hyperhive.replay.capsule_file import Header, LeftOut, Moment, Part, Turn, write
from hyperhive.runtimes.logs import tail

FACTS = 200
"""Before the event, and after it."""
TURNS_SECONDS = 600
"""Before the event, and after it, in the agent's turn stream."""
TURNS = 2_000
TURN_BYTES = 16 * 1024 * 1024
OUTPUT_LINES = 500

_SHOWN = frozenset(
    {
        "name",
        "state",
        "pending",
        "pending_at",
        "since",
        "status_set_at",
        "parent",
        "active_model",
        "status",
        "from",
        "to",
    }
    | {"at", "asker", "asked_at", "deadline_at", "resolved_at", "resolved_by", "delivered_at", "parked_at"}
)
"""Texts of a state that say nothing of what people and agents said."""


class NoSuch(Exception):  # noqa: N818
    """There is no event at that position, or no such agent."""

    code = "not_found"


@attrs.frozen(kw_only=True)
class Maker:
    """What a capsule is made of."""

    directories: Directories
    agent: str
    around: int
    facts: int = FACTS
    redacted: bool = False
    release: str
    configuration: dict[str, Any]
    scrubber: Scrubber

    def make(self, write_line: Callable[[bytes], object]) -> int:
        """Write the capsule; return how many parts it has. A daemon may be running.

        Raises `NoSuch`, `ChainBroken` where the facts around the event are not what was written, `LogDamaged`.
        """
        with contextlib.closing(read_only(self.directories.hive_db)) as connection:
            rows = Rows(connection)
            row = rows.at(self.around)
            if row is None:
                raise NoSuch(f"there is no event at position {self.around}")
            if not connection.execute("SELECT 1 FROM streams WHERE name = ?", (f"agent-{self.agent}",)).fetchone():
                raise NoSuch(f"there never was an agent {self.agent!r} in this hive")
            log_head = head_of(self.directories.hive_db, named=False)
            header = Header(
                release=self.release,
                hive=log_head.hive,
                agent=self.agent,
                around=self.around,
                at=rfc3339(row[4]),
                redacted=self.redacted,
            )
            return write(write_line, header, self._parts(connection, row[4], log_head.position))

    def _parts(self, connection: sqlite3.Connection, at: int, head: int) -> Iterator[tuple[str, Part]]:
        yield "versions", self._versions(connection)
        hive = Hive()
        states = list(self._states(connection, hive))
        yield "configuration", self.scrubber.value(self.configuration | {"applied": self._applied(hive)})
        yield from states
        yield from self._export(max(1, self.around - self.facts), min(head, self.around + self.facts))
        yield from self._turns(at)
        yield from self._output()

    def _versions(self, connection: sqlite3.Connection) -> dict[str, Any]:
        return {
            "hyperhive": self.release,
            "then": release_at(connection, self.around),
            "revision": database.current_revision(self.directories.hive_db),
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        }

    def _applied(self, hive: Hive) -> dict[str, Any] | None:
        """Return the agent's own configuration as it was applied then; of its environments the names alone."""
        row = hive.configurations.get(self.agent)
        if row is None:
            return None
        settings = msgspec.to_builtins(row.settings)
        for each in (settings, *settings["mcp"]):
            each["environment"] = {name: HIDDEN for name, _ in each["environment"]}
        shown = _bare(settings) if self.redacted else settings
        return {"commit": row.commit, "approval": row.approval, "deployed": row.deployed, "settings": shown}

    def _states(self, connection: sqlite3.Connection, hive: Hive) -> Iterator[tuple[str, Part]]:
        for kind, until in (("before", self.around - 1), ("after", self.around)):
            try:
                hive.fold_all(read(connection, after=hive.position, until=until))
            except LogDamaged as damaged:
                yield kind, Moment(position=until, state=None, missing=str(damaged))
                continue
            state = self.scrubber.value(views.state(hive))
            yield kind, Moment(position=until, state=_bare(state) if self.redacted else state)

    def _export(self, first: int, last: int) -> Iterator[tuple[str, Part]]:
        lines: list[bytes] = []
        change = self._change(first, last)
        path = self.directories.hive_db
        exchange.export(path, lines.append, release=self.release, first=first, last=last, change=change)
        for line in lines:
            yield "export", line.decode().removesuffix("\n")

    def _change(self, first: int, last: int) -> Change | None:
        """Say how facts are changed: not at all where none says a secret, so that their chain stays the log's."""
        scrub = self.scrubber.value

        def clean(type_name: str, data: bytes) -> bytes:
            shown = redact(type_name, data) if self.redacted else data
            value = msgspec.json.decode(shown)
            return shown if scrub(value) == value else msgspec.json.encode(scrub(value))

        with contextlib.closing(read_only(self.directories.hive_db)) as connection:
            rows = Rows(connection).between(first - 1, last)
            untouched = all(clean(row[3], _bytes(row[8])) == _bytes(row[8]) for row in rows)
        return None if untouched and not self.redacted else clean

    def _turns(self, at: int) -> Iterator[tuple[str, Part]]:
        path = self.directories.stream_db(self.agent)
        if not path.exists():
            yield "left_out", LeftOut(what="turn stream", why="the host keeps none of this agent")
            return
        reach = TURNS_SECONDS * 1_000_000
        sql = (
            "SELECT run, number, at, type, data FROM stream WHERE received_at BETWEEN ? AND ?"
            " ORDER BY abs(received_at - ?) LIMIT ?"
        )
        try:
            with contextlib.closing(read_only(path)) as connection:
                found = connection.execute(sql, (at - reach, at + reach, at, TURNS + 1)).fetchall()
        except sqlite3.DatabaseError as error:
            yield "left_out", LeftOut(what="turn stream", why=f"it cannot be read: {error}")
            return
        size, kept = 0, []
        for row in found[:TURNS]:
            size += len(row[4])
            if size > TURN_BYTES:
                break
            kept.append(row)
        if len(kept) < len(found):
            yield "left_out", LeftOut(what="turn stream", why=f"only the {len(kept)} events nearest to it are here")
        for run, number, when, type_, data in sorted(kept, key=lambda row: (row[2], row[0], row[1])):
            shown = REDACTED if self.redacted else self.scrubber.value(msgspec.json.decode(data))
            yield "turn", Turn(run=run, number=number, at=when, type=type_, data=shown)

    def _output(self) -> Iterator[tuple[str, Part]]:
        if self.redacted:
            yield "left_out", LeftOut(what="output", why="what the container printed is left out as texts are")
            return
        for line in tail(self.directories.agent_log(self.agent), OUTPUT_LINES):
            yield "output", self.scrubber.text(line)


def _bytes(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else data


def _bare(value: Any, key: str = "") -> Any:
    """Return a state without what people and agents said."""
    match value:
        case str():
            return value if key in _SHOWN else REDACTED
        case list():
            return [_bare(each, key) for each in value]
        case dict():
            return {name: _bare(each, name) for name, each in value.items()}
        case _:
            return value


def known_secrets(directories: Directories, files: list[Path]) -> set[str]:
    """Return what the host knows to be secret: the dashboard's token, and every longer word of these files."""
    words: set[str] = set()
    for file in [directories.token_file, *files]:
        with contextlib.suppress(OSError):
            if file.is_file():
                text = file.open("rb").read(65_536).decode(errors="replace")
                words.update(word for word in text.replace("=", " ").replace('"', " ").split() if len(word) > 15)
    return words
