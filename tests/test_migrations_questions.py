"""Questions that were asked under an older release mean after an upgrade what they meant when they were asked."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import attrs
import pytest

from hyperhive.commands.errors import Invalid
from hyperhive.commands.questions import AnswerQuestion, AskQuestion
from hyperhive.events import chain
from hyperhive.events.envelope import MANAGER, OPERATOR
from hyperhive.events.log import read_only
from hyperhive.projections import database, mirror
from hyperhive.projections.questions import QUESTIONS, Question, Status
from hyperhive.reactors.deadlines import Deadlines
from hyperhive.replay import verify
from tests.commands.desk import Desk

AT = 1_750_000_000_000_000
CENTURY_MICROSECONDS = 100 * 365 * 86_400 * 1_000_000

COLOURS = ["red", "green", "blue"]


@attrs.frozen(kw_only=True)
class Asked:
    """A question as an older release knew it: what stood in its fact, what in its row besides, and how it ended."""

    question: str
    options: list[str] = attrs.field(factory=list)
    more: dict[str, Any] = attrs.field(factory=dict)
    """What only some releases had, under the same name in fact and row."""
    ending: str | None = None
    answer: str | None = None


PLAIN = (
    Asked(question="which colour?", options=COLOURS),
    Asked(question="and why?"),
    Asked(question="shape?", options=["round"], ending="QuestionAnswered", answer="round"),
    Asked(question="size?", ending="QuestionCancelled", answer="[cancelled]"),
)
WITH_MULTI = (
    *(attrs.evolve(asked, more={"multi": False}) for asked in PLAIN),
    Asked(question="which colours?", options=COLOURS, more={"multi": True}),
    Asked(
        question="shapes?",
        options=["a", "b"],
        more={"multi": True},
        ending="QuestionAnswered",
        answer="a, b",
    ),
)
RELEASES = {"0003": PLAIN, "0004": WITH_MULTI}
"""By the revision of its tables: what an operator of that release may have been asked."""

STATUS = {None: "open", "QuestionAnswered": "answered", "QuestionCancelled": "cancelled"}


class OldFile:
    """A hive's file at an older revision; written in plain SQL, since no code of that release is left."""

    def __init__(self, path: Path, revision: str) -> None:
        database.upgrade(path, revision)
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._head = chain.GENESIS
        self._position = 0

    def ask(self, number: int, asked: Asked) -> None:
        """Write a question's facts and rows."""
        about = {"id": number, "asker": "manager", "question": asked.question}
        first = self._append(
            f"question-{number}", 1, "QuestionAsked", {**about, "options": asked.options, **asked.more}
        )
        self._insert("sequences", category="question", last=number, is_open=True)
        row = {**about, "options": json.dumps(asked.options, separators=(",", ":")), **asked.more}
        row |= {"asked_at": AT + first, "position": first, "correlation": first, "is_open": asked.ending is None}
        row |= {"status": STATUS[asked.ending], "answer": asked.answer}
        if asked.ending is not None:
            said = {"answer": asked.answer} if asked.ending == "QuestionAnswered" else {}
            last = self._append(f"question-{number}", 2, asked.ending, {**about, **said}, cause=first)
            row |= {"resolved_at": AT + last, "resolved_by": "operator"}
            self._tell(last, {"id": number, "question": asked.question, "answer": asked.answer}, correlation=first)
        self._insert("questions", **row)

    def close(self) -> None:
        """Note that every table stands at the log's end, as each commit of that release did."""
        for name in ("agents", "messages", "sessions", "questions", "sequences"):
            self._insert("projections", name=name, revision=1, position=self._position)
        self._connection.close()

    def _append(self, stream: str, version: int, type_: str, data: dict[str, Any], cause: int | None = None) -> int:
        self._position += 1
        position = self._position
        actor = "operator" if cause else "manager"
        envelope = (position, stream, version, type_, AT + position, actor, cause or position, cause)
        text = json.dumps(data, separators=(",", ":"))
        self._head = chain.link(self._head, envelope, text.encode())
        self._connection.execute(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*envelope, text, self._head)
        )
        return position

    def _tell(self, position: int, told: dict[str, Any], *, correlation: int) -> None:
        body = json.dumps({"event": "operator_answered", **told})
        self._insert(
            "messages",
            to="manager",
            id=position,
            sender="system",
            body=body,
            at=AT + position,
            correlation=correlation,
            deliveries=0,
            is_open=True,
        )

    def _insert(self, table: str, **row: Any) -> None:
        names = ", ".join(f'"{name}"' for name in row)
        places = ", ".join("?" * len(row))
        self._connection.execute(f"REPLACE INTO {table} ({names}) VALUES ({places})", tuple(row.values()))  # noqa: S608


def expected(revision: str) -> list[Question]:
    """Return the rows as this release has them: one option, no deadline, unless the older one could say otherwise."""
    rows, position = [], 0
    for number, asked in enumerate(RELEASES[revision], start=1):
        position += 1
        row = Question(
            id=number,
            asker="manager",
            question=asked.question,
            options=tuple(asked.options),
            multi=asked.more.get("multi", False),
            asked_at=AT + position,
            deadline_at=None,
            status=Status(STATUS[asked.ending]),
            answer=asked.answer,
            resolved_at=AT + position + 1 if asked.ending else None,
            resolved_by="operator" if asked.ending else None,
            position=position,
            correlation=position,
        )
        position += asked.ending is not None
        rows.append(row)
    return rows


def stored(path: Path) -> list[Question]:
    """Return the rows that stand in the table."""
    with contextlib.closing(read_only(path)) as connection:
        return [row for _, row in mirror.read_rows(connection, QUESTIONS)]


@pytest.fixture(params=RELEASES)
def revision(request: pytest.FixtureRequest) -> str:
    """Give each revision that knew questions and had less of them than this one."""
    return str(request.param)


@pytest.fixture
def old(revision: str, tmp_path: Path) -> Path:
    """Give a real file of that revision."""
    path = tmp_path / "hive.sqlite"
    file = OldFile(path, revision)
    for number, asked in enumerate(RELEASES[revision], start=1):
        file.ask(number, asked)
    file.close()
    return path


def test_file_is_of_that_revision(old: Path, revision: str) -> None:
    """What the other tests upgrade is older: its table lacks the columns, its chain is whole."""
    columns = {name for _, name, *_ in sqlite3.connect(old).execute("PRAGMA table_info(questions)")}
    assert database.current_revision(old) == revision
    assert {"multi", "deadline_at"} - columns == ({"multi", "deadline_at"} if revision == "0003" else {"deadline_at"})
    database.upgrade(old)
    assert chain.verify(old).count == len(RELEASES[revision]) + sum(1 for asked in RELEASES[revision] if asked.ending)


def test_rows_keep_their_meaning(old: Path, revision: str) -> None:
    """The upgrade alone leaves every row as it was: for one option, without a deadline, where it was not said."""
    database.upgrade(old)
    assert stored(old) == expected(revision)


def test_fold_agrees(old: Path, revision: str) -> None:
    """Folded anew from the old facts the rows are the same, and replay and chain verify."""
    database.upgrade(old)
    log, hive = database.open_hive(old)
    log.close()
    assert stored(old) == expected(revision)
    assert list(hive.questions.values()) == [row for row in expected(revision) if row.status is Status.OPEN]
    assert verify.verify(old).rows["questions"] == len(RELEASES[revision])
    assert chain.verify(old).count == hive.position


def test_old_question_goes_on(old: Path, revision: str) -> None:
    """It takes one option, never expires, and is answered like a new one; the next one has the next number."""
    database.upgrade(old)
    desk = Desk(old)
    last = len(RELEASES[revision])

    async def story() -> tuple[str, int]:
        far = Deadlines(desk.dispatcher, wall=lambda: AT + CENTURY_MICROSECONDS, boot=lambda: 1e9)
        assert await far.tick() is None
        with pytest.raises(Invalid, match="takes one option; 2 were chosen"):
            await desk.dispatcher.dispatch(AnswerQuestion(actor=OPERATOR, question=1, options=("blue", "red")))
        command = AnswerQuestion(actor=OPERATOR, question=1, options=("blue",), text="or so")
        (answered,) = await desk.dispatcher.dispatch(command)
        (asked,) = await desk.dispatcher.dispatch(AskQuestion(actor=MANAGER, question="and now?"))
        return answered.event.answer, asked.event.id

    assert asyncio.run(story()) == ("blue, or so", last + 1)
    desk.log.close()
    assert verify.verify(old).rows["questions"] == last + 1


def test_several_options_stay_several(tmp_path: Path) -> None:
    """A question of revision 0004 that took several options still takes several."""
    path = tmp_path / "hive.sqlite"
    file = OldFile(path, "0004")
    file.ask(1, WITH_MULTI[4])
    file.close()
    database.upgrade(path)
    desk = Desk(path)

    async def story() -> str:
        command = AnswerQuestion(actor=OPERATOR, question=1, options=("blue", "red"))
        (answered,) = await desk.dispatcher.dispatch(command)
        return str(answered.event.answer)

    assert asyncio.run(story()) == "red, blue"
    desk.log.close()
