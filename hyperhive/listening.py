"""Opens TCP listeners: the one place that knows how a port is had that another process may be about to leave."""

from __future__ import annotations

import asyncio
import errno
import socket

TRIES = 12
FIRST_WAIT_SECONDS = 0.25
MAX_WAIT_SECONDS = 2.0
BACKLOG = 2048


async def listen(host: str, port: int) -> socket.socket:
    """Bind with SO_REUSEADDR and listen; port 0 takes a free one.

    "Address in use" is tried again, 250 ms doubling to 2 s, 12 tries in all (18 s). Raises `OSError`: that one after
    the last try, any other at once.
    """
    wait = FIRST_WAIT_SECONDS
    for _ in range(TRIES - 1):
        try:
            return _listen_once(host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        await asyncio.sleep(wait)
        wait = min(wait * 2, MAX_WAIT_SECONDS)
    return _listen_once(host, port)


def _listen_once(host: str, port: int) -> socket.socket:
    # The protocol is named, since asyncio sets TCP_NODELAY only on what says that it is TCP: without it, the body of an
    # answer on a kept connection waits 40 ms for the delayed acknowledgement of its head.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        # With SO_REUSEADDR two may bind one port; only one of them may listen.
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
