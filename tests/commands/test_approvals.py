"""Approvals: asking, deciding on exactly what was shown, and what follows."""

from __future__ import annotations

from typing import Any

import pytest

from hyperhive.commands.agents import RebuildAgent, ReportOutcome
from hyperhive.commands.approvals import (
    AlreadyDecided,
    Approve,
    Deny,
    ReportApplied,
    RequestApply,
    RequestSpawn,
    RollBack,
    Stale,
)
from hyperhive.commands.errors import Conflict, Forbidden, Invalid, NotFound, TooLarge
from hyperhive.commands.messages import SendMessage, TakeMail
from hyperhive.commands.reports import ReportTurnEnded
from hyperhive.events.agents import (
    DestroyRequested,
    DestroySucceeded,
    KillRequested,
    KillSucceeded,
    RebuildFailed,
    RebuildRequested,
    RebuildSucceeded,
    SpawnFailed,
    SpawnRequested,
    SpawnSucceeded,
)
from hyperhive.events.approvals import (
    ApprovalDenied,
    ApprovalFailed,
    ApprovalGranted,
    ApprovalRequested,
    ApprovalSuperseded,
    Kind,
)
from hyperhive.events.configurations import AgentSettings, ConfigurationApplied, ConfigurationReverted
from hyperhive.events.envelope import DAEMON, MANAGER, OPERATOR, Cause, Fact, actor_of_agent
from hyperhive.events.messages import MessageRefused, MessageSent, MessagesHandedOver
from hyperhive.events.turns import BudgetExhausted, TurnEnded
from hyperhive.projections.views import agent_row
from tests.language import Scene, given, running

A, B, C = ("a" * 40, "b" * 40, "c" * 40)
OPUS, SONNET = AgentSettings(model="opus"), AgentSettings(model="sonnet")
CODER = actor_of_agent("coder")


def about(
    number: int, kind: Kind = Kind.APPLY_COMMIT, agent: str = "coder", requester: str = "manager"
) -> dict[str, Any]:
    """What every fact about an approval says."""
    return {"id": number, "kind": kind, "agent": agent, "requester": requester}


def asked(
    number: int = 1, commit: str | None = A, base: str | None = None, kind: Kind = Kind.APPLY_COMMIT, **more: Any
) -> Fact:
    """A request of the manager's."""
    return ApprovalRequested(**about(number, kind), note="", commit=commit, base=base, **more)


def granted(number: int = 1, commit: str | None = A, base: str | None = None, kind: Kind = Kind.APPLY_COMMIT) -> Fact:
    """The operator's yes to it."""
    return ApprovalGranted(**about(number, kind), commit=commit, base=base)


def applied(
    commit: str = A, base: str | None = None, *, settings: AgentSettings = OPUS, builds: bool = True, approval: int = 1
) -> Fact:
    """A commit became what coder is."""
    return ConfigurationApplied(
        agent="coder", approval=approval, commit=commit, base=base, settings=settings, builds=builds
    )


def approve(number: int = 1, commit: str | None = A, base: str | None = None) -> Approve:
    """The operator's yes to what a page showed."""
    return Approve(actor=OPERATOR, approval=number, seen=True, commit=commit, base=base)


class TestAsking:
    """What the manager may ask for."""

    def test_spawn(self) -> None:
        """A new name is asked for, and nothing else happens."""
        wish = RequestSpawn(actor=MANAGER, agent="coder", note=" to write code ", commit=A)
        given(*running("manager")).when(wish).then(
            ApprovalRequested(**about(1, Kind.SPAWN), note="to write code", commit=A),
        )

    def test_spawn_of_what_lives(self) -> None:
        """An agent that has a container is not asked for again."""
        given(*running("coder")).when(RequestSpawn(actor=MANAGER, agent="coder")).then_refused(
            Conflict, match="exists already and is running; request_apply_commit"
        )

    @pytest.mark.parametrize("name", ["", "..", "-x", "Coder", "a\nb", "x" * 61, "operator", "system"])
    def test_spawn_of_no_name(self, name: str) -> None:
        """A name that is none is refused before anything else."""
        given().when(RequestSpawn(actor=MANAGER, agent=name)).then_refused(Invalid, match="name|taken")

    def test_the_same_again(self) -> None:
        """A repeated request is one."""
        given(*running("coder"), asked()).when(
            RequestApply(actor=MANAGER, agent="coder", commit=A)
        ).then_nothing_happened()

    def test_a_newer_one(self) -> None:
        """A newer request for the same agent takes the older one's place, visibly."""
        given(*running("coder"), asked()).when(RequestApply(actor=MANAGER, agent="coder", commit=B)).then(
            asked(2, B),
            ApprovalSuperseded(**about(1), by=2),
        )

    def test_what_is_applied_already(self) -> None:
        """There is nothing to ask for."""
        given(*running("coder"), applied()).when(RequestApply(actor=MANAGER, agent="coder", commit=A)).then_refused(
            Conflict, match="is what is applied to coder already"
        )

    def test_of_nobody(self) -> None:
        """Only an agent that there is, or was, has a configuration."""
        given().when(RequestApply(actor=MANAGER, agent="nobody", commit=A)).then_refused(NotFound, match="no agent")

    def test_agents_may_not(self) -> None:
        """An agent that is not the manager asks for nothing, and nobody but the operator decides."""
        scene = given(*running("coder", "manager"), asked())
        for command in (
            RequestSpawn(actor=CODER, agent="new"),
            RequestApply(actor=CODER, agent="coder", commit=B),
            Approve(actor=CODER, approval=1),
            Approve(actor=MANAGER, approval=1),
            Deny(actor=MANAGER, approval=1),
            RollBack(actor=MANAGER, agent="coder", commit=B),
            ReportApplied(actor=MANAGER, approval=1, settings=OPUS),
        ):
            scene.when(command).then_refused(Forbidden, match="may not")

    def test_too_many(self) -> None:
        """A requester has so many waiting at most; what replaces an older one is not one more."""
        names = [f"agent-{number}" for number in range(20)]
        facts = [
            ApprovalRequested(**about(number, Kind.SPAWN, name), note="") for number, name in enumerate(names, start=1)
        ]
        scene = given(*facts)
        scene.when(RequestSpawn(actor=MANAGER, agent="more")).then_refused(
            Conflict, match="20 requests of manager wait"
        )
        scene.when(RequestSpawn(actor=OPERATOR, agent="more")).then(
            ApprovalRequested(**about(21, Kind.SPAWN, "more", "operator"), note="")
        )
        answer = scene.when(RequestSpawn(actor=MANAGER, agent="agent-3", note="now")).answer
        assert isinstance(answer, tuple)
        assert [type(fact) for fact in answer] == [ApprovalRequested, ApprovalSuperseded]

    def test_a_long_note(self) -> None:
        """A note that nobody would read is refused."""
        given().when(RequestSpawn(actor=MANAGER, agent="new", note="x" * 4_001)).then_refused(
            TooLarge, match="at most 4000"
        )


class TestDeciding:
    """What was seen is what is approved."""

    def test_approve(self) -> None:
        """The yes carries the commit, the base and the note, and is caused by the request."""
        scene = given(*running("coder"), asked())
        then = scene.when(Approve(actor=OPERATOR, approval=1, seen=True, commit=A, note=" go on "))
        then.then(ApprovalGranted(**about(1), commit=A, base=None, note="go on"))
        scene.when(approve()).then_caused_by(Cause(3, 3))

    def test_an_older_client(self) -> None:
        """Who states neither commit nor base approves what was asked for, where that has not moved."""
        given(*running("coder"), asked()).when(Approve(actor=OPERATOR, approval=1)).then(granted())
        given(*running("coder"), asked(), applied(B, approval=9)).when(
            Approve(actor=OPERATOR, approval=1)
        ).then_refused(Stale, match="the base moved from nothing to bbbbbbbbbbbb")

    def test_another_commit(self) -> None:
        """A page that showed another commit approves nothing."""
        given(*running("coder"), asked()).when(approve(commit=B)).then_refused(
            Stale, match="bbbbbbbbbbbb was shown, aaaaaaaaaaaa is asked for"
        )

    def test_another_base(self) -> None:
        """Nor does one that showed another base; looked at again, it does."""
        scene = given(*running("coder"), applied(B), asked(base=B), applied(C, B, approval=9))
        scene.when(approve(base=B)).then_refused(Stale, match="moved from bbbbbbbbbbbb to cccccccccccc; look again")
        scene.when(approve(base=C)).then(granted(base=C))

    def test_what_cannot_be_shown(self) -> None:
        """What cannot be shown whole cannot be approved, by whomever it is tried; it can be denied."""
        scene = given(*running("coder"), asked(blocked="too large"))
        scene.when(approve()).then_refused(Conflict, match="cannot be approved: too large")
        scene.when(Deny(actor=OPERATOR, approval=1, note="no")).then(ApprovalDenied(**about(1), note="no"))

    @pytest.mark.parametrize(
        "ending", [granted(), ApprovalDenied(**about(1)), ApprovalSuperseded(**about(1), by=2)], ids=repr
    )
    def test_the_second_word(self, ending: Fact) -> None:
        """Whatever came first stands, and the second is told what it was."""
        scene = given(*running("coder"), asked()).given(ending)
        for command in (approve(), Deny(actor=OPERATOR, approval=1)):
            scene.when(command).then_refused(AlreadyDecided, match="approval 1 (is decided|was approved already)")

    def test_unknown(self) -> None:
        """A number that nobody got."""
        given().when(approve(7)).then_refused(NotFound, match="no approval 7")

    def test_spawn_without_a_configuration(self) -> None:
        """Where nothing is to be applied the container is asked for at once."""
        spawn = asked(commit=None, kind=Kind.SPAWN)
        given(spawn).when(approve(commit=None)).then(
            granted(commit=None, kind=Kind.SPAWN), SpawnRequested(agent="coder")
        )

    def test_revival(self) -> None:
        """A tombstone comes back with what it was, by the same approval."""
        gone = (DestroyRequested(agent="coder"), DestroySucceeded(agent="coder"))
        scene = given(*running("coder"), applied(), *gone, asked(commit=A, base=A, kind=Kind.SPAWN))
        scene.when(approve(base=A)).then(granted(base=A, kind=Kind.SPAWN), SpawnRequested(agent="coder"))

    def test_spawn_of_what_lives_by_now(self) -> None:
        """Somebody else made it meanwhile: nothing is done to it."""
        scene = given(asked(kind=Kind.SPAWN), *running("coder"))
        scene.when(approve()).then_refused(Conflict, match="coder is running by now; deny approval 1")


class TestApplying:
    """From the operator's yes to the container."""

    def test_rebuild(self) -> None:
        """A running agent is rebuilt from what is applied; the report may come twice."""
        report = ReportApplied(actor=DAEMON, approval=1, settings=OPUS)
        scene = given(*running("coder"), asked(), granted())
        after = scene.when(report).then(applied(), RebuildRequested(agent="coder"))
        after.when(report).then_nothing_happened()

    def test_a_stopped_agent(self) -> None:
        """What is stopped stays so; the next start takes the new configuration."""
        scene = given(*running("coder"), *stopped(), asked(), granted())
        scene.when(ReportApplied(actor=DAEMON, approval=1, settings=OPUS)).then(applied(builds=False))

    def test_spawn(self) -> None:
        """A new agent is made from it."""
        scene = given(asked(kind=Kind.SPAWN), granted(kind=Kind.SPAWN))
        scene.when(ReportApplied(actor=DAEMON, approval=1, settings=OPUS)).then(
            applied(), SpawnRequested(agent="coder")
        )

    def test_failure(self) -> None:
        """What cannot be applied is told, with the reason."""
        scene = given(*running("coder"), asked(), granted())
        after = scene.when(ReportApplied(actor=DAEMON, approval=1, error="no git")).then(
            ApprovalFailed(**about(1), error="no git"),
        )
        assert '"status": "failed", "note": "no git"' in mail(after, "manager")[-1]

    def test_failed_rebuild(self) -> None:
        """The former configuration comes back, and its container; a second failure goes back no further."""
        scene = given(*running("coder"), applied(A, builds=False), asked(1, B, A), granted(1, B, A))
        scene = scene.given(applied(B, A, settings=SONNET), RebuildRequested(agent="coder"))
        outcome = ReportOutcome(actor=DAEMON, agent="coder", intent=scene.position, error="exit 1")
        after = scene.when(outcome).then(
            RebuildFailed(agent="coder", error="exit 1"),
            ApprovalFailed(**about(1), error="exit 1"),
            ConfigurationReverted(agent="coder", approval=1, commit=A, failed=B, settings=OPUS),
            RebuildRequested(agent="coder"),
        )
        assert after.hive.configurations["coder"].settings == OPUS
        again = ReportOutcome(actor=DAEMON, agent="coder", intent=after.position, error="exit 1")
        after.when(again).then(RebuildFailed(agent="coder", error="exit 1"))

    def test_failed_build(self) -> None:
        """A container that was not touched is still the former configuration's: it is left alone."""
        scene = given(*running("coder"), applied(A, builds=False), asked(1, B, A), granted(1, B, A))
        scene = scene.given(applied(B, A, settings=SONNET), RebuildRequested(agent="coder"))
        failure: dict[str, Any] = {"agent": "coder", "error": "exit 1", "running": True, "generation": 1}
        scene.when(ReportOutcome(actor=DAEMON, intent=scene.position, **failure)).then(
            RebuildFailed(**failure),
            ApprovalFailed(**about(1), error="exit 1"),
            ConfigurationReverted(agent="coder", approval=1, commit=A, failed=B, settings=OPUS),
        )

    def test_failed_spawn(self) -> None:
        """The manager is told twice: of the approval, and of the container."""
        scene = given(asked(kind=Kind.SPAWN), granted(kind=Kind.SPAWN), applied(), SpawnRequested(agent="coder"))
        outcome = ReportOutcome(actor=DAEMON, agent="coder", intent=scene.position, error="no room")
        scene.when(outcome).then(
            SpawnFailed(agent="coder", error="no room"),
            ApprovalFailed(**about(1, Kind.SPAWN), error="no room"),
        )

    def test_done(self) -> None:
        """With the container made, nothing is left to do about it; a later failed rebuild is nobody's approval."""
        scene = given(*running("coder"), asked(), granted(), applied(), RebuildRequested(agent="coder"))
        scene = scene.given(RebuildSucceeded(agent="coder", generation=2))
        assert scene.hive.approvals == {}
        scene = scene.when(RebuildAgent(actor=OPERATOR, agent="coder")).then(RebuildRequested(agent="coder"))
        outcome = ReportOutcome(actor=DAEMON, agent="coder", intent=scene.position, error="exit 1")
        scene.when(outcome).then(RebuildFailed(agent="coder", error="exit 1"))

    def test_roll_back(self) -> None:
        """Asked and granted in one, and nobody is told who did not ask."""
        scene = given(*running("coder"), applied(A, builds=False), applied(B, A, builds=False))
        wish = RollBack(actor=OPERATOR, agent="coder", commit=A, note="worse")
        rolled = {**about(1, Kind.ROLLBACK, requester="operator"), "note": "worse", "commit": A, "base": B}
        after = scene.when(wish).then(ApprovalRequested(**rolled), ApprovalGranted(**rolled))
        assert not any("approval_resolved" in body for body in mail(after, "operator"))


class TestWhatItMeans:
    """What a configuration says is kept."""

    def test_needs_update(self) -> None:
        """A running container that was made from something else than what is applied needs an update."""
        scene = given(*running("coder"), applied(builds=False))
        assert agent_row(scene.hive, scene.hive.agents["coder"])["needs_update"] is True
        rebuilt = scene.given(RebuildRequested(agent="coder"), RebuildSucceeded(agent="coder", generation=2))
        row = agent_row(rebuilt.hive, rebuilt.hive.agents["coder"])
        assert (row["needs_update"], row["deployed_sha"]) == (False, A[:12])

    def test_recipients(self) -> None:
        """A message to somebody else is refused, as a fact; others, and the operator's own mail, are not."""
        own = AgentSettings(recipients=("operator",))
        scene = given(*running("coder", "manager"), applied(settings=own))
        scene.when(SendMessage(actor=CODER, to="manager", body="psst")).then(
            MessageRefused(to="manager", sender="coder")
        )
        scene.when(SendMessage(actor=CODER, to="operator", body="x")).then(
            MessageSent(to="operator", sender="coder", body="x")
        )
        scene.when(SendMessage(actor=OPERATOR, to="coder", body="x")).then(
            MessageSent(to="coder", sender="operator", body="x")
        )

    def test_budget(self) -> None:
        """With the day's money spent the mail waits for the next day, and that is said once."""
        scene = given(*running("coder"), applied(settings=AgentSettings(usd_per_day=1.0)))
        scene = scene.when(turn(0.75)).then(TurnEnded(agent="coder", ok=True, cost_usd=0.75))
        scene = scene.when(turn(0.5)).then(
            TurnEnded(agent="coder", ok=True, cost_usd=0.5),
            BudgetExhausted(agent="coder", usd_per_day=1.0, spent_usd=1.25),
        )
        scene = scene.when(turn(0.5)).then(TurnEnded(agent="coder", ok=True, cost_usd=0.5))
        take = TakeMail(actor=CODER, to="coder")
        scene.when(take).then_nothing_happened()
        tomorrow = scene.later(seconds=86_400)
        ids = tuple(row.id for row in scene.hive.messages.group("coder").values())
        tomorrow.when(take).then(MessagesHandedOver(to="coder", ids=ids))


def turn(cost_usd: float) -> ReportTurnEnded:
    """A turn of coder's ended."""
    ended = TurnEnded(agent="coder", ok=True, cost_usd=cost_usd)
    return ReportTurnEnded(actor=CODER, agent="coder", ended=ended)


def stopped() -> tuple[Fact, ...]:
    """Coder is stopped."""
    return (KillRequested(agent="coder"), KillSucceeded(agent="coder"))


def mail(scene: Scene, to: str) -> list[str]:
    """What waits in an inbox."""
    return [row.body for row in scene.hive.messages.group(to).values()]


def test_told() -> None:
    """Each ending reaches the requester as mail: what was decided, about whom, with the operator's note."""
    scene = (
        given(*running("coder"), asked())
        .when(Deny(actor=OPERATOR, approval=1, note="two are enough"))
        .then(ApprovalDenied(**about(1), note="two are enough"))
    )
    assert mail(scene, "manager")[-1] == (
        '{"event": "approval_resolved", "id": 1, "agent": "coder", "kind": "apply_commit", "status": "denied", '
        '"note": "two are enough"}'
    )
    spawned = (
        given(asked(commit=None, kind=Kind.SPAWN))
        .when(approve(commit=None))
        .then(granted(commit=None, kind=Kind.SPAWN), SpawnRequested(agent="coder"))
    )
    done = spawned.given(SpawnSucceeded(agent="coder", generation=1))
    assert mail(done, "manager")[-1] == '{"event": "spawned", "agent": "coder", "ok": true}'
