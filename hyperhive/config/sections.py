"""The configuration as the daemon reads it: frozen sections, each key with its default and its rule."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs

from hyperhive.config import rules
from hyperhive.config.rules import Rule
from hyperhive.runtimes.confinement import Egress, EgressPolicy, Limits, check_host

DAY_SECONDS = 86_400


def key(rule: Rule, about: str) -> Mapping[str, Any]:
    """Declare one key: what it accepts, what it is for."""
    return {"rule": rule, "about": about}


@attrs.frozen(kw_only=True)
class ClaudeConfig:
    """How sessions are run."""

    model: str | None = attrs.field(
        default=None, metadata=key(rules.text(), "model of a session that chose none; unset: Claude's own default")
    )
    base_url: str | None = attrs.field(
        default=None, metadata=key(rules.url(), "any server that speaks the Messages API; unset: Anthropic's")
    )
    credentials_file: Path | None = attrs.field(
        default=None,
        metadata=key(
            rules.path(), "0600 file with an API key or a long-lived token for the whole hive; unset: login per agent"
        ),
    )
    idle_seconds: float = attrs.field(
        default=600.0, metadata=key(rules.number(1, DAY_SECONDS), "a session that had no mail this long is released")
    )
    path: Path | None = attrs.field(
        default=None, metadata=key(rules.path(), "a claude program other than the bundled one")
    )
    permission_mode: str = attrs.field(
        default="default",
        metadata=key(
            rules.choice("default", "acceptEdits", "plan", "dontAsk", "bypassPermissions"),
            "only for runtime process; in a sandbox sessions run without prompts",
        ),
    )


@attrs.frozen(kw_only=True)
class LimitsConfig:
    """What one client or one agent may take."""

    connections_per_socket: int = attrs.field(
        default=64, metadata=key(rules.whole(1, 4096), "connections open at once on one unix socket")
    )
    parallel_actions: int = attrs.field(
        default=4, metadata=key(rules.whole(1, 64), "agents that are started, stopped or rebuilt at once")
    )
    action_seconds: float = attrs.field(
        default=120.0, metadata=key(rules.number(1, 3600), "one such action; what takes longer is killed")
    )
    stop_grace_seconds: float = attrs.field(
        default=10.0, metadata=key(rules.number(0, 600), "between the request to stop and the kill")
    )


@attrs.frozen(kw_only=True)
class RetentionConfig:
    """What is forgotten, and when."""

    delivered_days: int = attrs.field(
        default=30, metadata=key(rules.whole(1, 36_500), "delivered messages; undelivered ones stay")
    )
    stream_days: int = attrs.field(default=7, metadata=key(rules.whole(1, 36_500), "an agent's turn stream"))
    stream_events: int = attrs.field(
        default=2000, metadata=key(rules.whole(1, 1_000_000), "the newest of a turn stream that are kept")
    )


@attrs.frozen(kw_only=True)
class CrashWatchConfig:
    """How containers are watched."""

    interval_seconds: float = attrs.field(
        default=10.0, metadata=key(rules.number(0.1, 3600), "between two looks at what runs")
    )


@attrs.frozen(kw_only=True)
class PortsConfig:
    """The range of agents' web ports; its bounds keep the last one below 65536."""

    base: int = attrs.field(default=8100, metadata=key(rules.whole(1024, 60_000), "the first web port of an agent"))
    count: int = attrs.field(default=900, metadata=key(rules.whole(1, 5_000), "how many there are"))


@attrs.frozen(kw_only=True)
class WebConfig:
    """Who can reach the dashboard, and how."""

    url: str | None = attrs.field(
        default=None,
        metadata=key(rules.origin(), "the address that people open; needed behind a proxy and on 0.0.0.0"),
    )
    tls_cert: Path | None = attrs.field(
        default=None, metadata=key(rules.path(), "certificate (PEM, with its chain); unset: no TLS")
    )
    tls_key: Path | None = attrs.field(default=None, metadata=key(rules.path(), "its private key (PEM)"))
    behind_proxy: bool = attrs.field(
        default=False, metadata=key(rules.flag(), "whether a proxy on this host does TLS; needs web.url")
    )
    connections: int = attrs.field(
        default=1024,
        metadata=key(rules.whole(16, 65_536), "HTTP connections open at once; who has no key makes room first"),
    )


@attrs.frozen(kw_only=True)
class NspawnConfig:
    """What machines are made of."""

    image: Path | None = attrs.field(
        default=None,
        metadata=key(
            rules.path(),
            "root directory or tarball of a system with systemd for runtime nspawn; unset: the host's own /usr",
        ),
    )


@attrs.frozen(kw_only=True)
class NixosConfig:
    """What NixOS containers are made of."""

    flake: str = attrs.field(
        default="flake:hyperhive",
        metadata=key(
            rules.text(), "flake reference of hyperhive, which agents' systems build on; the NixOS module names its own"
        ),
    )


@attrs.frozen(kw_only=True)
class LogConfig:
    """The daemon's diagnostics on stderr."""

    level: str = attrs.field(
        default="info", metadata=key(rules.choice("debug", "info", "warning", "error"), "the least that is written")
    )
    format: str = attrs.field(
        default="auto", metadata=key(rules.choice("auto", "text", "json"), "auto: text on a terminal, JSON otherwise")
    )


@attrs.frozen(kw_only=True)
class ContainerConfig:
    """What each agent's container may use of the host, where its own configuration does not say."""

    memory_mb: int | None = attrs.field(
        default=4096, metadata=key(rules.whole(64, 16_777_216), "memory of all processes of one agent, in MiB")
    )
    cpu_percent: int | None = attrs.field(
        default=None, metadata=key(rules.whole(1, 102_400), "of one core: 150 is one and a half; unset: no limit")
    )
    tasks: int | None = attrs.field(
        default=1024, metadata=key(rules.whole(16, 4_194_304), "processes and threads of one agent")
    )

    @property
    def limits(self) -> Limits:
        """The same, as a runtime takes it."""
        memory_bytes = None if self.memory_mb is None else self.memory_mb << 20
        return Limits(memory_bytes=memory_bytes, cpu_percent=self.cpu_percent, tasks=self.tasks)


@attrs.frozen(kw_only=True)
class EgressConfig:
    """Where agents' connections may go, where their own configuration does not say."""

    default: str = attrs.field(
        default=EgressPolicy.NONE.value,
        metadata=key(
            rules.choice(*(policy.value for policy in EgressPolicy)),
            "none: to the model's API alone; allowlist: to the hosts below, too; host: wherever this host may go",
        ),
    )
    hosts: tuple[str, ...] = attrs.field(
        default=(),
        metadata=key(
            rules.words(check_host, "a list of hosts: name, *.name or name:port (443 without)"),
            "with default = allowlist",
        ),
    )

    @property
    def policy(self) -> Egress:
        """The same, as a runtime takes it; the hosts of a list that is not in force say nothing."""
        policy = EgressPolicy(self.default)
        return Egress(policy=policy, hosts=self.hosts if policy is EgressPolicy.ALLOWLIST else ())


@attrs.frozen(kw_only=True)
class Config:
    """All that an operator may set, and where each value came from (``origins``, by dotted key)."""

    listen: str = attrs.field(
        default="127.0.0.1:7000", metadata=key(rules.address(), "where HTTP is served; port 0 lets the system choose")
    )
    runtime: str = attrs.field(
        default="auto",
        metadata=key(
            rules.choice("auto", "bubblewrap", "podman", "nspawn", "nixos", "process"),
            "where agents live; auto: the strongest that works here, never process",
        ),
    )
    manager: bool = attrs.field(
        default=True, metadata=key(rules.flag(), "whether the hive has its manager from the first start")
    )
    questions: bool = attrs.field(
        default=False, metadata=key(rules.flag(), "whether agents may ask the operator; the manager always may")
    )
    claude: ClaudeConfig = ClaudeConfig()
    limits: LimitsConfig = LimitsConfig()
    container: ContainerConfig = ContainerConfig()
    egress: EgressConfig = EgressConfig()
    retention: RetentionConfig = RetentionConfig()
    crash_watch: CrashWatchConfig = CrashWatchConfig()
    ports: PortsConfig = PortsConfig()
    nspawn: NspawnConfig = NspawnConfig()
    nixos: NixosConfig = NixosConfig()
    web: WebConfig = WebConfig()
    log: LogConfig = LogConfig()
    origins: Mapping[str, str] = attrs.field(default=MappingProxyType({}), eq=False, repr=False)

    @property
    def listen_address(self) -> tuple[str, int]:
        """Host and port of ``listen``."""
        return rules.split_address(self.listen)

    def origin(self, name: str) -> str:
        """Say where a value came from: ``default``, a file, ``environment …``, a flag."""
        return self.origins.get(name, "default")

    def value(self, name: str) -> Any:
        """Read one value by its dotted key, such as ``claude.model``."""
        found: Any = self
        for part in name.split("."):
            found = getattr(found, part)
        return found


SECTIONS: Mapping[str, type[Any]] = MappingProxyType(
    {
        "claude": ClaudeConfig,
        "limits": LimitsConfig,
        "container": ContainerConfig,
        "egress": EgressConfig,
        "retention": RetentionConfig,
        "crash_watch": CrashWatchConfig,
        "ports": PortsConfig,
        "nspawn": NspawnConfig,
        "nixos": NixosConfig,
        "web": WebConfig,
        "log": LogConfig,
    }
)


def _keys() -> dict[str, attrs.Attribute[Any]]:
    keys = {field.name: field for field in attrs.fields(Config) if "rule" in field.metadata}
    for section, cls in SECTIONS.items():
        keys |= {f"{section}.{field.name}": field for field in attrs.fields(cls)}
    return keys


KEYS: Mapping[str, attrs.Attribute[Any]] = MappingProxyType(_keys())
"""Every key, dotted, in the order of the file."""


def variable(name: str) -> str:
    """Name the environment variable of a key: ``claude.model`` is ``HYPERHIVE_CLAUDE_MODEL``."""
    return "HYPERHIVE_" + name.replace(".", "_").upper()
