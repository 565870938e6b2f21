"""Three days without any signer, again and again at the worst moment: nothing expires, and alarms come days before.

It is the refresh code that is shown: small zones, which are renewed as a whole, and big ones, which are in slices.
"""

from __future__ import annotations

import pytest
from lives import DAY, Life
from signing import Update, read, validate
from waiting import wait_for

from ddns.dns.names import from_text
from ddns.operator import signing
from ddns.store import published
from zone_signer import health, refresh, worker
from zone_signer.rrsig import read as read_sig

OUTAGE = 3 * DAY
POLICIES = {
    "as-it-comes": {},
    "the-least-that-is-allowed": {"refresh": "3d", "jitter": "0", "validity": "6d"},
    "the-least-with-jitter": {"refresh": "3d", "jitter": "2d", "validity": "8d"},
    "long": {"refresh": "30d", "jitter": "20d", "validity": "90d"},
}


@pytest.fixture
def life(admin, conn, connected, dsn_for):
    return Life(admin, wait_for(connected("zone_signer")), conn, dsn_for)


def written(label):
    name = from_text(f"{label}.a.test.")
    return {name: read("a.test.", f"{label} 60 A 192.0.2.2")[name]}


async def ends(life, zone):
    """Return when the first signature of all that is published ends."""
    return min(
        read_sig(sig, life.now).expiration for one in await published.read_zone(life.conn, zone.id) for sig in one.sigs
    )


async def due(life, zone):
    rows = await life.conn.execute(
        "SELECT extract(epoch FROM resign_at)::bigint FROM signing WHERE zone = %s", (zone.id,)
    )
    ((at,),) = await rows.fetchall()
    return at


async def alarms(life, at):
    async with life.conn.transaction():
        await life.conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        found = await health.report(life.conn, at)
    return {one.code for one in found.alarms if one.zone == "a.test." and one.code.startswith("signature-")}


@pytest.mark.parametrize("policy", [pytest.param(settings, id=name) for name, settings in POLICIES.items()])
@pytest.mark.parametrize("big", [False, True], ids=["small", "big"])
async def test_nothing_expires_while_every_signer_is_away_for_three_days(life, admin, monkeypatch, big, policy):
    if big:
        monkeypatch.setattr(worker, "BIG", 1)
        monkeypatch.setattr(refresh, "SLICE", 3)
        monkeypatch.setattr(refresh, "PAGE", 4)
    if policy:
        await signing.put(admin, {"default": policy})
    zone = await life.zone("a.test.", *(f"h{number} 60 A 192.0.2.1" for number in range(12)))
    await life.settle()

    for outage in range(6):
        # The last that the signer does is a second too early to renew what falls due next.
        life.now = await due(life, zone) - 1
        await life.sweep()
        began, first_due = life.now, await due(life, zone)
        assert first_due == began + 1
        expires = await ends(life, zone)

        assert expires > began + OUTAGE
        shown = await published.read_zone(life.conn, zone.id)
        assert validate(zone.origin, shown, began + OUTAGE) >= len(shown)
        assert await alarms(life, began + DAY) == set()
        assert await alarms(life, first_due + DAY) == {"signature-late"}
        assert expires - (first_due + DAY) >= 2 * DAY  # for a person to start a signer
        assert await alarms(life, expires - DAY) == {"signature-expires"}

        life.now = began + OUTAGE
        if outage % 2:  # while it was away somebody wrote
            async with life.server.transaction():
                update = await Update.make(life.server, zone.id, written(f"t{outage}"))
                await update.commit(None)
        await life.sweep()
        assert await alarms(life, life.now) == set()
        assert await ends(life, zone) > life.now + OUTAGE
        assert await due(life, zone) > life.now
