"""Why bubblewrap is refused on a machine, and what to change there."""

from __future__ import annotations

import os
from pathlib import Path

import attrs

from hyperhive.runtimes.protocol import Probe

MISSING = Probe(
    ok=False,
    detail="bwrap is not installed.",
    remedy="Install the package bubblewrap (apt install bubblewrap, dnf install bubblewrap, pacman -S bubblewrap).",
)


@attrs.frozen(kw_only=True)
class Kernel:
    """The settings of this machine that decide over user namespaces; None where there is no such setting."""

    root: bool
    apparmor_restricts: int | None = None
    userns_clone: int | None = None
    max_user_namespaces: int | None = None


def kernel() -> Kernel:
    """Read this machine's settings."""
    return Kernel(
        root=os.geteuid() == 0,
        apparmor_restricts=_setting("kernel/apparmor_restrict_unprivileged_userns"),
        userns_clone=_setting("kernel/unprivileged_userns_clone"),
        max_user_namespaces=_setting("user/max_user_namespaces"),
    )


def diagnose(said: str, kernel: Kernel) -> Probe:
    """Return the likely cause of a refusal; ``said`` is the end of bubblewrap's output, which is always shown too."""
    words = said.strip() or "it said nothing"
    if kernel.max_user_namespaces == 0:
        cause = "This kernel allows no user namespaces (user.max_user_namespaces is 0)."
        remedy = "Set it: sysctl -w user.max_user_namespaces=15000, and in /etc/sysctl.d/ to keep it."
    elif kernel.userns_clone == 0 and not kernel.root:
        cause = "This kernel allows user namespaces to root alone (kernel.unprivileged_userns_clone is 0)."
        remedy = "Set it: sysctl -w kernel.unprivileged_userns_clone=1, and in /etc/sysctl.d/ to keep it."
    elif kernel.apparmor_restricts == 1 and not kernel.root:
        cause = "AppArmor keeps bwrap from user namespaces, as Ubuntu has it since 23.10."
        remedy = (
            "Give bwrap a profile that allows it (docs/runtimes.md has one, of three lines), "
            "or allow it to every program: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0."
        )
    elif "mount proc" in said or "Operation not permitted" in said or "Permission denied" in said:
        cause = "Something around this process forbids namespaces or mounts; containers do by default."
        remedy = (
            "In docker or podman, run it with --security-opt seccomp=unconfined --security-opt apparmor=unconfined "
            "--security-opt systempaths=unconfined."
        )
    else:
        cause = "bwrap failed."
        remedy = "Run the command that its message names by hand; 'hyperhive doctor' tries again."
    return Probe(ok=False, detail=f"{cause} It said: {words}", remedy=remedy)


def _setting(name: str) -> int | None:
    try:
        return int(Path("/proc/sys", name).read_text())
    except (OSError, ValueError):
        return None
