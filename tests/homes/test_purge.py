"""A purge that is cut off in its middle: by the end of the daemon, by its deadline, by somebody else's work."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.served import Served, place
from tests.sockets.hall import hall

DIRECTORIES = 3_000


@pytest.fixture
def served() -> Iterator[Served]:
    """A place for a daemon."""
    with place() as found:
        yield found


def fill(state: Path, directories: int = DIRECTORIES) -> None:
    """Make a tree whose removal takes a while."""
    for number in range(directories):
        (state / f"d{number}").mkdir()
        (state / f"d{number}" / "file").touch()


def left(state: Path) -> int:
    """Count what is left of it, in whatever place."""
    with contextlib.suppress(FileNotFoundError):
        return len(list(state.iterdir()))
    return 0


def settled(served: Served) -> list[str]:
    """Return the ends of all that was asked of the agent, by their facts."""
    return [fact["type"] for fact in served.facts("agent-coder") if fact["type"].startswith("Destroy")]


@pytest.mark.parametrize("alive", [True, False], ids=["destroy --purge", "purge of a tombstone"])
def test_daemon_killed_in_the_middle(served: Served, *, alive: bool) -> None:
    """Killed while it wipes, the next daemon finds the intent and wipes the rest; there is one outcome."""
    served.serve()
    served.ask("spawn", name="coder")
    served.until("coder runs", lambda: any(row["running"] for row in served.ask("agent_status")["agent_statuses"]))
    agent = served.data / "agents" / "coder"
    fill(agent / "state")
    if not alive:
        served.ask("destroy", name="coder")
        served.until("a tombstone", lambda: served.ask("tombstones")["tombstones"])
        served.ask("purge_tombstone", name="coder")
    else:
        served.ask("destroy", name="coder", purge=True)
    # The state directory is the first that moves: what is in it is moved up to the agent's own directory.
    served.until("half of it is gone", lambda: left(agent / "state") < DIRECTORIES // 2)
    served.stop(signal.SIGKILL)
    assert settled(served)[-1] == "DestroyRequested"
    assert agent.exists(), "it was too fast to be cut off"
    served.serve()
    served.until("it is wiped", lambda: settled(served)[-1] == "DestroySucceeded")
    assert not agent.exists()
    assert (served.ask("list")["agents"], served.ask("tombstones")["tombstones"]) == ([], [])
    assert settled(served).count("DestroySucceeded") == (1 if alive else 2)
    assert "DestroyFailed" not in settled(served)
    assert served.stop().code == 0
    served.verify()


def test_given_up_on(tmp_path: Path, migrated: Path) -> None:
    """Who gives up on it (a deadline) finds that it has stopped: nothing is removed behind the next life's back."""
    with place() as somewhere:

        async def story() -> None:
            async with hall(somewhere.home, migrated) as here:
                await here.spawn("coder")
                state = here.directories.agent_state("coder")
                fill(state, 1_000)
                clearing = asyncio.create_task(here.homes.clear("coder"))
                while left(state) == 1_000:  # noqa: ASYNC110 - what is waited for tells nobody
                    await asyncio.sleep(0.001)
                clearing.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await clearing
                counted = sum(1 for _ in here.directories.agent_dir("coder").rglob("*"))
                assert counted > 0
                # Whatever still worked would have its time now.
                await asyncio.to_thread(fill, tmp_path, 500)
                assert sum(1 for _ in here.directories.agent_dir("coder").rglob("*")) == counted
                await here.homes.clear("coder")
                assert not here.directories.agent_dir("coder").exists()

        asyncio.run(story())
