"""The sandboxing runtime keeps the contract."""

from __future__ import annotations

from tests.runtimes.contract import RuntimeContract


class TestBubblewrap(RuntimeContract):
    """What every runtime promises."""

    factory = "hyperhive.runtimes.bubblewrap:Bubblewrap"
