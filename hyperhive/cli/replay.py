"""``hyperhive replay``: stand at any moment of the hive's past, and prove that the present follows from it."""

from __future__ import annotations

import click

from hyperhive.cli.lazy import LazyGroup
from hyperhive.cli.options import examples
from hyperhive.cli.table import Entry

_MOMENTS, _CAUSES, _PROOF = "Moments", "Causes", "Proof"

COMMANDS: dict[str, Entry] = {
    "at": Entry(_MOMENTS, "replay_at:at", "Show the whole hive as it stood at a moment."),
    "diff": Entry(_MOMENTS, "replay_at:diff", "Say what changed between two moments."),
    "step": Entry(_MOMENTS, "replay_step:step", "Walk through the past on this terminal, event by event."),
    "why": Entry(_CAUSES, "replay_why:why", "Show what led to an event, and what followed from it."),
    "bisect": Entry(_CAUSES, "replay_bisect:bisect", "Find the first position at which something was so."),
    "what-if": Entry(_CAUSES, "replay_whatif:what_if", "Decide the past anew without some events, or by another rule."),
    "capsule": Entry(
        _PROOF,
        "capsule:capsule",
        "Put an incident into one file for somebody else: facts, state, turns, output, versions, settings.",
    ),
    "verify": Entry(
        _PROOF,
        "replay_verify:verify",
        "Walk the hash chain, fold the log anew, compare it with every table and every checkpoint.",
    ),
}


@click.command(
    cls=LazyGroup,
    table=COMMANDS,
    epilog=examples(
        "hyperhive replay at 'yesterday 18:00'",
        "hyperhive replay why agent:coder",
        "hyperhive replay bisect --when 'agent coder crashed'",
    ),
)
def replay() -> None:
    """Stand at any moment of the past, and prove that the present follows from it."""
