"""The composition root: builds a daemon out of every room, runs it, and takes it apart again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import secrets
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy.exc import DBAPIError

from hyperhive import diagnostics
from hyperhive._version import version
from hyperhive.claude import ClaudeMissing, find_claude
from hyperhive.commands.agents import SpawnAgent
from hyperhive.commands.daemon import CreateHive, RecordDaemonStart, RecordDaemonStop
from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.commands.errors import Invalid, Refused, Unavailable
from hyperhive.config import Config, Directories, DirectoryError
from hyperhive.daemon.alone import AnotherDaemon, alone
from hyperhive.daemon.archivist import Archivist
from hyperhive.daemon.journal import Journal
from hyperhive.daemon.narrate import narrate
from hyperhive.daemon.notify import Notifier
from hyperhive.daemon.remembering import INTERVAL_SECONDS as CHECKPOINT_SECONDS
from hyperhive.daemon.remembering import Remembering
from hyperhive.daemon.sessions import Sessions, configured_model
from hyperhive.daemon.settings import Settings
from hyperhive.daemon.signals import listen_to_signals
from hyperhive.egress.policy import model_of
from hyperhive.egress.proxy import Proxy
from hyperhive.egress.telling import Telling
from hyperhive.events.envelope import DAEMON, MANAGER
from hyperhive.events.log import LogDamaged, LogFailed, LogFull
from hyperhive.homes.homes import Homes
from hyperhive.homes.ports import current
from hyperhive.homes.tombstones import Tombstones
from hyperhive.projections import database
from hyperhive.projections.history import History
from hyperhive.projections.identity import mark_of
from hyperhive.proposals.proposals import Proposals
from hyperhive.reactors.adoption import adopt
from hyperhive.reactors.applier import Applier
from hyperhive.reactors.crash_watch import CrashWatch
from hyperhive.reactors.deadlines import Deadlines
from hyperhive.reactors.lifecycle import Home, Lifecycle
from hyperhive.reactors.loop import Interval, every
from hyperhive.reactors.retention import INTERVAL_SECONDS, Retention
from hyperhive.rehearsal.scenario import ScenarioError, load_scenario
from hyperhive.rehearsal.server import serve_rehearsal
from hyperhive.repositories.repositories import Repositories
from hyperhive.runtimes.choose import build, choose, used
from hyperhive.runtimes.protocol import RuntimeTrouble, RuntimeUnavailable, UnknownRuntime
from hyperhive.runtimes.several import Several
from hyperhive.sockets import host as host_socket
from hyperhive.sockets.agent import Host
from hyperhive.sockets.lines import LineServer, Protocol
from hyperhive.sockets.streams import TurnStreams
from hyperhive.web import exposure
from hyperhive.web.agent_page import agent_ways
from hyperhive.web.agent_ports import AgentPorts, Place
from hyperhive.web.connections import Connections
from hyperhive.web.links import Links
from hyperhive.web.listener import HttpServer, PortTaken, bind
from hyperhive.web.site import Site, past_of, site
from hyperhive.web.static import static_way
from hyperhive.web.token import ShortToken, operator_token

log = structlog.get_logger("daemon")

DRAIN_SECONDS = 2.0
"""For open requests to be answered once the daemon is told to stop."""


def serve(
    config: Config, directories: Directories, *, rehearse: Path | None, read: Callable[[], Config] | None = None
) -> int:
    """Run a daemon until SIGTERM or SIGINT; return the exit code. Agents run on.

    ``read`` is what SIGHUP asks for the configuration; without it that stays as it is.
    """
    os.umask(0o077)  # whatever is made here, also by an agent, is for this user alone
    try:
        exposure.check(config)
        with alone(directories.lock_file, "--data-dir"), alone(directories.run / "run.lock", "--run-dir"):
            database.upgrade_apart(directories.hive_db)
            asyncio.run(_serve(Settings(config, read or (lambda: config)), directories, rehearse))
    except (sqlite3.Error, DBAPIError) as error:
        reason = error.orig if isinstance(error, DBAPIError) else error
        _say(f"{directories.hive_db} cannot be used: {reason}")
        return 1
    except (
        AnotherDaemon,
        ClaudeMissing,
        DirectoryError,
        exposure.Exposed,
        database.WrongRevision,
        LogDamaged,
        LogFailed,
        LogFull,
        PortTaken,
        Refused,
        RuntimeTrouble,
        ScenarioError,
        ShortToken,
        OSError,
    ) as error:
        _say(str(error))
        return 1
    return 0


def say_how_to_look(link: str) -> None:
    """Give whoever started the daemon on a terminal a link that logs in; a journal gets none, since it is a secret."""
    if sys.stdout.isatty():
        print(f"open {link}", flush=True)  # noqa: T201 - for the person who is there


def _say(text: str) -> None:
    print(f"hyperhive: {text}", file=sys.stderr)  # noqa: T201 - the last word of a daemon that does not run


async def _serve(settings: Settings, directories: Directories, rehearse: Path | None) -> None:
    _raise_file_limit()
    notifier = Notifier.of(os.environ)
    settings.follow(lambda config: diagnostics.configure(level=config.log.level, format=config.log.format))
    stop = listen_to_signals(lambda: _reload(settings, notifier))
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    journal, hive = database.open_hive(directories.hive_db)
    with contextlib.closing(journal):
        dispatcher = Dispatcher(
            journal,
            hive,
            clock=_now,
            on_failure=lambda error: None if failed.done() else failed.set_exception(error),
        )
        dispatcher.listen(narrate)
        hive_id = await _identity(dispatcher)
        image = settings.config.nspawn.image
        flake = settings.config.nixos.flake
        images = directories.images
        default, probe = await choose(
            settings.config.runtime, run_dir=directories.run, hive=hive_id, image=image, images=images, flake=flake
        )
        log.info("runtime_chosen", runtime=default.name, asked=settings.config.runtime, found=probe.detail)
        runtime = Several(
            default,
            build=lambda name: build(
                name, run_dir=directories.run, hive=hive_id, image=image, images=images, flake=flake
            ),
            used=used(directories.run),
            chosen=lambda name: agent.runtime if (agent := hive.agents.get(name)) is not None else None,
        )
        await dispatcher.dispatch(RecordDaemonStart(actor=DAEMON, release=version(), runtime=runtime.name))
        async with contextlib.AsyncExitStack() as stack:
            watching = asyncio.create_task(notifier.watch())
            stack.push_async_callback(_end, watching)
            daemon = Daemon(settings, directories, dispatcher, runtime, stack)
            try:
                await _run(daemon, rehearse, notifier, stop, failed)
            finally:
                notifier.stopping()
                log.info("stopping")
                # Also where the log has failed: who asked before is told so, rather than cut off.
                await daemon.drain()
        # Every surface and reactor has ended: nothing can follow this fact.
        await dispatcher.dispatch(RecordDaemonStop(actor=DAEMON))


async def _run(
    daemon: Daemon,
    rehearse: Path | None,
    notifier: Notifier,
    stop: asyncio.Future[None],
    failed: asyncio.Future[None],
) -> None:
    """Open the daemon and wait for the signal that stops it, which may come before it is open.

    Raises what broke: the log, or a reactor, without which the hive would only seem to live.
    """
    opening = asyncio.create_task(daemon.open(rehearse))
    await asyncio.wait({opening, stop, failed}, return_when=asyncio.FIRST_COMPLETED)
    await _end(opening)
    if not opening.cancelled():
        daemon.say_serving()
        notifier.ready()
    ended, _ = await asyncio.wait({stop, failed, *daemon.reactors}, return_when=asyncio.FIRST_COMPLETED)
    for end in ended:
        end.result()


class Daemon:
    """Every surface and reactor of one hive; whatever it opens, ``stack`` closes in the opposite order."""

    def __init__(
        self,
        settings: Settings,
        directories: Directories,
        dispatcher: Dispatcher,
        runtime: Several,
        stack: contextlib.AsyncExitStack,
    ) -> None:
        self._settings = settings
        self._directories = directories
        self._dispatcher = dispatcher
        self._runtime = runtime
        self._stack = stack
        self._history = History(directories.hive_db)
        stack.callback(self._history.close)
        self._streams = TurnStreams(directories.stream_db)
        stack.callback(self._streams.close)
        self._tombstones = Tombstones(dispatcher, directories.data)
        repositories = Repositories(directories.data)
        repositories.clean_up()
        flake = settings.config.nixos.flake
        self._proposals = Proposals(dispatcher, repositories, self._history, flake=flake)
        self._token = operator_token(directories.token_file)
        self.ready = False
        """Whether everything is open."""
        self.url = ""
        """Where people find the HTTP server, once it is open."""
        self.listening = ""
        self.reactors: list[asyncio.Task[None]] = []
        self._drains: list[Callable[[float], Awaitable[None]]] = []

    @property
    def _config(self) -> Config:
        return self._settings.config

    async def drain(self) -> None:
        """Answer what is asked, long polls at once, and take nothing more."""
        self.ready = False
        self._dispatcher.release()
        await asyncio.gather(*(drain(DRAIN_SECONDS) for drain in self._drains))

    async def open(self, rehearse: Path | None) -> None:
        """Open the surfaces, take over the containers that run, begin the reactors."""
        rehearsal_url = await self._open_rehearsal(rehearse)
        if self._config.manager and MANAGER.name not in self._dispatcher.hive.agents:
            # Before anybody can ask: who writes to the manager at the very first moment finds it.
            await self._dispatcher.dispatch(SpawnAgent(actor=DAEMON, agent=MANAGER.name))
        homes = await self._open_agent_sockets(rehearsal_url)
        links = await self._open_http()
        await self._open_host_socket(homes, links)
        await adopt(self._dispatcher, self._runtime, grace_seconds=self._config.limits.stop_grace_seconds)
        self._begin_reactors(homes)
        self.ready = True
        say_how_to_look(links.home_link())

    def say_serving(self) -> None:
        """Say that everything is open."""
        log.info(
            "serving",
            url=self.url,
            listening=self.listening,
            runtime=self._runtime.name,
            data=str(self._directories.data),
            agents=len(self._dispatcher.hive.agents),
        )

    async def _open_rehearsal(self, scenario: Path | None) -> str | None:
        """Serve a scenario on the port it had before: sessions of agents that outlived a daemon still ask there."""
        if scenario is None:
            return None
        kept = self._directories.run / "rehearsal.port"
        rehearsal = await serve_rehearsal(
            load_scenario(scenario),
            port=_port(kept),
            on_unmatched=lambda unmatched: log.error("rehearsal_unmatched", request=str(unmatched)),
        )
        self._stack.push_async_callback(rehearsal.aclose)
        kept.write_text(str(rehearsal.port))
        return rehearsal.url

    async def _open_agent_sockets(self, rehearsal_url: str | None) -> Homes:
        hive = self._dispatcher.hive

        def sessions() -> Sessions:
            return Sessions(
                hive=hive,
                claude=self._config.claude,
                isolates=self._runtime.isolates,
                directories=self._directories,
                rehearsal_url=rehearsal_url,
                agents_may_ask=self._config.questions,
            )

        host = Host(
            dispatcher=self._dispatcher,
            streams=self._streams,
            history=self._history,
            # Made for each request: a reload may have changed what they are made of.
            session=lambda name: sessions()(name),  # noqa: PLW0108 - as said
            may_ask=lambda name: sessions().may_ask(name),
            proposals=self._proposals,
        )
        homes = Homes(self._directories, host, self._proposals, **_of_homes(self._config))
        self._settings.follow(lambda config: homes.adjust(**_of_homes(config)))
        self._connect_egress(homes, rehearsal_url)
        self._drains.append(homes.drain)
        self._stack.push_async_callback(homes.close_all)
        for agent in hive.agents.values():
            if agent.running or agent.pending is not None:
                await homes.open(agent.name)
        return homes

    def _connect_egress(self, homes: Homes, rehearsal_url: str | None) -> None:
        """Give agents without a network their way out."""
        telling = Telling(self._dispatcher, clock=time.monotonic)
        self._stack.push_async_callback(telling.drain)
        homes.connect(
            Proxy(
                policy=homes.egress_of,
                model=lambda: model_of(rehearsal_url or self._config.claude.base_url),
                blocked=telling,
            )
        )

    async def _open_http(self) -> Links:
        listener = await bind(*self._config.listen_address)
        address, port = listener.getsockname()[:2]
        reached = exposure.exposure(self._config, address, port)
        self.url, self.listening = reached.url, f"{address}:{port}"
        connections = Connections(self._config.web.connections)
        holds = Site(
            dispatcher=self._dispatcher,
            history=self._history,
            proposals=self._proposals,
            kept=self._tombstones.known,
            journal=Journal(hive=self._dispatcher.hive, runtime=self._runtime),
            token=self._token,
            origins=reached.origins,
            ready=lambda: self.ready,
            connections=lambda: len(connections),
            stream_file=self._directories.stream_db,
            model=lambda name: configured_model(self._dispatcher.hive, self._config.claude, name),
            port=lambda name: current(name, self._directories),
            agent_origin=lambda name, host: ports.origin(name, host),  # noqa: PLW0108 - they come last
        )
        self._streams.listen(holds.agent_page.feeds.grown)
        app = site(holds)
        self._stack.push_async_callback(past_of(app).close)
        server = HttpServer(app, listener, connections=connections, tls=reached.tls)
        self._stack.push_async_callback(server.close)
        await server.open()
        ports = AgentPorts(
            self._dispatcher,
            server,
            Place(address=address, names=reached.names, scheme=reached.scheme),
            ways=[static_way(), *agent_ways(holds.agent_page)],
            keys=holds.agent_keys,
            port_of=lambda name: current(name, self._directories),
        )
        self._follow(ports.run())
        return Links(home=self.url, site=holds)

    async def _open_host_socket(self, homes: Homes, links: Links) -> None:
        async def login(name: str) -> list[str]:
            await homes.open(name)
            spec = homes.spec(name, self._dispatcher.hive.agents[name].generation)
            claude = await asyncio.to_thread(find_claude, self._config.claude.path)
            return list(await self._runtime.command(spec, (str(claude), "/login"), environment={"TERM": "xterm"}))

        async def try_runtime(name: str, runtime: str) -> str:
            try:
                await self._runtime.try_(runtime)
            except UnknownRuntime as error:
                raise Invalid(str(error)) from error
            except RuntimeUnavailable as error:
                raise Unavailable(str(error)) from error
            return await self._runtime.where(name)

        daemon = host_socket.Daemon(
            dispatcher=self._dispatcher,
            history=self._history,
            proposals=self._proposals,
            log_path=lambda name: str(self._directories.agent_log(name)),
            login=login,
            try_runtime=try_runtime,
            kept=self._tombstones.known,
            home_url=self.url,
            archive=Archivist(self._dispatcher, self._directories.hive_db).next,
            link=links,
        )
        server = LineServer(
            self._directories.host_sock,
            host_socket.HostSocket(daemon),
            Protocol(error=host_socket.error, ids=False),
            mode=0o660,
            max_connections=self._config.limits.connections_per_socket,
        )

        def adjust(config: Config) -> None:
            server.max_connections = config.limits.connections_per_socket

        self._settings.follow(adjust)
        self._drains.append(server.drain)
        self._stack.push_async_callback(server.close)
        await server.open()

    def _begin_reactors(self, homes: Homes) -> None:
        lifecycle = Lifecycle(
            self._dispatcher,
            self._runtime,
            Home(plan=homes.plan, prepare=homes.prepare, clear=homes.clear, close=homes.close),
            **_of_lifecycle(self._config),
        )
        interval = Interval(self._config.crash_watch.interval_seconds)

        def adjust(config: Config) -> None:
            lifecycle.adjust(**_of_lifecycle(config))
            retention.adjust(config.retention)
            interval.change(config.crash_watch.interval_seconds)

        retention = Retention(
            self._dispatcher, self._directories.hive_db, self._streams, self._config.retention, clock=_now
        )
        self._settings.follow(adjust)
        deadlines = Deadlines(self._dispatcher, wall=_now)
        watch = CrashWatch(self._dispatcher, self._runtime)
        remembering = Remembering(self._directories.hive_db)
        self._stack.callback(remembering.close)
        loops = (
            lifecycle.run(),
            deadlines.run(),
            Applier(self._dispatcher, self._proposals).run(),
            self._tombstones.run(),
            every(interval, watch.tick, name="crash_watch"),
            every(INTERVAL_SECONDS, retention.tick, name="retention"),
            every(CHECKPOINT_SECONDS, remembering.tick, name="checkpoints"),
        )
        for loop in loops:
            self._follow(loop)

    def _follow(self, loop: Coroutine[Any, Any, None]) -> None:
        """Let a reactor run until the daemon ends; the daemon ends with it, should it break."""
        self.reactors.append(asyncio.create_task(loop))
        self._stack.push_async_callback(_end, self.reactors[-1])


def _of_homes(config: Config) -> dict[str, Any]:
    """Return what the homes follow of the configuration."""
    path = config.claude.path
    return {
        "max_connections": config.limits.connections_per_socket,
        "ports": config.ports,
        "readable": () if path is None else (path,),
        "limits": config.container.limits,
        "egress": config.egress.policy,
    }


def _of_lifecycle(config: Config) -> dict[str, Any]:
    """Return what the lifecycle follows of it."""
    limits = config.limits
    return {
        "parallel": limits.parallel_actions,
        "deadline_seconds": limits.action_seconds,
        "grace_seconds": limits.stop_grace_seconds,
    }


async def _identity(dispatcher: Dispatcher) -> str:
    """Return the id that marks the hive's processes, making it with the first fact."""
    await dispatcher.dispatch(CreateHive(actor=DAEMON, hive=secrets.token_hex(8)))
    return mark_of(dispatcher.hive.identity)


def _port(kept: Path) -> int:
    """Return a port that was noted, 0 where none was or the note is none (its writing may have been cut off)."""
    digits = kept.read_text() if kept.exists() else ""
    return int(digits) if digits.isdecimal() and int(digits) < 65_536 else 0


def _reload(settings: Settings, notifier: Notifier) -> None:
    notifier.reloading()
    settings.reload()
    notifier.ready()


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
