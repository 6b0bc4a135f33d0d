"""Refusals become facts, and never a flood of them."""

from __future__ import annotations

from hyperhive.egress.blocked import AGAIN_SECONDS, MAX_KNOWN, MAX_TOLD, Blocked, Told
from hyperhive.egress.policy import Target

DOCS = Target("docs.example.org", 443)


def host(number: int) -> Target:
    """Return one of many hosts."""
    return Target(f"{number}.example.org", 443)


def test_first_is_told() -> None:
    """The first attempt is told of at once; further ones only after a while, with their number."""
    blocked = Blocked()
    assert blocked.note("coder", DOCS, 0.0) == Told(agent="coder", target=DOCS, count=1, others=0)
    assert [blocked.note("coder", DOCS, float(at)) for at in range(1, 100)] == [None] * 99
    assert blocked.note("coder", DOCS, AGAIN_SECONDS) == Told(agent="coder", target=DOCS, count=100, others=0)


def test_agents_apart() -> None:
    """What one agent does takes nothing from another."""
    blocked = Blocked()
    for number in range(1_000):
        blocked.note("hostile", host(number), 0.0)
    assert blocked.note("coder", DOCS, 0.0) is not None


def test_many_hosts() -> None:
    """An agent that tries a thousand names makes a few facts, takes bounded memory, and every attempt is counted."""
    blocked = Blocked()
    told = [found for number in range(1_000) if (found := blocked.note("coder", host(number), 0.0))]
    assert len(told) == MAX_TOLD
    later = [found for number in range(1_000) if (found := blocked.note("coder", host(number), AGAIN_SECONDS))]
    assert len(later) == MAX_TOLD
    assert sum(found.count + found.others for found in (*told, *later)) >= 1_000 - MAX_KNOWN
    assert len(blocked._agents["coder"].known) <= MAX_KNOWN


def test_forgotten() -> None:
    """An agent of the same name that comes later begins anew."""
    blocked = Blocked()
    blocked.note("coder", DOCS, 0.0)
    blocked.forget("coder")
    assert blocked.note("coder", DOCS, 1.0) is not None
