"""The first keys of a home are stored as the key machine would have made them; its row says where their records are."""

from __future__ import annotations

import itertools
import uuid

import pytest
from keys import rdata
from rows import n

from ddns.store import signing, zones
from ddns.zone.jobs import SealedKey
from zone_signer import keys as public
from zone_signer.phase import Role
from zone_signer.rolls import NewKey, newborn
from zone_signer.stage import Facts

BORN = 1_700_000_000
REGISTRIES = (None, "nsec3", "none")


def sealed(name: str, role: Role, born: int = BORN, algorithm: int = 13) -> SealedKey:
    made = rdata(name, algorithm, role)
    flags = 256 if role is Role.ZSK else 257
    return SealedKey(str(uuid.uuid4()), algorithm, flags, public.tag(made), made, b"sealed", role, "sealed", born)


def facts(registry: str | None) -> Facts:
    return Facts(
        zone=7, origin=n("a."), parent=0 if registry is None else 3, dnskey_ttl=3600, negative_ttl=60, max_ttl=3600,
        whole=None, serial=1, keyset=0, fresh=True, parent_signed=registry != "none",
    )  # fmt: skip


@pytest.mark.parametrize("registry", REGISTRIES)
async def test_a_servers_first_keys_are_what_the_key_machine_calls_newborn(conn, connected, registry):
    """In the phases, the label and the rest: with a signed registry, an unsigned one, and a parent elsewhere."""
    parent = None if registry is None else await zones.insert(conn, n("a."), registry, 13)
    origins = [n("x.a."), n("y.a.")]
    ids = [await zones.insert(conn, origin, "nsec3", 13, parent) for origin in origins]
    made = [(zone, sealed(f"{zone}{role}", role)) for zone, role in itertools.product(ids, Role)]

    await signing.insert_keys(conn, made)

    cursor = await (await connected("zone_signer")).execute(
        """SELECT zone, id::text, algorithm, flags, tag, public, sealed, role, vault,
                  extract(epoch FROM born_at)::bigint, stays, compromised, dnskey, zrrsig, ds, state
           FROM signing_keys ORDER BY zone, role"""
    )
    rows = {row[1]: row for row in await cursor.fetchall()}
    for zone, key in made:
        new = NewKey(Role(key.role), key.algorithm, key.vault, None, "")
        born = newborn(new, key.id, key.tag, key.public, facts(registry), BORN)
        assert rows.pop(key.id) == (
            zone, key.id, key.algorithm, key.flags, key.tag, key.public, key.sealed, key.role, key.vault, BORN,
            born.stays, born.compromised, *born.phases, born.label(),
        )  # fmt: skip
    assert not rows


async def test_when_a_key_was_made_is_left_open_where_nobody_said(conn, connected):
    zone = await zones.insert(conn, n("a."), "nsec3", 13)

    await signing.insert_keys(conn, [(zone, sealed("x", Role.CSK, born=0))])

    cursor = await (await connected("zone_signer")).execute("SELECT born_at FROM signing_keys")
    assert await cursor.fetchall() == [(None,)]


async def test_the_parent_is_told_of_keys_whose_ds_it_ought_to_have(conn, admin, owner):
    """Not of a ZSK, nor of a key that has none yet or no longer; and a removed key is not shown at all."""
    zone = await zones.insert(conn, n("a."), "nsec3", 13)
    phases = ("hidden", "rumoured", "omnipresent", "unretentive")
    keys = {phase: sealed(phase, Role.KSK) for phase in phases} | {"none": sealed("none", Role.ZSK)}
    gone = sealed("gone", Role.CSK)
    await signing.insert_keys(conn, [(zone, key) for key in (*keys.values(), gone)])
    for phase in phases:
        await owner.execute("UPDATE signing_keys SET ds = %s WHERE tag = %s", [phase, keys[phase].tag])
    await owner.execute(
        """UPDATE signing_keys SET state = 'removed', sealed = NULL, dnskey = 'hidden', zrrsig = 'hidden', ds = 'hidden'
           WHERE tag = %s""",
        [gone.tag],
    )

    named = await signing.named_by_the_parent(admin, zone)
    shown = await signing.keys_public(admin, zone)

    assert set(named) == {keys["rumoured"].public, keys["omnipresent"].public}
    assert {row[3] for row in shown} == {key.public for key in keys.values()}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ("dnskey = 'hidden', zrrsig = 'hidden', ds = 'hidden'", signing.Trust(False, False, False, False)),
        ("dnskey = 'hidden', zrrsig = 'rumoured', ds = 'hidden'", signing.Trust(True, False, False, False)),
        ("dnskey = 'unretentive', zrrsig = 'hidden', ds = 'hidden'", signing.Trust(True, False, False, False)),
        ("ds = 'hidden'", signing.Trust(True, False, False, False)),
        ("ds = 'rumoured'", signing.Trust(True, True, False, False)),
        ("ds = 'unretentive'", signing.Trust(True, True, False, False)),
    ],
)
async def test_what_the_world_may_know_of_a_zone_is_read_from_its_keys(conn, admin, owner, changes, expected):
    zone, other = [await zones.insert(conn, n(name), "nsec3", 13) for name in ("a.", "b.")]
    await signing.insert_keys(conn, [(zone, sealed("x", Role.CSK)), (other, sealed("y", Role.CSK))])
    await owner.execute(f"UPDATE signing_keys SET {changes} WHERE zone = {zone}".encode())

    assert await signing.trust(admin, zone) == expected


async def test_a_wish_and_a_motion_are_of_one_zone(conn, admin, owner):
    zone, other = [await zones.insert(conn, n(name), "nsec3", 13) for name in ("a.", "b.")]
    key = sealed("x", Role.CSK)
    await signing.insert_keys(conn, [(zone, key), (other, sealed("y", Role.CSK))])
    await owner.execute("UPDATE signing SET wish = 'insecure' WHERE zone = %s", [zone])
    await owner.execute(
        "INSERT INTO key_motions (key, record, zone, since, place, ttl) VALUES (%s, 'ds', %s, now(), 0, 60)",
        [key.id, zone],
    )

    moving, resting = await signing.trust(admin, zone), await signing.trust(admin, other)

    assert (moving.leaving, moving.moving) == (True, True)
    assert (resting.leaving, resting.moving) == (False, False)
