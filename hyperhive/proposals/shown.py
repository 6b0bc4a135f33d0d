"""How a diff and a review are shown: one plain, JSON-ready shape for every surface."""

from __future__ import annotations

from typing import Any

import attrs

from hyperhive.projections.views import approval_row
from hyperhive.proposals.proposals import Review
from hyperhive.repositories.diff import Diff


def diff_shown(diff: Diff) -> dict[str, Any]:
    """Show a diff. Its texts hold no sign that moves or hides another: what is not plain stands there as an escape."""
    return {"base": diff.base, "commit": diff.commit, "files": [attrs.asdict(file) for file in diff.files]}


def review_shown(review: Review) -> dict[str, Any]:
    """Show an approval with what it would change now; ``base`` and ``commit`` are what an approval has to state."""
    row = approval_row(review.row)
    return {**row, "blocked": review.blocked, "diff": diff_shown(review.diff), "base": review.base}
