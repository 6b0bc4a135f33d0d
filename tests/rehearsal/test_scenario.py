"""Scenario files: what may stand in them, and what people are told about mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from hyperhive.rehearsal.rules import Call, Fault, Pace, Usage
from hyperhive.rehearsal.scenario import ScenarioError, load_scenario, parse_scenario

EVERY_KEY = """
about = "everything at once"

[[rule]]
name = "everything"
who = ["coder", "reviewer"]
result = ["send", "Bash", "mcp__other__tool"]
failed = false
contains = "plain"
matches = 'a(?P<b>b)c'
unless = 'not this'
turn = '(?P<job>.*)'
step = 2
once = "turn"
times = 3
thinking = "hm"
text = "I {read}"
delay_seconds = 1
stop_reason = "tool_use"
stream = { chunk_characters = 5, chunk_delay_seconds = 0.5, cut_after_chunks = 1 }
usage = { input_tokens = 1, output_tokens = 2, cache_read_input_tokens = 3, cache_creation_input_tokens = 4 }

[[rule.call]]
tool = "send"
input = { to = "operator", body = "{job}" }

[[rule.call]]
tool = "Bash"

[[rule]]
error = { status = 429, type = "rate_limit_error", message = "slow", retry_after_seconds = 2, retry = true }

[default]
who = "coder"
text = "bye"
"""


class TestReading:
    """Files that are right."""

    def test_every_key_is_read(self) -> None:
        """All keys that the documentation names arrive in the rules."""
        scenario = parse_scenario(EVERY_KEY)
        first, second = scenario.rules
        when = first.condition
        assert (scenario.about, first.label, second.label) == ("everything at once", "rule 1 (everything)", "rule 2")
        assert when.who == ("coder", "reviewer")
        assert when.result == ("mcp__hive__send", "Bash", "mcp__other__tool")
        assert (when.failed, when.contains, when.step, when.once, when.times) == (False, "plain", 2, "turn", 3)
        assert [each.pattern for each in (when.matches, when.unless, when.turn) if each] == [
            "a(?P<b>b)c", "not this", "(?P<job>.*)",
        ]  # fmt: skip
        assert first.script.calls == (
            Call(tool="mcp__hive__send", input={"to": "operator", "body": "{job}"}),
            Call(tool="Bash", input={}),
        )
        assert (first.script.thinking, first.script.text, first.script.delay_seconds) == ("hm", "I {read}", 1.0)
        assert first.script.pace == Pace(chunk_characters=5, chunk_delay_seconds=0.5, cut_after_chunks=1)
        assert first.script.usage == Usage(
            input_tokens=1, output_tokens=2, cache_read_input_tokens=3, cache_creation_input_tokens=4
        )
        assert second.script.fault == Fault(
            status=429, type="rate_limit_error", message="slow", retry_after_seconds=2.0, retry=True
        )
        assert scenario.default is not None
        assert (scenario.default.condition.who, scenario.default.script.text) == (("coder",), "bye")

    @pytest.mark.parametrize(
        ("status", "kind"),
        [(401, "authentication_error"), (429, "rate_limit_error"), (500, "api_error"), (529, "overloaded_error"),
         (503, "api_error"), (418, "invalid_request_error")],
    )  # fmt: skip
    def test_error_has_the_type_of_its_status(self, status: int, kind: str) -> None:
        """An error whose type is not given has the one that the API sends with this status."""
        fault = parse_scenario(f"[[rule]]\nerror = {{ status = {status} }}").rules[0].script.fault
        assert fault is not None
        assert fault.type == kind

    def test_file_is_named_in_errors(self, tmp_path: Path) -> None:
        """A scenario file that is missing, no UTF-8 or no TOML is an error that names the file."""
        broken = tmp_path / "broken.toml"
        with pytest.raises(ScenarioError, match=r"broken\.toml: cannot be read: No such file"):
            load_scenario(broken)
        broken.write_bytes(b"about = '\xff'")
        with pytest.raises(ScenarioError, match=r"broken\.toml: is not UTF-8 at byte 9"):
            load_scenario(broken)
        broken.write_text("[[rule]\n")
        with pytest.raises(ScenarioError, match=r"broken\.toml: is not TOML: .*line 1"):
            load_scenario(broken)


MISTAKES = {
    "": "bees.toml: has no rule; write at least one [[rule]] or a [default]",
    "rules = []": "bees.toml: key 'rules' is unknown; did you mean 'rule'?",
    "rule = 'x'": "bees.toml: key 'rule' is 'x'; it must be an array of tables, each written under [[rule]]",
    "[[rule]]": "bees.toml: rule 1: says nothing; give text, call, thinking or error",
    "[[rule]]\ntext = 'x'\n[[rule]]\nname = 'b'\ntext = 1": (
        "bees.toml: rule 2 (b): key 'text' is 1; it must be a string, such as \"…\""
    ),
    "[[rule]]\ntext = 'x'\nmatch = 'y'": "bees.toml: rule 1: key 'match' is unknown; did you mean 'matches'?",
    "[[rule]]\ntext = 'x'\nzzz = 'y'": "bees.toml: rule 1: key 'zzz' is unknown; known here: name, who, contains,",
    "[[rule]]\ntext = 'x'\nwho = []": "bees.toml: rule 1: key 'who' is []; it must be a name or a list of names",
    "[[rule]]\ntext = 'x'\nwho = ['a', 3]": "bees.toml: rule 1: key 'who' is ['a', 3]; it must be a name or",
    "[[rule]]\ntext = 'x'\nmatches = '(a'": (
        "bees.toml: rule 1: key 'matches' is not a regular expression: missing ), unterminated subpattern at position 0"
    ),
    "[[rule]]\ntext = 'x'\nstep = 0": "bees.toml: rule 1: key 'step' is 0; it must be a whole number of at least 1",
    "[[rule]]\ntext = 'x'\ntimes = true": "bees.toml: rule 1: key 'times' is True; it must be a whole number",
    "[[rule]]\ntext = 'x'\nstep = 2\ncontains = 'y'": "key 'step' over 1 goes with result: from the second step on",
    "[[rule]]\ntext = 'x'\nstep = 1\nresult = 'Bash'": "key 'step' of 1 does not go with result: a turn begins with",
    "[[rule]]\ntext = 'x'\nfailed = true": "key 'failed' belongs beside result",
    "[[rule]]\ntext = 'x'\nresult = 'Bash'\nfailed = 1": "key 'failed' is 1; it must be true or false",
    "[[rule]]\ntext = 'x'\nonce = true": "key 'once' is True; it must be one of turn, conversation",
    "[[rule]]\ntext = 'x'\nonce = 'turn'": "key 'once' needs a call",
    "[[rule]]\nonce = 'turn'\ncall = [{ tool = 'send', input = { body = '{read}' } }]": (
        "key 'once' allows in its calls only what stays the same all turn, groups of turn; 'read' may not"
    ),
    "[[rule]]\ntext = 'x'\ndelay_seconds = -1": "key 'delay_seconds' is -1; it must be a number of at least 0",
    "[[rule]]\ntext = 'x'\ndelay_seconds = nan": "key 'delay_seconds' is nan; it must be a number of at least 0",
    "[[rule]]\ntext = 'x'\ndelay_seconds = inf": "key 'delay_seconds' is inf; it must be a number of at least 0",
    "[[rule]]\ntext = 'x'\nstop_reason = 'bored'": "key 'stop_reason' is 'bored'; it must be one of end_turn, max_tok",
    "[[rule]]\ntext = 'x'\nusage = 3": "key 'usage' is 3; it must be a table, such as { … }",
    "[[rule]]\ntext = 'x'\nusage = { tokens = 3 }": "bees.toml: rule 1: usage: key 'tokens' is unknown; ",
    "[[rule]]\ntext = 'x'\nstream = { chunk_characters = 0 }": "stream: key 'chunk_characters' is 0; it must be",
    "[[rule]]\ncall = { tool = 'send' }": "key 'call' is {'tool': 'send'}; it must be an array of tables, each written",
    "[[rule]]\ncall = [{ tool = 'send' }, { input = {} }]": "bees.toml: rule 1: call 2: key 'tool' is needed: the name",
    "[[rule]]\ncall = [{ tool = 'send', input = { at = 2026-01-02 } }]": (
        "rule 1: call 1: input: key 'at' is a date or time, 2026-01-02; a tool's input is JSON: write \"2026-01-02\""
    ),
    "[[rule]]\ncall = [{ tool = 'send', input = { at = nan } }]": "key 'at' is nan, which JSON does not know",
    "[[rule]]\ntext = 'x'\nerror = { status = 429 }": "key 'error' stands for the whole answer",
    "[[rule]]\nerror = { message = 'x' }": "rule 1: error: key 'status' is needed: an HTTP status from 400 to 599",
    "[[rule]]\nerror = { status = 200 }": "rule 1: error: key 'status' is 200; it must be a whole number of at",
    "[[rule]]\nerror = { status = 600 }": "rule 1: error: key 'status' is needed: an HTTP status from 400 to 599",
    "[[rule]]\nmatches = '(?P<a>x)'\ntext = '{b}'": (
        "key 'text' has the placeholder {b}, and this rule has only a, read, speaker; "
        "name a group (?P<b>…) in matches or turn, or write {{b}} for the braces themselves"
    ),
    "[[rule]]\ncall = [{ tool = 'Bash', input = { command = 'echo ${HOME}' } }]": (
        "key 'call' has the placeholder {HOME}"
    ),
    "[[rule]]\nmatches = '(?P<read>x)'\ntext = 'x'": "key 'matches' names the group 'read', which is taken",
    "[[rule]]\nmatches = '(?P<a>x)'\nturn = '(?P<a>x)'\ntext = 'x'": "key 'matches' names the group 'a', which",
    "[[rule]]\ntext = 'x'\n[default]\ntext = 'y'\ncontains = 'z'": "bees.toml: default: key 'contains' is unknown; ",
    "[default]\ntext = '{x}'": "bees.toml: default: key 'text' has the placeholder {x}",
}


class TestMistakes:
    """Files that are not."""

    @pytest.mark.parametrize("text", MISTAKES, ids=[text.replace("\n", "; ")[:60] or "empty" for text in MISTAKES])
    def test_mistake_is_named_with_what_would_be_right(self, text: str) -> None:
        """An error names the file, the rule, the key and what would be right."""
        with pytest.raises(ScenarioError) as caught:
            parse_scenario(text, source="bees.toml")
        assert str(caught.value).startswith("bees.toml: ")
        assert MISTAKES[text] in str(caught.value)
