"""Deciding about sessions: on which model an agent's turns run, what is said to `claude` itself."""

from __future__ import annotations

import pytest

from hyperhive.commands.agents import Action, DestroyAgent, InterruptTurn
from hyperhive.commands.errors import Conflict, Forbidden, Invalid, NotFound, TooLarge
from hyperhive.commands.reports import ReportTurnStarted
from hyperhive.commands.sessions import (
    MAX_COMMAND_CHARACTERS,
    MAX_MODEL_CHARACTERS,
    MAX_WAITING,
    ChooseModel,
    GiveSlashCommand,
    said_to_session,
)
from hyperhive.events.agents import DestroyRequested, DestroySucceeded, KillRequested, KillSucceeded
from hyperhive.events.envelope import MANAGER, OPERATOR, Actor, Cause, actor_of_agent
from hyperhive.events.turns import ModelChanged, ModelChosen, SlashCommandGiven, SlashCommandTaken, TurnStarted
from hyperhive.projections.sessions import Session
from tests.language import given, running

REAL = (
    "opus",
    "default",
    "opus[1m]",
    "claude-sonnet-4-5-20250929",
    "us.anthropic.claude-opus-4-1-20250805-v1:0",
    "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-v1:0",
    "claude-opus-4-1@20250805",
    "anthropic/claude-sonnet-4.5",
)
BAD = (
    "",
    " ",
    "-p",
    "--dangerously-skip-permissions",
    "a b",
    "a\nb",
    "opus\n",
    "\x00",
    "a;b",
    "a`b`",
    "<b>",
    "épée",
    "[1m]",
)


def choose(model: str | None, *, actor: Actor = OPERATOR, agent: str = "coder") -> ChooseModel:
    """Return the command."""
    return ChooseModel(actor=actor, agent=agent, model=model)


class TestChoice:
    """The operator's choice."""

    def test_kept(self) -> None:
        """A choice is a fact; the same again is none; taken back it is one more."""
        scene = given(*running("coder")).when(choose("opus")).then(ModelChosen(agent="coder", model="opus"))
        scene.when(choose("opus")).then_nothing_happened()
        assert scene.hive.sessions["coder"] == Session(agent="coder", chosen_model="opus")
        back = scene.when(choose(None)).then(ModelChosen(agent="coder", model=None))
        assert back.hive.sessions["coder"].chosen_model is None
        back.when(choose(None)).then_nothing_happened()

    def test_beside_what_runs(self) -> None:
        """What the session ran on last is another thing: a choice does not claim to be it."""
        scene = given(*running("coder"), ModelChanged(agent="coder", model="claude-sonnet-4-5"))
        row = scene.when(choose("opus")).then(ModelChosen(agent="coder", model="opus")).hive.sessions["coder"]
        assert (row.model, row.chosen_model) == ("claude-sonnet-4-5", "opus")

    def test_outlives_containers(self) -> None:
        """It holds for a stopped agent and through a soft destruction; a purge takes it."""
        stopped = given(*running("coder"), KillRequested(agent="coder"), KillSucceeded(agent="coder"))
        chosen = stopped.when(choose("opus")).then(ModelChosen(agent="coder", model="opus"))
        for purge, kept in ((False, "opus"), (True, None)):
            asked = chosen.when(DestroyAgent(actor=OPERATOR, agent="coder", purge=purge))
            gone = asked.then(DestroyRequested(agent="coder", purge=purge)).given(
                DestroySucceeded(agent="coder", purge=purge)
            )
            row = gone.hive.sessions.get("coder")
            assert (row.chosen_model if row is not None else None) == kept

    def test_who(self) -> None:
        """Neither the manager nor the agent itself chooses."""
        scene = given(*running("coder", "manager"))
        scene.when(choose("opus", actor=MANAGER)).then_refused(Forbidden, match="manager may not choose model")
        scene.when(choose("opus", actor=actor_of_agent("coder"))).then_refused(Forbidden, match="may not choose model")

    def test_of_nobody(self) -> None:
        """An agent that is not there has no model."""
        given(*running("coder")).when(choose("opus", agent="bob")).then_refused(NotFound, match="no agent 'bob'")


class TestNames:
    """What a model may be called."""

    @pytest.mark.parametrize("name", REAL)
    def test_real(self, name: str) -> None:
        """Aliases, dated names, those of other servers."""
        given(*running("coder")).when(choose(name)).then(ModelChosen(agent="coder", model=name))

    @pytest.mark.parametrize("name", BAD)
    def test_bad(self, name: str) -> None:
        """Options, spaces, controls, markup and what no server calls a model are refused with what would be right."""
        given(*running("coder")).when(choose(name)).then_refused(Invalid, match="is no model's name; such are opus and")

    def test_length(self) -> None:
        """At most so long; a longer one is shown by its beginning."""
        scene, longest = given(*running("coder")), "m" * MAX_MODEL_CHARACTERS
        scene.when(choose(longest)).then(ModelChosen(agent="coder", model=longest))
        scene.when(choose(longest + "m")).then_refused(Invalid, match="^'m{40}' is no model's name")


CODER = actor_of_agent("coder")


def say(text: str, *, actor: Actor = OPERATOR) -> GiveSlashCommand:
    """Return the command."""
    return GiveSlashCommand(actor=actor, agent="coder", text=text)


class TestSlashCommands:
    """What the operator says to `claude` itself."""

    def test_waits_until_taken(self) -> None:
        """It waits, as often as it is said, until a turn takes it up; that turn is caused by it. Then it is gone."""
        first = given(*running("coder")).when(say(" /compact keep the ports \n"))
        scene = first.then(SlashCommandGiven(agent="coder", text="/compact keep the ports"))
        id_ = scene.position
        scene = scene.when(say("/compact")).then(SlashCommandGiven(agent="coder", text="/compact"))
        assert [row.id for row in scene.hive.slash_commands.values()] == [id_, id_ + 1]
        turn = scene.when(ReportTurnStarted(actor=CODER, agent="coder", command=id_))
        turn.then_caused_by(Cause(id_, id_))
        scene = turn.then(TurnStarted(agent="coder"), SlashCommandTaken(agent="coder", id=id_))
        assert [row.id for row in scene.hive.slash_commands.values()] == [id_ + 1]
        again = scene.when(ReportTurnStarted(actor=CODER, agent="coder", command=id_))
        again.then(TurnStarted(agent="coder"))

    def test_goes_with_its_container(self) -> None:
        """What was said to a container that is destroyed is said to none that comes after it."""
        scene = given(*running("coder"), SlashCommandGiven(agent="coder", text="/clear"))
        scene = scene.given(DestroyRequested(agent="coder"), DestroySucceeded(agent="coder"))
        assert not scene.hive.slash_commands

    def test_who(self) -> None:
        """Neither the manager nor the agent itself says anything to a session past its mail."""
        scene = given(*running("coder", "manager"))
        for actor in (MANAGER, CODER):
            scene.when(say("/clear", actor=actor)).then_refused(Forbidden, match="may not give slash command")

    @pytest.mark.parametrize(
        "text", ["", "compact", "/", "//", "/ compact", "/-x", "/a\nb", "/a b\nc", "/a b\x1b[31m", "/../x", "/a\u2028b"]
    )
    def test_what_is_none(self, text: str) -> None:
        """What does not begin with a command's name, or is more than a line, is refused."""
        given(*running("coder")).when(say(text)).then_refused(Invalid, match="is no command of claude's; such are")

    @pytest.mark.parametrize("text", ["/model opus", "/model", "/cancel now"])
    def test_ours(self, text: str) -> None:
        """The hive's own commands reach no session: what a session did to its own model would not last."""
        given(*running("coder")).when(say(text)).then_refused(Invalid, match="is the hive's own")

    def test_bounds(self) -> None:
        """So many may wait, and so long may one be."""
        scene = given(*running("coder"), *[SlashCommandGiven(agent="coder", text="/cost")] * MAX_WAITING)
        scene.when(say("/cost")).then_refused(Conflict, match="20 commands wait for coder already")
        scene.when(say("/x " + "y" * MAX_COMMAND_CHARACTERS)).then_refused(TooLarge, match="a command of 4003")

    @pytest.mark.parametrize(
        ("line", "command"),
        [
            ("/model opus", ChooseModel(actor=OPERATOR, agent="coder", model="opus")),
            ("/model  default ", ChooseModel(actor=OPERATOR, agent="coder", model=None)),
            ("/cancel", InterruptTurn(actor=OPERATOR, agent="coder")),
            ("/compact now", GiveSlashCommand(actor=OPERATOR, agent="coder", text="/compact now")),
            ("/models", GiveSlashCommand(actor=OPERATOR, agent="coder", text="/models")),
        ],
    )
    def test_lines(self, line: str, command: Action) -> None:
        """A line is the hive's own command, or it goes to the session as it is."""
        assert said_to_session(OPERATOR, "coder", line) == command

    def test_model_without_a_name(self) -> None:
        """It says what would be right."""
        with pytest.raises(Invalid, match="/model needs a name, such as /model opus"):
            said_to_session(OPERATOR, "coder", "/model")
