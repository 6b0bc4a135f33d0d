"""Diagnostics: their two forms, their context, and what never appears in them."""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from hyperhive.diagnostics import WITHHELD, configure, render_text, withhold


@pytest.fixture(autouse=True)
def _undo() -> Iterator[None]:
    """Leave logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    root.handlers, root.level = handlers, level


def lines(form: str, level: str = "info") -> io.StringIO:
    """Configure diagnostics into a string."""
    out = io.StringIO()
    configure(level=level, format=form, stream=out)
    return out


def json_lines(out: io.StringIO) -> list[dict[str, Any]]:
    """Read what was written as JSON."""
    return [json.loads(line) for line in out.getvalue().splitlines()]


def fail(why: str) -> None:
    """Be the defect that a traceback shows."""
    raise RuntimeError(why)


class TestForms:
    """Text and JSON."""

    def test_text(self) -> None:
        """For people: time, level, event, then key=value, quoted where that is needed, on one line."""
        out = lines("text")
        structlog.get_logger().warning("restart asked for", agent="coder", reason="it\nhangs", n=3, empty="")
        time, _, rest = out.getvalue().partition(" ")
        assert time.endswith("Z")
        assert rest == 'warning restart asked for agent=coder reason="it\\nhangs" n=3 empty=""\n'

    def test_json(self) -> None:
        """For programs: one object a line, time, level and event first."""
        out = lines("json")
        structlog.get_logger().info("started", agent="coder", at={"x": 1})
        (found,) = json_lines(out)
        assert list(found)[:3] == ["timestamp", "level", "event"]
        assert {"level": "info", "event": "started", "agent": "coder", "at": {"x": 1}}.items() <= found.items()

    def test_auto(self) -> None:
        """Auto is text on a terminal and JSON otherwise."""
        out = lines("auto")
        structlog.get_logger().info("started")
        assert json_lines(out)[0]["event"] == "started"
        master, slave = os.openpty()
        with os.fdopen(slave, "w") as terminal:
            configure(format="auto", stream=terminal)
            structlog.get_logger().info("started", agent="coder")
            assert b"info    started agent=coder" in os.read(master, 4096)
        os.close(master)

    def test_level(self) -> None:
        """What is below the level is not written, by us or by a library."""
        out = lines("json", level="warning")
        structlog.get_logger().info("no")
        logging.getLogger("library").info("no")
        structlog.get_logger().error("yes")
        assert [line["event"] for line in json_lines(out)] == ["yes"]

    @pytest.mark.parametrize("form", ["text", "json"])
    def test_exception(self, form: str) -> None:
        """A defect comes with its traceback."""
        out = lines(form)
        try:
            fail("boom")
        except RuntimeError:
            structlog.get_logger().exception("failed")
        assert "RuntimeError: boom" in out.getvalue()
        assert "Traceback" in out.getvalue()


class TestContext:
    """What is on every line."""

    def test_is_on_each_line(self) -> None:
        """Actor, stream and correlation, once bound, are on every line, also on a library's."""
        out = lines("json")
        bound = {"actor": "operator", "stream": "agent-coder", "correlation": 7}
        with structlog.contextvars.bound_contextvars(**bound):
            structlog.get_logger().info("one")
            logging.getLogger("uvicorn.error").warning("two %s", "words")
        structlog.get_logger().info("three")
        one, two, three = json_lines(out)
        assert bound.items() <= one.items()
        assert (bound | {"event": "two words"}).items() <= two.items()
        assert "actor" not in three

    def test_libraries_are_routed_once(self) -> None:
        """A library's line comes once, in our form, and uvicorn's access lines not at all."""
        logging.getLogger("uvicorn.error").addHandler(logging.StreamHandler(io.StringIO()))
        out = lines("json")
        logging.getLogger("uvicorn.error").error("once")
        logging.getLogger("uvicorn.access").info("GET /")
        assert [line["event"] for line in json_lines(out)] == ["once"]


class TestSecrets:
    """What is on none."""

    @pytest.mark.parametrize("form", ["text", "json"])
    @pytest.mark.parametrize(
        "name",
        ["body", "text", "key", "token", "secret", "password", "env", "api_key", "apiKey", "ACCESS_TOKEN", "x-api-key"],
    )
    def test_key_withholds_its_value(self, form: str, name: str) -> None:
        """What stands under such a name is withheld, however deep, whatever its type."""
        out = lines(form)
        hidden: Any = {"k": "hidden"}
        structlog.get_logger().info("x", **{name: "hidden"}, deep=[{"deeper": {name: hidden}}])
        assert "hidden" not in out.getvalue()
        assert out.getvalue().count(WITHHELD) == 2

    @pytest.mark.parametrize("form", ["text", "json"])
    def test_value_that_looks_like_one_is_masked(self, form: str) -> None:
        """A key is masked in the event, in a value, in a traceback, in a library's line."""
        out = lines(form)
        secret = "sk-ant-api03-veryhidden_x-y"
        try:
            fail(f"with {secret}")
        except RuntimeError:
            structlog.get_logger().exception(
                f"event {secret}", url=f"http://x/{secret}", deep=[secret], raw=secret.encode()
            )
        logging.getLogger("library").warning("got %s", secret)
        assert "veryhidden" not in out.getvalue()
        assert out.getvalue().count("sk-ant-***") >= 5

    def test_innocent_names_stay(self) -> None:
        """Words that merely contain one are no secrets."""
        event = {"event": "text", "tokens": 5, "keyboard": 1, "context": 2, "environmental": 3, "somebody": 4}
        assert withhold(None, "", dict(event)) == event


class TestRobustness:
    """Odd values and broken streams."""

    @given(value=st.text(), event=st.text())
    def test_text_is_one_printable_line(self, value: str, event: str) -> None:
        """Whatever the values are, a line stays a line and moves no cursor."""
        assert render_text(None, "", {"event": event, "level": "info", "value": value}).isprintable()

    @pytest.mark.parametrize("form", ["text", "json"])
    def test_broken_stream_stops_nothing(self, form: str) -> None:
        """A full disk or a closed pipe behind stderr loses the line, not the hive."""
        with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
            configure(format=form, stream=full)
            structlog.get_logger().info("x" * 10_000)
            logging.getLogger("library").warning("x" * 10_000)
            os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())

    def test_value_that_json_does_not_know(self) -> None:
        """A value of any type is written somehow."""
        out = lines("json")
        structlog.get_logger().info("x", path=os, number=float("inf"), lone="\ud800")
        assert "module 'os'" in out.getvalue()
