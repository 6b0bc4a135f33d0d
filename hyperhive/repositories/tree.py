"""The files of a commit, and what of them can be a configuration: few, small, plain text."""

from __future__ import annotations

import re
from pathlib import Path

import attrs

from hyperhive.repositories.errors import BadProposal, GitFailed, NoSuchCommit
from hyperhive.repositories.git import git
from hyperhive.repositories.visible import visible, visible_path

MAX_FILES = 200
MAX_FILE_BYTES = 262_144
MAX_TREE_BYTES = 1_048_576
MAX_COMMITS = 1_000
GENERATED = frozenset({"flake.nix", "flake.lock"})
"""What the host writes itself into an applied configuration."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
_LIST_BYTES = 1_048_576
_KINDS = {"120000": "a symlink, which is never followed", "160000": "a submodule, which is never fetched"}


@attrs.frozen(kw_only=True)
class File:
    """One file of a commit."""

    path: str
    mode: str
    content: bytes = attrs.field(repr=False)

    @property
    def executable(self) -> bool:
        """Whether it may be run."""
        return self.mode == "100755"


def check_commit(commit: str) -> str:
    """Return a full commit id as it is; raises `BadProposal` for a branch, an abbreviation, an option."""
    if not _COMMIT.fullmatch(commit):
        raise BadProposal(
            f"{visible(commit[:80])!r} is not a commit id; give all 40 hexadecimal digits, as `git rev-parse HEAD` does"
        )
    return commit


def require_commit(directory: Path, commit: str) -> None:
    """Raise `NoSuchCommit` unless the repository holds this commit, and as a commit."""
    try:
        kind = git(directory, "cat-file", "-t", commit, max_bytes=100).decode().strip()
    except GitFailed:
        raise NoSuchCommit(f"the repository does not hold {commit}; commit first, then give its id") from None
    if kind != "commit":
        raise NoSuchCommit(f"{commit} is a {kind} and not a commit; give what `git rev-parse HEAD` says")


def files_of(directory: Path, commit: str) -> dict[str, File]:
    """Return the files of a commit by path; raises `BadProposal` for what no configuration may hold."""
    found: list[tuple[str, str, str]] = []
    total = 0
    try:
        listed = git(directory, "ls-tree", "-r", "-z", "-l", "--full-tree", commit, max_bytes=_LIST_BYTES)
    except GitFailed as failed:
        raise BadProposal(f"more files than can be shown, or none that git can list ({failed})") from None
    for entry in listed.rstrip(b"\0").split(b"\0") if listed else ():
        head, _, raw_path = entry.partition(b"\t")
        mode, _, sha, size = head.decode().split()
        path = _path(raw_path)
        if mode in _KINDS:
            raise BadProposal(f"{visible_path(path)} is {_KINDS[mode]}; put a plain file there")
        if mode not in {"100644", "100755"}:
            raise BadProposal(f"{visible_path(path)} has the mode {mode}; 100644 and 100755 are right")
        total += int(size)
        if int(size) > MAX_FILE_BYTES:
            raise BadProposal(f"{visible_path(path)} has {size} bytes; a file has at most {MAX_FILE_BYTES}")
        found.append((path, mode, sha))
    if len(found) > MAX_FILES:
        raise BadProposal(f"{len(found)} files; a configuration has at most {MAX_FILES}")
    if total > MAX_TREE_BYTES:
        raise BadProposal(f"{total} bytes in all its files; a configuration has at most {MAX_TREE_BYTES}")
    contents = read_blobs(directory, [sha for _, _, sha in found])
    files = {path: File(path=path, mode=mode, content=contents[sha]) for path, mode, sha in found}
    for file in files.values():
        _check_text(file)
    return files


def read_blobs(directory: Path, shas: list[str]) -> dict[str, bytes]:
    """Return the contents of blobs whose sizes are known to be small, by id."""
    wanted = list(dict.fromkeys(shas))
    printed = git(directory, "cat-file", "--batch", content="".join(f"{sha}\n" for sha in wanted).encode())
    contents: dict[str, bytes] = {}
    at = 0
    for sha in wanted:
        end = printed.index(b"\n", at)
        size = int(printed[at:end].split()[2])
        contents[sha] = printed[end + 1 : end + 1 + size]
        at = end + 1 + size + 1
    return contents


def _path(raw: bytes) -> str:
    """Read a file's name; git's own check of the objects has refused ``..``, ``.git`` and empty parts already."""
    try:
        path = raw.decode()
    except UnicodeDecodeError:
        raise BadProposal(f"the file name {raw[:80]!r} is not UTF-8; rename it") from None
    if path in GENERATED:
        raise BadProposal(f"{path} is written by the host when a configuration is applied; leave it out")
    return path


def _check_text(file: File) -> None:
    try:
        text = file.content.decode()
    except UnicodeDecodeError as error:
        line = file.content[: error.start].count(b"\n") + 1
        raise BadProposal(
            f"{visible_path(file.path)} is binary (line {line} is not UTF-8), so it cannot be shown; leave it out"
        ) from None
    if "\0" in text:
        raise BadProposal(f"{visible_path(file.path)} is binary (it holds a NUL), so it cannot be shown; leave it out")
