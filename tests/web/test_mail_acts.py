"""What the operator does with mail over HTTP."""

from __future__ import annotations

import json
from pathlib import Path

from hyperhive.commands.messages import MAX_DELIVERIES, SendMessage, TakeMail
from hyperhive.events.envelope import OPERATOR, actor_of_agent
from tests.web.seated import Seated, seated

CODER = actor_of_agent("coder")


def parked(there: Seated) -> int:
    """Let a message be handed over too often; return its id."""
    there.dispatch(SendMessage(actor=OPERATOR, to="coder", body="hello"))
    for _ in range(MAX_DELIVERIES + 1):
        there.dispatch(TakeMail(actor=CODER, to="coder"))
    found: int = next(row.id for row in there.desk.hive.messages.group("coder").values() if row.parked_at is not None)
    return found


def test_read(hive_db: Path) -> None:
    """What is marked read is delivered, and stays readable."""
    there = seated(hive_db)
    there.dispatch(SendMessage(actor=CODER, to="operator", body="done"))
    (row,) = there.desk.hive.messages.group("operator").values()
    answer = there.ask("/read-messages", method="POST", body=f"id={row.id}".encode())
    assert json.loads(answer.body) == {"ok": True, "read": 1}
    assert not there.desk.hive.messages.group("operator")
    assert b"done" in there.ask("/page/dashboard/messages").body
    assert there.ask("/read-messages", method="POST", body=b"id=x").status == 422


def test_drop(hive_db: Path) -> None:
    """Only a parked message can be dropped; then it is never delivered."""
    there = seated(hive_db)
    there.dispatch(SendMessage(actor=OPERATOR, to="coder", body="waits"))
    waits = max(row.id for row in there.desk.hive.messages.group("coder").values())
    assert there.ask(f"/drop/coder/{waits}", method="POST").status == 409
    id_ = parked(there)
    assert there.ask(f"/drop/coder/{id_}", method="POST").status == 200
    assert id_ not in {row.id for row in there.desk.hive.messages.group("coder").values()}
    assert there.ask(f"/drop/coder/{id_}", method="POST").status == 404


def test_older_mail(hive_db: Path) -> None:
    """Older mail comes a page at a time, and says how much is left."""
    there = seated(hive_db)
    for number in range(60):
        there.dispatch(SendMessage(actor=CODER, to="operator", body=f"letter {number}."))
    last = max(row.id for row in there.desk.hive.messages.group("operator").values())
    body = there.ask("/page/mail", query=f"before={last}").body.decode()
    assert body.count('class="letter') == 50
    assert "letter 58." in body
    assert "letter 59." not in body
    assert "older, 9" in body
    assert there.ask("/page/mail", query="before=-1").status == 422
