"""Of two names that people may take for one another only one comes in, though both are asked for at once."""

from __future__ import annotations

import asyncio

import craft
import pytest
from committing import SEALER, House
from cryptography.hazmat.primitives.asymmetric import ec
from people import REGISTRY, Village, p256
from rows import n

from ddns.auth import keys, tsig
from ddns.auth.principal import Credential
from ddns.dns import names
from ddns.dns.codes import Rcode
from ddns.homes import making
from ddns.homes.making import Collided, Wanted, Why
from ddns.operator import homes
from ddns.proof import jwk
from ddns.signing.publish import NO_SIGNER
from ddns.store import zones
from ddns.store.tenancy import entered

SCOPE = "scope"
CYRILLIC = "\u0455\u0441\u043e\u0440\u0435"


def label(text):
    return text.encode("idna")


@pytest.fixture
def make(admin, connected):
    """What makes homes in a transaction of its own, and holds it open until a gate opens."""

    async def begun(registry, *texts, gate=None):
        conn = await connected("ddns_web")
        async with conn.transaction():
            await entered(conn, 1)
            found = await zones.find(conn, REGISTRY)
            wanted = [
                Wanted(name=names.prepend(label(text), registry), key=jwk.to_key_rdata(jwk.of(p256())), who="test")
                for text in texts
            ]
            await making.make(conn, NO_SIGNER, found, wanted, 1_800_000_000)
            if gate is not None:
                gate[0].set()
                await gate[1].wait()

    return begun


async def count(owner):
    cursor = await owner.execute("SELECT count(*) FROM homes")
    return (await cursor.fetchone())[0]


@pytest.mark.parametrize(("first", "second"), [(SCOPE, CYRILLIC), (CYRILLIC, SCOPE)], ids=["ASCII", "Cyrillic"])
async def test_of_two_at_the_same_time_the_first_has_it(admin, owner, desk_conn, make, first, second):
    """Neither has seen the other before; the second waits for the first, and then sees it."""
    await Village(admin, desk_conn).begin()
    begun, gate = asyncio.Event(), asyncio.Event()
    one = asyncio.ensure_future(make(REGISTRY, first, gate=(begun, gate)))
    await begun.wait()

    other = asyncio.ensure_future(make(REGISTRY, second))
    while not await _waits(owner):  # noqa: ASYNC110 - it is another process that is waited for
        await asyncio.sleep(0.01)
    gate.set()

    await one
    with pytest.raises(Collided) as refused:
        await other
    assert refused.value.why is Why.ALIKE
    assert await count(owner) == 1


async def _waits(owner):
    """Tell whether somebody waits for a lock."""
    cursor = await owner.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    return (await cursor.fetchone())[0] > 0


async def test_two_in_one_transaction_are_not_made(admin, owner, desk_conn, make):
    await Village(admin, desk_conn).begin()

    with pytest.raises(Collided) as refused:
        await make(REGISTRY, "doe", SCOPE, CYRILLIC)

    assert refused.value.homes == {names.prepend(label(one), REGISTRY) for one in (SCOPE, CYRILLIC)}
    assert await count(owner) == 0


async def test_names_in_plain_ascii_are_not_taken_for_one_another(admin, owner, desk_conn, make):
    await Village(admin, desk_conn).begin()

    await make(REGISTRY, "modem")
    await make(REGISTRY, "modern", "m0dem")

    assert await count(owner) == 3


async def test_of_two_invitations_that_look_alike_the_first_by_update_is_good(dsn_for, tmp_path):
    """Both were given before either home was there."""
    async with House(dsn_for, tmp_path) as house:
        row = await house.row()
        wanted = [names.prepend(label(text), n("smith.example.")) for text in (SCOPE, CYRILLIC)]
        async with house.admin.transaction():
            given = [await homes.put_invitation(house.admin, SEALER, row, one, 4_000_000_000, 1) for one in wanted]
        replies = []
        for ident, (home, one) in enumerate(zip(wanted, given, strict=True), 1):
            rdata = keys.key_rdata(ec.derive_private_key(ident, ec.SECP256R1()))
            record = home + b"\0\x19\0\1" + bytes(4) + len(rdata).to_bytes(2, "big") + rdata
            credential = Credential(0, one.key, "tsig", homes.INVITATION_ALGORITHM, secret=one.secret)
            wire = craft.message(record, origin=craft.ORIGIN, ident=ident)
            (reply,) = await house.send(tsig.sign_request(wire, credential, int(house.worker.now))[0])
            replies.append(reply)

        assert [one.rcode() for one in replies] == [Rcode.NOERROR, Rcode.REFUSED]
        cursor = await house.admin.execute("SELECT count(*) FROM homes")
        assert await cursor.fetchone() == (1,)
