"""Files that running containers see."""

from __future__ import annotations

from pathlib import Path


def keep(path: Path, content: bytes) -> None:
    """Write a file whole where it is not so already, never in place: who has it mounted keeps the old one."""
    if not path.exists() or path.read_bytes() != content:
        partial = path.with_name(f"{path.name}.part")
        partial.write_bytes(content)
        partial.replace(path)
