"""A turn: what it costs besides itself on a warm session, against ``claude -p`` for each turn.

A turn itself is as long as ``claude`` says in its result (``duration_ms``); the rest is overhead: from the operator's
message until it begins, and from its end until the hive knows. Both ask a rehearsal that answers at once.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import Any

from bench.daemon import Daemon, daemon, environment, until
from bench.figures import interleaved, median, note, number, scratch, times_less
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


def result_of(running: Daemon, which: int) -> dict[str, Any] | None:
    """Return what ``claude`` said at the end of the turn of this number, from the agent's turn stream."""
    uri = f"{(running.data / 'agents/coder/hyperhive-events.sqlite').as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
        rows = connection.execute("SELECT data FROM stream WHERE type = 'result' ORDER BY id").fetchall()
    return json.loads(rows[which - 1][0]) if len(rows) >= which else None


def warm_turn(running: Daemon) -> tuple[float, float]:
    """Send a message; return the milliseconds until its turn has ended, by the log's own clock, and of the turn."""
    before = len(ended(running))
    sent = running.ask("send", name="coder", body="do it")["message_id"]
    until("the turn has ended", lambda: len(ended(running)) > before, every_seconds=0.005)
    with contextlib.closing(read_only(running.data / "hive.sqlite")) as connection:
        sql = "SELECT at FROM events WHERE position IN (?, ?) ORDER BY position"
        begin, end = (at for (at,) in connection.execute(sql, (sent, ended(running)[-1])))
    result = until("its stream", lambda: result_of(running, before + 1))
    return (end - begin) / 1_000, result["duration_ms"]


def cold_turn(running: Daemon, home: Path) -> tuple[float, float]:
    """Run ``claude -p`` once; return its milliseconds, and those of the turn in it."""
    port = (running.run / "rehearsal.port").read_text()
    given = {"HOME": str(home), "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}", "ANTHROPIC_API_KEY": "rehearsal-bare"}
    argv = [str(find_claude(None)), "-p", "do it", "--output-format", "json"]
    argv += ["--strict-mcp-config", "--setting-sources", ""]
    begin = time.perf_counter()
    said = subprocess.run(argv, env=environment(**ENVIRONMENT, **given), cwd=home, check=True, capture_output=True)
    return (time.perf_counter() - begin) * 1_000, json.loads(said.stdout)["duration_ms"]


def main() -> None:
    """Measure and say."""
    wholes: dict[str, list[float]] = {"warm session": [], "claude -p": []}
    turns: list[float] = []

    def overhead(name: str, whole: float, turn: float) -> float:
        wholes[name].append(whole)
        if name == "warm session":
            turns.append(turn)
        return whole - turn

    with scratch() as place:
        (place / "scenario.toml").write_text(SCENARIO)
        (place / "home").mkdir()
        with daemon(place, "--rehearse", str(place / "scenario.toml")) as running:
            running.ask("spawn", name="coder")
            until("the first turn has ended", lambda: ended(running))
            found = interleaved(
                {
                    "warm session": lambda: overhead("warm session", *warm_turn(running)),
                    "claude -p": lambda: overhead("claude -p", *cold_turn(running, place / "home")),
                },
                rounds=ROUNDS,
            )
    times_less("overhead of a turn", found, "warm session", "claude -p", 15, unit="ms")
    warm, cold = (median(wholes[name]) for name in ("warm session", "claude -p"))
    note(f"with the turn itself: {number(warm)} ms and {number(cold)} ms, {cold / warm:.1f} times less")
    own = median(turns)
    note(f"of the warm one `claude` itself takes {number(own)} ms: with no overhead at all {cold / own:.1f} times less")
