"""``hyperhive replay step``: a walk through the past on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hyperhive.cli.options import AGENT, examples
from hyperhive.cli.pasts import MomentCommand, file_option, opened, position
from hyperhive.cli.places import places
from hyperhive.cli.terminal import when

if TYPE_CHECKING:
    from hyperhive.cli.screen import Screen
    from hyperhive.replay.past import Scene
    from hyperhive.replay.walk import Walk


@click.command(
    cls=MomentCommand,
    epilog=examples(
        "hyperhive replay step",
        "hyperhive replay step 'yesterday 18:00' --agent coder",
        "hyperhive replay step 1 --file copied.sqlite",
    ),
)
@click.argument("moment", metavar="[POSITION|TIME]", default="now")
@click.option("--agent", type=AGENT, metavar="NAME", help="Only events of this agent.")
@file_option
@places
def step(*, moment: str, agent: str | None, file: Path | None) -> None:
    """Walk through the past on this terminal, event by event.

    Each page shows one event, what it changed, and the agents as they then stood. The arrows go forward and back; ?
    lists the other keys.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.ClickException("step needs a terminal; replay at, diff and why print what it shows")
    from hyperhive.cli.screen import screen  # noqa: PLC0415 - heavy imports after --help
    from hyperhive.replay.walk import Walk  # noqa: PLC0415

    with opened(file) as past:
        past.keep(past.head)  # what may take a while is done before the screen is taken
        walk = Walk(past, position(past, moment), agent=agent)
        with screen() as taken:
            _Pages(taken, walk).run()


class _Pages:
    """The walk on a screen: which key does what, and what is being typed."""

    def __init__(self, screen: Screen, walk: Walk) -> None:
        self._screen = screen
        self._walk = walk
        self._asking: tuple[str, Callable[[str], None]] | None = None
        """What is asked for in the last line, and what is done with it."""
        self._typed = ""
        self._said = ""
        self._seen: int | None = None
        """Where one stood at the last page that could be shown."""
        self._whole = False
        self._help = False

    def run(self) -> None:
        """Show pages until somebody leaves."""
        from hyperhive.cli.screen import CLOSED, RESIZED  # noqa: PLC0415 - heavy imports after --help

        self._draw()
        for key in self._screen.pressed():
            if key == CLOSED or (self._asking is None and key in ("q", "eof")):
                return
            if key != RESIZED:
                self._pressed(key)
            self._draw()

    def _draw(self) -> None:
        from hyperhive.replay.walk import KEYS, View, page  # noqa: PLC0415 - heavy imports after --help

        scene = self._scene()
        _, height = self._screen.size
        last = f"{self._asking[0]}: {self._typed}▏" if self._asking else self._said or KEYS
        view = View(height=height, last_line=last, whole=self._whole, help=self._help)
        self._screen.show(page(self._walk, scene, view, local=when))

    def _scene(self) -> Scene:
        """Return what is to be seen; where the log cannot be read, stay where one was and say so."""
        from hyperhive.replay.past import Unreplayable  # noqa: PLC0415 - heavy imports after --help

        try:
            scene = self._walk.scene()
        except Unreplayable as broken:
            if self._seen is None:
                raise
            self._walk.position, self._said = self._seen, str(broken)
            return self._walk.scene()
        self._seen = self._walk.position
        return scene

    def _pressed(self, key: str) -> None:
        from hyperhive.replay.past import BadMoment, NotThere  # noqa: PLC0415 - heavy imports after --help
        from hyperhive.replay.walk import Nowhere  # noqa: PLC0415

        self._said = ""
        try:
            if self._asking is not None:
                self._type(key)
            elif key == "?":
                self._help = not self._help
            elif (act := self._acts().get(key)) is not None:
                self._help = False
                act()
        except (Nowhere, NotThere, BadMoment) as stayed:
            self._said = str(stayed)

    def _acts(self) -> dict[str, Callable[[], None]]:
        walk = self._walk
        return {
            **dict.fromkeys(("right", "l", "n", " "), walk.forward),
            **dict.fromkeys(("left", "h", "p"), walk.back),
            "page down": lambda: walk.forward(10),
            "page up": lambda: walk.back(10),
            **dict.fromkeys(("g", "home"), walk.first),
            **dict.fromkeys(("G", "end"), walk.last),
            "c": lambda: walk.of_type("ContainerCrashed"),
            "v": self._switch,
            "j": lambda: self._ask("jump to", lambda text: walk.jump(text, now=datetime.now(UTC))),
            "a": lambda: self._ask("only agent", walk.only),
            "t": lambda: self._ask("next of type", walk.of_type),
            "T": lambda: self._ask("previous of type", lambda text: walk.of_type(text, back=True)),
        }

    def _switch(self) -> None:
        self._whole = not self._whole

    def _ask(self, what: str, then: Callable[[str], None]) -> None:
        self._asking, self._typed = (what, then), ""

    def _type(self, key: str) -> None:
        assert self._asking is not None  # noqa: S101 - the caller looked
        match key:
            case "enter":
                then, self._asking = self._asking[1], None
                then(self._typed.strip())
            case "escape" | "eof":
                self._asking = None
            case "backspace":
                self._typed = self._typed[:-1]
            case _ if len(key) == 1 and key.isprintable():
                self._typed += key
