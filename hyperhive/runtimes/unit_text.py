"""Words of systemd's unit files, so that nothing in a value becomes syntax (systemd.syntax(7), systemd.service(5))."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "%": "%%"}


def quoted(value: str) -> str:
    """Return a value in quotes, with no specifier in it."""
    return '"' + "".join(_ESCAPES.get(character, character) for character in value) + '"'


def command(argv: Iterable[str]) -> str:
    """Return a command line, in which no variable is replaced."""
    return " ".join(quoted(word).replace("$", "$$") for word in argv)


def plain(value: str) -> str:
    """Return a value for a setting that takes the rest of its line as it is, but for specifiers.

    Raises `ValueError` for a line end, and for spaces at the ends, which such a setting cannot hold.
    """
    if value != value.strip() or "\n" in value or value.endswith("\\"):
        raise ValueError(f"{value!r} cannot stand in a unit: it has a line end, or spaces at its ends")
    return value.replace("%", "%%")


def environment(variables: Mapping[str, str]) -> str:
    """Return lines that set these variables, and no others."""
    return "".join(f"Environment={quoted(f'{name}={value}')}\n" for name, value in variables.items())
