"""What becomes of an ordinary proposal, and of a host that dies in the middle."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hyperhive.repositories import git as git_module
from hyperhive.repositories.errors import GitFailed, NoSuchCommit
from hyperhive.repositories.git import git
from hyperhive.repositories.repositories import Repositories
from hyperhive.repositories.visible import visible, visible_path
from tests.repositories.hostile import Workshop


def settle(repositories: Repositories, commit: str, number: int) -> None:
    """Fetch, approve and apply a commit."""
    repositories.fetch("coder", commit)
    repositories.approve("coder", commit, tag=f"approval-{number}", approver="operator:ann", note="fine\n# by me")
    repositories.check_out("coder", commit, {"flake.nix": "{ }\n", "agent.nix": "{ }\n"})


def test_a_change_line_by_line(repositories: Repositories, workshop: Workshop) -> None:
    """Every changed line is there with its number, some context, and where lines are left out."""
    workshop.write("long.txt", "".join(f"{number}\n" for number in range(1, 21)))
    before = workshop.commit()
    repositories.fetch("coder", before)
    workshop.write("long.txt", "".join(f"{number}\n" for number in range(1, 21) if number != 10) + "end")
    workshop.write("agent.toml", "")
    workshop.git("rm", "--quiet", "--cached", "agent.toml")
    (workshop.root / "agent.toml").unlink()
    after = workshop.commit()
    repositories.fetch("coder", after)
    gone, changed = repositories.diff("coder", before, after).files
    assert (gone.path, gone.status) == ("agent.toml", "removed")
    assert [(line.kind, line.old, line.new, line.text) for line in gone.lines] == [("-", 1, None, 'model = "opus"')]
    assert [(line.kind, line.old, line.new, line.text) for line in changed.lines] == [
        ("@", 7, 7, "@@ -7,7 +7,6 @@"),
        (" ", 7, 7, "7"),
        (" ", 8, 8, "8"),
        (" ", 9, 9, "9"),
        ("-", 10, None, "10"),
        (" ", 11, 10, "11"),
        (" ", 12, 11, "12"),
        (" ", 13, 12, "13"),
        ("@", 18, 17, "@@ -18,3 +17,4 @@"),
        (" ", 18, 17, "18"),
        (" ", 19, 18, "19"),
        (" ", 20, 19, "20"),
        ("+", None, 20, "end"),
        ("\\", None, None, "no newline at the end of the file"),
    ]


def test_applied_as_it_was_approved(repositories: Repositories, workshop: Workshop) -> None:
    """The branch, the files, what is generated, and a tag with the approver and the note; old files are gone."""
    workshop.write("tools/old.py", "x\n")
    first = workshop.commit()
    settle(repositories, first, 1)
    workshop.git("rm", "--quiet", "-r", "tools")
    workshop.write("tools", "now a file\n")
    workshop.write("agent.nix", "{ mine = true; }\n")
    second = workshop.commit()
    settle(repositories, second, 2)
    home = repositories.applied("coder")
    assert repositories.head("coder") == second
    assert sorted(path.name for path in home.iterdir()) == [".git", "agent.nix", "agent.toml", "flake.nix", "tools"]
    assert (home / "agent.nix").read_text() == "{ mine = true; }\n"
    tag = git(home / ".git", "cat-file", "tag", "approval-2").decode()
    assert f"object {second}" in tag
    assert "tagger operator-ann <operator-ann@" in tag
    assert tag.endswith("\n\nApproved by operator:ann\n\nfine\n# by me\n")
    assert repositories.approved("coder") == [first, second]
    newest = repositories.log("coder", 10)[0]
    assert (newest.commit, newest.subject, newest.tags) == (second, "trust me", ("approval-2",))
    status = git(home / ".git", "--work-tree", str(home), "status", "--porcelain").decode()
    assert status == "", "generated files are not taken for changes"


def test_may_be_repeated(repositories: Repositories, workshop: Workshop) -> None:
    """A daemon that dies between two steps does them again."""
    commit = workshop.git("rev-parse", "HEAD")
    for _ in range(3):
        settle(repositories, commit, 1)
    assert repositories.head("coder") == commit


def test_left_halves_are_removed(repositories: Repositories, workshop: Workshop) -> None:
    """What a daemon left half made is gone at the next start, and nothing else."""
    half = repositories.proposed("coder").with_name(".making-coder-x")
    (half / "deep").mkdir(parents=True)
    repositories.clean_up()
    assert (half.exists(), workshop.root.exists()) == (False, True)


def test_proposed_begins_with_what_is_applied(repositories: Repositories, workshop: Workshop) -> None:
    """A proposed repository that was lost comes back with the history of the applied one."""
    commit = workshop.git("rev-parse", "HEAD")
    settle(repositories, commit, 1)
    workshop.root.rename(workshop.root.with_name(".lost"))
    repositories.propose("coder", {"agent.toml": b"other\n"})
    assert Workshop(workshop.root, workshop.trap).git("rev-parse", "HEAD") == commit
    assert (workshop.root / "agent.toml").read_text() == 'model = "opus"\n'


def test_kept_files_are_one_commit(repositories: Repositories) -> None:
    """The same files on the same base are one commit, however often they are asked for."""
    made = {repositories.keep_files("new", {"agent.toml": b"x = 1\n"}, author="manager", subject="s") for _ in range(3)}
    assert len(made) == 1
    other = repositories.keep_files("new", {"agent.toml": b"x = 2\n"}, author="manager", subject="s")
    assert other not in made


def test_export(repositories: Repositories, workshop: Workshop, tmp_path: Path) -> None:
    """A container sees the files of the commit, and nothing of git; without a commit it sees nothing."""
    workshop.write("run.sh", "#!/bin/sh\n")
    (workshop.root / "run.sh").chmod(0o755)
    commit = workshop.commit()
    repositories.fetch("coder", commit)
    seen = tmp_path / "config"
    repositories.export("coder", commit, seen)
    assert {path.name: path.stat().st_mode & 0o777 for path in seen.iterdir()} == {"agent.toml": 0o600, "run.sh": 0o700}
    repositories.export("coder", None, seen)
    assert list(seen.iterdir()) == []


def test_nothing_kept(repositories: Repositories) -> None:
    """Of an agent without a repository there is nothing to show."""
    assert repositories.head("nobody") is None
    assert (repositories.log("nobody", 5), repositories.approved("nobody")) == ([], [])
    with pytest.raises(NoSuchCommit):
        repositories.files("nobody", "a" * 40)


class TestGit:
    """The program itself."""

    def test_deadline(self, repositories: Repositories, monkeypatch: pytest.MonkeyPatch, workshop: Workshop) -> None:
        """What does not end is killed with all that it started."""
        monkeypatch.setattr(git_module, "DEADLINE_SECONDS", 0.2)
        with pytest.raises(GitFailed, match="did not end within"):
            git(workshop.root / ".git", "-c", "alias.hang=!sleep 60", "hang")

    def test_output(self, workshop: Workshop) -> None:
        """What prints too much is ended."""
        with pytest.raises(GitFailed, match="printed more than 1000 bytes"):
            git(workshop.root / ".git", "-c", "alias.flood=!yes", "flood", max_bytes=1_000)

    def test_failure(self, workshop: Workshop) -> None:
        """A failure says what git said."""
        with pytest.raises(GitFailed, match="git cat-file ended with status 128: fatal: Not a valid object name"):
            git(workshop.root / ".git", "cat-file", "-t", "0" * 39)


class TestVisible:
    """Every sign shows as what it is."""

    def test_ordinary_text(self) -> None:
        """Letters of any language, tabs and emoji stay as they are."""
        text = "größe\t日本語 🐝 “x” — ≥ é"
        assert visible(text) == text

    def test_every_sign(self) -> None:
        """Whatever is left as it is takes up a place of its own, and moves nothing."""
        hidden = [chr(code) for code in range(sys.maxunicode + 1) if visible(chr(code)) != chr(code)]
        for sign in (
            "\x00",
            "\r",
            "\x1b",
            "\x7f",
            "\x9b",
            "\u00ad",
            "\u200b",
            "\u202e",
            "\u2066",
            "\ufeff",
            "\U000e0041",
        ):
            assert sign in hidden
        assert visible("\ud800") == "\\ud800"

    def test_names_stay_apart(self) -> None:
        """No two names show as the same."""
        assert visible_path("a\\nb") != visible_path("a\nb")
