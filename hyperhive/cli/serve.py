"""``hyperhive serve``: check what was asked for, then hand over to the composition root."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hyperhive.cli import places
from hyperhive.cli.options import EXISTING_FILE, examples, pairs

if TYPE_CHECKING:
    from hyperhive.config import Config  # 60 ms that --help should not pay

_FLAGS = {
    "listen": "listen",
    "runtime": "runtime",
    "behind_proxy": "web.behind_proxy",
    "log_level": "log.level",
    "log_format": "log.format",
}


@click.command(
    epilog=examples(
        "hyperhive serve",
        "hyperhive serve --listen 127.0.0.1:8080 --runtime bubblewrap",
        "hyperhive serve --rehearse scenario.toml --data-dir /tmp/try/data --run-dir /tmp/try/run",
        "hyperhive serve --set claude.model=opus --set limits.parallel_actions=2",
    )
)
@click.option("--listen", metavar="HOST:PORT", help="Where HTTP is served (listen).")
@click.option("--runtime", metavar="NAME", help="auto, bubblewrap, podman, nspawn, nixos, or process (runtime).")
@click.option(
    "--behind-proxy",
    is_flag=True,
    flag_value="true",
    default=None,
    help="A proxy on this host does TLS (web.behind_proxy); web.url says where people find it.",
)
@click.option("--rehearse", metavar="FILE", type=EXISTING_FILE, help="Play a scenario instead of asking a model.")
@click.option("--log-level", metavar="LEVEL", help="debug, info, warning, error (log.level).")
@click.option("--log-format", metavar="FORMAT", help="auto, text, json (log.format).")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", callback=pairs, help="Set any other key.")
@places.places
def serve(rehearse: Path | None, settings: dict[str, tuple[str, str]], **given: str | None) -> int:
    """Run the hive until it is told to stop.

    Agents outlive it: whoever runs when it stops is adopted by the next serve on the same directories.
    """
    named = {_FLAGS[name]: (text, f"--{name.replace('_', '-')}") for name, text in given.items() if text is not None}
    directories = places.directories()

    def read() -> Config:
        return places.configuration(directories, settings | named)

    config = read()
    directories.create()

    # What follows is the daemon's half second of imports; what is wrong with the invocation has been said by now.
    from hyperhive import diagnostics  # noqa: PLC0415
    from hyperhive.app import serve as run  # noqa: PLC0415

    diagnostics.configure(level=config.log.level, format=config.log.format)
    return run(config, directories, rehearse=None if rehearse is None else rehearse.absolute(), read=read)
