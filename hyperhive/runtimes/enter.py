"""The last steps on the host's side of a sandbox: into its cgroups, and with its filter of system calls in hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hyperhive.runtimes.keeper import SHELL

FILTER_FD = 9
"""The highest that every shell can open by number."""
ENTER = (
    'groups=$1; shift; while [ "$groups" -gt 0 ]; do echo 0 >"$1/cgroup.procs" || exit 125; shift; '
    'groups=$((groups - 1)); done; exec 9<"$0" || exit 125; exec "$@"'
)


def enter_argv(argv: Sequence[str], *, groups: Sequence[Path], filter_file: Path) -> tuple[str, ...]:
    """Return a command line that enters these groups, opens the filter as `FILTER_FD`, and becomes ``argv``."""
    return (SHELL, "-c", ENTER, str(filter_file), str(len(groups)), *map(str, groups), *argv)
