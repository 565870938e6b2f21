"""A home that nobody owns gets its owner by an operator's code: once, in time, and told to nobody else."""

from __future__ import annotations

import pytest
from people import DAY, NOW, REGISTRY, p256
from waiting import wait_for

from ddns.dns import names
from ddns.homes import adopting as codes
from ddns.operator import adopting
from ddns.operator.fault import CannotDo
from ddns.proof.statements import Adopt, BindOwner, RevokeKey
from ddns.store import owners

SMITH = "smith.homes.example."
HOME = names.from_text(SMITH)
GATEWAY, OWNER, OTHER = (p256(number) for number in range(401, 404))


@pytest.fixture
def smith(village):
    return wait_for(village.home("smith", GATEWAY))


async def made(village, days=7, home=HOME) -> str:
    done = await adopting.make(village.admin, home, days, "operator:anna", village.now)
    return done.code.reveal().decode()


async def test_who_has_the_code_is_the_first_owner_and_nobody_after_him(village, smith):
    code = await made(village)

    done = await village.say(Adopt, OWNER, sub=SMITH, code=code.lower().replace("-", ""))

    assert (done.event, done.home) == ("bind-owner", "active")
    assert await village.events(smith) == ["enrol", "adoption-code", "bind-owner"]
    assert await village.notices() == ["home.enrolled", "owner.bound"]
    assert await village.say(Adopt, OTHER, sub=SMITH, code=code) == "not-yours"
    with pytest.raises(CannotDo, match="has an owner"):
        await made(village)
    await village.check()


async def test_a_code_that_is_wrong_over_replaced_or_anothers_says_no_more_than_no_home(village, smith):
    await village.home("jones", p256())
    old = await made(village)
    theirs = await made(village, home=names.prepend(b"jones", REGISTRY))
    code = await made(village, days=1)

    async def say(word, sub=SMITH):
        return await village.say(Adopt, OTHER, sub=sub, code=word)

    assert {await say(word) for word in (old, theirs, "A" * 24)} == {"not-yours"}
    assert await say(code, "nobody.homes.example.") == "not-yours"
    village.now += DAY
    assert await say(code) == "not-yours"
    assert await owners.by_thumbprint(village.admin, 1, b"x" * 32) is None
    cursor = await village.admin.execute("SELECT count(*) FROM owners")
    assert await cursor.fetchone() == (0,)


async def test_a_home_whose_keys_were_taken_is_adopted_too_and_one_that_is_held_is_not(village, smith):
    await village.admin.execute("UPDATE credentials SET revoked_at = now()")
    code = await made(village)
    await village.admin.execute("UPDATE homes SET state = 'suspended', reason = 'x'")

    assert await village.say(Adopt, OWNER, sub=SMITH, code=code) == "home-held"

    await village.admin.execute("UPDATE homes SET state = 'active', reason = ''")
    assert (await village.say(Adopt, OWNER, sub=SMITH, code=code)).home == "keyless"


async def test_the_gateways_own_way_uses_the_code_up(village, smith):
    code = await made(village)

    assert (await village.say(BindOwner, GATEWAY, OWNER, sub=SMITH)).event == "bind-owner"

    cursor = await village.admin.execute("SELECT count(*) FROM adoption_codes")
    assert await cursor.fetchone() == (0,)
    assert await village.say(Adopt, OTHER, sub=SMITH, code=code) == "not-yours"


async def test_a_code_gives_no_more_than_to_be_the_first_owner(village, smith):
    """It is no key: who has it and no more signs nothing else."""
    await made(village)

    assert await village.say(RevokeKey, OTHER, sub=SMITH, key="A" * 43, reason="x") == "not-yours"
    assert await village.live(smith)


async def test_what_is_stored_does_not_give_the_code_away(village, smith):
    code = await made(village)

    cursor = await village.admin.execute("SELECT digest, extract(epoch FROM until)::bigint, who FROM adoption_codes")
    assert await cursor.fetchall() == [(codes.digest(code), NOW + 7 * DAY, "operator:anna")]
    assert len(code) == 27
    cursor = await village.admin.execute("SELECT count(*) FROM home_events WHERE why LIKE %s", [f"%{code[:6]}%"])
    assert await cursor.fetchone() == (0,)


@pytest.mark.parametrize("days", [0, 91])
async def test_a_code_holds_for_90_days_at_most(village, smith, days):
    with pytest.raises(CannotDo, match="1 to 90 days"):
        await made(village, days)


async def test_another_tenants_home_is_not_adopted_by_our_code(village, smith):
    other = await village.tenant_called("isp")
    await village.home("doe", p256(), tenant=other)
    code = await made(village, home=names.prepend(b"doe", REGISTRY))

    assert await village.say(Adopt, OWNER, sub="doe.homes.example.", code=code) == "not-yours"
    assert (await village.say(Adopt, OWNER, tenant=other, sub="doe.homes.example.", code=code)).event == "bind-owner"
