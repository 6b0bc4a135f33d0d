"""The hive's database file: created and upgraded by Alembic, opened at the revision that this release writes."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from hyperhive.events.cut import cut_off
from hyperhive.events.log import Log, LogFailed, connect, failure_of, read_only
from hyperhive.projections import mirror
from hyperhive.projections.hive import Hive

_PACKAGED = Path(__file__).parents[1] / "migrations"
_CHECKOUT = Path(__file__).parents[2] / "migrations"
MIGRATIONS = _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT
"""A wheel carries the revisions inside the package; a checkout has them beside it."""


class WrongRevision(Exception):  # noqa: N818
    """The file is of another release than this one."""


def head_revision() -> str:
    """Return the newest revision that this release knows; revisions are numbered files in one line."""
    return max(path.name.split("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def current_revision(path: Path) -> str | None:
    """Return the revision of a file, None where there is no file or no table in it yet."""
    if not path.exists() or path.stat().st_size == 0:
        return None
    connection = read_only(path)
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return None
        raise WrongRevision(f"{path} cannot be read: {error}") from error
    except sqlite3.DatabaseError as error:
        if (cut := cut_off(path)) is not None:
            raise WrongRevision(f"{path}: {cut}; `hyperhive replay at now --file` reads what is left") from error
        raise WrongRevision(f"{path} is not a hive's database: {error}") from error
    finally:
        connection.close()
    return str(row[0]) if row else None


def upgrade(path: Path, to: str = "head") -> None:
    """Bring a file to this release's revision (or an older one), creating it (0600) where there is none.

    Each revision is there wholly or not at all. Raises `WrongRevision` for a file of a newer release, and leaves it
    alone; `LogFull` and `LogFailed` where it cannot be written.
    """
    current, head = current_revision(path), head_revision()
    if current == head:
        return
    if current is not None and current > head:
        raise WrongRevision(
            f"{path} is at revision {current}, written by a newer release; this one knows {head}: upgrade hyperhive",
        )
    # Alembic takes 0.3 s and 12 MB: only a file that needs it pays for it.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from sqlalchemy import URL, create_engine, event  # noqa: PLC0415
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415

    path.touch(mode=0o600, exist_ok=True)
    engine = create_engine(URL.create("sqlite", database=str(path)))
    # Python's driver begins no transaction for CREATE TABLE: a revision that was cut off would stay half done.
    event.listen(engine, "connect", lambda raw, _record: setattr(raw, "isolation_level", None))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    try:
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, to)
    except DBAPIError as error:
        raise failure_of(error.orig or error) from error
    finally:
        engine.dispose()


def upgrade_apart(path: Path) -> None:
    """Do as `upgrade` does, in a process of its own: Alembic's 12 MB would stay with a daemon for all its life.

    Only for a process with one thread, which a fork leaves whole. Raises `LogFailed` where that process is killed; the
    revision it was at is there wholly or not at all.
    """
    if current_revision(path) == head_revision():
        return
    # As with Alembic: most starts need none of it.
    import multiprocessing  # noqa: PLC0415
    from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415
    from concurrent.futures.process import BrokenProcessPool  # noqa: PLC0415

    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("fork")) as apart:
        try:
            apart.submit(upgrade, path).result()
        except BrokenProcessPool as error:
            raise LogFailed(f"the upgrade of {path} was killed; start again and it goes on") from error


def check_current(path: Path) -> None:
    """Raise `WrongRevision` for a file that is not at the revision which this release writes."""
    current, head = current_revision(path), head_revision()
    if current is None or current < head:
        raise WrongRevision(
            f"{path} is at revision {current or 'none'}, and this release reads {head}: hyperhive db upgrade"
        )
    if current > head:
        raise WrongRevision(
            f"{path} is at revision {current}, written by a newer release; this one knows {head}: upgrade hyperhive",
        )


def open_hive(path: Path) -> tuple[Log, Hive]:
    """Open an upgraded file for writing, and the hive as it stands.

    Tables that are stale (a crash cannot cause that; a new release of a fold can) are folded anew from the log.
    """
    log = Log(connect(path))
    hive = load(log.connection)
    return log, hive


def load(connection: sqlite3.Connection) -> Hive:
    """Read the hive from its tables, or from the whole log where they are stale."""
    if mirror.stale(connection) is not None:
        return mirror.rebuild(connection)
    return mirror.load(connection)
