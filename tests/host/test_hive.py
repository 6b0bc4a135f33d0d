"""A hive on a host of its own, installed as its documentation says: machines, crash, moves, upgrade, destroy, purge."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperhive.cli.demo import WISH
from tests.host.booted import REPOSITORY, Host
from tests.host.installed import Installed, blocks, wheel

pytestmark = pytest.mark.hive

PAGE = "debian.md"
REHEARSE = (
    "[Service]\n"
    "Environment=HYPERHIVE_CLAUDE_PATH=/usr/local/bin/claude HYPERHIVE_CRASH_WATCH_INTERVAL_SECONDS=0.5\n"
    "ExecStart=\nExecStart=/usr/local/bin/hyperhive serve --rehearse /root/scenario.toml\n"
)
AUTO = "[Service]\nExecStart=\nExecStart=/usr/local/bin/hyperhive serve --runtime auto --rehearse /root/scenario.toml\n"
CLAUDE = (
    "#!/bin/sh\n"
    "# The real one, but for the login, which would need the network and a person.\n"
    "bundled=/opt/pipx/venvs/hyperhive/lib/python3.11/site-packages/claude_agent_sdk/_bundled/claude\n"
    'if [ "$1" != /login ]; then exec "$bundled" "$@"; fi\n'
    'test -t 0 && test -t 1 && echo "$(hostname) $(id -u) $(stty size)"\n'
    'printf "code? "; read -r code; mkdir -p ~/.claude\n'
    'printf %s "{\\"$code\\":1}" >~/.claude/.credentials.json; exit 3\n'
)
TERMINAL = (
    "import os, pty, sys\n"
    "child, terminal = pty.fork()\n"
    "if child == 0: os.execvp('hyperhive', ['hyperhive', 'login', 'coder'])\n"
    "said = b''\n"
    "while b'code? ' not in said:\n"
    "    try: more = os.read(terminal, 4096)\n"
    "    except OSError: sys.exit(said.decode())\n"
    "    said += more\n"
    "os.write(terminal, b'abc\\n')\n"
    "status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])\n"
    "print(said.decode(), status)\n"
)
JOURNAL = (
    "import sys, urllib.request as u\n"
    "token = open('/var/lib/hyperhive/token').read().strip()\n"
    "headers = {'Authorization': 'Bearer ' + token}\n"
    "asked = u.Request('http://127.0.0.1:7000/api/journal/' + sys.argv[1], headers=headers)\n"
    "print(u.urlopen(asked).read().decode())\n"
)


@pytest.fixture
def there(host: Host) -> Iterator[Installed]:
    """Return root's hive of the host, not yet installed; nothing of it runs afterwards."""
    yield Installed(host, host.said, host.root / "root")
    host.run("sh", "-c", "systemctl stop hyperhive; systemctl stop 'systemd-nspawn@h-*'", check=False)


def machines(there: Installed) -> dict[str, str]:
    """Return the machines, each with its first process."""
    names = there.host.said("machinectl", "list", "--no-legend").split("\n")
    found = [line.split()[0] for line in names if line.startswith("h-")]
    return {name: there.host.said("machinectl", "show", "--property=Leader", "--value", name).strip() for name in found}


def install(there: Installed, wheels: Path, built: Path) -> dict[str, str]:
    """Follow the document; only the model is a rehearsed one, and the packages come from a directory."""
    there.bring(wheel("0.1.0", built))
    shutil.copy(REPOSITORY / "hyperhive/rehearsal/scenarios/demo.toml", there.home / "scenario.toml")
    part = there.host.root / "etc/systemd/system/hyperhive.service.d/rehearse.conf"
    part.parent.mkdir()
    part.write_text(REHEARSE)
    claude = there.host.root / "usr/local/bin/claude"
    claude.write_text(CLAUDE)
    claude.chmod(0o755)
    for name, text in (("journal.py", JOURNAL), ("terminal.py", TERMINAL)):
        (there.home / name).write_text(text)
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
    said = there.host.run("sh", "-euxc", blocks(PAGE, "sh"), environment=offline).stdout
    assert "ok    sandbox         nspawn: systemd-nspawn runs machines here, of the host's /usr, read-only." in said
    # Each of them has an agent later.
    for name in ("bubblewrap", "podman", "nspawn"):
        assert f"note  {f'  {name}':<14}  works: " in said
    return offline


def test_the_whole_hive(there: Installed, wheels: Path, built: Path) -> None:
    """From the first command of the document to the last, everything that an operator does holds on a real host."""
    offline = install(there, wheels, built)
    assert there.said("systemctl", "show", "-P", "StatusText,ActiveState", "hyperhive").split()[-1] == "active"
    talks(there)
    stays_apart(there)
    crashes(there)
    moves(there)
    logs_in(there)
    gets_an_image(there)
    is_upgraded(there, built, offline)
    ends(there)
    is_removed(there)


def talks(there: Installed) -> None:
    """Spawn, and a message that goes through three machines to an answer."""
    for name in ("coder", "reviewer"):
        there.hive("spawn", name)
    for name in ("manager", "coder", "reviewer"):
        there.awake(name)
    assert set(machines(there)) == {"h-manager", "h-coder", "h-reviewer"}
    there.hive("send", "manager", WISH)
    sent = "inbox-operator"
    (answer,) = there.host.until("an answer", lambda: there.facts("MessageSent", stream=sent))
    assert "the tests pass" in answer["data"]["body"]
    assert not [fact for fact in there.facts() if fact["type"].endswith("Failed")]
    for name, unit in (("coder", "hive-ag3nt.service"), ("manager", "hive-m1nd.service")):
        said = there.said("python3", "journal.py", f"{name}?unit={unit}&lines=50")
        assert f"h-{name} harness[" in said
        assert "harness_started" in said
        assert said.strip() in there.said("journalctl", "-M", f"h-{name}", "-u", unit, "-b", "-o", "short-iso")


def stays_apart(there: Installed) -> None:
    """The agent's notes are its own inside and root's outside; a machine has the users of nobody else."""
    state = there.host.root / "var/lib/hyperhive/agents/coder/state"
    assert (state / "slug.py").stat().st_uid == 0
    leader = machines(there)["h-coder"]
    first = there.said("cat", f"/proc/{leader}/uid_map").split()[1]
    assert int(first) >= 524_288
    others = [there.said("cat", f"/proc/{pid}/uid_map").split()[1] for pid in machines(there).values()]
    assert len(set(others)) == len(others)


def crashes(there: Installed) -> None:
    """A machine that is killed is a crash in the log, and starts again with a kick."""
    turns = there.turns("coder")
    # The first process takes the rest along. Killed all at once, old cgroups let systemd wait ten seconds for zombies.
    there.host.run("machinectl", "kill", "--kill-whom=leader", "--signal=KILL", "h-coder")
    there.host.until("a crash", lambda: there.facts("ContainerCrashed"))
    assert not there.agents()["coder"]["running"]
    there.hive("start", "coder")
    there.awake("coder", turns + 1)


def moves(there: Installed) -> None:
    """An agent goes through every runtime that works here, and back, with its notes and its session."""
    state = there.host.root / "var/lib/hyperhive/agents/coder/state"
    (state / "note").write_text("mine")
    session = there.facts("TurnEnded", stream="turn-coder")[-1]["data"]["session_id"]
    for runtime in ("bubblewrap", "podman", "nspawn"):
        turns = there.turns("coder")
        there.hive("move", "coder", "--runtime", runtime)
        assert there.agents()["coder"]["runtime"] == runtime
        assert ("h-coder" in machines(there)) == (runtime == "nspawn")
        there.awake("coder", turns + 1)
        assert there.facts("TurnEnded", stream="turn-coder")[-1]["data"]["session_id"] == session
        assert (state / "note").read_text() == "mine"


def logs_in(there: Installed) -> None:
    """Claude's login runs on the operator's terminal, as the agent, and what it leaves is the agent's alone."""
    said = there.said("python3", "terminal.py")
    assert said.split()[:2] == ["h-coder", "1000"]
    assert said.split()[-1] == "3"
    kept = there.host.root / "var/lib/hyperhive/agents/coder/state/.claude/.credentials.json"
    assert kept.read_text() == '{"abc":1}'
    assert kept.stat().st_uid == 0
    assert kept.parents[1].stat().st_mode & 0o077 == 0
    kept.unlink()


def trees(there: Installed) -> set[Path]:
    """Return the trees of tarballs that are kept for machines; one that is being removed has another name."""
    return {path for path in (there.host.root / "var/lib/hyperhive/images").iterdir() if not path.suffix}


def gets_an_image(there: Installed) -> None:
    """Agents get a system of their own, of a tarball, with their next start; the tree of a former one goes then."""
    before = machines(there)
    said = there.host.run("sh", "-euxc", blocks(PAGE, "sh image")).stdout
    assert "systemd-nspawn runs machines here, of the image /var/lib/machines/hive.tar." in said
    assert machines(there) == before
    (made,) = trees(there)
    made.with_name("a" * 64).mkdir()
    turns = there.turns("reviewer")
    there.hive("restart", "reviewer")
    own, hosts = (f"/proc/{machines(there)[f'h-{name}']}/root/etc/debian_version" for name in ("reviewer", "coder"))
    assert there.said("cat", own) == (there.host.root / "etc/debian_version").read_text()
    assert there.host.run("test", "-e", hosts, check=False).returncode == 1
    there.awake("reviewer", turns + 1)
    there.host.until("the former tree is gone", lambda: trees(there) == {made})


def is_upgraded(there: Installed, built: Path, offline: dict[str, str]) -> None:
    """Another release takes the daemon's place while every machine runs on, and is heard again.

    Told to choose, it takes the strongest runtime, and says so. Without the image it makes machines of the host's /usr
    again, and leaves the tree to the one machine that still has it.
    """
    before, kept = machines(there), trees(there)
    (there.host.root / "var/lib/hyperhive/hyperhive.toml").write_text('runtime = "nspawn"\n')
    there.bring(wheel("0.1.1", built))
    (there.host.root / "etc/systemd/system/hyperhive.service.d/zz-auto.conf").write_text(AUTO)
    there.host.run("systemctl", "daemon-reload")
    there.host.run("sh", "-euxc", blocks(PAGE, "sh upgrade"), environment=offline)
    there.host.until("it answers", lambda: there.host.run("hyperhive", "ps", check=False).returncode == 0)
    assert "0.1.1" in there.hive("--version")
    assert there.facts("DaemonStarted")[-1]["data"] == {"release": "0.1.1", "runtime": "nspawn"}
    said = there.said("journalctl", "-u", "hyperhive", "--no-pager", "--output=cat")
    assert '"runtime": "nspawn", "asked": "auto"' in said
    assert machines(there) == before
    turns = there.turns("coder")
    there.hive("send", "coder", "still there?")
    there.awake("coder", turns + 1)
    there.hive("restart", "coder")
    assert trees(there) == kept


def ends(there: Installed) -> None:
    """A destroyed agent leaves its notes, a purged one nothing, and neither a machine, a unit or a tree."""
    root = there.host.root / "var/lib/hyperhive/agents"
    there.hive("destroy", "reviewer", "--yes")
    there.hive("destroy", "coder", "--purge", "--yes")
    there.host.until("they are gone", lambda: set(there.agents()) == {"manager"})
    assert (root / "reviewer/state").is_dir()
    assert not (root / "coder").exists()
    assert set(machines(there)) == {"h-manager"}
    units = there.said("sh", "-c", "ls /run/systemd/system")
    assert "coder" not in units
    assert "reviewer" not in units

    def restarted() -> bool:
        there.hive("restart", "manager")
        return not trees(there)

    there.host.until("the tree is gone", restarted)
    there.hive("log", "verify")
    there.hive("replay", "verify")


def is_removed(there: Installed) -> None:
    """Nothing runs and nothing is installed any more; what the hive has is there."""
    there.host.run("sh", "-euxc", blocks(PAGE, "sh remove"))
    assert machines(there) == {}
    assert there.host.run("sh", "-c", "command -v hyperhive || systemctl cat hyperhive", check=False).returncode != 0
    assert (there.host.root / "var/lib/hyperhive/hive.sqlite").is_file()
    assert not (there.host.root / "opt/pipx/venvs/hyperhive").exists()
