"""The clock of a process that signs: read before every signature, compared with others' every minute (see `clock`).

Law: nobody signs by a time that is not believed. A leap is seen by the very next reading, without asking anybody;
whether the clock agrees with the database, and lies where any signer has signed before, when `look` is called.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable

import msgspec

from zone_signer.clock import ACCEPT, Bounds, Reading, judge, leap
from zone_signer.store import Conn, rows_of

UNKNOWN = "the clock has not been compared with the database's yet"
_UNSYNCHRONIZED = 0x40  # STA_UNSYNC (adjtimex(2))
_SAME = 2.0  # seconds; what the kernel says counts for a clock that is the kernel's


class ClockRefused(Exception):
    """A clock that is not believed; the message is one sentence."""


class Mark(msgspec.Struct, frozen=True):
    """What signers have agreed on, in seconds since 1970: *high* is the latest time that one has signed by.

    Both are 0 where there is none. A person has taken the clock for right until *accepted*.
    """

    high: int
    accepted: int


class Clockkeeper:
    """Gives the time, in seconds since 1970, and refuses to where it is not believed. For any thread."""

    def __init__(
        self,
        system: Callable[[], float] = time.time,
        steady: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
        synchronized: Callable[[float], bool | None] | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        self._system = system
        self._steady = steady  # goes on while the machine sleeps, and nobody sets it
        self._synchronized = synchronized or kernel_says
        self._bounds = bounds or Bounds()
        self._last: Reading | None = None  # what was believed last
        self._ahead = 0.0  # of the steady clock, by then
        self._held = UNKNOWN

    def __call__(self) -> float:
        """Return the time. Raises `ClockRefused`."""
        system = self._system()
        if self._held or abs(system - self._steady() - self._ahead) > self._bounds.jump:
            raise ClockRefused(self.refused())
        return system

    def refused(self) -> str:
        """Return in one sentence why the clock is not believed; empty where it is."""
        if self._held or self._last is None:
            return self._held
        return leap(self._system(), self._steady(), self._last, self._bounds)

    def shown(self) -> float:
        """Return what the clock shows, believed or not."""
        return self._system()

    async def look(self, conn: Conn) -> str:
        """Compare the clock with the database's and with what signers signed by; return why it is refused, or nothing.

        Where it is believed that is written down as the latest time. Raises `psycopg.Error`.
        """
        reading, mark = await self.read(conn)
        trust = judge(reading, self._last, mark.high, mark.accepted, self._bounds)
        if trust.now is not None:
            self._last = reading
            self._ahead = reading.system - reading.monotonic
            await note(conn, trust.now)
        self._held = trust.refused
        return trust.refused

    async def read(self, conn: Conn) -> tuple[Reading, Mark]:
        """Return what the clocks show, and what signers have agreed on. Raises `psycopg.Error`."""
        began = self._steady()
        ((database, high, accepted),) = await rows_of(
            conn,
            """SELECT extract(epoch FROM clock_timestamp())::float8,
                      CASE WHEN isfinite(high) THEN extract(epoch FROM high)::bigint ELSE 0 END,
                      coalesce(extract(epoch FROM accepted)::bigint, 0)
               FROM signer_clock""",
            {},
        )
        system, steady = self._system(), self._steady()
        waited = (steady - began) / 2  # its clock was read while we waited, in the middle as far as we know
        return Reading(system, steady, database + waited, self._synchronized(system)), Mark(high, accepted)


async def note(conn: Conn, now: int) -> None:
    """Write down that somebody signs by the time *now*, unless somebody else is just writing there.

    Nobody waits for this row, and it is never locked for longer than what is left of a transaction.
    """
    await conn.execute(
        """UPDATE signer_clock SET high = to_timestamp(%(now)s)
           FROM (SELECT one FROM signer_clock WHERE high < to_timestamp(%(now)s) FOR UPDATE SKIP LOCKED) AS free
           WHERE signer_clock.one = free.one""",
        {"now": now},
    )


async def accept(conn: Conn, now: int) -> int:
    """Write down that a person takes the time *now* for right; return until when that holds.

    What was signed by a later time before no longer counts.
    """
    await conn.execute(
        """UPDATE signer_clock
           SET accepted = to_timestamp(%(until)s), high = least(high, to_timestamp(%(now)s))""",
        {"now": now, "until": now + ACCEPT},
    )
    return now + ACCEPT


class _Timex(ctypes.Structure):
    _fields_ = (
        ("modes", ctypes.c_uint),
        *((name, ctypes.c_long) for name in ("offset", "freq", "maxerror", "esterror")),
        ("status", ctypes.c_int),
        *((name, ctypes.c_long) for name in ("constant", "precision", "tolerance", "seconds", "fraction")),
        ("rest", ctypes.c_char * 256),
    )


def kernel_says(system: float) -> bool | None:
    """Tell whether the kernel takes its clock for synchronized (adjtimex(2)); None where it does not say.

    Nor does it say anything of a clock that shows another time than its own, which is *system*.
    """
    try:
        asked = _Timex()
        if ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(asked)) < 0:
            return None  # as in a sandbox without this call
    except (OSError, AttributeError):
        return None
    if abs(asked.seconds - system) > _SAME:
        return None
    return not asked.status & _UNSYNCHRONIZED
