"""Each agent's two repositories: what the manager proposes, and what the operator approved."""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import attrs

from harness.wire import check_name
from hyperhive.repositories import objects
from hyperhive.repositories.diff import Diff, diff
from hyperhive.repositories.errors import BadProposal, GitFailed, NoSuchCommit
from hyperhive.repositories.git import git
from hyperhive.repositories.tree import File, check_commit, files_of, require_commit
from hyperhive.repositories.visible import visible

MAIN = "refs/heads/main"
_KEPT = "refs/hyperhive/kept/"
"""What was fetched, so that nothing takes it away again."""
_LOG_FORMAT = "%H%x00%aI%x00%an%x00%s%x00%D%x01"
_TAG = re.compile(r"tag: ([^,]+)")


@attrs.frozen(kw_only=True)
class LogEntry:
    """One commit of an applied configuration, newest first in a list; ``at`` is RFC 3339."""

    commit: str
    at: str
    author: str
    subject: str
    tags: tuple[str, ...] = ()


class Repositories:
    """The directories ``proposed`` and ``applied`` of a data directory. Everything here blocks: call it in a thread.

    Acts on one agent wait for each other.
    """

    def __init__(self, data: Path) -> None:
        self._data = data
        self._locks: dict[str, threading.RLock] = defaultdict(threading.RLock)

    def proposed(self, agent: str) -> Path:
        """Name the repository that the manager writes to; nothing in it is to be trusted."""
        return self._data / "proposed" / check_name(agent)

    def applied(self, agent: str) -> Path:
        """Name the directory of the approved configuration, of the host alone."""
        return self._data / "applied" / check_name(agent)

    def clean_up(self) -> None:
        """Remove what a daemon that died left half made."""
        for inside in ("proposed", "applied"):
            for left in (self._data / inside).glob(".making-*"):
                shutil.rmtree(left)

    def head(self, agent: str) -> str | None:
        """Return the commit that is applied; None where none is."""
        directory = self._git_dir(agent)
        if not directory.is_dir():
            return None
        try:
            return git(directory, "rev-parse", "--verify", "--quiet", f"{MAIN}^{{commit}}").decode().strip()
        except GitFailed:
            return None

    def propose(self, agent: str, files: Mapping[str, bytes], *, start: str | None = None) -> None:
        """Make the proposed repository, where there is none: of a kept commit, of what is applied, else of files."""
        target = self.proposed(agent)
        with self._locks[agent]:
            if target.exists():
                return
            with self._making("proposed", agent) as made:
                directory = made / ".git"
                _init(directory, bare=False)
                commit = start or self.head(agent)
                if commit is None:
                    commit = _commit(directory, agent, files, parent=None, subject="Begin")
                    git(directory, "update-ref", MAIN, commit)
                else:
                    applied = str(self._git_dir(agent))
                    git(directory, "fetch", "--quiet", "--no-tags", "--update-head-ok", applied, f"{commit}:{MAIN}")
                git(directory, "read-tree", commit)
                _write(made, files_of(directory, commit))
                made.rename(target)

    def keep_files(self, agent: str, files: Mapping[str, bytes], *, author: str, subject: str) -> str:
        """Make a commit of these files on top of what is applied, in the host's own keeping; return its id.

        The same files on the same base are the commit that they were before, so that a repeated request is one.
        """
        with self._locks[agent]:
            directory = self._keeping(agent)
            commit = _commit(directory, author, files, parent=self.head(agent), subject=subject)
            files_of(directory, commit)
            git(directory, "update-ref", _KEPT + commit, commit)
            return commit

    def fetch(self, agent: str, commit: str) -> None:
        """Take exactly this commit out of the proposed repository into the host's own keeping.

        Afterwards it stays as it is, whatever becomes of the proposed one. Raises `BadProposal`, `NoSuchCommit`,
        `NoSuchRepository`, `GitFailed`.
        """
        check_commit(commit)
        with self._locks[agent]:
            if not self._holds(agent, commit):
                with self._making("applied", agent) as quarantine:
                    _init(quarantine, bare=True)
                    for pack in objects.copy(self._data, "proposed", check_name(agent), to=quarantine / "objects"):
                        _index(quarantine, pack)
                    require_commit(quarantine, commit)
                    self._take(agent, commit, quarantine)
            files_of(self._git_dir(agent), commit)

    def _take(self, agent: str, commit: str, quarantine: Path) -> None:
        try:
            git(
                self._keeping(agent),
                *("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"),
                *(str(quarantine), f"{commit}:{_KEPT}{commit}"),
            )
        except GitFailed as failed:
            raise BadProposal(f"{commit} cannot be taken over, git says: {visible(str(failed)[-1_000:])}") from None

    def files(self, agent: str, commit: str) -> dict[str, File]:
        """Return the files of a commit that is kept, by path."""
        with self._locks[agent]:
            self._require(agent, commit)
            return files_of(self._git_dir(agent), commit)

    def diff(self, agent: str, base: str | None, commit: str | None) -> Diff:
        """Compare two commits that are kept; None as ``base`` is nothing, None as ``commit`` is no change."""
        if base is None and commit is None:
            return Diff(base=None, commit=None, files=())
        with self._locks[agent]:
            for one in (base, commit):
                if one is not None:
                    self._require(agent, one)
            return diff(self._git_dir(agent), base, commit)

    def approve(self, agent: str, commit: str, *, tag: str, approver: str, note: str) -> None:
        """Mark a kept commit as approved, and by whom; may be repeated."""
        with self._locks[agent]:
            self._require(agent, commit)
            text = f"Approved by {approver}\n\n{note}".strip() + "\n"
            options = ("--force", "--annotate", "--cleanup=verbatim", "--file=-")
            git(self._git_dir(agent), "tag", *options, tag, commit, content=text.encode(), environment=_who(approver))

    def check_out(self, agent: str, commit: str, generated: Mapping[str, str]) -> None:
        """Let a kept commit be what is applied: the branch, the files, and what is generated beside them.

        May be repeated after a crash. Raises `NoSuchCommit`, `GitFailed`, `OSError`.
        """
        with self._locks[agent]:
            self._require(agent, commit)
            directory, home = self._git_dir(agent), self.applied(agent)
            files = files_of(directory, commit)
            for entry in home.iterdir():
                if entry.name != ".git":
                    shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
            _write(home, files)
            beside = {name: text for name, text in generated.items() if name not in files}
            (directory / "info").mkdir(exist_ok=True)
            (directory / "info" / "exclude").write_text("".join(f"/{name}\n" for name in sorted(beside)))
            for name, text in beside.items():
                (home / name).write_text(text)
            git(directory, "read-tree", commit)
            # Last: a head that names it means that all of it is there.
            git(directory, "update-ref", MAIN, commit)

    def export(self, agent: str, commit: str | None, directory: Path) -> None:
        """Write the files of a kept commit (None: none) into a directory, in the place of what was there."""
        with self._locks[agent]:
            files = self.files(agent, commit) if commit is not None else {}
            making = directory.with_name(f"{directory.name}.new")
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir(mode=0o700)
            _write(making, files)
            shutil.rmtree(directory, ignore_errors=True)
            making.rename(directory)

    def approved(self, agent: str) -> list[str]:
        """Return every commit that was ever applied, each once."""
        if not self._git_dir(agent).is_dir():
            return []
        with self._locks[agent]:
            printed = git(self._git_dir(agent), "for-each-ref", "--format=%(*objectname)", "refs/tags").decode()
        return list(dict.fromkeys(printed.split()))

    def log(self, agent: str, limit: int) -> list[LogEntry]:
        """Return the newest commits of what is applied, texts made visible; none where nothing is."""
        if self.head(agent) is None:
            return []
        with self._locks[agent]:
            printed = git(self._git_dir(agent), "log", f"--max-count={limit}", f"--format={_LOG_FORMAT}", MAIN).decode(
                errors="backslashreplace"
            )
        entries = []
        for record in filter(None, (part.strip("\n") for part in printed.split("\x01"))):
            commit, at, author, subject, names = record.split("\0")
            tags = tuple(_TAG.findall(names))
            entries.append(LogEntry(commit=commit, at=at, author=visible(author), subject=visible(subject), tags=tags))
        return entries

    def _git_dir(self, agent: str) -> Path:
        return self.applied(agent) / ".git"

    def _keeping(self, agent: str) -> Path:
        """Return the host's git directory of an agent, making it where there is none."""
        home = self.applied(agent)
        directory = home / ".git"
        if not (directory / "HEAD").is_file():
            home.mkdir(mode=0o700, exist_ok=True)
            _init(directory, bare=False)
        return directory

    def _holds(self, agent: str, commit: str) -> bool:
        try:
            self._require(agent, commit)
        except NoSuchCommit:
            return False
        return True

    def _require(self, agent: str, commit: str) -> None:
        """Raise `NoSuchCommit` unless the host keeps this commit with all that it needs: its reference is the proof."""
        directory = self._git_dir(agent)
        if not directory.is_dir():
            raise NoSuchCommit(f"nothing is kept of {agent}")
        try:
            git(directory, "show-ref", "--verify", "--quiet", _KEPT + check_commit(commit))
        except GitFailed:
            raise NoSuchCommit(f"{commit} is not kept for {agent}") from None

    @contextmanager
    def _making(self, inside: str, agent: str) -> Iterator[Path]:
        """Yield a new directory beside its later place, and remove it unless it was moved there."""
        made = Path(tempfile.mkdtemp(prefix=f".making-{agent}-", dir=self._data / inside))
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)


def _init(directory: Path, *, bare: bool) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    git(directory, "init", "--quiet", "--template=", "--initial-branch=main", "--object-format=sha1")
    git(directory, "config", "core.bare", "true" if bare else "false")
    # Another git of ours reads it by commit id, and no one else can.
    git(directory, "config", "uploadpack.allowAnySHA1InWant", "true")


def _index(quarantine: Path, pack: Path) -> None:
    try:
        git(quarantine, "index-pack", str(pack))
    except GitFailed as failed:
        raise BadProposal(f"the pack {pack.name} cannot be read, git says: {visible(str(failed)[-1_000:])}") from None


def _commit(directory: Path, author: str, files: Mapping[str, bytes], *, parent: str | None, subject: str) -> str:
    """Write a commit without a working tree, unless one of the same files on the same parent is kept already."""
    index = {"GIT_INDEX_FILE": str(directory / "index.making")}
    try:
        lines = []
        for path, content in files.items():
            sha = git(directory, "hash-object", "-w", "--stdin", content=content).decode().strip()
            lines.append(f"100644 {sha}\t{path}\0".encode())
        git(directory, "update-index", "-z", "--index-info", content=b"".join(lines), environment=index)
        tree = git(directory, "write-tree", environment=index).decode().strip()
    finally:
        (directory / "index.making").unlink(missing_ok=True)
    kept = git(directory, "for-each-ref", "--format=%(objectname) %(tree) %(parent)", _KEPT).decode().splitlines()
    for commit, *rest in map(str.split, kept):
        if rest == [tree, *([parent] if parent is not None else [])]:
            return commit
    parents = ("-p", parent) if parent is not None else ()
    return git(directory, "commit-tree", tree, *parents, "-m", subject, environment=_who(author)).decode().strip()


def _who(name: str) -> dict[str, str]:
    plain = re.sub(r"[^A-Za-z0-9._ -]", "-", name) or "hyperhive"
    pairs = {"NAME": plain, "EMAIL": git_email(plain.replace(" ", "-"))}
    return {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in pairs.items()}


def git_email(name: str) -> str:
    """Return the address in an agent's git identity; ``.invalid`` leads nowhere (RFC 2606)."""
    return f"{name}@hyperhive.invalid"


def _write(home: Path, files: Mapping[str, File]) -> None:
    for path, file in files.items():
        target = home / path
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        target.write_bytes(file.content)
        target.chmod(0o700 if file.executable else 0o600)
