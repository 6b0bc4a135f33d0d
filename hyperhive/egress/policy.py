"""Whether a connection may be made: by its name before that is resolved, by its address after."""

from __future__ import annotations

import functools
import ipaddress
import re
import socket
from urllib.parse import urlsplit

import attrs

from hyperhive.runtimes.confinement import Egress, EgressPolicy

HTTPS = 443
ANTHROPIC = ("api.anthropic.com", "platform.claude.com")
"""What `claude` needs where no other server is configured: the Messages API; logging in, and keeping a login fresh."""

_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*")
_MAX_NAME = 253
"""RFC 1035, as text: what is longer is in no resolver, and should be in no fact."""
_EMBEDDING = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
"""IPv6 that a gateway turns into IPv4 (RFC 6052, RFC 8215), whatever stands in its last four bytes."""


class BadTarget(ValueError):  # noqa: N818 - the house names errors for their cause
    """No host and port that one could connect to."""


@attrs.frozen
class Target:
    """Where a connection is to go; the host is a name in lower case, or an address."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@attrs.frozen(kw_only=True)
class Model:
    """The model's API; only where the operator named the server may it be an address of this host or its network."""

    targets: tuple[Target, ...]
    named: bool


def target_of(text: str, default_port: int | None = None) -> Target:
    """Read ``host:port`` or ``[address]:port``; raises `BadTarget`."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = (parts.hostname or "").rstrip("."), parts.port or default_port
    except ValueError:
        raise BadTarget(f"{text[:100]!r} is no host and port") from None
    rest = parts.path or parts.query or parts.fragment or "@" in text or not text.isprintable()
    named = len(host) <= _MAX_NAME and _NAME.fullmatch(host)
    if port is None or rest or not (named or _is_address(host)):
        raise BadTarget(f"{text[:100]!r} is no host and port")
    return Target(host, port)


@functools.lru_cache(maxsize=8)
def model_of(base_url: str | None) -> Model:
    """Return where the model is, by the configured address of its API."""
    if base_url is None:
        return Model(targets=tuple(Target(host, HTTPS) for host in ANTHROPIC), named=False)
    parts = urlsplit(base_url)
    # As a client would write it: an international name in its ASCII form.
    netloc = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode()
    return Model(targets=(target_of(netloc, HTTPS if parts.scheme == "https" else 80),), named=True)


def allows(egress: Egress, target: Target) -> bool:
    """Whether a policy lets an agent ask for this host and port."""
    match egress.policy:
        case EgressPolicy.NONE:
            return False
        case EgressPolicy.ALLOWLIST:
            return any(_matches(pattern, target) for pattern in egress.hosts)
        case EgressPolicy.HOST:
            return True


def is_outside(address: str) -> bool:
    """Whether an address is the internet's: none of this host, of its networks, or of a cloud's metadata."""
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return is_outside(str(found.ipv4_mapped))
        if found.sixtofour is not None or found.teredo is not None or any(found in each for each in _EMBEDDING):
            return False
    return found.is_global and not found.is_multicast and not found.is_reserved and not _is_ours(address)


def _matches(pattern: str, target: Target) -> bool:
    name, _, port = pattern.partition(":")
    if target.port != int(port or HTTPS):
        return False
    return target.host.endswith(name[1:]) if name.startswith("*.") else target.host == name


def _is_address(host: str) -> bool:
    try:
        return not getattr(ipaddress.ip_address(host), "scope_id", None)
    except ValueError:
        return False


def _is_ours(address: str) -> bool:
    """Whether it is one of this host's own; the kernel would send to those from themselves. Nothing is sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, HTTPS))
        except OSError:  # no way there
            return False
        return str(probe.getsockname()[0]) == address
