"""What owners, gateways and claimants sign, carried out on a real Postgres as the desk does it (role `ddns_web`)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import attesting
import people
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from people import DAY, NOW, kid, p256, thumb
from waiting import wait_for

from ddns.proof import b64, jwk
from ddns.proof.statements import (
    AddOwnerKey,
    AnnounceKey,
    ApproveKey,
    BindOwner,
    Claim,
    DeviceKey,
    Evidence,
    Found,
    Leave,
    Object,
    ObjectRecovery,
    Recover,
    Release,
    RemoveOwnerKey,
    Replace,
    Return,
    RevokeKey,
    RollKey,
    Stolen,
)

SMITH = "smith.homes.example."
GATEWAY, OWNER, ADMIN, RECOVERY, BOX = (p256(number) for number in range(101, 106))


@pytest.fixture
def smith(village):
    """The home smith, with a gateway in a box, an owner, an administrator and a recovery key."""
    return wait_for(village.family(GATEWAY, OWNER, BOX, ADMIN, RECOVERY))


async def test_a_new_gateway_takes_the_old_ones_place_in_one_edition(village, smith):
    new = p256()

    done = await village.say(Replace, new, OWNER, sub=SMITH)

    assert (done.event, done.home) == ("replace", "active")
    assert await village.live(smith) == {thumb(new)}
    assert await village.box_state(BOX) == "free"
    assert (await village.events(smith))[-1] == "replace"
    assert (await village.notices())[-1] == "gateway.replaced"
    await village.check()


async def test_a_gateway_that_was_reset_keeps_its_box(village, smith):
    new = p256()

    done = await village.say(Replace, new, ADMIN, sub=SMITH, same_box=True)

    assert done.event == "replace"
    assert await village.box_state(BOX) == "owned"
    assert await village.live(smith) == {thumb(new)}
    await village.check()


async def test_a_lost_key_is_announced_and_the_old_one_goes_on_until_the_new_one_is_approved(village, smith):
    new = p256()

    assert (await village.say(AnnounceKey, new, sub=SMITH)).event == "announce-key"
    assert await village.live(smith) == {thumb(GATEWAY)}
    await village.check()
    assert await village.say(ApproveKey, GATEWAY, sub=SMITH, key=kid(new)) == "not-yours"
    assert await village.say(ApproveKey, OWNER, sub=SMITH, key=kid(p256())) == "not-in-this-state"

    assert (await village.say(ApproveKey, OWNER, sub=SMITH, key=kid(new))).home == "active"

    assert await village.live(smith) == {thumb(new)}
    assert await village.say(ApproveKey, OWNER, sub=SMITH, key=kid(new)) == "not-in-this-state"
    await village.check()


async def test_a_pending_key_that_the_gateway_rolled_to_by_itself_is_not_put_twice(village, smith):
    new = p256()
    assert (await village.say(AnnounceKey, new, sub=SMITH)).event == "announce-key"
    assert (await village.say(RollKey, GATEWAY, new, sub=SMITH)).event == "roll-key"

    assert await village.say(ApproveKey, OWNER, sub=SMITH, key=kid(new)) == "not-in-this-state"
    assert await village.live(smith) == {thumb(new)}
    await village.check()


async def test_three_keys_may_be_pending_for_a_week(village, smith):
    for _ in range(3):
        assert (await village.say(AnnounceKey, p256(), sub=SMITH)).event == "announce-key"
    assert await village.say(AnnounceKey, p256(), sub=SMITH) == "keys-pending"

    village.now += 7 * DAY

    assert (await village.say(AnnounceKey, p256(), sub=SMITH)).event == "announce-key"
    await village.check()


async def test_a_revoked_key_leaves_the_apex_and_the_home_stays_its_owners(village, smith):
    done = await village.say(RevokeKey, OWNER, sub=SMITH, key=kid(GATEWAY))

    assert done.home == "keyless"
    assert await village.live(smith) == set()
    await village.check()
    new = p256()
    assert (await village.say(Replace, new, OWNER, sub=SMITH, same_box=True)).home == "active"
    await village.check()


async def test_a_gateway_rolls_its_key_and_the_old_one_says_nothing_more(village, smith):
    new = p256()

    assert (await village.say(RollKey, GATEWAY, new, sub=SMITH)).home == "active"

    assert await village.live(smith) == {thumb(new)}
    assert await village.say(RollKey, GATEWAY, p256(), sub=SMITH) == "not-yours"
    await village.check()


async def test_a_home_without_an_owner_gets_one_by_its_gateways_word_alone(village):
    zone = await village.home("smith", GATEWAY)
    stranger = p256()

    assert await village.say(BindOwner, stranger, OWNER, sub=SMITH) == "not-yours"
    assert (await village.say(BindOwner, GATEWAY, OWNER, sub=SMITH)).event == "bind-owner"
    assert await village.say(BindOwner, GATEWAY, stranger, sub=SMITH) == "not-in-this-state"
    assert (await village.say(Leave, OWNER, sub=SMITH)).home == "closed"
    assert await village.live(zone) == set()
    await village.check()


@pytest.mark.parametrize("sub", [SMITH, "nobody.homes.example."], ids=["there", "not there"])
@pytest.mark.parametrize("kind", [Leave, Stolen, Object, Return], ids=lambda kind: kind.__name__)
async def test_a_stranger_is_told_the_same_whether_the_home_is_there_or_not(village, smith, kind, sub):
    assert await village.say(kind, p256(), sub=sub) == "not-yours"


async def test_a_polite_sale_takes_the_box_and_leaves_the_name(village, smith):
    secret = b"one-time secret of the buyer"
    bearer = b64.encode(sha256(secret).digest())

    done = await village.say(Release, OWNER, sub=SMITH, until=NOW + 30 * DAY, bearer=bearer)

    assert (done.home, done.box) == ("keyless", "free")
    assert await village.live(smith) == set()
    assert await village.box_state(BOX) == "free"
    assert await village.say(Release, OWNER, sub=SMITH, until=NOW + DAY, bearer=bearer) == "not-in-this-state"
    await village.check()


async def test_a_box_that_was_released_and_not_taken_can_still_be_reported_stolen(village, smith):
    assert (await village.say(Release, OWNER, sub=SMITH, until=NOW + DAY, bearer="A" * 43)).box == "free"

    assert (await village.say(Stolen, OWNER, sub=SMITH)).box == "stolen"
    assert await village.box_state(BOX) == "stolen"
    assert (await village.say(Found, OWNER, sub=SMITH)).box == "free"
    await village.check()


async def test_who_once_had_a_box_cannot_report_what_somebody_else_released(village, smith):
    assert (await village.say(Release, OWNER, sub=SMITH, until=NOW + DAY, bearer="A" * 43)).box == "free"
    buyer, gateway = p256(), p256()
    await village.admin.execute("UPDATE releases SET spent_at = until")
    await village.home("jones", gateway, buyer, BOX)

    assert await village.say(Stolen, OWNER, sub=SMITH) == "not-in-this-state"
    jones = "jones.homes.example."
    assert (await village.say(Release, buyer, sub=jones, until=NOW + DAY, bearer="E" * 43)).box == "free"
    assert await village.say(Stolen, OWNER, sub=SMITH) == "not-in-this-state"
    assert await village.box_state(BOX) == "free"


async def test_a_stolen_box_stays_stolen_when_its_home_has_a_new_one(village, smith):
    assert (await village.say(Stolen, ADMIN, sub=SMITH)).home == "keyless"
    assert await village.say(Replace, p256(), OWNER, sub=SMITH, same_box=True) == "box-stolen"
    new = p256()
    assert (await village.say(Replace, new, OWNER, sub=SMITH)).home == "active"
    assert await village.box_state(BOX) == "stolen"
    await village.check()

    assert (await village.say(Found, OWNER, sub=SMITH)).event == "found"

    assert await village.box_state(BOX) == "free"
    assert await village.live(smith) == {thumb(new)}
    assert await village.say(Found, OWNER, sub=SMITH) == "not-in-this-state"
    await village.check()


async def test_a_home_that_leaves_can_return_for_30_days_and_its_keys_are_gone(village, smith):
    assert (await village.say(Leave, OWNER, sub=SMITH)).home == "closed"
    assert await village.say(Replace, p256(), OWNER, sub=SMITH) == "not-in-this-state"
    await village.check()
    village.now += 30 * DAY - 1

    assert (await village.say(Return, OWNER, sub=SMITH)).home == "keyless"
    await village.check()
    assert (await village.say(Replace, p256(), OWNER, sub=SMITH)).home == "active"
    await village.check()
    assert (await village.say(Leave, OWNER, sub=SMITH)).home == "closed"
    village.now += 30 * DAY
    assert await village.say(Return, OWNER, sub=SMITH) == "not-in-this-state"


async def test_a_devices_key_stands_at_its_own_name(village, smith):
    lamp = p256()

    done = await village.say(DeviceKey, GATEWAY, lamp, sub=SMITH, name="lamp.smith.homes.example.")

    assert done.event == "device-key"
    assert thumb(lamp) in await village.live(smith)
    assert await village.say(DeviceKey, GATEWAY, p256(), sub=SMITH, name=SMITH) == "not-in-this-state"
    assert await village.say(DeviceKey, GATEWAY, p256(), sub=SMITH, name="a..b") == "field-wrong"
    assert await village.say(DeviceKey, lamp, p256(), sub=SMITH, name="x.smith.homes.example.") == "not-yours"
    await village.check()


async def test_owners_keys_are_added_and_taken_away_and_one_stays(village, smith):
    second = p256()

    assert await village.say(RemoveOwnerKey, OWNER, key=kid(OWNER)) == "last-owner-key"
    assert (await village.say(AddOwnerKey, OWNER, second, role="owner", note="my other phone")).event == "add-owner-key"
    assert await village.say(AddOwnerKey, OWNER, second, role="admin") == "key-known"
    assert await village.say(AddOwnerKey, ADMIN, p256(), role="owner") == "not-yours"
    assert await village.say(RemoveOwnerKey, ADMIN, key=kid(OWNER)) == "not-yours"
    assert (await village.say(RemoveOwnerKey, ADMIN, key=kid(ADMIN))).event == "remove-owner-key"
    assert (await village.say(RemoveOwnerKey, second, key=kid(OWNER))).event == "remove-owner-key"
    assert await village.say(Leave, OWNER, sub=SMITH) == "not-yours"
    await village.check()


async def test_a_recovery_can_be_objected_to_and_then_keys_alone_decide_nothing(village, smith):
    thief = p256()

    done = await village.say(Recover, ADMIN, thief)
    assert done.until == NOW + 3 * DAY
    assert await village.say(Recover, RECOVERY, p256()) == "recovery-open"
    assert await village.say(Release, OWNER, sub=SMITH, until=NOW + DAY, bearer="A" * 43) == "recovery-open"
    assert await village.say(ObjectRecovery, ADMIN) == "not-in-this-state"
    assert (await village.say(ObjectRecovery, OWNER)).event == "object-recovery"
    assert await village.say(Recover, RECOVERY, p256()) == "recovery-disputed"
    assert await village.say(Leave, OWNER, sub=SMITH) == "recovery-disputed"
    assert (await village.say(Replace, p256(), OWNER, sub=SMITH)).event == "replace", "the home goes on"
    await village.check()


async def test_a_statement_for_another_registry_is_not_for_us(village, smith):
    assert await village.say(Leave, OWNER, aud="other.example.", sub="smith.other.example.") == "statement-not-for-us"
    assert await village.say(Leave, OWNER, aud=SMITH, sub="a.smith.homes.example.") == "statement-not-for-us"


async def claimed(village, claimant, box=BOX, tenant=1):
    return await village.say(Claim, claimant, box, nonce=village.nonce(), tenant=tenant)


async def test_a_claim_waits_and_its_owner_is_told_and_may_object(village, smith):
    claimant = p256()

    done = await claimed(village, claimant)

    assert (done.event, done.until) == ("claim", NOW + 30 * DAY)
    assert (await village.notices())[-1] == "claim.filed"
    assert await claimed(village, p256()) == "box-claimed"
    assert (await village.say(Object, ADMIN, sub=SMITH)).box == "owned"
    assert await claimed(village, claimant) == "claim-barred"
    assert (await claimed(village, p256())).event == "claim", "somebody else may"
    await village.check()


async def test_a_claim_needs_a_fresh_nonce_and_the_boxs_own_key(village, smith):
    once = village.nonce()
    claimant = p256()

    assert await village.say(Claim, claimant, BOX, nonce="") == "nonce-wrong"
    assert await village.say(Claim, claimant, p256(), nonce=village.nonce()) == "not-in-this-state"
    assert (await village.say(Claim, claimant, BOX, nonce=once)).event == "claim"
    assert (await village.say(Object, OWNER, sub=SMITH)).event == "object"
    assert await village.say(Claim, p256(), BOX, nonce=once) == "nonce-wrong"
    village.now += 601
    late = people.nonce.make(people.SECRET, village.now - 1, bytes(12))
    assert await village.say(Claim, p256(), BOX, nonce=late) == "nonce-wrong"


async def test_a_claim_from_another_tenant_crosses_the_wall_and_says_nothing_of_either_side(village, smith):
    other = await village.tenant_called("reseller")
    claimant = p256()

    done = await claimed(village, claimant, tenant=other)

    assert (done.home, done.box) == ("none", "claimed")
    assert (await village.notices())[-1] == "claim.filed"
    assert await village.notices(other) == []
    assert (await village.say(Object, OWNER, sub=SMITH)).event == "object"
    assert await village.notices(other) == ["claim.objected"]
    cursor = await village.admin.execute("SELECT body FROM outbox WHERE tenant = %s", [other])
    assert b"smith" not in (await cursor.fetchone())[0]
    await village.check()


async def test_one_statement_is_one_event_however_often_and_by_however_many_it_is_sent(village, smith, connected):
    octets = village.signed(Leave, OWNER, sub=SMITH)
    second = await connected("ddns_web")

    done = await asyncio.gather(village.send(octets), village.send(octets, conn=second))

    assert sorted(getattr(one, "event", one) for one in done) == ["again", "leave"]
    assert await village.send(octets) == "again"
    assert (await village.events(smith)).count("leave") == 1
    await village.check()


async def test_two_who_want_different_things_at_once_leave_one_whole_home(village, smith, connected):
    one, two = p256(), p256()
    second = await connected("ddns_web")

    done = await asyncio.gather(
        village.send(village.signed(Replace, one, OWNER, sub=SMITH)),
        village.send(village.signed(Replace, two, ADMIN, sub=SMITH), conn=second),
    )

    assert [one.event for one in done] == ["replace", "replace"]
    assert len(await village.live(smith)) == 1
    await village.check()


async def bond_of(village, key):
    """Bond a vendor whose CA has this key."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a vendor's CA")])
    begin = datetime(2020, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, begin, begin + timedelta(days=36_500))
    octets = builder.sign(key, SHA256()).public_bytes(Encoding.DER)
    await village.admin.execute(
        "INSERT INTO bonds (vendor, idevid_anchors, masa_keys, since) VALUES ('acme', %s, %s, now())",
        [[octets], [octets]],
    )


async def test_a_vendor_is_told_that_he_has_no_say_and_changes_nothing(village, smith):
    """Row 24 of the machine: his own keys, for a home that is there, for one that is not, and about an owner."""
    vendor = p256()
    await bond_of(village, vendor)

    for kind, signers, fields in (
        (RevokeKey, (vendor,), {"sub": SMITH, "key": kid(GATEWAY)}),
        (Replace, (vendor, p256()), {"sub": SMITH}),
        (AnnounceKey, (vendor,), {"sub": SMITH}),
        (Leave, (vendor,), {"sub": "nobody.homes.example."}),
        (AddOwnerKey, (vendor, p256()), {"role": "owner"}),
    ):
        assert await village.say(kind, *signers, **fields) == "vendor-has-no-say"
    assert await village.live(smith) == {thumb(GATEWAY)}
    assert "revoke-key" not in await village.events(smith)


async def test_an_owner_whose_key_happens_to_be_a_vendors_is_an_owner(village):
    vendor = p256()
    await bond_of(village, vendor)
    await village.home("smith", GATEWAY, vendor)

    assert (await village.say(RevokeKey, vendor, sub=SMITH, key=kid(GATEWAY))).home == "keyless"


def evidence(village, key):
    """Return evidence, over a fresh nonce of the registry's, that hardware holds *key*."""
    token = attesting.as_jwt(eat_nonce=village.nonce(), cnf={"jwk": jwk.members(jwk.of(key))})
    return Evidence(type="application/eat+jwt", value=b64.encode(token))


async def tiers(village, zone):
    cursor = await village.admin.execute(
        """SELECT credentials.assurance, appraisals.method FROM credentials
           LEFT JOIN appraisals ON appraisals.credential = credentials.id
           WHERE home = %s AND revoked_at IS NULL""",
        [zone],
    )
    return await cursor.fetchall()


async def test_where_hardware_is_asked_for_a_new_gateway_shows_it_and_once(village, smith):
    """The tier is the new key's own: evidence over the registry's nonce gives it, and a rolled key shows it anew."""
    await village.admin.execute(
        "INSERT INTO home_policies (tenant, zone, least) SELECT 1, id, 'attested' FROM zones WHERE parent IS NULL"
    )
    keys = [jwk.to_json(jwk.of(attesting.SIGNER))]
    rules = b'{"all": [{"claim": "oemid", "there": true}], "gives": "attested"}'
    await village.admin.execute(
        "INSERT INTO verifiers (name, keys, anchors, rules, valid) VALUES ('v', %s, '{}', %s, 1000)", [keys, rules]
    )
    new, other, third = p256(), p256(), p256()

    assert await village.say(Replace, new, OWNER, sub=SMITH) == "assurance-below-policy"
    shown = evidence(village, new)
    assert await village.say(Replace, other, OWNER, sub=SMITH, evidence=shown) == "evidence-key-wrong"
    assert (await village.say(Replace, new, OWNER, sub=SMITH, evidence=shown)).home == "active"
    assert await tiers(village, smith) == [("attested", "attested")]
    assert await village.say(Replace, new, OWNER, sub=SMITH, evidence=shown) == "nonce-wrong"

    assert (await village.say(RollKey, new, other, sub=SMITH, evidence=evidence(village, other))).home == "active"
    assert await tiers(village, smith) == [("attested", "attested")]
    assert (await village.say(RollKey, other, third, sub=SMITH)).home == "active"
    assert await tiers(village, smith) == [("token", None)], "hardware is shown anew, or not believed"
    await village.check()


async def test_a_key_that_is_rolled_keeps_its_tier_and_for_as_long(village, smith, owner):
    await village.admin.execute("UPDATE credentials SET assurance = 'voucher'")
    await owner.execute(
        """INSERT INTO appraisals (credential, method, evidence, assurance, at, until)
           SELECT id, 'voucher', '', 'voucher', now(), to_timestamp(%s) FROM credentials""",
        [NOW + DAY],
    )

    assert (await village.say(RollKey, GATEWAY, p256(), sub=SMITH)).home == "active"

    assert await tiers(village, smith) == [("voucher", "voucher")]
    cursor = await village.admin.execute("SELECT count(DISTINCT until) FROM appraisals")
    assert await cursor.fetchone() == (1,)
