"""At a start of the daemon: takes over the containers that run, notes those that do not, stops those nobody owns."""

from __future__ import annotations

import structlog

from hyperhive.commands.agents import ReportLoss, ReportReaped, StartAgent
from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.events.envelope import DAEMON
from hyperhive.runtimes.protocol import Runtime, RuntimeTrouble

log = structlog.get_logger("adoption")


async def adopt(dispatcher: Dispatcher, runtime: Runtime, *, grace_seconds: float) -> None:
    """Bring log and containers together, once, before anything else acts.

    An agent that the log has running and that does not run (the host was rebooted) is noted as lost and asked to start
    again. A container that runs although the log has it stopped, or does not know it, is stopped. Agents with an open
    intent are left to the lifecycle reactor.
    """
    found = {container.name: container for container in await runtime.list() if container.running}
    agents = dispatcher.hive.agents
    for agent in list(agents.values()):
        if agent.pending is not None or not agent.running:
            continue
        if agent.name in found:
            log.info("adopted", stream=f"agent-{agent.name}", generation=agent.generation)
            continue
        lost = await dispatcher.dispatch(ReportLoss(actor=DAEMON, agent=agent.name, generation=agent.generation))
        if lost:
            await dispatcher.dispatch(StartAgent(actor=DAEMON, agent=agent.name, cause=lost[0].cause))
    for name in found:
        agent = agents.get(name)
        if agent is not None and (agent.pending is not None or agent.running):
            continue
        reason = "the log has it stopped" if agent is not None else "the log knows no such agent"
        log.warning("reaping", stream=f"agent-{name}", reason=reason)
        try:
            await runtime.stop(name, grace_seconds)
        except RuntimeTrouble as trouble:
            # What will not die is no reason for the others to stand still.
            log.error("not_reaped", stream=f"agent-{name}", error=str(trouble))  # noqa: TRY400 - the text says it all
            continue
        await dispatcher.dispatch(ReportReaped(actor=DAEMON, agent=name, reason=reason))
