"""hyperhive installed as other users and by other tools do, as its documentation says."""

from __future__ import annotations

import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.booted import REPOSITORY, Host
from tests.host.installed import Installed, blocks, wheel

pytestmark = pytest.mark.hive

PAGE = "other.md"
USER = "alice"
REHEARSE = "hyperhive serve --rehearse ~/scenario.toml >~/served 2>&1 & echo $! >~/pid"
PART = "[Service]\nExecStart=\nExecStart=%h/.local/bin/hyperhive serve --rehearse %h/scenario.toml\n"
VARIABLES = "PIP_NO_INDEX,PIP_FIND_LINKS,PIP_NO_COMPILE"


class Alice:
    """A user without rights, each of whose commands is given in a new login."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.home = host.root / "home" / USER

    def argv(self, script: str, *words: str) -> tuple[str, ...]:
        """Return the command line of a script of hers."""
        return ("runuser", "--login", f"--whitelist-environment={VARIABLES}", "-c", script, "--", USER, "sh", *words)

    def said(self, *words: str) -> str:
        """Run a command that has to succeed, and return what it printed."""
        return self.host.said(*self.argv('"$@"', *words))

    def follow(self, script: str, **environment: str) -> str:
        """Run a script that has to succeed, and return what it printed."""
        return self.host.run(*self.argv('sh -euxc "$1"', script), environment=environment).stdout


@pytest.fixture
def alice(host: Host) -> Iterator[Alice]:
    """Add the user; nothing of hers is left afterwards."""
    host.run("useradd", "--create-home", "--shell=/bin/bash", USER)
    uid = host.said("id", "-u", USER).strip()
    yield Alice(host)
    ending = f"loginctl disable-linger {USER}; systemctl kill --signal=KILL user-{uid}.slice; userdel --remove {USER}"
    host.until("she is gone", lambda: host.run("sh", "-c", ending, check=False).returncode in {0, 12})


def sandboxes(alice: Alice) -> set[str]:
    """Return the processes that make her agents' sandboxes, which live as long as these."""
    look = "grep -lazxs -e '--hostnam[e]' /proc/[0-9]*/cmdline"
    return set(alice.host.run("sh", "-c", look, check=False).stdout.split())


def test_without_root(alice: Alice, wheels: Path, built: Path) -> None:
    """An ordinary user gets from the first command of the page to a hive that runs as her service, and back."""
    there = Installed(alice.host, alice.said, alice.home)
    there.bring(wheel("0.1.0", built))
    shutil.copy(REPOSITORY / "hyperhive/rehearsal/scenarios/demo.toml", alice.home / "scenario.toml")
    alice.host.run("chown", USER, f"/home/{USER}/scenario.toml")
    # To compile all that there is takes longer than what her few sessions compile for themselves.
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_NO_COMPILE": "1"}
    alice.follow(blocks(PAGE, "sh"), **offline)
    alice.host.run("sh", "-euxc", blocks(PAGE, "sh root"))

    tells_the_truth(alice.follow(blocks(PAGE, "sh start").replace("hyperhive serve", REHEARSE)))
    alice.host.until("it answers", lambda: alice.host.run(*alice.argv("hyperhive ps"), check=False).returncode == 0)
    there.hive("spawn", "coder")
    for name in ("coder", "manager"):
        there.awake(name)
    before = sandboxes(alice)
    alice.said("sh", "-c", "kill $(cat ~/pid)")
    alice.host.until("it ends", lambda: alice.host.run(*alice.argv("hyperhive ps"), check=False).returncode == 5)

    part = alice.home / ".config/systemd/user/hyperhive.service.d/rehearse.conf"
    alice.said("mkdir", "-p", ".config/systemd/user/hyperhive.service.d")
    part.write_text(PART)
    assert "coder" in alice.follow(blocks(PAGE, "sh service"))
    there.bring(wheel("0.1.1", built))
    alice.follow(blocks(PAGE, "sh upgrade"), **offline)
    assert [fact["data"]["release"] for fact in there.facts("DaemonStarted")] == ["0.1.0", "0.1.0", "0.1.1"]
    assert sandboxes(alice) == before
    turns = there.turns("coder")
    there.hive("send", "coder", "still there?")
    there.awake("coder", turns + 1)

    alice.follow(blocks(PAGE, "sh remove"))
    assert not (alice.home / ".local/bin/hyperhive").exists()
    assert (alice.home / ".local/state/hyperhive/hive.sqlite").is_file()
    alice.host.until("nothing runs", lambda: not sandboxes(alice))


def tells_the_truth(said: str) -> None:
    """What doctor says to her is so: where her agents can live, and by what their limits are kept."""
    lines = {line[6:20].strip(): line[22:] for line in said.splitlines() if line[:4].strip()}
    assert lines["sandbox"].startswith("bubblewrap: /usr/bin/bwrap makes sandboxes here. Limits are kept by ")
    assert "namespaces" not in lines["sandbox"]
    assert lines["podman"].startswith("works: /usr/bin/podman makes this user's containers here, by runc.")
    assert lines["nspawn"] == "does not work: only root has machines run, and this is not root."
    assert lines["nixos"] == "does not work: only root has containers of NixOS."
    assert lines["accepted"].startswith("an agent in bubblewrap can: let its own ~/.profile and ~/.bashrc run")


def test_by_uv(host: Host, wheels: Path, built: Path) -> None:
    """It installs just as well by uv, from the same page, with all that it needs to run and to confine agents."""
    Installed(host, host.said, host.root / "root").bring(wheel("0.1.0", built))
    uv = Path(sysconfig.get_path("scripts"), "uv")
    shutil.copy(uv, host.root / "usr/local/bin/uv")
    offline = {"UV_OFFLINE": "1", "UV_FIND_LINKS": str(wheels), "UV_TOOL_DIR": "/opt/uv"}
    host.run("sh", "-euxc", blocks("debian.md", "sh uv"), environment=offline)
    assert host.said("hyperhive", "--version") == "hyperhive 0.1.0\n"
    lib = host.root / "opt/uv/hyperhive/lib"
    assert {path.name for path in lib.rglob("hyperhive.*")} >= {"hyperhive.service", "hyperhive.conf"}
    said = host.said("hyperhive", "doctor", "--quick")
    assert "ok    sandbox         nspawn: systemd-nspawn runs machines here" in said
    host.run("uv", "tool", "uninstall", "hyperhive", environment=offline)
