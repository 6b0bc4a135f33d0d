"""What a commit changes, whole: every changed line of every file, in text that shows what it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import attrs

from hyperhive.repositories.git import git
from hyperhive.repositories.tree import File, files_of
from hyperhive.repositories.visible import visible, visible_path

MAX_LINES = 5_000
MAX_CHARACTERS = 250_000
"""What a person can be shown of one change, and fits into a line of host.sock; a larger one cannot be approved."""
CONTEXT_LINES = 3

_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")


@attrs.frozen(kw_only=True)
class Line:
    """One line of a diff; ``kind`` is ``+``, ``-``, a space, ``@`` (lines are left out) or a backslash (a remark)."""

    kind: str
    old: int | None = None
    new: int | None = None
    text: str


@attrs.frozen(kw_only=True)
class FileDiff:
    """What changes in one file; ``status`` is ``added``, ``removed`` or ``changed``."""

    path: str
    status: str
    old_mode: str | None
    new_mode: str | None
    lines: tuple[Line, ...]


@attrs.frozen(kw_only=True)
class Diff:
    """What changes between an applied configuration (none: nothing applied yet) and a commit."""

    base: str | None
    commit: str | None
    files: tuple[FileDiff, ...]

    @property
    def too_large(self) -> str | None:
        """Why it cannot be shown whole, where it cannot."""
        lines = sum(len(file.lines) for file in self.files)
        characters = sum(len(line.text) for file in self.files for line in file.lines)
        if lines > MAX_LINES:
            return f"the change has {lines} lines; at most {MAX_LINES} can be shown. Split it into smaller commits"
        if characters > MAX_CHARACTERS:
            return (
                f"the change has {characters} characters; at most {MAX_CHARACTERS} can be shown. "
                "Split it into smaller commits"
            )
        return None


def diff(directory: Path, base: str | None, commit: str | None) -> Diff:
    """Compare two commits of a repository of the host's; raises `BadProposal` for what cannot be shown at all.

    The lines come from git's own comparison of the two contents, so that no attribute of a tree has a say in it.
    """
    old = files_of(directory, base) if base is not None else {}
    new = files_of(directory, commit) if commit is not None else old
    paths = [path for path in sorted({*old, *new}) if old.get(path) != new.get(path)]
    return Diff(
        base=base,
        commit=commit,
        files=tuple(_file(directory, path, old.get(path), new.get(path)) for path in paths),
    )


def _file(directory: Path, path: str, old: File | None, new: File | None) -> FileDiff:
    if old is None or new is None:
        lines = _whole(new, "+") if new is not None else _whole(old, "-")
    else:
        lines = _changed(directory, old.content, new.content)
    return FileDiff(
        path=visible_path(path),
        status="added" if old is None else "removed" if new is None else "changed",
        old_mode=old.mode if old is not None else None,
        new_mode=new.mode if new is not None else None,
        lines=tuple(lines),
    )


def _whole(file: File | None, kind: str) -> Iterator[Line]:
    text = file.content.decode() if file is not None else ""
    lines = text.split("\n")
    unended = lines.pop()
    for number, line in enumerate([*lines, *([unended] if unended else [])], start=1):
        yield Line(kind=kind, text=visible(line), **{"new" if kind == "+" else "old": number})
    if unended:
        yield Line(kind="\\", text="no newline at the end of the file")


def _changed(directory: Path, old: bytes, new: bytes) -> Iterator[Line]:
    if old == new:
        return
    ids = [git(directory, "hash-object", "-w", "--stdin", content=content).decode().strip() for content in (old, new)]
    options = ("--text", "--no-ext-diff", "--no-textconv", "--no-color", f"--unified={CONTEXT_LINES}")
    printed = git(directory, "diff", *options, *ids, "--").decode()
    body = printed[printed.index("\n@@ ") + 1 :].split("\n")[:-1]
    at_old = at_new = 0
    for text in body:
        kind, rest = text[:1], visible(text[1:])
        match kind:
            case "@":
                hunk = _HUNK.match(text)
                assert hunk is not None  # noqa: S101 - git's own format
                at_old, at_new = int(hunk[1]), int(hunk[2])
                yield Line(kind="@", old=at_old, new=at_new, text=hunk[0])
            case "+":
                yield Line(kind="+", new=at_new, text=rest)
                at_new += 1
            case "-":
                yield Line(kind="-", old=at_old, text=rest)
                at_old += 1
            case "\\":
                yield Line(kind="\\", text="no newline at the end of the file")
            case _:
                yield Line(kind=" ", old=at_old, new=at_new, text=rest)
                at_old, at_new = at_old + 1, at_new + 1
