"""The sandbox needs no root: its whole suite, once more, as a user who has none."""

from __future__ import annotations

import os
import pwd
import shutil
import site
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
USER = "nobody"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


SUITE = (
    *("tests/runtimes/test_bubblewrap.py", "tests/runtimes/test_limits.py::TestKept::test_kept[rlimits]"),
    *("tests/runtimes/test_escape.py::TestBubblewrap", "tests/runtimes/test_escape.py::TestControl"),
)


def python() -> str:
    """Return a Python of this version that anybody may run, or skip."""
    if os.geteuid() != 0:
        pytest.skip("not root, so the other tests have shown it already")
    found = shutil.which(f"python{VERSION}", path="/usr/local/bin:/usr/bin")
    if found is None:
        pytest.skip(f"{sys.executable} may be root's alone, and there is no /usr/bin/python{VERSION} to use instead")
    return found


def test_without_root() -> None:
    """Every test of the bubblewrap runtime passes for a user without any right, whose agents meet their limits.

    Nor do they get out: every attempt is made by them, too.
    """
    entry = pwd.getpwnam(USER)
    argv = (python(), "-m", "pytest", "-p", "no:cacheprovider", *SUITE)
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": "/nonexistent",
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *site.getsitepackages()]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    ended = subprocess.run(
        argv,
        cwd=REPOSITORY,
        env=environment,
        user=entry.pw_uid,
        group=entry.pw_gid,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-2000:]
    assert " passed" in ended.stdout
    assert "skipped" not in ended.stdout
