"""Predicates on the state: JMESPath, and phrases that are short for it.

The language is jmespath.org's; the library has no loops and no side effects, but a short expression can still double
its result again and again. So what an evaluation may take is counted here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import attrs
import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.visitor import Options, TreeInterpreter

from hyperhive.replay.showing import State

LONGEST = 2_000
MOST_STEPS = 200_000
"""Nodes visited in one evaluation: about a second."""
LARGEST = 100_000
"""Elements or characters of a result in between."""

_GROWING = frozenset({"turns", "failed_turns", "cost_usd"})
"""Of an agent; its ``tokens.…`` grow as well."""

PHRASES: tuple[tuple[str, str, str], ...] = (
    ("agent NAME crashed", r"agent (?P<a>\S+) (?:has )?crashed", "contains(crashed, '{a}')"),
    (
        "agent NAME is running | stopped | starting | stopping | restarting | rebuilding | destroying",
        r"agent (?P<a>\S+) (?:is |was )?(?P<s>running|stopped|starting|stopping|restarting|rebuilding|destroying)",
        "agents[?name=='{a}' && (pending=='{s}' || !pending && state=='{s}')]",
    ),
    (
        "agent NAME is quarantined | paused | failed",
        r"agent (?P<a>\S+) (?:is |was )?(?P<s>quarantined|paused|failed)",
        "agents[?name=='{a}' && {s}]",
    ),
    ("agent NAME is destroyed", r"agent (?P<a>\S+) (?:is |was )?destroyed", "tombstones[?name=='{a}']"),
    (
        "agent NAME is spawning",
        r"agent (?P<a>\S+) (?:is |was )?spawning",
        "transients[?name=='{a}' && pending=='spawning']",
    ),
    ("agent NAME exists", r"agent (?P<a>\S+) exists", "agents[?name=='{a}']"),
    ("agent NAME needs login", r"agent (?P<a>\S+) needs (?:a )?login", "agents[?name=='{a}' && needs_login]"),
    (
        "agent NAME has more than N messages",
        r"agent (?P<a>\S+) has (?:more than|over) (?P<n>\d+) messages?",
        "agents[?name=='{a}' && undelivered > `{n}`]",
    ),
    (
        "agent NAME spent more than N",
        r"agent (?P<a>\S+) (?:has )?spent (?:more than|over) \$?(?P<n>\d+(?:\.\d+)?)",
        "agents[?name=='{a}' && cost_usd > `{n}`]",
    ),
    (
        "agent NAME took more than N turns",
        r"agent (?P<a>\S+) (?:took|had) (?:more than|over) (?P<n>\d+) turns?",
        "agents[?name=='{a}' && turns > `{n}`]",
    ),
    ("question N is open", r"question (?P<n>\d+) (?:is )?open", "questions[?id==`{n}`]"),
    ("any question is open", r"any question (?:is )?open", "questions"),
    ("message N is parked", r"message (?P<n>\d+) (?:is |was )?parked", "parked[?id==`{n}`]"),
    ("any message is parked", r"any message (?:is )?parked", "parked"),
    ("the hive is frozen", r"(?:the )?hive (?:is |was )?frozen", "frozen"),
)
"""How it is written, how it is read, what it is short for."""


class BadExpression(Exception):  # noqa: N818
    """An expression that does not parse, or takes too much."""

    code = "invalid"


@attrs.frozen(kw_only=True)
class Predicate:
    """A question to a state, with what is known of it beforehand."""

    text: str
    """As JMESPath."""
    tree: Any
    reads: frozenset[str] | None
    """The views that it looks at; None for possibly all."""
    agents: frozenset[str] | None
    """The only agents that it looks at, if it looks at ``agents``; None for possibly all."""
    fields: frozenset[str] | None
    """What it looks at in the rows of a view; None for possibly all."""
    grows: bool
    """Whether it can only become true and stays so, as long as none of its agents is destroyed."""

    def holds(self, state: State) -> bool:
        """Whether it is so. Raises `BadExpression` for what takes too much or cannot be computed of this state."""
        try:
            found = _Bounded().visit(self.tree, state)
        except JMESPathError as error:
            raise BadExpression(f"{self.text} cannot be computed at position {state['position']}: {error}") from error
        except RecursionError:
            raise BadExpression(f"{self.text[:80]} is nested too deep") from None
        return found not in (None, False, "", [], {}) or (found == 0 and found is not False)


def predicate(text: str) -> Predicate:
    """Read a phrase or an expression; raises `BadExpression` with where it went wrong."""
    if len(text) > LONGEST:
        raise BadExpression(f"an expression of {len(text)} characters; at most {LONGEST} are read")
    plain = _phrase(text) or text
    try:
        tree = jmespath.compile(plain).parsed
        reads = _reads(tree, root=True)
        return Predicate(
            text=plain,
            tree=tree,
            reads=reads,
            agents=None if reads is None else _agents(tree),
            fields=None if reads is None else _fields(tree),
            grows=_grows(tree),
        )
    except JMESPathError as error:
        hint = "" if text is not plain else "; phrases: " + ", ".join(phrase for phrase, *_ in PHRASES)
        raise BadExpression(f"{plain!r} is neither a phrase nor JMESPath: {_first_line(error)}{hint}") from None
    except RecursionError:
        raise BadExpression(f"{plain[:80]!r} is nested too deep") from None


def _phrase(text: str) -> str | None:
    words = " ".join(text.split())
    for _, pattern, template in PHRASES:
        read = re.fullmatch(pattern, words)
        if read is not None:
            found = read.groupdict()
            if not re.fullmatch(r"[a-z0-9-]+", found.get("a", "x")):
                raise BadExpression(f"{found['a']!r} is not an agent's name; a name is 1 to 60 of a-z, 0-9 and -")
            return template.format(**found)
    return None


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


class _Bounded(TreeInterpreter):
    """The library's interpreter, which gives up in time."""

    def __init__(self) -> None:
        super().__init__(Options())
        self._steps = 0

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise BadExpression(f"the expression takes more than {MOST_STEPS} steps on one state; say it more simply")
        found = super().visit(node, *args, **kwargs)
        if isinstance(found, list | str | dict) and len(found) > LARGEST:
            raise BadExpression(f"the expression makes a value of {len(found)} elements; at most {LARGEST} are allowed")
        return found


_FIRST_ONLY = frozenset({"subexpression", "pipe", "index_expression", "projection", "filter_projection"}) | {
    "value_projection",
    "flatten",
}
"""Nodes whose first child alone sees what the node sees; the others see what that one found."""


def _reads(node: Any, *, root: bool) -> frozenset[str] | None:
    """Return the fields of the whole state that an expression looks at, None for possibly all."""
    kind, children = node["type"], node.get("children", [])
    if not root:
        return frozenset()
    if kind == "field":
        return frozenset({node["value"]})
    if kind in ("current", "identity"):
        return None
    if kind == "expref":
        return frozenset()
    found: frozenset[str] = frozenset()
    for number, child in enumerate(children):
        more = _reads(child, root=kind not in _FIRST_ONLY or number == 0)
        if more is None:
            return None
        found |= more
    return found


def _agents(node: Any) -> frozenset[str] | None:
    """Return the names that every use of ``agents`` is narrowed to; None where one is not."""
    kind, children = node["type"], node.get("children", [])
    if kind == "field":
        return None if node["value"] == "agents" else frozenset()
    if kind == "filter_projection" and children[0] == {"type": "field", "children": [], "value": "agents"}:
        name = _named(children[2])
        return None if name is None else frozenset({name})
    found: frozenset[str] = frozenset()
    for child in children:
        if not isinstance(child, dict):
            continue
        more = _agents(child)
        if more is None:
            return None
        found |= more
    return found


def _named(condition: Any) -> str | None:
    """Return the name that a filter asks for, by itself or together with more."""
    kind, children = condition["type"], condition.get("children", [])
    if kind == "and_expression":
        return next((name for child in children if (name := _named(child)) is not None), None)
    if kind == "comparator" and condition["value"] == "eq":
        sides = {child["type"]: child.get("value") for child in children}
        if sides.get("field") == "name" and isinstance(sides.get("literal"), str):
            return str(sides["literal"])
    return None


_PLAIN = frozenset({"subexpression", "projection", "pipe", "index_expression", "flatten", "not_expression"}) | {
    "field",
    "literal",
    "identity",
    "index",
    "slice",
    "filter_projection",
    "and_expression",
    "or_expression",
    "comparator",
    "function_expression",
}
"""Nodes by which a row is seen through its fields alone, where no whole row is compared or handed to a function."""


def _fields(node: Any) -> frozenset[str] | None:
    """Return the names of all fields that an expression mentions; None where it may see others, too."""
    kind, children = node["type"], [child for child in node.get("children", []) if isinstance(child, dict)]
    if kind not in _PLAIN:
        return None
    counts_rows = kind == "function_expression" and node["value"] == "length"
    if kind in ("comparator", "function_expression") and not counts_rows and not all(map(_ends_in_field, children)):
        return None
    found = frozenset({node["value"]}) if kind == "field" else frozenset()
    for child in children:
        more = _fields(child)
        if more is None:
            return None
        found |= more
    return found


def _ends_in_field(node: Any) -> bool:
    """Whether what a node finds is a field's value (or several), and no row."""
    match node["type"]:
        case "field" | "literal" | "function_expression" | "comparator":
            return True
        case "subexpression" | "pipe":
            return _ends_in_field(node["children"][-1])
        case "projection" | "filter_projection":
            return _ends_in_field(node["children"][1])
    return False


def _grows(node: Any) -> bool:
    """Whether an expression is a lower bound on what only grows: the position, or counters of one agent."""
    kind, children = node["type"], node.get("children", [])
    if kind in ("and_expression", "or_expression"):
        return all(_grows(child) for child in children)
    if kind == "filter_projection":
        agents, whole, condition = children
        narrowed = agents == {"type": "field", "children": [], "value": "agents"} and _named(condition) is not None
        return narrowed and whole["type"] == "identity" and all(map(_lasting, _conjuncts(condition)))
    return _bound(node, lambda side: side["type"] == "field" and side["value"] == "position")


def _conjuncts(node: Any) -> list[Any]:
    if node["type"] != "and_expression":
        return [node]
    return [each for child in node["children"] for each in _conjuncts(child)]


def _lasting(condition: Any) -> bool:
    return _named(condition) is not None or _bound(condition, _counter)


def _bound(node: Any, counts: Callable[[Any], bool]) -> bool:
    """Whether a node compares something that grows with a number that it has to exceed."""
    if node["type"] != "comparator" or node["value"] not in ("gt", "gte", "lt", "lte"):
        return False
    side, limit = node["children"] if node["value"] in ("gt", "gte") else reversed(node["children"])
    return limit["type"] == "literal" and isinstance(limit["value"], int | float) and counts(side)


def _counter(side: Any) -> bool:
    if side["type"] == "subexpression":
        return bool(side["children"][0]["type"] == "field" and side["children"][0]["value"] == "tokens")
    return side["type"] == "field" and side["value"] in _GROWING
