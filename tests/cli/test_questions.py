"""`questions`, `answer`, `cancel`: what is shown, what reaches the daemon, what is said."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.cli.host import ScriptedHost
from tests.cli.program import Program

AT = "2026-02-03T04:05:06.000000Z"

HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07\x1b[31mred\x1b[0m\r\x08\x00\x7f\x9b31m "
    "\u202egnp.exe\u202c \u2066x\u2069 \u2028next \ufeff\u200f <script>alert(1)</script>"
)
"""What could move a cursor, set a title, reorder text, or break a line unseen."""
UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def question(number: int, text: str = "which colour?", **more: Any) -> dict[str, Any]:
    """Make a question as the daemon gives it."""
    return {
        "id": number,
        "asker": "manager",
        "question": text,
        "options": [],
        "multi": False,
        "asked_at": AT,
        "deadline_at": None,
        "status": "open",
        "answer": None,
        "resolved_at": None,
        "resolved_by": None,
        **more,
    }


RGB = question(7, options=["red", "green", "blue"])


class TestQuestions:
    """The list."""

    def test_each_kind(self, hyperhive: Program, host: ScriptedHost) -> None:
        """Who asks what, with the options to choose one from, to choose some from, or none, each with its number."""
        several = question(8, "which\ncolours?", asker="coder", options=["red", "blue"], multi=True)
        host.answers["questions"] = {"questions": [RGB, several, question(9, "why?")]}
        assert hyperhive("questions").out == (
            "#7  2026-02-03 04:05:06  manager asks\n"
            "    which colour?\n"
            "      ( ) 1  red\n"
            "      ( ) 2  green\n"
            "      ( ) 3  blue\n"
            "\n"
            "#8  2026-02-03 04:05:06  coder asks\n"
            "    which\n"
            "    colours?\n"
            "      [ ] 1  red\n"
            "      [ ] 2  blue\n"
            "\n"
            "#9  2026-02-03 04:05:06  manager asks\n"
            "    why?\n"
            "\n"
        )
        assert host.asked("questions") == [{"all": False}]

    def test_deadline_counts_down(self, hyperhive: Program, host: ScriptedHost) -> None:
        """An open question with a deadline says how long is left, and one whose deadline has come says 0s."""
        soon = (datetime.now(UTC) + timedelta(minutes=90)).isoformat()
        host.answers["questions"] = {
            "questions": [question(7, deadline_at=soon), question(8, deadline_at="2026-01-01T00:00:00Z")]
        }
        first, second = [line for line in hyperhive("questions").out.splitlines() if line.startswith("#")]
        assert re.fullmatch(r"#7 .* manager asks  ⏳\ufe0e 1h (29|30)m", first)
        assert re.fullmatch(r"#8 .* manager asks  ⏳\ufe0e 0s", second)

    def test_resolved(self, hyperhive: Program, host: ScriptedHost) -> None:
        """--all also shows what is resolved, with what the agent read."""
        rows = [
            question(7, status="answered", answer="red,\nand why not"),
            question(8, status="expired", answer="[expired]", deadline_at=AT),
        ]
        host.answers["questions"] = {"questions": rows}
        assert hyperhive("questions", "--all").out == (
            "#7  2026-02-03 04:05:06  manager asks  (answered)\n"
            "    which colour?\n"
            "    → red,\n"
            "    → and why not\n"
            "\n"
            "#8  2026-02-03 04:05:06  manager asks  (expired)\n"
            "    which colour?\n"
            "    → [expired]\n"
            "\n"
        )
        assert host.asked("questions") == [{"all": True}]

    def test_none(self, hyperhive: Program, host: ScriptedHost) -> None:
        """No question is no failure, and no data."""
        host.answers["questions"] = {"questions": []}
        ended = hyperhive("questions")
        assert (ended.code, ended.out, ended.err) == (0, "", "no questions\n")

    def test_json(self, hyperhive: Program, host: ScriptedHost) -> None:
        """--json prints the daemon's rows as they are."""
        host.answers["questions"] = {"questions": [RGB]}
        assert json.loads(hyperhive("questions", "--json").out) == [RGB]


class TestHostileText:
    """An agent writes what it likes into a question."""

    ROW = question(7, HOSTILE, asker="coder", options=[f"a{HOSTILE}", "b"], answer=f"{HOSTILE}!", status="answered")

    def test_is_escaped(self, hyperhive: Program, host: ScriptedHost) -> None:
        """Nothing of it reaches the terminal but characters that stand still, and each shows what it was."""
        host.answers["questions"] = {"questions": [self.ROW]}
        shown = hyperhive("questions", "--all").out
        assert UNSAFE.findall(shown) == []
        for escaped in ("\\x1b[2J", "\\x1b]0;owned\\x07", "\\r", "\\x9b31m", "\\u202egnp", "\\u2028next", "<script>"):
            assert shown.count(escaped) == 3  # in the question, in the option, in the answer

    def test_cannot_pass_for_a_head(self, hyperhive: Program, host: ScriptedHost) -> None:
        """No line of a question, an option or an answer stands where another question would begin."""
        forged = "hi\n#8  2026-02-03 04:05:06  operator asks\r#8 \u2028#8 \x0b#8"
        row = question(7, forged, options=[forged], answer=forged, status="answered")
        host.answers["questions"] = {"questions": [row]}
        lines = hyperhive("questions", "--all").out.splitlines()
        assert [line for line in lines if line.startswith("#")] == ["#7  2026-02-03 04:05:06  manager asks  (answered)"]

    def test_is_whole_in_json(self, hyperhive: Program, host: ScriptedHost) -> None:
        """--json carries it to the last character, and is safe to look at, too."""
        row = question(7, HOSTILE + "x" * (4_000 - len(HOSTILE)), options=[HOSTILE])
        host.answers["questions"] = {"questions": [row]}
        shown = hyperhive("questions", "--json").out
        assert json.loads(shown) == [row]
        assert UNSAFE.findall(shown) == []


class TestAnswer:
    """Answering."""

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (["go", "ahead"], {"options": [], "text": "go ahead"}),
            (["--option", "2"], {"options": ["green"], "text": ""}),
            (["-o", "3", "-o", "1", "and", "gold"], {"options": ["blue", "red"], "text": "and gold"}),
            (["--", "-1 is fine"], {"options": [], "text": "-1 is fine"}),
        ],
    )
    def test_reaches_the_daemon(
        self, hyperhive: Program, host: ScriptedHost, arguments: list[str], expected: dict[str, Any]
    ) -> None:
        """Options are given by their number in the list, text as it is written; the host joins them."""
        host.answers |= {"questions": {"questions": [RGB]}, "answer": {"late": False}}
        ended = hyperhive("answer", "7", *arguments)
        assert (ended.code, ended.out, ended.err) == (0, "", "question 7 is answered\n")
        assert host.asked("answer") == [{"id": 7, **expected}]

    def test_late(self, hyperhive: Program, host: ScriptedHost) -> None:
        """An answer that comes after the expiry is said to be a note."""
        host.answers["answer"] = {"late": True}
        ended = hyperhive("answer", "7", "yes")
        assert (ended.code, ended.err) == (0, "question 7 had expired; the agent reads your answer as a late note\n")

    def test_something_came_first(self, hyperhive: Program, host: ScriptedHost) -> None:
        """A question that is resolved is a conflict, and says how it stands."""
        told = "question 7 was answered already: red"
        host.answers["answer"] = {"ok": False, "error": told, "code": "conflict"}
        ended = hyperhive("answer", "7", "blue")
        assert (ended.code, ended.out, ended.err) == (4, "", f"hyperhive: {told}\n")

    def test_option_that_is_not_offered(self, hyperhive: Program, host: ScriptedHost) -> None:
        """A number past the last option is refused before anything is answered."""
        host.answers |= {"questions": {"questions": [RGB]}, "answer": {"late": False}}
        ended = hyperhive("answer", "7", "--option", "4")
        assert (ended.code, host.asked("answer")) == (2, [])
        assert "question 7 offers 3 options, not 4" in ended.err

    def test_option_of_an_unknown_question(self, hyperhive: Program, host: ScriptedHost) -> None:
        """There is nothing to choose from: not found."""
        host.answers["questions"] = {"questions": [RGB]}
        ended = hyperhive("answer", "8", "--option", "1")
        assert (ended.code, host.asked("answer")) == (3, [])
        assert "no question 8" in ended.err

    @pytest.mark.parametrize("arguments", [["7"], ["x", "yes"], ["0", "yes"], ["7", "--option", "0"], []])
    def test_bad_usage(self, hyperhive: Program, host: ScriptedHost, arguments: list[str]) -> None:
        """Nothing to answer, or no number, never reaches the daemon."""
        ended = hyperhive("answer", *arguments)
        assert (ended.code, host.requests, "Traceback" in ended.err) == (2, [], False)


class TestCancel:
    """Saying that there will be no answer."""

    TOLD = 'The agent will read "[cancelled]" and has to decide alone.'

    def test_says_what_will_be_read(self, hyperhive: Program, host: ScriptedHost) -> None:
        """On a terminal it asks first, and says what the agent will read."""
        host.answers["cancel"] = {"late": False}
        ended = hyperhive.on_terminal("cancel", "7", answers=[("[y/N]", "y")])
        assert (ended.code, host.asked("cancel")) == (0, [{"id": 7}])
        assert self.TOLD in ended.out
        assert "question 7 is cancelled" in ended.out

    def test_no_means_no(self, hyperhive: Program, host: ScriptedHost) -> None:
        """Whoever declines has cancelled nothing."""
        ended = hyperhive.on_terminal("cancel", "7", answers=[("[y/N]", "n")])
        assert (ended.code, host.requests) == (1, [])

    def test_without_a_terminal(self, hyperhive: Program, host: ScriptedHost) -> None:
        """A script says --yes; without it nobody could be asked, and the error says what would be read."""
        host.answers["cancel"] = {"late": False}
        refused = hyperhive("cancel", "7")
        assert (refused.code, host.requests, self.TOLD in refused.err) == (2, [], True)
        ended = hyperhive("cancel", "7", "--yes")
        assert (ended.code, ended.out, ended.err) == (0, "", "question 7 is cancelled\n")

    def test_unknown(self, hyperhive: Program, host: ScriptedHost) -> None:
        """A question that was never asked is not found."""
        host.answers["cancel"] = {"ok": False, "error": "no question 7", "code": "not_found"}
        ended = hyperhive("cancel", "7", "--yes")
        assert (ended.code, ended.err) == (3, "hyperhive: no question 7\n")
