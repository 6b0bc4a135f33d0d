"""What happened, in words, the newest first; ``GET /page/activity?before=POSITION`` has what is older."""

from __future__ import annotations

from typing import Any

import attrs
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from hyperhive.commands.errors import Invalid
from hyperhive.events.envelope import Recorded, rfc3339
from hyperhive.projections.history import History
from hyperhive.projections.sentences import Sentence, sentence
from hyperhive.web.access import Who
from hyperhive.web.dashboard.older import before
from hyperhive.web.forms import refused
from hyperhive.web.guard import Way
from hyperhive.web.sections import TEMPLATES

SHOWN = 45
READ = 90
"""Some of what is read says nothing that its neighbours do not."""


@attrs.frozen
class Told:
    """Some of what happened, and where what is older begins."""

    rows: list[dict[str, Any]]
    older: int | None
    """Only facts before this position are older; None where there are none."""


def told(facts: list[Recorded]) -> Told:
    """Tell of the newest `SHOWN` of `READ` facts that were read."""
    said = [(fact, sentence(fact)) for fact in facts]
    loud = [(fact, words) for fact, words in said if not words.quiet]
    rows = [_row(fact, words) for fact, words in loud[:SHOWN]]
    if len(loud) > SHOWN:
        return Told(rows, rows[-1]["position"])
    return Told(rows, facts[-1].position if len(facts) == READ else None)


def _row(fact: Recorded, words: Sentence) -> dict[str, Any]:
    return {
        "position": fact.position,
        "at": rfc3339(fact.at),
        "category": fact.stream.partition("-")[0],
        "agent": getattr(fact.event, "agent", None) or getattr(fact.event, "asker", None) or "",
        "said": words,
    }


def older_activity(history: History) -> Way:
    """Return the way to what is older than what the dashboard shows."""

    async def answer(request: Request) -> Response:
        try:
            found = told(history.activity(READ, before=before(request, "a position")))
        except Invalid as error:
            return refused(error)
        markup = TEMPLATES.get_template("older-facts.html").render(facts=found.rows, older=found.older)
        return HTMLResponse(markup.encode(errors="replace"))

    return Way(path="/page/activity", who=Who.VIEWER, answer=answer)
