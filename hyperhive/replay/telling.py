"""Facts in words, one line each."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import attrs
import msgspec

from hyperhive.events.envelope import Recorded
from hyperhive.projections import sentences
from hyperhive.replay.marking import agent_of

LONGEST = 160
"""Characters of what somebody wrote that stand in a line."""

Words = Callable[[Any, str], str]
"""What a fact says: its event, and who did it."""

_WORDS: dict[str, Words] = {
    "SpawnRequested": lambda event, who: f"{who} asked to spawn {event.agent}",
    "SpawnSucceeded": lambda event, _: f"{event.agent} was spawned and runs",
    "StartRequested": lambda event, who: f"{who} asked to start {event.agent}",
    "StartSucceeded": lambda event, _: f"{event.agent} was started and runs",
    "KillRequested": lambda event, who: f"{who} asked to stop {event.agent}{'' if event.graceful else ' at once'}",
    "KillSucceeded": lambda event, _: f"{event.agent} was stopped",
    "RestartRequested": lambda event, who: f"{who} asked to restart {event.agent}",
    "RestartSucceeded": lambda event, _: f"{event.agent} was restarted and runs",
    "RebuildRequested": lambda event, who: f"{who} asked to rebuild {event.agent}",
    "RebuildSucceeded": lambda event, _: f"{event.agent} was rebuilt and runs",
    "DestroyRequested": lambda event, who: f"{who} asked to destroy {event.agent}{_purge(event)}",
    "DestroySucceeded": lambda event, _: f"{event.agent} was destroyed{_purge(event)}",
    "ContainerCrashed": lambda event, _: f"{event.agent} crashed{_exit(event)}",
    "ContainerLost": lambda event, _: f"{event.agent} was found gone by a daemon that started",
    "ContainerReaped": lambda event, _: f"a container of {event.agent} that nobody owned was stopped: {event.reason}",
    "AgentQuarantined": lambda event, _: (
        f"{event.agent} was quarantined: {event.crashes} crashes within {event.within_seconds} s"
    ),
    "QuarantineLifted": lambda event, who: f"{who} let {event.agent} out of quarantine",
    "AgentPaused": lambda event, who: f"{who} paused {event.agent}",
    "AgentResumed": lambda event, who: f"{who} resumed {event.agent}",
    "MessageSent": lambda event, _: f"{event.sender} wrote to {event.to}: “{short(event.body)}”",
    "MessagesHandedOver": lambda event, _: f"{event.to} was handed {_mail(event.ids)}",
    "MessagesAcknowledged": lambda event, _: f"{event.to} is done with {_mail(event.ids)}",
    "MessagesParked": lambda event, _: f"{_mail(event.ids)} to {event.to} parked: handed over too often",
    "MessageRequeued": lambda event, who: f"{who} put message {event.id} back into the inbox of {event.to}",
    "MessagesForgotten": lambda event, _: f"{event.count} delivered messages were forgotten",
    "HarnessStarted": lambda event, _: f"{event.agent}'s harness said hello",
    "TurnStarted": lambda event, _: f"{event.agent} began a turn{f' on {_mail(event.ids)}' if event.ids else ''}",
    "TurnEnded": lambda event, _: (
        f"{event.agent} ended its turn ({event.input_tokens + event.output_tokens} tokens, ${event.cost_usd:.4f})"
        if event.ok
        else f"{event.agent}'s turn failed: {short(event.error)}"
    ),
    "TurnInterruptRequested": lambda event, who: f"{who} told {event.agent} to end its turn",
    "StatusChanged": lambda event, _: (
        f"{event.agent} is {event.status}{f': {short(event.text)}' if event.text else ''}"
    ),
    "ModelChanged": lambda event, _: f"{event.agent} runs on {event.model}",
    "ModelChosen": lambda event, who: f"{who} chose {event.model or 'the configured model'} for {event.agent}",
    "SlashCommandGiven": lambda event, who: f"{who} told {event.agent}'s session: {short(event.text)}",
    "SlashCommandTaken": lambda event, _: f"{event.agent}'s session took up command {event.id}",
    "SessionLost": lambda event, _: f"{event.agent}'s session could not be resumed: another began",
    "LoginNeeded": lambda event, _: f"{event.agent} needs a login to Claude",
    "QuestionAsked": lambda event, _: f"{event.asker} asked (question {event.id}): “{short(event.question)}”",
    "QuestionAnswered": lambda event, who: (
        f"{who} answered question {event.id} of {event.asker}: “{short(event.answer)}”"
    ),
    "QuestionAnsweredLate": lambda event, who: (
        f"{who} answered question {event.id} of {event.asker} late: “{short(event.answer)}”"
    ),
    "QuestionExpired": lambda event, _: f"question {event.id} of {event.asker} expired",
    "QuestionCancelled": lambda event, who: f"{who} cancelled question {event.id} of {event.asker}",
    "ApprovalRequested": lambda event, _: f"{event.requester} asked for approval {event.id}: {_wish(event)}",
    "ApprovalGranted": lambda event, who: f"{who} approved {event.id}: {_wish(event)}{_note(event)}",
    "ApprovalDenied": lambda event, who: f"{who} denied {event.id}: {_wish(event)}{_note(event)}",
    "ApprovalSuperseded": lambda event, _: f"approval {event.id} ({_wish(event)}) gave way to {event.by}",
    "ApprovalFailed": lambda event, _: f"approval {event.id} ({_wish(event)}) could not be done: {short(event.error)}",
    "ConfigurationApplied": lambda event, _: f"{event.agent} is configured by {event.commit[:12]} now",
    "ConfigurationReverted": lambda event, _: (
        f"{event.agent} is configured by {event.commit[:12]} again, since {event.failed[:12]} could not be built"
    ),
    "BudgetExhausted": lambda event, _: (
        f"{event.agent} has spent its day's budget: ${event.spent_usd:.4f} of ${event.usd_per_day:g}"
    ),
    "ToolServersFailed": lambda event, _: (
        f"{event.agent}'s tool servers do not work: {', '.join(event.servers)}"
        if event.servers
        else f"{event.agent}'s tool servers work again"
    ),
    "MessageRefused": lambda event, _: f"{event.sender} may not write to {event.to}, and tried",
    "HiveCreated": lambda event, _: f"the hive {event.hive} began",
    "HiveFrozen": lambda _, who: f"{who} froze the hive",
    "HiveThawed": lambda _, who: f"{who} thawed the hive",
    "HiveRestored": lambda event, _: f"the hive was restored from a backup that ended at {event.position}",
    "DaemonStarted": lambda event, _: f"a daemon of release {event.release} started, runtime {event.runtime}",
    "DaemonStopped": lambda *_: "the daemon stopped",
    "StreamsTrimmed": lambda event, _: f"{event.events} events of turn streams were trimmed",
}
"""By type. One that is not here is told as the activity tells it, else by its name and its data."""


def told(fact: Recorded) -> str:
    """Say what happened and who did it, in one line."""
    who, event = people(fact.actor), fact.event
    words = _WORDS.get(fact.type)
    if words is not None:
        return words(event, who)
    if fact.type.endswith("Failed") and hasattr(event, "error"):
        return f"{agent_of(fact) or who}: {words_of(fact.type)}: {short(event.error)}"
    if fact.type == type(event).__name__ and type(event) in sentences.TELLERS:
        return short(sentences.sentence(fact).text)
    detail = ", ".join(f"{key} {short(_plain(value))}" for key, value in plain(event).items() if value is not None)
    return f"{who}: {words_of(fact.type)}" + (f" ({detail})" if detail else "")


def people(actor: str) -> str:
    """Name an actor as people do: an agent by its name."""
    return actor.removeprefix("agent:").removeprefix("operator:")


def words_of(type_name: str) -> str:
    """Write a type's name as words: ``ContainerReaped`` as "container reaped"."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", type_name).lower()


def short(text: str | None) -> str:
    """Show the beginning of what somebody wrote, on one line."""
    line = " ".join((text or "").split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"


def _purge(event: Any) -> str:
    return " with all that it kept" if event.purge else ""


def _wish(event: Any) -> str:
    commit = f" {event.commit[:12]}" if getattr(event, "commit", None) else ""
    return f"{event.kind.value.replace('_', ' ')} {event.agent}{commit}"


def _note(event: Any) -> str:
    return f" (“{short(event.note)}”)" if event.note else ""


def _exit(event: Any) -> str:
    return "" if event.exit_status is None else f" (exit status {event.exit_status})"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def plain(event: Any) -> dict[str, Any]:
    """Return a fact's data as plain values."""
    return msgspec.to_builtins(event) if attrs.has(type(event)) else dict(event)


def _mail(ids: tuple[int, ...]) -> str:
    if len(ids) == 1:
        return f"message {ids[0]}"
    few = ", ".join(map(str, ids[:5])) + (", …" if len(ids) > 5 else "")
    return f"{len(ids)} messages ({few})"
