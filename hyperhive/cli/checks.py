"""What `hyperhive doctor` looks at, one function each; a look changes nothing."""

from __future__ import annotations

import asyncio
import errno
import importlib.util
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from hyperhive.cli import client, places
from hyperhive.config import (
    BadCredentials,
    Config,
    ConfigError,
    Directories,
    DirectoryError,
    load_credentials,
)
from hyperhive.config.directories import check_root, check_run_length

OK, WARN, FAIL, NOTE = "ok", "warn", "fail", "note"
_CONFINE = 'runtime = "auto" confines agents'
_OLDEST_PYTHON = (3, 11)
_VERSION_SECONDS = 20
_GIB = 1024**3
_LOW_BYTES = 2 * _GIB
_TOO_LOW_BYTES = _GIB // 10
_LOGIN = "agents/*/state/.claude/.credentials.json"


class Check(NamedTuple):
    """What one look found; ``remedy`` says what to do, where there is something to do."""

    name: str
    state: str
    found: str
    remedy: str = ""


def every(*, quick: bool = False) -> Iterator[Check]:
    """Look at everything, in the order in which a hive needs it; quickly: only at the runtime that is configured."""
    yield python()
    try:
        directories = places.directories()
    except DirectoryError as error:
        yield Check("directories", FAIL, str(error), "name both with --data-dir and --run-dir")
        return
    try:
        config = places.configuration(directories)
        file, _named = places.config_file(directories)
        yield Check("configuration", OK, str(file) if file.exists() else f"defaults ({file} does not exist)")
    except ConfigError as error:
        yield Check("configuration", FAIL, str(error), "hyperhive config --explain lists the keys; below: the defaults")
        config = Config()
    yield data_directory(directories)
    yield run_directory(directories)
    yield disk(directories)
    yield database(directories)
    confined = sandbox(config, directories)
    yield confined
    if not quick:
        yield from runtimes(config, directories)
    if confined.state != FAIL:
        yield accepted(config, confined.found.partition(":")[0])
    yield git()
    yield claude(config)
    yield credentials(config, directories)
    running = daemon(directories)
    yield running
    yield port(config, running=running.state == OK)


def python() -> Check:
    """Look at the interpreter."""
    found = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info < _OLDEST_PYTHON:
        return Check("python", FAIL, found, "install Python 3.11 or newer")
    return Check("python", OK, found)


def git() -> Check:
    """Look for the program that keeps configurations."""
    from hyperhive.repositories.git import find_git  # noqa: PLC0415 - nothing else here needs it

    found = find_git()
    if found is None:
        return Check("git", FAIL, "no git program", "install git: configurations are kept in repositories")
    return Check("git", OK, found)


def data_directory(directories: Directories) -> Check:
    """Look whether the data directory can be written, or made."""
    try:
        check_root(directories.data, "--data-dir")
    except DirectoryError as error:
        return Check("data directory", FAIL, str(error), "choose one that is yours with --data-dir")
    return Check("data directory", OK, _there(directories.data))


def run_directory(directories: Directories) -> Check:
    """Look whether the run directory can be written, or made, and is short enough for a socket."""
    try:
        check_run_length(directories.run)
        check_root(directories.run, "--run-dir")
    except DirectoryError as error:
        return Check("run directory", FAIL, str(error), "choose a short one that is yours with --run-dir")
    return Check("run directory", OK, _there(directories.run))


def disk(directories: Directories) -> Check:
    """Look for room: a full disk stops the hive, because nothing is acknowledged that is not on it."""
    place = next(parent for parent in (directories.data, *directories.data.parents) if parent.exists())
    free = shutil.disk_usage(place).free
    found = f"{free / _GIB:.1f} GiB free for {directories.data}"
    if free >= _LOW_BYTES:
        return Check("disk", OK, found)
    state = WARN if free >= _TOO_LOW_BYTES else FAIL
    return Check("disk", state, found, "make room, or choose another place with --data-dir")


def database(directories: Directories) -> Check:
    """Look at the revision of the log's file."""
    from hyperhive.projections.database import WrongRevision, current_revision, head_revision  # noqa: PLC0415 - SQLAlchemy

    path, head = directories.hive_db, head_revision()
    try:
        revision = current_revision(path)
    except (WrongRevision, OSError) as error:
        return Check("database", FAIL, str(error), f"look who owns {path}, and whether it is a hive's")
    if revision is None:
        return Check("database", OK, f"none yet; serve makes {path}")
    if revision > head:
        return Check(
            "database", FAIL, f"{path} is at revision {revision}, this release knows {head}", "upgrade hyperhive"
        )
    return Check(
        "database", OK, f"{path}, revision {revision}" + ("" if revision == head else f"; serve brings it to {head}")
    )


def sandbox(config: Config, directories: Directories) -> Check:
    """Try for real whether agents can be confined here, or whether that was given up by name."""
    from hyperhive.runtimes.choose import choose  # noqa: PLC0415 - structlog, 0.3 s
    from hyperhive.runtimes.protocol import RuntimeUnavailable  # noqa: PLC0415 - likewise

    with tempfile.TemporaryDirectory(prefix="hyperhive-doctor-") as place:
        try:
            runtime, probe = asyncio.run(
                choose(
                    config.runtime,
                    run_dir=Path(place),
                    hive="doctor",
                    image=config.nspawn.image,
                    images=directories.images,
                )
            )
        except RuntimeUnavailable as error:
            away = "or give the sandbox up with --runtime process"
            return Check("sandbox", FAIL, f"{error.name}: {error.probe.detail}", f"{error.probe.remedy} {away}".strip())
    found = f"{runtime.name}: {probe.detail}"
    return Check("sandbox", OK, found) if runtime.isolated else Check("sandbox", WARN, found, _CONFINE)


def runtimes(config: Config, directories: Directories) -> Iterator[Check]:
    """Try every runtime, for an agent that is to be moved; what does not work here says why."""
    from hyperhive.runtimes.choose import NAMES, build  # noqa: PLC0415 - as above

    with tempfile.TemporaryDirectory(prefix="hyperhive-doctor-") as place:
        for name in NAMES:
            runtime = build(
                name, run_dir=Path(place), hive="doctor", image=config.nspawn.image, images=directories.images
            )
            probe = asyncio.run(runtime.probe())
            yield Check(f"  {name}", NOTE, f"{'works' if probe.ok else 'does not work'}: {probe.detail}", probe.remedy)


def accepted(config: Config, chosen: str) -> Check:
    """Say what the chosen runtime does not refuse an agent, and what the network lets it reach."""
    from hyperhive.runtimes.confinement import EgressPolicy  # noqa: PLC0415 - as above
    from hyperhive.runtimes.weaknesses import ACCEPTED, ATTEMPTS  # noqa: PLC0415 - as above

    known = ACCEPTED.get(chosen, {})
    words = "everything" if known.keys() == ATTEMPTS.keys() else "; ".join(ATTEMPTS[name] for name in known)
    if EgressPolicy(config.egress.default) is EgressPolicy.HOST and words != "everything":
        words += "; whatever the host's own network allows (egress.default is host)"
    return Check("accepted", NOTE, f"an agent in {chosen} can: {words or 'nothing that is tried'}", "docs/runtimes.md")


def claude(config: Config) -> Check:
    """Look for the `claude` program and run it."""
    program = config.claude.path or bundled_claude() or shutil.which("claude")
    if program is None:
        return Check("claude", FAIL, "no claude program", "pip install claude-agent-sdk brings one; or set claude.path")
    remedy = (
        "set claude.path to one that runs" if config.claude.path else "reinstall claude-agent-sdk, or set claude.path"
    )
    # A home of its own: a first run writes its settings there.
    with tempfile.TemporaryDirectory(prefix="hyperhive-doctor-") as home:
        try:
            ended = subprocess.run(
                [str(program), "--version"],
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=_VERSION_SECONDS,
                env={"HOME": home, "PATH": "/usr/local/bin:/usr/bin:/bin"},
                check=False,
            )
        except OSError as error:
            return Check("claude", FAIL, f"{program} does not start: {error.strerror}", remedy)
        except subprocess.TimeoutExpired:
            return Check("claude", FAIL, f"{program} --version took over {_VERSION_SECONDS} s", remedy)
    said = (ended.stdout or ended.stderr).decode(errors="backslashreplace").strip().splitlines()
    if ended.returncode != 0:
        return Check("claude", FAIL, f"{program} --version ended with {ended.returncode}: {' '.join(said[:1])}", remedy)
    return Check("claude", OK, f"{' '.join(said[:1])} at {program}")


def bundled_claude() -> Path | None:
    """Find the program in the SDK's wheel without importing the SDK, which takes a second."""
    spec = importlib.util.find_spec("claude_agent_sdk")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "_bundled" / "claude"
    return path if path.is_file() else None


def credentials(config: Config, directories: Directories) -> Check:
    """Look for the hive's credentials or a login of an agent; none is needed for a rehearsal."""
    if config.claude.credentials_file is not None:
        try:
            (name,) = load_credentials(config.claude.credentials_file)
        except BadCredentials as error:
            return Check("credentials", FAIL, str(error), "mend the file, or unset claude.credentials_file")
        return Check("credentials", OK, f"{name} in {config.claude.credentials_file}, for the whole hive")
    try:
        logged_in = sorted(path.parents[2].name for path in directories.data.glob(_LOGIN))
    except OSError:
        logged_in = []
    if logged_in:
        return Check("credentials", OK, f"logins of {', '.join(logged_in)}")
    return Check(
        "credentials",
        WARN,
        "none for the hive, and no agent is logged in",
        "hyperhive login NAME, or name a file in claude.credentials_file; serve --rehearse needs neither",
    )


def daemon(directories: Directories) -> Check:
    """Look whether a daemon answers."""
    try:
        agents = client.ask(directories.host_sock, {"cmd": "list"}).get("agents", [])
    except client.NotRunning:
        return Check("daemon", WARN, f"not running (no answer at {directories.host_sock})", "hyperhive serve")
    except (client.Unanswered, client.NotAllowed, client.Refused) as error:
        return Check("daemon", FAIL, str(error), "look at its log; stop it and start it again")
    return Check("daemon", OK, f"answers at {directories.host_sock}, {len(agents)} agents")


def port(config: Config, *, running: bool) -> Check:
    """Look whether the address can be listened on."""
    host, number = config.listen_address
    try:
        (family, kind, protocol, _name, address), *_ = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE and running:
            return Check("port", OK, f"{config.listen} is in use, as it should be while the daemon runs")
        return Check(
            "port",
            FAIL,
            f"{config.listen}: {error.strerror}",
            "stop what listens there, or choose another with --listen",
        )
    return Check("port", OK, f"{config.listen} is free")


def _there(directory: Path) -> str:
    return str(directory) if directory.exists() else f"{directory} (serve makes it)"
