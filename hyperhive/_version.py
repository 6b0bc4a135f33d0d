"""The version of the installed package."""

from __future__ import annotations


def version() -> str:
    """Read it from the package's metadata, which pyproject.toml alone writes; a bare checkout has none."""
    # 30 ms of imports that only the commands which print a version should pay.
    from importlib import metadata  # noqa: PLC0415

    try:
        return metadata.version("hyperhive")
    except metadata.PackageNotFoundError:
        return "0+checkout"
