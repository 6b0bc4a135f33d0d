"""Facts about agents' own configurations. Streams ``configuration-<agent>``."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class McpServer:
    """A tool server that an agent's sessions start inside its container; ``{config}`` and ``{state}`` are places."""

    name: str
    command: str
    args: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()


@attrs.frozen(kw_only=True)
class AgentSettings:
    """What `agent.toml` says; None is what the hive's own configuration says."""

    model: str | None = None
    prompt: str = ""
    """Appended to the page of its role."""
    questions: bool | None = None
    """Whether it may ask the operator."""
    recipients: tuple[str, ...] | None = None
    """Whom it may write to; None is everybody."""
    environment: tuple[tuple[str, str], ...] = ()
    mcp: tuple[McpServer, ...] = ()
    memory_mb: int | None = None
    cpu_percent: int | None = None
    """Of one core."""
    tasks: int | None = None
    turn_seconds: int | None = None
    """A turn that takes longer is ended."""
    usd_per_day: float | None = None
    """What its turns may cost in one day (UTC); afterwards its mail waits for the next."""
    egress: str | None = None
    hosts: tuple[str, ...] = ()
    """Where its connections may go besides the model's API."""


@attrs.frozen(kw_only=True)
class ConfigurationFact:
    """A fact in the stream of one agent's configuration."""

    agent: str

    @property
    def stream(self) -> str:
        """The configuration's stream."""
        return f"configuration-{self.agent}"


@attrs.frozen(kw_only=True)
class ConfigurationApplied(ConfigurationFact):
    """An approved commit is what the agent's next container is made from."""

    approval: int
    commit: str
    base: str | None
    """What was applied before."""
    settings: AgentSettings
    builds: bool
    """Whether a container is made from it at once; else the next start does."""


@attrs.frozen(kw_only=True)
class ConfigurationReverted(ConfigurationFact):
    """The container could not be made from ``failed``; ``commit``, the former configuration, stands again."""

    approval: int
    commit: str
    failed: str
    settings: AgentSettings
