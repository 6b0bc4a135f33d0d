"""Why a turn failed, from what the real `claude` says of it."""

from __future__ import annotations

from typing import Any

import pytest

from harness import failures

API = {"is_error": True, "subtype": "success", "terminal_reason": "api_error"}

# As recorded with claude 2.1.330 against a server that answers with these errors.
RECORDED: list[tuple[str, dict[str, Any], str | None]] = [
    ("login", {**API, "api_error_status": 401}, "authentication_failed"),
    ("login", {**API, "api_error_status": 403}, "authentication_failed"),
    (
        "login",
        {**API, "api_error_status": None, "result": "Not logged in · Please run /login"},
        "authentication_failed",
    ),
    ("rate_limit", {**API, "api_error_status": 429}, "rate_limit"),
    ("api", {**API, "api_error_status": 500}, "server_error"),
    ("api", {**API, "api_error_status": 529}, "server_error"),
    ("api", {**API, "api_error_status": 402}, "unknown"),
    ("api", {**API, "api_error_status": 404}, "model_not_found"),
    ("network", {**API, "api_error_status": None}, "server_error"),
    ("turn", {**API, "api_error_status": 400}, "unknown"),
    ("turn", {**API, "api_error_status": 413, "terminal_reason": "image_error"}, "invalid_request"),
    ("turn", {"is_error": True, "subtype": "error_max_turns", "terminal_reason": "max_turns"}, None),
    ("stopped", {"is_error": True, "subtype": "error_during_execution", "terminal_reason": "aborted_tools"}, None),
]


class TestOfResult:
    @pytest.mark.parametrize(("kind", "result", "api_error"), RECORDED)
    def test_tells_the_environment_from_the_turn(
        self, kind: str, result: dict[str, Any], api_error: str | None
    ) -> None:
        """Each way to fail has the kind that decides what becomes of the mail."""
        assert failures.of_result(result, api_error) == kind

    def test_a_good_result_is_no_failure(self) -> None:
        """A turn that met an error on its way and ended well has ended well."""
        assert failures.of_result({"is_error": False, "subtype": "success"}, "rate_limit") is None

    def test_every_kind_keeps_or_drops_the_mail(self) -> None:
        """What is not the environment's fault is the turn's, or a stop."""
        assert {kind for kind, *_ in RECORDED} - failures.ENVIRONMENT == {"turn", "stopped"}


class TestTextOf:
    def test_prefers_what_tells_most(self) -> None:
        """The list of errors, else the result's prose, else the subtype."""
        assert failures.text_of({"errors": ["a", "b"], "result": "c"}) == "a; b"
        assert failures.text_of({"result": "c", "subtype": "success"}) == "c"
        assert failures.text_of({"subtype": "error_max_turns"}) == "error_max_turns"

    def test_is_short(self) -> None:
        """A report goes into the log for ever: a long text is cut, and says so."""
        assert failures.text_of({"result": "x" * 9_999}).endswith("… (9999 characters)")
