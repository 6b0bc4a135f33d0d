"""Start: from ``hyperhive serve`` until host.sock answers, with 1,000,000 events in the log and with 1,000."""

from __future__ import annotations

from bench import history
from bench.daemon import Daemon
from bench.figures import at_most, interleaved, median, note, number, scratch

FEW, MANY = 1_000, 1_000_000
CLAIM_MS = 150
ROUNDS = 7


def main() -> None:
    """Measure and say."""
    with scratch() as place:
        for count in (FEW, MANY):
            (place / str(count) / "d").mkdir(parents=True, mode=0o700)
            (place / str(count)).chmod(0o700)
            history.write(place / str(count) / "d" / "hive.sqlite", count).close()

        def start(count: int) -> float:
            daemon = Daemon(place / str(count))
            daemon.stop()
            return daemon.answering_after * 1_000

        found = interleaved({"few": lambda: start(FEW), "many": lambda: start(MANY)}, rounds=ROUNDS)
        few, many = median(found["few"]), median(found["many"])
        at_most(f"start with {number(MANY)} events, longer than with {number(FEW)}", many - few, "ms", CLAIM_MS)
        note(f"with {number(FEW)}: {number(few)} ms; with {number(MANY)}: {number(many)} ms")
