"""Tokens: what our prompt and tools add to a turn's request, as the rehearsal endpoint sees it (bytes ÷ 4).

The same program without our prompt and tools is asked once through the same endpoint, and its sizes are taken off.
"""

from __future__ import annotations

import functools
import json
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

from bench.daemon import Daemon, daemon, environment, until
from bench.figures import at_most, note, number, scratch
from harness.options import DISALLOWED_TOOLS, ENVIRONMENT
from hyperhive.claude import find_claude

SCENARIO = '[default]\ntext = "nothing to do"\n'
BYTES_PER_TOKEN = 4
TURNS = 4
IDLE_SECONDS = 3.0
CLAIM = 1_500


def requests(running: Daemon, speaker: str) -> list[dict[str, Any]]:
    """Return what one speaker asked the model, oldest first; without the program's own small side questions."""
    url = f"http://127.0.0.1:{(running.run / 'rehearsal.port').read_text()}/rehearsal/requests"
    with urllib.request.urlopen(url) as reply:
        seen = json.load(reply)
    return [each for each in seen if each["speaker"] == speaker and each["tools_bytes"] and each["attempt"] == 1]


def ask_bare(running: Daemon, home: Path) -> None:
    """Let the same program have a turn without anything of ours."""
    port = (running.run / "rehearsal.port").read_text()
    given = {"HOME": str(home), "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}", "ANTHROPIC_API_KEY": "rehearsal-bare"}
    argv = [str(find_claude(None)), "-p", "hello", "--strict-mcp-config", "--setting-sources", ""]
    argv += ["--disallowedTools", ",".join(DISALLOWED_TOOLS)]
    subprocess.run(argv, env=environment(**ENVIRONMENT, **given), cwd=home, check=True, stdout=subprocess.DEVNULL)


def has_had(running: Daemon, turns: int) -> bool:
    """Whether coder has had so many turns."""
    rows = running.ask("agent_status")["agent_statuses"]
    return any(row["turns"] >= turns for row in rows)


def main() -> None:
    """Measure and say."""
    with scratch() as place:
        (place / "scenario.toml").write_text(SCENARIO)
        (place / "home").mkdir()
        with daemon(place, "--rehearse", str(place / "scenario.toml")) as running:
            ask_bare(running, place / "home")
            running.ask("spawn", name="coder")
            for count in range(1, TURNS + 1):
                until("a turn", functools.partial(has_had, running, count))
                running.ask("send", name="coder", body=f"message {count}")
            until("the last turn", functools.partial(has_had, running, TURNS + 1))
            ours, (bare, *_) = requests(running, "coder"), requests(running, "bare")
            prompt, tools = (ours[0][part] - bare[part] for part in ("system_bytes", "tools_bytes"))
            at_most("what we add to a request", (prompt + tools) / BYTES_PER_TOKEN, "tokens", CLAIM)
            note(f"prompt {number(prompt)} bytes, tools {number(tools)} bytes")
            prefixes = {(seen["system_bytes"], seen["tools_bytes"]) for seen in ours}
            at_most(f"different prefixes in {len(ours)} requests", len(prefixes), "", 1)
            before = len(requests(running, "coder"))
            time.sleep(IDLE_SECONDS)
            made = len(requests(running, "coder")) - before
            at_most(f"requests of an idle hive in {number(IDLE_SECONDS)} s", made, "", 0)
