"""The composition root: builds a daemon out of every room, runs it, and takes it apart again."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import secrets
import signal
import sys
import time
from pathlib import Path

import filelock
import structlog

from hyperhive._version import version
from hyperhive.commands.agents import SpawnAgent
from hyperhive.commands.daemon import CreateHive, RecordDaemonStart, RecordDaemonStop
from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.config import Config, Directories
from hyperhive.events.envelope import DAEMON, MANAGER
from hyperhive.events.log import Log, LogDamaged, LogFailed, read_only
from hyperhive.homes import Homes
from hyperhive.projections import database, mirror
from hyperhive.projections.messages import MESSAGES, Message
from hyperhive.reactors.adoption import adopt
from hyperhive.reactors.crash_watch import CrashWatch
from hyperhive.reactors.lifecycle import Home, Lifecycle
from hyperhive.reactors.loop import every
from hyperhive.rehearsal.scenario import ScenarioError, load_scenario
from hyperhive.rehearsal.server import Rehearsal, serve_rehearsal
from hyperhive.runtimes.choose import choose
from hyperhive.runtimes.protocol import Runtime, RuntimeTrouble
from hyperhive.sessions import Sessions
from hyperhive.sockets import host as host_socket
from hyperhive.sockets.agent import Host
from hyperhive.sockets.lines import LineServer, Protocol
from hyperhive.sockets.streams import TurnStreams
from hyperhive.web.listener import HttpServer, PortTaken, bind
from hyperhive.web.site import Site, site

log = structlog.get_logger("daemon")

GRACE_SECONDS = 10.0
"""What a harness gets between SIGTERM and SIGKILL; it interrupts its turn and reports within five."""


class CannotServe(Exception):  # noqa: N818
    """Why a daemon does not start; its text says what would help."""


def serve(config: Config, directories: Directories, *, rehearse: Path | None) -> int:
    """Run a daemon until SIGTERM or SIGINT; return the exit code. Agents run on."""
    lock = filelock.FileLock(directories.lock_file, blocking=False)
    try:
        with lock:
            database.upgrade(directories.hive_db)
            asyncio.run(_serve(config, directories, rehearse))
    except filelock.Timeout:
        _say(f"another daemon runs on {directories.data}; stop it, or choose another --data-dir")
        return 1
    except (
        CannotServe,
        database.WrongRevision,
        LogDamaged,
        LogFailed,
        PortTaken,
        RuntimeTrouble,
        ScenarioError,
        OSError,
    ) as error:
        _say(str(error))
        return 1
    return 0


def _say(text: str) -> None:
    print(f"hyperhive: {text}", file=sys.stderr)  # noqa: T201 - the last word of a daemon that does not run


async def _serve(config: Config, directories: Directories, rehearse: Path | None) -> None:
    _raise_file_limit()
    journal, hive = database.open_hive(directories.hive_db)
    failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    dispatcher = Dispatcher(
        journal,
        hive,
        clock=_now,
        on_failure=lambda error: None if failure.done() else failure.set_exception(error),
    )
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(journal.close)
        hive_id = await _identity(dispatcher, journal)
        runtime = await choose(config.runtime, run_dir=directories.run, hive=hive_id)
        await dispatcher.dispatch(RecordDaemonStart(actor=DAEMON, release=version(), runtime=runtime.name))
        rehearsal = await _rehearsal(rehearse, directories, stack)
        daemon = await _compose(config, directories, dispatcher, runtime, rehearsal, stack)
        stop = _stop_signal()
        log.info("serving", url=daemon, runtime=runtime.name, data=str(directories.data), agents=len(hive.agents))
        done, _ = await asyncio.wait({stop, failure}, return_when=asyncio.FIRST_COMPLETED)
        if failure in done:
            log.critical("log_failed", error=str(failure.exception()))
            failure.result()
        log.info("stopping")
        await dispatcher.dispatch(RecordDaemonStop(actor=DAEMON))


async def _identity(dispatcher: Dispatcher, journal: Log) -> str:
    """Return the hive's id, making it with the first fact."""
    await dispatcher.dispatch(CreateHive(actor=DAEMON, hive=secrets.token_hex(8)))
    return str(journal.read(1, 1)[0].event.hive)


async def _rehearsal(
    scenario: Path | None,
    directories: Directories,
    stack: contextlib.AsyncExitStack,
) -> Rehearsal | None:
    """Serve a scenario on the port it had before: warm sessions of agents that outlived a daemon still ask there."""
    if scenario is None:
        return None
    kept = directories.run / "rehearsal.port"
    port = int(kept.read_text()) if kept.exists() else 0
    rehearsal = await serve_rehearsal(load_scenario(scenario), port=port, on_unmatched=_say_unmatched)
    kept.write_text(str(rehearsal.port))
    stack.push_async_callback(rehearsal.aclose)
    return rehearsal


def _say_unmatched(unmatched: object) -> None:
    log.error("rehearsal_unmatched", request=str(unmatched))


async def _compose(
    config: Config,
    directories: Directories,
    dispatcher: Dispatcher,
    runtime: Runtime,
    rehearsal: Rehearsal | None,
    stack: contextlib.AsyncExitStack,
) -> str:
    """Open every surface and begin every reactor; return the address of the HTTP server."""
    reader = read_only(directories.hive_db)
    stack.callback(reader.close)
    streams = TurnStreams(directories.stream_db)
    stack.callback(streams.close)

    def recent(name: str, limit: int) -> list[Message]:
        clause = 'WHERE "to" = ? ORDER BY id DESC LIMIT ?'
        return [row for _, row in mirror.read_rows(reader, MESSAGES, clause, (name, limit))]

    sessions = Sessions(
        hive=dispatcher.hive,
        claude=config.claude,
        isolated=runtime.isolated,
        rehearsal_url=rehearsal.url if rehearsal is not None else None,
    )
    host = Host(dispatcher=dispatcher, streams=streams, recent=recent, session=sessions)
    homes = Homes(directories, lambda: host, streams, max_connections=config.limits.connections_per_socket)
    stack.push_async_callback(homes.close_all)
    for agent in dispatcher.hive.agents.values():
        if agent.running or agent.pending is not None:
            await homes.open(agent.name)
    http_host, http_port = config.listen_address
    listener = await bind(http_host, http_port)
    address = "{}:{}".format(*listener.getsockname()[:2])
    await _open_host_socket(config, directories, dispatcher, homes, runtime, recent, address, stack)
    await _open_http(dispatcher, directories, listener, address, stack)
    await adopt(dispatcher, runtime, grace_seconds=GRACE_SECONDS)
    lifecycle = Lifecycle(
        dispatcher,
        runtime,
        Home(prepare=homes.prepare, clear=homes.clear, close=homes.close),
        parallel=config.limits.parallel_actions,
        deadline_seconds=config.limits.action_seconds,
        grace_seconds=GRACE_SECONDS,
    )
    watch = CrashWatch(dispatcher, runtime)
    for work in (lifecycle.run(), every(config.crash_watch.interval_seconds, watch.tick, name="crash_watch")):
        stack.push_async_callback(_end, asyncio.create_task(work))
    if config.manager and MANAGER.name not in dispatcher.hive.agents:
        await dispatcher.dispatch(SpawnAgent(actor=DAEMON, agent=MANAGER.name))
    return f"http://{address}"


async def _open_host_socket(
    config: Config,
    directories: Directories,
    dispatcher: Dispatcher,
    homes: Homes,
    runtime: Runtime,
    recent: object,
    address: str,
    stack: contextlib.AsyncExitStack,
) -> None:
    daemon = host_socket.Daemon(
        dispatcher=dispatcher,
        recent=recent,
        log_path=lambda name: str(directories.agent_log(name)),
        login=lambda name: _login(name, homes, dispatcher, runtime),
        home_url=f"http://{address}/",
    )
    server = LineServer(
        directories.host_sock,
        host_socket.HostSocket(daemon),
        Protocol(error=host_socket.error, ids=False),
        mode=0o660,
        max_connections=config.limits.connections_per_socket,
    )
    await server.open()
    stack.push_async_callback(server.close)


async def _open_http(
    dispatcher: Dispatcher,
    directories: Directories,
    listener: object,
    address: str,
    stack: contextlib.AsyncExitStack,
) -> None:
    port = address.rsplit(":", 1)[1]
    hosts = frozenset({address, f"localhost:{port}", f"127.0.0.1:{port}"})
    pages = site(Site(hive=dispatcher.hive, token=_token(directories.token_file), hosts=hosts))
    http = HttpServer(pages, listener)
    await http.open()
    stack.push_async_callback(http.close)


async def _login(name: str, homes: Homes, dispatcher: Dispatcher, runtime: Runtime) -> list[str]:
    """Return the command that runs Claude's own login where this agent's programs run."""
    spec = await homes.prepare(name, dispatcher.hive.agents[name].generation)
    return list(await runtime.command(spec, ("claude", "/login")))


def _token(path: Path) -> str:
    """Return the operator's token, making it (0600) at the first start."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(32) + "\n")
    return path.read_text().strip()


def _stop_signal() -> asyncio.Future[None]:
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[None] = loop.create_future()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: None if stop.done() else stop.set_result(None))
    return stop


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _raise_file_limit() -> None:
    """Allow as many open files as the system does: every agent has a socket with up to 64 connections."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _now() -> int:
    return time.time_ns() // 1_000
