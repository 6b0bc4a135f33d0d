"""What every runtime promises: the values, the errors and the protocol."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import attrs

from harness.wire import check_name
from hyperhive.runtimes.confinement import Egress, EgressPolicy, Limits

OWN_VARIABLES = frozenset(
    f"HYPERHIVE_{what}" for what in ("AGENT", "CONTAINER", "EGRESS", "GENERATION", "SOCKET", "STATE")
)
"""The environment variables that only a runtime sets."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class RuntimeTrouble(Exception):  # noqa: N818 - the house names errors for their cause
    """Base of what a runtime raises."""


class InvalidSpec(RuntimeTrouble):
    """A spec that no container can be made from."""


class NoSuchContainer(RuntimeTrouble):
    """Nothing was created under this name, so there is nothing to start or to read."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no container {container_name(name)}; create it first")


class StillRunning(RuntimeTrouble):
    """A running container is not removed."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{container_name(name)} is running; stop it before it is removed")


class UnknownRuntime(RuntimeTrouble):
    """No runtime has this name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"no runtime is called {name!r}; there are {', '.join(known)}")


class RuntimeUnavailable(RuntimeTrouble):
    """The runtime does not work on this machine; the text ends in what would help."""

    def __init__(self, name: str, probe: Probe) -> None:
        super().__init__(f"the runtime {name} does not work here: {probe.detail} {probe.remedy}".rstrip())
        self.name = name
        self.probe = probe


class RuntimeFailed(RuntimeTrouble):
    """A command line of a runtime failed; carries the argv, the exit status and the end of the output."""

    def __init__(self, argv: Sequence[str], status: int | None, output: str) -> None:
        how = "did not run to an end" if status is None else f"ended with status {status}"
        super().__init__(f"{argv[0]} {how}: {output.strip() or 'it printed nothing'}")
        self.argv = tuple(argv)
        self.status = status
        self.output = output


class RuntimeTimeout(RuntimeTrouble):
    """Something did not come to its end in time; what could be killed was killed."""

    def __init__(self, what: str, *, deadline_seconds: float, output: str = "") -> None:
        said = f"; it said: {output.strip()}" if output.strip() else ""
        super().__init__(f"{what} within {deadline_seconds:g} s{said}")
        self.deadline_seconds = deadline_seconds
        self.output = output


def container_name(name: str) -> str:
    """Return what an agent's container is called, which is a host name too."""
    return f"h-{name}"


@attrs.frozen(kw_only=True)
class Spec:
    """What one agent's container is made of.

    ``state`` and ``socket_dir`` exist and are directories, not links; both stay in place while the container does (the
    socket inside may be replaced). ``log`` keeps stdout and stderr; its directory exists and is not one that the agent
    sees. ``environment`` holds no secrets: other users of the host can read it on a command line. ``readable`` are
    files and directories of the host that this agent's programs need beside the system, such as another `claude`.

    Raises `WireError` (the name), `InvalidSpec`.
    """

    name: str
    state: Path
    socket_dir: Path
    log: Path
    generation: int
    environment: Mapping[str, str] = attrs.field(factory=dict)
    readable: tuple[Path, ...] = ()
    writable: Mapping[str, Path] = attrs.field(factory=dict)
    """Further directories of the host, by the absolute path at which a sandbox shows them."""
    read_only: Mapping[str, Path] = attrs.field(factory=dict)
    """The same, for directories that the agent may read and not write."""
    build: Path | None = None
    """A directory that may hold a Containerfile or a flake, for runtimes that build; no container sees it."""
    limits: Limits = attrs.field(factory=Limits)
    egress: Egress = attrs.field(factory=lambda: Egress(policy=EgressPolicy.HOST))

    def __attrs_post_init__(self) -> None:
        check_name(self.name)
        if self.generation < 0:
            raise InvalidSpec(f"generation {self.generation} of {self.name}; generations count from 0 up")
        for path in (
            self.state,
            self.socket_dir,
            self.log,
            *self.readable,
            *self.writable.values(),
            *self.read_only.values(),
            *map(Path, (*self.writable, *self.read_only)),
        ):
            if not path.is_absolute() or ".." in path.parts or "\0" in str(path):
                raise InvalidSpec(f"{str(path)!r} in the spec of {self.name}; an absolute path without .. is needed")
        for variable, value in self.environment.items():
            _check_variable(variable, value)

    @property
    def container(self) -> str:
        """The container's name."""
        return container_name(self.name)


@attrs.frozen(kw_only=True)
class Container:
    """One container as a runtime observes it.

    ``pid`` is the program's, as the host counts, from its first instruction on; with its end the container ends.
    ``generation`` is what runs, or ran last. ``exit_status`` is as a shell's ``$?`` (128 + signal), where it is known.
    """

    name: str
    running: bool
    generation: int
    pid: int | None = None
    started_at: dt.datetime | None = None
    exit_status: int | None = None


@attrs.frozen(kw_only=True)
class Probe:
    """Whether a runtime works on this machine; if not, why, and what to change."""

    ok: bool
    detail: str
    remedy: str = ""


class Runtime(Protocol):
    """Keeps agents' containers. Every act may be repeated: it observes first, and what is already so is a success.

    Names are checked before anything else (`WireError`). Acts on one name wait for each other; acts on several run side
    by side. Containers outlive the object and the daemon; another object on the same run directory adopts them.
    """

    @property
    def name(self) -> str:
        """What it is called in the configuration."""

    @property
    def isolated(self) -> bool:
        """Whether an agent is kept from the rest of the host, so that it may work without permission prompts."""

    async def probe(self) -> Probe:
        """Try whether it works here, for real."""

    async def build(self, spec: Spec) -> None:
        """Make what the container is made of from the files in ``build``; what runs goes on, and stays what it is.

        A start takes what was built last. Whoever builds nothing has nothing to do. Raises `RuntimeFailed` with the end
        of what the tool said, `RuntimeTimeout`, `RuntimeUnavailable`, `InvalidSpec`.
        """

    async def create(self, spec: Spec) -> None:
        """Note what to run; starts nothing. A second time it replaces the spec, which holds from the next start on.

        Raises `InvalidSpec` where a directory is missing, is a link, or would be seen by agents that it is kept from;
        `OSError` where the run directory cannot be written, as start does.
        """

    async def start(self, name: str) -> None:
        """Let the spec's generation run, and nothing else of that name: an older one is killed first.

        Returns when the program itself runs. Raises `NoSuchContainer`, `RuntimeFailed`, `RuntimeTimeout`,
        `RuntimeUnavailable`.
        """

    async def stop(self, name: str, grace_seconds: float) -> None:
        """Ask the program to end (SIGTERM); after the grace, or once it ended, kill all that is left of its tree.

        Raises `RuntimeTimeout` where something would not die.
        """

    async def remove(self, name: str) -> None:
        """Forget the container; its state and its log stay. Raises `StillRunning`."""

    async def list(self) -> list[Container]:
        """Observe every container, by name; adopts what runs without a record, reaps what is left without a program."""

    async def logs(self, name: str, lines: int) -> tuple[str, ...]:
        """Return the last lines of its output, oldest first. Raises `NoSuchContainer`."""

    async def log_path(self, name: str) -> Path:
        """Return the file that grows, for who wants to follow it; raises `NoSuchContainer`.

        When it is full it becomes ``<log>.1`` and a new one takes its name; follow the name, as `tail -F` does.
        """

    async def command(
        self, spec: Spec, argv: Sequence[str], *, environment: Mapping[str, str] | None = None
    ) -> tuple[str, ...]:
        """Return the argv that runs another program where this agent's programs run, with these variables added.

        It is for a person's terminal, and run by `hyperhive.runtimes.terminal.attach`, which keeps that terminal out of
        its reach.
        """


@runtime_checkable
class Journaled(Protocol):
    """A runtime whose containers have systemd, and so a journal by unit."""

    async def journal(self, name: str, unit: str, lines: int) -> str | None:
        """Return the last lines of a unit's journal, or of all units' where it is empty; None where nothing runs.

        Raises `RuntimeFailed`.
        """


def _check_variable(variable: str, value: str) -> None:
    if not _VARIABLE.fullmatch(variable):
        raise InvalidSpec(f"{variable!r} is not the name of an environment variable; use A-Z, a-z, 0-9 and _")
    if variable in OWN_VARIABLES:
        raise InvalidSpec(
            f"{variable} is the runtime's own; choose another name than {', '.join(sorted(OWN_VARIABLES))}"
        )
    if "\0" in value:
        raise InvalidSpec(f"{variable} has a NUL in its value, which no environment can carry")
