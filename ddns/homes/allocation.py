"""Names for homes that ask for none: made by dice, each one that is taken followed by a longer one.

Law: pure. The dice come in, and whether a name is taken is asked by the caller.
"""

from __future__ import annotations

import hmac
import itertools
from collections.abc import Callable, Iterator

from ddns.dns.names import Name
from ddns.homes.labels import Label, LabelRules, read
from ddns.homes.words import ADJECTIVES, NOUNS

STYLES = ("words", "hex")
TRIES = 12  # names that are thought of for one home: the last ones have more room than there are homes in the world
_HEX_DIGITS = 6  # to begin with; two more after each that is taken
_OF_A_LENGTH = 3  # names of two words, then of three, then with ever more digits

Dice = Callable[[int], int]  # a whole number from 0 to below the one that is given


def falling(seed: bytes) -> Dice:
    """Return dice that fall as they fell before from the same *seed*: who was shown a name gets it, if it is free."""
    throws = itertools.count()
    return lambda sides: int.from_bytes(hmac.digest(seed, next(throws).to_bytes(4, "big"), "sha512"), "big") % sides


def offers(style: str, rules: LabelRules, zone: Name, dice: Dice) -> Iterator[Label]:
    """Yield labels for a home in the registry's *zone*, at most `TRIES`, that its rules allow; each may be taken."""
    for attempt in range(TRIES):
        label = read(_hex(attempt, dice) if style == "hex" else _words(attempt, dice), rules, zone)
        if isinstance(label, Label):
            yield label


def _hex(attempt: int, dice: Dice) -> str:
    digits = _HEX_DIGITS + 2 * attempt
    return f"{dice(16**digits):0{digits}x}"


def _words(attempt: int, dice: Dice) -> str:
    length, again = divmod(attempt, _OF_A_LENGTH)
    words = [ADJECTIVES[dice(len(ADJECTIVES))] for _ in range(1 if length == 0 else 2)]
    words.append(NOUNS[dice(len(NOUNS))])
    if length > 1:
        digits = 2 * (length - 1) + again
        words.append(f"{dice(10**digits):0{digits}}")
    return "-".join(words)
