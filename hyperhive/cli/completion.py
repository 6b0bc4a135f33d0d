"""``hyperhive completion``: the shell's side of completion."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from hyperhive.cli.options import examples
from hyperhive.cli.places import places


@click.command(
    epilog=examples(
        'eval "$(hyperhive completion bash)"                                      in ~/.bashrc',
        'eval "$(hyperhive completion zsh)"                                       in ~/.zshrc',
        "hyperhive completion fish > ~/.config/fish/completions/hyperhive.fish",
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@places
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes commands in a shell.

    Names of agents are completed too, from the running daemon.
    """
    found = get_completion_class(shell)
    if found is None:  # pragma: no cover - click has all three
        raise click.UsageError(f"click cannot complete in {shell}")
    root = context.find_root()
    click.echo(found(root.command, {}, "hyperhive", "_HYPERHIVE_COMPLETE").source())
