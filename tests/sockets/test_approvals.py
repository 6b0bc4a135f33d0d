"""Approvals over sockets: asked on the manager's, shown and decided on the operator's, byte for byte as version 1."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.homes.test_ports import ANALYST, AUDITOR
from tests.repositories.hostile import Workshop
from tests.sockets.client import Client
from tests.sockets.hall import Hall, hall

Story = Callable[[Hall], Awaitable[Any]]
OLD = "agent-781"
"""A third name that leads to the port of the two."""


def play(place: Path, migrated: Path, story: Story) -> Any:
    """Run a story in a hive where manager and coder run."""

    async def run() -> Any:
        async with hall(place, migrated) as here:
            await here.spawn("manager", "coder")
            return await story(here)

    return asyncio.run(run())


async def line(client: Client, request: dict[str, Any]) -> bytes:
    """Return the bytes of one reply."""
    await client.send(request)
    return await client.line()


async def spawn_asked(here: Hall, **more: Any) -> dict[str, Any]:
    """Let the manager ask for an agent."""
    manager = await here.agent("manager")
    return await manager.ask({"cmd": "request_spawn", "name": "writer", "reason": "to write", **more})


def test_version_1(place: Path, migrated: Path) -> None:
    """What an older client reads of a pending approval, and the bare ok of its decision."""

    async def story(here: Hall) -> list[bytes]:
        assert await spawn_asked(here) == {"ok": True, "approval_id": 1}
        return [
            await line(await here.operator(), request) for request in ({"cmd": "pending"}, {"cmd": "deny", "id": 1})
        ]

    pending, denied = play(place, migrated, story)
    assert pending == (
        b'{"version":1,"ok":true,"error":null,"approvals":[{"id":1,"agent":"writer","kind":"spawn","commit_ref":null,'
        b'"fetched_sha":null,"requested_at":"2026-01-01T00:00:00.000000Z","status":"pending","resolved_at":null,'
        b'"note":null,"description":"to write","requester":"manager","base":null,"blocked":null,"work":"decide",'
        b'"resolved_by":null,"superseded_by":null}]}\n'
    )
    assert denied == b'{"version":1,"ok":true,"error":null}\n'


def test_decided_once(place: Path, migrated: Path) -> None:
    """The second decision is a conflict that says how the first was; the list has it with all."""

    async def story(here: Hall) -> list[dict[str, Any]]:
        await spawn_asked(here)
        asked: list[dict[str, Any]] = [
            {"cmd": "approve", "id": 1, "note": "go on"},
            {"cmd": "deny", "id": 1},
            {"cmd": "approvals", "all": True},
            {"cmd": "pending"},
        ]
        return [await (await here.operator()).ask(request) for request in asked]

    approved, again, listed, pending = play(place, migrated, story)
    assert approved == {"version": 1, "ok": True, "error": None}
    assert (again["code"], again["error"]) == ("conflict", "approval 1 was approved already by operator")
    (row,) = listed["approvals"]
    assert (row["status"], row["note"], row["resolved_by"]) == ("approved", "go on", "operator")
    assert pending["approvals"] == []


def test_review_and_stale(place: Path, migrated: Path) -> None:
    """A review has the diff, with hostile text made visible; a decision on something else is refused as stale."""

    async def story(here: Hall) -> list[dict[str, Any]]:
        config = 'prompt = "x"\n# \u202e\n'
        assert (await spawn_asked(here, config=config))["ok"]
        operator = await here.operator()
        review = (await operator.ask({"cmd": "review", "id": 1}))["review"]
        stale = {"cmd": "approve", "id": 1, "seen": True, "commit": "0" * 40, "base": review["base"]}
        return [review, await (await here.operator()).ask(stale)]

    review, stale = play(place, migrated, story)
    (file,) = review["diff"]["files"]
    assert [line["text"] for line in file["lines"]][1] == "# \\u202e"
    assert (review["commit_ref"], review["base"], review["blocked"]) == (review["diff"]["commit"], None, None)
    assert stale["code"] == "conflict"
    assert "000000000000 was shown" in stale["error"]


def test_apply_and_the_way_back(place: Path, migrated: Path) -> None:
    """A proposed commit is asked for, approved, applied; log, diff and show tell of it; the way back is at once."""

    async def story(here: Hall) -> dict[str, Any]:
        manager = await here.agent("manager")
        workshop = Workshop(here.directories.proposed("coder"), place)
        await here.proposals.ensure_proposed("coder")
        for model in ("opus", "sonnet"):
            workshop.write("agent.toml", f'model = "{model}"\n')
            request = {"cmd": "request_apply_commit", "agent": "coder", "commit": workshop.commit(), "note": model}
            asked = await manager.ask(request)
            assert asked["ok"], asked
            approve = {"cmd": "approve", "id": asked["approval_id"]}
            assert (await (await here.operator()).ask(approve))["ok"]
            assert await here.applier.tick()
            await here.settle("coder")
        verbs = ("config_log", "config_diff", "config_show", "config_rollback")
        return {verb: await (await here.operator()).ask({"cmd": verb, "name": "coder"}) for verb in verbs}

    found = play(place, migrated, story)
    assert [entry["tags"] for entry in found["config_log"]["log"]][:2] == [["approval-2"], ["approval-1"]]
    lines = [(line["kind"], line["text"]) for line in found["config_diff"]["diff"]["files"][0]["lines"]]
    assert lines == [("@", "@@ -1 +1 @@"), ("-", 'model = "opus"'), ("+", 'model = "sonnet"')]
    assert found["config_show"]["files"] == {"agent.toml": 'model = "sonnet"\n'}
    assert found["config_rollback"]["approval_id"] == 3


def test_refusals(place: Path, migrated: Path) -> None:
    """Bad requests of the manager, and of agents that are not, with their codes."""

    async def story(here: Hall) -> list[str]:
        manager, coder = await here.agent("manager"), await here.agent("coder")
        spawn: dict[str, Any] = {"cmd": "request_spawn", "name": "writer", "reason": ""}
        apply: dict[str, Any] = {"cmd": "request_apply_commit", "agent": "coder", "commit": "f" * 40}
        await here.proposals.ensure_proposed("coder")
        replies = [
            await coder.ask(spawn),
            await coder.ask(apply),
            await manager.ask({**spawn, "name": "../x"}),
            await manager.ask({**spawn, "config": "modle = 1"}),
            await manager.ask({**spawn, "config": "#" * 65_537}),
            await manager.ask(apply),
            await manager.ask({**apply, "commit": "--upload-pack=x"}),
            await manager.ask({**apply, "agent": "nobody"}),
            await manager.ask({**apply, "agent": "../coder"}),
        ]
        return [reply["code"] for reply in replies]

    assert play(place, migrated, story) == [
        "forbidden",
        "forbidden",
        "invalid",
        "invalid",
        "too_large",
        "not_found",
        "invalid",
        "not_found",
        "not_found",
    ]


def test_questions_by_agent(place: Path, migrated: Path) -> None:
    """An agent whose own configuration says so may ask the operator, where the hive's does not."""

    async def story(here: Hall) -> list[Any]:
        coder = await here.agent("coder")
        question = {"cmd": "ask_operator", "question": "which?"}
        before = [await coder.ask(question), (await coder.ask({"cmd": "session"}))["tools"]]
        workshop = Workshop(here.directories.proposed("coder"), place)
        await here.proposals.ensure_proposed("coder")
        workshop.write("agent.toml", "questions = true\n")
        manager = await here.agent("manager")
        await manager.ask({"cmd": "request_apply_commit", "agent": "coder", "commit": workshop.commit()})
        await (await here.operator()).ask({"cmd": "approve", "id": 1})
        await here.applier.tick()
        return [*before, await coder.ask(question), (await coder.ask({"cmd": "session"}))["tools"]]

    refused, before, asked, after = play(place, migrated, story)
    assert (refused["code"], "ask_operator" in before) == ("forbidden", False)
    assert (asked, "ask_operator" in after) == ({"ok": True, "question_id": 1}, True)


def test_a_refused_send(place: Path, migrated: Path) -> None:
    """An agent that may not write to somebody reads so, and the operator sees how often."""

    async def story(here: Hall) -> list[dict[str, Any]]:
        workshop = Workshop(here.directories.proposed("coder"), place)
        await here.proposals.ensure_proposed("coder")
        workshop.write("agent.toml", 'recipients = ["operator"]\n')
        manager = await here.agent("manager")
        await manager.ask({"cmd": "request_apply_commit", "agent": "coder", "commit": workshop.commit()})
        await (await here.operator()).ask({"cmd": "approve", "id": 1})
        await here.applier.tick()
        coder = await here.agent("coder")
        refused = await coder.ask({"cmd": "send", "to": "manager", "body": "psst"})
        rows = (await (await here.operator()).ask({"cmd": "agent_status"}))["agent_statuses"]
        return [refused, next(row for row in rows if row["name"] == "coder")]

    refused, row = play(place, migrated, story)
    assert (refused["code"], row["refused_sends"]) == ("forbidden", 1)
    assert "coder may not write to manager" in refused["error"]


def test_a_repeated_command(place: Path, migrated: Path) -> None:
    """A request that comes again with its command id gets its first answer, and is one."""

    async def story(here: Hall) -> list[Any]:
        replies = [await spawn_asked(here, command_id="c1") for _ in range(2)]
        replies.append(await spawn_asked(here))
        return replies

    assert [json.dumps(reply) for reply in play(place, migrated, story)] == ['{"ok": true, "approval_id": 1}'] * 3


def test_ports_of_agents_with_configurations(place: Path, migrated: Path) -> None:
    """Two new agents whose names lead to one port get two, also where each was asked for with a configuration.

    Nor is an agent old because a configuration was once asked for it and denied; one that this hive never asked for is.
    """

    async def story(here: Hall) -> list[int]:
        manager, operator = await here.agent("manager"), await here.operator()
        asked = {"cmd": "request_spawn", "reason": "to work", "config": 'model = "haiku"\n'}
        assert (await manager.ask({**asked, "name": ANALYST}))["approval_id"] == 1
        assert (await manager.ask({**asked, "name": AUDITOR}))["approval_id"] == 2
        assert here.directories.applied(AUDITOR).is_dir()
        (pending, _) = (await operator.ask({"cmd": "pending"}))["approvals"]
        seen = {"commit": pending["fetched_sha"], "base": None}
        assert (await (await here.operator()).ask({"cmd": "approve", "id": 1, **seen}))["ok"]
        assert (await (await here.operator()).ask({"cmd": "deny", "id": 2}))["ok"]
        for name in (ANALYST, AUDITOR):
            await here.homes.prepare(name, 1)
        here.directories.applied(OLD).mkdir()
        await here.homes.prepare(OLD, 1)
        return [int(here.directories.port_file(name).read_text()) for name in (ANALYST, AUDITOR, OLD)]

    first, second, old = play(place, migrated, story)
    assert (second, old) == (first + 1, first)
