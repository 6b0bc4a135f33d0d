"""Deciding about lifecycle."""

from __future__ import annotations

import itertools

import pytest

from hyperhive.commands.agents import (
    Action,
    DestroyAgent,
    KillAgent,
    MoveAgent,
    RebuildAgent,
    ReportCrash,
    ReportLoss,
    ReportOutcome,
    ReportReaped,
    RestartAgent,
    SpawnAgent,
    StartAgent,
)
from hyperhive.commands.errors import Conflict, Forbidden, Invalid, NotFound
from hyperhive.events.agents import (
    AgentMoved,
    ContainerCrashed,
    ContainerLost,
    ContainerReaped,
    DestroyFailed,
    DestroyRequested,
    DestroySucceeded,
    KillFailed,
    KillRequested,
    KillSucceeded,
    RebuildFailed,
    RebuildRequested,
    RebuildSucceeded,
    RestartFailed,
    RestartRequested,
    RestartSucceeded,
    SpawnFailed,
    SpawnRequested,
    SpawnSucceeded,
    StartFailed,
    StartRequested,
    StartSucceeded,
)
from hyperhive.events.envelope import DAEMON, MANAGER, OPERATOR, Fact, actor_of_agent
from hyperhive.projections.agents import State
from tests.language import Scene, given, running

RUNNING = running("coder")
STOPPED = (*RUNNING, KillRequested(agent="coder"), KillSucceeded(agent="coder"))
DESTROYED = (*RUNNING, DestroyRequested(agent="coder"), DestroySucceeded(agent="coder"))
NEVER_MADE = (SpawnRequested(agent="coder"), SpawnFailed(agent="coder", error="no space"))

CODER = actor_of_agent("coder")

INTENTS: dict[type[Action], Fact] = {
    StartAgent: StartRequested(agent="coder"),
    KillAgent: KillRequested(agent="coder"),
    RestartAgent: RestartRequested(agent="coder"),
    RebuildAgent: RebuildRequested(agent="coder"),
    DestroyAgent: DestroyRequested(agent="coder"),
}
"""Every verb on a container, and the intent that it leads to. Spawning has a class of its own below."""

VERBS = pytest.mark.parametrize("verb", INTENTS, ids=lambda verb: verb.__name__)


def do(verb: type[Action]) -> Action:
    """Return the operator's command with this verb to coder."""
    return verb(actor=OPERATOR, agent="coder")


class TestVerbs:
    """What is the same for every verb."""

    @VERBS
    def test_asks(self, verb: type[Action]) -> None:
        """A verb that changes something is an intent; the container is as it was until the outcome."""
        before = STOPPED if verb is StartAgent else RUNNING
        scene = given(*before).when(do(verb)).then(INTENTS[verb])
        assert scene.hive.agents["coder"].pending is not None
        assert scene.hive.agents["coder"].state is given(*before).hive.agents["coder"].state

    @VERBS
    def test_second_click_changes_nothing(self, verb: type[Action]) -> None:
        """Asking again while the first intent waits for its outcome appends no event."""
        before = STOPPED if verb is StartAgent else RUNNING
        given(*before, INTENTS[verb]).when(do(verb)).then_nothing_happened()

    @pytest.mark.parametrize(
        ("verb", "other"), list(itertools.permutations(INTENTS, 2)), ids=lambda verb: verb.__name__
    )
    def test_second_verb_waits(self, verb: type[Action], other: type[Action]) -> None:
        """Another verb than the one that is under way is a conflict which names what is under way."""
        before = STOPPED if StartAgent in (verb, other) else RUNNING
        pending = {
            StartAgent: "starting",
            KillAgent: "stopping",
            RestartAgent: "restarting",
            RebuildAgent: "rebuilding",
            DestroyAgent: "destroying",
        }[verb]
        given(*before, INTENTS[verb]).when(do(other)).then_refused(Conflict, match=f"coder is {pending}; wait")

    @VERBS
    def test_nobody_there(self, verb: type[Action]) -> None:
        """An unknown name is refused, and the refusal tells who is there."""
        given().when(do(verb)).then_refused(NotFound, match="no agent 'coder'; there are: none yet")
        given(*running("tester", "anna")).when(do(verb)).then_refused(NotFound, match="there are: anna, tester")

    @VERBS
    def test_destroyed(self, verb: type[Action]) -> None:
        """A tombstone has no container to do anything with."""
        given(*DESTROYED).when(do(verb)).then_refused(NotFound, match="coder is destroyed; spawn it first")

    @VERBS
    def test_never_made(self, verb: type[Action]) -> None:
        """A spawn that failed has left no container."""
        given(*NEVER_MADE).when(do(verb)).then_refused(NotFound, match="coder was never made; spawn it first")

    @VERBS
    def test_while_spawning(self, verb: type[Action]) -> None:
        """A container that is just being made can only be waited for."""
        given(SpawnRequested(agent="coder")).when(do(verb)).then_refused(Conflict, match="coder is spawning")

    @VERBS
    def test_not_on_oneself(self, verb: type[Action]) -> None:
        """The manager refuses to act on its own container."""
        command = verb(actor=MANAGER, agent="manager")
        given(*running("manager")).when(command).then_refused(Forbidden, match=r"may not|itself")


class TestSpawn:
    """Making a container for a name."""

    def test_new_name(self) -> None:
        """A name that nobody has is spawned."""
        scene = given().when(SpawnAgent(actor=OPERATOR, agent="coder")).then(SpawnRequested(agent="coder"))
        assert scene.hive.agents["coder"].state is State.NEW

    def test_second_click_changes_nothing(self) -> None:
        """Asking again while spawning appends no event."""
        given(SpawnRequested(agent="coder")).when(SpawnAgent(actor=OPERATOR, agent="coder")).then_nothing_happened()

    @pytest.mark.parametrize("before", [DESTROYED, NEVER_MADE], ids=["tombstone", "failed spawn"])
    def test_again(self, before: tuple[Fact, ...]) -> None:
        """A tombstone can be revived and a spawn that failed tried again."""
        given(*before).when(SpawnAgent(actor=OPERATOR, agent="coder")).then(SpawnRequested(agent="coder"))

    def test_taken(self) -> None:
        """A container is never made twice, whether it runs or not."""
        spawn = SpawnAgent(actor=OPERATOR, agent="coder")
        given(*RUNNING).when(spawn).then_refused(Conflict, match="coder exists already and is running")
        given(*STOPPED).when(spawn).then_refused(Conflict, match="coder exists already and is stopped")

    @pytest.mark.parametrize("name", ["operator", "system"])
    def test_reserved(self, name: str) -> None:
        """The hive's own names are not for agents."""
        given().when(SpawnAgent(actor=OPERATOR, agent=name)).then_refused(Invalid, match=f"'{name}' is taken")

    @pytest.mark.parametrize(
        "name", ["", "-x", "Coder", "a_b", "a b", "a.b", "../x", "x/y", "é", "coder\n", "a" * 61, "x\0"]
    )
    def test_bad_name(self, name: str) -> None:
        """What cannot be a host name is refused before anything touches a path, and told what a name is."""
        given().when(SpawnAgent(actor=OPERATOR, agent=name)).then_refused(Invalid, match="a name is 1 to 60 of a-z")

    @pytest.mark.parametrize("name", ["a", "0", "a-", "0-0", "a" * 60])
    def test_good_name(self, name: str) -> None:
        """Names may be short, begin with a digit, end with a dash and have 60 characters."""
        given().when(SpawnAgent(actor=OPERATOR, agent=name)).then(SpawnRequested(agent=name))

    def test_manager(self) -> None:
        """The daemon spawns the manager at its first start."""
        given().when(SpawnAgent(actor=DAEMON, agent="manager")).then(SpawnRequested(agent="manager"))


class TestAlreadySo:
    """Wishes that are fulfilled already."""

    def test_start_of_running(self) -> None:
        """A container that runs is started already."""
        given(*RUNNING).when(do(StartAgent)).then_nothing_happened()

    def test_kill_of_stopped(self) -> None:
        """A container that is stopped stays so."""
        given(*STOPPED).when(do(KillAgent)).then_nothing_happened()

    @pytest.mark.parametrize("verb", [RestartAgent, RebuildAgent, DestroyAgent], ids=lambda verb: verb.__name__)
    def test_stopped_is_no_obstacle(self, verb: type[Action]) -> None:
        """A stopped container can be restarted, rebuilt and destroyed."""
        given(*STOPPED).when(do(verb)).then(INTENTS[verb])


class TestKill:
    """What only kill can say."""

    def test_in_a_hurry(self) -> None:
        """An ungraceful kill says so in its intent, where the reactor finds it."""
        command = KillAgent(actor=OPERATOR, agent="coder", graceful=False)
        scene = given(*RUNNING).when(command).then(KillRequested(agent="coder", graceful=False))
        assert scene.hive.agents["coder"].graceful is False


class TestDestroy:
    """What only destroy can say."""

    def test_purge(self) -> None:
        """A purge is carried by intent and outcome, and leaves no tombstone."""
        scene = (
            given(*RUNNING)
            .when(DestroyAgent(actor=OPERATOR, agent="coder", purge=True))
            .then(DestroyRequested(agent="coder", purge=True))
        )
        done = scene.when(ReportOutcome(actor=DAEMON, agent="coder", intent=scene.position))
        assert "coder" not in done.then(DestroySucceeded(agent="coder", purge=True)).hive.agents

    def test_keeps(self) -> None:
        """Without a purge the agent stays as a tombstone."""
        assert given(*DESTROYED).hive.agents["coder"].state is State.DESTROYED

    def test_purge_is_not_swallowed(self) -> None:
        """A purge asked for while a destroy without one is under way is not taken for a second click."""
        given(*RUNNING, DestroyRequested(agent="coder")).when(
            DestroyAgent(actor=OPERATOR, agent="coder", purge=True),
        ).then_refused(Conflict, match="coder is destroying and keeps its state")

    def test_manager_stays(self) -> None:
        """The manager can be stopped, not destroyed."""
        command = DestroyAgent(actor=OPERATOR, agent="manager")
        given(*running("manager")).when(command).then_refused(Conflict, match="the manager cannot be destroyed")


OUTCOMES: dict[type, tuple[Fact, type]] = {
    SpawnRequested: (SpawnSucceeded(agent="coder", generation=1), SpawnFailed),
    StartRequested: (StartSucceeded(agent="coder", generation=2), StartFailed),
    KillRequested: (KillSucceeded(agent="coder"), KillFailed),
    RestartRequested: (RestartSucceeded(agent="coder", generation=2), RestartFailed),
    RebuildRequested: (RebuildSucceeded(agent="coder", generation=2), RebuildFailed),
    DestroyRequested: (DestroySucceeded(agent="coder"), DestroyFailed),
}


def asked(intent: type) -> Scene:
    """Return a scene that ends with this intent."""
    befores: dict[type, tuple[Fact, ...]] = {SpawnRequested: (), StartRequested: STOPPED}
    return given(*befores.get(intent, RUNNING), intent(agent="coder"))


class TestOutcome:
    """Closing an intent."""

    @pytest.mark.parametrize("intent", OUTCOMES, ids=lambda intent: intent.__name__)
    def test_success(self, intent: type) -> None:
        """The outcome closes its own intent; whatever runs after it runs in a new generation."""
        scene = asked(intent)
        report = ReportOutcome(actor=DAEMON, agent="coder", intent=scene.position)
        after = scene.when(report).then(OUTCOMES[intent][0])
        assert after.hive.agents["coder"].pending is None

    @pytest.mark.parametrize("intent", OUTCOMES, ids=lambda intent: intent.__name__)
    def test_failure(self, intent: type) -> None:
        """A failure closes the intent and keeps its reason on the agent's row."""
        scene = asked(intent)
        report = ReportOutcome(actor=DAEMON, agent="coder", intent=scene.position, error="exit 1: no such image")
        after = scene.when(report).then(OUTCOMES[intent][1](agent="coder", error="exit 1: no such image"))
        assert after.hive.agents["coder"].pending is None
        assert after.hive.agents["coder"].error == "exit 1: no such image"

    @pytest.mark.parametrize("intent", OUTCOMES, ids=lambda intent: intent.__name__)
    def test_twice(self, intent: type) -> None:
        """Reported again (a daemon that died before it heard the answer), the same outcome changes nothing."""
        scene = asked(intent)
        report = ReportOutcome(actor=DAEMON, agent="coder", intent=scene.position)
        scene.when(report).then(OUTCOMES[intent][0]).when(report).then_nothing_happened()

    def test_of_an_older_intent(self) -> None:
        """An outcome that comes late does not close the intent that was asked for since."""
        scene = asked(KillRequested)
        late = ReportOutcome(actor=DAEMON, agent="coder", intent=scene.position)
        scene.given(KillSucceeded(agent="coder"), StartRequested(agent="coder")).when(late).then_nothing_happened()

    def test_of_nobody(self) -> None:
        """An outcome for an agent that has been purged meanwhile changes nothing."""
        given().when(ReportOutcome(actor=DAEMON, agent="coder", intent=1)).then_nothing_happened()

    @pytest.mark.parametrize("runs", [True, False])
    @pytest.mark.parametrize("intent", [KillRequested, RestartRequested, RebuildRequested, DestroyRequested])
    def test_failure_believes_what_was_seen(self, intent: type, runs: bool) -> None:
        """After a failure the container runs or not as it was seen then: a failed kill may have killed all the same."""
        scene = asked(intent)
        report = ReportOutcome(actor=DAEMON, agent="coder", intent=scene.position, error="x", running=runs)
        after = scene.when(report).then(OUTCOMES[intent][1](agent="coder", error="x", running=runs))
        assert after.hive.agents["coder"].running is runs

    def test_failure_makes_no_container(self) -> None:
        """A revival that failed leaves the tombstone as it was."""
        scene = given(*DESTROYED, SpawnRequested(agent="coder"), SpawnFailed(agent="coder", error="x"))
        assert scene.hive.agents["coder"].state is State.DESTROYED


class TestObservations:
    """What the daemon saw outside."""

    def test_crash(self) -> None:
        """A running container that was found stopped has crashed, with the status where it is known."""
        report = ReportCrash(actor=DAEMON, agent="coder", generation=1, exit_status=-9)
        scene = given(*RUNNING).when(report).then(ContainerCrashed(agent="coder", generation=1, exit_status=-9))
        row = scene.hive.agents["coder"]
        assert (row.state, row.crashed) == (State.STOPPED, True)
        scene.when(report).then_nothing_happened()

    @pytest.mark.parametrize("intent", [KillRequested, RestartRequested, RebuildRequested, DestroyRequested])
    def test_stopping_is_no_crash(self, intent: type) -> None:
        """What stops because somebody asked for it has not crashed."""
        report = ReportCrash(actor=DAEMON, agent="coder", generation=1)
        given(*RUNNING, intent(agent="coder")).when(report).then_nothing_happened()

    def test_stale_observation(self) -> None:
        """What was seen of an earlier generation says nothing about the one that runs now."""
        restarted = (*RUNNING, RestartRequested(agent="coder"), RestartSucceeded(agent="coder", generation=2))
        given(*restarted).when(ReportCrash(actor=DAEMON, agent="coder", generation=1)).then_nothing_happened()
        given(*restarted).when(ReportLoss(actor=DAEMON, agent="coder", generation=1)).then_nothing_happened()

    def test_loss(self) -> None:
        """After a reboot, what the log has as running is noted as lost, once."""
        report = ReportLoss(actor=DAEMON, agent="coder", generation=1)
        scene = given(*RUNNING).when(report).then(ContainerLost(agent="coder", generation=1))
        assert not scene.hive.agents["coder"].crashed
        scene.when(report).then_nothing_happened()

    def test_loss_keeps_the_intent(self) -> None:
        """An intent under way when the host went down is still worked off after it."""
        scene = (
            given(*RUNNING, RestartRequested(agent="coder"))
            .when(ReportLoss(actor=DAEMON, agent="coder", generation=1))
            .then(ContainerLost(agent="coder", generation=1))
        )
        assert scene.hive.agents["coder"].pending_position == 3

    def test_nobody(self) -> None:
        """Observations of a name without a row change nothing."""
        given().when(ReportCrash(actor=DAEMON, agent="coder", generation=1)).then_nothing_happened()
        given().when(ReportLoss(actor=DAEMON, agent="coder", generation=1)).then_nothing_happened()

    def test_reaped(self) -> None:
        """A container that nobody owned is noted with the reason, and makes no agent."""
        scene = (
            given()
            .when(ReportReaped(actor=DAEMON, agent="ghost", reason="not in the log"))
            .then(ContainerReaped(agent="ghost", reason="not in the log"))
        )
        assert "ghost" not in scene.hive.agents


class TestMove:
    """Where an agent lives."""

    def test_running(self) -> None:
        """One that runs elsewhere is made anew there; one that runs there already only has it noted."""
        moved = AgentMoved(agent="coder", runtime="podman")
        scene = given(*RUNNING)
        after = scene.when(MoveAgent(actor=OPERATOR, agent="coder", runtime="podman", here="bubblewrap"))
        after.then(moved, RebuildRequested(agent="coder"))
        scene.when(MoveAgent(actor=OPERATOR, agent="coder", runtime="podman", here="podman")).then(moved)

    def test_stopped(self) -> None:
        """One that is stopped is made there when it starts."""
        given(*STOPPED).when(MoveAgent(actor=OPERATOR, agent="coder", runtime="podman", here="bubblewrap")).then(
            AgentMoved(agent="coder", runtime="podman")
        )

    def test_again(self) -> None:
        """Asking again for what is chosen changes nothing, wherever it runs meanwhile."""
        scene = given(*RUNNING, AgentMoved(agent="coder", runtime="podman"))
        again = MoveAgent(actor=OPERATOR, agent="coder", runtime="podman", here="bubblewrap")
        scene.when(again).then_nothing_happened()

    def test_busy(self) -> None:
        """One to which something is being done is not moved meanwhile, and one that was never made not at all."""
        move = MoveAgent(actor=OPERATOR, agent="coder", runtime="podman", here="bubblewrap")
        given(*RUNNING, RestartRequested(agent="coder")).when(move).then_refused(Conflict, match="coder is restarting")
        given().when(move).then_refused(NotFound, match="coder")
