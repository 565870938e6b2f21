"""Zones with compact denial in the database: never with transfers, and denied by the keys that are the zone's."""

from __future__ import annotations

import asyncio

import dns.dnssec
import dns.name
import dns.rdataset
import dns.rrset
import psycopg
import pytest
import signing
from committing import House
from keysets import Roll

from ddns.auth.principal import Secret
from ddns.auth.sealing import Sealer
from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import from_text
from ddns.operator import keys, registry_file, transfers, zones
from ddns.operator.apply import apply
from ddns.operator.fault import CannotDo
from ddns.operator.transfers import Place
from ddns.store import transfers as stored
from ddns.store import zones as rows
from ddns.store.transfers import NewRight, NewTarget
from ddns.zone import compact
from ddns.zone.jobs import Asked, ProofJob

ORIGIN = from_text("a.test.")
HOME = from_text("smith.a.test.")
SEALER = Sealer(bytes(32))


async def zone(admin, denial="compact", origin=ORIGIN, parent=None):
    return await signing.add(admin, names.to_text(origin), denial=denial, parent=parent)


def right(number, *, homes=False):
    return NewRight(number, homes, from_text("k.test."), None)


def target(number, *, homes=False):
    return NewTarget(number, homes, "192.0.2.1", 53, None)


async def give(conn, new):
    await (stored.allow(conn, [new]) if isinstance(new, NewRight) else stored.put_targets(conn, [new]))


# ---- transfers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [right, target])
@pytest.mark.parametrize("homes", [False, True])
async def test_the_database_lets_nobody_have_a_compact_zone(admin, rule, homes):
    number = await zone(admin)

    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        await give(admin, rule(number, homes=homes))

    assert refused.value.diag.constraint_name == "compact_zone_with_transfers"


@pytest.mark.parametrize("rule", [right, target])
@pytest.mark.parametrize("homes", [False, True])
async def test_the_database_lets_no_zone_become_compact_that_somebody_may_have(admin, rule, homes):
    number = await zone(admin, "nsec3")
    await give(admin, rule(number, homes=homes))

    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        await rows.set_denial(admin, number, "compact", 13)

    assert refused.value.diag.constraint_name == "compact_zone_with_transfers"


@pytest.mark.parametrize("rule", [right, target])
async def test_a_compact_home_is_nobodys_either(admin, rule):
    registry = await zone(admin, "nsec3")
    home = await zone(admin, "compact", HOME, registry)

    await give(admin, rule(registry))  # for the registry's own zone
    with pytest.raises(psycopg.errors.CheckViolation):
        await give(admin, rule(registry, homes=True))
    await rows.set_denial(admin, home, "nsec", 13)
    await give(admin, rule(registry, homes=True))
    with pytest.raises(psycopg.errors.CheckViolation):
        await rows.set_denial(admin, home, "compact", 13)
    with pytest.raises(psycopg.errors.CheckViolation):
        await zone(admin, "compact", from_text("jones.a.test."), registry)


@pytest.mark.parametrize("first", ["right", "denial"])
async def test_of_two_who_try_both_at_once_one_is_refused(admin, connected, first):
    number = await zone(admin, "nsec3")
    other = await connected("ddns_admin")

    async def become():
        await rows.set_denial(other if first == "right" else admin, number, "compact", 13)

    async def allow():
        await give(admin if first == "right" else other, right(number))

    before, behind = (allow, become) if first == "right" else (become, allow)
    async with admin.transaction():
        await before()
        waiting = asyncio.ensure_future(behind())
        await waits(await connected("owner"))
    with pytest.raises(psycopg.errors.CheckViolation):
        await waiting


async def waits(owner):
    """Wait until somebody waits for a lock."""
    while True:
        rows_of = await (await owner.execute("SELECT FROM pg_locks WHERE NOT granted")).fetchall()
        if rows_of:
            return
        await asyncio.sleep(0)


async def test_commands_say_why_in_a_sentence(admin):
    await keys.add_tsig(admin, SEALER, from_text("k.test."), "hmac-sha256", Secret(b"s" * 32))
    registry = await zone(admin, "nsec3")
    await zone(admin, "compact", HOME, registry)

    with pytest.raises(CannotDo, match=r"smith.a.test. has compact denial and cannot be transferred: what such a zone"):
        await transfers.allow(admin, HOME, homes=False, key=from_text("k.test."), prefix=None)
    with pytest.raises(CannotDo, match=r"smith.a.test. has compact denial and cannot be transferred"):
        await transfers.notify(admin, HOME, Place("192.0.2.1", 53), homes=False)
    with pytest.raises(CannotDo, match=r"homes of a.test. have compact denial and cannot be transferred"):
        await transfers.allow(admin, ORIGIN, homes=True, key=from_text("k.test."), prefix=None)


async def test_a_zone_with_transfer_rules_is_told_to_give_them_up_first(admin):
    number = await zone(admin, "nsec3")
    await give(admin, target(number))
    text = zones.new_text(ORIGIN, [from_text("ns.a.test.")], from_text("h.a.test."), ["192.0.2.1"])

    with pytest.raises(CannotDo, match=r"has transfer rules .* take them back first \(`ddns transfer list`\)"):
        await zones.bring_in(admin, text, "operator:t", "compact")


async def test_a_registry_file_makes_a_compact_zone_and_gives_it_to_nobody(admin, tmp_path):
    (tmp_path / "zone").write_text("$TTL 60\n@ SOA ns h 1 3600 600 86400 60\n@ NS ns\nns A 192.0.2.1\n")
    file = tmp_path / "registry.toml"
    file.write_text('[[zone]]\nname = "a.test."\nfile = "zone"\ndenial = "compact"\n')

    await apply(admin, SEALER, registry_file.read(file), "operator:t")
    (found,) = (await rows.get(admin, [(await rows.numbers(admin))[0][0]])).values()
    assert found.denial == "compact"

    file.write_text(file.read_text() + 'transfer_homes = { addresses = ["192.0.2.0/24"] }\n')
    with pytest.raises(CannotDo, match="compact denial and cannot be transferred"):
        registry_file.read(file)
    file.write_text(file.read_text().replace('["192.0.2.0/24"]', "[]"))
    registry_file.read(file)


# ---- whose signature a denial has ----------------------------------------------------------------


@pytest.fixture
def house(dsn_for, tmp_path):
    return House(dsn_for, tmp_path / "house", denial="compact")


async def proven(house, name="nowhere.smith.example."):
    """Return who signed a denial, after dnspython has validated it by the keys that the zone publishes now."""
    row = (await rows.get(house.admin, [house.zone]))[house.zone]
    asked = from_text(name)
    job = ProofJob(house.zone, row.origin, row.edition, 60, (Asked(asked),))
    (answer,) = await house.running.client.prove([job])
    assert answer.error == ""
    shown = await signing.bare(house.admin, house.zone)
    dnskeys = [signing.rdata(Type.DNSKEY, one) for one in shown[row.origin, Type.DNSKEY][1]]
    owner = dns.name.from_wire(asked, 0)[0]
    rrset = dns.rrset.from_rdata_list(owner, 60, [signing.rdata(Type.NSEC, compact.absent(asked, row.origin))])
    sigs = dns.rrset.from_rdata_list(owner, 60, [signing.rdata(Type.RRSIG, one) for one in answer.sigs[0]])
    apex = dns.name.from_wire(row.origin, 0)[0]
    dns.dnssec.validate(rrset, sigs, {apex: dns.rdataset.from_rdata_list(60, dnskeys)}, now=int(house.running.now))
    return {sig.key_tag for sig in sigs}


async def signers(house):
    """Return the tags of the keys that sign the zone's own records."""
    found = await (
        await house.admin.execute(
            "SELECT tag FROM signing_keys WHERE zone = %s AND zrrsig IN ('rumoured', 'omnipresent')", [house.zone]
        )
    ).fetchall()
    return {tag for (tag,) in found}


async def test_denials_are_signed_by_the_zones_keys_of_the_moment_at_every_step_of_a_roll(house):
    async with house:
        roll = Roll(house)
        await roll.use("csk")
        await roll.rest()
        before = await proven(house)
        assert before == await signers(house)

        await roll.order("roll", "csk")
        seen = []
        for _ in range(60):
            await roll.step()
            seen.append(await proven(house))
            assert seen[-1] == await signers(house)
            await roll.check()
            if not await roll.moving():
                break
        assert len(seen) > 2

        after = await proven(house)
        assert after == await signers(house)
        assert after != before


async def test_another_signer_with_old_keys_in_mind_looks_them_up_for_the_next_edition(house):
    """It remembers what it read for an edition; a roll comes with a new one."""
    async with house:
        roll = Roll(house)
        await roll.use("csk")
        await roll.rest()
        await proven(house)
        zone_id, origin = house.zone, (await rows.get(house.admin, [house.zone]))[house.zone].origin
        remembered = house.running.ring.get(zone_id, origin, (await rows.get(house.admin, [zone_id]))[zone_id].keyset)
        assert remembered is not None

        await roll.order("emergency", "csk")
        await roll.rest()

        assert await proven(house) == await signers(house)


async def test_a_zone_that_is_compact_no_more_has_nothing_signed_from_its_next_edition_on(house):
    async with house:
        await proven(house)
        row = (await rows.get(house.admin, [house.zone]))[house.zone]
        await rows.set_denial(house.admin, house.zone, "nsec", 13)
        job = ProofJob(house.zone, row.origin, row.edition + 1, 60, (Asked(from_text("x.smith.example.")),))

        (answer,) = await house.running.client.prove([job])

        assert answer.error == "the zone does not deny in this way"
