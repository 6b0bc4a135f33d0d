"""Run the named benchmarks, or all: ``python -m bench [NAME …]``. A missed figure is said; it is no error."""

from __future__ import annotations

import importlib
import sys
import time
import traceback

NAMES = (
    *(
        "append",
        "commands",
        "size",
        "archive",
        "replay",
        "past",
        "start",
        "wakeup",
        "memory",
        "containers",
        "tokens",
        "turn",
        "help",
    ),
    *("stream", "state", "pages", "paint"),
)


def main(names: list[str]) -> int:
    """Run them one after the other; return the exit code."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    failed = False
    for name in names or NAMES:
        begin = time.perf_counter()
        print(f"== {name}", flush=True)
        try:
            importlib.import_module(f"bench.{name}").main()
        except Exception:  # noqa: BLE001 - the others are measured all the same
            traceback.print_exc()
            failed = True
        print(f"  ({time.perf_counter() - begin:.0f} s)", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
