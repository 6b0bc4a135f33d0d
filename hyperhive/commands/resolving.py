"""Resolving a question or an approval from a surface: looks up how it stands where it is resolved already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from hyperhive.commands.approvals import Decision
from hyperhive.commands.asks import Answer
from hyperhive.commands.dispatcher import Dispatcher
from hyperhive.commands.errors import Settled
from hyperhive.commands.questions import Resolution
from hyperhive.projections.approvals import Approval
from hyperhive.projections.questions import Question


async def resolve(
    dispatcher: Dispatcher, command: Resolution | Decision, recall: Callable[[int], Question | Approval | None]
) -> Answer:
    """Dispatch an ending.

    ``recall`` reads a row from the table, where the resolved ones are; memory has only the open ones. Raises `Settled`
    with the standing row where something else came first.
    """
    try:
        return await dispatcher.dispatch(command)
    except Settled as settled:
        if settled.standing is not None:
            raise
        closed: Any = recall(command.number)
        return await dispatcher.dispatch(attrs.evolve(command, closed=closed))
