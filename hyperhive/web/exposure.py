"""Who can reach the site: this host alone, or others by TLS, or others through a proxy that somebody vouches for."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from urllib.parse import urlsplit

import attrs

from hyperhive.config import Config
from hyperhive.config.sections import WebConfig

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Exposed(Exception):  # noqa: N818 - named for what would happen
    """The hive would be open to a network in clear text, or under a name that nobody said."""


@attrs.frozen(kw_only=True)
class Exposure:
    """How the site is reached."""

    names: frozenset[str]
    """What this host is called, in addresses of agents' own ports as of the site's."""
    origins: frozenset[str]
    """Where the site is; behind a proxy also as people there see it."""
    url: str
    """What people open."""
    tls: ssl.SSLContext | None

    @property
    def scheme(self) -> str:
        """Of the agents' own ports, which no proxy serves."""
        return "http" if self.tls is None else "https"


def check(config: Config) -> None:
    """Refuse an address that others can reach in clear text, before anything is bound. Raises `Exposed`."""
    host, _port = config.listen_address
    web = config.web
    if (web.tls_cert is None) != (web.tls_key is None):
        missing, given = ("web.tls_key", "web.tls_cert") if web.tls_key is None else ("web.tls_cert", "web.tls_key")
        raise Exposed(f"{given} is set and {missing} is not; TLS needs both")
    if web.behind_proxy and web.url is None:
        raise Exposed("--behind-proxy needs web.url, the address that people open, such as https://hive.example.org")
    if is_loopback(host) or web.behind_proxy or web.tls_cert is not None:
        if _is_any(host) and web.url is None:
            raise Exposed(
                f"--listen {host} is every address of this host; say in web.url which one people open, "
                "such as https://hive.example.org:7000: requests for any other are refused"
            )
        return
    raise Exposed(
        f"--listen {host} can be reached from other machines, and keys and messages would cross the network in clear "
        "text: set web.tls_cert and web.tls_key, or, where a proxy on this host does TLS, --behind-proxy and web.url; "
        "127.0.0.1 needs neither (ssh -L 7000:127.0.0.1:7000 reaches it from elsewhere)"
    )


def exposure(config: Config, address: str, port: int) -> Exposure:
    """Say how a site that is bound here is reached. Raises `Exposed` for a certificate that cannot be used."""
    web = config.web
    host = f"[{address}]" if ":" in address else address
    tls = _tls(web)
    scheme = "http" if tls is None else "https"
    asked, _ = config.listen_address
    names = {host} if not _is_any(address) else set()
    if is_loopback(asked):
        names |= _LOOPBACK_NAMES
    elif not _is_any(asked) and ":" not in asked:
        names.add(asked)
    origins = {f"{scheme}://{name}:{port}" for name in names}
    if web.url is not None:
        origins.add(web.url)
        public = urlsplit(web.url).hostname
        if not web.behind_proxy and public is not None:
            names.add(f"[{public}]" if ":" in public else public)
    url = f"{scheme}://{host}:{port}/" if web.url is None else f"{web.url.rstrip('/')}/"
    return Exposure(names=frozenset(names), origins=frozenset(origins), url=url, tls=tls)


def is_loopback(host: str) -> bool:
    """Whether an address, or all that a name stands for, leads to this host alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return all(ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback for *_, address in found)


def _is_any(host: str) -> bool:
    return host in {"0.0.0.0", "::"}  # noqa: S104 - looked for, not bound


def _tls(web: WebConfig) -> ssl.SSLContext | None:
    if web.tls_cert is None or web.tls_key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(web.tls_cert, web.tls_key)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise Exposed(f"web.tls_cert {web.tls_cert} and web.tls_key {web.tls_key} cannot be used: {reason}") from None
    return context
