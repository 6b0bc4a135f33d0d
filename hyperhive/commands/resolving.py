"""Resolving a question from a surface: looks up how it stands where it is resolved already."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from hyperhive.commands.dispatcher import Answer, Dispatcher
from hyperhive.commands.questions import Resolution, Resolved
from hyperhive.projections.questions import Question


async def resolve(dispatcher: Dispatcher, command: Resolution, recall: Callable[[int], Question | None]) -> Answer:
    """Dispatch an answer or a cancellation.

    ``recall`` reads a question from the table, where the resolved ones are; memory has only the open ones. Raises
    `Resolved` with the standing answer where something else came first.
    """
    try:
        return await dispatcher.dispatch(command)
    except Resolved as resolved:
        if resolved.standing is not None:
            raise
        return await dispatcher.dispatch(attrs.evolve(command, closed=recall(command.question)))
