"""Evidence of hardware is over one day: the key falls to what it has without, its owner is told, the home goes on."""

import json

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from makers import Maker
from people import NOW, REGISTRY, p256

from ddns.dns import names
from ddns.homes import lapsing, making
from ddns.homes.making import Evidence, Wanted
from ddns.operator import vendors, verifiers
from ddns.proof import jwk
from ddns.signing.publish import NO_SIGNER
from ddns.store import zones
from ddns.store.tenancy import entered

RULES = b'{"all": [{"claim": "oemid", "there": true}], "gives": "attested"}'


async def home(village, label, method, *, until=NOW + 100, bond=None):
    """Make a home whose key was attested, and return its zone."""
    key = json.dumps(jwk.members(jwk.of(p256()))).encode()
    verifier = await verifiers.add(village.admin, None, label, RULES, "operator:test", NOW, keys=key)
    async with village.desk.transaction():
        await entered(village.desk, 1)
        registry = await zones.find(village.desk, REGISTRY)
        wanted = Wanted(
            name=names.prepend(label.encode(), REGISTRY), key=jwk.to_key_rdata(jwk.of(p256())), assurance="attested",
            who="test", evidence=Evidence(method, b"shown", until, bond, verifier.id),
        )  # fmt: skip
        made = await making.make(village.desk, NO_SIGNER, registry, [wanted], NOW)
    return made.made[0].zone


async def bonded(village):
    maker = Maker()
    anchors, keys = (one.public_bytes(Encoding.PEM) for one in (maker.anchor, maker.masa))
    return (
        await vendors.bond(village.admin, None, "Acme", anchors, "operator:test", NOW, masa_keys=keys, assurance="qr")
    ).id


async def lapse(village, now, most=10):
    async with village.desk.transaction():
        await entered(village.desk, 1)
        return await lapsing.lapse(village.desk, now, most)


async def assurance(village, zone):
    cursor = await village.admin.execute(
        "SELECT assurance, revoked_at IS NULL FROM credentials WHERE home = %s", [zone]
    )
    return await cursor.fetchone()


@pytest.mark.parametrize(("shift", "count"), [(-1, 0), (0, 1)])
async def test_it_is_over_at_its_last_second_and_not_before(village, shift, count):
    zone = await home(village, "smith", "invitation")

    assert await lapse(village, NOW + 100 + shift) == count
    assert await assurance(village, zone) == ("token" if count else "attested", True)


@pytest.mark.parametrize(("method", "left"), [("invitation", "token"), ("attested", "open"), ("voucher", "qr")])
async def test_what_is_left_is_what_the_key_has_without(village, method, left):
    zone = await home(village, "smith", method, bond=await bonded(village) if method == "voucher" else None)

    assert await lapse(village, NOW + 200) == 1
    assert await assurance(village, zone) == (left, True)


async def test_it_happens_once_with_a_line_in_the_history_and_a_notice(village):
    zone = await home(village, "smith", "invitation")

    assert [await lapse(village, NOW + 200) for _ in range(2)] == [1, 0]

    cursor = await village.admin.execute(
        "SELECT event, who, before, after FROM home_events WHERE zone = %s AND event <> 'enrol'", [zone]
    )
    assert await cursor.fetchall() == [("evidence-over", "clock", "attested", "token")]
    cursor = await village.admin.execute("SELECT kind, body FROM outbox WHERE kind LIKE 'evidence%'")
    ((kind, body),) = await cursor.fetchall()
    assert (kind, json.loads(body)) == (
        "evidence.over",
        {"home": "smith.homes.example.", "key": "smith.homes.example.", "assurance": "token"},
    )


async def test_many_are_done_in_pieces_the_oldest_first(village):
    made = [await home(village, f"h{number}", "invitation", until=NOW + number) for number in range(1, 4)]

    assert await lapse(village, NOW + 10, most=2) == 2
    assert [(await assurance(village, zone))[0] for zone in made] == ["token", "token", "attested"]


async def test_evidence_without_an_end_and_keys_that_are_revoked_are_left_alone(village):
    endless = await home(village, "endless", "invitation", until=None)
    revoked = await home(village, "revoked", "invitation")
    await village.admin.execute("UPDATE credentials SET revoked_at = now() WHERE home = %s", [revoked])

    assert await lapse(village, NOW + 10**6) == 0
    assert await assurance(village, endless) == ("attested", True)
    assert await assurance(village, revoked) == ("attested", False)


async def test_another_tenants_evidence_is_that_ones(village):
    await home(village, "smith", "invitation")
    other = await village.tenant_called("isp")

    async with village.desk.transaction():
        await entered(village.desk, other)
        assert await lapsing.lapse(village.desk, NOW + 200, 10) == 0
