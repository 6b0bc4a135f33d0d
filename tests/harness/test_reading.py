"""What messages of a session say about its turn."""

from __future__ import annotations

from typing import Any

from harness.reading import Reader, Seen, ServersSeen, SessionSeen, StatusSeen, TurnEnded

Message = dict[str, Any]

SESSION = "abac8401"


def taken_up(prompt: str) -> Message:
    """Return the echo of a prompt."""
    return {"type": "user", "isReplay": True, "uuid": prompt, "message": {"role": "user", "content": "hello"}}


def assistant(*, model: str = "claude-x", error: str | None = None, parent: str | None = None) -> Message:
    """Return something that was said."""
    message = {"type": "assistant", "session_id": SESSION, "parent_tool_use_id": parent, "message": {"model": model}}
    return message if error is None else {**message, "error": error}


def result(**more: Any) -> Message:
    """Return the end of a turn."""
    usage = {"input_tokens": 100, "output_tokens": 50, "cache_read_input_tokens": None, "service_tier": "standard"}
    base = {"type": "result", "subtype": "success", "is_error": False, "session_id": SESSION, "usage": usage}
    return {**base, "total_cost_usd": 0.5, **more}


def read(*messages: Message, prompt: str | None = "p1") -> list[Seen]:
    """Return what messages say, after a prompt."""
    reader = Reader()
    if prompt is not None:
        reader.begin(prompt)
    return [seen for message in messages for seen in reader.read(message)]


class TestTurn:
    def test_a_result_ends_it(self) -> None:
        """A good result ends the turn, with this turn's tokens and the session's cost."""
        (ended,) = read(taken_up("p1"), result())
        assert ended == TurnEnded(
            ok=True,
            error_kind=None,
            error=None,
            total_cost_usd=0.5,
            usage={
                "input_tokens": 100,
                "output_tokens": 50,
                "cache_read_input_tokens": 0,
                "cache_creation_input_tokens": 0,
            },
            session_id=SESSION,
        )

    def test_a_turn_that_nobody_asked_for_ends_nothing(self) -> None:
        """A result before our prompt was taken up belongs to another turn."""
        lifecycle = {"type": "command_lifecycle", "command_uuid": "p1", "state": "queued"}
        assert read(lifecycle, assistant(), result())[1:] == []
        assert isinstance(read(lifecycle, result(), {**lifecycle, "state": "started"}, result())[-1], TurnEnded)

    def test_an_old_claude_echoes_nothing(self) -> None:
        """Where no prompt is ever echoed, the first result is ours."""
        assert isinstance(read(result())[-1], TurnEnded)

    def test_a_result_counts_once(self) -> None:
        """After our result, another one ends nothing."""
        assert len(read(taken_up("p1"), result(), result())) == 1

    def test_without_a_prompt_no_turn_ends(self) -> None:
        """A result before any prompt is somebody else's."""
        assert read(result(), prompt=None) == []

    def test_an_api_error_ends_it_badly(self) -> None:
        """``subtype`` says success, but the turn failed; the name of the error is in the message before."""
        failed = result(is_error=True, api_error_status=429, result="API Error: 429", terminal_reason="api_error")
        (ended,) = read(taken_up("p1"), assistant(model="<synthetic>", error="rate_limit"), failed)
        assert isinstance(ended, TurnEnded)
        assert (ended.ok, ended.error_kind, ended.error) == (False, "rate_limit", "API Error: 429")


class TestSession:
    def test_init_names_session_and_model(self) -> None:
        """The first message of a turn says which session runs, on which model."""
        init = {"type": "system", "subtype": "init", "session_id": SESSION, "model": "claude-x", "tools": []}
        assert read(init) == [SessionSeen(session_id=SESSION, model="claude-x"), ServersSeen(failed=())]

    def test_tool_servers(self) -> None:
        """It says, too, which tool servers did not come up; one that still comes up is no failure."""
        states = {"a": "connected", "b": "failed", "c": "pending", "d": "needs-auth"}
        servers = [{"name": name, "status": status} for name, status in states.items()]
        init = {"type": "system", "subtype": "init", "session_id": SESSION, "model": "x", "mcp_servers": servers}
        assert read(init)[1:] == [ServersSeen(failed=("b", "d"))]

    def test_the_model_that_answers_counts(self) -> None:
        """A fallback shows in the answer."""
        assert read(assistant(model="claude-y")) == [SessionSeen(session_id=SESSION, model="claude-y")]

    def test_a_subagents_model_is_its_own(self) -> None:
        """What a subagent runs on is not the session's model, and an error's text has none."""
        assert read(assistant(model="small", parent="toolu_1"), assistant(model="<synthetic>")) == []


class TestStatus:
    def test_compacting_begins_and_ends(self) -> None:
        """A session that compacts says so, and when it is done."""
        status = {"type": "system", "subtype": "status", "status": "compacting"}
        done = {"type": "system", "subtype": "compact_boundary"}
        assert read(status, done) == [StatusSeen(status="compacting"), StatusSeen(status="thinking")]

    def test_unknown_messages_say_nothing(self) -> None:
        """What a newer `claude` says is passed over here; the stream has it."""
        assert read({"type": "new"}, {"type": "system", "subtype": "new"}, {"type": 5}, {"type": "assistant"}) == []
