"""What the story of `make demo` begins and ends with."""

from __future__ import annotations

from pathlib import Path

import hyperhive.rehearsal

DEMO = Path(hyperhive.rehearsal.__file__).with_name("scenarios") / "demo.toml"
ASK = "Please have coder write slug.py,\nand let reviewer check it."
KICK = "You were just (re)started. Check /state/ for your notes."
DONE = (
    "About your message 7: coder wrote slug.py in its home directory and ran its tests.\n"
    "reviewer, who read both, says: the tests pass, and slug() is short and does what its docstring says. Fine to use."
)
