"""Deciding about what is forgotten, and about a log that goes on from a backup."""

from __future__ import annotations

from hyperhive.commands.daemon import RecordRestore
from hyperhive.commands.errors import Conflict, Invalid
from hyperhive.commands.messages import AcknowledgeMail
from hyperhive.commands.retention import ForgetMessages, ReportStreamsTrimmed
from hyperhive.events.envelope import DAEMON, OPERATOR
from hyperhive.events.hive import HiveCreated, HiveRestored, MessagesForgotten, StreamsTrimmed
from hyperhive.events.messages import MessagesAcknowledged, MessageSent
from hyperhive.projections.identity import mark_of
from tests.language import DAWN, given

LETTER = MessageSent(to="operator", sender="coder", body="hi")


class TestForget:
    """`ForgetMessages`."""

    def test_forgets(self) -> None:
        """The fact says from before which moment; what waits still can be delivered."""
        scene = given(LETTER).later(seconds=60)
        after = scene.when(ForgetMessages(actor=DAEMON, before=DAWN + 1, count=7)).then(
            MessagesForgotten(before=DAWN + 1, count=7)
        )
        after.when(AcknowledgeMail(actor=OPERATOR, to="operator", ids=(1,))).then(
            MessagesAcknowledged(to="operator", ids=(1,))
        )

    def test_none(self) -> None:
        """Where nothing was found nothing happens."""
        given(LETTER).when(ForgetMessages(actor=DAEMON, before=DAWN, count=0)).then_nothing_happened()

    def test_future(self) -> None:
        """What has not been cannot be old."""
        command = ForgetMessages(actor=DAEMON, before=DAWN + 1, count=1)
        given(LETTER).when(command).then_refused(Invalid, match="would be forgotten")


class TestStreamsTrimmed:
    """`ReportStreamsTrimmed`."""

    def test_noted(self) -> None:
        """What was removed is a fact; nothing is none."""
        scene = given()
        fact = StreamsTrimmed(agents=("coder",), events=3)
        scene.when(ReportStreamsTrimmed(actor=DAEMON, agents=("coder",), events=3)).then(fact)
        scene.when(ReportStreamsTrimmed(actor=DAEMON, agents=(), events=0)).then_nothing_happened()


class TestRestore:
    """`RecordRestore`."""

    def test_epoch(self) -> None:
        """The newest epoch marks the hive's processes; before there is one, the hive's own id does."""
        scene = given(HiveCreated(hive="h"))
        assert mark_of(scene.hive.identity) == "h"
        for position, epoch in ((1, "e1"), (2, "e2")):
            scene = scene.when(RecordRestore(actor=OPERATOR, epoch=epoch, position=position, head="00")).then(
                HiveRestored(epoch=epoch, position=position, head="00")
            )
            assert mark_of(scene.hive.identity) == epoch

    def test_elsewhere(self) -> None:
        """A log that stands elsewhere than the backup ended is not what was restored."""
        command = RecordRestore(actor=OPERATOR, epoch="e", position=5, head="00")
        given(HiveCreated(hive="h")).when(command).then_refused(Conflict, match="ended at 5, and the log stands at 1")
