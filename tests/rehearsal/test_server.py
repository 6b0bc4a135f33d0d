"""The Messages API over HTTP."""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import pytest

from hyperhive.rehearsal.answers import Unmatched
from hyperhive.rehearsal.record import KEPT, Record
from hyperhive.rehearsal.scenario import parse_scenario
from hyperhive.rehearsal.server import Rehearsal, serve_rehearsal
from tests.rehearsal.speak import CODER, Reply, speak
from tests.rehearsal.talk import request, result, said, told, use

SCENARIO = """
[[rule]]
contains = "limited"
times = 1
error = { status = 429, message = "slow down", retry_after_seconds = 1.5 }
[[rule]]
contains = "never again"
error = { status = 500, retry = false }
[[rule]]
contains = "cut"
text = "this will be cut"
stream = { chunk_characters = 4, cut_after_chunks = 2 }
[[rule]]
contains = "wait"
delay_seconds = 3600
text = "late"
[[rule]]
contains = "slow stream"
text = "late"
stream = { chunk_delay_seconds = 3600 }
[[rule]]
who = "coder"
name = "greets"
matches = "hello|limited"
text = "Grüße, {speaker}"
[[rule]]
result = "Bash"
text = "{read}"
"""

T = TypeVar("T")


def rehearse(act: Callable[[Rehearsal], Awaitable[T]], on_unmatched: Callable[[Unmatched], None] | None = None) -> T:
    """Serve the scenario while something is done with it."""

    async def main() -> T:
        rehearsal = await serve_rehearsal(parse_scenario(SCENARIO), on_unmatched=on_unmatched)
        try:
            return await act(rehearsal)
        finally:
            await rehearsal.aclose()

    return asyncio.run(main())


def replies(*bodies: object, headers: Mapping[str, str] = CODER) -> list[Reply]:
    """Send requests one after the other."""

    async def act(rehearsal: Rehearsal) -> list[Reply]:
        return [await asyncio.to_thread(speak, rehearsal.url, body=body, headers=headers) for body in bodies]

    return rehearse(act)


class TestMessages:
    """Answers and errors."""

    def test_answer_is_streamed(self) -> None:
        """A request with stream gets server-sent events."""
        (reply,) = replies(request(told("hello"), stream=True))
        assert (reply.status, reply.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        deltas = [event["delta"] for event in reply.events() if event["type"] == "content_block_delta"]
        assert deltas == [{"type": "text_delta", "text": "Grüße, coder"}]
        assert reply.headers["request-id"].startswith("req_")

    def test_answer_without_streaming_is_one_object(self) -> None:
        """A request without stream gets the message as JSON."""
        (reply,) = replies(request(told("hello")))
        assert reply.json()["content"] == [{"type": "text", "text": "Grüße, coder"}]
        assert reply.headers["content-type"] == "application/json"

    def test_equal_requests_to_two_rehearsals_have_equal_answers(self) -> None:
        """No clock, counter or chance of the server's stands in an answer, headers included."""
        first, second = replies(request(told("hello"), stream=True)), replies(request(told("hello"), stream=True))
        assert first == second
        assert "date" not in first[0].headers

    def test_error_has_status_headers_and_shape(self) -> None:
        """An error comes with its status, retry-after in whole seconds, and the API's body; then steps back."""
        first, retry = replies(request(told("limited")), request(told("limited")))
        assert (first.status, first.headers["retry-after"]) == (429, "2")
        assert "x-should-retry" not in first.headers
        assert first.json()["error"] == {"type": "rate_limit_error", "message": "slow down"}
        assert first.json()["request_id"] == first.headers["request-id"]
        assert retry.status == 200

    def test_error_may_forbid_the_retry(self) -> None:
        """An error with retry = false says so in the header that clients heed."""
        (reply,) = replies(request(told("never again")))
        assert (reply.status, reply.headers["x-should-retry"]) == (500, "false")

    @pytest.mark.parametrize("stream", [True, False])
    def test_cut_drops_the_connection(self, stream: bool, caplog: pytest.LogCaptureFixture) -> None:
        """The connection ends in mid-answer, streamed or not, and nothing is logged as an error of the server."""

        async def act(rehearsal: Rehearsal) -> bytes:
            with pytest.raises(http.client.IncompleteRead) as caught:
                await asyncio.to_thread(speak, rehearsal.url, body=request(told("cut"), stream=stream))
            return caught.value.partial

        with caplog.at_level(logging.WARNING):
            partial = rehearse(act)
        assert partial
        assert b"message_stop" not in partial
        assert b"be cut" not in partial
        assert caplog.records == []


class TestCredentials:
    """Who may speak."""

    @pytest.mark.parametrize(
        "headers",
        [{"x-api-key": "rehearsal-coder"}, {"Authorization": "Bearer rehearsal-coder"},
         {"authorization": "bearer rehearsal-coder"}],
    )  # fmt: skip
    def test_speaker_is_known_from_the_credential(self, headers: dict[str, str]) -> None:
        """An API key or a bearer token names the speaker."""
        (reply,) = replies(request(told("hello")), headers=headers)
        assert reply.json()["content"][0]["text"] == "Grüße, coder"

    @pytest.mark.parametrize(
        "headers",
        [{}, {"x-api-key": "sk-ant-1"}, {"x-api-key": "rehearsal-"}, {"Authorization": "Basic rehearsal-coder"},
         {"Authorization": "Bearer other"}],
    )  # fmt: skip
    def test_any_other_credential_is_refused(self, headers: dict[str, str]) -> None:
        """Whoever is no speaker gets the API's 401, and need not try again."""
        (reply,) = replies(request(told("hello")), headers=headers)
        assert (reply.status, reply.headers["x-should-retry"]) == (401, "false")
        assert reply.json()["error"]["type"] == "authentication_error"
        assert "rehearsal-coder" in reply.json()["error"]["message"]


class TestBadRequests:
    """What is refused."""

    def test_malformed_request_gets_the_api_s_error(self) -> None:
        """A body that is no request is refused with 400 and a reason, and the next one is answered."""
        broken, fine = replies({"model": "m"}, request(told("hello")))
        assert (broken.status, broken.json()["error"]["type"]) == (400, "invalid_request_error")
        assert broken.json()["error"]["message"] == "messages: an array of at least one message is needed"
        assert fine.status == 200

    def test_unknown_path_is_not_found(self) -> None:
        """What a rehearsal does not serve is a 404 in the API's shape."""

        async def act(rehearsal: Rehearsal) -> Reply:
            return await asyncio.to_thread(speak, rehearsal.url, "/v1/models")

        reply = rehearse(act)
        assert (reply.status, reply.json()["error"]["type"]) == (404, "not_found_error")

    def test_unmatched_request_is_told_once_and_kept(self) -> None:
        """What no rule fits is a 400 with the explanation, handed to the callback once for all tries, and listed."""
        told_of: list[Unmatched] = []

        async def act(rehearsal: Rehearsal) -> tuple[Reply, Any, tuple[Unmatched, ...]]:
            for _ in range(3):
                reply = await asyncio.to_thread(speak, rehearsal.url, body=request(told("what?")))
            listed = await asyncio.to_thread(speak, rehearsal.url, "/rehearsal/unmatched")
            return reply, listed.json(), rehearsal.unmatched

        reply, listed, kept = rehearse(act, told_of.append)
        assert (reply.status, reply.json()["error"]["type"]) == (400, "invalid_request_error")
        assert reply.json()["error"]["message"] == told_of[0].explanation
        assert tuple(told_of) == kept
        assert [(each["speaker"], each["read"], each["explanation"]) for each in listed] == [
            ("coder", "'what?'", told_of[0].explanation)
        ]


class TestRecord:
    """What is kept and shown."""

    def test_requests_are_listed_with_their_sizes(self) -> None:
        """The list says who spoke, what answered, and the bytes of the request and of its parts."""
        notes = {"role": "system", "content": "# Environment"}
        body = request(told("hello"), notes, stream=True)
        sent = json.dumps(body).encode()

        async def act(rehearsal: Rehearsal) -> tuple[Any, Any]:
            for each in (sent, request(told("limited")), request(told("what?"))):
                await asyncio.to_thread(speak, rehearsal.url, body=each)
            listed = (await asyncio.to_thread(speak, rehearsal.url, "/rehearsal/requests")).json()
            return listed, [each.rule for each in rehearsal.requests]

        listed, rules = rehearse(act)
        assert rules == ["rule 6 (greets)", "rule 1", None]
        assert [each["status"] for each in listed] == [200, 429, 400]
        first = listed[0]
        assert first.pop("at").endswith("Z")
        assert first == {
            "speaker": "coder",
            "path": "/v1/messages",
            "model": "claude-x",
            "rule": "rule 6 (greets)",
            "status": 200,
            "attempt": 1,
            "request_bytes": len(sent),
            "system_bytes": len('"You are coder."'),
            "tools_bytes": len('[{"name":"Bash","input_schema":{"type":"object"}}]'),
            "notes_bytes": len('[{"role":"system","content":"# Environment"}]'),
            "messages": 2,
        }

    def test_memory_is_bounded(self) -> None:
        """Counts of attempts are forgotten from the longest untouched on; what is still tried is still counted."""
        record = Record()
        record.attempt("old")
        for number in range(KEPT):
            record.attempt("busy")
            record.attempt(f"other {number}")
        assert record.attempt("busy") == KEPT + 1
        assert record.attempt("old") == 1

    def test_count_tokens_counts_bytes_by_four(self) -> None:
        """The counting endpoint agrees with the usage of an answer."""

        async def act(rehearsal: Rehearsal) -> tuple[Reply, Reply]:
            body = request(told("hello"))
            counted = await asyncio.to_thread(speak, rehearsal.url, "/v1/messages/count_tokens", body)
            return counted, await asyncio.to_thread(speak, rehearsal.url, body=body)

        counted, answered = rehearse(act)
        assert counted.json() == {"input_tokens": answered.json()["usage"]["input_tokens"]}

    @pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("HEAD", "/"), ("HEAD", "/api/hello")])
    def test_probes_are_fine(self, method: str, path: str) -> None:
        """A client that looks whether anyone is there finds someone."""

        async def act(rehearsal: Rehearsal) -> int:
            return (await asyncio.to_thread(speak, rehearsal.url, path, method=method)).status

        assert rehearse(act) == 200


class TestRunning:
    """Starting, closing, and the port."""

    def test_conversation_goes_on_at_the_same_port_after_a_restart(self) -> None:
        """A new rehearsal takes the port of the old one at once and carries on in the middle of a turn."""

        async def main() -> str:
            scenario = parse_scenario(SCENARIO)
            first = await serve_rehearsal(scenario)
            # Still open at the end, so that it is the server's side which lingers on the port.
            lingering = socket.create_connection(("127.0.0.1", first.port))
            await asyncio.to_thread(speak, first.url, body=request(told("hello")))
            await first.aclose()
            lingering.close()
            second = await serve_rehearsal(scenario, port=first.port)
            turn = request(told("hello"), said(use("Bash")), told(result("carried on")))
            reply = await asyncio.to_thread(speak, second.url, body=turn)
            await second.aclose()
            await second.aclose()
            return str(reply.json()["content"][0]["text"])

        assert asyncio.run(main()) == "carried on"

    @pytest.mark.parametrize("words", ["wait", "slow stream"])
    def test_close_does_not_wait_for_late_answers(self, words: str) -> None:
        """An answer that would come in an hour is dropped when the rehearsal closes."""

        async def main() -> None:
            rehearsal = await serve_rehearsal(parse_scenario(SCENARIO))
            body = request(told(words), stream=True)
            waiting = asyncio.create_task(asyncio.to_thread(speak, rehearsal.url, body=body))
            while not rehearsal.requests:  # noqa: ASYNC110 - the other side of the connection is what is waited for
                await asyncio.sleep(0.01)
            async with asyncio.timeout(5):
                await rehearsal.aclose()
            (outcome,) = await asyncio.gather(waiting, return_exceptions=True)
            assert isinstance(outcome, http.client.HTTPException) or getattr(outcome, "status", 0) == 529

        asyncio.run(main())

    def test_signals_stay_with_the_owner_of_the_loop(self) -> None:
        """Serving changes no signal handler of the process."""

        async def act(rehearsal: Rehearsal) -> Any:
            await asyncio.to_thread(speak, rehearsal.url, "/")
            return signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)

        before = signal.getsignal(signal.SIGTERM)
        during_term, _ = rehearse(act)
        assert during_term == before

    @pytest.mark.parametrize("host", ["0", "::", "192.0.2.1", "example.org", ""])
    def test_only_loopback_is_served(self, host: str) -> None:
        """A host that others can reach is refused before anything listens."""
        with pytest.raises(ValueError, match="is not a loopback address; a rehearsal listens on 127"):
            asyncio.run(serve_rehearsal(parse_scenario(SCENARIO), host))

    def test_port_that_is_freed_in_time_is_taken(self) -> None:
        """A port in use is tried again until its holder lets go."""

        async def main() -> None:
            with socket.create_server(("127.0.0.1", 0)) as holder:
                port = holder.getsockname()[1]
                wanted = asyncio.create_task(serve_rehearsal(parse_scenario(SCENARIO), port=port))
                await asyncio.sleep(0)
                assert not wanted.done()
            rehearsal = await wanted
            assert rehearsal.port == port
            await rehearsal.aclose()

        asyncio.run(main())
