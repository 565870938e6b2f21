"""What the fuzz targets share: their shape, the seeds that are kept, deterministic mutations, and a count of the work.

A target is a module `fuzz_NAME` with `seeds()`, `work(octets)`, which runs our code and nothing else, and
`judge(octets, outcome)`, which asserts what must hold. `run.py` drives it with atheris, `test_fuzz.py` with pytest.
"""

import importlib
import random
import struct
import sys
import zlib
from pathlib import Path

TESTS = Path(__file__).parents[1]
for folder in (TESTS, TESTS / "scenario", TESTS / "fuzz"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

KEPT = TESTS / "vectors" / "seeds"
TARGETS = sorted(path.stem.removeprefix("fuzz_") for path in Path(__file__).parent.glob("fuzz_*.py"))
LONGEST = 4096  # octets of a mutation
NUMBERS = (0, 1, 2, 0x3F, 0x40, 0x7F, 0x80, 0xC0, 0xFF)
WORDS = (0, 1, 5, 6, 12, 41, 250, 252, 254, 255, 512, 0x7FFF, 0x8000, 0xC00C, 0xFFFF)


def target(name):
    """Return the module of the target *name*."""
    return importlib.import_module(f"fuzz_{name}")


def kept(name):
    """Return the octets of every failure that was found once, by what it showed."""
    return {path.stem: bytes.fromhex(path.read_text()) for path in sorted((KEPT / name).glob("*.hex"))}


def mutations(name, seeds, count):
    """Yield *count* damaged copies of *seeds*, the same ones every time."""
    dice = random.Random(zlib.crc32(name.encode()))
    for _ in range(count):
        octets = bytearray(dice.choice(seeds))
        for _ in range(dice.choice((1, 1, 1, 2, 3, 8))):
            _damage(octets, dice, seeds)
        yield bytes(octets[:LONGEST])


def _damage(octets, dice, seeds):
    at = dice.randrange(len(octets) + 1)
    match dice.randrange(8):
        case 0 if octets:
            octets[at % len(octets)] ^= 1 << dice.randrange(8)
        case 1 if octets:
            octets[at % len(octets)] = dice.choice(NUMBERS)
        case 2:
            octets[at : at + 2] = struct.pack("!H", dice.choice(WORDS))
        case 3:
            octets[at:at] = dice.randbytes(dice.randrange(1, 9))
        case 4:
            del octets[at : at + dice.choice((1, 2, 4, 16, 64))]
        case 5:
            piece = octets[at : at + dice.choice((2, 10, 40))]
            octets[at:at] = piece * dice.choice((1, 2, 20))
        case 6:
            other = dice.choice(seeds)
            start = dice.randrange(len(other) + 1)
            octets[at : at + 16] = other[start : start + dice.choice((4, 16, 100))]
        case 7:
            del octets[at:]


class Work:
    """Counts the calls that Python makes, of functions in Python and in C, as a measure that no clock disturbs."""

    def __init__(self):
        self.calls = 0

    def __enter__(self):
        sys.setprofile(self._count)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)

    def _count(self, _frame, event, _what):
        if event in ("call", "c_call"):
            self.calls += 1
