"""Measuring and saying: interleaved rounds, medians, and one line for each claim."""

from __future__ import annotations

import contextlib
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

ROUNDS = 5

Rounds = Mapping[str, list[float]]
"""What each candidate measured, round by round."""


def interleaved(candidates: Mapping[str, Callable[[], float]], *, rounds: int = ROUNDS) -> Rounds:
    """Let the candidates measure themselves in turn, so that a busy moment of the machine is everybody's.

    A round before the first one is not counted.
    """
    for measure in candidates.values():
        measure()
    found: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, measure in candidates.items():
            found[name].append(measure())
    return found


def rate(count: int, work: Callable[[], object], *, clock: Callable[[], float] = time.perf_counter) -> float:
    """Return how often a second something happens that happens ``count`` times in ``work``."""
    begin = clock()
    work()
    return count / (clock() - begin)


def median(values: list[float]) -> float:
    """Return the middle one."""
    return statistics.median(values)


def at_least(what: str, found: Rounds, ours: str, peer: str, claim: float, *, unit: str = "/s") -> None:
    """Say a rate, its peer's and how many times ours is theirs; ``MISSED`` where that is below the claim."""
    times = ratio(found, ours, peer)
    _say(f"{what}: {_peers(found, ours, peer, unit)}, ratio {times:.2f} (claim ≥ {claim:g})", met=times >= claim)


def ratio_at_most(what: str, found: Rounds, ours: str, peer: str, claim: float, *, unit: str) -> None:
    """Say a time, its peer's and how many times ours is theirs, which should be little."""
    times = ratio(found, ours, peer)
    peers = _peers(found, ours, peer, f" {unit}")
    _say(f"{what}: {peers}, ratio {times:.2f} (claim ≤ {claim:g})", met=times <= claim)


def times_less(what: str, found: Rounds, ours: str, peer: str, claim: float, *, unit: str) -> None:
    """Say a time, its peer's and how many times theirs is ours."""
    times = ratio(found, peer, ours)
    peers = _peers(found, ours, peer, f" {unit}")
    _say(f"{what}: {peers}, {times:.1f} times less (claim ≥ {claim:g})", met=times >= claim)


def at_least_times(what: str, ratio: float, how: str, claim: float) -> None:
    """Say how many times something is less than it was."""
    _say(f"{what}: {how}, {ratio:.1f} times less (claim ≥ {claim:g})", met=ratio >= claim)


def at_most(what: str, value: float, unit: str, claim: float) -> None:
    """Say a value that should be small."""
    _say(f"{what}: {number(value)} {unit}".rstrip() + f" (claim ≤ {number(claim)})", met=value <= claim)


def rate_at_least(what: str, value: float, claim: float) -> None:
    """Say a rate that should be large."""
    _say(f"{what}: {number(value)}/s (claim ≥ {number(claim)})", met=value >= claim)


def ratio(found: Rounds, ours: str, peer: str) -> float:
    """Return the median of the rounds' ratios: what one round is busy with, both sides feel."""
    return median([mine / theirs for mine, theirs in zip(found[ours], found[peer], strict=True)])


def _peers(found: Rounds, ours: str, peer: str, unit: str) -> str:
    return f"{number(median(found[ours]))}{unit}, peer {peer} {number(median(found[peer]))}{unit}"


def note(text: str) -> None:
    """Say something that belongs to a figure and is no claim."""
    print(f"  {text}", flush=True)


def number(value: float) -> str:
    """Show a figure with three or four digits that count, thousands apart."""
    if value >= 1_000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}"


def _say(line: str, *, met: bool) -> None:
    print(line if met else f"{line} MISSED", flush=True)


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Give a directory on a real disk (set TMPDIR for another one), and say how fast that syncs.

    Short enough for the path of a socket.
    """
    place = Path(tempfile.mkdtemp(prefix="hhb-"))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
