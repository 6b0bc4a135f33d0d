"""A fresh host for those who install hyperhive on it, one for all of them, and the wheels that they need."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from tests.host.booted import KEPT, REPOSITORY, Host, booted, image

REQUIREMENTS = REPOSITORY / "requirements/runtime.txt"
WHEELS = Path("/srv/wheels")
"""Where the host has them: whoever uses it may look there."""
DOWNLOAD = ("download", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version=3.11")


@pytest.fixture(scope="session")
def house() -> Path:
    """Return a directory with every package that hyperhive needs, for the Python of Debian 12; kept for later runs."""
    house = KEPT / f"wheels-{hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:16]}"
    KEPT.mkdir(parents=True, exist_ok=True)
    with FileLock(KEPT / "wheels.lock"):
        if not house.exists():
            partial = KEPT / "wheels.part"
            argv = (sys.executable, "-m", "pip", *DOWNLOAD, "-r", str(REQUIREMENTS), "-d", str(partial))
            subprocess.run(argv, check=True)
            partial.chmod(0o755)
            for file in partial.iterdir():
                file.chmod(0o644)
            for old in KEPT.glob("wheels-*"):
                shutil.rmtree(old)
            partial.rename(house)
    return house


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory where wheels of this checkout are built."""
    return tmp_path_factory.mktemp("built")


@pytest.fixture(scope="session")
def host(house: Path) -> Iterator[Host]:
    """Boot a fresh host that has the packages at hand, the tarball of a system, and nothing else."""
    with booted(shown={house: WHEELS, image(): Path("/var/lib/machines/hive.tar")}) as made:
        yield made


@pytest.fixture(scope="session")
def wheels(host: Host) -> Path:
    """Return where that host has every package that hyperhive needs."""
    assert (host.root / WHEELS.relative_to("/")).is_dir()
    return WHEELS
