"""Every command line, word for word; no tool of a runtime is run here."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import attrs
import pytest

from hyperhive.runtimes import enter, keeper, marks, oci
from hyperhive.runtimes.confinement import Egress, EgressPolicy, Limits
from hyperhive.runtimes.host import Python
from hyperhive.runtimes.process import command_argv, process_environment
from hyperhive.runtimes.protocol import Spec
from hyperhive.runtimes.sandbox import Bwrap, System, sandbox_argv, sandbox_environment, shown

SPEC = Spec(
    name="coder",
    state=Path("/data/agents/coder/state"),
    socket_dir=Path("/run/hyperhive/agents/coder"),
    log=Path("/data/agents/coder/log"),
    generation=3,
    environment={"COLOUR": "green and blue"},
)
PYTHON = Python(
    executable=Path("/srv/hive/.venv/bin/python"),
    trees=(Path("/srv/hive/.venv"), Path("/root/.pyenv/versions/3.11.7"), Path("/srv/hive/harness")),
    links=((Path("/srv/python"), "/root/.pyenv/versions/3.11.7"),),
    path=(Path("/srv/hive"),),
)
DEBIAN = System(
    roots=(("bin", "usr/bin"), ("lib", None)),
    etc=("hosts", "ssl/certs"),
    proc=frozenset({"sys", "keys"}),
    nix=False,
    generated=Path("/run/hyperhive/containers/etc"),
)
NEW = Bwrap(path="/usr/bin/bwrap", sizes=True, no_nesting=True)
OLD = Bwrap(path="/usr/bin/bwrap", sizes=False, no_nesting=False)


def words(text: str) -> list[str]:
    """Split a command line as it is written below: one group of words a line."""
    return text.split()


class TestSandbox:
    """bubblewrap's."""

    def test_word_for_word(self) -> None:
        """The whole command line: namespaces, the allow-list of mounts in this order, the environment, the program."""
        argv = sandbox_argv(
            SPEC, ("python", "-m", "harness"), environment={"A": "x y"}, bwrap=NEW, system=DEBIAN, python=PYTHON
        )
        *before, value, separator, program, flag, module = argv
        assert before == words(
            """
            /usr/bin/bwrap
            --unshare-user --unshare-pid --unshare-ipc --unshare-uts --unshare-cgroup-try
            --uid 1000 --gid 1000 --hostname h-coder
            --cap-drop ALL --die-with-parent --disable-userns --new-session
            --ro-bind /usr /usr --symlink usr/bin /bin --ro-bind /lib /lib
            --ro-bind-try /etc/hosts /etc/hosts --ro-bind-try /etc/ssl/certs /etc/ssl/certs
            --ro-bind /run/hyperhive/containers/etc/passwd /etc/passwd
            --ro-bind /run/hyperhive/containers/etc/group /etc/group
            --ro-bind /run/hyperhive/containers/etc/nsswitch.conf /etc/nsswitch.conf
            --proc /proc --ro-bind /proc/sys /proc/sys --ro-bind /dev/null /proc/keys
            --dev /dev --size 67108864 --tmpfs /dev/shm --remount-ro /dev
            --size 1073741824 --tmpfs /tmp --symlink ../tmp /var/tmp
            --ro-bind /srv/hive/.venv /srv/hive/.venv
            --ro-bind /root/.pyenv/versions/3.11.7 /root/.pyenv/versions/3.11.7
            --ro-bind /srv/hive/harness /srv/hive/harness
            --symlink /root/.pyenv/versions/3.11.7 /srv/python
            --bind /data/agents/coder/state /state
            --ro-bind /run/hyperhive/agents/coder /run/hyperhive
            --remount-ro / --chdir /state
            --unsetenv HYPERHIVE_CONTAINER --setenv A
            """
        )
        assert (value, separator, program, flag, module) == ("x y", "--", "python", "-m", "harness")

    def test_on_a_terminal(self) -> None:
        """On a terminal the program stays in the terminal's session; all else is the same."""
        without, with_it = (
            sandbox_argv(SPEC, ("true",), environment={}, bwrap=NEW, system=DEBIAN, python=PYTHON, terminal=terminal)
            for terminal in (False, True)
        )
        assert with_it == tuple(word for word in without if word != "--new-session")

    def test_further_directories(self) -> None:
        """Further directories are bound where the spec says: those to write, and those only to read."""
        spec = attrs.evolve(
            SPEC, writable={"/proposed": Path("/data/proposed")}, read_only={"/config": Path("/data/config")}
        )
        argv = sandbox_argv(spec, ("true",), environment={}, bwrap=NEW, system=DEBIAN, python=PYTHON)
        text = " ".join(argv)
        assert "--bind /data/proposed /proposed --ro-bind /data/config /config --" in text

    def test_readable(self, tmp_path: Path) -> None:
        """What an agent may read beside the system is shown where it is, with the links that lead there."""
        root = tmp_path.resolve()
        (root / "versions").mkdir()
        (root / "versions/2.1").touch()
        (root / "claude").symlink_to("versions/2.1")
        spec = attrs.evolve(SPEC, readable=(root / "claude", Path("/usr/bin/git")))
        argv = sandbox_argv(spec, ("true",), environment={}, bwrap=NEW, system=DEBIAN, python=PYTHON)
        text = " ".join(argv)
        assert f"--ro-bind {root}/versions/2.1 {root}/versions/2.1 " in text
        assert f"--symlink versions/2.1 {root}/claude " in text
        assert "git" not in text

    def test_older_bubblewrap(self) -> None:
        """An older bubblewrap gets no option that it does not know; all else is the same."""
        new, old = (
            sandbox_argv(SPEC, ("true",), environment={}, bwrap=bwrap, system=DEBIAN, python=PYTHON)
            for bwrap in (NEW, OLD)
        )
        sizes = {index + offset for index, word in enumerate(new) if word == "--size" for offset in (0, 1)}
        assert old == tuple(word for index, word in enumerate(new) if index not in sizes and word != "--disable-userns")

    def test_nix(self) -> None:
        """Where programs live in a store, the store is shown."""
        nixos = System(roots=(), etc=(), proc=frozenset(), nix=True, generated=Path("/g"))
        argv = " ".join(sandbox_argv(SPEC, ("true",), environment={}, bwrap=NEW, system=nixos, python=PYTHON))
        assert "--ro-bind /nix/store /nix/store --ro-bind-try /run/current-system /run/current-system" in argv
        assert Path("/nix/store") in shown(nixos, PYTHON)

    def test_environment(self) -> None:
        """The environment names things as they are inside, and what the spec adds comes last."""
        environment = sandbox_environment(SPEC, PYTHON)
        assert environment.pop("TZ")
        assert environment == {
            "HOME": "/state",
            "USER": "agent",
            "LOGNAME": "agent",
            "SHELL": "/bin/sh",
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin:/run/current-system/sw/bin"
            ":/state/.local/bin:/srv/hive/.venv/bin",
            "LANG": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": "/srv/hive",
            "HYPERHIVE_AGENT": "coder",
            "HYPERHIVE_GENERATION": "3",
            "HYPERHIVE_STATE": "/state",
            "HYPERHIVE_SOCKET": "/run/hyperhive/agent.sock",
            "COLOUR": "green and blue",
        }

    def test_what_every_agent_reads(self) -> None:
        """The directories where nothing private may lie are those that are mounted."""
        assert shown(DEBIAN, PYTHON) == (Path("/usr"), Path("/lib"), *PYTHON.trees)


class TestProcess:
    """The plain runtime's."""

    def test_environment(self) -> None:
        """The environment names the host's paths, because there are no others."""
        environment = process_environment(SPEC, PYTHON)
        assert environment["HOME"] == environment["HYPERHIVE_STATE"] == "/data/agents/coder/state"
        assert environment["HYPERHIVE_SOCKET"] == "/run/hyperhive/agents/coder/agent.sock"
        assert environment["COLOUR"] == "green and blue"

    def test_command(self) -> None:
        """A command for a terminal begins with an empty environment, in the state directory."""
        assert command_argv(SPEC, ("claude", "login now"), {"A": "x y"}) == (
            *("/usr/bin/env", "-i", "A=x y", "/bin/sh", "-c", 'cd "$0" && exec "$@"', "/data/agents/coder/state"),
            *("claude", "login now"),
        )


class TestKeeper:
    """The two shells'."""

    def test_keeper(self) -> None:
        """The keeper runs the words as they are, and leaves the status in its file."""
        assert keeper.keeper_argv(("a b", "$c"), exit_file=Path("/run/x.exit")) == (
            "/bin/sh",
            "-c",
            '(exec "$@" </dev/null 2>&1); printf "%s\\n" "$?" >"$0"',
            "/run/x.exit",
            "a b",
            "$c",
        )

    def test_relay(self) -> None:
        """The relay gets its log, and its limit in the unit of ulimit and in bytes."""
        assert keeper.relay_argv(Path("/data/a b.log"), 1024 * 1024) == (
            "/bin/sh",
            "-c",
            keeper.RELAY,
            "/data/a b.log",
            "2048",
            "1048576",
        )


class TestMark:
    """The word that is searched for."""

    def test_mark(self) -> None:
        """It names hive, container and generation."""
        assert marks.mark("1b4e", "coder", 3) == "1b4e/h-coder/3"


class TestEnter:
    """The way into cgroups."""

    def test_groups_first(self, tmp_path: Path) -> None:
        """Each group is entered, the filter is opened at its number, and the words are run as they are."""
        groups = [tmp_path / "one", tmp_path / "two"]
        for group in groups:
            group.mkdir()
        (tmp_path / "filter").write_text("the filter")
        argv = enter.enter_argv(
            ("sh", "-c", 'cat <&9; echo "$0"', "$a b"), groups=groups, filter_file=tmp_path / "filter"
        )
        ended = subprocess.run(argv, capture_output=True, text=True, check=True)
        assert ended.stdout == "the filter$a b\n"
        assert [(group / "cgroup.procs").read_text() for group in groups] == ["0\n", "0\n"]

    def test_a_group_that_is_closed(self, tmp_path: Path) -> None:
        """Where a group cannot be entered nothing is run."""
        argv = enter.enter_argv(("echo", "ran"), groups=[tmp_path / "none"], filter_file=tmp_path)
        ended = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stdout) == (125, "")


class TestOci:
    """podman's."""

    TOOL = oci.Tool(path="/usr/bin/podman", root=True, runtime="runc", groups=True, nofile=1024, nproc=512)
    LIMITS = Limits(memory_bytes=1 << 30, cpu_percent=150, tasks=64)

    def container(self, tool: oci.Tool, spec: Spec, *, own_system: bool = False) -> str:
        """Return the words of a container that runs `true`."""
        return " ".join(
            oci.container_argv(
                tool,
                spec,
                ("true",),
                name="h-coder.x",
                image=oci.Image(tree=Path("/t"), brings_system=own_system),
                environment={"A": "1"},
                system=DEBIAN,
                python=PYTHON,
                filter_file=Path("/run/filter"),
            )
        )

    @pytest.mark.parametrize(
        ("changes", "asked", "said"),
        [
            ({}, LIMITS, "--memory 1073741824 --memory-swap 1073741824 --cpus 1.5 --pids-limit 64 --ulimit nofile"),
            ({}, Limits(), "--network none --pids-limit -1 --ulimit nofile=1024:1024 --ulimit nproc=512:512"),
            (
                {"groups": False},
                LIMITS,
                "--ulimit data=1073741824:1073741824 --ulimit nofile=1024:1024 --ulimit nproc=64:",
            ),
            ({"groups": False}, Limits(tasks=4096), "--network none --ulimit nofile=1024:1024 --ulimit nproc=512:512"),
        ],
    )
    def test_limits(self, changes: dict[str, Any], asked: Limits, said: str) -> None:
        """They are asked of cgroups where there are some, else of each process, never more than this one has."""
        spec = attrs.evolve(SPEC, limits=asked, egress=Egress(policy=EgressPolicy.NONE))
        assert said in self.container(attrs.evolve(self.TOOL, **changes), spec)

    def test_who_it_is(self) -> None:
        """Inside it is user 1000 without rights; outside the daemon's user, or a stranger where it would be root."""
        root, user = (self.container(attrs.evolve(self.TOOL, root=is_root), SPEC) for is_root in (True, False))
        assert "--uidmap 0:100000:1 --uidmap 1000:0:1 --gidmap 0:100000:1 --gidmap 1000:0:1 --user 1000:1000" in root
        assert "--userns keep-id:uid=1000,gid=1000 --user 1000:1000" in user
        for said in (root, user):
            assert "--cap-drop all --security-opt no-new-privileges" in said
            assert "--network host" in said

    def test_an_image_with_a_system(self) -> None:
        """Nothing of the host's system is shown in an image that brings its own."""
        own = self.container(self.TOOL, SPEC, own_system=True)
        assert "src=/usr,dst=/usr" in self.container(self.TOOL, SPEC)
        assert "src=/usr,dst=/usr" not in own
        assert own.endswith(" ".join(("--rootfs /t", *oci.BECOME, "true")))
