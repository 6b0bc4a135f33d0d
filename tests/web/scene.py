"""A night in a hive of nine: every state that a row, a question, a message or a tombstone can be in."""

from __future__ import annotations

import time

from hyperhive.events import agents, hive, messages, questions, turns
from hyperhive.events.envelope import MANAGER, OPERATOR, Fact, actor_of_agent
from hyperhive.projections.views import Kept
from tests.web.staged import Told

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
CODER = actor_of_agent("coder")


def _spawned(name: str, ago: float, *, generation: int = 1) -> list[Told]:
    return [
        Told(ago + 20, agents.SpawnRequested(agent=name), OPERATOR),
        Told(ago, agents.SpawnSucceeded(agent=name, generation=generation)),
        Told(ago - 1, turns.HarnessStarted(agent=name, run=f"run-{name}", version="0.1.0")),
    ]


def _model(name: str, model: str, ago: float) -> Told:
    return Told(ago, turns.ModelChanged(agent=name, model=model), actor_of_agent(name))


def _turn(name: str, ago: float, cost: float, *, ids: tuple[int, ...] = ()) -> list[Told]:
    own = actor_of_agent(name)
    return [
        Told(ago + 60, turns.TurnStarted(agent=name, ids=ids), own),
        Told(ago, turns.TurnEnded(agent=name, ok=True, cost_usd=cost, session_id="4c1e90d2"), own),
    ]


def _status(name: str, status: turns.Status, ago: float, text: str | None = None) -> Told:
    return Told(ago, turns.StatusChanged(agent=name, status=status, text=text), actor_of_agent(name))


def _mail(ago: float, sender: str, to: str, body: str) -> Told:
    actor = OPERATOR if sender == "operator" else actor_of_agent(sender)
    return Told(ago, messages.MessageSent(to=to, sender=sender, body=body), actor)


def deadline(seconds: float) -> int:
    """Return a moment so many seconds from now, as a fact has it."""
    return round((time.time() + seconds) * 1_000_000)


def night() -> list[Told]:
    """Return the facts of the night, oldest first."""
    told: list[Told] = [Told(60 * DAY, hive.HiveCreated(hive="h1"))]
    told += [Told(60 * DAY - 1, hive.DaemonStarted(release="0.1.0", runtime="bubblewrap"))]
    for name, ago in (("tester-old", 70 * DAY), ("mole", 21 * DAY), ("gardener", 3 * DAY)):
        told += [Told(ago + 90, agents.SpawnRequested(agent=name), OPERATOR)]
        told += [Told(ago + 60, agents.SpawnSucceeded(agent=name, generation=1))]
        told += [Told(ago + 30, agents.DestroyRequested(agent=name), OPERATOR)]
        told += [Told(ago, agents.DestroySucceeded(agent=name))]
    ups = {
        "manager": 2 * DAY + 4 * HOUR,
        "coder": 3 * HOUR + 10 * MINUTE,
        "reviewer": DAY + 2 * HOUR,
        "tester": DAY,
        "scribe": 6 * HOUR + 12 * MINUTE,
        "relay": 9 * DAY + HOUR,
        "forager": 31 * MINUTE,
        "archivist": 3 * DAY + 7 * HOUR,
        "mender": 12 * HOUR,
    }
    models = {"manager": "opus", "scribe": "haiku", "relay": "haiku"}
    for name, ago in ups.items():
        told += [*_spawned(name, ago), _model(name, models.get(name, "sonnet"), ago - 2)]
    costs = {"manager": 3.18, "coder": 2.61, "reviewer": 0.94, "tester": 1.07, "scribe": 0.22, "relay": 0.31}
    for number, (name, cost) in enumerate({**costs, "archivist": 0.42, "mender": 0.62}.items()):
        told += _turn(name, 14 * MINUTE + 20 * number, cost)
    told += [
        _mail(2.5 * HOUR, "relay", "operator", "morning. nothing came in over night."),
        _mail(40 * MINUTE, "manager", "forager", "renew the registry token, then pull the new base image and …"),
        _mail(
            21 * MINUTE,
            "reviewer",
            "operator",
            "two findings in the port probe. neither blocks. the second wants a line in the docs, scribe has it.",
        ),
        Told(80 * MINUTE, agents.AgentPaused(agent="archivist"), OPERATOR),
        *(_mail(70 * MINUTE - n, "manager", "archivist", f"file this, {n}") for n in range(4)),
        _status("archivist", "idle", 80 * MINUTE),
        *(Told(13 * MINUTE - n, agents.ContainerCrashed(agent="mender", generation=1, exit_status=137)) for n in (2,)),
        Told(12 * MINUTE, agents.AgentQuarantined(agent="mender", crashes=5, within_seconds=600)),
        _mail(
            11 * MINUTE, "manager", "operator", "mender is quarantined: 5 crashes in 10 minutes. only you can lift it."
        ),
        Told(31 * MINUTE, turns.LoginNeeded(agent="forager", detail="no credentials"), actor_of_agent("forager")),
        _status("forager", "waiting", 31 * MINUTE),
        _status("reviewer", "idle", 3 * MINUTE),
        _status("relay", "waiting", 2 * MINUTE, "watching the support inbox"),
        _mail(2 * MINUTE, "scribe", "reviewer", "the line stands in docs/ports.md"),
        Told(
            14 * MINUTE,
            questions.QuestionAsked(
                id=32,
                asker="manager",
                question="which agents may read the support archive? it holds names and addresses.",
                options=("reviewer", "scribe", "archivist"),
                multi=True,
                deadline_at=deadline(2 * HOUR + 10 * MINUTE + 30),
            ),
            MANAGER,
        ),
        Told(
            65,
            questions.QuestionAsked(
                id=31,
                asker="manager",
                question="the 0.4 branch fails one port test in 1 of 40 runs. how should we ship?",
                options=(
                    "hold the release until it is fixed",
                    "ship, and open an issue for it",
                    "mark the test as known to flake, then ship",
                ),
                deadline_at=deadline(3 * MINUTE + 6),
            ),
            MANAGER,
        ),
        Told(60, turns.TurnStarted(agent="scribe"), actor_of_agent("scribe")),
        _mail(
            55,
            "manager",
            "operator",
            "0.4 is ready but for one port test, see q31. if you hold it, coder goes on; tester is back in a minute.",
        ),
        Told(50, turns.TurnStarted(agent="coder", ids=(61,)), CODER),
        _status("coder", "thinking", 42, "reproducing the port collision of two agents"),
        Told(20, agents.SpawnRequested(agent="scout"), OPERATOR),
        _status("scribe", "compacting", 18, "171k tokens down, then the changelog for 0.4"),
        Told(14, turns.TurnStarted(agent="manager", ids=(70, 71)), MANAGER),
        _status("manager", "thinking", 12, "reading the answer of coder, then the release plan"),
        Told(6, agents.RestartRequested(agent="tester"), MANAGER),
    ]
    told.sort(key=lambda each: -each.ago)
    parked = next(at for at, each in enumerate(told, 1) if _is_mail(each.fact, "forager"))
    told += [Told(38 * MINUTE - n, messages.MessagesHandedOver(to="forager", ids=(parked,))) for n in range(5)]
    told += [Told(37 * MINUTE, messages.MessagesParked(to="forager", ids=(parked,)))]
    told.sort(key=lambda each: -each.ago)
    read = [at for at, each in enumerate(told, 1) if _is_mail(each.fact, "operator")][:2]
    return [*told, Told(1, messages.MessagesAcknowledged(to="operator", ids=tuple(read)), OPERATOR)]


def _is_mail(fact: Fact, to: str) -> bool:
    return isinstance(fact, messages.MessageSent) and fact.to == to


def fresh() -> list[Told]:
    """Return the facts of a hive that has just begun."""
    return [
        Told(150, hive.HiveCreated(hive="h1")),
        Told(149, hive.DaemonStarted(release="0.1.0", runtime="bubblewrap")),
        *_spawned("manager", 130),
        Told(129, turns.LoginNeeded(agent="manager"), MANAGER),
        _model("manager", "opus", 128),
        *_turn("manager", 60, 0.02),
        _status("manager", "waiting", 55, "for a first word from you"),
    ]


def kept() -> dict[str, Kept]:
    """Return what the tombstones of the night keep."""

    def modified(days: float) -> int:
        return round((time.time() - days * DAY) * 1_000_000)

    return {
        "gardener": Kept(size_bytes=84_000_000, whole=True, modified_at=modified(3.1), credentials=True),
        "mole": Kept(size_bytes=1_200_000_000, whole=True, modified_at=modified(21.1), credentials=False),
        "tester-old": Kept(size_bytes=310_000, whole=True, modified_at=modified(70), credentials=True),
    }


JOURNAL = """\
10:39:12  hive-ag3nt[212]    turn 87 ended, ok, 18 tools, $0.21
10:39:50  hive-ag3nt[212]    mail 1182 from manager, turn 88 begins
10:39:50  hive-ag3nt[212]    session 4c1e90d2 resumed in 0.06 s
10:40:12  hive-ag3nt[212]    tool Bash: pytest tests/ports -x -q
10:40:25  hive-ag3nt[212]    tool Bash: exit 1 after 12.8 s
10:40:52  hive-ag3nt[212]    api: 529 overloaded, again in 8 s (2 of 5)
10:41:01  hive-ag3nt[212]    api: answered
10:41:03  hive-m1nd[209]     memory 611M of 2G
10:42:05  hive-ag3nt[212]    stream: 12 rows handed to the host, 0 dropped
"""


async def journal(_name: str, _unit: str, _lines: int) -> str:
    """Return some lines."""
    return JOURNAL
