"""The runtime without isolation keeps the contract."""

from __future__ import annotations

from tests.runtimes.local_contract import LocalContract


class TestProcess(LocalContract):
    """What every runtime promises, and those without a container manager."""

    factory = "hyperhive.runtimes.process:Process"
