"""A proposed repository in an attacker's hands: everything in it may be anything."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import attrs

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{role}_{what}": "mallory" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


@attrs.frozen
class Workshop:
    """The repository of one agent, and a place for the traps to leave a mark in."""

    root: Path
    trap: Path

    def git(self, *arguments: str, content: bytes = b"") -> str:
        """Run git there, as the manager would."""
        done = subprocess.run(
            ("git", *arguments), cwd=self.root, env=ENVIRONMENT, input=content, capture_output=True, check=True
        )
        return done.stdout.decode().strip()

    def write(self, path: str | bytes, content: str | bytes) -> None:
        """Write a file in the working tree."""
        target = self.root / os.fsdecode(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)

    def commit(self) -> str:
        """Commit all that is there; return the commit."""
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--no-verify", "--message", "trust me")
        return self.git("rev-parse", "HEAD")

    def tree_commit(self, *entries: str) -> str:
        """Commit a tree of lines as `git mktree` takes them, past every check of the index."""
        tree = self.git("mktree", "--missing", content=("\n".join(entries) + "\n").encode())
        return self.git("commit-tree", tree, "-m", "trust me")

    def blob(self, content: bytes) -> str:
        """Keep a content; return its id."""
        return self.git("hash-object", "-w", "--stdin", content=content)
