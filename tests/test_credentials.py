"""The credentials file: what it may be, what it may hold, and that no message shows it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive.config import BadCredentials, load_credentials

KEY = "sk-ant-api03-AbC_123-xyz"
TOKEN = "sk-ant-oat01-AbC_123-xyz"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give an empty file with the right mode."""
    path = tmp_path / "credentials"
    path.touch(mode=0o600)
    return path


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (KEY, {"ANTHROPIC_API_KEY": KEY}),
        (f"{KEY}\n", {"ANTHROPIC_API_KEY": KEY}),
        (f"\n# the hive's\n  {TOKEN}\r\n\n", {"CLAUDE_CODE_OAUTH_TOKEN": TOKEN}),
        (f"ANTHROPIC_API_KEY={KEY}", {"ANTHROPIC_API_KEY": KEY}),
        (f"export CLAUDE_CODE_OAUTH_TOKEN = '{TOKEN}'", {"CLAUDE_CODE_OAUTH_TOKEN": TOKEN}),
        ('ANTHROPIC_API_KEY="another-server\'s=key"', {"ANTHROPIC_API_KEY": "another-server's=key"}),
    ],
)
def test_what_a_file_may_hold(file: Path, content: str, expected: dict[str, str]) -> None:
    """A key or token alone on a line goes by its prefix; a named one by its name."""
    file.write_text(content)
    assert load_credentials(file) == expected


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "holds no credentials; a line is an API key"),
        ("verysecret", "line 1 is something else"),
        ("\nOPENAI_API_KEY=verysecret", "line 2 is something else"),
        ("ANTHROPIC_API_KEY=", "line 1 is something else"),
        ("ANTHROPIC_API_KEY=very secret", "line 1 is something else"),
        (f"ANTHROPIC_API_KEY={TOKEN}verysecret", "its value is one for CLAUDE_CODE_OAUTH_TOKEN"),
        (f"CLAUDE_CODE_OAUTH_TOKEN={KEY}verysecret", "its value is one for ANTHROPIC_API_KEY"),
        (f"{KEY}\n{KEY}verysecret", "line 2 gives ANTHROPIC_API_KEY a second time"),
        (f"{KEY}\n{TOKEN}verysecret", "holds both ANTHROPIC_API_KEY and CLAUDE_CODE_OAUTH_TOKEN"),
        ("sk-ant-vérysecret", "byte 8 is not ASCII"),
        ("# " + "x" * 20_000, "larger than 16384 bytes"),
    ],
)
def test_what_it_may_not_hold(file: Path, content: str, complaint: str) -> None:
    """Whatever else it holds is refused by line, never by content."""
    file.write_text(content)
    with pytest.raises(BadCredentials) as caught:
        load_credentials(file)
    assert complaint in str(caught.value)
    assert "secret" not in str(caught.value)


@given(content=st.binary(max_size=60))
def test_any_content_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """For any bytes: credentials, or a refusal."""
    file = tmp_path_factory.mktemp("c") / "f"
    file.touch(mode=0o600)
    file.write_bytes(content)
    try:
        found = load_credentials(file)
    except BadCredentials:
        return
    assert len(found) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622, 0o700, 0o4600])
def test_others_may_not_read_it(file: Path, mode: int) -> None:
    """Any bit beyond 0600 is refused, with the command that mends it."""
    file.write_text(KEY)
    file.chmod(mode)
    with pytest.raises(BadCredentials, match=f"has mode {mode:04o}, .* run: chmod 600 {file}"):
        load_credentials(file)


def test_stricter_is_fine(file: Path) -> None:
    """0400 is stricter, and fine."""
    file.write_text(KEY)
    file.chmod(0o400)
    assert load_credentials(file) == {"ANTHROPIC_API_KEY": KEY}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_must_be_ours(file: Path) -> None:
    """A file of another user, who could change it, is refused."""
    os.chown(file, 65_534, 65_534)
    with pytest.raises(BadCredentials, match="belongs to uid 65534; it must belong to uid"):
        load_credentials(file)


@pytest.mark.parametrize("kind", ["directory", "fifo", "absent"])
def test_must_be_a_regular_file(tmp_path: Path, kind: str) -> None:
    """What is no file is refused at once; a fifo is not waited for."""
    path = tmp_path / "thing"
    match kind:
        case "directory":
            path.mkdir()
        case "fifo":
            os.mkfifo(path, 0o600)
        case _:
            pass
    with pytest.raises(BadCredentials, match=f"{path}: (is not a regular file|cannot be read: No such file)"):
        load_credentials(path)


def test_link_of_a_secret_store_is_followed(tmp_path: Path, file: Path) -> None:
    """Secret stores hand files out as links; what counts is the file."""
    file.write_text(KEY)
    (tmp_path / "link").symlink_to(file)
    assert load_credentials(tmp_path / "link") == {"ANTHROPIC_API_KEY": KEY}
