"""The list of commands: where each lives and its line of help, so that ``--help`` imports none of them.

To add one: write its module in this room, put a line here (the help must be the first sentence of the command's own).
"""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """One command: its heading in the help, ``module:attribute``, its line of help. No attrs here: 60 ms of imports."""

    heading: str
    target: str
    help: str


COMMANDS: dict[str, Entry] = {
    "serve": Entry("The hive", "serve:serve", "Run the hive until it is told to stop."),
    "demo": Entry("The hive", "demo:demo", "Watch a manager and two agents work, without a key."),
    "open": Entry("The hive", "open:open_", "Open the dashboard, or an agent's page."),
    "operator": Entry(
        "The hive", "operators:operator", "Let people in by name; what they do stands in the log as theirs."
    ),
    "freeze": Entry(
        "The hive", "control:freeze", "Stop every agent's thinking at once: running turns are interrupted, none begins."
    ),
    "thaw": Entry("The hive", "control:thaw", "Let a frozen hive go on; who was paused stays so."),
    "doctor": Entry("The hive", "doctor:doctor", "Say what is present, what is not, and what to do about it."),
    "config": Entry(
        "The hive", "config:config", "Show every setting and where its value came from, or what an agent is."
    ),
    "version": Entry("The hive", "version:version", "Show the version."),
    "completion": Entry("The hive", "completion:completion", "Print the script that completes commands in a shell."),
    "ps": Entry("Agents", "ps:ps", "List the agents and what they are doing."),
    "spawn": Entry("Agents", "spawn:spawn", "Make a new agent, or revive one whose notes were kept."),
    "start": Entry("Agents", "lifecycle:start", "Start stopped agents."),
    "kill": Entry("Agents", "lifecycle:kill", "Stop agents; their notes and sessions stay."),
    "restart": Entry("Agents", "lifecycle:restart", "Stop agents and start them again."),
    "rebuild": Entry("Agents", "lifecycle:rebuild", "Make the containers of agents anew and start them."),
    "move": Entry("Agents", "move:move", "Let an agent live in another runtime; its state stays."),
    "destroy": Entry("Agents", "destroy:destroy", "Remove an agent; what it kept stays unless purged."),
    "tombstones": Entry("Agents", "tombstones:tombstones", "List destroyed agents, and what each one kept."),
    "revive": Entry("Agents", "tombstones:revive", "Make an agent again of what a destroyed one kept."),
    "purge": Entry("Agents", "tombstones:purge", "Wipe what a destroyed agent kept; there is no undo."),
    "pause": Entry("Agents", "control:pause", "Let agents take no further turn; their mail waits."),
    "resume": Entry("Agents", "control:resume", "Let paused agents go on with their mail."),
    "interrupt": Entry("Agents", "control:interrupt", "End the running turns of agents now."),
    "model": Entry("Agents", "model:model", "Choose the model of an agent's turns, or show it."),
    "lift": Entry("Agents", "control:lift", "Let quarantined agents be started again."),
    "login": Entry("Agents", "login:login", "Log an agent in to Claude, on this terminal."),
    "logs": Entry("Agents", "logs:logs", "Show what an agent's container wrote."),
    "send": Entry("Messages", "send:send", "Send a message to an agent."),
    "inbox": Entry("Messages", "inbox:inbox", "Read the messages that agents sent to you."),
    "questions": Entry("Messages", "questions:questions", "List what agents want to know from you."),
    "answer": Entry("Messages", "questions:answer", "Answer a question."),
    "cancel": Entry("Messages", "questions:cancel", "Say that a question gets no answer."),
    "approvals": Entry("Approvals", "approvals:approvals", "List what waits for your decision."),
    "diff": Entry("Approvals", "approvals:diff", "Show what an approval would change, whole."),
    "approve": Entry("Approvals", "approvals:approve", "Approve a request: shows what it changes, and asks."),
    "deny": Entry("Approvals", "approvals:deny", "Deny a request; nothing changes."),
    "request-spawn": Entry(
        "Approvals", "approvals:request_spawn", "Ask for a new agent, to be approved like the manager's wishes."
    ),
    "parked": Entry("Messages", "parked:parked", "List messages that could not be delivered."),
    "requeue": Entry("Messages", "parked:requeue", "Put a parked message back into its inbox."),
    "log": Entry("The record", "log:log", "Read the log, and prove that nobody rewrote it."),
    "replay": Entry(
        "The record",
        "replay:replay",
        "Stand at any moment of the past, and prove that the present follows from it.",
    ),
    "backup": Entry(
        "The record",
        "backup:backup",
        "Copy the log and the views to a new file, also while the daemon runs; the copy is verified.",
    ),
    "restore": Entry(
        "The record",
        "backup:restore",
        "Let the hive go on from a backup; it is verified before it replaces anything.",
    ),
    "db": Entry("The record", "db:db", "Show or upgrade the database's revision."),
}
