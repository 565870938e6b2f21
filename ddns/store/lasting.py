"""A connection for as long as a service runs: whoever follows the database connects again when it was away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from psycopg import OperationalError

from ddns.store.pool import Connection, connect

FIRST_DELAY = 0.1  # seconds before connecting again, doubled each time up to
LONGEST_DELAY = 5.0

Steady = Callable[[], None]
Use = Callable[[Connection, Steady], Awaitable[None]]


async def lasting(
    dsn: str, role: str, use: Use, away: Callable[[str], None], failed: Callable[[Exception], None]
) -> None:
    """Give *use* a connection to *dsn* as *role*, and another one whenever it ends, until cancelled.

    *use* calls the function that it is given when all is well: then the next try comes soon. *away* is told why the
    database cannot be reached, and *failed* of any other exception while it is handled: a bug in *use* must not end
    the following for good.
    """
    delay = FIRST_DELAY

    def steady() -> None:
        nonlocal delay
        delay = FIRST_DELAY

    while True:
        try:
            conn = await connect(dsn, role)
            try:
                await use(conn, steady)
            finally:
                await conn.close()
        except OperationalError as error:
            away(" ".join(str(error).split()))
        except Exception as error:  # noqa: BLE001 - see above
            failed(error)
        await asyncio.sleep(delay)
        delay = min(2 * delay, LONGEST_DELAY)
