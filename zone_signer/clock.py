"""Whether the clock can be believed: a signer whose clock is wrong signs nothing. Pure; readings come in.

Law: time never goes back behind what was signed, and never leaps. Signatures made by a clock that is fast are not yet
valid, or hide the keys of years from the machine; made by one that is slow they have expired. A refusal ends by itself
when the clock is right again, or when somebody says `zone-signer clock accept`.
"""

from __future__ import annotations

import msgspec

SLACK = 120  # seconds behind the latest time of all signers: two of them may lie so far apart (`Bounds.apart`)
ACCEPT = 3600  # seconds for which `zone-signer clock accept` holds


class Reading(msgspec.Struct, frozen=True):
    """What the clocks show at one moment, in seconds: the system's and the database's since 1970, the monotonic one.

    *synchronized* is what the kernel says of its clock (adjtimex); None where it does not say.
    """

    system: float
    monotonic: float
    database: float
    synchronized: bool | None


class Trust(msgspec.Struct, frozen=True):
    """The time to sign by, in seconds since 1970; None where the clock is *refused*, for a reason in one sentence."""

    now: int | None
    refused: str = ""


class Bounds(msgspec.Struct, frozen=True):
    """How far clocks may lie *apart*, one may *jump* in a process, and a start may lie behind the last: seconds."""

    apart: int = 60
    jump: int = 300
    gap: int = 259_200


def judge(reading: Reading, last: Reading | None, high: int, accepted: int, bounds: Bounds) -> Trust:
    """Tell what time it is, or why the clock is not believed.

    *last* is this process's reading before, None at its start. *high* is the latest time that any signer has signed
    by, 0 where none has. *accepted* is until when, by the clock itself, a person has taken the clock for right; who
    writes that down puts *high* to that person's time too, or an old leap is refused again when it ends.
    """
    now = int(reading.system)
    if now <= accepted <= now + ACCEPT:
        return Trust(now)
    if reading.system < high - SLACK:
        return Trust(None, f"the clock is {high - now} s behind the last time that was signed by; {_ACCEPTING}")
    apart = reading.system - reading.database
    if abs(apart) > bounds.apart:
        word = "ahead of" if apart > 0 else "behind"
        return Trust(None, f"the clock is {abs(round(apart))} s {word} that of the database; set the wrong one right")
    if last is not None:
        leapt = leap(reading.system, reading.monotonic, last, bounds)
        if leapt:
            return Trust(None, leapt)
    elif high and reading.system - high > bounds.gap and not reading.synchronized:
        sentence = f"the clock is {now - high} s ahead of the last time that was signed by, and nothing says that it is"
        return Trust(None, f"{sentence} synchronized; {_ACCEPTING}")
    return Trust(now)


def leap(system: float, monotonic: float, last: Reading, bounds: Bounds) -> str:
    """Return in one sentence how far the clock has leapt since the reading *last*; empty where it has not."""
    far = (system - last.system) - (monotonic - last.monotonic)
    if abs(far) <= bounds.jump:
        return ""
    word = "forward" if far > 0 else "back"
    return f"the clock jumped {abs(round(far))} s {word}; {_ACCEPTING}"


_ACCEPTING = "set it right, or where it is right say: zone-signer clock accept"
