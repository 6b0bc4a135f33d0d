"""Why a command was refused; surfaces turn each into their own code."""

from __future__ import annotations

from typing import Any


class Refused(Exception):  # noqa: N818 - an outcome people meet, not a defect
    """A command that led to nothing; its text says what was wrong and what would be right."""

    code = "invalid"
    """As the sockets say it."""


class Invalid(Refused):
    """The command itself is off, whatever the state of the hive."""

    code = "invalid"


class TooLarge(Refused):
    """Something is over its limit."""

    code = "too_large"


class NotFound(Refused):
    """What the command names is not there."""

    code = "not_found"


class Conflict(Refused):
    """The command does not fit what is so now, or its id was used for another one."""

    code = "conflict"


class Forbidden(Refused):
    """This actor may not do that."""

    code = "forbidden"


class Unavailable(Refused):
    """The log takes nothing now (a full disk); nothing happened, and the same command may be given again."""

    code = "unavailable"


class Settled(Conflict):
    """Something else came first; ``standing`` is the row as it ended, None where the caller has to look it up."""

    def __init__(self, text: str, standing: Any) -> None:
        super().__init__(text)
        self.standing = standing
