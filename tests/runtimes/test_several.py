"""Several runtimes as one: where an agent is looked for, made, stopped and removed; the runtimes are in memory."""

from __future__ import annotations

import asyncio
from pathlib import Path

import attrs
import pytest

from hyperhive.runtimes.protocol import Probe, RuntimeFailed, RuntimeUnavailable, Spec
from hyperhive.runtimes.several import Several
from tests.reactors.memory import MemoryRuntime

SPEC = Spec(
    name="coder",
    state=Path("/data/coder/state"),
    socket_dir=Path("/run/coder"),
    log=Path("/data/coder/log"),
    generation=1,
)


@attrs.define
class Away(MemoryRuntime):
    """A runtime that does not work here."""

    async def probe(self) -> Probe:
        """Say so."""
        return Probe(ok=False, detail="it is not installed.", remedy="Install it.")


@attrs.define
class House:
    """Two runtimes, and who was chosen to live where."""

    home: MemoryRuntime = attrs.field(factory=lambda: MemoryRuntime(name="home"))
    other: MemoryRuntime = attrs.field(factory=lambda: MemoryRuntime(name="other", isolated=False))
    away: Away = attrs.field(factory=lambda: Away(name="away"))
    chosen: dict[str, str] = attrs.field(factory=dict)

    def several(self, *used: str) -> Several:
        """Return them as one, as a daemon that has just been started would."""
        built = {"home": self.home, "other": self.other, "away": self.away}
        return Several(self.home, build=built.__getitem__, used=used, chosen=self.chosen.get)


def test_moved() -> None:
    """An agent is built and made where it was chosen to be, once it is nowhere else; others stay where they are."""
    house = House()

    async def story() -> None:
        several = house.several()
        for spec in (SPEC, attrs.evolve(SPEC, name="abel")):
            await several.create(spec)
            await several.start(spec.name)
        house.chosen["coder"] = "other"
        await several.build(attrs.evolve(SPEC, generation=2))
        assert await several.where("coder") == "home"
        assert several.isolates("coder")
        await several.stop("coder", 5)
        await several.create(attrs.evolve(SPEC, generation=2))
        assert "coder" not in house.home.containers
        await several.start("coder")
        assert await several.where("coder") == "other"
        assert not several.isolates("coder")
        assert [(each.name, each.generation) for each in await several.list()] == [("abel", 1), ("coder", 2)]

    asyncio.run(story())
    assert house.other.acts == ["build coder 2", "create coder 2", "start coder 2"]
    assert house.home.acts[-2:] == ["stop coder 5", "remove coder"]


def test_a_build_that_fails_elsewhere() -> None:
    """Where it cannot be built in the new place it runs on in the old one, and is found there."""
    house = House()
    house.other.broken["build"] = RuntimeFailed(("podman", "build"), 125, "no")

    async def story() -> None:
        several = house.several()
        await several.create(SPEC)
        await several.start("coder")
        house.chosen["coder"] = "other"
        with pytest.raises(RuntimeFailed):
            await several.build(attrs.evolve(SPEC, generation=2))
        (found,) = await several.list()
        assert (found.running, found.generation) == (True, 1)

    asyncio.run(story())


def test_what_another_daemon_left() -> None:
    """A runtime that was used before is looked into from the start, for stopping and removing as well."""
    house = House()
    house.other.run("coder", 3)

    async def story() -> None:
        several = house.several("other")
        assert [each.generation for each in await several.list()] == [3]
        assert not several.isolates("coder")
        await several.stop("coder", 0)
        await several.remove("coder")
        assert await several.list() == []

    asyncio.run(story())


def test_two_have_it() -> None:
    """Of two containers of one name the one that runs counts."""
    house = House(chosen={"coder": "home"})
    house.home.run("coder", 4)
    house.home.crash("coder")
    house.other.run("coder", 3)
    (found,) = asyncio.run(house.several("other").list())
    assert (found.running, found.generation) == (True, 3)


def test_that_does_not_work() -> None:
    """A runtime that does not work here is refused with what would help, before anything moves."""
    with pytest.raises(RuntimeUnavailable, match=r"away does not work here: it is not installed\. Install it\."):
        asyncio.run(House().several().try_("away"))
