"""Whether a rule fits what a speaker has just read, and what its placeholders then stand for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hyperhive.rehearsal.conversation import Heard, ToolUse
from hyperhive.rehearsal.placeholders import fill
from hyperhive.rehearsal.rules import Call, Condition, Once, Rule


def speaks(rule: Rule, speaker: str) -> bool:
    """Whether a rule is for this speaker."""
    return rule.condition.who is None or speaker in rule.condition.who


def fits(rule: Rule, speaker: str, heard: Heard, attempt: int) -> dict[str, str] | None:
    """Return the values of the rule's placeholders, or None where it does not fit."""
    when = rule.condition
    if not speaks(rule, speaker) or when.step not in {None, heard.step}:
        return None
    if when.times is not None and attempt > when.times:
        return None
    for turn in _turns(when, heard):
        for read in _candidates(when, heard):
            if (found := _read_fits(when, read)) is None:
                continue
            values = built_in(speaker, read) | turn | found
            if not _is_done(when.once, rule.script.calls, values, heard):
                return values
    return None


def built_in(speaker: str, read: str) -> dict[str, str]:
    """Give the values of the placeholders that every rule has."""
    return {"speaker": speaker, "read": read}


def all_read(heard: Heard) -> str:
    """Give the text just read, or all tool results together."""
    return heard.text or "\n".join(result.text for result in heard.results)


def _turns(when: Condition, heard: Heard) -> Iterator[dict[str, str]]:
    """Give the groups of each place where the turn's text fits; a batch of mail may fit more than once."""
    if when.turn is None:
        yield {}
    else:
        yield from (found.groupdict("") for found in when.turn.finditer(heard.turn))


def _candidates(when: Condition, heard: Heard) -> Iterator[str]:
    """Give what the rule's patterns are to be tried on: each fitting tool result, else the text."""
    if when.result is not None:
        for result in heard.results:
            if result.tool in when.result and when.failed in {None, result.failed}:
                yield result.text
    elif heard.text or not when.looks_at_text:
        yield all_read(heard)


def _read_fits(when: Condition, read: str) -> dict[str, str] | None:
    if when.contains is not None and when.contains not in read:
        return None
    if when.unless is not None and when.unless.search(read):
        return None
    if when.matches is None:
        return {}
    found = when.matches.search(read)
    return found.groupdict("") if found else None


def _is_done(once: Once | None, calls: tuple[Call, ...], values: Mapping[str, str], heard: Heard) -> bool:
    match once:
        case None:
            return False
        case "turn":
            earlier = heard.called
        case "conversation":
            earlier = (*heard.called, *heard.done)
    return all(_stands_in(earlier, call, values) for call in calls)


def _stands_in(earlier: tuple[ToolUse, ...], call: Call, values: Mapping[str, str]) -> bool:
    wanted = fill(call.input, values)
    return any(use.tool == call.tool and dict(use.input) == wanted for use in earlier)
