"""What falls due with time alone, and what operators do, on a real Postgres: claims, recoveries, holds, and sweeps."""

from __future__ import annotations

from uuid import uuid4

import pytest
from people import DAY, NOW, Undone, kid, p256, thumb
from waiting import wait_for

from ddns.dns import names
from ddns.dns.refusal import Refusal
from ddns.homes import due, operating
from ddns.homes.operating import Operator
from ddns.homes.ownership_facts import Waits
from ddns.proof import jwk
from ddns.proof.statements import (
    AnnounceKey,
    BindOwner,
    Claim,
    Leave,
    Object,
    ObjectRecovery,
    Recover,
    Replace,
    Return,
    RevokeKey,
)
from ddns.signing.publish import NO_SIGNER
from ddns.store import owners, releases, zones
from ddns.store.tenancy import entered

SMITH = "smith.homes.example."
GATEWAY, OWNER, ADMIN, RECOVERY, BOX = (p256(number) for number in range(201, 206))


@pytest.fixture
def smith(village):
    return wait_for(village.family(GATEWAY, OWNER, BOX, ADMIN, RECOVERY))


async def tick(village, what, tenant=1):
    """Have the clock do one thing, in a transaction as the desk's chores have it."""
    async with village.desk.transaction():
        await entered(village.desk, tenant)
        return await what(village.desk, NO_SIGNER, tenant, village.now, uuid4)


async def owner_of(village, key, tenant=1):
    return (await owners.by_thumbprint(village.admin, tenant, thumb(key))).owner


async def operate(village, event, reason="because", name="anna", *, home=SMITH, key=b""):
    try:
        async with village.admin.transaction():
            await entered(village.admin, 1)
            operator = Operator(name=name, reason=reason, tenant=1, now=village.now, new_id=uuid4)
            done = await operating.with_home(
                village.admin, NO_SIGNER, names.from_text(home), event, operator, key
            )  # fmt: skip
            if isinstance(done, Refusal):
                raise Undone(done.code)  # noqa: TRY301
    except Undone as refused:
        return str(refused)
    return done


async def operate_owner(village, event, name="anna", reason="he came to our office", key=None):
    try:
        async with village.admin.transaction():
            await entered(village.admin, 1)
            operator = Operator(name=name, reason=reason, tenant=1, now=village.now, new_id=uuid4)
            owner = await owner_of(village, OWNER)
            public = None if key is None else jwk.of(key)
            done = await operating.with_owner(village.admin, NO_SIGNER, owner, event, operator, Waits(), public)
            if isinstance(done, Refusal):
                raise Undone(done.code)  # noqa: TRY301
    except Undone as refused:
        return str(refused)
    return done


async def test_a_claim_that_nobody_answers_is_granted_when_it_is_due_and_takes_the_box_and_not_the_name(village, smith):
    other = await village.tenant_called("reseller")
    claimant = p256()
    assert (await village.say(Claim, claimant, BOX, nonce=village.nonce(), tenant=other)).event == "claim"

    village.now = NOW + 30 * DAY - 1
    assert await tick(village, due.decide_claim) == 0
    village.now = NOW + 30 * DAY
    assert await tick(village, due.decide_claim, other) == 0, "the box is in no home of that tenant"
    assert await tick(village, due.decide_claim) == 1

    assert await village.live(smith) == set()
    assert await village.box_state(BOX) == "free"
    assert (await village.notices())[-1] == "claim.granted"
    assert await village.notices(other) == ["claim.granted"]
    cursor = await village.admin.execute("SELECT device FROM releases")
    (device,) = await cursor.fetchone()
    release = await releases.of(village.admin, device)
    assert (release.receiver, release.bearer, release.until) == (thumb(claimant), None, NOW + 60 * DAY)
    assert (await zones.get(village.admin, [smith]))[smith].origin == names.from_text(SMITH)
    assert await tick(village, due.decide_claim) == 0
    assert await village.say(Object, OWNER, sub=SMITH) == "not-in-this-state"
    await village.check()


async def use(village, at):
    await village.admin.execute(
        """INSERT INTO credential_uses (credential, used_at, used_from)
           SELECT id, to_timestamp(%s), '192.0.2.0/24' FROM credentials WHERE kind = 'sig0'""",
        [at],
    )


async def test_a_box_in_use_ends_the_claim_and_one_used_before_does_not(village, smith):
    claimant = p256()
    await use(village, NOW - 1)
    assert (await village.say(Claim, claimant, BOX, nonce=village.nonce())).event == "claim"
    assert await tick(village, due.decide_claim) == 0

    await village.admin.execute("UPDATE credential_uses SET used_at = to_timestamp(%s)", [NOW + 60])
    village.now += 120

    assert await tick(village, due.decide_claim) == 1
    assert (await village.events(smith))[-1] == "use"
    assert await village.live(smith) == {thumb(GATEWAY)}
    cursor = await village.admin.execute("SELECT state FROM claims")
    assert await cursor.fetchall() == [("used",)]
    await village.check()


async def test_a_claim_on_a_held_home_waits_until_it_is_released(village, smith):
    assert (await village.say(Claim, p256(), BOX, nonce=village.nonce())).event == "claim"
    assert (await operate(village, "suspend")).home == "suspended"
    village.now = NOW + 31 * DAY

    assert await tick(village, due.decide_claim) == 0
    assert (await operate(village, "release-hold")).home == "active"
    assert await tick(village, due.decide_claim) == 1
    await village.check()


async def test_a_claim_of_which_nobody_was_told_is_not_granted(village, smith, owner):
    assert (await village.say(Claim, p256(), BOX, nonce=village.nonce())).event == "claim"
    await owner.execute("DELETE FROM outbox WHERE kind = 'claim.filed'")
    village.now = NOW + 31 * DAY

    assert await tick(village, due.decide_claim) == 0
    assert await village.live(smith) == {thumb(GATEWAY)}


async def test_a_lost_owner_key_is_replaced_by_the_recovery_key_after_three_days(village, smith):
    new = p256()
    assert (await village.say(Recover, RECOVERY, new)).until == NOW + 3 * DAY
    village.now = NOW + 3 * DAY - 1
    assert await tick(village, due.finish_recovery) == 0
    assert await village.say(Leave, new, sub=SMITH) == "not-yours"

    village.now = NOW + 3 * DAY
    assert await tick(village, due.finish_recovery) == 1

    assert await village.say(Leave, OWNER, sub=SMITH) == "not-yours"
    assert await village.say(Recover, RECOVERY, p256()) == "not-yours", "it is used up"
    assert (await village.say(Leave, new, sub=SMITH)).home == "closed"
    assert await tick(village, due.finish_recovery) == 0
    await village.check()


async def test_the_registrys_own_recovery_takes_two_operators_after_an_objection(village, smith):
    new = p256()
    assert await operate_owner(village, "recover", reason=" ", key=new) == "reason-needed"
    assert (await operate_owner(village, "recover", key=new)).until == NOW + 14 * DAY
    assert (await village.say(ObjectRecovery, ADMIN)).event == "object-recovery"
    village.now = NOW + 14 * DAY
    assert await tick(village, due.finish_recovery) == 0
    assert await operate_owner(village, "confirm-recovery", "anna") == "not-in-this-state"
    assert (await operate_owner(village, "confirm-recovery", "bert")).event == "confirm-recovery"

    assert await tick(village, due.finish_recovery) == 1

    assert await village.say(Leave, ADMIN, sub=SMITH) == "not-yours"
    assert (await village.say(Leave, new, sub=SMITH)).home == "closed"
    cursor = await village.admin.execute("SELECT state FROM recoveries")
    assert await cursor.fetchall() == [("done",)]
    await village.check()


async def test_a_dispute_ends_by_the_registrys_word(village, smith):
    assert (await village.say(Recover, ADMIN, p256())).event == "recover"
    assert (await village.say(ObjectRecovery, OWNER)).event == "object-recovery"
    assert await village.say(Leave, OWNER, sub=SMITH) == "recovery-disputed"

    assert (await operate_owner(village, "drop-recovery")).event == "drop-recovery"

    assert (await village.say(Leave, OWNER, sub=SMITH)).home == "closed"
    assert await tick(village, due.finish_recovery) == 0


async def test_a_held_home_is_its_owners_still_and_says_why(village, smith):
    assert await operate(village, "suspend", "") == "reason-needed"
    assert (await operate(village, "quarantine", "it floods")).home == "quarantined"
    await village.check()
    assert await village.say(Replace, p256(), OWNER, sub=SMITH) == "home-held"
    assert await village.say(AnnounceKey, p256(), sub=SMITH) == "home-held"
    assert await village.say(Leave, OWNER, sub=SMITH) == "home-held"
    assert (await village.say(RevokeKey, OWNER, sub=SMITH, key=kid(GATEWAY))).home == "quarantined"
    assert (await operate(village, "release-hold", "it was mended")).home == "keyless"
    cursor = await village.admin.execute("SELECT body FROM outbox WHERE kind = 'home.held' AND owner IS NOT NULL")
    assert b"it floods" in (await cursor.fetchone())[0]
    assert (await village.events(smith))[-3:] == ["quarantine", "revoke-key", "release-hold"]
    await village.check()


async def test_an_operator_approves_a_key_for_who_has_no_owner(village):
    zone = await village.home("jones", GATEWAY)
    new = p256()
    jones = "jones.homes.example."
    assert (await village.say(AnnounceKey, new, sub=jones)).event == "announce-key"

    assert (await operate(village, "approve-key", home=jones, key=thumb(new))).home == "active"

    assert await village.live(zone) == {thumb(new)}
    assert (await village.say(BindOwner, new, OWNER, sub=jones)).event == "bind-owner"
    await village.check()


async def test_what_a_home_left_behind_goes_after_30_days_and_its_label_rests_on(village, smith):
    assert (await village.say(Leave, OWNER, sub=SMITH)).home == "closed"
    other = await village.tenant_called("reseller")
    village.now = NOW + 30 * DAY - 1
    assert await tick(village, due.sweep_home) == 0
    village.now = NOW + 30 * DAY
    assert await tick(village, due.sweep_home, other) == 0

    assert await tick(village, due.sweep_home) == 1

    assert smith not in await zones.get(village.admin, [smith])
    assert (await village.events(smith))[-2:] == ["leave", "sweep"]
    assert await village.say(Return, OWNER, sub=SMITH) == "not-yours"
    cursor = await village.admin.execute("SELECT extract(epoch FROM free_at)::bigint FROM resting_labels")
    assert await cursor.fetchall() == [(NOW + 90 * DAY,)]
