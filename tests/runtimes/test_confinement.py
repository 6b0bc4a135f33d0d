"""Limits and network policies that say nothing are refused."""

from __future__ import annotations

import pytest

from hyperhive.runtimes.confinement import Egress, EgressPolicy, InvalidConfinement, Limits


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"memory_bytes": 1024}, "memory_bytes = 1024"),
        ({"cpu_percent": 0}, "at least 1"),
        ({"tasks": -1}, "at least 16"),
    ],
)
def test_limits(wrong: dict[str, int], says: str) -> None:
    """A limit in which no harness could run names itself and the least."""
    with pytest.raises(InvalidConfinement, match=says):
        Limits(**wrong)


@pytest.mark.parametrize(
    "host", ["", "EXAMPLE.org", "a b", "-x.org", "a..b", "x.org:0", "x.org:70000", "http://x.org", "*"]
)
def test_hosts(host: str) -> None:
    """What is not a host name, with or without a port, is refused."""
    with pytest.raises(InvalidConfinement, match="is not a host"):
        Egress(policy=EgressPolicy.ALLOWLIST, hosts=(host,))


def test_hosts_need_an_allowlist() -> None:
    """Hosts beside a policy that does not look at them are a mistake."""
    with pytest.raises(InvalidConfinement, match="allowlist"):
        Egress(policy=EgressPolicy.NONE, hosts=("docs.example.org",))
