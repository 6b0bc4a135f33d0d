"""Hostile repositories: nothing in them is run, nothing leads out of them, nothing is kept from the diff."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from hyperhive.repositories import objects, tree
from hyperhive.repositories.errors import BadProposal, NoSuchCommit, NoSuchRepository
from hyperhive.repositories.repositories import Repositories
from tests.repositories.hostile import ENVIRONMENT, Workshop

TRAPS = {
    "core": ("fsmonitor", "pager", "sshCommand", "alternateRefsCommand"),
    'filter "x"': ("smudge", "clean", "process"),
    'diff "x"': ("textconv", "command"),
    "uploadpack": ("packObjectsHook",),
}
"""Where git's configuration may name a program."""
BOMB = "#!/bin/sh\ntouch '{trap}'\n"


def taken(repositories: Repositories, commit: str) -> dict[str, list[str]]:
    """Fetch a commit and return what the operator is shown of it: lines by path."""
    repositories.fetch("coder", commit)
    shown = repositories.diff("coder", None, commit)
    return {file.path: [line.text for line in file.lines] for file in shown.files}


def applied(repositories: Repositories, commit: str) -> Path:
    """Fetch and apply a commit; return where its files are."""
    repositories.fetch("coder", commit)
    repositories.approve("coder", commit, tag="approval-1", approver="operator", note="")
    repositories.check_out("coder", commit, {"flake.nix": "{ }\n"})
    return repositories.applied("coder")


class TestNothingRuns:
    """Git has many ways to be told to run a program."""

    def test_hooks_filters_and_configuration(self, repositories: Repositories, workshop: Workshop) -> None:
        """Hooks, filters, textconv, fsmonitor, pagers, includes: none runs, from the request to the container."""
        bomb = workshop.trap.with_name("bomb.sh")
        bomb.write_text(BOMB.format(trap=workshop.trap))
        bomb.chmod(0o755)
        commit = make_commit_with_attributes(workshop)
        hooks = workshop.root / ".git/hooks"
        hooks.mkdir(exist_ok=True)
        for name in ("post-checkout", "pre-commit", "reference-transaction", "post-index-change", "pre-auto-gc"):
            shutil.copy(bomb, hooks / name)
        with (workshop.root / ".git/config").open("a") as config:
            for section, keys in TRAPS.items():
                config.write(f"[{section}]\n" + "".join(f"\t{key} = {bomb}\n" for key in keys))
            config.write(f"[include]\n\tpath = {workshop.trap.parent}/more\n")
        (workshop.trap.parent / "more").write_text(f"[core]\n\tfsmonitor = {bomb}\n")
        assert taken(repositories, commit)["notes.txt"] == ["in the open"]
        home = applied(repositories, commit)
        assert (home / "notes.txt").read_text() == "in the open\n"
        assert not workshop.trap.exists()
        subprocess.run(("git", "status"), cwd=workshop.root, env=ENVIRONMENT, check=False, capture_output=True)
        assert workshop.trap.exists(), "the trap itself has to work"

    def test_attributes_hide_nothing(self, repositories: Repositories, workshop: Workshop) -> None:
        """What attributes call binary, generated or someone else's is shown line by line."""
        commit = make_commit_with_attributes(workshop)
        shown = taken(repositories, commit)
        assert shown["notes.txt"] == ["in the open"]
        assert shown[".gitattributes"] == ["* filter=x diff=x -text ident export-ignore", "notes.txt -diff binary"]


def make_commit_with_attributes(workshop: Workshop) -> str:
    """Commit a file, and attributes that would hide or change it."""
    workshop.write("notes.txt", "in the open\n")
    workshop.write(".gitattributes", "* filter=x diff=x -text ident export-ignore\nnotes.txt -diff binary\n")
    return workshop.commit()


class TestNothingLeadsOut:
    """The host follows nothing that it did not lay."""

    @pytest.mark.parametrize("target", ["/etc/passwd", "../../applied", "agent.toml"])
    def test_symlinks(self, repositories: Repositories, workshop: Workshop, target: str) -> None:
        """A symlink is refused, wherever it leads."""
        (workshop.root / "link").symlink_to(target)
        with pytest.raises(BadProposal, match="link is a symlink, which is never followed"):
            repositories.fetch("coder", workshop.commit())

    def test_submodules(self, repositories: Repositories, workshop: Workshop) -> None:
        """A submodule is refused, and nothing is fetched for it."""
        head = workshop.git("rev-parse", "HEAD")
        commit = workshop.tree_commit(f"160000 commit {head}\tinner")
        with pytest.raises(BadProposal, match="inner is a submodule, which is never fetched"):
            repositories.fetch("coder", commit)

    @pytest.mark.parametrize("name", ["..", ".git", ".GIT", "a/b"])
    def test_names_that_lead_away(self, repositories: Repositories, workshop: Workshop, name: str) -> None:
        """A tree whose names leave their directory, or reach into git's own, is not taken over."""
        sha = bytes.fromhex(workshop.blob(b"x"))
        raw = b"100644 " + name.encode() + b"\0" + sha
        bad = workshop.git("hash-object", "-w", "-t", "tree", "--stdin", "--literally", content=raw)
        commit = workshop.git("commit-tree", bad, "-m", "trust me")
        with pytest.raises(BadProposal):
            repositories.fetch("coder", commit)

    @pytest.mark.parametrize("what", ["objects", "fan-out", "object", "git"])
    def test_links_among_the_objects(self, repositories: Repositories, workshop: Workshop, what: str) -> None:
        """Objects that lie elsewhere, by a link of any kind, are not read."""
        workshop.write("notes.txt", "x\n")
        commit = workshop.commit()
        git = workshop.root / ".git"
        loose = git / "objects" / commit[:2] / commit[2:]
        moved = {"objects": git / "objects", "fan-out": loose.parent, "object": loose, "git": git}[what]
        elsewhere = workshop.trap.with_name("elsewhere")
        moved.rename(elsewhere)
        moved.symlink_to(elsewhere)
        with pytest.raises((BadProposal, NoSuchRepository, NoSuchCommit)):
            repositories.fetch("coder", commit)

    def test_alternates(self, repositories: Repositories, workshop: Workshop) -> None:
        """Another repository's objects are not borrowed."""
        other = workshop.trap.with_name("other")
        subprocess.run(("git", "clone", "-q", workshop.root, other), env=ENVIRONMENT, check=True)
        there = Workshop(other, workshop.trap)
        there.write("secret", "of another\n")
        commit = there.commit()
        (workshop.root / ".git/objects/info").mkdir(exist_ok=True)
        (workshop.root / ".git/objects/info/alternates").write_text(f"{other}/.git/objects\n")
        assert workshop.git("cat-file", "-t", commit) == "commit"
        with pytest.raises(NoSuchCommit):
            repositories.fetch("coder", commit)

    def test_replaced_objects_and_grafts(self, repositories: Repositories, workshop: Workshop) -> None:
        """What is shown is the commit itself, not what a replace reference puts in its place."""
        workshop.write("notes.txt", "evil\n")
        evil = workshop.commit()
        workshop.write("notes.txt", "good\n")
        good = workshop.commit()
        workshop.git("replace", evil, good)
        assert taken(repositories, evil)["notes.txt"] == ["evil"]

    def test_a_fifo_among_the_objects(self, repositories: Repositories, workshop: Workshop) -> None:
        """A pipe in the place of an object keeps nobody waiting."""
        (workshop.root / ".git/objects/aa").mkdir(exist_ok=True)
        os.mkfifo(workshop.root / ".git/objects/aa" / ("b" * 38))
        with pytest.raises(BadProposal, match="is no regular file"):
            repositories.fetch("coder", "c" * 40)

    def test_a_git_file_that_points_elsewhere(self, repositories: Repositories, workshop: Workshop) -> None:
        """A `.git` that is a file, as a linked working tree has it, is no repository."""
        commit = workshop.git("rev-parse", "HEAD")
        (workshop.root / ".git").rename(workshop.trap.with_name("real.git"))
        (workshop.root / ".git").write_text(f"gitdir: {workshop.trap.with_name('real.git')}\n")
        with pytest.raises(NoSuchRepository):
            repositories.fetch("coder", commit)


class TestNothingHides:
    """Text that shows as another text."""

    def test_names_with_signs_that_hide(self, repositories: Repositories, workshop: Workshop) -> None:
        """Line ends, terminal escapes and right-to-left marks in file names are written as escapes."""
        for name in ("two\nlines", "esc\x1b[2Jape", "txt\u202egpj.exe", "zero\u200bwidth"):
            workshop.write(name, "x\n")
        assert taken(repositories, workshop.commit()).keys() == {
            "agent.toml",
            "two\\nlines",
            "esc\\x1b[2Jape",
            "txt\\u202egpj.exe",
            "zero\\u200bwidth",
        }

    def test_lines_with_signs_that_hide(self, repositories: Repositories, workshop: Workshop) -> None:
        """So are they in the lines, with carriage returns that would overwrite what stands before them."""
        workshop.write("notes.txt", "rm -rf /\r# harmless\na\u2028b\u202ec\x1b]0;t\x07\u00a0\ttab\n")
        assert taken(repositories, workshop.commit())["notes.txt"] == [
            "rm -rf /\\r# harmless",
            "a\\u2028b\\u202ec\\x1b]0;t\\x07\\xa0\ttab",
        ]

    @pytest.mark.parametrize("content", [b"a\0b", b"\xff\xfe", b"PNG\x89\x00"])
    def test_binary_files(self, repositories: Repositories, workshop: Workshop, content: bytes) -> None:
        """What cannot be shown as text cannot be proposed."""
        workshop.write("logo.png", content)
        with pytest.raises(BadProposal, match=r"logo\.png is binary"):
            repositories.fetch("coder", workshop.commit())

    def test_binary_names(self, repositories: Repositories, workshop: Workshop) -> None:
        """Nor a name that is no text."""
        workshop.write(b"caf\xe9", "x\n")
        with pytest.raises(BadProposal, match="is not UTF-8"):
            repositories.fetch("coder", workshop.commit())

    def test_mode_changes(self, repositories: Repositories, workshop: Workshop) -> None:
        """A file that becomes executable is shown as changed, without a changed line."""
        before = workshop.git("rev-parse", "HEAD")
        repositories.fetch("coder", before)
        (workshop.root / "agent.toml").chmod(0o755)
        after = workshop.commit()
        repositories.fetch("coder", after)
        (file,) = repositories.diff("coder", before, after).files
        assert (file.status, file.old_mode, file.new_mode, file.lines) == ("changed", "100644", "100755", ())

    @pytest.mark.parametrize("name", sorted(tree.GENERATED))
    def test_generated_files(self, repositories: Repositories, workshop: Workshop, name: str) -> None:
        """What the host generates cannot be proposed."""
        workshop.write(name, "x\n")
        with pytest.raises(BadProposal, match=f"{name} is written by the host"):
            repositories.fetch("coder", workshop.commit())

    def test_a_change_too_large_to_show(self, repositories: Repositories, workshop: Workshop) -> None:
        """It is taken over, and says why it cannot be approved."""
        workshop.write("long.txt", "line\n" * 6_000)
        commit = workshop.commit()
        repositories.fetch("coder", commit)
        assert "6001 lines; at most" in str(repositories.diff("coder", None, commit).too_large)


class TestTooMuch:
    """Sizes that are meant to hurt."""

    def test_a_large_file(self, repositories: Repositories, workshop: Workshop) -> None:
        """50 MB in one file are refused, by their number."""
        workshop.write("large", b"a" * 50_000_000)
        with pytest.raises(BadProposal, match="large has 50000000 bytes; a file has at most"):
            repositories.fetch("coder", workshop.commit())

    def test_large_objects_that_do_not_compress(self, repositories: Repositories, workshop: Workshop) -> None:
        """More than the host copies is refused before git sees it."""
        workshop.write("large", os.urandom(objects.MAX_BYTES + 1))
        with pytest.raises(BadProposal, match="more than 64 MiB of objects"):
            repositories.fetch("coder", workshop.commit())

    def test_many_files(self, repositories: Repositories, workshop: Workshop) -> None:
        """100,000 files are refused: in one tree, and as objects of their own."""
        blob = workshop.blob(b"x")
        commit = workshop.tree_commit(*(f"100644 blob {blob}\tf{number:06}" for number in range(100_000)))
        with pytest.raises(BadProposal, match="more files than can be shown"):
            repositories.fetch("coder", commit)

    def test_many_objects(
        self, repositories: Repositories, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """So are more objects than a configuration has any use for."""
        monkeypatch.setattr(objects, "MAX_FILES", 300)
        for number in range(300):
            workshop.blob(b"%d" % number)
        with pytest.raises(BadProposal, match="more than 300 files of objects"):
            repositories.fetch("coder", workshop.git("rev-parse", "HEAD"))


class TestCommits:
    """What is named has to be a commit, by its whole id."""

    @pytest.mark.parametrize(
        "name",
        ["main", "HEAD", "--upload-pack=touch x", "-x", "", "abc123", "A" * 40, "g" * 40, "a" * 41, "a" * 40 + "\n"],
    )
    def test_no_ids(self, repositories: Repositories, workshop: Workshop, name: str) -> None:
        """A branch, an option, an abbreviation: refused before git sees it."""
        with pytest.raises(BadProposal, match="is not a commit id"):
            repositories.fetch("coder", name)

    def test_absent(self, repositories: Repositories, workshop: Workshop) -> None:
        """A commit that the repository does not hold."""
        with pytest.raises(NoSuchCommit, match="does not hold"):
            repositories.fetch("coder", "d" * 40)

    def test_no_commits(self, repositories: Repositories, workshop: Workshop) -> None:
        """A tree, a file or a tag is no commit."""
        head = workshop.git("rev-parse", "HEAD")
        tag = workshop.git("mktag", content=f"object {head}\ntype commit\ntag t\ntagger m <m> 0 +0000\n\nx\n".encode())
        for other in (workshop.git("rev-parse", "HEAD^{tree}"), workshop.blob(b"x"), tag):
            with pytest.raises(NoSuchCommit, match="and not a commit"):
                repositories.fetch("coder", other)

    def test_of_another_agent(self, repositories: Repositories, workshop: Workshop) -> None:
        """What is kept for one agent is not kept for another."""
        commit = workshop.git("rev-parse", "HEAD")
        repositories.fetch("coder", commit)
        repositories.propose("reviewer", {"agent.toml": b"\n"})
        with pytest.raises(NoSuchCommit):
            repositories.diff("reviewer", None, commit)

    def test_a_broken_object(self, repositories: Repositories, workshop: Workshop) -> None:
        """An object whose content does not fit its name is found out."""
        workshop.write("notes.txt", "good\n")
        commit = workshop.commit()
        good, evil = (workshop.blob(text) for text in (b"good\n", b"evil\n"))
        paths = [workshop.root / ".git/objects" / sha[:2] / sha[2:] for sha in (good, evil)]
        paths[0].unlink()
        shutil.copy(paths[1], paths[0])
        with pytest.raises(BadProposal):
            repositories.fetch("coder", commit)


def test_fetched_is_fixed(repositories: Repositories, workshop: Workshop) -> None:
    """Once it is fetched, a commit stays as it was, whatever becomes of the proposed repository."""
    workshop.write("notes.txt", "as it was\n")
    commit = workshop.commit()
    repositories.fetch("coder", commit)
    shutil.rmtree(workshop.root)
    assert (applied(repositories, commit) / "notes.txt").read_text() == "as it was\n"
