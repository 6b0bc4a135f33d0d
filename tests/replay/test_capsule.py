"""Capsules: an incident in one file, and files from strangers."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from hyperhive.commands.messages import SendMessage
from hyperhive.config import Directories
from hyperhive.events.configurations import AgentSettings, ConfigurationApplied, McpServer
from hyperhive.events.envelope import OPERATOR
from hyperhive.events.secrets import HIDDEN, Scrubber
from hyperhive.events.stream_store import StreamStore
from hyperhive.keeping.archiving import archive
from hyperhive.projections import views
from hyperhive.replay import capsule, capsule_file
from hyperhive.replay.capsule import Maker, NoSuch, known_secrets
from hyperhive.replay.capsule_file import BadCapsule, Capsule
from tests.commands.desk import Desk, run
from tests.events.archived import small
from tests.language import DAWN
from tests.replay.stories import Writer
from tests.replay.test_verify import lived

__all__ = ["small"]

SECRET = "sk-ant-api03-" + "Ab3_-" * 10
AROUND = 9


@pytest.fixture
def directories(tmp_path: Path, hive_db: Path) -> Directories:
    """Return a hive that has lived, with a turn stream and output."""
    lived(hive_db).log.close()
    found = Directories(data=hive_db.parent, run=tmp_path / "run")
    found.agent_dir("coder").mkdir(parents=True)
    store = StreamStore(found.stream_db("coder"), clock=lambda: DAWN)
    says = [{"at": "2026-01-01T00:00:00Z", "type": "text", "data": {"text": f"{word} {SECRET}"}} for word in "abc"]
    store.append("run-1", 0, says)
    store.close()
    found.agent_log("coder").write_text(f"harness: begun\n\x1b[31mkey={SECRET}\n")
    found.token_file.write_text("the-token-of-the-dashboard\n")
    return found


def made(directories: Directories, **more: Any) -> bytes:
    """Return a capsule."""
    fields: dict[str, Any] = {"agent": "coder", "around": AROUND, "release": "0.1.0", "configuration": {"a": 1}}
    out = io.BytesIO()
    scrubber = Scrubber(known_secrets(directories, []))
    Maker(directories=directories, scrubber=scrubber, **{**fields, **more}).make(out.write)
    return out.getvalue()


def read(content: bytes) -> Capsule:
    """Open a capsule."""
    return capsule_file.read(io.BytesIO(content))


async def send(desk: Desk, body: str) -> None:
    """Let a message be sent to the operator."""
    await desk.dispatcher.dispatch(SendMessage(actor=OPERATOR, to="operator", body=body))


class TestMade:
    """What is in it."""

    def test_whole(self, directories: Directories) -> None:
        """The facts around the event as the log has them, the state before and after it, turns, output, versions."""
        found = read(made(directories, facts=4))
        desk = Desk(directories.hive_db)
        facts = desk.log.read(AROUND - 4, AROUND + 4)
        assert [row[:8] for row in found.facts] == [fact.envelope for fact in facts]
        assert (found.header.agent, found.header.around, found.header.redacted) == ("coder", AROUND, False)
        before, after = found.parts["before"][0], found.parts["after"][0]
        assert (before.position, after.position) == (AROUND - 1, AROUND)
        assert before.state["position"] == AROUND - 1
        assert after.state["agents"]
        assert after.state.keys() == views.state(desk.hive).keys()
        assert [turn.data["text"] for turn in found.parts["turn"]] == [f"{word} {HIDDEN}" for word in "abc"]
        assert found.parts["output"] == ["harness: begun", f"\x1b[31mkey={HIDDEN}"]
        assert found.parts["versions"][0]["hyperhive"] == "0.1.0"
        assert found.parts["configuration"] == [{"a": 1, "applied": None}]

    def test_applied_configuration(self, directories: Directories) -> None:
        """What was applied to the agent then is there: its environment by name alone, and its words unless redacted."""
        weather = McpServer(name="weather", command="forecast", environment=(("KEY", "rain"),))
        settings = AgentSettings(prompt="be brief", environment=(("PLACE", "harbour"),), mcp=(weather,))
        applied = ConfigurationApplied(
            agent="coder", approval=1, commit="c" * 40, base=None, settings=settings, builds=False
        )
        writer = Writer(directories.hive_db)
        at = writer.write(applied)
        writer.close()
        (whole,) = read(made(directories, around=at)).parts["configuration"]
        assert whole["applied"]["commit"] == "c" * 40
        assert whole["applied"]["settings"]["prompt"] == "be brief"
        assert whole["applied"]["settings"]["environment"] == {"PLACE": HIDDEN}
        assert whole["applied"]["settings"]["mcp"][0]["environment"] == {"KEY": HIDDEN}
        assert b"be brief" not in made(directories, around=at, redacted=True)
        assert read(made(directories, around=at - 1)).parts["configuration"][0]["applied"] is None

    def test_secrets(self, directories: Directories) -> None:
        """A secret in a fact goes, too; then the facts have a chain of their own, and say their hash in the log."""
        desk = Desk(directories.hive_db)
        run(send(desk, f"use {SECRET} and the-token-of-the-dashboard"))
        desk.log.close()
        content = made(directories, around=desk.hive.position)
        assert SECRET.encode() not in content
        assert b"the-token-of-the-dashboard" not in content
        assert json.loads(read(content).facts[-1][8])["body"] == f"use {HIDDEN} and {HIDDEN}"  # type: ignore[arg-type]
        lines = [json.loads(line) for line in read(content).parts["export"]]
        assert lines[0]["redacted"] is True
        assert lines[-2]["original"] == desk.log.head.hash.hex()

    def test_redacted(self, directories: Directories) -> None:
        """--redact leaves out what people and agents said, in facts, states, turns and output."""
        content = made(directories, redacted=True, facts=100)
        for word in (b"hello", b"which?", b"done", b"harness: begun", b'"a sk'):
            assert word not in content
        found = read(content)
        assert found.header.redacted
        assert [turn.data for turn in found.parts["turn"]] == ["[redacted]"] * 3
        assert [part.what for part in found.parts["left_out"]] == ["output"]

    def test_edges(self, directories: Directories) -> None:
        """At the log's first fact and its last, and of an agent without a stream, it has what there is."""
        desk = Desk(directories.hive_db)
        head = desk.hive.position
        assert [row[0] for row in read(made(directories, around=1, facts=2)).facts] == [1, 2, 3]
        assert [row[0] for row in read(made(directories, around=head, facts=2)).facts] == [head - 2, head - 1, head]
        assert read(made(directories, agent="manager")).parts["left_out"][0].what == "turn stream"
        for more in ({"around": head + 1}, {"agent": "nobody"}):
            with pytest.raises(NoSuch):
                made(directories, **more)

    @pytest.mark.usefixtures("small")
    def test_archived(self, directories: Directories) -> None:
        """Of an archived past it is the same to the byte; without a segment it says what cannot be had."""
        before = made(directories, facts=3)
        list(archive(directories, 1_000))
        assert made(directories, facts=3) == before
        min((directories.data / "segments").iterdir()).unlink()
        late = read(made(directories, around=20, facts=2))
        assert late.parts["before"][0].state is None
        assert "positions 1 to 12 cannot be read" in late.parts["before"][0].missing

    def test_much(self, directories: Directories, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of more turn events than fit the nearest are there, and it says so."""
        monkeypatch.setattr(capsule, "TURNS", 2)
        found = read(made(directories))
        assert len(found.parts["turn"]) == 2
        assert found.parts["left_out"][0].why == "only the 2 events nearest to it are here"


class TestOpened:
    """A file from a stranger."""

    @pytest.mark.parametrize(
        ("change", "match"),
        [
            (lambda _: [], "line 1: it is not a capsule"),
            (lambda _: [b"hello\n"], "line 1: it is not a capsule"),
            (lambda _: [b"[" * 100_000], "line 1: it is not a capsule"),
            (lambda lines: lines[:1], "line 1: it is not a capsule"),
            (lambda lines: [lines[0].replace(b'"format":1', b'"format":2'), *lines[1:]], "upgrade hyperhive"),
            (
                lambda lines: [lines[0].replace(b'"around":9', b'"around":"x"'), *lines[1:]],
                "does not say what it is about",
            ),
            (lambda lines: lines[:-1], "the last line does not fit"),
            (lambda lines: [*lines[:5], *lines[6:]], "the last line does not fit"),
            (lambda lines: [*lines, lines[-1]], "the last line does not fit"),
            (lambda lines: [*lines[:-1], lines[-1][:-3]], "the last line does not fit"),
        ],
    )
    def test_not_whole(
        self, directories: Directories, change: Callable[[list[bytes]], list[bytes]], match: str
    ) -> None:
        """Whatever is missing, changed or something else is told with its line."""
        lines = made(directories).splitlines(keepends=True)
        with pytest.raises(BadCapsule, match=match):
            read(b"".join(change(lines)))

    @pytest.mark.parametrize(
        ("part", "match"),
        [
            (
                {"kind": "program", "value": "rm"},
                "line 2: a part of the kind 'program', which",
            ),
            ({"kind": "turn", "value": {"run": 1}}, "line 2: it is no part of a capsule"),
            ({"kind": "before", "value": {"position": -1, "state": None}}, "line 2: it is no part"),
            ({"kind": "export", "value": "{}"}, "its facts are not whole: in their export, line 1"),
            ({"kind": "export", "value": "a\nb"}, "its facts are not whole"),
            ({"kind": "export", "value": "\ud800"}, "line 2: it is no part"),
        ],
    )
    def test_hostile_part(self, directories: Directories, part: dict[str, Any], match: str) -> None:
        """A capsule with a sum that fits is believed no further than that."""
        first, *rest = made(directories).splitlines(keepends=True)
        line = json.dumps(part).encode() + b"\n"
        with pytest.raises(BadCapsule, match=match):
            read(self.summed([first, line, *rest[:-1]]))

    @staticmethod
    def summed(lines: list[bytes]) -> bytes:
        """Return these lines with a last one that fits."""
        content = b"".join(lines)
        digest = sha256(content).hexdigest()
        return content + json.dumps({"count": len(lines) - 1, "sha256": digest}, separators=(",", ":")).encode() + b"\n"

    def test_changed_fact(self, directories: Directories) -> None:
        """A fact that was changed does not follow from the one before, also where the sum fits."""
        lines = made(directories).splitlines(keepends=True)
        changed = [line.replace(b"SpawnRequested", b"SpawnSucceeded", 1) for line in lines[:-1]]
        with pytest.raises(BadCapsule, match=r"its facts are not whole: in their export, line .*hash does not follow"):
            read(self.summed(changed))

    def test_large(self, directories: Directories, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file without end is not read into memory."""
        monkeypatch.setattr(capsule_file, "LARGEST", 1_000)
        with pytest.raises(BadCapsule, match="larger than any capsule"):
            read(made(directories))

    def test_any_byte(self, directories: Directories) -> None:
        """Whatever single bit is flipped, it is refused."""
        content = made(directories, facts=3)
        chance = random.Random(20_260_101)
        for _ in range(300):
            damaged = bytearray(content)
            at, bit = chance.randrange(len(content)), chance.randrange(8)
            damaged[at] ^= 1 << bit
            with pytest.raises(BadCapsule):
                read(bytes(damaged))
