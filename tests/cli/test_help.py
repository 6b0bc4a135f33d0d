"""Help teaches, and is there at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from hyperhive.cli.main import hyperhive as root
from hyperhive.cli.table import COMMANDS
from tests.cli.program import Program

# What the commands need and --help must not pay for.
HEAVY = ("rich", "structlog", "sqlalchemy", "msgspec", "asyncio", "socket", "claude_agent_sdk", "mcp")


def command(name: str) -> click.Command:
    """Return a command of the program."""
    found = root.get_command(click.Context(root), name)
    assert found is not None
    return found


def leaves(found: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Walk to every command that is not a group."""
    if isinstance(found, click.Group):
        context = click.Context(found)
        for name in found.list_commands(context):
            inner = found.get_command(context, name)
            assert inner is not None
            yield from leaves(inner, (*path, name))
    else:
        yield path, found


LEAVES = {" ".join(path): found for path, found in leaves(root, ())}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_in_the_list_is_its_own(name: str) -> None:
    """The line in the list of commands is the first sentence of the command's own help."""
    own = (command(name).help or "").split("\n\n")[0].replace("\n", " ")
    assert COMMANDS[name].help == own


@pytest.mark.parametrize("name", LEAVES)
class TestEveryCommand:
    """What each command owes its reader."""

    def test_has_an_example(self, name: str) -> None:
        """Each command shows an example of itself."""
        assert f"hyperhive {name}" in (LEAVES[name].epilog or "")

    def test_takes_the_places(self, name: str) -> None:
        """--data-dir, --run-dir and --config are options of every command."""
        options = {option for parameter in LEAVES[name].params for option in parameter.opts}
        assert {"--data-dir", "--run-dir", "--config"} <= options


class TestSpeed:
    """How soon help is there."""

    @pytest.mark.parametrize("arguments", [["--help"], *([*name.split(), "--help"] for name in LEAVES)])
    def test_help_imports_nothing_heavy(self, arguments: list[str]) -> None:
        """No help imports what only the work itself needs; the first one not even attrs (60 ms)."""
        heavy = HEAVY if len(arguments) > 1 else (*HEAVY, "attr")
        script = (
            "import sys; from hyperhive.cli.main import run; code = run(sys.argv[1:]);"
            f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr); sys.exit(code)"
        )
        ended = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, check=False, text=True)
        assert (ended.returncode, ended.stderr.strip()) == (0, "[]")


class TestMistypedCommand:
    """A command that there is not."""

    def test_closest_is_named(self, hyperhive: Program) -> None:
        """A mistyped command names the closest one."""
        ended = hyperhive("restrat", "coder")
        assert (ended.code, "Did you mean 'restart'?" in ended.err) == (2, True)

    def test_unlike_anything_points_to_the_list(self, hyperhive: Program) -> None:
        """A command like no other points to --help."""
        ended = hyperhive("xyzzy")
        assert (ended.code, "--help lists all" in ended.err) == (2, True)
