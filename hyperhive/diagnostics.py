"""The daemon's diagnostics: lines on stderr for people or programs, never a secret or a body.

`configure` is called once, by ``hyperhive serve``. Rooms write with ``structlog.get_logger()`` and lay what every line
of a task should carry into the context:

    with structlog.contextvars.bound_contextvars(actor="operator", stream="agent-coder", correlation="c1"):
        log.info("restart asked for", agent="coder")

Weakness: a body under an innocent name (``note=body``), or inside the event's own text, is not recognised.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog

WITHHELD = "[withheld]"
_FORBIDDEN_WORDS = frozenset(
    {
        *("body", "text", "key", "token", "secret", "password", "env"),
        *("environment", "authorization", "cookie", "credential", "credentials", "prompt"),
    }
)
_SECRET = re.compile(r"sk-ant-[A-Za-z0-9_-]*")
_PLAIN = re.compile(r"[^\s\"'=\\\x00-\x1f\x7f-\x9f]+")
_FIRST = ("timestamp", "level", "event")
# At info these speak of every request, or of their own start and end, which the daemon says itself.
_QUIET = ("uvicorn.access", "uvicorn.error", "asyncio", "httpx", "mcp", "alembic", "sqlalchemy")

Event = MutableMapping[str, Any]


def configure(*, level: str = "info", format: str = "auto", stream: TextIO | None = None) -> None:  # noqa: A002 - the key's name in hyperhive.toml
    """Send structlog and the standard library's logging to one stream as lines of one form.

    ``format``: ``text`` (key=value), ``json``, or ``auto``, which is text where the stream is a terminal.
    """
    out = sys.stderr if stream is None else stream
    text = format == "text" or (format == "auto" and out.isatty())
    common: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        withhold,
    ]
    render = [render_text if text else render_json]
    minimum = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*common, *render],
        wrapper_class=structlog.make_filtering_bound_logger(minimum),
        logger_factory=lambda *_args: _Lines(out),
    )
    handler = _Handler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=common,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    _route_standard_logging(handler, minimum)


def withhold(_logger: object, _method: str, event: Event) -> Event:
    """Replace what stands under a name such as ``body`` or ``api_key``, however deep."""
    return {name: _withheld(name, value) for name, value in event.items()}


def render_text(_logger: object, _method: str, event: Event) -> str:
    """Write ``time level event key=value …``; control characters are escaped, a traceback follows on its own lines."""
    trace = event.pop("exception", None)
    head = [str(event.get("timestamp", "")), f"{event.get('level', ''):<7}", _on_one_line(str(event.get("event", "")))]
    tail = [f"{name}={_quoted(value)}" for name, value in event.items() if name not in _FIRST]
    line = " ".join([*head, *tail])
    if trace:
        line += "".join(f"\n    {_on_one_line(part)}" for part in str(trace).splitlines())
    return _masked(line)


def render_json(_logger: object, _method: str, event: Event) -> str:
    """Write one JSON object a line, time, level and event first."""
    ordered = {name: event[name] for name in _FIRST if name in event}
    return _masked(json.dumps(ordered | dict(event), default=repr))


class _Lines:
    """A logger whose lines may be lost, but which never stops the hive: stderr can be a closed pipe or a full disk."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def msg(self, line: str) -> None:
        try:
            self._out.write(line + "\n")
            self._out.flush()
        except (OSError, ValueError):
            return

    debug = info = warning = warn = error = critical = fatal = failure = exception = log = msg


class _Handler(logging.StreamHandler[TextIO]):
    """The same promise for the standard library, whose own handler would print a traceback to the broken stream."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name logging calls
        pass


def _route_standard_logging(handler: logging.Handler, minimum: int) -> None:
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(minimum)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(minimum, logging.WARNING))
    logging.captureWarnings(capture=True)


def _withheld(name: object, value: object) -> object:
    if isinstance(name, str) and name != "event" and _FORBIDDEN_WORDS & set(re.split(r"[^a-z]+", _spaced(name))):
        return WITHHELD
    if isinstance(value, Mapping):
        return {inner: _withheld(inner, part) for inner, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_withheld("", part) for part in value]
    return value


def _spaced(name: str) -> str:
    # apiKey is api_key.
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _quoted(value: object) -> str:
    written = value if isinstance(value, str) else repr(value)
    if _PLAIN.fullmatch(written) and written.isprintable():
        return written
    return json.dumps(written, ensure_ascii=not written.isprintable())


def _on_one_line(written: str) -> str:
    return written if written.isprintable() else json.dumps(written)[1:-1]


def _masked(line: str) -> str:
    return _SECRET.sub("sk-ant-***", line)
