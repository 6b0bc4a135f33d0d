"""The hive's tools: one definition for the session's own MCP server and for the one on stdio."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import attrs
from mcp.server import Server, ServerRequestContext
from mcp.types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness import envelope, wire
from harness.version import VERSION

SERVER = "hive"

Call = Callable[[str, dict[str, Any]], Awaitable[Mapping[str, Any]]]
"""Does a tool's work: its name and arguments to the host's reply; raises `ToolRefused`."""


class ToolRefused(Exception):  # noqa: N818
    """The host said no; the text is for the model."""


class Arguments(BaseModel):
    """Base of every tool's arguments."""

    model_config = ConfigDict(extra="forbid")


class SendArguments(Arguments):
    """Of `send`."""

    to: str = Field(description="an agent's name, or operator")
    body: str


class RecvArguments(Arguments):
    """Of `recv`."""

    wait_seconds: float = Field(default=wire.WAIT_DEFAULT_SECONDS, ge=0)


class RecentArguments(Arguments):
    """Of `recent`."""

    limit: int = Field(default=20, ge=1, le=wire.RECENT_MAX_MESSAGES)


class NoArguments(Arguments):
    """Of `list`."""


class NameArguments(Arguments):
    """Of `start`, `kill` and `restart`."""

    name: str = Field(description="an agent's name")


class AskArguments(Arguments):
    """Of `ask_operator`."""

    question: str
    options: list[str] = Field(default=[], description="to choose from; free text is always possible")
    multi: bool = Field(default=False, description="several options may be chosen")
    ttl_seconds: int | None = Field(default=None, description="after so long the answer is [expired]")


class SpawnArguments(Arguments):
    """Of `request_spawn`."""

    name: str
    reason: str
    config: str | None = Field(default=None, description="text of its agent.toml")


class ApplyArguments(Arguments):
    """Of `request_apply_commit`."""

    agent: str
    commit: str = Field(description="all 40 digits")
    note: str = ""


class Sent(BaseModel):
    """A message is kept; it will be delivered."""

    message_id: int

    def text(self) -> str:
        """Say it to a model."""
        return f"sent as message {self.message_id}"


class Done(BaseModel):
    """The host has taken the wish."""

    def text(self) -> str:
        """Say it to a model."""
        return "under way; how it ended comes as mail from system"


class Asked(BaseModel):
    """A question is before the operator."""

    question_id: int

    def text(self) -> str:
        """Say it to a model."""
        return f"asked as question {self.question_id}; go on with other work, the answer comes as mail from system"


class Requested(BaseModel):
    """A request is before the operator."""

    approval_id: int

    def text(self) -> str:
        """Say it to a model."""
        return f"asked as approval {self.approval_id}; go on with other work, the decision comes as mail from system"


class AgentRow(BaseModel):
    """One agent as the manager sees it."""

    model_config = ConfigDict(extra="allow")

    name: str


class Agents(BaseModel):
    """The agents of the hive."""

    agents: list[AgentRow]

    def text(self) -> str:
        """Say it to a model, one agent a line: JSON, so that no status text can pass for another agent's line."""
        return "\n".join(json.dumps(row.model_dump(exclude_none=True), ensure_ascii=True) for row in self.agents)


class Message(BaseModel):
    """One message."""

    model_config = ConfigDict(populate_by_name=True)

    id: int
    at: str
    sender: str = Field(alias="from")
    body: str
    redelivered: bool = False


class Mailbox(BaseModel):
    """Messages, oldest first."""

    messages: list[Message]

    def text(self) -> str:
        """Say it to a model."""
        mail = [wire.Mail(**message.model_dump()) for message in self.messages]
        return envelope.render(mail) or "no messages"


@attrs.frozen(kw_only=True)
class Definition:
    """One tool, and who has it."""

    name: str
    title: str
    description: str
    arguments: type[Arguments]
    result: type[Sent | Mailbox | Done | Agents | Asked | Requested]
    read_only: bool
    idempotent: bool
    destructive: bool = False

    def as_tool(self, *, typed: bool) -> Tool:
        """Return what a client is told of it."""
        return Tool(
            name=self.name,
            title=self.title,
            description=self.description,
            input_schema=_schema(self.arguments),
            output_schema=self.result.model_json_schema(by_alias=True) if typed else None,
            annotations=ToolAnnotations(
                title=self.title,
                read_only_hint=self.read_only,
                destructive_hint=self.destructive,
                idempotent_hint=self.idempotent,
                open_world_hint=False,
            ),
        )


DEFINITIONS = (
    Definition(
        name="send",
        title="Send a message",
        description="Send a message to an agent or to the operator. It is kept until it is read; do not wait for that.",
        arguments=SendArguments,
        result=Sent,
        read_only=False,
        idempotent=False,
    ),
    Definition(
        name="recv",
        title="Receive messages",
        description=(
            "Return new messages; where there are none, wait for one, up to wait_seconds (180 at most), and return as "
            "soon as it comes. Nothing useful left to do: recv with wait_seconds=180, never a sleep in Bash. Nothing "
            "came: end your turn; new mail wakes you."
        ),
        arguments=RecvArguments,
        result=Mailbox,
        # It takes mail out of the inbox, for the turn that it is called in.
        read_only=False,
        idempotent=False,
    ),
    Definition(
        name="recent",
        title="Look back",
        description="Return your newest messages, read ones too, without waiting.",
        arguments=RecentArguments,
        result=Mailbox,
        read_only=True,
        idempotent=True,
    ),
    Definition(
        name="list",
        title="List the agents",
        description="Return every agent with what it does and what it lacks.",
        arguments=NoArguments,
        result=Agents,
        read_only=True,
        idempotent=True,
    ),
    Definition(
        name="start",
        title="Start an agent",
        description="Start a stopped or crashed agent.",
        arguments=NameArguments,
        result=Done,
        read_only=False,
        idempotent=True,
    ),
    Definition(
        name="kill",
        title="Stop an agent",
        description="Stop an agent; its notes and its mail stay.",
        arguments=NameArguments,
        result=Done,
        read_only=False,
        idempotent=True,
        destructive=True,
    ),
    Definition(
        name="restart",
        title="Restart an agent",
        description="Stop an agent and start it again.",
        arguments=NameArguments,
        result=Done,
        read_only=False,
        idempotent=False,
        destructive=True,
    ),
    Definition(
        name="request_spawn",
        title="Ask for an agent",
        description="Ask the operator for a new agent, or for a destroyed one again. Returns at once.",
        arguments=SpawnArguments,
        result=Requested,
        read_only=False,
        idempotent=True,
    ),
    Definition(
        name="request_apply_commit",
        title="Ask for a configuration",
        description="Ask the operator to apply a commit of an agent's proposed repository. Returns at once.",
        arguments=ApplyArguments,
        result=Requested,
        read_only=False,
        idempotent=True,
    ),
    Definition(
        name="ask_operator",
        title="Ask the operator",
        description=(
            "Ask the operator, a person who may be away. Returns the question's number at once: go on with other work; "
            "the answer comes as mail from system."
        ),
        arguments=AskArguments,
        result=Asked,
        read_only=False,
        idempotent=False,
    ),
)


def definitions(names: Collection[str]) -> tuple[Definition, ...]:
    """Return the tools of these names; the host says which an agent has, and one that is not known here is left out."""
    return tuple(definition for definition in DEFINITIONS if definition.name in names)


def build_server(names: Collection[str], call: Call, *, typed: bool) -> Server[Any]:
    """Return an MCP server of the named tools, whose work `call` does.

    With ``typed`` a result is given as data too. `claude` would show the model that instead of the text, and so mail
    without its envelope.
    """
    by_name = {definition.name: definition for definition in definitions(names)}

    async def list_tools(_: ServerRequestContext[Any], __: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=[definition.as_tool(typed=typed) for definition in by_name.values()])

    async def call_tool(_: ServerRequestContext[Any], asked: CallToolRequestParams) -> CallToolResult:
        definition = by_name.get(asked.name)
        if definition is None:
            return _failed(f"no tool {asked.name!r}; there are {', '.join(by_name)}")
        return await _run(definition, asked.arguments or {}, call, typed=typed)

    return Server(SERVER, version=VERSION, on_list_tools=list_tools, on_call_tool=call_tool)


async def _run(definition: Definition, given: dict[str, Any], call: Call, *, typed: bool) -> CallToolResult:
    try:
        arguments = definition.arguments.model_validate(given)
        reply = await call(definition.name, arguments.model_dump())
    except ValidationError as error:
        return _failed("; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()))
    except ToolRefused as error:
        return _failed(str(error))
    result = definition.result.model_validate(dict(reply))
    return CallToolResult(
        content=[TextContent(type="text", text=result.text())],
        structured_content=result.model_dump(by_alias=True) if typed else None,
    )


def _failed(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)


def _schema(arguments: type[Arguments]) -> dict[str, Any]:
    """Return a JSON schema without pydantic's titles: each costs tokens in every request and says nothing new."""
    schema = arguments.model_json_schema()
    fields = {name: {k: v for k, v in field.items() if k != "title"} for name, field in schema["properties"].items()}
    return {
        "type": "object",
        "properties": fields,
        "required": schema.get("required", []),
        "additionalProperties": False,
    }
