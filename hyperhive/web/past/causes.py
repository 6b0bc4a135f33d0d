"""The chain of causes as a picture: a trunk from the first cause to what followed, with branches at its side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from hyperhive.replay.past import Node

_GLYPHS = (
    ("ApprovalRequested", "diamond", "amber"),
    ("ApprovalGranted", "granted", "amber"),
    ("Approval", "diamond", "ink3"),
    ("Question", "question", "mauve"),
    ("Message", "mail", "ink2"),
    ("ContainerCrashed", "cross", "red"),
    ("ContainerLost", "cross", "red"),
    ("AgentQuarantined", "quarantined", "red"),
)
"""By how a type's name begins."""


@attrs.frozen(kw_only=True)
class Step:
    """One fact of the picture."""

    node: Node
    branches: tuple[tuple[Step, ...], ...] = ()
    """What else followed from it, each with what followed from that."""

    @property
    def glyph(self) -> str:
        """What is drawn before it."""
        return _drawn(self.node.type)[0]

    @property
    def tone(self) -> str:
        """Its colour."""
        return _drawn(self.node.type)[1]


def trunk(node: Node) -> tuple[Step, ...]:
    """Return the facts in a line; the line goes on where the one that was asked for is, else with the last."""
    steps: list[Step] = []
    next_: Node | None = node
    while next_ is not None:
        here = next_
        next_ = _goes_on(here)
        branches = tuple(trunk(child) for child in here.children if child is not next_)
        steps.append(Step(node=here, branches=branches))
    return tuple(steps)


def listed(node: Node, depth: int = 0) -> Iterator[tuple[int, Node]]:
    """Yield every fact with its depth, in the order of the tree."""
    yield depth, node
    for child in node.children:
        yield from listed(child, depth + 1)


def as_json(node: Node) -> dict[str, Any]:
    """Return the tree as plain values."""
    return attrs.asdict(node)


def _goes_on(node: Node) -> Node | None:
    for child in node.children:
        if any(each.asked for _, each in listed(child)):
            return child
    return node.children[-1] if node.children else None


def _drawn(kind: str) -> tuple[str, str]:
    for begin, glyph, tone in _GLYPHS:
        if kind.startswith(begin):
            return glyph, tone
    if kind.endswith("Failed"):
        return "cross", "red"
    return ("check", "green") if kind.endswith("Succeeded") else ("idle", "ink3")
