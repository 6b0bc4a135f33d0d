"""Asking for, showing, deciding and applying configurations: git on one side, commands on the other."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import attrs

from hyperhive.commands import approvals
from hyperhive.commands.agents import ReviveAgent, check_new_name
from hyperhive.commands.asks import Answer
from hyperhive.commands.authority import authorize
from hyperhive.commands.decide import decide
from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.commands.errors import Conflict, Invalid, NotFound, Refused, TooLarge, Unavailable
from hyperhive.commands.resolving import resolve
from hyperhive.events.approvals import ApprovalRequested
from hyperhive.events.configurations import AgentSettings
from hyperhive.events.envelope import OPERATOR, Actor
from hyperhive.projections.approvals import Approval, Status
from hyperhive.projections.configurations import commit_of, settings_of
from hyperhive.projections.history import History
from hyperhive.proposals import agent_toml
from hyperhive.proposals.agent_toml import BadAgentToml
from hyperhive.repositories.diff import Diff
from hyperhive.repositories.errors import BadProposal, GitFailed, NoSuchCommit, NoSuchRepository, RepositoryTrouble
from hyperhive.repositories.repositories import LogEntry, Repositories, git_email
from hyperhive.runtimes import nixos_flake

MAX_CONFIG_BYTES = 65_536
R = TypeVar("R")


@attrs.frozen(kw_only=True)
class Review:
    """An approval with what it would change now, which is what the operator looks at before a decision."""

    row: Approval
    base: str | None
    """What is applied now; an approval of anything else is stale."""
    diff: Diff
    blocked: str | None
    """Why it cannot be approved, where it cannot."""


class Proposals:
    """What every surface needs of configurations and approvals. Git runs in threads; nothing here blocks the daemon."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        repositories: Repositories,
        history: History,
        *,
        flake: str = nixos_flake.HYPERHIVE,
    ) -> None:
        self._flake = flake
        self._dispatcher = dispatcher
        self._repositories = repositories
        self._history = history

    async def request_spawn(
        self, actor: Actor, name: str, note: str, config: str | None, command_id: str | None = None
    ) -> int:
        """Ask for a new agent with this `agent.toml` (None: what it had, else nothing); return the approval's id."""
        command = approvals.RequestSpawn(actor=actor, agent=name, note=note, id=command_id)
        authorize(command)
        check_new_name(name)
        commit = commit_of(self._dispatcher.hive.configurations, name)
        if config is not None:
            content = config.encode(errors="surrogatepass")
            if len(content) > MAX_CONFIG_BYTES:
                raise TooLarge(f"a config of {len(content)} bytes; at most {MAX_CONFIG_BYTES} are allowed")
            _settings(content)
            commit = await _git(self._keep, name, content, str(actor))
        blocked = await self._blocked(name, commit)
        asked = await self._dispatcher.dispatch(attrs.evolve(command, commit=commit, blocked=blocked))
        await self.ensure_proposed(name, commit)
        return self._id_of(asked, command, commit)

    async def revive(self, actor: Actor, name: str) -> int | None:
        """Ask for a destroyed agent again, with what it kept, and grant that at once: it is the operator who asks.

        Returns the approval's id, None where it is being revived already.
        """
        if not decide(self._dispatcher.hive, ReviveAgent(actor=actor, agent=name)):
            return None
        number = await self.request_spawn(actor, name, "", None)
        await self.approve(approvals.Approve(actor=actor, approval=number))
        return number

    async def request_apply(
        self, actor: Actor, name: str, commit: str, note: str, command_id: str | None = None
    ) -> int:
        """Fetch exactly this commit of the proposed repository and put it before the operator; return the id."""
        command = approvals.RequestApply(actor=actor, agent=name, commit=commit, note=note, id=command_id)
        authorize(command)
        approvals.require_configurable(self._dispatcher.hive, name)
        await _git(self._repositories.fetch, name, commit)
        await self._read(name, commit)
        blocked = await self._blocked(name, commit)
        asked = await self._dispatcher.dispatch(attrs.evolve(command, blocked=blocked))
        return self._id_of(asked, command, commit)

    async def roll_back(self, actor: Actor, name: str, commit: str | None, note: str) -> int:
        """Let a commit that was approved before be applied again; None is the one before the present one."""
        command = approvals.RollBack(actor=actor, agent=name, commit=commit, note=note)
        authorize(command)
        approvals.require_configurable(self._dispatcher.hive, name)
        found = await self._earlier(name, commit)
        await self._read(name, found)
        asked = await self._dispatcher.dispatch(attrs.evolve(command, commit=found))
        return self._id_of(asked, command, found)

    async def review(self, number: int) -> Review:
        """Return an approval with its diff against what is applied now (decided ones: against what was)."""
        row = self._row(number)
        base = commit_of(self._dispatcher.hive.configurations, row.agent)
        if row.status is not Status.PENDING:
            base = row.base
        try:
            found = await _git(self._repositories.diff, row.agent, base, row.commit)
        except Refused as refused:
            return Review(row=row, base=base, diff=Diff(base=base, commit=row.commit, files=()), blocked=str(refused))
        return Review(row=row, base=base, diff=found, blocked=row.blocked or found.too_large)

    async def looked_back(self, row: Approval, base: str | None) -> Review:
        """Return an approval of a moment past with its diff against what was applied then."""
        found = await _git(self._repositories.diff, row.agent, base, row.commit)
        return Review(row=row, base=base, diff=found, blocked=row.blocked or found.too_large)

    async def approve(self, command: approvals.Approve) -> None:
        """Grant an approval, once more looked at: what cannot be shown whole is not approved. Raises `Settled`."""
        row = self._history.approval(command.approval) if command.approval > 0 else None
        if row is not None and row.status is Status.PENDING:
            review = await self.review(command.approval)
            if review.blocked is not None:
                raise Conflict(f"approval {row.id} cannot be approved: {review.blocked}")
        await resolve(self._dispatcher, command, self._history.approval)

    async def deny(self, command: approvals.Deny) -> None:
        """Refuse an approval. Raises `Settled`."""
        await resolve(self._dispatcher, command, self._history.approval)

    async def apply(self, row: Approval) -> AgentSettings:
        """Make an approved commit what is applied on disk; return what it says. May be repeated."""
        assert row.commit is not None  # noqa: S101 - nothing else is applied
        settings = await self._read(row.agent, row.commit)
        by = row.resolved_by or OPERATOR.name
        approved = functools.partial(self._repositories.approve, tag=f"approval-{row.id}", approver=by)
        await _git(functools.partial(approved, row.agent, row.commit, note=row.operator_note))
        await _git(self._check_out, row.agent, row.commit)
        return settings

    async def settle(self, agent: str) -> str | None:
        """Let an agent's applied repository be at the commit that the log says; return that, None where there is none.

        Its container is built from there, and sees none of it.
        """
        commit = commit_of(self._dispatcher.hive.configurations, agent)
        if commit is not None and await _git(self._repositories.head, agent) != commit:
            await _git(self._check_out, agent, commit)
        return commit

    async def prepare(self, agent: str, config: Path) -> None:
        """Make ready what an agent's next container has beside its system.

        That is its proposed repository, and in ``config`` the files of the applied commit, which its container sees;
        without one ``config`` is empty.
        """
        await self.ensure_proposed(agent)
        await _git(self._repositories.export, agent, await self.settle(agent), config)

    def _check_out(self, agent: str, commit: str) -> None:
        generated = nixos_flake.generated(agent, git_email(agent), self._flake)
        self._repositories.check_out(agent, commit, generated)

    def applied(self, agent: str) -> str | None:
        """Return the commit that is applied to an agent, as the log says."""
        return commit_of(self._dispatcher.hive.configurations, agent)

    def keeps(self, agent: str) -> bool:
        """Whether this hive was ever asked for a configuration of an agent, and so has an applied repository of it."""
        return agent in self._dispatcher.hive.configurations or self._history.has_configured(agent)

    def settings(self, agent: str) -> AgentSettings:
        """Return what an agent's applied configuration says."""
        return settings_of(self._dispatcher.hive.configurations, agent)

    async def ensure_proposed(self, agent: str, start: str | None = None) -> None:
        """Make an agent's proposed repository, where there is none; ``start`` is a kept commit to begin with."""
        files = {agent_toml.FILE_NAME: agent_toml.template().encode()}
        await _git(functools.partial(self._repositories.propose, agent, files, start=start))

    async def log(self, agent: str, limit: int) -> list[LogEntry]:
        """Return the newest commits of what is applied to an agent."""
        approvals.require_configurable(self._dispatcher.hive, agent)
        return await _git(self._repositories.log, agent, limit)

    async def diff(self, agent: str, old: str | None, new: str | None) -> Diff:
        """Compare two kept commits; None as ``new`` is what is applied now, as ``old`` what was before that."""
        approvals.require_configurable(self._dispatcher.hive, agent)
        configuration = self._dispatcher.hive.configurations.get(agent)
        if configuration is None:
            raise NotFound(f"nothing is applied to {agent} yet")
        return await _git(self._repositories.diff, agent, old or configuration.former, new or configuration.commit)

    async def files(self, agent: str) -> dict[str, str]:
        """Return what is applied to an agent: texts by path; none where nothing is."""
        approvals.require_configurable(self._dispatcher.hive, agent)
        commit = commit_of(self._dispatcher.hive.configurations, agent)
        if commit is None:
            return {}
        files = await _git(self._repositories.files, agent, commit)
        return {path: file.content.decode() for path, file in files.items()}

    def _keep(self, name: str, content: bytes, author: str) -> str:
        """Keep an `agent.toml` as a commit, beside the other files that are applied already."""
        head = self._repositories.head(name)
        files = {path: file.content for path, file in self._repositories.files(name, head).items()} if head else {}
        files[agent_toml.FILE_NAME] = content
        return self._repositories.keep_files(name, files, author=author, subject=f"Configuration of {name}")

    async def _read(self, name: str, commit: str) -> AgentSettings:
        files = await _git(self._repositories.files, name, commit)
        file = files.get(agent_toml.FILE_NAME)
        if file is None:
            raise Invalid(f"{commit[:12]} has no {agent_toml.FILE_NAME}; it may be empty, but has to be there")
        return _settings(file.content)

    async def _blocked(self, name: str, commit: str | None) -> str | None:
        base = commit_of(self._dispatcher.hive.configurations, name)
        return None if commit is None else (await _git(self._repositories.diff, name, base, commit)).too_large

    async def _earlier(self, name: str, commit: str | None) -> str:
        """Return a commit that was approved once; those have a tag."""
        entries = await _git(self._repositories.approved, name)
        present = commit_of(self._dispatcher.hive.configurations, name)
        if commit is not None:
            found = [entry for entry in entries if entry.startswith(commit)] if len(commit) >= 7 else []
            if len(set(found)) != 1:
                raise NotFound(
                    f"no configuration of {name} that was approved before is {commit[:40]!r}; see config log"
                )
            return found[0]
        former = self._dispatcher.hive.configurations.get(name)
        if former is None or former.former is None:
            raise NotFound(f"there is no configuration of {name} before {present or 'the first'}")
        return str(former.former)

    def _row(self, number: int) -> Approval:
        row = self._dispatcher.hive.approvals.get(number) or self._history.approval(number)
        if row is None:
            raise NotFound(f"no approval {number}")
        return row

    def _id_of(self, asked: Answer, command: approvals.Request, commit: str | None) -> int:
        """Return the id of what was asked for, also where the same was asked before and nothing followed."""
        new = [fact.event.id for fact in asked if isinstance(fact.event, ApprovalRequested)]
        rows = self._dispatcher.hive.approvals.values()
        same = [row.id for row in rows if row.agent == command.agent and row.commit == commit]
        return max(new or same)


def _settings(content: bytes) -> AgentSettings:
    try:
        return agent_toml.parse(content)
    except BadAgentToml as error:
        raise Invalid(str(error)) from None


async def _git(act: Callable[..., R], *arguments: object) -> R:
    """Run git in a thread; what is wrong with a repository is a refusal like any other."""
    try:
        return await asyncio.to_thread(act, *arguments)
    except (NoSuchCommit, NoSuchRepository) as error:
        raise NotFound(str(error)) from error
    except BadProposal as error:
        raise Invalid(str(error)) from error
    except (GitFailed, RepositoryTrouble, OSError) as error:
        raise Unavailable(f"the host's repository cannot be used: {error}") from error
