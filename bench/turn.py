"""A turn: from the operator's message until it has ended, on a warm session, against ``claude -p`` for each turn.

Both ask a rehearsal that answers at once, so that all of it is overhead.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from pathlib import Path

from bench.daemon import Daemon, daemon, environment, until
from bench.figures import interleaved, scratch, times_less
from harness.options import ENVIRONMENT
from hyperhive.claude import find_claude
from hyperhive.events.log import read_only
from hyperhive.events.reading import Selection, select

SCENARIO = '[default]\ntext = "done"\n'
ROUNDS = 9


def ended(running: Daemon) -> list[int]:
    """Return the positions at which turns have ended."""
    selection = Selection(stream="turn-coder", types=("TurnEnded",))
    with contextlib.closing(read_only(running.data / "hive.sqlite")) as connection:
        return [fact["position"] for fact in select(connection, selection)]


def warm_turn(running: Daemon) -> float:
    """Send a message; return the milliseconds until its turn has ended, by the log's own clock."""
    before = len(ended(running))
    sent = running.ask("send", name="coder", body="do it")["message_id"]
    until("the turn has ended", lambda: len(ended(running)) > before, every_seconds=0.005)
    with contextlib.closing(read_only(running.data / "hive.sqlite")) as connection:
        sql = "SELECT at FROM events WHERE position IN (?, ?) ORDER BY position"
        begin, end = (at for (at,) in connection.execute(sql, (sent, ended(running)[-1])))
    return float(end - begin) / 1_000


def cold_turn(running: Daemon, home: Path) -> float:
    """Run ``claude -p`` once; return its milliseconds."""
    port = (running.run / "rehearsal.port").read_text()
    given = {"HOME": str(home), "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}", "ANTHROPIC_API_KEY": "rehearsal-bare"}
    argv = [str(find_claude(None)), "-p", "do it", "--strict-mcp-config", "--setting-sources", ""]
    begin = time.perf_counter()
    subprocess.run(argv, env=environment(**ENVIRONMENT, **given), cwd=home, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - begin) * 1_000


def main() -> None:
    """Measure and say."""
    with scratch() as place:
        (place / "scenario.toml").write_text(SCENARIO)
        (place / "home").mkdir()
        with daemon(place, "--rehearse", str(place / "scenario.toml")) as running:
            running.ask("spawn", name="coder")
            until("the first turn has ended", lambda: ended(running))
            found = interleaved(
                {
                    "warm session": lambda: warm_turn(running),
                    "claude -p": lambda: cold_turn(running, place / "home"),
                },
                rounds=ROUNDS,
            )
            times_less("overhead of a turn", found, "warm session", "claude -p", 15, unit="ms")
