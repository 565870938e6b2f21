"""Have the keys of all zones looked at whose signing policy has changed: page by page, and whatever waits comes first.

Whoever changes a policy writes one row. From there signers walk through the policy's zones, a million homes where it is
that of homes: each page is a transaction of its own that also says how far they have come, so that any signer goes on
where another was killed. A page is woken when nothing is left to be done of the page before.
"""

from __future__ import annotations

from ddns.store.packing import bigints
from zone_signer import keybook, leases
from zone_signer.policies import Policies
from zone_signer.store import Conn, rows_of

PAGE = 1000  # zones; locked for as long as it takes to write so many rows, and looked at before the next ones
PASSED = 5000  # zones at most that are passed to find those of the policy: no page reads more of a million


async def wake(conn: Conn, known: Policies, now: int) -> bool:
    """Have the keys of a page of zones looked at from *now* on; tell whether there was any walk to go on with.

    *known* learns the policies as they are behind the change. Raises `psycopg.errors.LockNotAvailable` where somebody
    holds one of the zones for long: the page is left to the next time.
    """
    async with conn.transaction():
        await conn.execute(f"SET LOCAL lock_timeout = {leases.BUSY_WAIT}")
        walks = await rows_of(
            conn,
            """SELECT name, woken FROM signing_policies WHERE woken IS NOT NULL ORDER BY name LIMIT 1
               FOR NO KEY UPDATE SKIP LOCKED""",
            {},
        )
        if not walks:
            return False
        ((name, after),) = walks
        known.learn(await keybook.policies(conn))
        ends = await rows_of(
            conn,
            "SELECT id FROM zones WHERE id > %(after)s ORDER BY id OFFSET %(most)s - 1 LIMIT 1",
            {"after": after, "most": PASSED},
        )
        end = ends[0][0] if ends else None
        page = await rows_of(
            conn,
            """SELECT id FROM zones
               WHERE id > %(after)s AND id <= %(end)s AND edition > 0 AND denial <> 'none'
                 AND coalesce(policy, CASE WHEN parent IS NULL THEN 'default' ELSE 'home' END) = %(name)s
               ORDER BY id LIMIT %(page)s FOR NO KEY UPDATE""",
            {"after": after, "end": (1 << 63) - 1 if end is None else end, "name": name, "page": PAGE},
        )
        ids = [zone for (zone,) in page]
        await conn.execute(
            """UPDATE signing SET step_at = to_timestamp(%(now)s)
               WHERE zone = ANY(%(ids)s) AND (step_at IS NULL OR step_at > to_timestamp(%(now)s))""",
            {"now": now, "ids": bigints(ids)},
        )
        await conn.execute(
            "UPDATE signing_policies SET woken = %(woken)s WHERE name = %(name)s",
            {"name": name, "woken": ids[-1] if len(ids) == PAGE else end},
        )
    return True
