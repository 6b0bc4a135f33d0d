"""How much of the host an agent may use: resources, and the network."""

from __future__ import annotations

import enum
import re

import attrs


class InvalidConfinement(ValueError):  # noqa: N818 - the house names errors for their cause
    """A limit or a network policy that says nothing that could be kept."""


@attrs.frozen(kw_only=True)
class Limits:
    """The most that all processes of one agent use together; None is no limit but the host's."""

    memory_bytes: int | None = None
    cpu_percent: int | None = None
    """Of one core: 150 is one and a half cores."""
    tasks: int | None = None
    """Processes and threads."""

    def __attrs_post_init__(self) -> None:
        for name, least in (("memory_bytes", 64 << 20), ("cpu_percent", 1), ("tasks", 16)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise InvalidConfinement(f"{name} = {value} is too little to run a harness in; at least {least}")

    def over(self, other: Limits) -> Limits:
        """Return these limits, and the other's where these say nothing."""
        return Limits(
            **{
                field.name: getattr(other if getattr(self, field.name) is None else self, field.name)
                for field in attrs.fields(Limits)
            }
        )

    @property
    def any(self) -> bool:
        """Whether anything is limited."""
        return self != Limits()


class EgressPolicy(enum.Enum):
    """Where an agent's connections may go."""

    NONE = "none"
    """To the model's API, and nowhere else."""
    ALLOWLIST = "allowlist"
    """To the model's API and the named hosts."""
    HOST = "host"
    """Wherever the host may go, this host's own loopback included; nothing is kept from the agent."""


HOST_AND_PORT = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*(:[0-9]{1,5})?")


def check_host(host: str) -> str:
    """Return an entry of an allow-list, or raise `InvalidConfinement`."""
    if not HOST_AND_PORT.fullmatch(host) or (":" in host and not 1 <= int(host.rsplit(":", 1)[1]) <= 65_535):
        raise InvalidConfinement(f"{host!r} is not a host; write name, *.name or name:port, in lower case")
    return host


@attrs.frozen(kw_only=True)
class Egress:
    """The network policy of one agent; ``hosts`` are ``name``, ``*.name`` or ``name:port`` (without a port: 443)."""

    policy: EgressPolicy = EgressPolicy.NONE
    hosts: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        if self.hosts and self.policy is not EgressPolicy.ALLOWLIST:
            raise InvalidConfinement(f"hosts are allowed with egress = 'allowlist', not with {self.policy.value!r}")
        for host in self.hosts:
            check_host(host)
