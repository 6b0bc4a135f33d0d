"""Facts in an agent's life: intents and their outcomes, and what was found outside.

Streams ``agent-<name>``. Each verb has three facts, an intent and its two outcomes; an intent without its outcome *is*
the transient that people see.
"""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class AgentFact:
    """A fact in the stream of one agent's lifecycle."""

    agent: str

    @property
    def stream(self) -> str:
        """The agent's lifecycle stream."""
        return f"agent-{self.agent}"


@attrs.frozen(kw_only=True)
class Started(AgentFact):
    """An outcome after which a container runs; each has a generation of its own, counted from 1."""

    generation: int


@attrs.frozen(kw_only=True)
class Failed(AgentFact):
    """An outcome that is a failure; ``error`` has the reason with the tail of the tool's output."""

    error: str
    running: bool = False
    """Whether the container runs all the same, as it was observed after the failure."""
    generation: int | None = None
    """Which generation runs, where one was seen: the former one, or one that the failed action had begun."""


@attrs.frozen(kw_only=True)
class SpawnRequested(AgentFact):
    """A new container was asked for, or one for a kept state directory."""


@attrs.frozen(kw_only=True)
class SpawnSucceeded(Started):
    """The container was made and runs."""


@attrs.frozen(kw_only=True)
class SpawnFailed(Failed):
    """No container was made."""


@attrs.frozen(kw_only=True)
class StartRequested(AgentFact):
    """A stopped container is to run."""


@attrs.frozen(kw_only=True)
class StartSucceeded(Started):
    """The container runs."""


@attrs.frozen(kw_only=True)
class StartFailed(Failed):
    """The container could not be started."""


@attrs.frozen(kw_only=True)
class KillRequested(AgentFact):
    """A container is to stop; gracefully first, unless someone was in a hurry."""

    graceful: bool = True


@attrs.frozen(kw_only=True)
class KillSucceeded(AgentFact):
    """The container is stopped."""


@attrs.frozen(kw_only=True)
class KillFailed(Failed):
    """The container could not be stopped."""


@attrs.frozen(kw_only=True)
class RestartRequested(AgentFact):
    """A container is to stop and run again; pending until an outcome follows."""


@attrs.frozen(kw_only=True)
class RestartSucceeded(Started):
    """The container runs again."""


@attrs.frozen(kw_only=True)
class RestartFailed(Failed):
    """The container could not be restarted."""


@attrs.frozen(kw_only=True)
class RebuildRequested(AgentFact):
    """A container is to be made anew from what is applied now."""


@attrs.frozen(kw_only=True)
class RebuildSucceeded(Started):
    """The container was made anew and runs."""


@attrs.frozen(kw_only=True)
class RebuildFailed(Failed):
    """The container could not be made anew."""


@attrs.frozen(kw_only=True)
class DestroyRequested(AgentFact):
    """A container is to go; with ``purge`` its state, too."""

    purge: bool = False


@attrs.frozen(kw_only=True)
class DestroySucceeded(AgentFact):
    """The container is gone; with ``purge`` its state, too."""

    purge: bool = False


@attrs.frozen(kw_only=True)
class DestroyFailed(Failed):
    """The container could not be destroyed."""


@attrs.frozen(kw_only=True)
class ContainerCrashed(AgentFact):
    """A running container stopped and nobody had asked for it."""

    generation: int
    exit_status: int | None = None
    """As waitpid gives it (negative: the signal), where it is known."""


@attrs.frozen(kw_only=True)
class AgentQuarantined(AgentFact):
    """It crashed so often in so short a time that only the operator lets it start again."""

    crashes: int
    within_seconds: int


@attrs.frozen(kw_only=True)
class QuarantineLifted(AgentFact):
    """The operator lets it start again; its crashes so far count no more."""


@attrs.frozen(kw_only=True)
class AgentPaused(AgentFact):
    """Its turn loop is parked after the running turn; mail queues."""


@attrs.frozen(kw_only=True)
class AgentResumed(AgentFact):
    """Its turn loop goes on."""


@attrs.frozen(kw_only=True)
class AgentMoved(AgentFact):
    """Its container is to be made in another runtime from now on; its state stays."""

    runtime: str


@attrs.frozen(kw_only=True)
class ContainerLost(AgentFact):
    """A daemon that started found no container where the log says that one runs (a reboot, for one)."""

    generation: int


@attrs.frozen(kw_only=True)
class ContainerReaped(AgentFact):
    """A running container that the log does not know to run was stopped."""

    reason: str
