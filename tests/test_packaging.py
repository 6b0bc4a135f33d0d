"""The wheel holds all that the source tree has of hyperhive, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
PACKAGES = ("hyperhive", "harness")


def sources(directory: str) -> set[str]:
    """Return the files of a directory that are part of the source: no caches, nothing that git ignores."""
    argv = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "--", directory)
    listed = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    names = listed.stdout.split("\n") if listed.returncode == 0 else map(str, (REPOSITORY / directory).rglob("*"))
    paths = {Path(REPOSITORY, name) for name in names if name and "__pycache__" not in name}
    return {str(path.relative_to(REPOSITORY)) for path in paths if path.is_file()}


def test_nothing_is_forgotten(tmp_path: Path) -> None:
    """Modules, migrations, templates, scripts, scenarios, the Containerfile; unit, users, directories of a host."""
    argv = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path))
    subprocess.run(argv, cwd=REPOSITORY, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    shared = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    assert set(shared) == sources("packaging")

    data = f"hyperhive-{project['project']['version']}.data/data"
    wanted = {name for package in PACKAGES for name in sources(package)}
    wanted |= {f"hyperhive/{name}" for name in sources("migrations")}
    wanted |= {f"{data}/{target}" for target in shared.values()}
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
        commands = archive.read(f"hyperhive-{project['project']['version']}.dist-info/entry_points.txt").decode()
    assert packed == wanted
    assert "hyperhive = hyperhive.cli.main:main" in commands
    kinds = {Path(name).suffix for name in packed}
    assert kinds >= {".py", ".html", ".js", ".css", ".sh", ".toml", ".service", ".conf"}
    assert "hyperhive/runtimes/Containerfile" in packed
