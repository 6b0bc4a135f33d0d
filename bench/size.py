"""Size: bytes of the log per event, against the event's own JSON."""

from __future__ import annotations

from bench import history
from bench.figures import note, number, scratch

COUNT = 100_000


def main() -> None:
    """Measure and say."""
    with scratch() as place:
        log = history.write(place / "hive.sqlite", COUNT)
        (json_bytes,) = log.connection.execute("SELECT sum(length(CAST(data AS BLOB))) FROM facts").fetchone()
        found = log.connection.execute(
            "SELECT sum(pgsize) FROM dbstat WHERE name IN ('facts', 'streams', 'names')",
        ).fetchone()
        pages, page = (log.connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
        each, kept = json_bytes / COUNT, found[0] / COUNT
        print(
            f"log per event: {number(kept)} bytes with its index of streams and names, {kept / each:.2f} times its JSON"
        )
        note(f"the whole file with its views: {number(pages * page / COUNT)} bytes per event")
