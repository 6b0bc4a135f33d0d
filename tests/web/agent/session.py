"""An agent at work, for pictures of its page: turns with mail, words, calls that end well and badly."""

from __future__ import annotations

from tests.served import Served
from tests.web.agent.said import Speaker, assistant, mail, prompt, result, system, text, tool

FOUND = """\
the collision is real. `forager` and `fixer` both hash to **8771**, so a fresh spawn has to probe forward:

- a port **file** wins over the hash, always
- an older agent takes its hashed port **without** probing
- only a fresh spawn probes, and it wraps at the end of the range

the test that flakes is the third one. i have told manager.
"""
FLAKE = """\
Exit code 1
tests/ports/test_probe.py:61: in test_wraps_around
    assert chosen == 8100
E   AssertionError: assert 8102 == 8100
------- captured -------
8100 busy, 8101 busy, next
1 failed, 11 passed in 12.41s
"""
PATCH = {
    "structuredPatch": [
        {
            "oldStart": 57,
            "oldLines": 2,
            "newStart": 57,
            "newLines": 4,
            "lines": [
                "     taken = set(hive.ports())",
                "-    base = 8100",
                "+    with free_range(4) as base:  # other tests hold 8100",
                "+        fill(base, base + 1)",
                '+        assert choose("fixer", base) == base + 2',
            ],
        }
    ]
}


def plays(served: Served, coder: Speaker) -> None:
    """Let coder's page fill: a turn that has ended, and one that goes on."""
    served.ask("send", name="coder", body="does 0.4 still flake on the ports?")
    for cost in (0.33, 0.06, 0.01, 0.17):
        coder.report("turn_started", ids=[])
        coder.say(prompt(mail("anything new?", id_=1170, sender="manager")), assistant(text("nothing yet.")))
        coder.report("turn_ended", ok=True, cost_usd=cost, usage={"input_tokens": 9_000, "output_tokens": 200})
    coder.report("turn_started", ids=[])
    coder.say(
        prompt(mail("which ports may a fresh spawn take?", id_=1179, sender="manager")),
        system(
            "compact_boundary", compact_metadata={"pre_tokens": 171_000, "post_tokens": 38_000, "duration_ms": 21e3}
        ),
        assistant(tool("a1", "Grep", pattern="fnv1a", path="hyperhive")),
        result("a1", "Found 3 files", detail={"numFiles": 3}),
        assistant(tool("a2", "Read", file_path="hyperhive/homes/ports.py")),
        result("a2", "1\tports", detail={"file": {"numLines": 88}}),
        assistant(text(FOUND)),
        assistant(tool("a3", "mcp__hive__send", to="manager", body="the flake is ports::wraps_around, not the probe")),
        result("a3", '{"id": 1180}'),
    )
    coder.report("turn_ended", ok=True, cost_usd=0.21, usage={"input_tokens": 41_000, "output_tokens": 3_200})
    coder.report("turn_started", ids=[])
    coder.say(
        prompt(
            mail(
                "reviewer saw wraps_around flake again, 1 run in 40. is it the probe or the test? operator\n"
                "decides on the release by 10:45, so tell me what you know by then.",
                id_=1182,
                sender="manager",
            )
        ),
        assistant({"type": "thinking", "thinking": "the probe first"}, thinking_duration_ms=6_000),
        assistant(text("port tests first, then the probe.")),
        assistant(tool("b1", "Bash", command="pytest tests/ports -x -q")),
        result("b1", FLAKE, failed=True),
        assistant(tool("b2", "Read", file_path="hyperhive/homes/ports.py", offset=40, limit=49)),
        result("b2", "40\tports", detail={"file": {"numLines": 49}}),
        assistant(tool("b3", "Edit", file_path="tests/ports/test_probe.py")),
        result("b3", "The file has been updated.", detail=PATCH),
        system("api_retry", attempt=2, max_retries=5, error_status=529, error="overloaded", retry_delay_ms=8_000),
        assistant(text("it is the **test**: two workers share one range. with a range of its own it should hold:")),
        assistant(tool("b4", "Bash", command="pytest tests/ports --count 40 -n 2")),
    )
    coder.report("status", status="thinking", text="trying the port tests forty times")
