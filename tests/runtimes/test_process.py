"""The runtime without isolation keeps the contract."""

from __future__ import annotations

from tests.runtimes.contract import RuntimeContract


class TestProcess(RuntimeContract):
    """What every runtime promises."""

    factory = "hyperhive.runtimes.process:Process"
