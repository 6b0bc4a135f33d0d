"""`hyperhive replay`: the past as people and scripts ask for it."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperhive.projections import views
from hyperhive.replay.store import beside
from tests.cli.program import DEADLINE_SECONDS, PROGRAM, Program
from tests.events.tampering import tamper
from tests.replay.stories import folded, story
from tests.replay.test_tool_calls import Session
from tests.web.agent.said import assistant, tool


@pytest.fixture
def at(hyperhive: Program, migrated: Path) -> dict[str, int]:
    """Write the story into the program's hive; return who is where in it."""
    hyperhive.data.mkdir(mode=0o700)
    return story(Path(shutil.copy(migrated, hyperhive.data / "hive.sqlite")))


class TestAt:
    """`replay at`."""

    def test_people(self, hyperhive: Program, at: dict[str, int]) -> None:
        """Position, time, the event, agents, mail; what agents wrote controls no terminal."""
        shown = hyperhive("replay", "at", str(at["crash"])).out
        assert shown.startswith(f"position {at['crash']}, 2026-01-01 00:00:{at['crash']:02} (of {at['head']})\n")
        assert "just then: coder crashed (exit status 137)" in shown
        assert re.search(r"^coder +crashed", shown, re.MULTILINE)
        assert "\x1b" not in hyperhive("replay", "at", "now").out

    def test_programs(self, hyperhive: Program, at: dict[str, int]) -> None:
        """--json has the views of ``/api/state``."""
        told = json.loads(hyperhive("replay", "at", str(at["rebuild"]), "--json").out)
        expected = json.loads(json.dumps(views.state(folded(hyperhive.data / "hive.sqlite", at["rebuild"]))))
        assert expected == {key: told[key] for key in expected}

    def test_moments(self, hyperhive: Program, at: dict[str, int]) -> None:
        """A time is read where a position may stand; one that begins with a minus is no option."""
        second = f"2026-01-01T00:00:{at['turn']:02}Z"
        assert hyperhive("replay", "at", second).out.startswith(f"position {at['turn']},")
        for ago in ("-2h", "-15m", "15m ago"):
            assert hyperhive("replay", "at", ago).out.startswith(f"position {at['head']},")

    def test_wrong_moments(self, hyperhive: Program, at: dict[str, int]) -> None:
        """What is none, what is before the log and what is yet to come have their message and their exit code."""
        for moment, code, said in (
            ("soon", 2, "'soon' is no moment; write a position (1234), a time (10:42"),
            ("2025-12-31", 3, "before the log: it begins at 2026-01-01T00:00:01.000000Z with position 1"),
            ("9999-01-01", 2, "which is yet to come"),
            ("99", 3, f"there is no position 99; the log ends at {at['head']}"),
        ):
            ended = hyperhive("replay", "at", moment)
            assert (ended.code, ended.out, said in ended.err) == (code, "", True), ended

    def test_copied_file(self, hyperhive: Program, at: dict[str, int]) -> None:
        """--file reads a copy, also where there is no hive."""
        copy = shutil.copy(hyperhive.data / "hive.sqlite", hyperhive.home / "copy.sqlite")
        shutil.rmtree(hyperhive.data)
        assert hyperhive("replay", "at", "3", "--file", str(copy)).code == 0
        nothing = hyperhive("replay", "at", "3")
        assert (nothing.code, "no hive in" in nothing.err) == (1, True)

    def test_flipped_byte(self, hyperhive: Program, at: dict[str, int]) -> None:
        """A fact that is not what was written is named, with what is still readable; and that is readable."""
        tamper(hyperhive.data / "hive.sqlite", f"UPDATE events SET actor = 'operatos' WHERE position = {at['wish']}")  # noqa: S608
        ended = hyperhive("replay", "at", "now")
        assert (ended.code, ended.out) == (1, "")
        assert f"cannot be read at position {at['wish']}: its hash does not follow" in ended.err
        assert f"up to {at['wish'] - 1} it is whole (hyperhive replay at {at['wish'] - 1})" in ended.err
        assert hyperhive("replay", "at", str(at["wish"] - 1)).code == 0


class TestDiff:
    """`replay diff`."""

    def test_words(self, hyperhive: Program, at: dict[str, int]) -> None:
        """View by view, in words; the same in JSON."""
        arguments = ("replay", "diff", str(at["crash"] - 1), str(at["crash"]))
        assert "\nagents\n  coder: crashed\n" in hyperhive(*arguments).out
        told = json.loads(hyperhive(*arguments, "--json").out)
        assert (told["to"], told["changes"][0]["words"]) == (at["crash"], "coder: crashed")
        assert hyperhive("replay", "diff", "3", "3").err == "nothing changed in any view\n"


class TestWhy:
    """`replay why`."""

    def test_tree(self, hyperhive: Program, at: dict[str, int]) -> None:
        """From the message down to the crash, with who did what."""
        lines = hyperhive("replay", "why", "agent:coder").out.splitlines()
        chain = ("wish", "turn", "asked", "answered", "rebuild", "rebuilt", "crash")
        assert [int(line.split()[0 if line[0] == " " else 1]) for line in lines] == [at[name] for name in chain]
        assert lines[-1].startswith("▶ ")
        assert lines[3].endswith("[operator]")
        told = json.loads(hyperhive("replay", "why", "question:1", "--json").out)
        assert told["position"] == at["wish"]
        assert hyperhive("replay", "why", "approval:3").code == 3

    def test_tool_call(self, hyperhive: Program, at: dict[str, int]) -> None:
        """The call of the tool stands between the turn and what came of it, marked as what the log does not have."""
        asking = tool("t1", "mcp__hive__ask_operator", question="really?")
        Session(hyperhive.data / "hive.sqlite").say(at["asked"], assistant(asking))
        lines = hyperhive("replay", "why", "question:1").out.splitlines()
        turn = next(number for number, line in enumerate(lines) if "manager began a turn" in line)
        assert lines[turn + 1] == (
            f"~ ⚒  00:00:{at['asked']:02}  manager called ask_operator (question really?)"
            "  [manager's turn stream, the newest that asks for this]"
        )
        told = json.loads(hyperhive("replay", "why", "question:1", "--json").out)
        call = told["children"][0]["children"][0]["tool_call"]
        assert (call["name"], call["id"], call["arguments"]) == ("ask_operator", "t1", {"question": "really?"})
        assert told["tool_call"] is None


class TestCapsule:
    """`replay capsule`."""

    def test_made_and_opened(self, hyperhive: Program, at: dict[str, int]) -> None:
        """What one person makes another one looks at: people and programs, without the hive it is of."""
        file = hyperhive.data.parent / "incident.capsule"
        made = hyperhive("replay", "capsule", "coder", "--around", str(at["crash"]), "--output", str(file))
        assert (made.code, file.stat().st_mode & 0o777) == (0, 0o600)
        assert f"hyperhive replay capsule --open {file}" in made.err
        shutil.rmtree(hyperhive.data)
        shown = hyperhive("replay", "capsule", "--open", str(file)).out
        assert shown.startswith(f"agent coder of the hive h, around position {at['crash']}\n")
        assert re.search(rf"^> +{at['crash']}  agent-coder  ContainerCrashed  daemon", shown, re.MULTILINE)
        assert "configuration applied to coder then: none" in shown
        assert "\x1b" not in shown
        told = json.loads(hyperhive("replay", "capsule", "--open", str(file), "--json").out)
        assert [fact["position"] for fact in told["facts"]] == list(range(1, at["head"] + 1))
        assert told["header"]["agent"] == "coder"
        file.write_bytes(file.read_bytes()[:-3])
        cut = hyperhive("replay", "capsule", "--open", str(file))
        assert (cut.code, "the last line does not fit" in cut.err) == (1, True)
        assert hyperhive("replay", "capsule", "coder", "--open", str(file)).code == 2


class TestBisect:
    """`replay bisect`."""

    def test_found(self, hyperhive: Program, at: dict[str, int]) -> None:
        """The position, what happened there, and how it was found."""
        ended = hyperhive("replay", "bisect", "--when", "agent coder crashed")
        assert (ended.code, ended.out.splitlines()[1]) == (0, "coder crashed (exit status 137)")
        assert "scan: nothing says that it stays so" in ended.err
        told = json.loads(hyperhive("replay", "bisect", "--when", "position > `7`", "--json").out)
        assert (told["position"], told["by"], told["finished"]) == (8, "binary search", True)

    def test_not_found(self, hyperhive: Program, at: dict[str, int]) -> None:
        """Never, and not so far, are told apart; so is what does not parse, and what runs for ever."""
        never = hyperhive("replay", "bisect", "--when", "frozen")
        assert (never.code, f"at no position from 1 to {at['head']}" in never.err) == (3, True)
        wrong = hyperhive("replay", "bisect", "--when", "agents[?")
        assert (wrong.code, "is neither a phrase nor JMESPath" in wrong.err) == (2, True)
        endless = hyperhive("replay", "bisect", "--when", "@" + ".[@,@][]" * 40)
        assert (endless.code, "say it more simply" in endless.err) == (2, True)

    def test_phrases(self, hyperhive: Program) -> None:
        """--phrases lists them, without a hive."""
        assert "agent NAME crashed\n    contains(crashed, '{a}')\n" in hyperhive("replay", "bisect", "--phrases").out


class TestWhatIf:
    """`replay what-if`."""

    def test_without(self, hyperhive: Program, at: dict[str, int]) -> None:
        """What would be gone, what the hive would be, and what cannot be known."""
        shown = hyperhive("replay", "what-if", "--without", str(at["rebuild"])).out
        assert f"{at['rebuild']}  removed: operator asked to rebuild coder" in shown
        assert f"{at['rebuilt']}  gone: coder was rebuilt and runs\n    {at['rebuild']} led to it" in shown
        assert "what cannot be known:" in shown
        told = json.loads(hyperhive("replay", "what-if", "--without", str(at["rebuild"]), "--json").out)
        assert told["counts"]["removed"] == 1

    def test_wrong(self, hyperhive: Program, at: dict[str, int]) -> None:
        """Nothing altered, a rule that there is not, an event that there is not."""
        assert hyperhive("replay", "what-if").code == 2
        budget = hyperhive("replay", "what-if", "--rule", "budget=3")
        assert (budget.code, "there are: quarantine.crashes=N" in budget.err) == (2, True)
        assert hyperhive("replay", "what-if", "--without", "999").code == 3


class TestVerify:
    """`replay verify` with checkpoints."""

    def test_checkpoints(self, hyperhive: Program, at: dict[str, int]) -> None:
        """Checkpoints that are there are part of the report, and make its exit code."""
        told = json.loads(hyperhive("replay", "verify", "--json").out)
        assert (told["ok"], told["checkpoints"]) == (True, {"ok": True, "count": 0, "position": 0})
        beside(hyperhive.data / "hive.sqlite").write_bytes(b"dear diary" * 500)
        ended = hyperhive("replay", "verify")
        assert (ended.code, "checkpoints: not what the log folds to" in ended.out) == (1, True)


class Terminal:
    """`replay step` on a terminal of a test's own."""

    def __init__(self, program: Program, *arguments: str, columns: int = 100, lines: int = 24) -> None:
        self._master, slave = pty.openpty()
        self._slave = slave
        self.resize(columns, lines)
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *PROGRAM, "replay", "step", *arguments],  # its own terminal: it gets SIGWINCH
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=program.environment({"TERM": "xterm"}),
        )
        self.lines: list[str] = []
        """The newest whole page."""
        self.seen = ""

    def resize(self, columns: int, lines: int) -> None:
        """Change the size, as a window does: whoever runs on it gets SIGWINCH."""
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._master, keys.encode())

    def until(self, wanted: str, *, lines: int | None = None) -> list[str]:
        """Read pages until the newest one has something in it (and so many lines); return it."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            pages = self.seen.split("\x1b[H")[1:]
            whole = [page for page in pages if page.endswith("\x1b[J")]
            if whole:
                plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", whole[-1])
                self.lines = plain.split("\r\n")
                if any(wanted in line for line in self.lines) and lines in (None, len(self.lines)):
                    return self.lines
            ready, _, _ = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"waited for {wanted!r}; the page is {self.lines!r}, all: {self.seen[-2000:]!r}"
            self.seen += os.read(self._master, 65_536).decode(errors="replace")

    def ended(self) -> int:
        """Wait for the program's end; return its exit code."""
        code = self.process.wait(DEADLINE_SECONDS)
        while select.select([self._master], [], [], 0)[0]:
            self.seen += os.read(self._master, 65_536).decode(errors="replace")
        return code

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        os.close(self._master)
        os.close(self._slave)


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    """Collect terminals, and end them."""
    opened: list[Terminal] = []
    yield opened
    for each in opened:
        each.close()


class TestStep:
    """`replay step`."""

    def test_walk(self, hyperhive: Program, at: dict[str, int], terminals: list[Terminal]) -> None:
        """Back, forward, jump, one agent, the next of a type, the whole hive, help, and out: the terminal as it was."""
        terminal = Terminal(hyperhive, str(at["crash"]))
        terminals.append(terminal)
        page = terminal.until(f"position {at['crash']} of {at['head']}")
        assert "coder crashed (exit status 137)" in page
        assert "  coder: crashed" in page
        terminal.type("\x1b[D")
        terminal.until(f"position {at['crash'] - 1} of")
        terminal.type("l")
        terminal.until(f"position {at['crash']} of")
        terminal.type("j2026-01-01T00:00:06Z\r")
        assert "operator wrote to manager: “make coder “new” please”" in terminal.until("position 6 of")
        terminal.type("tContainerCrashed\r")
        terminal.until(f"position {at['crash']} of")
        terminal.type("t\r")
        terminal.until(f"no event of ContainerCrashed after {at['crash']}")
        terminal.type("acoder\r")
        terminal.until("only coder")
        terminal.type("h")
        terminal.until(f"position {at['rebuilt']} of")
        terminal.type("g")
        terminal.until(f"position {at['coder spawned'] - 1} of")
        terminal.type("h")
        terminal.until("no event of coder before 4")
        terminal.type("jsoon\r")
        terminal.until("'soon' is no moment")
        terminal.type("v")
        terminal.until("inbox of manager")
        terminal.type("?")
        terminal.until("jump to a position or a time")
        terminal.type("q")
        assert terminal.ended() == 0
        assert terminal.seen.endswith("\x1b[?25h\x1b[?1049l")

    def test_resize(self, hyperhive: Program, at: dict[str, int], terminals: list[Terminal]) -> None:
        """Whatever the size becomes, and while something is being typed, one stays where one was."""
        terminal = Terminal(hyperhive, str(at["wish"]))
        terminals.append(terminal)
        where = f"position {at['wish']} of"
        assert len(terminal.until(where)) == 24
        terminal.resize(60, 12)
        assert max(map(len, terminal.until(where, lines=12))) <= 60
        terminal.type("j1")
        terminal.until("jump to: 1")
        terminal.resize(140, 40)
        terminal.until("jump to: 1", lines=40)
        terminal.type("\x7f3\r")
        terminal.until("position 3 of", lines=40)
        terminal.resize(1, 1)
        terminal.until("PAST · position 3", lines=4)
        terminal.type("q")
        assert terminal.ended() == 0

    def test_hostile_text(self, hyperhive: Program, at: dict[str, int], terminals: list[Terminal]) -> None:
        """What an agent wrote is shown and not obeyed."""
        terminal = Terminal(hyperhive, "now")
        terminals.append(terminal)
        assert any("naïve 🐝 \\x1b[2J" in line for line in terminal.until("naïve"))

    def test_broken_log(self, hyperhive: Program, at: dict[str, int], terminals: list[Terminal]) -> None:
        """At a fact that is not what was written one stays before it, and is told."""
        tamper(hyperhive.data / "hive.sqlite", f"UPDATE events SET actor = 'x' WHERE position = {at['wish']}")  # noqa: S608
        terminal = Terminal(hyperhive, str(at["wish"] - 1))
        terminals.append(terminal)
        terminal.until(f"position {at['wish'] - 1} of")
        terminal.type("l")
        page = terminal.until("cannot be read at position")
        assert page[0].startswith(f"PAST · position {at['wish'] - 1} of")
        terminal.type("q")
        assert terminal.ended() == 0

    def test_needs_a_terminal(self, hyperhive: Program, at: dict[str, int]) -> None:
        """Without one it says what else there is."""
        ended = hyperhive("replay", "step")
        assert (ended.code, "step needs a terminal; replay at, diff and why" in ended.err) == (1, True)
