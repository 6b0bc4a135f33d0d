"""``hyperhive doctor``: what is present, what is not, what to do about it."""

from __future__ import annotations

import click

from hyperhive.cli.options import examples, json_option
from hyperhive.cli.places import places
from hyperhive.cli.terminal import safe, write, write_json


@click.command(
    epilog=examples("hyperhive doctor", "hyperhive doctor --json | jq '.checks[] | select(.state != \"ok\")'")
)
@json_option
@click.option("--quick", is_flag=True, help="Try only the runtime that is configured, not all.")
@places
def doctor(as_json: bool, quick: bool) -> int:  # noqa: FBT001 - click flags
    """Say what is present, what is not, and what to do about it.

    Exits 1 when something is missing without which the hive would not run. Changes nothing, but that podman, where it
    is installed, keeps the image that it was tried with, and nspawn the tree of a tarball that is its image.
    """
    from hyperhive.cli import checks  # noqa: PLC0415 - 60 ms that --help should not pay

    found = []
    for check in checks.every(quick=quick):
        found.append(check)
        if not as_json:
            # As they come: some take a second.
            write(_line(check))
    ok = not any(check.state == checks.FAIL for check in found)
    if as_json:
        write_json({"ok": ok, "checks": [check._asdict() for check in found]})
    return 0 if ok else 1


def _line(check: tuple[str, str, str, str]) -> str:
    name, state, said, remedy = check
    line = f"{state:<4}  {name:<14}  {safe(said)}"
    return f"{line}\n{'':>22}→ {safe(remedy)}" if remedy else line
