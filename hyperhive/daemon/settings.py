"""The configuration as it stands, and what becomes of it when it is read anew."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import structlog

from hyperhive.config import Config, ConfigError
from hyperhive.config.sections import KEYS

log = structlog.get_logger("daemon")

AT_START = frozenset(
    {"listen", "runtime", "manager", "questions"}
    | {f"web.{name}" for name in ("url", "tls_cert", "tls_key", "behind_proxy", "connections")}
)
"""Keys that are read when a daemon starts, and at no other time."""


class Settings:
    """Holds the configuration, and tells whoever follows it of a change."""

    def __init__(self, config: Config, read: Callable[[], Config]) -> None:
        self.config = config
        self._read = read
        self._followers: list[Callable[[Config], None]] = []

    def follow(self, follower: Callable[[Config], None]) -> None:
        """Call ``follower`` with each configuration after this one."""
        self._followers.append(follower)

    def reload(self) -> None:
        """Read the configuration anew, and follow it where that can be done now; a broken one changes nothing.

        The log says which keys have changed, and which of them wait for a restart.
        """
        try:
            wanted = self._read()
        except ConfigError as error:
            log.error("not_reloaded", error=str(error))  # noqa: TRY400 - the text says it all
            return
        changed = [name for name in KEYS if wanted.value(name) != self.config.value(name)]
        for name in changed:
            if name in AT_START:
                now, then = str(self.config.value(name)), str(wanted.value(name))
                log.warning("needs_restart", setting=name, now=now, then=then)
        kept = {name: self.config.value(name) for name in AT_START if "." not in name}
        self.config = attrs.evolve(wanted, **kept, web=self.config.web)
        for follower in self._followers:
            follower(self.config)
        log.info("reloaded", changed=[name for name in changed if name not in AT_START])
