"""Everything that people may say about homes, in any order, twice, at once and cut off: a short walk.

tests/properties/long_walk.py walks as long as one likes: it sets `WALK_STEPS` and `WALK_SEED`.
"""

from __future__ import annotations

import os

import pytest
from walking import Walk, walked

STEPS = int(os.environ.get("WALK_STEPS", "60"))
SEEDS = [int(one) for one in os.environ.get("WALK_SEED", "1").split(",")]


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"seed {seed}")
async def test_nothing_is_half_done_and_nothing_is_done_twice(village, owner, connected, seed):
    walk = Walk(village, owner, connected, seed)

    await walked(walk, STEPS, every=max(20, STEPS // 50))

    print(f"seed {seed}: {STEPS} steps, {walk.killed} backends killed, {dict(walk.happened.most_common())}")  # noqa: T201
    assert walk.happened["replace"] + walk.happened["announce-key"] > 0
