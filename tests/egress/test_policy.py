"""What an agent may reach: by name, and by the address that the name leads to."""

from __future__ import annotations

import socket

import pytest

from hyperhive.egress.policy import BadTarget, Target, allows, is_outside, model_of, target_of
from hyperhive.egress.proxy import addresses
from hyperhive.runtimes.confinement import Egress, EgressPolicy, InvalidConfinement

LISTED = Egress(policy=EgressPolicy.ALLOWLIST, hosts=("docs.example.org", "*.github.com", "example.org:8080"))


@pytest.mark.parametrize(
    ("target", "allowed"),
    [
        ("docs.example.org:443", True),
        ("docs.example.org:80", False),
        ("evil-docs.example.org:443", False),
        ("docs.example.org.evil.com:443", False),
        ("api.github.com:443", True),
        ("github.com:443", False),
        ("evilgithub.com:443", False),
        ("example.org:8080", True),
        ("example.org:443", False),
    ],
)
def test_allow_list(target: str, allowed: bool) -> None:
    """A name is that name alone, a star its subdomains, and a port that port."""
    assert allows(LISTED, target_of(target)) is allowed


def test_policies() -> None:
    """Without a list nothing is allowed; with the host's network everything is."""
    assert not allows(Egress(), target_of("docs.example.org:443"))
    assert allows(Egress(policy=EgressPolicy.HOST), target_of("docs.example.org:443"))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",  # noqa: S104 - the attempt itself
        "224.0.0.1", "255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
        "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:53aa:64c:0:0:80ff:fffe",
    ],
)  # fmt: skip
def test_inside(address: str) -> None:
    """No address of this host, a private network, a cloud's metadata, nor one that embeds such, is outside."""
    assert not is_outside(address)


def test_outside() -> None:
    """The internet is outside."""
    assert is_outside("1.1.1.1")
    assert is_outside("2606:4700:4700::1111")


def test_own_address() -> None:
    """This host's own addresses are not outside, whatever they are."""
    for _, _, _, _, address in socket.getaddrinfo(socket.gethostname(), 80, type=socket.SOCK_STREAM):
        assert not is_outside(str(address[0]))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "docs.example.org",
        "docs.example.org:0",
        "docs.example.org:99999",
        ":443",
        "a b:443",
        "user@docs.example.org:443",
        "docs.example.org:443/x",
        "fe80::1%eth0:443",
        "[fe80::1%eth0]:443",
        "[::1:443",
        "p\ny:443",
        "docs.example.org:443#x",
        "docs.example.org:44\u0663",
        "docs.ex\u0430mple.org:443",
        "docs.example.org\0:443",
        "docs.example.org\0.evil.com:443",
        "docs.example.org%00:443",
        "docs.example.org\\.evil.com:443",
        "docs..example.org:443",
        ".docs.example.org:443",
        "*.github.com:443",
        "-x.example.org:443",
        f"{'a' * 64}.example.org:443",
        f"{'a.' * 130}org:443",
        "x" * 30_000 + ":443",
    ],
    ids=lambda text: ascii(text)[:40],
)
def test_no_target(text: str) -> None:
    """What names no host and port is refused."""
    with pytest.raises(BadTarget):
        target_of(text)


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "017700000001", "127.1", "0", "[::ffff:7f00:1]"])
def test_other_spellings_of_addresses(host: str) -> None:
    """Whatever way an address of this host is written, where it leads is known before anybody connects."""
    target = target_of(f"{host}:443")
    found = addresses(target)
    assert found
    assert not any(is_outside(address) for address in found)
    assert not allows(LISTED, target)


def test_targets_are_one_spelling() -> None:
    """However a host is written, it is compared as one name."""
    assert target_of("Docs.Example.ORG.:443") == Target("docs.example.org", 443)
    assert target_of("[2606:4700::1]:80") == Target("2606:4700::1", 80)


def test_model() -> None:
    """Without a server of the operator's the model is Anthropic's; one that is named may be anywhere."""
    assert not model_of(None).named
    assert Target("api.anthropic.com", 443) in model_of(None).targets
    assert (model_of("http://127.0.0.1:8080/v1").targets, model_of("http://127.0.0.1:8080/v1").named) == (
        (Target("127.0.0.1", 8080),),
        True,
    )
    assert model_of("https://models.example").targets == (Target("models.example", 443),)


@pytest.mark.parametrize("host", ["", "https://x", "x:0", "x:70000", "X", "a..b", "*", "*.", "a b", "x/y"])
def test_bad_entries(host: str) -> None:
    """An allow-list holds names that could be reached."""
    with pytest.raises(InvalidConfinement):
        Egress(policy=EgressPolicy.ALLOWLIST, hosts=(host,))
