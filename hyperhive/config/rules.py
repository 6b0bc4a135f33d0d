"""What a configuration value may be: one rule a key, which says in words what would be right."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import attrs

_SHOWN_CHARACTERS = 60
_SECRET = re.compile(r"sk-ant-", re.IGNORECASE)
_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(\.(?!-)[A-Za-z0-9-]{1,63})*\.?")


class ConfigError(Exception):
    """A configuration that cannot be used; the text names the key, its source and what would be right."""

    code: ClassVar[str] = "invalid"


class Refused(Exception):  # noqa: N818 - the loader turns it into a ConfigError with key and source
    """A value does not keep its rule; the text, if any, says more than the rule does."""


@attrs.frozen(kw_only=True)
class Rule:
    """What one key accepts.

    ``accept`` takes a TOML value and the directory that relative paths start from, and raises `Refused`. ``from_text``
    makes of an environment variable or a flag what TOML would have given.
    """

    right: str
    accept: Callable[[object, Path], object]
    from_text: Callable[[str], object] = str


def whole(low: int, high: int) -> Rule:
    """Accept a whole number within both bounds."""

    def accept(value: object, _base: Path) -> int:
        if type(value) is not int or not low <= value <= high:
            raise Refused
        return value

    return Rule(right=f"a whole number from {low} to {high}", accept=accept, from_text=_number)


def number(low: float, high: float) -> Rule:
    """Accept a number within both bounds; NaN is within none."""

    def accept(value: object, _base: Path) -> float:
        if type(value) not in {int, float} or not low <= value <= high:  # type: ignore[operator]
            raise Refused
        return float(value)  # type: ignore[arg-type]

    return Rule(right=f"a number from {low:g} to {high:g}", accept=accept, from_text=_number)


def flag() -> Rule:
    """Accept yes or no."""

    def accept(value: object, _base: Path) -> bool:
        if not isinstance(value, bool):
            raise Refused
        return value

    return Rule(right="true or false", accept=accept, from_text=lambda text: _WORDS.get(text.strip().lower(), text))


def choice(*words: str) -> Rule:
    """Accept one of a few words."""

    def accept(value: object, _base: Path) -> str:
        if not isinstance(value, str) or value not in words:
            raise Refused
        return value

    return Rule(right="one of " + ", ".join(words), accept=accept)


def text() -> Rule:
    """Accept a line of printable text."""

    def accept(value: object, _base: Path) -> str:
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise Refused
        return value.strip()

    return Rule(right="text on one line, not empty", accept=accept)


def path() -> Rule:
    """Accept a path; a relative one starts at the configuration file that names it, ``~`` is the home directory."""

    def accept(value: object, base: Path) -> Path:
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise Refused
        try:
            return base / Path(value).expanduser()
        except RuntimeError:
            raise Refused("no home directory is known for its ~") from None

    return Rule(right="the path of a file", accept=accept)


def url() -> Rule:
    """Accept an http or https address without a password in it, because `hyperhive config` prints it."""

    def accept(value: object, _base: Path) -> str:
        if not isinstance(value, str) or not value.isprintable() or " " in value:
            raise Refused
        try:
            parts = urlsplit(value)
            _ = parts.port
        except ValueError:
            raise Refused from None
        if parts.username is not None or parts.password is not None:
            raise Refused("it holds a user or a password, which belong into claude.credentials_file")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Refused
        return value

    return Rule(right="an address such as https://api.anthropic.com", accept=accept)


def origin() -> Rule:
    """Accept where a site is: scheme and host, with a port where it is not the usual one, and nothing else."""
    inner = url()

    def accept(value: object, base: Path) -> str:
        parts = urlsplit(str(inner.accept(value, base)))
        if parts.path not in {"", "/"} or parts.query or parts.fragment:
            raise Refused("it has a path")
        default = {"http": 80, "https": 443}[parts.scheme]
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port not in {None, default} else "")

    return Rule(right="scheme and host, such as https://hive.example.org or https://10.0.0.5:7000", accept=accept)


def words(check: Callable[[str], object], right: str) -> Rule:
    """Accept a list of words that pass a check, which raises `ValueError`; as text they stand between commas."""

    def accept(value: object, _base: Path) -> tuple[str, ...]:
        if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
            raise Refused
        for each in value:
            try:
                check(each)
            except ValueError as error:
                raise Refused(str(error)) from None
        return tuple(value)

    return Rule(
        right=right, accept=accept, from_text=lambda text: [each.strip() for each in text.split(",") if each.strip()]
    )


def address() -> Rule:
    """Accept HOST:PORT to listen on; port 0 lets the system choose."""

    def accept(value: object, _base: Path) -> str:
        if not isinstance(value, str):
            raise Refused
        split_address(value)
        return value

    return Rule(right="HOST:PORT, such as 127.0.0.1:7000 or [::1]:7000, with a port from 0 to 65535", accept=accept)


def split_address(value: str) -> tuple[str, int]:
    """Take HOST:PORT apart, without the brackets of an IPv6 address; raises `Refused`."""
    host, colon, port = value.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise Refused
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if (":" in bare) != (bare != host) or not (_is_ip(bare) or _is_host_name(bare)):
        raise Refused
    return bare, int(port)


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_host_name(host: str) -> bool:
    # Without a letter it is an address gone wrong, such as 127.0.0.256.
    return _HOST_NAME.fullmatch(host) is not None and re.search("[A-Za-z]", host) is not None


def looks_secret(value: object) -> bool:
    """Whether a value looks like an Anthropic key or token."""
    return isinstance(value, str) and _SECRET.search(value) is not None


def shown(value: object) -> str:
    """Write a refused value for a message: on one line, short, and never a secret."""
    if looks_secret(value):
        return "a secret"
    written = repr(value)
    return written if len(written) <= _SHOWN_CHARACTERS else written[: _SHOWN_CHARACTERS - 1] + "…"


def _number(given: str) -> object:
    for kind in (int, float):
        try:
            return kind(given)
        except ValueError:
            continue
    return given
