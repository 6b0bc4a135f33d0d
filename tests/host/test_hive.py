"""A hive on a host of its own, installed as its documentation says: machines, crash, upgrade, destroy, purge."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hyperhive.cli.demo import WISH
from tests.host.booted import REPOSITORY, Host, booted

pytestmark = pytest.mark.hive

DOC = REPOSITORY / "docs/install/debian.md"
REHEARSE = "[Service]\nExecStart=\nExecStart=/usr/local/bin/hyperhive serve --rehearse /root/scenario.toml\n"
JOURNAL = (
    "import sys, urllib.request as u\n"
    "token = open('/var/lib/hyperhive/token').read().strip()\n"
    "headers = {'Authorization': 'Bearer ' + token}\n"
    "asked = u.Request('http://127.0.0.1:7000/api/journal/' + sys.argv[1], headers=headers)\n"
    "print(u.urlopen(asked).read().decode())\n"
)


def blocks(kind: str) -> list[str]:
    """Return the document's blocks of commands, of one kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```", DOC.read_text(), re.DOTALL | re.MULTILINE)


def wheel(version: str, into: Path) -> Path:
    """Build a wheel of this checkout, of a version."""
    tree = into / f"tree-{version}"
    tree.mkdir(parents=True)
    for name in ("hyperhive", "harness", "migrations", "packaging"):
        shutil.copytree(REPOSITORY / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, tree)
    project = (REPOSITORY / "pyproject.toml").read_text()
    (tree / "pyproject.toml").write_text(
        re.sub(r'^version = ".*"$', f'version = "{version}"', project, flags=re.MULTILINE)
    )
    argv = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(into))
    subprocess.run(argv, cwd=tree, check=True, capture_output=True)
    return into / f"hyperhive-{version}-py3-none-any.whl"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with every package that hyperhive needs, for the Python of Debian 12."""
    house = tmp_path_factory.mktemp("wheels")
    argv = (
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--python-version=3.11",
    )
    subprocess.run((*argv, "-r", str(REPOSITORY / "requirements/runtime.txt"), "-d", str(house)), check=True)
    return house


@pytest.fixture(scope="module")
def host(wheels: Path) -> Iterator[Host]:
    """Boot a fresh host that has the packages at hand, and nothing else."""
    with booted(shown=(wheels,)) as made:
        yield made


class Installed:
    """The hive of that host, as its operator has it."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def hive(self, *words: str) -> str:
        """Give a command."""
        return self.host.said("hyperhive", *words)

    def agents(self) -> dict[str, dict[str, Any]]:
        """Return the agents' rows."""
        return {row["name"]: row for row in json.loads(self.hive("ps", "--json"))}

    def facts(self, *types: str, stream: str | None = None) -> list[dict[str, Any]]:
        """Return the facts of some types."""
        words = ["log", "show", "--json", "--after", "0"]
        words += [word for type_ in types for word in ("--type", type_)]
        return [json.loads(line) for line in self.hive(*words, *(("--stream", stream) if stream else ())).splitlines()]

    def machines(self) -> dict[str, str]:
        """Return the machines, each with its first process."""
        names = self.host.said("machinectl", "list", "--no-legend").split("\n")
        found = [line.split()[0] for line in names if line.startswith("h-")]
        return {
            name: self.host.said("machinectl", "show", "--property=Leader", "--value", name).strip() for name in found
        }

    def awake(self, name: str, turns: int = 1) -> None:
        """Wait until an agent has ended so many turns."""
        stream = f"turn-{name}"
        self.host.until(f"{turns} turns of {name}", lambda: len(self.facts("TurnEnded", stream=stream)) >= turns)


def install(host: Host, wheels: Path, tmp_path: Path) -> Installed:
    """Follow the document; only the model is a rehearsed one, and the packages come from a directory."""
    shutil.copy(wheel("0.1.0", tmp_path), host.root / "root")
    shutil.copy(REPOSITORY / "hyperhive/rehearsal/scenarios/demo.toml", host.root / "root/scenario.toml")
    part = host.root / "etc/systemd/system/hyperhive.service.d/rehearse.conf"
    part.parent.mkdir()
    part.write_text(REHEARSE)
    (host.root / "root/journal.py").write_text(JOURNAL)
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "HYPERHIVE_CRASH_WATCH_INTERVAL_SECONDS": "0.5"}
    host.run("sh", "-euxc", "\n".join(blocks("sh")), environment=offline)
    return Installed(host)


def test_the_whole_hive(host: Host, wheels: Path, tmp_path: Path) -> None:
    """From the first command of the document to a purge, everything that an operator does holds on a real host."""
    there = install(host, wheels, tmp_path)
    assert host.said("systemctl", "show", "-P", "StatusText,ActiveState", "hyperhive").split()[-1] == "active"
    talks(there)
    stays_apart(there)
    crashes(there)
    is_upgraded(there, wheels, tmp_path)
    ends(there)


def talks(there: Installed) -> None:
    """Spawn, and a message that goes through three machines to an answer."""
    for name in ("coder", "reviewer"):
        there.hive("spawn", name)
    for name in ("manager", "coder", "reviewer"):
        there.awake(name)
    assert set(there.machines()) == {"h-manager", "h-coder", "h-reviewer"}
    there.hive("send", "manager", WISH)
    sent = "inbox-operator"
    (answer,) = there.host.until("an answer", lambda: there.facts("MessageSent", stream=sent))
    assert "the tests pass" in answer["data"]["body"]
    assert not [fact for fact in there.facts() if fact["type"].endswith("Failed")]
    for name, unit in (("coder", "hive-ag3nt.service"), ("manager", "hive-m1nd.service")):
        said = there.host.said("python3", "/root/journal.py", f"{name}?unit={unit}&lines=50")
        assert f"h-{name} harness[" in said
        assert "harness_started" in said
        assert said.strip() in there.host.said("journalctl", "-M", f"h-{name}", "-u", unit, "-b", "-o", "short-iso")


def stays_apart(there: Installed) -> None:
    """The agent's notes are its own inside and root's outside; a machine has the users of nobody else."""
    state = there.host.root / "var/lib/hyperhive/agents/coder/state"
    assert (state / "slug.py").stat().st_uid == 0
    leader = there.machines()["h-coder"]
    first = there.host.said("cat", f"/proc/{leader}/uid_map").split()[1]
    assert int(first) >= 524_288
    others = [there.host.said("cat", f"/proc/{pid}/uid_map").split()[1] for pid in there.machines().values()]
    assert len(set(others)) == len(others)


def crashes(there: Installed) -> None:
    """A machine that is killed is a crash in the log, and starts again with a kick."""
    turns = len(there.facts("TurnEnded", stream="turn-coder"))
    there.host.run("machinectl", "kill", "--signal=KILL", "h-coder")
    there.host.until("a crash", lambda: there.facts("ContainerCrashed"))
    assert not there.agents()["coder"]["running"]
    there.hive("start", "coder")
    there.awake("coder", turns + 1)
    there.hive("restart", "reviewer")
    there.host.until("reviewer runs", lambda: there.agents()["reviewer"]["running"])


def is_upgraded(there: Installed, wheels: Path, tmp_path: Path) -> None:
    """Another release takes the daemon's place while every machine runs on, and is heard again."""
    before = there.machines()
    for path in (there.host.root / "root").glob("*.whl"):
        path.unlink()
    shutil.copy(wheel("0.1.1", tmp_path), there.host.root / "root")
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
    there.host.run("sh", "-euxc", "\n".join(blocks("sh upgrade")), environment=offline)
    there.host.until("it answers", lambda: there.host.run("hyperhive", "ps", check=False).returncode == 0)
    assert "0.1.1" in there.hive("--version")
    assert there.facts("DaemonStarted")[-1]["data"]["release"] == "0.1.1"
    assert there.machines() == before
    turns = len(there.facts("TurnEnded", stream="turn-coder"))
    there.hive("send", "coder", "still there?")
    there.awake("coder", turns + 1)
    there.hive("restart", "coder")
    there.host.until("coder runs", lambda: there.agents()["coder"]["running"])


def ends(there: Installed) -> None:
    """A destroyed agent leaves its notes, a purged one nothing, and neither a machine or a unit."""
    root = there.host.root / "var/lib/hyperhive/agents"
    there.hive("destroy", "reviewer", "--yes")
    there.hive("destroy", "coder", "--purge", "--yes")
    there.host.until("they are gone", lambda: set(there.agents()) == {"manager"})
    assert (root / "reviewer/state").is_dir()
    assert not (root / "coder").exists()
    assert set(there.machines()) == {"h-manager"}
    units = there.host.said("sh", "-c", "ls /run/systemd/system")
    assert "coder" not in units
    assert "reviewer" not in units
    there.hive("log", "verify")
    there.hive("replay", "verify")
    there.hive("kill", "manager")
    there.host.until("no machine", lambda: there.machines() == {})
