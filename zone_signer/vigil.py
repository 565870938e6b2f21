"""The running signer's watch over itself and its zones: alarms in the log, where somebody is woken by them.

Law: an alarm is logged once when it begins, every hour while it lasts, and once when it is over. What could not be
looked at because the database was away is neither over nor new.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

import psycopg

from zone_signer import health
from zone_signer.alarms import Alarm
from zone_signer.clockkeeper import ClockRefused
from zone_signer.heartbeat import Pool
from zone_signer.overview import snapshot
from zone_signer.policy import HOUR

EVERY = 60.0  # seconds between two looks
PATIENCE = 30.0  # seconds that a look may take
MOST = 100  # alarms of one look that are logged one by one

log = logging.getLogger("zone_signer")


class Vigil:
    """What is wrong, as it was found last, and when each alarm was logged."""

    def __init__(self) -> None:
        self._lasting: dict[tuple[str, str | None, str], tuple[Alarm, int]] = {}

    def found(self, alarms: Iterable[Alarm], now: int) -> list[str]:
        """Take what is wrong at *now*, in seconds since 1970; return what is to be logged of it, line by line."""
        lines: list[str] = []
        left = dict(self._lasting)
        for one in alarms:
            place = _place(one)
            known = left.pop(place, None)
            if known is None:
                lines.append(_line("begins", one))
                self._lasting[place] = one, now
            elif known[1] + HOUR <= now:
                lines.append(_line("lasts", one))
                self._lasting[place] = one, now
            else:
                self._lasting[place] = one, known[1]
        for place, (one, _) in left.items():
            lines.append(_line("over", one))
            del self._lasting[place]
        if len(lines) > MOST:
            more = f"signer.alarms more={len(lines) - MOST} lasting={len(self._lasting)}"
            return [*lines[:MOST], f"{more} sentence=zone-signer check lists all"]
        return lines


def _place(one: Alarm) -> tuple[str, str | None, str]:
    """Return what an alarm is known by while it lasts; its sentence may change."""
    return one.code, one.zone, one.about


def _line(what: str, one: Alarm) -> str:
    return f"signer.alarm {what} code={one.code} zone={one.zone or '-'} sentence={one.sentence}"


async def watch(pool: Pool, clock: Callable[[], float] = time.time) -> None:
    """Look for alarms now and then, and log them, until cancelled."""
    vigil = Vigil()
    while True:
        try:
            async with asyncio.timeout(PATIENCE), pool.connection() as conn, snapshot(conn):
                now = int(clock())
                found = await health.report(conn, now)
        except (OSError, psycopg.Error):
            pass  # whoever works with the database says so, and the next look makes up for it
        except ClockRefused:
            pass  # by a wrong clock everything would seem late; signs of life say what is wrong with it
        except Exception:
            log.exception("signer.bug")  # and zones are signed all the same
        else:
            for line in vigil.found(() if found is None else found.alarms, now):
                log.warning(line)
        await asyncio.sleep(EVERY)
