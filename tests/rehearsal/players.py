"""A small hive that plays a scenario without HTTP: agents, mail between them, real files and Bash."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs

from harness import envelope
from harness.wire import Mail
from hyperhive.rehearsal.answers import Message, Text, ToolCall, answer
from hyperhive.rehearsal.rules import Scenario
from tests.rehearsal.talk import Json, request, result, said, told, use


class Crash(Exception):  # noqa: N818 - not an error of the test
    """The agent's process was killed."""


@attrs.define
class Player:
    """One agent's session; ``steps_left`` is how many tool calls it lives."""

    name: str
    home: Path
    messages: list[Json] = attrs.field(factory=list)
    steps_left: int = 1000


@attrs.define
class Company:
    """All agents, and the mail that waits for each."""

    scenario: Scenario
    players: dict[str, Player]
    inboxes: dict[str, list[Mail]] = attrs.field(factory=dict)
    sent: list[tuple[str, str, str]] = attrs.field(factory=list)
    next_id: int = 7

    @classmethod
    def of(cls, scenario: Scenario, home: Path, *names: str) -> Company:
        """Start a session for each agent."""
        players = {name: Player(name, home / name) for name in names}
        for player in players.values():
            player.home.mkdir()
        return cls(scenario, players)

    def send(self, sender: str, to: str, body: str) -> str:
        """Keep a message; the number is its id."""
        if to != "operator" and to not in self.players:
            raise LookupError(f"no agent {to!r}")
        self.sent.append((sender, to, body))
        number, self.next_id = self.next_id, self.next_id + 1
        mail = Mail(id=number, at="2026-01-02T03:04:05Z", sender=sender, body=body)
        self.inboxes.setdefault(to, []).append(mail)
        return f"sent as message {number}"

    def run(self) -> None:
        """Give everyone their mail, a batch a turn, until nobody has any."""
        while waiting := [player for player in self.players.values() if self.inboxes.get(player.name)]:
            for player in waiting:
                mail = self.inboxes.pop(player.name)
                self.turn(player, envelope.turn(mail), mail)

    def turn(self, player: Player, prompt: str, mail: list[Mail]) -> None:
        """Play one turn; a crash resumes the session, as `claude` does it, and the turn goes on."""
        player.messages.append(told(prompt))
        try:
            self._play(player)
        except Crash:
            player.steps_left = 1000
            player.messages.append(said("No response requested."))
            self.turn(player, envelope.again([each.id for each in mail], "killed", []), mail)

    def asked(self, to: str) -> list[str]:
        """Give the bodies that somebody was sent."""
        return [body for _, recipient, body in self.sent if recipient == to]

    def _play(self, player: Player) -> None:
        while True:
            given = answer(self.scenario, player.name, request(*player.messages), 1)
            assert isinstance(given, Message), given
            calls = [block for block in given.blocks if isinstance(block, ToolCall)]
            words = [block.text for block in given.blocks if isinstance(block, Text)]
            player.messages.append(said(*words, *(use(call.tool, call.id, **call.input) for call in calls)))
            if not calls:
                return
            player.messages.append(told(*self._results(player, calls)))
            if player.steps_left <= 0:
                raise Crash

    def _results(self, player: Player, calls: Iterable[ToolCall]) -> list[Json]:
        results = []
        for call in calls:
            player.steps_left -= 1
            if player.steps_left < 0:
                results.append(result("[Tool call interrupted]", call.id, failed=True))
                continue
            try:
                results.append(result(self._act(player, call.tool, dict(call.input)), call.id))
            except (LookupError, OSError) as error:
                results.append(result(str(error), call.id, failed=True))
        return results

    def _act(self, player: Player, tool: str, given: dict[str, Any]) -> str:
        match tool:
            case "mcp__hive__send":
                return self.send(player.name, given["to"], given["body"])
            case "Write":
                (player.home / given["file_path"]).write_text(given["content"])
                return "File created successfully"
            case "Bash":
                argv = ["bash", "-c", given["command"]]
                return subprocess.run(argv, cwd=player.home, capture_output=True, text=True, check=False).stdout.strip()
            case _:
                raise LookupError(f"no tool {tool}")
