"""Walk the machine of ownership for as long as one likes: the pure one, or with --postgres as it is carried out.

    python tests/properties/long_walk.py --steps 20000 --seed 1
    python tests/properties/long_walk.py --steps 5000 --seed 1 --postgres

What is wrong is said with the seed and the step by which it comes again.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]


def say(line: str) -> None:
    """Write a line."""
    sys.stdout.write(f"{line}\n")


def pure(seed: int, steps: int) -> int:
    """Walk the pure machine; every invariant is asked after every step."""
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "properties")]
    from test_long_ownership import BY_EVENT, lived  # noqa: PLC0415 - where it lies is known only here

    lives = lived(seed, steps)
    happened = Counter(lives.happened)
    say(f"seed {seed}: {steps} steps, {sum(happened.values())} events: {dict(happened.most_common())}")
    missed = set(BY_EVENT) - set(happened)
    if missed:
        say(f"seed {seed}: never happened: {', '.join(sorted(missed))}")
    return 0


def carried_out(seed: int, steps: int) -> int:
    """Walk it on a real Postgres, with several desks, replays, and backends that are killed."""
    walk = ROOT / "tests" / "store" / "test_ownership_walk.py"
    words = [str(walk), "-q", "-s", "-n", "0", "-p", "no:cacheprovider", "--timeout", "0", "--rootdir", str(ROOT)]
    said = os.environ | {"WALK_STEPS": str(steps), "WALK_SEED": str(seed), "CI": "true"}
    return subprocess.run([sys.executable, "-m", "pytest", *words], env=said, cwd=ROOT, check=False).returncode


def main() -> int:
    """Walk, once for each seed."""
    said = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    said.add_argument("--steps", type=int, default=20_000)
    said.add_argument("--seed", type=int, action="append", help="may be said more than once; 1 where it is not")
    said.add_argument("--postgres", action="store_true", help="carried out on a real Postgres")
    given = said.parse_args()
    walk = carried_out if given.postgres else pure
    return max(walk(seed, given.steps) for seed in given.seed or [1])


if __name__ == "__main__":
    sys.exit(main())
