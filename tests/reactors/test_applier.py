"""The applier beside the lifecycle: a configuration that no container can be made from gives way to the former one."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from hyperhive.commands.approvals import Approve
from hyperhive.events.envelope import MANAGER, OPERATOR
from hyperhive.projections.configurations import commit_of
from hyperhive.reactors.applier import Applier
from hyperhive.runtimes.protocol import RuntimeFailed, Spec
from tests.proposals.kept import proposals_at
from tests.reactors.memory import MemoryRuntime
from tests.reactors.stage import Stage, run
from tests.repositories.hostile import Workshop


@pytest.mark.parametrize("verb", ["build", "create"])
def test_failed_rebuild(hive_db: Path, verb: str) -> None:
    """The container of the former configuration runs, the disk has that too, and who asked is told why.

    It runs again where it had been stopped, and is left alone where not even the build came to its end.
    """

    async def story() -> None:
        stage = Stage(hive_db, MemoryRuntime())
        hive, proposals = stage.desk.hive, proposals_at(stage.desk.dispatcher, hive_db)
        applier = Applier(stage.desk.dispatcher, proposals)
        config = hive_db.parent / "config"

        async def prepare(name: str, generation: int) -> Spec:
            await proposals.prepare(name, config / name)
            return await stage.homes.prepare(name, generation)

        async def plan(name: str, generation: int) -> Spec:
            await proposals.settle(name)
            return await stage.homes.plan(name, generation)

        config.mkdir()
        stage.lifecycle._home = attrs.evolve(stage.lifecycle._home, plan=plan, prepare=prepare)
        await stage.spawn("manager", "coder")
        workshop = Workshop(hive_db.parent / "proposed/coder", hive_db.parent / "trap")

        async def apply(text: str) -> str:
            workshop.write("agent.toml", text)
            commit = workshop.commit()
            number = await proposals.request_apply(MANAGER, "coder", commit, "")
            await proposals.approve(Approve(actor=OPERATOR, approval=number))
            assert await applier.tick()
            return commit

        good = await apply('model = "opus"\n')
        await stage.work()
        assert (config / "coder/agent.toml").read_text() == 'model = "opus"\n'

        bad = await apply('model = "sonnet"\n')
        stage.runtime.broken[verb] = RuntimeFailed(("build",), 1, "no such package")
        before, stopped = stage.position, verb == "create"
        await stage.work()
        assert stage.runtime.containers["coder"].running is not stopped
        del stage.runtime.broken[verb]
        await stage.work()
        await applier.settle()

        types = [type(fact).__name__ for fact in stage.facts(before)]
        again = ["RebuildRequested", "RebuildSucceeded"] if stopped else []
        assert types == ["RebuildFailed", "ApprovalFailed", "ConfigurationReverted", *again]
        assert stage.runtime.containers["coder"].generation == (3 if stopped else 2)
        assert commit_of(hive.configurations, "coder") == good != bad
        assert (config / "coder/agent.toml").read_text() == 'model = "opus"\n'
        assert (hive_db.parent / "applied/coder/agent.toml").read_text() == 'model = "opus"\n'
        assert stage.runtime.containers["coder"].running
        told = [row.body for row in hive.messages.group("manager").values()]
        assert any('"status": "failed"' in body and "no such package" in body for body in told)

    run(story())
