"""Makes approved commits the configurations of their agents: one at a time, each as soon as its agent is at rest."""

from __future__ import annotations

import asyncio

import attrs
import structlog

from hyperhive.commands.approvals import ReportApplied
from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.commands.errors import Refused, Unavailable
from hyperhive.events.envelope import DAEMON, Cause
from hyperhive.projections.approvals import Approval, Work
from hyperhive.proposals.proposals import Proposals

log = structlog.get_logger("applier")

MAX_ERROR_CHARACTERS = 4_000
RETRY_SECONDS = 5.0
"""Between two tries where the host's own disk or git failed: what was approved stays to be done."""


@attrs.define
class Applier:
    """The reactor. Its work may be repeated: a daemon that dies in it finds it in the view again."""

    _dispatcher: Dispatcher
    _proposals: Proposals
    _woken: asyncio.Event = attrs.field(factory=asyncio.Event)
    _settled: dict[str, int] = attrs.field(factory=dict)
    """By agent: when that was applied which the disk is known to have."""

    async def tick(self) -> bool:
        """Apply the oldest approved commit whose agent is at rest; return whether there was one."""
        row = self._next()
        if row is None:
            return False
        report = ReportApplied(actor=DAEMON, approval=row.id, cause=Cause(row.position, row.correlation))
        try:
            settings = await self._proposals.apply(row)
        except Unavailable:
            raise
        except Refused as refused:
            log.warning("not_applied", stream=f"approval-{row.id}", error=str(refused))
            report = attrs.evolve(report, error=str(refused)[:MAX_ERROR_CHARACTERS])
        else:
            report = attrs.evolve(report, settings=settings)
        await self._dispatcher.dispatch(report)
        return True

    async def settle(self) -> None:
        """Let the disk have what the log says: where a build failed its configuration is undone, and nothing follows.

        Where more does, an agent that is made anew has it settled before.
        """
        for row in list(self._dispatcher.hive.configurations.values()):
            if self._settled.get(row.agent) == row.applied_at:
                continue
            try:
                await self._proposals.settle(row.agent)
            except Unavailable:
                raise
            except Refused as refused:
                log.warning("not_settled", stream=f"configuration-{row.agent}", error=str(refused))
            self._settled[row.agent] = row.applied_at

    async def run(self) -> None:
        """Tick whenever facts arrive; ends by cancellation."""
        end = self._dispatcher.listen(lambda _facts: self._woken.set())
        try:
            while True:
                self._woken.clear()
                try:
                    while await self.tick():
                        pass
                    await self.settle()
                except Unavailable as trouble:
                    log.warning("applies_again", error=str(trouble))
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                await self._woken.wait()
        finally:
            end()

    def _next(self) -> Approval | None:
        hive = self._dispatcher.hive
        row: Approval
        for row in hive.approvals.values():
            agent = hive.agents.get(row.agent)
            if row.work is Work.APPLY and (agent is None or agent.pending is None):
                return row
        return None
