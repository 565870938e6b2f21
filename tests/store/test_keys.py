"""Credentials, grants, invitations, homes and signing keys, against a real Postgres."""

from __future__ import annotations

import time
import uuid

import msgspec
import psycopg
import pytest
from rows import n

from ddns.auth.principal import Credential, Grant, Secret
from ddns.store import credentials, grants, homes, invitations, signing, zones
from ddns.zone.jobs import SealedKey


def opened(name, sealed):
    return Secret(b"opened " + sealed + name)


async def test_a_tsig_key_comes_back_with_its_grants_and_its_secret_opened(conn, admin):
    zone = await zones.insert(conn, n("a."), "none", 13)
    granted = [Grant(zone, n("x.a."), frozenset({28, 1})), Grant(zone, n("a."))]

    key = await credentials.insert(conn, n("key.a."), "tsig", "hmac-sha256", secret=b"sealed", grants=granted)

    numbers = [one.id for one in await grants.listing(admin)]
    numbered = tuple(
        msgspec.structs.replace(one, id=number) for one, number in zip(granted, sorted(numbers), strict=True)
    )
    expected = Credential(
        key, n("key.a."), "tsig", "hmac-sha256", secret=Secret(b"opened sealed" + n("key.a.")), grants=numbered
    )
    assert await credentials.by_names(conn, [n("key.a."), n("other.")], opened) == {n("key.a."): (expected,)}
    assert (await credentials.by_ids(conn, [key], opened))[key] == expected
    assert (await credentials.by_ids(conn, [key]))[key].secret is None


async def test_one_name_may_have_several_sig0_keys_but_none_of_them_twice(conn):
    zone = await zones.insert(conn, n("a."), "none", 13)
    one = await credentials.insert(conn, n("a."), "sig0", "13", tag=7, public=b"one", home=zone)
    other = await credentials.insert(conn, n("a."), "sig0", "15", tag=8, public=b"other", home=zone)

    found = await credentials.by_names(conn, [n("a.")], opened)

    assert [(key.id, key.public, key.tag, key.home) for key in found[n("a.")]] == [
        (one, b"one", 7, zone),
        (other, b"other", 8, zone),
    ]
    with pytest.raises(psycopg.errors.UniqueViolation, match="sig0_key_twice"):
        await credentials.insert(conn, n("a."), "sig0", "13", tag=7, public=b"one")


async def test_a_tsig_name_is_free_again_after_its_key_is_revoked(conn, admin):
    key = await credentials.insert(conn, n("k."), "tsig", "hmac-sha256", secret=b"s")
    with pytest.raises(psycopg.errors.UniqueViolation, match="tsig_key_twice"):
        await credentials.insert(conn, n("k."), "tsig", "hmac-sha512", secret=b"t")

    assert await credentials.revoke(admin, n("k.")) == 1

    assert await credentials.revoke(admin, n("k.")) == 0
    assert await credentials.by_ids(conn, [key]) == {}
    assert await credentials.by_names(conn, [n("k.")], opened) == {}
    fresh = await credentials.insert(conn, n("k."), "tsig", "hmac-sha512", secret=b"t")
    assert [one.credential.id for one in await credentials.listing(admin)] == [fresh]
    everything = await credentials.listing(admin, revoked=True)
    assert [(one.credential.id, one.revoked_at is None) for one in everything] == [(key, False), (fresh, True)]
    assert everything[0].credential.secret is None
    assert abs(everything[0].created_at - time.time()) < 60
    assert await credentials.revoke_ids(admin, [key, fresh]) == 1


@pytest.mark.parametrize(("kind", "public", "secret"), [("tsig", b"p", b"s"), ("tsig", b"", None), ("sig0", b"", None)])
async def test_a_credential_holds_the_key_of_its_kind_and_no_other(conn, kind, public, secret):
    with pytest.raises(psycopg.errors.CheckViolation, match="credential_without_its_key"):
        await credentials.insert(conn, n("k."), kind, "13", public=public, secret=secret)


async def test_a_grant_is_given_once_and_taken_back(conn, admin):
    zone = await zones.insert(conn, n("a."), "none", 13)
    key = await credentials.insert(conn, n("k."), "tsig", "hmac-sha256", secret=b"s")
    some, everything = Grant(zone, n("a."), frozenset({1, 28})), Grant(zone, n("a."))

    assert [await grants.insert(admin, key, grant) for grant in (some, some, everything, everything)] == [
        True, False, True, False,
    ]  # fmt: skip

    listed = await grants.listing(admin)
    assert [(one.key, one.origin, one.grant.terms) for one in listed] == [
        (n("k."), n("a."), some),
        (n("k."), n("a."), everything),
    ]
    assert await grants.listing(admin, zone) == listed
    assert await grants.listing(admin, zone + 1) == []
    assert await grants.remove(admin, listed[0].id)
    assert not await grants.remove(admin, listed[0].id)
    assert [one.terms for one in (await credentials.by_ids(conn, [key]))[key].grants] == [everything]


async def test_an_invitation_is_spent_once(conn, admin):
    """Its key stays live, so that a retransmission of the request that spent it gets its answer."""
    registry = await zones.insert(conn, n("example."), "nsec3", 13)
    invitation = await invitations.insert(admin, registry, n("smith.example."), 2000)
    key = await credentials.insert(admin, n("i."), "tsig", "hmac-sha256", secret=b"s", invitation=invitation)
    with pytest.raises(psycopg.errors.UniqueViolation, match="home_invited_twice"):
        await invitations.insert(admin, registry, n("smith.example."), 3000)

    async with conn.transaction():
        assert await invitations.lock_live(conn, invitation, 2000) is None
        found = await invitations.lock_live(conn, invitation, 1999)
        assert (found.zone, found.label, found.expires_at) == (registry, n("smith.example."), 2000)
        home = await zones.insert(conn, n("smith.example."), "nsec3", 13, registry)
        await homes.insert(conn, home)
        await invitations.spend(conn, invitation, home, 1999)

    assert await invitations.lock_live(conn, invitation, 1999) is None
    assert list(await credentials.by_ids(conn, [key])) == [key]
    (listed,) = await invitations.listing(admin)
    assert (listed.spent_at, listed.home) == (1999, home)


async def test_an_invitation_is_withdrawn_with_its_credential(conn, admin):
    registry = await zones.insert(conn, n("example."), "nsec3", 13)
    invitation = await invitations.insert(admin, registry, n("smith.example."), 2000)
    key = await credentials.insert(admin, n("i."), "tsig", "hmac-sha256", secret=b"s", invitation=invitation)

    assert await invitations.withdraw(admin, n("smith.example.")) == 1

    assert await invitations.withdraw(admin, n("smith.example.")) == 0
    assert await credentials.by_ids(conn, [key]) == {}


async def test_homes_are_listed_with_their_state(conn, admin):
    registry = await zones.insert(conn, n("example."), "nsec3", 13)
    made = await zones.insert_all(conn, [(n(f"{home}.example."), "nsec3", 13, registry) for home in "ba"])
    for zone in made:
        await homes.insert(conn, zone)

    assert await homes.set_state(admin, made[0], homes.SUSPENDED, "a test")
    assert not await homes.set_state(admin, registry, homes.SUSPENDED, "a test")

    assert [(home.origin, home.parent, home.state) for home in await homes.listing(admin)] == [
        (n("a.example."), registry, "active"),
        (n("b.example."), registry, "suspended"),
    ]


async def test_a_removed_home_takes_its_keys_and_grants_along(conn, admin, owner):
    zone = await zones.insert(conn, n("a."), "nsec3", 13)
    await homes.insert(conn, zone)
    await credentials.insert(conn, n("a."), "sig0", "13", public=b"k", home=zone, grants=[Grant(zone, n("a."))])
    await signing.insert_keys(conn, [(zone, SealedKey(str(uuid.uuid4()), 13, 257, 9, b"public", b"sealed"))])

    await zones.remove(admin, zone)

    for table in ("homes", "credentials", "grants", "signing", "signing_keys"):
        assert await (await owner.execute(f"SELECT FROM {table}")).fetchall() == []


async def test_signing_keys_show_servers_their_public_half(conn):
    zone = await zones.insert(conn, n("a."), "nsec3", 13)
    keys = [SealedKey(str(uuid.uuid4()), 13, 257, tag, b"public", b"sealed") for tag in (9, 8)]

    await signing.insert_keys(conn, [(zone, key) for key in keys])

    assert sorted(await signing.keys_public(conn, zone)) == [(8, 13, 257, b"public"), (9, 13, 257, b"public")]
    with pytest.raises(psycopg.errors.UniqueViolation, match="signing_key_tag_twice_in_a_zone"):
        await signing.insert_keys(conn, [(zone, SealedKey(str(uuid.uuid4()), 13, 257, 9, b"p", b"s"))])


async def test_a_zone_stays_pending_while_its_journal_is_ahead(conn, owner):
    zone, other = await zones.insert_all(conn, [(n("a."), "nsec3", 13, None), (n("b."), "nsec3", 13, None)])
    await zones.advance(conn, [(zone, 5, 0, 0), (other, 5, 0, 0)])
    await signing.mark_pending(conn, {zone: 3, other: 4})

    await signing.mark_pending(conn, {zone: 5})

    cursor = await owner.execute("SELECT zone, signed_head, pending FROM signing ORDER BY zone")
    assert await cursor.fetchall() == [(zone, 3, True), (other, 4, True)]  # as they were when they became it

    await signing.set_state(conn, [(zone, 4, 0), (other, 5, 1_800_000_000)])

    cursor = await owner.execute(
        "SELECT zone, signed_head, pending, extract(epoch FROM resign_at)::bigint FROM signing ORDER BY zone"
    )
    assert await cursor.fetchall() == [(zone, 4, True, None), (other, 5, False, 1_800_000_000)]
