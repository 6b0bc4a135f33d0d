"""Find the data and the run directory: a flag, else the environment, else the usual place of this user."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from pathlib import Path

from hyperhive.config.directories import Directories, DirectoryError


def locate(
    data: str | None,
    run: str | None,
    environment: Mapping[str, str],
    *,
    uid: int | None = None,
) -> Directories:
    """Find both directories: a flag, else ``HYPERHIVE_DATA_DIR`` and ``HYPERHIVE_RUN_DIR``, else the usual place.

    Root: /var/lib/hyperhive and /run/hyperhive. Others: $XDG_STATE_HOME/hyperhive (default ~/.local/state) and
    $XDG_RUNTIME_DIR/hyperhive, or where that is unset /run/user/UID/hyperhive, or where that does not exist
    /tmp/hyperhive-UID. A relative XDG variable counts as unset, as the XDG specification asks.
    """
    user = os.geteuid() if uid is None else uid
    data_path, data_origin = _chosen(data, "--data-dir", environment) or _usual_data(user, environment)
    run_path, run_origin = _chosen(run, "--run-dir", environment) or _usual_run(user, environment)
    return Directories(data=data_path, run=run_path, data_origin=data_origin, run_origin=run_origin)


def _chosen(flag_value: str | None, flag: str, environment: Mapping[str, str]) -> tuple[Path, str] | None:
    name = "HYPERHIVE_" + flag.removeprefix("--").replace("-", "_").upper()
    given, origin = (environment.get(name), f"environment {name}") if flag_value is None else (flag_value, flag)
    if given is None:
        return None
    if not given.strip() or "\0" in given:
        raise DirectoryError(f"{origin} is {given!r}; right would be the path of a directory")
    try:
        return Path(given).expanduser().absolute(), origin
    except RuntimeError:
        raise DirectoryError(f"{origin} is {given!r}, and no home directory is known for its ~") from None


def _usual_data(uid: int, environment: Mapping[str, str]) -> tuple[Path, str]:
    if uid == 0:
        return Path("/var/lib/hyperhive"), "default"
    if (state := _xdg("XDG_STATE_HOME", environment)) is not None:
        return state / "hyperhive", "environment XDG_STATE_HOME"
    return _home(uid, environment) / ".local" / "state" / "hyperhive", "default"


def _usual_run(uid: int, environment: Mapping[str, str]) -> tuple[Path, str]:
    if uid == 0:
        return Path("/run/hyperhive"), "default"
    if (runtime := _xdg("XDG_RUNTIME_DIR", environment)) is not None:
        return runtime / "hyperhive", "environment XDG_RUNTIME_DIR"
    # su and cron do not set the variable, though the directory may well be there.
    session = Path(f"/run/user/{uid}")
    return (session / "hyperhive" if session.is_dir() else Path(f"/tmp/hyperhive-{uid}")), "default"  # noqa: S108 - create() refuses what another user laid there


def _xdg(name: str, environment: Mapping[str, str]) -> Path | None:
    path = Path(environment.get(name, ""))
    return path if path.is_absolute() else None


def _home(uid: int, environment: Mapping[str, str]) -> Path:
    home = environment.get("HOME", "")
    if home.startswith("/"):
        return Path(home)
    try:
        return Path(pwd.getpwuid(uid).pw_dir)
    except KeyError:
        raise DirectoryError(f"uid {uid} has no home directory; give --data-dir and --run-dir") from None
