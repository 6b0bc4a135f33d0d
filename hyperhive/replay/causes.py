"""What led to a fact, and what followed from it: a tree from the causation on record, and the few links it lacks."""

from __future__ import annotations

import attrs

from hyperhive.events.envelope import Recorded
from hyperhive.replay.index import Index
from hyperhive.replay.source import NotThere, Source
from hyperhive.replay.telling import told
from hyperhive.replay.tool_calls import ToolCall, ToolCalls

DEEPEST = 40
"""Causes shown above a fact; of a longer chain the nearest ones, and its beginning."""
MOST = 60
"""Facts shown below it."""
_LOOKED_BACK = 20
_ENDINGS = ("ContainerCrashed", "ContainerLost")
"""What happens to a container by itself: nobody caused it, but somebody had started that container."""


@attrs.frozen(kw_only=True)
class Node:
    """One fact in the tree, with those that followed from it."""

    position: int
    at: int
    """Microseconds since 1970."""
    type: str
    actor: str
    words: str
    inferred: bool = False
    """Whether the link to the fact above it is not in the record but follows from the stream that both stand in."""
    asked: bool = False
    """Whether it is the one that was asked for."""
    left_out: int = 0
    """How many causes between this and the fact above it are not shown."""
    more: bool = False
    """Whether more followed from it than is shown."""
    call: ToolCall | None = None
    """The call of a tool that stands between it and the turn above, as the agent's turn stream has it."""
    children: tuple[Node, ...] = ()


def subject_position(source: Source, subject: str, *, head: int) -> int:
    """Return the position that a subject means: a number, or the newest fact of a stream, such as ``agent:coder``.

    Raises `NotThere`.
    """
    if subject.isascii() and subject.isdecimal() and len(subject) < 19:
        return int(subject)
    category, colon, id_ = subject.partition(":")
    if not colon or not category or not id_:
        raise NotThere(f"{subject!r} is no event; write a position, or question:12, agent:coder, approval:3")
    found = source.before_in(f"{category}-{id_}", before=head + 1, most=1)
    if not found:
        raise NotThere(f"nothing has happened to {category} {id_} (there is no stream {category}-{id_} in this log)")
    return found[0]


def why(source: Source, index: Index, position: int, *, everything: bool = False) -> Node:
    """Return the tree: from the first cause down to the fact, and on to what followed from it.

    With ``everything`` also what else followed from each cause. Every fact shown was checked against the chain; the
    calls of tools between them are from the streams of the agents beside the log.
    """
    facts, root = _grown(source, index, position, everything=everything)
    return _called(root, facts, ToolCalls(source.path))


def _called(node: Node, facts: dict[int, Recorded], calls: ToolCalls, turn: Recorded | None = None) -> Node:
    """Add the calls of tools, where a turn stands above."""
    fact = facts[node.position]
    children = tuple(_called(child, facts, calls, None if child.inferred else fact) for child in node.children)
    return attrs.evolve(node, children=children, call=calls.of(fact, turn))


def _grown(source: Source, index: Index, position: int, *, everything: bool) -> tuple[dict[int, Recorded], Node]:
    path = _path(source, position)
    above = {link.fact.position: link.fact for link in path}
    if everything:
        tree = _Tree(source, index, asked=position)
        grown = tree.grow(path[0].fact)
        if _has(grown, position):
            return tree.facts, grown
    tree = _Tree(source, index, asked=position)
    node = tree.grow(path[-1].fact)
    for link, below in zip(reversed(path[:-1]), reversed(path[1:]), strict=True):
        node = attrs.evolve(node, inferred=below.inferred, left_out=below.left_out)
        node = attrs.evolve(_node(link.fact), children=(node,))
    return above | tree.facts, node


@attrs.frozen(kw_only=True)
class _Link:
    fact: Recorded
    inferred: bool = False
    left_out: int = 0


def _path(source: Source, position: int) -> list[_Link]:
    """Walk up; return the links from the first cause down."""
    fact = source.fact(position)
    path: list[_Link] = []
    while len(path) < DEEPEST:
        cause, inferred = _cause(source, fact)
        path.append(_Link(fact=fact, inferred=inferred))
        if cause is None:
            break
        fact = cause
    else:
        first = source.fact(path[-1].fact.correlation)
        if first.position < path[-1].fact.position:
            left = _between(source, path[-1].fact, first.position)
            if left:
                path[-1] = attrs.evolve(path[-1], left_out=left)
            path.append(_Link(fact=first))
    return path[::-1]


def _between(source: Source, fact: Recorded, first: int) -> int:
    """Count the causes between a fact and the first of its chain, a bounded number of them."""
    count = 0
    while fact.causation is not None and first < fact.causation < fact.position and count < DEEPEST:
        fact = source.fact(fact.causation)
        count += 1
    return count


def _cause(source: Source, fact: Recorded) -> tuple[Recorded | None, bool]:
    if fact.causation is not None and 1 <= fact.causation < fact.position:  # an imported log may say anything
        return source.fact(fact.causation), False
    if fact.type in _ENDINGS or fact.type == "AgentQuarantined":
        before = source.facts(source.before_in(fact.stream, before=fact.position, most=_LOOKED_BACK))
        for position in sorted(before, reverse=True):
            if _explains(before[position], fact):
                return before[position], True
    return None, False


def _explains(earlier: Recorded, fact: Recorded) -> bool:
    if fact.type == "AgentQuarantined":
        return earlier.type == "ContainerCrashed"
    return _starts(earlier) and earlier.event.generation == fact.event.generation


def _starts(fact: Recorded) -> bool:
    return fact.type.endswith("Succeeded") and hasattr(fact.event, "generation")


class _Tree:
    """Grows what followed from a fact, breadth first, until there is enough of it."""

    def __init__(self, source: Source, index: Index, *, asked: int) -> None:
        self._source = source
        self._index = index
        self._asked = asked
        self.facts: dict[int, Recorded] = {}
        """What stands in it."""

    def grow(self, root: Recorded) -> Node:
        facts, inferred = {root.position: root}, set[int]()
        below: dict[int, list[int]] = {}
        cut: set[int] = set()
        row = [root.position]
        while row and len(facts) < MOST:
            found: list[int] = []
            for position in row:
                room = MOST - len(facts) - len(found)
                direct = self._index.followers(position, room + 1)
                hidden = self._hidden(facts[position], room + 1)
                inferred.update(hidden)
                both = sorted({*direct, *hidden})
                if len(both) > room:
                    cut.add(position)
                below[position] = both[:room]
                found += both[:room]
            facts |= self._source.facts(found)
            row = found
        self.facts = facts
        cut.update(position for position in row if len(facts) >= MOST and self._index.followers(position, 1))
        return self._assembled(facts, below, inferred, cut)

    def _assembled(
        self, facts: dict[int, Recorded], below: dict[int, list[int]], inferred: set[int], cut: set[int]
    ) -> Node:
        nodes: dict[int, Node] = {}
        for position in sorted(facts, reverse=True):  # what follows stands later in the log
            nodes[position] = attrs.evolve(
                _node(facts[position]),
                inferred=position in inferred,
                asked=position == self._asked,
                more=position in cut,
                children=tuple(nodes[each] for each in below.get(position, ())),
            )
        return nodes[min(nodes)]

    def _hidden(self, fact: Recorded, most: int) -> list[int]:
        """Find the crash of a container that this fact started, and the quarantine that a crash led to."""
        if most < 1:
            return []
        if _starts(fact):
            next_ = self._index.next_crash(fact.event.agent, after=fact.position)
        else:
            # One decision: it is the next fact, or there is none.
            next_ = fact.position + 1 if fact.type == "ContainerCrashed" else None
        found = {} if next_ is None or next_ > self._source.head else self._source.facts([next_])
        return [position for position, each in found.items() if each.causation is None and _explained(fact, each)]


def _explained(fact: Recorded, later: Recorded) -> bool:
    known = later.type in _ENDINGS or later.type == "AgentQuarantined"
    return known and fact.stream == later.stream and _explains(fact, later)


def _node(fact: Recorded) -> Node:
    return Node(position=fact.position, at=fact.at, type=fact.type, actor=fact.actor, words=told(fact))


def _has(node: Node, position: int) -> bool:
    return node.position == position or any(_has(child, position) for child in node.children)
