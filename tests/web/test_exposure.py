"""Who can reach the site: nobody else by default, and others only by a way that somebody chose."""

from __future__ import annotations

import datetime as dt
import http.client
import ipaddress
import json
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hyperhive.config import Config, ConfigError, from_flags, load
from hyperhive.web.exposure import Exposed, check, exposure, is_loopback
from tests.served import place
from tests.web.browser import token_of


def configured(**flags: str) -> Config:
    """Return a configuration; two underscores stand for a dot."""
    named = {name.replace("__", "."): (text, f"--set {name}") for name, text in flags.items()}
    return load(from_flags(named, Path("/")))


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "127.8.9.1"])
def test_loopback(host: str) -> None:
    """What only this host can reach needs nothing."""
    check(configured(listen=f"{host}:7000"))
    assert is_loopback(host.strip("[]"))


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.0.2.1", "[2001:db8::1]"])  # noqa: S104 - refused
def test_clear_text(host: str) -> None:
    """What others can reach in clear text is refused, with what would be right."""
    with pytest.raises(
        Exposed, match=r"clear text: set web.tls_cert and web.tls_key, or, .* --behind-proxy and web.url"
    ):
        check(configured(listen=f"{host}:7000"))


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ({"listen": "192.0.2.1:7000", "web__behind_proxy": "true"}, "--behind-proxy needs web.url"),
        ({"listen": "192.0.2.1:7000", "web__tls_cert": "/c.pem"}, "web.tls_cert is set and web.tls_key is not"),
        ({"web__tls_key": "/k.pem"}, "web.tls_key is set and web.tls_cert is not"),
        ({"listen": "0.0.0.0:7000", "web__tls_cert": "/c", "web__tls_key": "/k"}, "say in web.url which one"),
    ],
)
def test_half(flags: dict[str, str], told: str) -> None:
    """Half of a way is none."""
    with pytest.raises(Exposed, match=told):
        check(configured(**flags))


def test_where_it_is() -> None:
    """The names that the site answers to are those that it has, with its port; behind a proxy also the proxy's."""
    here = exposure(configured(listen="127.0.0.1:0"), "127.0.0.1", 7777)
    assert here.origins == {f"http://{name}:7777" for name in ("127.0.0.1", "localhost", "[::1]")}
    proxied = configured(web__behind_proxy="true", web__url="https://Hive.example.org/")
    behind = exposure(proxied, "127.0.0.1", 7000)
    assert behind.origins == here_with(7000) | {"https://hive.example.org"}
    assert (behind.url, "hive.example.org" in behind.names) == ("https://hive.example.org/", False)
    sixth = exposure(configured(listen="[::1]:0"), "::1", 7777)
    assert (sixth.url, "http://[::1]:7777" in sixth.origins) == ("http://[::1]:7777/", True)


def here_with(port: int) -> set[str]:
    """Return the origins of a site on loopback."""
    return {f"http://{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")}


@pytest.mark.parametrize(
    "url", ["hive.example.org", "https://hive.example.org/path", "ftp://x", "https://a:b@c", "https://x?y"]
)
def test_no_address(url: str) -> None:
    """What is no origin is refused with one that is."""
    with pytest.raises(ConfigError, match=r"web.url|web__url"):
        configured(web__url=url)


def certificate(directory: Path) -> tuple[Path, Path]:
    """Write a certificate for 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hive")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert, private = directory / "cert.pem", directory / "key.pem"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert, private


def test_tls(tmp_path: Path) -> None:
    """With a certificate the daemon speaks TLS and nothing else, on every address if it is told by which name."""
    cert, key = certificate(tmp_path)
    with place() as served:
        tls = ("--set", f"web.tls_cert={cert}", "--set", f"web.tls_key={key}", "--set", "web.url=https://127.0.0.1:1")
        served.serve("--listen", "0.0.0.0:0", *tls)
        port = listening(served.said())
        trusted = ssl.create_default_context(cafile=cert)
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=trusted, timeout=30)
        headers = {"Host": "127.0.0.1:1", "Authorization": f"Bearer {token_of(served)}"}
        connection.request("GET", "/api/me", headers={**headers, "Origin": "https://127.0.0.1:1"})
        assert connection.getresponse().read() == b'{"ok":true,"name":"operator","role":"operator"}'
        connection.request("GET", "/api/me", headers={**headers, "Origin": "http://127.0.0.1:1"})
        answer = connection.getresponse()
        assert (answer.status, b"may not ask here" in answer.read()) == (403, True)
        plain = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        plain.request("GET", "/healthz", headers=headers)
        with pytest.raises((http.client.BadStatusLine, ConnectionError)):
            plain.getresponse()


def listening(said: str) -> int:
    """Return the port that the daemon says it listens on."""
    line = next(line for line in said.splitlines() if '"serving"' in line)
    return int(json.loads(line)["listening"].rpartition(":")[2])


def test_refused_before_anything_is_open() -> None:
    """A daemon that would be open to the network does not start: one line, one exit code, no socket."""
    with place() as served:
        ended = served.refused("--listen", "0.0.0.0:0")
        assert (ended.code, ended.said.count("\n"), "clear text" in ended.said) == (1, 1, True)
        assert not (served.run / "host.sock").exists()
        wrong = served.home / "no.pem"
        wrong.write_text("none")
        tls = ("--set", f"web.tls_cert={wrong}", "--set", f"web.tls_key={wrong}")
        ended = served.refused(*tls)
        assert (ended.code, f"{wrong} cannot be used" in ended.said or "cannot be used" in ended.said) == (1, True)
