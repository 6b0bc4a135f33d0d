"""Reads and writes `agent.toml`, an agent's configuration; every key stands in `KEYS`, with its rule and its use."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import attrs

from harness.wire import OPERATOR, is_name
from hyperhive.config.rules import looks_secret, shown
from hyperhive.events.configurations import AgentSettings, McpServer
from hyperhive.runtimes.confinement import Egress, EgressPolicy, InvalidConfinement, Limits

FILE_NAME = "agent.toml"
MAX_PROMPT_CHARACTERS = 16_000
MAX_LIST = 64
MAX_TEXT = 1_000
MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@\[\]-]{0,99}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_SERVER = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_RESERVED_VARIABLES = re.compile(
    r"HYPERHIVE_|ANTHROPIC_|CLAUDE_|LD_|PATH$|HOME$|BASH_ENV$|SHLVL$|IS_SANDBOX$|(?i:.*_?proxy)$"
)
HIVE_SERVER = "hive"
"""What the hive's own tools are called."""


class BadAgentToml(Exception):  # noqa: N818 - the house names errors for their cause
    """An `agent.toml` that cannot be used; the text names the line, and what would be right."""


class _Refused(Exception):  # noqa: N818 - turned into `BadAgentToml` with key and line
    """A value does not keep its rule."""


@attrs.frozen
class Key:
    """One key: what it accepts, how that is said, what it is for."""

    accept: Callable[[Any], Any]
    right: str
    about: str


def _whole(low: int, high: int) -> tuple[Callable[[Any], int], str]:
    def accept(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise _Refused
        return value

    return accept, f"a whole number from {low} to {high}"


def _dollars(value: Any) -> float:
    if type(value) not in {int, float} or not 0 < value <= 100_000:
        raise _Refused
    return float(value)


def _model(value: Any) -> str:
    if not isinstance(value, str) or not MODEL.fullmatch(value):
        raise _Refused
    return value


def _prompt(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_PROMPT_CHARACTERS:
        raise _Refused
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Refused
    return value


def _recipients(value: Any) -> tuple[str, ...]:
    names = _texts(value)
    if any(not is_name(name) and name != OPERATOR for name in names) or len(set(names)) != len(names):
        raise _Refused
    return names


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MAX_LIST or not all(isinstance(each, str) for each in value):
        raise _Refused
    if any(len(each) > MAX_TEXT or "\0" in each for each in value):
        raise _Refused
    return tuple(value)


def _environment(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict) or len(value) > MAX_LIST:
        raise _Refused
    for name, text in value.items():
        if not isinstance(text, str) or len(text) > MAX_TEXT or "\0" in text or not _VARIABLE.fullmatch(name):
            raise _Refused
        if _RESERVED_VARIABLES.match(name):
            raise _Refused(f"{name} is the host's own")
        if looks_secret(text):
            raise _Refused(f"{name} is a secret, which the configuration is no place for; the agent's /state is")
    return tuple(value.items())


def _policy(value: Any) -> str:
    if not isinstance(value, str) or value not in {policy.value for policy in EgressPolicy}:
        raise _Refused
    return value


def _command(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_TEXT or not value.isprintable():
        raise _Refused
    return value


_LIST = f"a list of at most {MAX_LIST} texts of at most {MAX_TEXT} characters"
_TABLE = f"at most {MAX_LIST} variables with texts of at most {MAX_TEXT} characters"

KEYS: Mapping[str, Key] = MappingProxyType(
    {
        "model": Key(_model, "the name of a model, such as opus", "what its sessions run on; absent: the hive's model"),
        "prompt": Key(
            _prompt, f"text of at most {MAX_PROMPT_CHARACTERS} characters", "its role, appended to its system prompt"
        ),
        "questions": Key(_flag, "true or false", "whether it may ask the operator; absent: as the hive says"),
        "recipients": Key(
            _recipients,
            "a list of agents' names and operator, each once",
            "whom it may write to; absent: everybody, []: nobody",
        ),
        "environment": Key(_environment, _TABLE, "variables of its programs; no secrets, and none of the host's own"),
        "mcp": Key(lambda value: value, "tables [mcp.NAME]", "tool servers that its sessions start, and no others"),
        "limits.memory_mb": Key(*_whole(64, 1_048_576), "memory of all its processes, in MiB"),
        "limits.cpu_percent": Key(*_whole(1, 100_000), "processor time in percent of one core"),
        "limits.tasks": Key(*_whole(16, 4_194_304), "processes and threads"),
        "limits.turn_seconds": Key(*_whole(1, 86_400), "a turn that takes longer is ended"),
        "limits.usd_per_day": Key(
            _dollars, "a number of dollars above 0", "what its turns may cost in a day (UTC); then its mail waits"
        ),
        "egress.policy": Key(
            _policy,
            "one of " + ", ".join(policy.value for policy in EgressPolicy),
            "where its connections may go besides the model's API; absent: as the hive says",
        ),
        "egress.hosts": Key(_texts, _LIST, "with policy allowlist: name, *.name or name:port each"),
    }
)
"""Every key of the file, dotted."""

MCP_KEYS: Mapping[str, Key] = MappingProxyType(
    {
        "command": Key(_command, "the name or path of a program", "what is started inside the container"),
        "args": Key(_texts, _LIST, "its arguments; {config} and {state} stand for those directories"),
        "environment": Key(_environment, _TABLE, "variables of it alone"),
    }
)
"""Every key of a [mcp.NAME] table."""

_SECTIONS = ("limits", "egress")


def parse(content: bytes) -> AgentSettings:
    """Read the file's content; raises `BadAgentToml`."""
    text, raw = _toml(content)
    found = {key: _accepted(text, key, KEYS, value) for key, value in _flat(text, raw)}
    fields = {key.rpartition(".")[2]: value for key, value in found.items() if key != "mcp"}
    servers = tuple(_server(text, name, table) for name, table in _mcp(text, found.get("mcp", {})).items())
    settings = AgentSettings(
        **{{"policy": "egress"}.get(name, name): value for name, value in fields.items()}, mcp=servers
    )
    try:
        confinement(settings)
    except InvalidConfinement as error:
        raise BadAgentToml(f"{FILE_NAME} {_line(text, 'egress.hosts')}: {error}") from None
    return settings


def confinement(settings: AgentSettings) -> tuple[Limits, Egress | None]:
    """Return the limits and the network policy (None: the hive's own). Raises `InvalidConfinement`."""
    memory = None if settings.memory_mb is None else settings.memory_mb << 20
    limits = Limits(memory_bytes=memory, cpu_percent=settings.cpu_percent, tasks=settings.tasks)
    if settings.egress is None:
        if settings.hosts:
            raise InvalidConfinement("hosts without a policy; write policy = 'allowlist' above them")
        return limits, None
    return limits, Egress(policy=EgressPolicy(settings.egress), hosts=settings.hosts)


def template() -> str:
    """Return a file that says nothing and explains every key, for a new agent."""
    lines = ["# What this agent is. Every key may be left out; docs/agent-author.md explains them.", ""]
    for name, key in KEYS.items():
        if "." not in name and name not in {"mcp", "environment"}:
            lines.append(f"# {name}: {key.about}")
    return "\n".join(lines) + "\n"


def written(*, model: str, prompt: str) -> str:
    """Return a file with what somebody has filled in; what is empty is left out, and nothing at all is no text."""
    lines = []
    if model := model.strip():
        lines.append(f"model = {_quoted(model)}\n")
    if prompt := prompt.replace("\r\n", "\n").strip():
        lines.append(f"prompt = {_quoted(prompt)}\n")
    return "".join(lines)


def _quoted(text: str) -> str:
    """Write a TOML string, of several lines where the text has them: JSON's escapes are TOML's, but for DEL."""
    escaped = [json.dumps(line, ensure_ascii=False)[1:-1].replace("\x7f", "\\u007f") for line in text.split("\n")]
    if len(escaped) == 1:
        return f'"{escaped[0]}"'
    body = "\n".join(escaped)
    return f'"""\n{body}"""'


def _toml(content: bytes) -> tuple[str, dict[str, Any]]:
    try:
        text = content.decode()
        return text, tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise BadAgentToml(f"{FILE_NAME} line {line}: not UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadAgentToml(f"{FILE_NAME}: not TOML: {error}") from None


def _flat(text: str, raw: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in raw.items():
        if name not in _SECTIONS:
            yield name, value
            continue
        if not isinstance(value, dict):
            raise BadAgentToml(
                f"{FILE_NAME} {_line(text, name)}: {name} is a section; write [{name}] and its keys below"
            )
        yield from ((f"{name}.{inner}", part) for inner, part in value.items())


def _accepted(text: str, name: str, keys: Mapping[str, Key], value: Any, *, within: str = "") -> Any:
    where = f"{FILE_NAME} {_line(text, within + name)}"
    key = keys.get(name)
    if key is None:
        near = difflib.get_close_matches(name, keys, n=1, cutoff=0.0)[0]
        raise BadAgentToml(f"{where}: no key is named {within + name}; did you mean {within + near}?")
    try:
        return key.accept(value)
    except _Refused as refused:
        detail = f": {refused}" if refused.args else ""
        raise BadAgentToml(f"{where}: {within + name} is {shown(value)}{detail}; right would be {key.right}") from None


def _mcp(text: str, raw: Any) -> Mapping[str, Any]:
    if not isinstance(raw, dict) or not all(isinstance(table, dict) for table in raw.values()):
        raise BadAgentToml(
            f"{FILE_NAME} {_line(text, 'mcp')}: mcp is made of tables; write [mcp.NAME] and its keys below"
        )
    if len(raw) > MAX_LIST:
        raise BadAgentToml(f"{FILE_NAME}: {len(raw)} tool servers; at most {MAX_LIST} are allowed")
    for name in raw:
        if not _SERVER.fullmatch(name) or name == HIVE_SERVER:
            raise BadAgentToml(
                f"{FILE_NAME} {_line(text, f'mcp.{name}')}: {name[:60]!r} cannot be the name of a tool server; "
                f"a-z, 0-9, - and _, at most 40, and not {HIVE_SERVER}"
            )
    return raw


def _server(text: str, name: str, table: Mapping[str, Any]) -> McpServer:
    within = f"mcp.{name}."
    fields = {key: _accepted(text, key, MCP_KEYS, value, within=within) for key, value in table.items()}
    if "command" not in fields:
        raise BadAgentToml(f"{FILE_NAME} {_line(text, f'mcp.{name}')}: mcp.{name} has no command; say what to start")
    return McpServer(name=name, **fields)


def _line(text: str, dotted: str) -> str:
    """Say where a key stands: its own line, else that of its table; tomllib does not tell."""
    *tables, last = dotted.split(".")
    within: list[str] = []
    table_line = None
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[\[?([^\]]*)\]", line):
            within = _words(header[1])
            if within == [*tables, last]:
                return f"line {number}"
            if within == tables:
                table_line = number
        elif (key := re.match(r"\s*([^=#]+?)\s*=", line)) and _is_part([*within, *_words(key[1])], [*tables, last]):
            return f"line {number}"
    return "at its end" if table_line is None else f"line {table_line}"


def _words(dotted: str) -> list[str]:
    return [word.strip().strip("\"'") for word in dotted.split(".")]


def _is_part(found: list[str], wanted: list[str]) -> bool:
    """Whether a line's key is the wanted one, or a table written on one line that holds it."""
    return found == wanted[: len(found)] and bool(found)
