"""Chooses a runtime by its name, and never another one in silence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hyperhive.runtimes.bubblewrap import Bubblewrap
from hyperhive.runtimes.process import Process
from hyperhive.runtimes.protocol import Runtime, RuntimeUnavailable, UnknownRuntime

AUTO = "auto"
DEFAULT = Bubblewrap.name
NAMES = (Bubblewrap.name, Process.name)
"""Strongest first."""


def build(name: str, *, run_dir: Path, hive: str, program: Sequence[str] | None = None) -> Runtime:
    """Return the runtime of this name, untried; raises `UnknownRuntime`."""
    match name:
        case Bubblewrap.name:
            return Bubblewrap(run_dir=run_dir, hive=hive, program=program)
        case Process.name:
            return Process(run_dir=run_dir, hive=hive, program=program)
        case _:
            raise UnknownRuntime(name, (*NAMES, AUTO))


async def choose(name: str, *, run_dir: Path, hive: str, program: Sequence[str] | None = None) -> Runtime:
    """Return the runtime of this name, which works here; `auto` is the strongest that isolates.

    Raises `UnknownRuntime`, `RuntimeUnavailable`. `process` keeps nothing apart and has to be asked for by name, so
    `auto` never ends there.
    """
    runtime = build(DEFAULT if name == AUTO else name, run_dir=run_dir, hive=hive, program=program)
    probe = await runtime.probe()
    if not probe.ok:
        raise RuntimeUnavailable(runtime.name, probe)
    return runtime
