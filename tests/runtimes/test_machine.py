"""The command lines and units of a machine, exactly."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from hyperhive.runtimes import acl, idmap, machine, systemd, unit_text, users
from hyperhive.runtimes.confinement import Egress, EgressPolicy, Limits
from hyperhive.runtimes.host import Python
from hyperhive.runtimes.machine import Machine, Places
from hyperhive.runtimes.protocol import Spec
from hyperhive.runtimes.sandbox import System

NONE = Egress(policy=EgressPolicy.NONE)
SPEC = Spec(
    name="coder",
    state=Path("/data/agents/coder/state"),
    socket_dir=Path("/run/hive/agents/coder"),
    log=Path("/data/agents/coder/harness.log"),
    generation=3,
    egress=NONE,
)
MACHINE = Machine(
    spec=SPEC,
    places=Places(directory=Path("/run/hive/machines/coder")),
    first_uid=1_048_576,
    owner=(0, 0),
    python=Python(
        executable=Path("/opt/venv/bin/python"),
        trees=(Path("/opt/venv"),),
        links=((Path("/opt/current"), "venv"),),
        path=(),
    ),
    system=System(
        roots=(("bin", "usr/bin"), ("lib32", None)),
        etc=("hosts", "resolv.conf"),
        proc=frozenset(),
        nix=False,
        generated=Path("/run/hive/machines"),
    ),
)
HERE = "/run/hive/machines/coder"
CONFINED = (
    f"--directory={HERE}/root",
    "--read-only",
    "--volatile=overlay",
    "--private-users=1048576:65536",
    "--private-users-ownership=off",
    "--no-new-privileges=yes",
    "--link-journal=no",
    "--resolv-conf=off",
    "--timezone=off",
    "--private-network",
    "--bind-ro=/usr:/usr",
    "--bind-ro=/lib32:/lib32",
    "--bind-ro=/etc/hosts:/etc/hosts",
    f"--bind-ro={HERE}/etc/passwd:/etc/passwd",
    f"--bind-ro={HERE}/etc/group:/etc/group",
    f"--bind-ro={HERE}/etc/nsswitch.conf:/etc/nsswitch.conf",
    f"--bind-ro={HERE}/etc/machine-id:/etc/machine-id",
    f"--bind-ro={HERE}/systemd:/etc/systemd",
    "--bind-ro=/opt/venv:/opt/venv",
    "--bind-ro=/opt/current:/opt/current",
    "--bind-ro=/run/hive/agents/coder:/run/hyperhive",
    f"--bind-ro={HERE}/output:/run/hive-output",
    f"--bind={HERE}/mounts/0:/state",
)
NSPAWN = ("systemd-nspawn", "--quiet", "--keep-unit", "--machine=h-coder", "--boot", *CONFINED)
HELPER = (sys.executable, "-I", idmap.__file__)


def changed(**changes: object) -> Machine:
    """Return the machine of another spec."""
    return attrs.evolve(MACHINE, spec=attrs.evolve(SPEC, **changes))  # type: ignore[arg-type]


class TestNspawn:
    """What systemd-nspawn is told."""

    def test_whole(self) -> None:
        """Private users, no network, the system and its own files: state and socket, and nothing else of the hive."""
        assert machine.nspawn_argv(MACHINE) == (*NSPAWN, "systemd.unit=hive.target", "systemd.show_status=0")

    def test_the_hosts_network(self) -> None:
        """By its policy an agent shares the host's network, and then its resolver."""
        argv = machine.nspawn_argv(changed(egress=Egress(policy=EgressPolicy.HOST)))
        assert set(argv) - set(NSPAWN) - {"systemd.unit=hive.target", "systemd.show_status=0"} == {
            "--bind-ro=/etc/resolv.conf:/etc/resolv.conf"
        }
        assert "--private-network" not in argv

    def test_an_allowlist_is_no_network(self) -> None:
        """Whatever is allowed goes over the socket: the machine has no way out of its own."""
        listed = Egress(policy=EgressPolicy.ALLOWLIST, hosts=("docs.example.org",))
        assert machine.nspawn_argv(changed(egress=listed)) == machine.nspawn_argv(MACHINE)

    def test_further_directories(self) -> None:
        """They are mounted as the agent's own, and only those to write can be written."""
        spec = {"writable": {"/work:1": Path("/data/w")}, "read_only": {"/config": Path("/data/c")}}
        argv = machine.nspawn_argv(changed(**spec))
        assert argv[-4:-2] == (f"--bind={HERE}/mounts/1:/work\\:1", f"--bind-ro={HERE}/mounts/2:/config")
        assert machine.owners_argv(changed(**spec)) == (
            *HELPER,
            *("/data/agents/coder/state", f"{HERE}/mounts/0", "0", "0", "1049576", "1"),
            *("/data/w", f"{HERE}/mounts/1", "0", "0", "1049576", "1"),
            *("/data/c", f"{HERE}/mounts/2", "0", "0", "1049576", "1"),
            "--",
        )

    def test_an_image(self) -> None:
        """Another system is shown in the place of the host's: nothing of the host's own is left."""
        made = attrs.evolve(MACHINE, image=Path("/var/lib/machines/hive"))
        assert machine.owners_argv(made)[-7:] == (
            "/var/lib/machines/hive",
            f"{HERE}/root",
            "0",
            "0",
            "1048576",
            "65536",
            "--",
        )
        gone = set(machine.nspawn_argv(MACHINE)) - set(machine.nspawn_argv(made))
        assert gone == {"--bind-ro=/usr:/usr", "--bind-ro=/lib32:/lib32", "--bind-ro=/etc/hosts:/etc/hosts"}

    def test_an_image_with_a_closed_home(self) -> None:
        """Where Python lies below a directory that is closed in an image, an open one stands in its place."""
        python = attrs.evolve(MACHINE.python, trees=(Path("/root/venv"),), links=())
        argv = machine.nspawn_argv(attrs.evolve(MACHINE, image=Path("/i"), python=python))
        assert argv.index("--tmpfs=/root:mode=0755") < argv.index("--bind-ro=/root/venv:/root/venv")

    def test_an_image_has_nothing_of_the_hosts_usr(self) -> None:
        """What an agent is to read below the host's /usr comes with that, but has to be shown in an image."""
        program = Path("/usr/bin/env").resolve()
        made = attrs.evolve(MACHINE, spec=attrs.evolve(SPEC, readable=(program,)))
        shown = f"--bind-ro={program}:{program}"
        assert shown not in machine.nspawn_argv(made)
        assert shown in machine.nspawn_argv(attrs.evolve(made, image=Path("/i")))

    def test_a_terminal(self) -> None:
        """Another program is kept in the same, in a machine that nobody registers."""
        argv = machine.terminal_argv(MACHINE, ("claude", "/login"), {"TERM": "xterm"}, machine_name="t-1")
        assert argv == (
            *machine.owners_argv(MACHINE),
            *("/bin/sh", "-c", machine.ON_TERMINAL, "systemd-nspawn", "--quiet", "--register=no"),
            *("--machine=t-1", "--hostname=h-coder", "--as-pid2", "--user=1000", "--chdir=/state", *CONFINED),
            *("--setenv=TERM=xterm", "--", "claude", "/login"),
        )

    def test_the_journal(self) -> None:
        """The journal of a machine is asked for by unit and number of lines."""
        argv = ("journalctl", "-M", "h-coder", "-b", "--no-pager", "--output=short-iso", "--lines=20")
        assert machine.journal_argv("coder", 20) == argv
        assert machine.journal_argv("coder", 20, "hive-ag3nt.service") == (*argv, "-u", "hive-ag3nt.service")


class TestUnits:
    """What systemd is told, outside and inside."""

    def test_dropin(self) -> None:
        """The host's unit boots this machine, never again by itself, and keeps the limits."""
        made = changed(limits=Limits(memory_bytes=1 << 30, cpu_percent=150, tasks=64))
        argv = (*machine.owners_argv(made), *machine.nspawn_argv(made))
        words = " ".join(f'"{word}"' for word in argv).replace("\\", "\\\\")
        assert machine.dropin(made) == (
            "# Written by hyperhive; gone with the agent's container.\n"
            "[Unit]\n"
            "Description=hyperhive's agent coder\n"
            "Wants=hyperhive-output-coder.service\n"
            "After=hyperhive-output-coder.service\n"
            "\n"
            "[Service]\n"
            f"EnvironmentFile={HERE}/mark\n"
            "ExecStart=\n"
            f"ExecStart={words}\n"
            'ExecStopPost="/bin/sh" "-c" "printf \\"%%s %%s\\\\n\\" \\"$$EXIT_CODE\\" \\"$$EXIT_STATUS\\" >\\"$$0\\"" '
            f'"{HERE}/exit"\n'
            "StandardInput=null\n"
            "Restart=no\n"
            "RestartForceExitStatus=\n"
            "SuccessExitStatus=\n"
            "TimeoutStopSec=10\n"
            "OOMPolicy=continue\n"
            "MemoryMax=1073741824\n"
            "MemorySwapMax=0\n"
            "CPUQuota=150%\n"
            "TasksMax=64\n"
        )

    def test_no_limits(self) -> None:
        """Without limits none is set: the template's own hold."""
        assert "Max" not in machine.dropin(MACHINE)
        assert "CPUQuota" not in machine.dropin(MACHINE)

    @pytest.mark.parametrize(("name", "unit"), [("coder", "hive-ag3nt.service"), ("manager", "hive-m1nd.service")])
    def test_harness(self, name: str, unit: str) -> None:
        """Inside, the harness is a unit by its role, alone with the journal, and without rights."""
        files = machine.inner_files(changed(name=name), ("/x/python", "-m", "harness"), {"A": 'b "c" $d %e\n'})
        assert set(files) == {"system/hive.target", f"system/{unit}", "journald.conf", "system.conf"}
        text = files[f"system/{unit}"]
        assert '"keep" "/run/hive-output" "/x/python" "-m" "harness"\n' in text
        assert 'Environment="A=b \\"c\\" $d %%e\\n"\n' in text
        for line in ("User=1000", "NoNewPrivileges=yes", "CapabilityBoundingSet=", "RestrictNamespaces=yes"):
            assert f"\n{line}\n" in text


class TestWords:
    """Nothing in a value becomes syntax."""

    def test_quoted(self) -> None:
        """Quotes, backslashes, line ends, specifiers and variables stay what they are."""
        assert unit_text.command(('a "b" \\ %h $x ${y}\n',)) == '"a \\"b\\" \\\\ %%h $$x $${y}\\n"'

    @pytest.mark.parametrize("bad", [" a", "a ", "a\nb", "a\\"])
    def test_plain(self, bad: str) -> None:
        """A value that a line cannot hold is refused."""
        with pytest.raises(ValueError, match="cannot stand"):
            unit_text.plain(bad)


class TestUsers:
    """The users of a machine are nobody else's."""

    def test_the_same_again(self) -> None:
        """A container has the same users as long as they are free, in what systemd leaves to containers."""
        first = users.choose("hive/coder", ())
        assert first == users.choose("hive/coder", [(0, 65_536), (100_000, 65_536)])
        assert users.FIRST <= first <= users.LAST
        assert first % users.RANGE == 0

    @pytest.mark.parametrize("offset", [-65_535, -1, 0, 1, 65_535])
    def test_taken(self, offset: int) -> None:
        """A range that overlaps with somebody's is not chosen."""
        first = users.choose("hive/coder", ())
        other = users.choose("hive/coder", [(first + offset, 65_536)])
        assert other >= first + offset + 65_536 or other + users.RANGE <= first + offset

    def test_none_left(self) -> None:
        """Where every range is somebody's, that is said."""
        with pytest.raises(users.NoUsersLeft):
            users.choose("hive/coder", [(0, 1 << 32)])

    def test_our_own(self) -> None:
        """The users of this machine count as taken."""
        assert (0, 1) in users.in_use()


def test_shown() -> None:
    """What systemctl prints becomes units."""
    text = (
        "Id=a.service\nActiveState=active\nResult=success\nMainPID=7\n\nId=b.service\nActiveState=inactive\nMainPID=0\n"
    )
    first, second = systemd.parse(text)
    assert (first.id, first.busy, first.main_pid) == ("a.service", True, 7)
    assert (second.id, second.busy, second.main_pid) == ("b.service", False, 0)


def test_admitted(tmp_path: Path) -> None:
    """One user is let in, to what is there and to what comes later, and nobody else is."""
    acl.admit(tmp_path, 54_321)
    (tmp_path / "later").touch(mode=0o660)
    mode = tmp_path.stat().st_mode & 0o777
    assert (mode & 0o007, (tmp_path / "later").stat().st_mode & 0o007) == (0, 0)
    assert acl.packed(54_321, owner=7, user=5).hex() == (
        "0200000001000700ffffffff0200050031d4000004000000ffffffff10000500ffffffff20000000ffffffff"
    )


def test_what_keeps_the_program_is_known(tmp_path: Path) -> None:
    """All that the keeper's script starts beside the agent's program is named, so that none is taken for it."""
    strace = shutil.which("strace")
    if strace is None or subprocess.run([strace, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("needs strace, and a kernel that lets it trace")
    trace, output = tmp_path / "trace", tmp_path / "output"
    program = (sys.executable, "-c", "import time; time.sleep(0.1); print('done')")
    keep = ("sh", "-c", machine.KEEP, "keep", output, *program)
    tracing = ("-f", "-e", "trace=execve", "-e", "signal=none", "-z", "-o", trace)
    environment = {"PATH": "/usr/bin:/bin", "RUNTIME_DIRECTORY": str(tmp_path)}
    subprocess.run([strace, *tracing, *keep], env=environment, check=True)
    run = {Path(path).name for path in re.findall(r'execve\("([^"]+)"', trace.read_text())}
    assert run - {Path(sys.executable).name} <= machine.KEEPERS
    assert {"mkfifo", "tee", "env"} <= run
    assert output.read_text() == "done\n"
