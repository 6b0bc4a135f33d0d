"""What waits for a decision on the stage: approvals in each state that one can be in, a question that ran out."""

from __future__ import annotations

from hyperhive.commands.agents import ReportOutcome
from hyperhive.commands.approvals import Approve, ReportApplied
from hyperhive.commands.questions import ExpireQuestion
from hyperhive.commands.reports import ReportFact
from hyperhive.events.configurations import AgentSettings
from hyperhive.events.envelope import DAEMON, MANAGER, OPERATOR, actor_of_agent
from hyperhive.events.turns import HarnessStarted, StatusChanged
from tests.web import scene
from tests.web.staged import Stage, commit_in

BEFORE = """\
# coder: writes code, fixes what breaks
model = "sonnet"
recipients = ["manager", "reviewer"]

[limits]
usd_per_day = 0.50
memory_mb = 2048
"""
AFTER = """\
# coder: writes code, fixes what breaks
model = "opus"
recipients = ["manager", "reviewer", "tester"]

[limits]
usd_per_day = 1.25
memory_mb = 2048

[mcp.browser]
command = "playwright-mcp"
args = ["--headless"]
"""


def configured(stage: Stage, name: str, content: str) -> str:
    """Give an agent its first configuration, and let it be rebuilt; return the commit."""
    stage.run(stage.proposals.ensure_proposed(name, None))
    commit = commit_in(stage.data / "proposed" / name, content)
    number = stage.run(stage.proposals.request_apply(MANAGER, name, commit, ""))
    stage.dispatch(Approve(actor=OPERATOR, approval=number, seen=True, commit=commit, base=None))
    stage.dispatch(ReportApplied(actor=DAEMON, approval=number, settings=AgentSettings(model="sonnet")))
    stage.dispatch(ReportOutcome(actor=DAEMON, agent=name, intent=stage.pending(name)))
    return commit


def proposed(stage: Stage, name: str, content: str, note: str = "") -> tuple[int, str]:
    """Let the manager ask for a changed configuration; return the approval's number and the commit."""
    commit = commit_in(stage.data / "proposed" / name, content)
    return stage.run(stage.proposals.request_apply(MANAGER, name, commit, note)), commit


def two(stage: Stage) -> None:
    """Let two approvals wait (a changed configuration of coder, a new agent), and two containers need an update."""
    configured(stage, "coder", BEFORE)
    text = "reproducing the port collision of two agents"
    says = StatusChanged(agent="coder", status="thinking", text=text)
    stage.dispatch(ReportFact(actor=scene.CODER, agent="coder", fact=says))
    for name in ("relay", "reviewer"):
        old = HarnessStarted(agent=name, run=f"old-{name}", version="0.0.9")
        stage.dispatch(ReportFact(actor=actor_of_agent(name), agent=name, fact=old))
    reason = "the dashboard tests need a browser, and sonnet gave up on the port race twice."
    proposed(stage, "coder", AFTER, reason)
    wish = "reads upstream release notes every morning and mails me what will break us. needs nothing but the web."
    text = 'model = "haiku"\n[limits]\nusd_per_day = 1.0\n'
    stage.run(stage.proposals.request_spawn(MANAGER, "lamplighter", wish, text))


def moved(stage: Stage) -> str:
    """Let an approval of coder wait whose base is about to move; return the commit that will be the base."""
    first = configured(stage, "coder", BEFORE)
    number, second = proposed(stage, "coder", BEFORE.replace("2048", "4096"))
    stage.dispatch(Approve(actor=OPERATOR, approval=number, seen=True, commit=second, base=first))
    proposed(stage, "coder", AFTER, "a browser, for the tests")
    return second


def move(stage: Stage) -> None:
    """Let that base move, under whoever looks; its container is rebuilt meanwhile."""
    stage.dispatch(ReportApplied(actor=DAEMON, approval=2, settings=AgentSettings(model="sonnet")))


def ended(stage: Stage) -> None:
    """Let a request be superseded by one that is too large to be shown, and a question run out."""
    configured(stage, "scribe", BEFORE)
    proposed(stage, "scribe", AFTER)
    proposed(stage, "scribe", BEFORE + "# more of it, line by line\n" * 6_000, "the whole style guide, as comments")
    stage.dispatch(ExpireQuestion(actor=DAEMON, question=32))
