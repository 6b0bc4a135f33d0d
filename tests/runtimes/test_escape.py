"""What an agent cannot do from inside its container, tried there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hyperhive.runtimes.choose import NAMES
from hyperhive.runtimes.weaknesses import ACCEPTED, ATTEMPTS
from tests.runtimes.escape import EscapeSuite, escape
from tests.runtimes.home import home

STATUS = Path("/proc/self/status")
SYS_ADMIN = 21
"""The capability, by its bit."""
FREE = (
    *("other_state", "other_socket", "log", "host_socket", "records", "own_output", "environments", "command_lines"),
    *("trace", "user_namespace", "gain_rights", "abstract_socket", "dashboard", "other_port", "keyrings", "host_load"),
)
"""What any user may do. What would harm the host (its files, clock, settings) is tried in containers alone."""
ROOTS = ("device", "raw_socket", "packet_socket", "chroot", "capabilities", "kernel_memory", "handles")
"""What only root may, with all its rights."""


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed (apt install bubblewrap)")
class TestBubblewrap(EscapeSuite):
    """In a sandbox."""

    factory = "hyperhive.runtimes.bubblewrap:Bubblewrap"


@pytest.mark.skipif(
    shutil.which("podman") is None, reason="podman is not installed (apt install podman runc catatonit)"
)
class TestPodman(EscapeSuite):
    """In an OCI container."""

    factory = "hyperhive.runtimes.podman:Podman"


class TestControl:
    """Where nothing keeps an agent in."""

    def test_attempts_succeed(self) -> None:
        """What can be tried there without harm succeeds, so that a refusal elsewhere means that something refused."""
        everything = int(
            next(line for line in STATUS.read_text().splitlines() if line.startswith("CapEff")).split()[1], 16
        )
        expected = (*FREE, *(ROOTS if everything >> SYS_ADMIN & 1 else ()))
        with home("hyperhive.runtimes.process:Process") as place:
            report = escape(place, expected)
            refused = {attempt: report[attempt]["said"] for attempt in expected if not report[attempt]["open"]}
        assert not refused


def test_docs_say_the_same() -> None:
    """The documented table names what each runtime does not refuse, and no more."""
    text = (Path(__file__).parents[2] / "docs/runtimes.md").read_text().partition("## What is not refused")[2]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.split("\n## ")[0].splitlines()
        if line[:1] == "|"
    ]
    names, documented = rows[0][1:], {row[0]: row[1:] for row in rows[2:]}
    accepted = {
        words: ["can" if attempt in ACCEPTED[name] else "refused" for name in names]
        for attempt, words in ATTEMPTS.items()
        if any(attempt in ACCEPTED[name] for name in ("bubblewrap", "podman", "nspawn"))
    }
    assert documented.pop("everything else") == ["refused", "refused", "refused", "can"]
    assert documented == accepted
    assert f"({len(ATTEMPTS)} attempts" in text


def test_every_runtime_has_its_list() -> None:
    """A runtime says what it does not refuse, and names nothing that is not tried."""
    assert len(ATTEMPTS) >= 30
    for name in NAMES:
        assert ACCEPTED[name].keys() <= ATTEMPTS.keys()
