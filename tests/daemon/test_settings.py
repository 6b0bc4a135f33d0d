"""The configuration read anew: what changes at once, what waits, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from hyperhive.config import Config, from_file, from_flags, load
from hyperhive.config.sections import KEYS
from hyperhive.daemon.settings import AT_START, Settings

Seen = list[Config]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration."""
    path = tmp_path / "hyperhive.toml"
    path.write_text('[claude]\nmodel = "opus"\n')
    return path


def settings(file: Path) -> tuple[Settings, Seen]:
    """Return settings that read this file, and what a follower of them has seen."""

    def read() -> Config:
        return load(from_file(file, required=True), from_flags({"log.level": ("warning", "--log-level")}, file.parent))

    found, seen = Settings(read(), read), list[Config]()
    found.follow(seen.append)
    return found, seen


def told(act: Callable[[], None]) -> list[tuple[str, dict[str, object]]]:
    """Do it, and return what was said in the log."""
    with capture_logs() as lines:
        act()
    return [(line.pop("event"), {**line}) for line in lines]


def test_follows(file: Path) -> None:
    """What may change does, whoever follows is told, and a flag still wins over the file."""
    found, seen = settings(file)
    file.write_text('[claude]\nmodel = "sonnet"\n[limits]\nparallel_actions = 2\n[log]\nlevel = "debug"\n')
    said = told(found.reload)
    assert said == [("reloaded", {"changed": ["claude.model", "limits.parallel_actions"], "log_level": "info"})]
    assert seen == [found.config]
    assert (found.config.claude.model, found.config.limits.parallel_actions) == ("sonnet", 2)
    assert found.config.log.level == "warning"


def test_what_waits_for_a_restart(file: Path) -> None:
    """A key that only a start reads stays as it is, and is named with both values; the others change all the same."""
    found, _seen = settings(file)
    file.write_text('listen = "127.0.0.1:1"\nruntime = "process"\n[claude]\nidle_seconds = 5\n')
    said = told(found.reload)
    listen, runtime, reloaded = said
    assert listen[1] | {"log_level": ""} == {
        "setting": "listen",
        "now": "127.0.0.1:7000",
        "then": "127.0.0.1:1",
        "log_level": "",
    }
    assert (runtime[0], runtime[1]["setting"]) == ("needs_restart", "runtime")
    assert reloaded[1]["changed"] == ["claude.model", "claude.idle_seconds"]
    assert (found.config.listen, found.config.runtime) == ("127.0.0.1:7000", "auto")
    assert (found.config.claude.model, found.config.claude.idle_seconds) == (None, 5.0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("listn = 1\n", "did you mean listen?"),
        ("[claude\n", "not TOML"),
        ('[crash_watch]\ninterval_seconds = "often"\n', "a number from"),
        (None, "no such file"),
    ],
)
def test_broken(file: Path, text: str | None, reason: str) -> None:
    """A configuration that cannot be used is refused with its error, and the old one stays, whole."""
    found, seen = settings(file)
    before = found.config
    if text is None:
        file.unlink()
    else:
        file.write_text(f"[limits]\nparallel_actions = 9\n{text}" if text.startswith("[c") else text)
    ((event, line),) = told(found.reload)
    assert (event, line["log_level"], reason in str(line["error"])) == ("not_reloaded", "error", True)
    assert (found.config, seen) == (before, [])


def test_nothing_changed(file: Path) -> None:
    """The same configuration again is told as no change."""
    found, _seen = settings(file)
    assert told(found.reload) == [("reloaded", {"changed": [], "log_level": "info"})]


def test_keys_are_keys() -> None:
    """What is named as read at the start alone is there."""
    assert set(KEYS) >= AT_START
