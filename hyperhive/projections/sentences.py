"""Facts in words: one pure function from a fact to the sentence that people read in the activity and in the past."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, NamedTuple

import attrs

from harness.wire import OPERATOR
from hyperhive.events import agents, approvals, configurations, egress, hive, messages, operators, questions, turns
from hyperhive.events.envelope import Recorded
from hyperhive.projections.countdown import countdown

QUOTED_CHARACTERS = 140
"""Of what an agent wrote: the sentence is one of many, and the fact has it whole."""


class Kind(enum.StrEnum):
    """How a word is shown."""

    PLAIN = ""
    NAME = "name"
    REF = "ref"
    """Of a question, an approval or a message."""


class Word(NamedTuple):
    """A part of a sentence; it carries its own spaces."""

    text: str
    kind: Kind = Kind.PLAIN


@attrs.frozen(kw_only=True)
class Sentence:
    """A fact in words."""

    words: tuple[Word, ...]
    bad: bool = False
    """Whether something went wrong."""
    quiet: bool = False
    """Whether its neighbours say as much: the activity leaves it out, the past does not."""

    @property
    def text(self) -> str:
        """The sentence without its marks."""
        return "".join(word.text for word in self.words)


Tell = Callable[[Recorded], Sentence]


def sentence(recorded: Recorded) -> Sentence:
    """Say what a fact says."""
    return TELLERS[type(recorded.event)](recorded)


def person(actor: str) -> Word:
    """Show whoever did it: agents by bare name, people by theirs."""
    role, _, name = actor.partition(":")
    return Word(name or role, Kind.PLAIN if role in ("operator", "viewer", "daemon") else Kind.NAME)


def _name(name: str) -> Word:
    return Word(name, Kind.NAME)


def _say(*parts: Word | str, bad: bool = False, quiet: bool = False) -> Sentence:
    words = tuple(Word(part) if isinstance(part, str) else part for part in parts if part != "")
    return Sentence(words=words, bad=bad, quiet=quiet)


def _always(text: str) -> Tell:
    return lambda _recorded: _say(text)


def quoted(text: str) -> str:
    """Show the beginning of what somebody wrote, on one line."""
    flat = " ".join(text[: 4 * QUOTED_CHARACTERS].split())
    return flat if len(flat) <= QUOTED_CHARACTERS else f"{flat[: QUOTED_CHARACTERS - 1].rstrip()}…"


def _many(count: int, one: str) -> str:
    return f"{count} {one}" if count == 1 else f"{count} {one}s"


def _asked_for(verb: str) -> Tell:
    """Name who wanted it; what the daemon does by itself only begins."""

    def tell(recorded: Recorded) -> Sentence:
        name = _name(recorded.event.agent)
        if recorded.actor == "daemon":
            return _say(name, f" {verb} began")
        also = " and purge it" if getattr(recorded.event, "purge", False) else ""
        return _say(person(recorded.actor), f" asked to {verb} ", name, also)

    return tell


def _ended_as(past: str) -> Tell:
    return lambda recorded: _say(_name(recorded.event.agent), f" {past}")


def _failed_to(noun: str) -> Tell:
    def tell(recorded: Recorded) -> Sentence:
        event: agents.Failed = recorded.event
        return _say(_name(event.agent), f" {noun} failed: {quoted(event.error)}", bad=True)

    return tell


def _destroyed(recorded: Recorded) -> Sentence:
    event: agents.DestroySucceeded = recorded.event
    return _say(_name(event.agent), " purged, nothing kept" if event.purge else " destroyed, notes kept")


def exit_of(status: int | None) -> str:
    """Show how a process ended, as waitpid gives it."""
    if status is None:
        return ""
    return f"signal {-status}" if status < 0 else f"exit {status}"


def _crashed(recorded: Recorded) -> Sentence:
    event: agents.ContainerCrashed = recorded.event
    ended = exit_of(event.exit_status)
    return _say(_name(event.agent), f" crashed, {ended}" if ended else " crashed", bad=True)


def _quarantined(recorded: Recorded) -> Sentence:
    event: agents.AgentQuarantined = recorded.event
    return _say(_name(event.agent), f" quarantined after {event.crashes} crashes", bad=True)


def _moved(recorded: Recorded) -> Sentence:
    event: agents.AgentMoved = recorded.event
    return _say(person(recorded.actor), " moved ", _name(event.agent), f" to {event.runtime}")


def _blocked(recorded: Recorded) -> Sentence:
    event: egress.EgressBlocked = recorded.event
    return _say(_name(event.agent), " was kept from ", quoted(f"{event.host}:{event.port}"))


def _done_to(past: str) -> Tell:
    """Say what the actor did to an agent, at once and without an outcome to wait for."""
    return lambda recorded: _say(person(recorded.actor), f" {past} ", _name(recorded.event.agent))


def _reaped(recorded: Recorded) -> Sentence:
    event: agents.ContainerReaped = recorded.event
    return _say("stopped a stray container of ", _name(event.agent), f": {quoted(event.reason)}")


def _harness(recorded: Recorded) -> Sentence:
    event: turns.HarnessStarted = recorded.event
    return _say(_name(event.agent), f" is awake, harness {event.version}", quiet=True)


def _turn_began(recorded: Recorded) -> Sentence:
    event: turns.TurnStarted = recorded.event
    mails = f", {_many(len(event.ids), 'mail')}" if event.ids else ""
    return _say(_name(event.agent), f" began a turn{mails}")


def _turn_ended(recorded: Recorded) -> Sentence:
    event: turns.TurnEnded = recorded.event
    cost = f", ${event.cost_usd:.2f}" if event.cost_usd else ""
    if event.ok:
        return _say(_name(event.agent), f" ended a turn, ok{cost}")
    reason = f": {quoted(event.error)}" if event.error else ""
    return _say(_name(event.agent), f" turn failed{cost}{reason}", bad=True)


_DOES = {"idle": "idles", "thinking": "thinks", "compacting": "compacts its context", "waiting": "waits for mail"}


def _status(recorded: Recorded) -> Sentence:
    event: turns.StatusChanged = recorded.event
    if event.text:
        return _say(_name(event.agent), f" says: {quoted(event.text)}")
    quiet = event.status in ("idle", "thinking")  # the turn that begins or ends says so, too
    return _say(_name(event.agent), f" {_DOES[event.status]}", quiet=quiet)


def _model(recorded: Recorded) -> Sentence:
    event: turns.ModelChanged = recorded.event
    return _say(_name(event.agent), f" runs on {quoted(event.model)}")


def _chosen_model(recorded: Recorded) -> Sentence:
    event: turns.ModelChosen = recorded.event
    model = quoted(event.model) if event.model is not None else "the configured model again"
    return _say(person(recorded.actor), " chose ", model, " for ", _name(event.agent))


def _slash_command(recorded: Recorded) -> Sentence:
    event: turns.SlashCommandGiven = recorded.event
    return _say(person(recorded.actor), " told the session of ", _name(event.agent), f" {quoted(event.text)}")


def _reported(recorded: Recorded) -> Sentence:
    event: turns.HarnessReported = recorded.event
    return _say(_name(event.agent), f" reports {quoted(event.kind)}")


def _sent(recorded: Recorded) -> Sentence:
    event: messages.MessageSent = recorded.event
    sender = person(recorded.actor) if event.sender == OPERATOR else _name(event.sender)
    return _say(sender, " wrote to ", _recipient(event.to))


def _recipient(name: str) -> Word:
    return Word("you") if name == OPERATOR else _name(name)


def _handed_over(recorded: Recorded) -> Sentence:
    event: messages.MessagesHandedOver = recorded.event
    return _say(f"{_many(len(event.ids), 'mail')} handed to ", _recipient(event.to), quiet=True)


def _acknowledged(recorded: Recorded) -> Sentence:
    event: messages.MessagesAcknowledged = recorded.event
    return _say(_recipient(event.to), f" read {_many(len(event.ids), 'mail')}", quiet=True)


def _parked(recorded: Recorded) -> Sentence:
    event: messages.MessagesParked = recorded.event
    which = ", ".join(str(id_) for id_ in event.ids[:3]) + (" and more" if len(event.ids) > 3 else "")
    return _say(
        "mail ", Word(which, Kind.REF), " to ", _recipient(event.to), " parked, handed over too often", bad=True
    )


def _requeued(recorded: Recorded) -> Sentence:
    event: messages.MessageRequeued = recorded.event
    mail = Word(str(event.id), Kind.REF)
    return _say(person(recorded.actor), " put mail ", mail, " to ", _recipient(event.to), " back")


def _dropped(recorded: Recorded) -> Sentence:
    event: messages.MessageDropped = recorded.event
    mail = Word(str(event.id), Kind.REF)
    return _say(person(recorded.actor), " dropped mail ", mail, " to ", _recipient(event.to))


def _question(event: questions.QuestionFact) -> Word:
    return Word(f"q{event.id}", Kind.REF)


def _asked(recorded: Recorded) -> Sentence:
    event: questions.QuestionAsked = recorded.event
    left = ""
    if event.deadline_at is not None:
        left = f", {countdown((event.deadline_at - recorded.at) / 1_000_000)} to answer"
    return _say(_name(event.asker), " asked ", _question(event), left)


def _answered(recorded: Recorded) -> Sentence:
    event: questions.QuestionAnswered = recorded.event
    return _say(person(recorded.actor), " answered ", _question(event), f": “{quoted(event.answer)}”")


def _answered_late(recorded: Recorded) -> Sentence:
    event: questions.QuestionAnsweredLate = recorded.event
    return _say(person(recorded.actor), " answered ", _question(event), f" late: “{quoted(event.answer)}”")


def _cancelled(recorded: Recorded) -> Sentence:
    return _say(person(recorded.actor), " cancelled ", _question(recorded.event))


def _hive(past: str) -> Tell:
    return lambda recorded: _say(person(recorded.actor), f" {past}")


def _daemon_started(recorded: Recorded) -> Sentence:
    event: hive.DaemonStarted = recorded.event
    return _say(f"the daemon started, hyperhive {event.release}")


def _forgotten(recorded: Recorded) -> Sentence:
    return _say(f"{_many(recorded.event.count, 'old message')} swept")


def _trimmed(recorded: Recorded) -> Sentence:
    event: hive.StreamsTrimmed = recorded.event
    return _say(f"{_many(event.events, 'old row')} of {_many(len(event.agents), 'turn stream')} swept")


def _restored(recorded: Recorded) -> Sentence:
    return _say(f"the hive was restored from a backup at {recorded.event.position}")


def _servers(recorded: Recorded) -> Sentence:
    event: turns.ToolServersFailed = recorded.event
    if not event.servers:
        return _say(_name(event.agent), " has all its tool servers again")
    return _say(_name(event.agent), f" lacks tool servers: {quoted(', '.join(event.servers))}", bad=True)


def _budget(recorded: Recorded) -> Sentence:
    event: turns.BudgetExhausted = recorded.event
    return _say(_name(event.agent), f" has spent its ${event.usd_per_day:.2f} of today, its mail waits", bad=True)


def _not_sent(recorded: Recorded) -> Sentence:
    event: messages.MessageRefused = recorded.event
    return _say(_name(event.sender), " may not write to ", _recipient(event.to), bad=True)


def _approval(event: approvals.ApprovalFact) -> Word:
    return Word(f"#{event.id}", Kind.REF)


def _what(event: approvals.ApprovalFact, commit: str | None) -> tuple[Word | str, ...]:
    """Say what an approval is for."""
    name = _name(event.agent)
    if event.kind is approvals.Kind.SPAWN:
        return (", spawn ", name)
    verb = "roll back" if event.kind is approvals.Kind.ROLLBACK else "apply"
    to = f" {commit[:7]} to " if commit else " what was asked to "
    return (f", {verb}{to}", name)


def _requested(recorded: Recorded) -> Sentence:
    event: approvals.ApprovalRequested = recorded.event
    return _say(person(recorded.actor), " asked for ", _approval(event), *_what(event, event.commit))


def _granted(recorded: Recorded) -> Sentence:
    event: approvals.ApprovalGranted = recorded.event
    return _say(person(recorded.actor), " approved ", _approval(event), *_what(event, event.commit))


def _denied(recorded: Recorded) -> Sentence:
    event: approvals.ApprovalDenied = recorded.event
    note = f": “{quoted(event.note)}”" if event.note else ""
    return _say(person(recorded.actor), " denied ", _approval(event), note)


def _superseded(recorded: Recorded) -> Sentence:
    event: approvals.ApprovalSuperseded = recorded.event
    return _say(_approval(event), " superseded by ", Word(f"#{event.by}", Kind.REF))


def _not_applied(recorded: Recorded) -> Sentence:
    event: approvals.ApprovalFailed = recorded.event
    return _say(_approval(event), f" could not be done: {quoted(event.error)}", bad=True)


def _applied(recorded: Recorded) -> Sentence:
    event: configurations.ConfigurationApplied = recorded.event
    return _say(_name(event.agent), f" is configured by {event.commit[:7]}")


def _reverted(recorded: Recorded) -> Sentence:
    event: configurations.ConfigurationReverted = recorded.event
    back = f"back to {event.commit[:7]}, {event.failed[:7]} could not be built"
    return _say(_name(event.agent), f" goes {back}", bad=True)


def _person_added(recorded: Recorded) -> Sentence:
    event: operators.OperatorAdded = recorded.event
    article = "an" if event.role == "operator" else "a"
    return _say(f"{event.operator} is {article} {event.role}")


def _person_removed(recorded: Recorded) -> Sentence:
    event: operators.OperatorRemoved = recorded.event
    return _say(person(recorded.actor), f" took the key of {event.operator} away")


TELLERS: dict[type[Any], Tell] = {
    hive.HiveCreated: _always("the hive began"),
    hive.HiveFrozen: _hive("froze the hive"),
    hive.HiveThawed: _hive("thawed the hive"),
    hive.DaemonStarted: _daemon_started,
    hive.DaemonStopped: _always("the daemon stopped"),
    hive.MessagesForgotten: _forgotten,
    hive.StreamsTrimmed: _trimmed,
    hive.HiveRestored: _restored,
    agents.SpawnRequested: _asked_for("spawn"),
    agents.SpawnSucceeded: _ended_as("spawned"),
    agents.SpawnFailed: _failed_to("spawn"),
    agents.StartRequested: _asked_for("start"),
    agents.StartSucceeded: _ended_as("started"),
    agents.StartFailed: _failed_to("start"),
    agents.KillRequested: _asked_for("stop"),
    agents.KillSucceeded: _ended_as("stopped"),
    agents.KillFailed: _failed_to("stop"),
    agents.RestartRequested: _asked_for("restart"),
    agents.RestartSucceeded: _ended_as("restarted"),
    agents.RestartFailed: _failed_to("restart"),
    agents.RebuildRequested: _asked_for("rebuild"),
    agents.RebuildSucceeded: _ended_as("rebuilt"),
    agents.RebuildFailed: _failed_to("rebuild"),
    agents.DestroyRequested: _asked_for("destroy"),
    agents.DestroySucceeded: _destroyed,
    agents.DestroyFailed: _failed_to("destroy"),
    agents.ContainerCrashed: _crashed,
    agents.AgentQuarantined: _quarantined,
    agents.QuarantineLifted: _done_to("lifted the quarantine of"),
    agents.AgentPaused: _done_to("paused"),
    agents.AgentResumed: _done_to("resumed"),
    agents.ContainerLost: _ended_as("was gone when the daemon came back"),
    agents.ContainerReaped: _reaped,
    agents.AgentMoved: _moved,
    egress.EgressBlocked: _blocked,
    turns.HarnessStarted: _harness,
    turns.TurnStarted: _turn_began,
    turns.TurnEnded: _turn_ended,
    turns.StatusChanged: _status,
    turns.ModelChanged: _model,
    turns.ModelChosen: _chosen_model,
    turns.SlashCommandGiven: _slash_command,
    turns.SlashCommandTaken: _ended_as("takes up what its session was told"),
    turns.SessionLost: _ended_as("lost its session and began another"),
    turns.LoginNeeded: _ended_as("needs login"),
    turns.TurnInterruptRequested: _done_to("interrupted"),
    turns.HarnessReported: _reported,
    messages.MessageSent: _sent,
    messages.MessagesHandedOver: _handed_over,
    messages.MessagesAcknowledged: _acknowledged,
    messages.MessagesParked: _parked,
    messages.MessageRequeued: _requeued,
    messages.MessageDropped: _dropped,
    questions.QuestionAsked: _asked,
    questions.QuestionAnswered: _answered,
    questions.QuestionExpired: lambda recorded: _say(_question(recorded.event), " expired"),
    questions.QuestionCancelled: _cancelled,
    questions.QuestionAnsweredLate: _answered_late,
    turns.ToolServersFailed: _servers,
    turns.BudgetExhausted: _budget,
    messages.MessageRefused: _not_sent,
    approvals.ApprovalRequested: _requested,
    approvals.ApprovalGranted: _granted,
    approvals.ApprovalDenied: _denied,
    approvals.ApprovalSuperseded: _superseded,
    approvals.ApprovalFailed: _not_applied,
    configurations.ConfigurationApplied: _applied,
    configurations.ConfigurationReverted: _reverted,
    operators.OperatorAdded: _person_added,
    operators.OperatorRemoved: _person_removed,
}
"""How each fact is told. A fact that is missing here makes a test fail, so that none is left out."""
