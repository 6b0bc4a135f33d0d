"""A runtime is had by its name, with the reason where it does not work, and never another one instead."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hyperhive.runtimes import diagnosis
from hyperhive.runtimes.choose import NAMES, STRENGTH, build, choose
from hyperhive.runtimes.diagnosis import Kernel, diagnose
from hyperhive.runtimes.protocol import RuntimeUnavailable, UnknownRuntime

REFUSED = "bwrap: setting up uid map: Permission denied\n"

CHOOSE = """
import asyncio, sys
from pathlib import Path
from hyperhive.runtimes.choose import choose
from hyperhive.runtimes.protocol import RuntimeUnavailable
try:
    runtime, _ = asyncio.run(choose(sys.argv[1], run_dir=Path(sys.argv[2]), hive="h"))
except RuntimeUnavailable as error:
    print(error)
else:
    print("chose", runtime.name)
"""


def _only_programs_of(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the runtimes find no programs but these."""
    for module in ("bubblewrap", "podman", "nspawn", "nixos"):
        monkeypatch.setattr(f"hyperhive.runtimes.{module}.HOST_PATH", str(directory))


class TestChoose:
    """By name."""

    def test_unknown(self, tmp_path: Path) -> None:
        """A name that is none is an error with those that are."""
        with pytest.raises(UnknownRuntime, match=r"'docker'.*bubblewrap, podman, nspawn, nixos, process, auto"):
            asyncio.run(choose("docker", run_dir=tmp_path, hive="h"))

    def test_process(self, tmp_path: Path) -> None:
        """Who asks for no isolation by name gets it, and is told."""
        runtime, _ = asyncio.run(choose("process", run_dir=tmp_path, hive="h"))
        assert (runtime.name, runtime.isolated) == ("process", False)
        assert "nothing keeps them" in asyncio.run(runtime.probe()).detail

    @pytest.mark.parametrize("name", ["auto", "bubblewrap"])
    def test_missing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        """Without bwrap neither `auto` nor its own name ends in another runtime: the package is named."""
        _only_programs_of(tmp_path, monkeypatch)
        with pytest.raises(RuntimeUnavailable, match=r"not installed.*apt install bubblewrap"):
            asyncio.run(choose(name, run_dir=tmp_path, hive="h"))

    def test_broken(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A bwrap that cannot do its work is refused with its own words."""
        broken = tmp_path / "bwrap"
        broken.write_text("#!/bin/sh\necho 'bwrap: it is broken' >&2\nexit 1\n")
        broken.chmod(0o755)
        _only_programs_of(tmp_path, monkeypatch)
        with pytest.raises(RuntimeUnavailable, match="bwrap: it is broken"):
            asyncio.run(choose("auto", run_dir=tmp_path, hive="h"))

    def test_refused_by_the_kernel(self, tmp_path: Path) -> None:
        """On a kernel that really allows no user namespaces the setting is named."""
        unshare = shutil.which("unshare")
        forbid = 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"'
        confined = (unshare or "unshare", "--user", "--map-root-user", "sh", "-c", forbid, "sh")
        if (
            shutil.which("bwrap") is None
            or subprocess.run((*confined, "true"), capture_output=True, check=False).returncode
        ):
            pytest.skip("this machine has no bwrap, or no way to make a place without user namespaces")
        argv = (*confined, sys.executable, "-c", CHOOSE, "auto", str(tmp_path))
        said = subprocess.run(argv, capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)})
        assert "bubblewrap does not work here" in said.stdout
        assert "sysctl -w user.max_user_namespaces" in said.stdout

    def test_strength(self) -> None:
        """`auto` knows every runtime that isolates, and no other."""
        isolating = {name for name in NAMES if build(name, run_dir=Path("/nowhere"), hive="h").isolated}
        assert set(STRENGTH) == isolating
        assert len(STRENGTH) == len(isolating)

    @pytest.mark.skipif(shutil.which("podman") is None, reason="podman is not installed")
    def test_the_next_that_works(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where bubblewrap does not work, `auto` takes podman, which keeps agents in as well."""
        monkeypatch.setattr("hyperhive.runtimes.bubblewrap.HOST_PATH", str(tmp_path))
        runtime, probe = asyncio.run(choose("auto", run_dir=tmp_path, hive="h"))
        assert (runtime.name, runtime.isolated, probe.ok) == ("podman", True, True)


class TestDiagnose:
    """The likely cause, with a remedy."""

    @pytest.mark.parametrize(
        ("kernel", "said", "remedy"),
        [
            (Kernel(root=False, max_user_namespaces=0), REFUSED, "sysctl -w user.max_user_namespaces=15000"),
            (Kernel(root=True, max_user_namespaces=0), REFUSED, "sysctl -w user.max_user_namespaces=15000"),
            (Kernel(root=False, userns_clone=0), REFUSED, "sysctl -w kernel.unprivileged_userns_clone=1"),
            (Kernel(root=False, apparmor_restricts=1), REFUSED, "kernel.apparmor_restrict_unprivileged_userns=0"),
            (Kernel(root=True, apparmor_restricts=1, userns_clone=0), REFUSED, "systempaths=unconfined"),
            (Kernel(root=False), "bwrap: Can't mount proc on /newroot/proc: …", "systempaths=unconfined"),
            (Kernel(root=False), "bwrap: Unknown option --ro-bind", "doctor"),
            (Kernel(root=False), "", "doctor"),
        ],
    )
    def test_remedy(self, kernel: Kernel, said: str, remedy: str) -> None:
        """Each cause has a remedy of its own, and bubblewrap's words are always there."""
        probe = diagnose(said, kernel)
        assert not probe.ok
        assert remedy in probe.remedy
        assert (said.strip() or "it said nothing") in probe.detail

    def test_this_kernel(self) -> None:
        """The settings of this machine can be read."""
        assert diagnosis.kernel().max_user_namespaces is not None
