"""Secrets in texts: what looks like one goes, and what the host knows to be one."""

from __future__ import annotations

import time

import pytest

from hyperhive.events.secrets import HIDDEN, Scrubber

KNOWN = "correct-horse-battery"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("key sk-ant-api03-" + "Ab3_-" * 10 + " used", f"key {HIDDEN} used"),
        ("git clone https://ghp_" + "a1B2" * 9 + "@github.com", f"git clone https://{HIDDEN}@github.com"),
        ("AKIAIOSFODNN7EXAMPLE", HIDDEN),
        ("Authorization: Bearer abc123def456ghi789", f"Authorization: Bearer {HIDDEN}"),
        ("export API_KEY='0123456789abcdef'", f"export API_KEY='{HIDDEN}'"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", HIDDEN),
        (f"it says {KNOWN}!", f"it says {HIDDEN}!"),
        ("the token is spent, and the password forgotten", "the token is spent, and the password forgotten"),
        ("grüße 🐝", "grüße 🐝"),
    ],
)
def test_text(text: str, left: str) -> None:
    """Keys of the usual services, named secrets, private keys and known ones go; prose stays."""
    assert Scrubber([KNOWN]).text(text) == left


def test_value() -> None:
    """In JSON the shape stays; a field that is called a secret has none, and numbers are none."""
    value = {"auth": [f"x {KNOWN}", 7, None], "api_key": "abcdefgh", "input_tokens": 12, KNOWN: True}
    expected = {"auth": [f"x {HIDDEN}", 7, None], "api_key": HIDDEN, "input_tokens": 12, HIDDEN: True}
    assert Scrubber([KNOWN]).value(value) == expected


def test_short_words_are_no_secrets() -> None:
    """What would be found in any text is not looked for."""
    assert Scrubber(["a", "the"]).text("the bee") == "the bee"


@pytest.mark.parametrize("text", ["token" * 50_000, "token: " + "-" * 300_000, "eyJ" * 100_000, "sk-" * 100_000])
def test_hostile_text(text: str) -> None:
    """A text made to be slow is as quick as its length: each is looked through within its share of CPU time."""
    begin = time.process_time()
    Scrubber([KNOWN]).text(text)
    assert time.process_time() - begin < 20  # quadratic, each would take minutes
