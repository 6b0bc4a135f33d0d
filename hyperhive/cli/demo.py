"""``hyperhive demo``: a whole hive at work before your eyes, without a key and without a cent."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import click

from hyperhive.cli.options import EXISTING_FILE, examples
from hyperhive.cli.places import named, places

AGENTS = ("coder", "reviewer")
WISH = "Please have coder write a small slugify function with a test, let reviewer check it, and tell me how it went."
DEADLINE_SECONDS = 180.0
_SCENARIO = Path(__file__).parents[1] / "rehearsal" / "scenarios" / "demo.toml"


class DemoFailed(Exception):  # noqa: N818 - an outcome people meet
    """The demo did not get to its end; the text says where it stopped and where to look."""

    code = "failed"


class Occupied(DemoFailed):
    """The named data directory holds a hive already."""

    code = "conflict"


@click.command(
    epilog=examples("hyperhive demo", "hyperhive demo --scenario mine.toml --wish 'what the operator asks the manager'")
)
@click.option("--scenario", type=EXISTING_FILE, metavar="FILE", default=_SCENARIO, help="Play this instead.")
@click.option("--wish", metavar="TEXT", default=WISH, help="What the operator asks the manager.")
@places
def demo(scenario: Path, wish: str) -> int:
    """Watch a manager and two agents work, without a key.

    A rehearsal model answers.

    Everything but the model is real: sandboxes, the claude program, mail, the log. With a terminal the hive keeps
    running until Ctrl-C, without one the demo ends when the answer is there. It lies in a directory of its own under
    /tmp, unless --data-dir and --run-dir name others.
    """
    from rich.console import Console  # noqa: PLC0415 - 90 ms that --help should not pay

    place = _place(named("data_dir"), named("run_dir"))
    console = Console(highlight=False)
    with _hive(place, scenario, console) as hive:
        hive.play(wish)
        hive.sum_up()
        if sys.stdin.isatty() and sys.stdout.isatty():
            hive.keep_serving()
    return 0


@attrs.frozen
class _Place:
    """Where the demo's hive lies, and what its daemon says."""

    home: Path
    data: Path
    run: Path

    @property
    def said(self) -> Path:
        return self.home / "daemon.log"


def _place(data: str | None, run: str | None) -> _Place:
    """Return where the hive will lie. Raises `Occupied`."""
    if data is not None and (Path(data).expanduser() / "hive.sqlite").exists():
        raise Occupied(f"there is a hive in {data}, and the demo begins one of its own; name an empty directory")
    # Not in $TMPDIR: the path of a socket has to be short.
    home = Path(tempfile.mkdtemp(prefix="hive-", dir="/tmp"))
    data_dir, run_dir = (Path(given).expanduser().absolute() for given in (data or home / "data", run or home / "run"))
    return _Place(home, data_dir, run_dir)


@attrs.frozen(kw_only=True)
class _Hive:
    """A daemon of the demo's own, and what is said to it."""

    place: _Place
    console: Any
    daemon: subprocess.Popen[bytes]

    @property
    def database(self) -> Path:
        return self.place.data / "hive.sqlite"

    def ask(self, cmd: str, **fields: object) -> dict[str, Any]:
        from hyperhive.cli import client  # noqa: PLC0415

        return client.ask(self.place.run / "host.sock", {"cmd": cmd, **fields})

    def wait_until_it_answers(self) -> None:
        from hyperhive.cli import client  # noqa: PLC0415

        for _ in self._deadline("the daemon to answer"):
            with contextlib.suppress(client.NotRunning, client.Unanswered):
                self.ask("list")
                return

    def play(self, wish: str) -> None:
        """Spawn the agents, ask the manager, and show what happens until the answer comes."""
        from hyperhive.cli.story import line  # noqa: PLC0415

        for name in AGENTS:
            self.ask("spawn", name=name)
        asked = False
        shown = 0
        for _ in self._deadline("the manager's answer"):
            for fact in self._facts(after=shown):
                shown = fact["position"]
                if (told := line(fact)) is not None:
                    self.console.print(told, soft_wrap=True)
                if fact["type"] == "MessageSent" and fact["data"]["to"] == "operator":
                    return
            if not asked and self._all_run():
                self.ask("send", name="manager", body=wish)
                asked = True

    def sum_up(self) -> None:
        """Show the file that came of it, and prove that the record holds."""
        from hyperhive.events import chain  # noqa: PLC0415
        from hyperhive.replay import verify  # noqa: PLC0415

        for path in sorted((self.place.data / "agents/coder/state").glob("*.py")):
            self.console.print(f"\n[#c4a3ef]◆[/] {path}")
            self.console.print(path.read_text().rstrip(), markup=False, soft_wrap=True)
        verified, agreed = chain.verify(self.database), verify.verify(self.database)
        where = f"--data-dir {self.place.data} --run-dir {self.place.run}"
        self.console.print(
            f"\n[#5bd980]●[/] the chain of {verified.count} events holds, head {verified.head.hex()[:16]}…"
            f"\n[#5bd980]●[/] fold and tables agree at position {agreed.position}"
            f"\n[#c4a3ef]◆[/] everything lies in {self.place.data}"
            f"\n  hyperhive log show {where}",
            soft_wrap=True,
        )

    def keep_serving(self) -> None:
        """Leave the hive to the operator until Ctrl-C."""
        link = self.ask("link", name=None)["link"]
        self.console.print(
            f"\nthe hive keeps running; its dashboard: {link}"
            "\nwhoever has that link is the operator. Ctrl-C ends the hive",
            soft_wrap=True,
        )
        with contextlib.suppress(KeyboardInterrupt):
            self.daemon.wait()

    def end(self) -> None:
        """Stop the agents (they would outlive the daemon), then the daemon."""
        from hyperhive.cli import client  # noqa: PLC0415

        with contextlib.suppress(client.NotRunning, client.Unanswered, client.Refused):
            for row in self.ask("agent_status")["agent_statuses"]:
                self.ask("kill", name=row["name"])
            for _ in self._deadline("the agents to stop", seconds=20):
                if not any(row["running"] for row in self.ask("agent_status")["agent_statuses"]):
                    break
        self.daemon.send_signal(signal.SIGTERM)
        self.daemon.wait(timeout=20)

    def _all_run(self) -> bool:
        rows = {row["name"]: row for row in self.ask("agent_status")["agent_statuses"]}
        return all(name in rows and rows[name]["running"] for name in ("manager", *AGENTS))

    def _facts(self, after: int) -> list[dict[str, Any]]:
        from hyperhive.events.log import read_only  # noqa: PLC0415
        from hyperhive.events.reading import Selection, select  # noqa: PLC0415

        with contextlib.closing(read_only(self.database)) as connection:
            return list(select(connection, Selection(after=after)))

    def _deadline(self, what: str, seconds: float = DEADLINE_SECONDS) -> Iterator[None]:
        """Yield every tenth of a second; raise `DemoFailed` when the time is over or the daemon has ended."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.daemon.poll() is not None:
                raise DemoFailed(f"the daemon ended while the demo waited for {what}:\n{self._last_words()}")
            yield
            time.sleep(0.1)
        raise DemoFailed(f"no sign of {what} after {seconds:.0f} s; the daemon said:\n{self._last_words()}")

    def _last_words(self) -> str:
        return "\n".join(self.place.said.read_text().splitlines()[-15:])


@contextlib.contextmanager
def _hive(place: _Place, scenario: Path, console: Any) -> Iterator[_Hive]:
    runtime = _runtime(console)
    argv = [*_hyperhive(), "serve", "--data-dir", str(place.data), "--run-dir", str(place.run)]
    argv += ["--listen", "127.0.0.1:0", "--runtime", runtime, "--rehearse", str(scenario)]
    argv += ["--config", file] if (file := named("config")) else []
    console.print(f"[#c4a3ef]◆[/] a hive in {place.data}, agents in {runtime}, the model rehearsed")
    with place.said.open("wb") as output:
        # In a session of its own: Ctrl-C is for the demo, which then ends the hive in good order.
        daemon = subprocess.Popen(argv, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True)
    hive = _Hive(place=place, console=console, daemon=daemon)
    try:
        hive.wait_until_it_answers()
        yield hive
    finally:
        hive.end()


def _hyperhive() -> Sequence[str]:
    return sys.executable, "-m", "hyperhive.cli"


def _runtime(console: Any) -> str:
    """Return bubblewrap where it works; else say why not, and that the agents are kept from nothing."""
    import asyncio  # noqa: PLC0415

    from hyperhive.runtimes.choose import build  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="hyperhive-probe-") as directory:
        probe = asyncio.run(build("bubblewrap", run_dir=Path(directory), hive="probe").probe())
    if probe.ok:
        return "bubblewrap"
    console.print(f"[#f5847b]✕[/] no sandbox here: {probe.detail} {probe.remedy}")
    console.print("[#f0b040]![/] the agents of this demo run as plain processes (the scenario is harmless)")
    return "process"
