"""Helper commands end in time, in bounded memory, whatever they do."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path

import pytest

from hyperhive.runtimes import runner
from hyperhive.runtimes.protocol import RuntimeFailed, RuntimeTimeout
from hyperhive.runtimes.runner import Output
from tests.runtimes.home import held, until


def python(script: str) -> tuple[str, ...]:
    """Return the command line of a small program."""
    return (sys.executable, "-c", script)


def run(argv: tuple[str, ...], deadline_seconds: float = 20) -> Output:
    """Run a command to its end."""
    return asyncio.run(runner.run(argv, deadline_seconds=deadline_seconds))


class TestRun:
    """One command."""

    def test_output_and_status(self) -> None:
        """Stdout and stderr come together, with the status; stdin is empty."""
        script = "import sys; print('out', flush=True); print('err', sys.stdin.read(), file=sys.stderr); sys.exit(3)"
        assert run(python(script)) == Output(status=3, text="out\nerr \n", dropped_bytes=0)

    def test_killed_by_a_signal(self) -> None:
        """A command that a signal killed has a negative status."""
        assert run(python("import os; os.kill(os.getpid(), 9)")).status == -9

    def test_nothing_inherited(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A command gets a path and a language, and nothing else of the daemon's environment."""
        monkeypatch.setenv("SECRET", "x")
        assert run(("/usr/bin/env",)).text.splitlines() == [f"PATH={runner.HOST_PATH}", "LANG=C.UTF-8"]

    def test_a_hundred_megabytes(self) -> None:
        """Of a tool that prints 100 MB the end is kept, and the rest is counted."""
        script = "import os\nfor _ in range(100): os.write(1, b'x' * 1_000_000)\nos.write(1, b'the end')"
        output = run(python(script))
        assert len(output.text) == runner.KEEP_BYTES
        assert output.text.endswith("xthe end")
        assert output.dropped_bytes == 100_000_007 - runner.KEEP_BYTES

    def test_no_such_program(self) -> None:
        """A program that is not there is a failure that names it."""
        with pytest.raises(RuntimeFailed, match="/nowhere/tool") as failure:
            run(("/nowhere/tool", "list"))
        assert (failure.value.status, failure.value.argv) == (None, ("/nowhere/tool", "list"))

    def test_check(self) -> None:
        """A command that has to succeed and does not is a failure with argv, status and the end of its output."""
        argv = python("print('no such machine'); raise SystemExit(1)")
        with pytest.raises(RuntimeFailed, match="ended with status 1: no such machine") as failure:
            asyncio.run(runner.check(argv, deadline_seconds=20))
        assert (failure.value.argv, failure.value.status, failure.value.output) == (argv, 1, "no such machine\n")

    def test_deadline(self, tmp_path: Path) -> None:
        """What hangs is killed with its whole process group, and the error has what it said."""
        script = (
            "import fcntl, os, signal, sys\n"
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "os.fork()\n"
            f"kept = open('{tmp_path}/held-' + str(os.getppid() == {os.getpid()}), 'w')\n"
            "fcntl.flock(kept, fcntl.LOCK_EX)\n"
            "print('waiting', flush=True)\n"
            "signal.pause()\n"
        )

        async def story() -> None:
            running = asyncio.create_task(runner.run(python(script), deadline_seconds=1.5))
            await until(lambda: len(list(tmp_path.iterdir())) == 2)
            with pytest.raises(RuntimeTimeout, match=r"within 1\.5 s; it said: waiting"):
                await running

            await until(lambda: not any(held(path) for path in tmp_path.iterdir()))

        asyncio.run(story())

    def test_cancelled(self, tmp_path: Path) -> None:
        """Who stops waiting leaves no process behind."""
        script = (
            "import fcntl, signal\n"
            f"kept = open('{tmp_path}/held', 'w')\nfcntl.flock(kept, fcntl.LOCK_EX)\nsignal.pause()\n"
        )

        async def story() -> None:
            running = asyncio.create_task(runner.run(python(script), deadline_seconds=20))
            await until(lambda: (tmp_path / "held").exists() and held(tmp_path / "held"))
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

        asyncio.run(story())
        assert not held(tmp_path / "held")

    @pytest.mark.parametrize("writes", ["", "while True: os.write(1, b'more\\n' * 1000)"])
    def test_inherited_pipe(self, tmp_path: Path, writes: str) -> None:
        """A command that ended is not waited for because a process it left behind holds its pipe, or fills it."""
        script = (
            "import os, signal\n"
            "print('done', flush=True)\n"
            "if os.fork() == 0:\n"
            "    os.setsid()\n"
            f"    open('{tmp_path}/pid', 'w').write(str(os.getpid()))\n"
            f"    {writes or 'signal.pause()'}\n"
        )
        try:
            output = run(python(script), deadline_seconds=10)
            assert output.status == 0
            assert "done" in output.text or output.dropped_bytes
        finally:
            asyncio.run(until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
            with contextlib.suppress(ProcessLookupError):  # SIGPIPE may have been quicker
                os.kill(int((tmp_path / "pid").read_text()), 9)
