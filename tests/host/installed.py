"""hyperhive as its documentation has it installed: blocks of the pages, wheels, a hive that is asked by its CLI."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.host.booted import REPOSITORY, Host

PAGES = REPOSITORY / "docs/install"
TREES = ("hyperhive", "harness", "migrations", "packaging")


def blocks(page: str, kind: str) -> str:
    """Return a page's blocks of commands, of one kind, as one script."""
    found = re.findall(rf"^```{kind}\n(.*?)^```", (PAGES / page).read_text(), re.DOTALL | re.MULTILINE)
    assert found, f"{page} has no block of {kind}"
    return "\n".join(found)


def wheel(version: str, into: Path) -> Path:
    """Build a wheel of this checkout, of a version."""
    made = into / f"hyperhive-{version}-py3-none-any.whl"
    if made.exists():
        return made
    tree = into / f"tree-{version}"
    tree.mkdir(parents=True)
    for name in TREES:
        shutil.copytree(REPOSITORY / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, tree)
    project = (REPOSITORY / "pyproject.toml").read_text()
    (tree / "pyproject.toml").write_text(
        re.sub(r'^version = ".*"$', f'version = "{version}"', project, flags=re.MULTILINE)
    )
    argv = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(into))
    subprocess.run(argv, cwd=tree, check=True, capture_output=True)
    return made


class Installed:
    """A hive of that host, as its operator has it; ``said`` runs a command there as that operator, who has a home."""

    def __init__(self, host: Host, said: Callable[..., str], home: Path) -> None:
        self.host = host
        self.said = said
        self.home = home

    def hive(self, *words: str) -> str:
        """Give a command."""
        return self.said("hyperhive", *words)

    def agents(self) -> dict[str, dict[str, Any]]:
        """Return the agents' rows."""
        return {row["name"]: row for row in json.loads(self.hive("ps", "--json"))}

    def facts(self, *types: str, stream: str | None = None) -> list[dict[str, Any]]:
        """Return the facts of some types."""
        words = ["log", "show", "--json", "--after", "0"]
        words += [word for type_ in types for word in ("--type", type_)]
        return [json.loads(line) for line in self.hive(*words, *(("--stream", stream) if stream else ())).splitlines()]

    def turns(self, name: str) -> int:
        """Count the turns that an agent has ended; the daemon is asked, since to read the log takes a second."""
        return int(self.agents()[name]["turns"])

    def awake(self, name: str, turns: int = 1) -> None:
        """Wait until an agent has ended so many turns."""
        self.host.until(f"{turns} turns of {name}", lambda: self.turns(name) >= turns)

    def bring(self, made: Path) -> None:
        """Have a wheel, and none other, where the commands are given."""
        for path in self.home.glob("*.whl"):
            path.unlink()
        shutil.copy(made, self.home)
