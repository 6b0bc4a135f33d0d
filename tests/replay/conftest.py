"""Short histories with many checkpoints."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hyperhive.replay import store


@pytest.fixture(scope="package", autouse=True)
def checkpoints_everywhere() -> Iterator[None]:
    """Keep a checkpoint for each block, however large it is beside a few small facts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "BYTES_PER_FACT", 1_000_000)
        yield
