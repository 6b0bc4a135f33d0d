"""Two words about one approval, over real git repositories: one decision, whatever comes first."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperhive.commands.agents import DestroyAgent, ReportOutcome, RestartAgent
from hyperhive.commands.approvals import Approve, Deny, Stale
from hyperhive.commands.errors import Conflict, Invalid, NotFound, Refused
from hyperhive.events.envelope import DAEMON, MANAGER, OPERATOR
from hyperhive.events.log import read
from hyperhive.projections.approvals import Status
from hyperhive.proposals.proposals import Proposals
from hyperhive.reactors.applier import Applier
from tests.commands.desk import Desk
from tests.proposals.kept import proposals_at
from tests.repositories.hostile import Workshop


class Table:
    """A hive with coder, its repositories, and an applier."""

    def __init__(self, hive_db: Path) -> None:
        self.desk = Desk(hive_db)
        self.proposals: Proposals = proposals_at(self.desk.dispatcher, hive_db)
        self.applier = Applier(self.desk.dispatcher, self.proposals)
        self.workshop = Workshop(hive_db.parent / "proposed/coder", hive_db.parent / "trap")

    async def open(self) -> None:
        """Let coder run, with a proposed repository."""
        await self.desk.spawn("manager", "coder")
        await self.proposals.ensure_proposed("coder")

    async def ask(self, text: str = 'model = "opus"\n') -> int:
        """Commit a configuration and ask for it."""
        self.workshop.write("agent.toml", text)
        return await self.proposals.request_apply(MANAGER, "coder", self.workshop.commit(), "why not")

    async def seen(self, number: int) -> Approve:
        """Look at an approval as the operator does, and mean just that."""
        review = await self.proposals.review(number)
        return Approve(actor=OPERATOR, approval=number, seen=True, commit=review.row.commit, base=review.base)

    def types(self) -> list[str]:
        """What has happened."""
        return [fact.type for fact in read(self.desk.log.connection)]


@pytest.fixture
def table(hive_db: Path) -> Table:
    """A hive with coder."""
    return Table(hive_db)


@pytest.mark.parametrize("first", ["approve", "deny"])
def test_approve_against_deny(table: Table, first: str) -> None:
    """Given at the same moment, one is the decision, and the other is told what it was."""

    async def story() -> list[object]:
        await table.open()
        number = await table.ask()
        words = {
            "approve": table.proposals.approve(await table.seen(number)),
            "deny": table.proposals.deny(Deny(actor=OPERATOR, approval=number)),
        }
        ordered = [words[first], words["deny" if first == "approve" else "approve"]]
        return list(await asyncio.gather(*ordered, return_exceptions=True))

    outcomes = asyncio.run(story())
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["AlreadyDecided", "NoneType"]
    decided = [name for name in table.types() if name in ("ApprovalGranted", "ApprovalDenied")]
    assert len(decided) == 1


def test_double_approve(table: Table) -> None:
    """Ten clicks at once are one decision, one application, one rebuild."""

    async def story() -> list[object]:
        await table.open()
        word = await table.seen(await table.ask())
        clicks = await asyncio.gather(*(table.proposals.approve(word) for _ in range(10)), return_exceptions=True)
        while await table.applier.tick():
            pass
        return list(clicks)

    clicks = asyncio.run(story())
    assert sum(click is None for click in clicks) == 1
    types = table.types()
    assert [types.count(name) for name in ("ApprovalGranted", "ConfigurationApplied", "RebuildRequested")] == [1, 1, 1]


def test_commit_moved_in_between(table: Table) -> None:
    """What the manager does to its repository after the request changes nothing of what is approved."""

    async def story() -> str:
        await table.open()
        number = await table.ask()
        word = await table.seen(number)
        table.workshop.write("agent.toml", 'model = "evil"\n')
        table.workshop.git("commit", "--quiet", "--all", "--amend", "--no-edit")
        shutil.rmtree(table.workshop.root / ".git/objects")
        await table.proposals.approve(word)
        await table.applier.tick()
        return (await table.proposals.files("coder"))["agent.toml"]

    assert asyncio.run(story()) == 'model = "opus"\n'


def test_a_newer_request_in_between(table: Table) -> None:
    """The old page's yes does not reach the newer request."""

    async def story() -> Refused:
        await table.open()
        old = await table.seen(await table.ask())
        await table.ask('model = "sonnet"\n')
        with pytest.raises(Conflict, match="approval 1 was cancelled already") as refused:
            await table.proposals.approve(old)
        return refused.value

    asyncio.run(story())
    assert "ApprovalGranted" not in table.types()


def test_base_moved_in_between(table: Table) -> None:
    """A yes to a diff against an older base is refused; while one is carried out nobody can say yes to another."""

    async def story() -> None:
        await table.open()
        await table.proposals.approve(await table.seen(await table.ask()))
        second = await table.ask('model = "sonnet"\n')
        old = await table.seen(second)
        for _ in range(2):
            with pytest.raises(Conflict, match="approval 1 of coder is still being carried out"):
                await table.proposals.approve(old)
            await table.applier.tick()
        await settle(table)
        with pytest.raises(Stale, match="the base moved from nothing to"):
            await table.proposals.approve(old)
        new = await table.seen(second)
        assert [file.status for file in (await table.proposals.review(second)).diff.files] == ["changed"]
        await table.proposals.approve(new)
        await table.applier.tick()
        await settle(table)
        number = await table.proposals.roll_back(OPERATOR, "coder", None, "worse")
        assert (await table.proposals.review(number)).row.status is Status.APPROVED
        await table.applier.tick()
        assert (await table.proposals.files("coder"))["agent.toml"] == 'model = "opus"\n'

    asyncio.run(story())


async def settle(table: Table) -> None:
    """Close coder's open intent, as the lifecycle reactor does."""
    intent = table.desk.hive.agents["coder"].pending_position
    assert intent is not None
    await table.desk.dispatcher.dispatch(ReportOutcome(actor=DAEMON, agent="coder", intent=intent))


def test_the_applier_waits(table: Table) -> None:
    """While something is done to the agent nothing is applied; afterwards it is."""

    async def story() -> list[bool]:
        await table.open()
        await table.proposals.approve(await table.seen(await table.ask()))
        await table.desk.dispatcher.dispatch(RestartAgent(actor=OPERATOR, agent="coder"))
        waited = await table.applier.tick()
        await settle(table)
        return [waited, await table.applier.tick(), await table.applier.tick()]

    assert asyncio.run(story()) == [False, True, False]


def test_what_is_refused_at_the_door(table: Table) -> None:
    """A commit that nothing could be made from never comes before the operator."""

    async def story() -> None:
        await table.open()
        head = table.workshop.git("rev-parse", "HEAD")
        for text, says in (("modle = 1", "did you mean model"), ("x =", "not TOML")):
            with pytest.raises(Invalid, match=says):
                await table.ask(text)
        (table.workshop.root / "agent.toml").unlink()
        table.workshop.write("other", "x\n")
        with pytest.raises(Invalid, match=r"has no agent\.toml"):
            await table.proposals.request_apply(MANAGER, "coder", table.workshop.commit(), "")
        with pytest.raises(NotFound, match="no agent 'nobody'"):
            await table.proposals.request_apply(MANAGER, "nobody", head, "")
        with pytest.raises(NotFound, match="does not hold"):
            await table.proposals.request_apply(MANAGER, "coder", "f" * 40, "")
        with pytest.raises(Invalid, match="did you mean model"):
            await table.proposals.request_spawn(MANAGER, "new", "", "modle = 1")

    asyncio.run(story())
    assert "ApprovalRequested" not in table.types()


def test_too_large_to_show(table: Table) -> None:
    """It waits with the reason; no surface approves it."""

    async def story() -> None:
        await table.open()
        table.workshop.write("long.txt", "x\n" * 6_000)
        number = await table.ask()
        review = await table.proposals.review(number)
        assert "at most 5000 can be shown" in str(review.blocked)
        for word in (await table.seen(number), Approve(actor=OPERATOR, approval=number)):
            with pytest.raises(Conflict, match="cannot be approved: the change has"):
                await table.proposals.approve(word)

    asyncio.run(story())


@settings(max_examples=25, deadline=None)
@given(order=st.permutations(["approve", "approve", "deny", "ask", "tick", "roll"]), data=st.data())
def test_any_order(
    order: list[str], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory, migrated: Path
) -> None:
    """Whatever comes in whatever order: at most one decision an approval, at most one rebuild an application."""
    place = tmp_path_factory.mktemp("hive")
    shutil.copy(migrated, place / "hive.sqlite")
    table = Table(place / "hive.sqlite")

    async def story() -> None:
        await table.open()
        number = await table.ask()
        word = await table.seen(number)

        async def act(what: str) -> None:
            match what:
                case "approve":
                    await table.proposals.approve(word)
                case "deny":
                    await table.proposals.deny(Deny(actor=OPERATOR, approval=number))
                case "ask":
                    await table.ask('model = "sonnet"\n')
                case "tick":
                    await table.applier.tick()
                case "roll":
                    await table.proposals.roll_back(OPERATOR, "coder", None, "")

        cut = data.draw(st.integers(0, len(order)))
        await asyncio.gather(*map(act, order[:cut]), return_exceptions=True)
        await asyncio.gather(*map(act, order[cut:]), return_exceptions=True)
        while await table.applier.tick():
            pass

    asyncio.run(story())
    facts = list(read(table.desk.log.connection))
    for number in {fact.event.id for fact in facts if fact.type == "ApprovalRequested"}:
        endings = [fact.type for fact in facts if fact.stream == f"approval-{number}"][1:]
        assert len(endings) <= 1, endings
    types = [fact.type for fact in facts]
    assert types.count("ConfigurationApplied") == types.count("ApprovalGranted") >= types.count("RebuildRequested")
    table.desk.log.close()


def test_revival(table: Table) -> None:
    """A destroyed agent comes back by an approval of its own, granted by who asked; a second click changes nothing."""

    async def story() -> list[int | None]:
        await table.open()
        await table.proposals.approve(await table.seen(await table.ask()))
        await table.applier.tick()
        await settle(table)
        await table.desk.dispatcher.dispatch(DestroyAgent(actor=OPERATOR, agent="coder"))
        await settle(table)
        clicks = [await table.proposals.revive(OPERATOR, "coder") for _ in range(2)]
        await settle(table)
        with pytest.raises(Conflict, match="coder lives"):
            await table.proposals.revive(OPERATOR, "coder")
        return clicks

    assert asyncio.run(story()) == [2, None]
    facts = list(read(table.desk.log.connection))
    endings = [(fact.type, fact.event.kind.value) for fact in facts if fact.stream == "approval-2"]
    assert endings == [("ApprovalRequested", "spawn"), ("ApprovalGranted", "spawn")]
    granted = next(fact.event for fact in facts if fact.type == "ApprovalGranted" and fact.event.id == 2)
    assert granted.commit == granted.base is not None, "with the configuration that it had"
