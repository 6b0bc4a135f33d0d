"""Puts the stand-in for NixOS's programs on a booted host, with the base's units as Nix itself evaluates them."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.host import nixos_stand_in as stand_in
from tests.host.booted import Host
from tests.runtimes.home import PROGRAM
from tests.runtimes.test_nix_modules import HERE, NIX_FILES, evaluated

PROGRAMS = ("nix", "nix-env", "nixos-container")


def install(host: Host, trees: Sequence[Path]) -> None:
    """Install it; ``trees`` are what containers see of the host besides, where NixOS has the store."""
    nix = shutil.which("nix-instantiate")
    if nix is None:
        pytest.skip("nix-instantiate is not installed (apt install nix-bin)")
    configs = {
        role: evaluated(nix, f"import {HERE}/stand_in.nix", f's.base base "{name}"')
        for role, name in (("agent", "h-coder"), ("manager", "h-manager"))
    }
    text = json.dumps(configs).replace("/nix/bash/bin/bash", "/bin/bash")
    place = host.root / stand_in.HERE.relative_to("/")
    place.mkdir(parents=True)
    # The scripts beside the base, which Nix would copy into the store.
    for path in set(re.findall(r"/nix/store/[a-z0-9]+-(?:keep|power_off)\.sh", text)):
        copy = stand_in.STORE / Path(path).name
        name = path.rpartition("-")[2]
        (host.root / copy.relative_to("/")).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(NIX_FILES.parent / "hyperhive/runtimes" / name, host.root / copy.relative_to("/"))
    (place / "base.json").write_text(text)
    (place / "trees").write_text("".join(f"{tree}\n" for tree in (*trees, stand_in.HERE)))
    (place / "harness").write_text(f"#!/bin/sh\nexec {shlex.join(PROGRAM)}\n")
    shutil.copy(stand_in.__file__, place / "container-start")
    for name in PROGRAMS:
        shutil.copy(stand_in.__file__, host.root / "usr/local/bin" / name)
    for path in (place / "harness", place / "container-start", *(host.root / "usr/local/bin" / n for n in PROGRAMS)):
        path.chmod(0o755)
    (host.root / "etc/systemd/system/container@.service").write_text(stand_in.UNIT)
    host.run("systemctl", "daemon-reload")
