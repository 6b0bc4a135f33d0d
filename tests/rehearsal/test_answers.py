"""Which rule answers, and with what."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hyperhive.rehearsal.answers import Answer, Message, Refusal, Text, Thinking, ToolCall, Unmatched, answer
from hyperhive.rehearsal.scenario import parse_scenario
from tests.rehearsal.talk import Json, request, result, said, told, use


def play(scenario: str, *messages: Json, speaker: str = "coder", attempt: int = 1, **more: Any) -> Answer:
    """Answer a request with these messages."""
    return answer(parse_scenario(scenario), speaker, request(*messages, **more), attempt)


def words(given_answer: Answer) -> str:
    """Give the text of a message."""
    assert isinstance(given_answer, Message)
    return "".join(block.text for block in given_answer.blocks if isinstance(block, Text))


def calls(given_answer: Answer) -> list[tuple[str, dict[str, Any]]]:
    """Give the tool calls of a message."""
    assert isinstance(given_answer, Message)
    return [(block.tool, dict(block.input)) for block in given_answer.blocks if isinstance(block, ToolCall)]


AFTER_BASH = (told("> test it"), said(use("Bash")), told(result("ok 3 passed")))


class TestConditions:
    """When a rule answers."""

    def test_first_rule_that_fits_answers(self) -> None:
        """Rules are tried in the order of the file."""
        scenario = '[[rule]]\ncontains = "b"\ntext = "one"\n[[rule]]\ncontains = "a"\ntext = "two"'
        assert words(play(scenario, told("a b"))) == "one"
        assert words(play(scenario, told("a"))) == "two"

    def test_who_names_one_or_several(self) -> None:
        """A rule for others is not tried; a rule without who is for everyone."""
        scenario = '[[rule]]\nwho = ["a", "b"]\ntext = "few"\n[[rule]]\nwho = "c"\ntext = "one"\n[[rule]]\ntext = "any"'
        assert [words(play(scenario, told("x"), speaker=name)) for name in "abcd"] == ["few", "few", "one", "any"]

    def test_matches_sees_lines(self) -> None:
        """In a pattern, ^ and $ stand at the ends of lines."""
        scenario = '[[rule]]\nmatches = \'^> build$\'\ntext = "yes"\n[default]\ntext = "no"'
        assert words(play(scenario, told("From: operator\n> build\n> now"))) == "yes"
        assert words(play(scenario, told("> rebuild"))) == "no"

    def test_unless_keeps_a_rule_back(self) -> None:
        """A rule does not answer where its unless is found."""
        scenario = '[[rule]]\ncontains = "go"\nunless = "again"\ntext = "first"\n[default]\ntext = "known"'
        assert words(play(scenario, told("go"))) == "first"
        assert words(play(scenario, told("go (again)"))) == "known"

    def test_result_reads_the_named_tool_only(self) -> None:
        """A rule with result looks at what that tool gave back, and a rule without it never looks at results."""
        scenario = (
            '[[rule]]\ncontains = "passed"\ntext = "text"\n'
            '[[rule]]\nresult = "Write"\ntext = "write"\n'
            '[[rule]]\nresult = "Bash"\ncontains = "passed"\ntext = "bash"'
        )
        assert words(play(scenario, *AFTER_BASH)) == "bash"
        assert words(play(scenario, told("passed"))) == "text"

    def test_result_of_a_hive_tool_goes_by_its_short_name(self) -> None:
        """People write send; on the wire it is mcp__hive__send."""
        scenario = '[[rule]]\nresult = "send"\ntext = "sent"'
        conversation = (told("go"), said(use("mcp__hive__send")), told(result("{}")))
        assert words(play(scenario, *conversation)) == "sent"

    def test_any_of_several_results_may_fit(self) -> None:
        """With parallel calls, the pattern is tried on each result of the tool."""
        conversation = (told("go"), said(use("Bash", "a"), use("Bash", "b")), told(result("1", "a"), result("2", "b")))
        scenario = "[[rule]]\nresult = 'Bash'\nmatches = '(?P<n>[2-9])'\ntext = 'got {n} of {read}'"
        assert words(play(scenario, *conversation)) == "got 2 of 2"

    def test_failed_tells_errors_from_results(self) -> None:
        """With failed, a rule wants an error, or wants none."""
        rules = [
            f"[[rule]]\nresult = 'Bash'\nfailed = {failed}\ntext = 'failed {failed}'" for failed in ("true", "false")
        ]
        scenario = "\n".join(rules)
        assert words(play(scenario, *AFTER_BASH)) == "failed false"
        assert words(play(scenario, *AFTER_BASH[:2], told(result("exit 1", failed=True)))) == "failed true"

    def test_turn_is_remembered_at_later_steps(self) -> None:
        """A rule with turn looks at the text that began the turn, whatever was read since, and may quote it."""
        scenario = "[[rule]]\nturn = '> (?P<job>.+)'\nresult = 'Bash'\ntext = '{job}: {read}'"
        assert words(play(scenario, *AFTER_BASH)) == "test it: ok 3 passed"

    def test_step_counts_the_requests_of_a_turn(self) -> None:
        """A rule with step answers at that step only."""
        scenario = "[[rule]]\nstep = 2\ntext = 'second'\n[[rule]]\nstep = 1\ntext = 'first'"
        assert words(play(scenario, told("x"))) == "first"
        assert words(play(scenario, *AFTER_BASH)) == "second"

    def test_times_bounds_the_tries_of_one_request(self) -> None:
        """A rule with times answers the first tries of a request and then falls through."""
        scenario = "[[rule]]\ntimes = 2\nerror = { status = 529 }\n[default]\ntext = 'at last'"
        tries = [play(scenario, told("x"), attempt=attempt) for attempt in (1, 2, 3)]
        assert [isinstance(each, Refusal) for each in tries] == [True, True, False]

    def test_default_stands_behind_all_rules(self) -> None:
        """The default answers its speakers where no rule fits, and nobody else."""
        scenario = "[[rule]]\ncontains = 'go'\ntext = 'gone'\n[default]\nwho = 'coder'\ntext = 'nothing to do'"
        assert words(play(scenario, told("x"))) == "nothing to do"
        assert words(play(scenario, told("go"))) == "gone"
        assert isinstance(play(scenario, told("x"), speaker="reviewer"), Unmatched)


TWO_MAILS = """
[[rule]]
turn = 'review: (?P<word>\\w+)'
once = "turn"
call = [{ tool = "send", input = { to = "operator", body = "{word}" } }]
[[rule]]
turn = 'job: (?P<word>\\w+)'
once = "%s"
call = [{ tool = "send", input = { to = "coder", body = "{word}" } }]
[[rule]]
text = "done"
"""


class TestOnce:
    """Rules that do not repeat themselves."""

    def test_every_mail_of_a_batch_is_answered_once(self) -> None:
        """Rules that answer once a turn work off a batch of mail one after the other."""
        turn = [told("job: slug\nreview: fine")]
        answers = []
        for step in range(3):
            given_answer = play(TWO_MAILS % "turn", *turn)
            answers.append(calls(given_answer) or words(given_answer))
            for tool, arguments in calls(given_answer):
                turn += [said(use(tool, f"t{step}", **arguments)), told(result("{}", f"t{step}"))]
        operator, coder = (
            ("mcp__hive__send", {"to": "operator", "body": "fine"}),
            (
                "mcp__hive__send",
                {"to": "coder", "body": "slug"},
            ),
        )
        assert answers == [[operator], [coder], "done"]

    def test_conversation_remembers_earlier_turns(self) -> None:
        """A mail that comes again after a crash is not acted on twice, where the rule says so."""
        sent = use("mcp__hive__send", to="coder", body="slug")
        again = (told("job: slug"), said(sent), told(result("{}")), said("done"), told("job: slug"))
        assert calls(play(TWO_MAILS % "turn", *again)) != []
        assert words(play(TWO_MAILS % "conversation", *again)) == "done"

    def test_call_without_success_is_made_again_in_a_later_turn(self) -> None:
        """What a crash cut off has not been done."""
        sent = use("mcp__hive__send", to="coder", body="slug")
        cut = (told("job: slug"), said(sent), told(result("interrupted", failed=True)), said("-"), told("job: slug"))
        assert calls(play(TWO_MAILS % "conversation", *cut)) != []

    def test_failing_call_is_not_repeated_within_its_turn(self) -> None:
        """A tool that always fails does not make a turn endless."""
        sent = use("mcp__hive__send", to="coder", body="slug")
        failing = (told("job: slug"), said(sent), told(result("no such agent", failed=True)))
        assert words(play(TWO_MAILS % "conversation", *failing)) == "done"


class TestMessage:
    """What a message holds."""

    def test_blocks_come_in_the_order_of_the_api(self) -> None:
        """Thinking, then text, then calls; with a call the stop reason is tool_use."""
        scenario = "[[rule]]\ntext='t'\nthinking='h'\ncall=[{tool='Bash', input={command='ls'}}, {tool='list'}]"
        given_answer = play(scenario, told("x"))
        assert isinstance(given_answer, Message)
        assert [type(block) for block in given_answer.blocks] == [Thinking, Text, ToolCall, ToolCall]
        assert calls(given_answer) == [("Bash", {"command": "ls"}), ("mcp__hive__list", {})]
        assert given_answer.stop_reason == "tool_use"

    def test_stop_reason_can_be_set(self) -> None:
        """A message may stop for another reason than its end."""
        given_answer = play("[[rule]]\ntext='half'\nstop_reason='max_tokens'", told("x"))
        assert isinstance(given_answer, Message)
        assert given_answer.stop_reason == "max_tokens"

    def test_placeholders_are_filled_everywhere(self) -> None:
        """Groups fill texts and every string of an input; braces that are no placeholder stay."""
        scenario = """
[[rule]]
matches = '(?P<name>\\w+)\\.py(?P<no>never)?'
text = "{speaker} writes {name}{no}: {} {{name}} {'a': 1}"
call = [{ tool = "Write", input = { file_path = "{name}.py", lines = ["{name}", 1, true], deep = { x = "{read}" } } }]
"""
        given_answer = play(scenario, told("slug.py please"))
        assert words(given_answer) == "coder writes slug: {} {name} {'a': 1}"
        assert calls(given_answer) == [
            ("Write", {"file_path": "slug.py", "lines": ["slug", 1, True], "deep": {"x": "slug.py please"}})
        ]

    @given(st.text(), st.text(min_size=1))
    def test_what_was_read_is_never_taken_for_a_placeholder(self, before: str, mail: str) -> None:
        """A mail may hold braces; they are quoted as they are."""
        told_words = f"> {mail}{{speaker}}{before}"
        assert words(play("[[rule]]\ntext = '{read}'", told(told_words))) == told_words

    def test_usage_is_bytes_by_four_unless_given(self) -> None:
        """Token counts are those of the scenario, else the bytes of the request and of the answer ÷ 4."""
        counted = play("[[rule]]\ntext = 'twelve bytes'", told("x"))
        longer = play("[[rule]]\ntext = 'twelve bytes'", told("x" * 401))
        assert isinstance(counted, Message)
        assert isinstance(longer, Message)
        assert counted.tokens.output_tokens == 3
        assert longer.tokens.input_tokens - counted.tokens.input_tokens == 100
        usage = "{ input_tokens = 7, output_tokens = 8, cache_read_input_tokens = 9, cache_creation_input_tokens = 10 }"
        stated = play(f"[[rule]]\ntext = 'x'\nusage = {usage}", told("x"))
        assert isinstance(stated, Message)
        tokens = stated.tokens
        assert (tokens.input_tokens, tokens.output_tokens) == (7, 8)
        assert (tokens.cache_read_input_tokens, tokens.cache_creation_input_tokens) == (9, 10)

    def test_same_request_has_the_same_answer(self) -> None:
        """An answer depends on nothing but scenario, speaker, request and attempt."""
        scenario = "[[rule]]\nthinking='h'\ntext='t'\ncall=[{tool='Bash', input={}}]"
        assert play(scenario, told("x")) == play(scenario, told("x"))

    def test_ids_differ_between_requests_and_tries(self) -> None:
        """No two messages of a conversation share an id: `claude` takes equal ids for one message."""
        scenario = "[[rule]]\ncall=[{tool='Bash', input={}}, {tool='Bash', input={}}]"
        first, retry = play(scenario, told("x")), play(scenario, told("x"), attempt=2)
        later = play(scenario, told("x"), said(use("Bash")), told(result("y")))
        ids = set()
        for each in (first, retry, later):
            assert isinstance(each, Message)
            ids |= {each.id, *(block.id for block in each.blocks if isinstance(block, ToolCall))}
        assert len(ids) == 9


class TestUnmatched:
    """What nobody wrote a rule for."""

    def test_says_who_read_what_and_which_rules_were_tried(self) -> None:
        """The explanation has what one needs to write the missing rule."""
        scenario = "[[rule]]\nname='greets'\ncontains='hi'\ntext='x'\n[[rule]]\nwho='reviewer'\ntext='y'"
        given_answer = play(scenario, *AFTER_BASH)
        assert isinstance(given_answer, Unmatched)
        assert given_answer.tried == ("rule 1 (greets)",)
        assert given_answer.explanation == (
            "the rehearsal's scenario has no rule for this request: coder, step 2 of the turn, has just read "
            "the result of Bash: 'ok 3 passed'; rules tried: rule 1 (greets)"
        )

    def test_long_reading_is_shortened(self) -> None:
        """What was read is shown up to 300 characters, with its length."""
        given_answer = play("[[rule]]\nwho='reviewer'\ntext='y'", told("x" * 1000))
        assert isinstance(given_answer, Unmatched)
        assert given_answer.read == f"'{'x' * 300}'… (1000 characters)"
        assert given_answer.explanation.endswith("rules tried: none: no rule names coder")


class TestAside:
    """What `claude` asks on its own behalf."""

    def test_title_request_is_answered_without_a_rule(self) -> None:
        """What `claude` asks on its own behalf, a form without tools, gets a form filled in, and no rule sees it."""
        schema = {
            "type": "object",
            "properties": {"title": {"type": "string"}, "n": {"type": "integer"}, "tags": {"type": "array"}},
            "required": ["title", "n", "tags"],
        }
        form = {"format": {"type": "json_schema", "schema": schema}}
        given_answer = play("[[rule]]\ntext='x'", told("<session>go</session>"), tools=[], output_config=form)
        assert isinstance(given_answer, Message)
        assert (given_answer.rule, words(given_answer)) == ("aside", '{"title":"Rehearsal","n":0,"tags":[]}')

    def test_agent_with_tools_is_no_aside(self) -> None:
        """An agent that is asked for structured output is still played by the rules."""
        form = {"format": {"type": "json_schema", "schema": {"type": "object"}}}
        assert words(play("[[rule]]\ntext='x'", told("go"), output_config=form)) == "x"
