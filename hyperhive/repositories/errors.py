"""What can be wrong with a proposal, and with git."""

from __future__ import annotations


class RepositoryTrouble(Exception):  # noqa: N818 - the house names errors for their cause
    """Base of what this room raises."""


class BadProposal(RepositoryTrouble):
    """A commit that nothing can be made from; the text says what is wrong with it and what would be right."""


class NoSuchCommit(RepositoryTrouble):
    """The repository does not hold this commit."""


class NoSuchRepository(RepositoryTrouble):
    """There is no such repository, or something else stands in its place."""


class GitFailed(RepositoryTrouble):
    """Git could not do what it was asked to in the host's own repository."""
