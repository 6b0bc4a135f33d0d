"""The runtime without isolation: the harness as a plain process of the daemon's user."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from hyperhive.runtimes import host
from hyperhive.runtimes.confinement import Egress, EgressPolicy
from hyperhive.runtimes.keeper import SHELL, Launch
from hyperhive.runtimes.local import Local
from hyperhive.runtimes.protocol import Probe, Spec


class Process(Local):
    """Runs agents with all rights of the daemon's user: each can read and change what that user can.

    Only the environment is kept clean. For machines where nothing else works, and for agents that are trusted.
    """

    name = "process"
    isolated = False

    def __init__(self, *, run_dir: Path, hive: str, program: Sequence[str] | None = None) -> None:
        super().__init__(run_dir=run_dir, hive=hive)
        self._python = host.python()
        self._harness = tuple(program) if program else host.harness_argv()

    async def probe(self) -> Probe:
        """Say what it lacks; it works wherever Python does."""
        return Probe(ok=True, detail="Agents run as plain processes: nothing keeps them from this user's files.")

    async def command(
        self, spec: Spec, argv: Sequence[str], *, environment: Mapping[str, str] | None = None
    ) -> tuple[str, ...]:
        """Return the argv in the state directory, with the agent's environment."""
        variables = {**process_environment(spec, self._python), **(environment or {})}
        return command_argv(spec, argv, variables)

    async def _launch(self, spec: Spec) -> Launch:
        return Launch(argv=self._harness, environment=process_environment(spec, self._python), cwd=spec.state)

    def _program(self, keeper_pid: int) -> int | None:
        return host.started_child(keeper_pid)

    def _believed(self, pid: int) -> bool:  # noqa: ARG002 - nothing here can be told from an agent's own
        return True


def process_environment(spec: Spec, python: host.Python) -> dict[str, str]:
    """Return the whole environment of an agent's program; nothing is inherited."""
    # Nothing keeps it from the network, so there is no other way out to point it to.
    free = attrs.evolve(spec, egress=Egress(policy=EgressPolicy.HOST))
    return {
        **host.environment(
            free,
            user=_user(),
            state=spec.state,
            socket=spec.socket_dir / host.SOCKET_NAME,
            python=python,
        ),
        **spec.environment,
    }


def command_argv(spec: Spec, argv: Sequence[str], environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the argv for another program, in the state directory and with this environment alone."""
    variables = (f"{name}={value}" for name, value in environment.items())
    return ("/usr/bin/env", "-i", *variables, SHELL, "-c", 'cd "$0" && exec "$@"', str(spec.state), *argv)


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a number without a name, as in many containers
        return str(os.geteuid())
