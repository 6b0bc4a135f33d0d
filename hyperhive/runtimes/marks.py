"""The mark in a process's environment that says whose it is, so that what runs is found without any record."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs

from harness.wire import is_name
from hyperhive.runtimes import procfs
from hyperhive.runtimes.procfs import Process
from hyperhive.runtimes.protocol import container_name

MARK = "HYPERHIVE_CONTAINER"
"""``<hive>/h-<name>/<generation>``"""


@attrs.frozen(kw_only=True)
class Marked:
    """A living process that carries a mark of this hive."""

    process: Process
    name: str
    generation: int


def mark(hive: str, name: str, generation: int) -> str:
    """Return the value that a container's processes carry."""
    return f"{hive}/{container_name(name)}/{generation}"


def scan(hive: str, *, believed: Callable[[int], bool]) -> dict[str, list[Marked]]:
    """Find every living process with a mark of this hive, by agent; `believed` says whose mark counts.

    Costs one look at each process of the machine (some 20 µs), so it belongs in a thread.
    """
    found: dict[str, list[Marked]] = {}
    for pid in procfs.pids():
        value = procfs.variable(pid, MARK)
        if value is None or (parsed := _parse(hive, value)) is None or not believed(pid):
            continue
        process = procfs.find(pid)
        if process is not None:
            name, generation = parsed
            found.setdefault(name, []).append(Marked(process=process, name=name, generation=generation))
    return found


def with_descendants(roots: Iterable[Process]) -> list[Process]:
    """Return the processes and all that came from them, marked or not, as long as their line of parents lives."""
    tree = {root.pid: root for root in roots if procfs.alive(root)}
    waiting = list(tree)
    while waiting:
        for child in procfs.children(waiting.pop()):
            process = procfs.find(child)
            if child not in tree and process is not None:
                tree[child] = process
                waiting.append(child)
    return list(tree.values())


def _parse(hive: str, value: str) -> tuple[str, int] | None:
    match value.split("/"):
        case [owner, container, generation] if owner == hive and generation.isdecimal():
            name = container.removeprefix("h-")
            return (name, int(generation)) if container != name and is_name(name) else None
        case _:
            return None
