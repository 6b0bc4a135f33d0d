"""The harness: a small process that waits for its agent's mail, and a session for as long as there is work."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from harness import processes
from harness.egress import Egress
from harness.link import Link
from harness.log import log
from harness.loop import Loop
from harness.settings import Place, SettingsError
from harness.spool import Spool
from harness.turns import Turns

USAGE_EXIT = 2
STOP_SECONDS = 3.0
"""After a SIGTERM the host has so long to hear the rest; then the link is cut."""
STOP_LAST_SECONDS = 1.8

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def main() -> int:
    """Live until SIGTERM; returns the exit code."""
    try:
        place = Place.from_environment(os.environ)
    except SettingsError as error:
        log("not_started", error=error)
        return USAGE_EXIT
    # Blocked here and so in every thread: one thread waits for them, and nothing is torn out of its work.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    threading.excepthook = _end_on_defect
    processes.adopt_orphans()
    egress = Egress.from_environment(os.environ)
    try:
        # For `claude` and all that it starts.
        os.environ.update(egress.open())
    except OSError as error:
        log("no_way_out", error=error)
        return 1
    link = Link(place.socket)
    loop = Loop()
    spool = Spool(link)
    threading.Thread(target=_stop_on_signal, args=(loop, link), name="signals", daemon=True).start()
    link.open()
    spool.open()
    log("harness_started", agent=place.agent, run=spool.run)
    Turns(place, link, loop, spool, egress).run()
    spool.close()
    link.close()
    log("harness_stopped", agent=place.agent)
    return 0


def _stop_on_signal(loop: Loop, link: Link) -> None:
    number = signal.sigwait(_STOP_SIGNALS)
    log("stopping", signal=signal.Signals(number).name)
    loop.stop()
    time.sleep(STOP_SECONDS)
    link.close()
    time.sleep(STOP_LAST_SECONDS)
    log("stopped_hard")
    _end_now()


def _end_on_defect(args: threading.ExceptHookArgs) -> None:
    """End the harness with the thread that broke: a new one begins with all its mail, this one would wait for ever."""
    threading.__excepthook__(args)
    _end_now()


def _end_now() -> None:
    processes.kill_descendants(os.getpid())
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
