"""Bonds and verifiers as rows: made, listed, withdrawn with a reason; walled, and of no say over what is enrolled."""

import json

import psycopg
import pytest
from attesting import SIGNER, as_cwt, as_jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from makers import NOW, Maker, certificate, name

from ddns.operator import vendors, verifiers
from ddns.operator.fault import CannotDo
from ddns.proof import jwk
from ddns.store import bonds, tenants
from ddns.store import verifiers as kept
from ddns.store.tenancy import entered

MAKER = Maker()
RULES = b'{"all": [{"claim": "dbgstat", "is": ["disabled-permanently"]}], "gives": "attested"}'


def pem(*certificates):
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


async def bonded(conn, tenant=None, **changed):
    words = {"masa_keys": pem(MAKER.masa), "masa_url": "https://masa.maker.example"} | changed
    async with conn.transaction():
        return await vendors.bond(conn, tenant, "Acme", pem(MAKER.anchor), "operator:ann", NOW, **words)


async def events(conn):
    cursor = await conn.execute("SELECT event, who, before, after, why FROM home_events ORDER BY id")
    return await cursor.fetchall()


async def test_a_bond_is_kept_as_it_was_made_and_written_down(admin):
    made = await bonded(admin, models=["gw-1"], until=NOW + 100, assurance="qr")

    assert await bonds.listing(admin, 1) == [made]
    assert made == await vendors.the_bond(admin, None, made.id)
    assert (made.models, made.assurance, made.until, made.masa_url) == (
        ("gw-1",), "qr", NOW + 100, "https://masa.maker.example",
    )  # fmt: skip
    assert made.anchors == (MAKER.anchor.public_bytes(Encoding.DER),)
    assert await events(admin) == [("vendor-bonded", "operator:ann", "none", "bonded", f"bond {made.id}")]


async def test_a_bond_is_withdrawn_once_and_with_a_reason(admin):
    made = await bonded(admin)

    with pytest.raises(CannotDo, match="Say why"):
        await vendors.withdraw(admin, None, made.id, " ", "operator:ann", NOW)
    gone = await vendors.withdraw(admin, None, made.id, "keys were stolen", "operator:ann", NOW)
    assert (gone.withdrawn_at, gone.why, gone.holds(NOW)) == (NOW, "keys were stolen", False)
    assert (await events(admin))[-1][0] == "bond-withdrawn"
    with pytest.raises(CannotDo, match="already"):
        await vendors.withdraw(admin, None, made.id, "again", "operator:ann", NOW)
    with pytest.raises(CannotDo, match="no bond"):
        await vendors.withdraw(admin, None, made.id + 1, "why", "operator:ann", NOW)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"assurance": "attested"}, "voucher at most"),
        ({"until": NOW}, "over already"),
        ({"models": [""]}, "models"),
        ({"models": ["x"] * 65}, "models"),
        ({"masa_keys": b""}, "what signs them"),
        ({"masa_keys": b"x"}, "PEM"),
        ({"masa_keys": pem(MAKER.anchor)}, "make its own"),
        ({"masa_url": "http://masa.example"}, "HOST:PORT"),
        ({"masa_url": "https://masa.example/brski"}, "path"),
        ({"masa_anchors": pem(*[MAKER.anchor] * 17)}, "more than 16"),
    ],
    ids=lambda given: "-".join(given) if isinstance(given, dict) else str(given),
)
async def test_a_bond_that_makes_no_sense_is_refused(admin, changed, why):
    with pytest.raises(CannotDo, match=why):
        await bonded(admin, **changed)
    assert await bonds.listing(admin, 1) == []


async def test_a_key_that_nothing_is_verified_with_is_refused(admin):
    key = ec.generate_private_key(ec.SECP521R1())
    odd = certificate(name("odd"), key, name("odd"), key, ca=True)

    with pytest.raises(CannotDo, match="P-256"):
        await vendors.bond(admin, None, "Odd", pem(odd), "operator:ann", NOW)


async def test_a_tenants_bond_is_no_other_tenants_and_the_registrys_are_everybodys(admin, desk_conn):
    other = await tenants.insert(admin, "isp", "")
    shared, own = await bonded(admin), await bonded(admin, other.id)

    async def seen(tenant):
        async with desk_conn.transaction():
            await entered(desk_conn, tenant)
            cursor = await desk_conn.execute("SELECT id FROM bonds ORDER BY id")
            return [row[0] for row in await cursor.fetchall()]

    assert await seen(1) == [shared.id]
    assert await seen(other.id) == [shared.id, own.id]
    assert [one.id for one in await bonds.listing(admin, 1)] == [shared.id]
    with pytest.raises(CannotDo, match="no bond"):
        await vendors.withdraw(admin, other.id, shared.id, "mine now", "operator:eve", NOW)


@pytest.mark.parametrize("table", ["bonds", "verifiers"])
async def test_the_desk_removes_none(desk_conn, table):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        async with desk_conn.transaction():
            await desk_conn.execute(f"DELETE FROM {table}")


@pytest.mark.parametrize("table", ["bonds", "verifiers"])
async def test_what_is_for_all_is_said_and_changed_in_the_registrys_name_alone(admin, desk_conn, table):
    other = await tenants.insert(admin, "isp", "")
    await bonded(admin)
    await verifiers.add(admin, None, "lab", RULES, "operator:ann", NOW, keys=jwks())
    change = f"UPDATE {table} SET withdrawn_at = now(), why = 'x'"
    made = {
        "bonds": "INSERT INTO bonds (vendor, idevid_anchors, since) VALUES ('x', '{}', now())",
        "verifiers": "INSERT INTO verifiers (name, keys, rules) VALUES ('x', '{}', '{}')",
    }[table]

    async with desk_conn.transaction():
        await entered(desk_conn, other.id)
        assert (await desk_conn.execute(change)).rowcount == 0
    async with desk_conn.transaction(force_rollback=True):
        await entered(desk_conn, other.id)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await desk_conn.execute(made)
    async with desk_conn.transaction():
        await entered(desk_conn, 1)
        assert (await desk_conn.execute(change)).rowcount == 1
        await desk_conn.execute(made)


def jwks():
    return json.dumps({"keys": [jwk.members(jwk.of(SIGNER))]}).encode()


async def test_a_verifier_is_kept_tried_and_withdrawn(admin):
    made = await verifiers.add(admin, None, "lab", RULES, "operator:ann", NOW, keys=jwks())

    assert await kept.listing(admin, 1) == [made]
    assert list(verifiers.thumbprints(made)) == [jwk.kid(jwk.of(SIGNER))]
    for token in (as_jwt(), as_cwt()):
        tried = verifiers.try_out(verifiers.read_evidence(token), made, NOW)
        assert (tried.signed, tried.assurance, tried.missed) == (True, "attested", ())
    with pytest.raises(CannotDo, match="already"):
        await verifiers.add(admin, None, "lab", RULES, "operator:ann", NOW, keys=jwks())
    await verifiers.withdraw(admin, None, "lab", "closed", "operator:ann", NOW)
    with pytest.raises(CannotDo, match="no verifier"):
        await verifiers.withdraw(admin, None, "lab", "closed", "operator:ann", NOW)
    await verifiers.add(admin, None, "lab", RULES, "operator:ann", NOW, keys=jwks())


async def test_evidence_of_another_or_that_says_too_little_gives_nothing(admin):
    other = await verifiers.add(
        admin, None, "other", RULES, "operator:ann", NOW, keys=json.dumps(jwk.members(jwk.of(MAKER.key))).encode()
    )
    mine = await verifiers.add(admin, None, "lab", RULES, "operator:ann", NOW, keys=jwks())

    assert not verifiers.try_out(verifiers.read_evidence(as_jwt()), other, NOW).assurance
    tried = verifiers.try_out(verifiers.read_evidence(as_jwt(dbgstat="enabled")), mine, NOW)
    assert (tried.signed, tried.assurance, tried.missed) == (True, "", ("dbgstat",))


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"name": "Lab"}, "no name"),
        ({"rules": b"{}"}, "rules"),
        ({"keys": b""}, "give keys"),
        ({"keys": b"{}"}, "keys cannot be read"),
        ({"keys": b'{"keys": []}'}, "1 to 32"),
        ({"keys": b'{"keys": [1]}'}, "objects"),
        ({"keys": b'{"keys": [{"kty": "oct", "k": "AAAA"}]}'}, "private"),
        ({"seconds": 0}, "days"),
    ],
    ids=lambda given: "-".join(given) if isinstance(given, dict) else str(given),
)
async def test_a_verifier_that_makes_no_sense_is_refused(admin, changed, why):
    words = {"name": "lab", "rules": RULES, "keys": jwks()} | changed
    with pytest.raises(CannotDo, match=why):
        await verifiers.add(admin, None, words.pop("name"), words.pop("rules"), "operator:ann", NOW, **words)


def test_a_file_that_is_no_token_is_said_so():
    with pytest.raises(CannotDo):
        verifiers.read_evidence(b"nothing")
