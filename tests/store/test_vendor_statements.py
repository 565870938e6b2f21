"""What vendors sign for: it counts once accepted, never beyond that, never again once overtaken; and of no home."""

import json
from contextlib import asynccontextmanager

import pytest
import walls
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from makers import NOW, Maker
from serving_desk import asking

from ddns.homes import vendor_keys, vendors
from ddns.operator import tenants
from ddns.operator.fault import CannotDo
from ddns.operator.vendor_statements import Terms, accept, hear
from ddns.proof import jwk, jws, statements, vendor_statements
from ddns.proof.bad import BadProof
from ddns.proof.vendor_statements import Authorize, Withdraw
from ddns.store import bonds

MAKER = Maker()
KEY = ed25519.Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
OTHER = ec.derive_private_key(7, ec.SECP256R1())
WHO = "operator:ann"
DAY = 86_400
JOSE = {"media": "application/jose+json"}


def der(*certificates):
    return vendor_statements.packed(tuple(one.public_bytes(Encoding.DER) for one in certificates))


def common(at=NOW, **changed):
    return {"aud": "homes.example.", "iat": at, "exp": at + 30 * DAY, "jti": f"{at:016d}"} | changed


def authorize(at=NOW, key=KEY, **changed):
    fields = {"vendor": "Acme", "anchors": der(MAKER.anchor), "masa_keys": der(MAKER.masa), "models": ("gw-1", "gw-2")}
    return vendor_statements.sign(Authorize(**(common(at) | fields | changed)), key)


def withdraw(at=NOW + 1, key=KEY, **changed):
    return vendor_statements.sign(Withdraw(**(common(at) | {"reason": "we make no more"} | changed)), key)


def members(octets, **changed):
    """Return the statement again, its payload changed and signed anew by the same key."""
    payload = json.loads(jws.read(octets).payload) | changed
    return jws.sign(json.dumps(payload).encode(), [jws.shown(KEY)])


@pytest.fixture
def registry(owner):
    return walls.registry(owner)


async def accepted(conn, octets, tenant=1, now=NOW, **terms):
    async with conn.transaction():
        return await accept(conn, tenant, octets, Terms(**terms), WHO, now)


async def heard(conn, octets, tenant=1, now=NOW + 10):
    async with conn.transaction():
        return await hear(conn, tenant, octets, now)


async def refused(doing):
    with pytest.raises(BadProof) as caught:
        await doing
    return caught.value.code


async def events(conn):
    cursor = await conn.execute("SELECT event, who, statement IS NOT NULL FROM home_events ORDER BY id")
    return await cursor.fetchall()


async def test_it_counts_once_an_operator_has_accepted_it(admin, registry):
    await registry
    octets = authorize()

    assert await refused(heard(admin, octets)) == "bond-missing"
    assert await bonds.listing(admin, 1) == []
    made, again = await accepted(admin, octets), await accepted(admin, octets)

    assert again == made
    assert await bonds.listing(admin, 1) == [made]
    assert (made.tenant, made.vendor, made.models, made.assurance) == (None, "Acme", ("gw-1", "gw-2"), "voucher")
    assert (made.vendor_key, made.said_at) == (jwk.to_json(jwk.of(KEY)), NOW)
    assert made.masa_keys == (MAKER.masa.public_bytes(Encoding.DER),)
    assert await events(admin) == [("vendor-bonded", WHO, True)]


async def test_an_operator_accepts_less_and_later_statements_stay_within_that(admin, registry):
    await registry
    made = await accepted(admin, authorize(), assurance="qr", models=("gw-1",), until=NOW + 100 * DAY)
    assert (made.models, made.assurance, made.until) == (("gw-1",), "qr", NOW + 100 * DAY)

    wide = await heard(admin, authorize(NOW + 1, models=(), until=NOW + 900 * DAY))
    assert (wide.models, wide.assurance, wide.until) == (("gw-1",), "qr", NOW + 100 * DAY)
    short = await heard(admin, authorize(NOW + 2, until=NOW + DAY))
    assert (short.id, short.until) == (made.id, NOW + DAY)
    assert await refused(heard(admin, authorize(NOW + 3, models=("gw-9",)))) == "bond-wider"
    assert (await bonds.listing(admin, 1)) == [short]


async def test_a_vendor_narrows_and_comes_back_and_changes_its_keys(admin, registry):
    await registry
    made = await accepted(admin, authorize())
    fresh = Maker("Fresh")

    narrow = await heard(admin, authorize(NOW + 1, models=("gw-2",)))
    back = await heard(admin, authorize(NOW + 2, models=("gw-1", "gw-2", "gw-3"), masa_keys=der(fresh.masa)))

    assert (narrow.id, narrow.models) == (made.id, ("gw-2",))
    assert (back.id, back.models) == (made.id, ("gw-1", "gw-2"))
    assert back.masa_keys == (fresh.masa.public_bytes(Encoding.DER),)
    who = f"vendor:{jwk.kid(jwk.of(KEY))}"
    assert (await events(admin))[1:] == [("bond-changed", who, True)] * 2


async def test_only_an_operator_widens_and_says_so(admin, registry):
    await registry
    await accepted(admin, authorize(), models=("gw-1",))
    later = authorize(NOW + 1, models=("gw-1", "gw-3"))

    with pytest.raises(CannotDo, match="widen"):
        await accepted(admin, later, now=NOW + 5, models=("gw-3",))
    assert (await accepted(admin, later, now=NOW + 5)).models == ("gw-1",)
    assert (await accepted(admin, later, now=NOW + 5, widen=True, assurance="token")).models == ("gw-1", "gw-3")
    (bond,) = await bonds.listing(admin, 1)
    assert (bond.assurance, bond.models_most) == ("token", ("gw-1", "gw-3"))


async def test_a_vendor_withdraws_for_itself_and_what_it_said_before_counts_never_again(admin, registry):
    await registry
    old = authorize()
    await accepted(admin, old)
    newer = authorize(NOW + 1)
    await heard(admin, newer)

    gone, again = await heard(admin, withdraw(NOW + 2)), await heard(admin, withdraw(NOW + 2))

    assert (gone.why, gone.holds(NOW + 10), again) == ("we make no more", False, gone)
    assert await refused(heard(admin, authorize(NOW + 3))) == "bond-withdrawn"
    for replayed in (old, newer):
        assert await refused(heard(admin, replayed)) == "statement-replayed"
        assert await refused(accepted(admin, replayed, now=NOW + 10)) == "statement-replayed"
    anew = await accepted(admin, authorize(NOW + 3), now=NOW + 10)
    assert anew.id != gone.id
    assert [event for event, *_ in await events(admin)] == [
        "vendor-bonded", "bond-changed", "bond-withdrawn", "vendor-bonded",
    ]  # fmt: skip


async def test_withdrawing_refuses_new_boxes_by_its_code(admin, registry):
    await registry
    await accepted(admin, authorize(models=()))
    box, _key = MAKER.device()
    assert vendors.judge(box, (), await bonds.listing(admin, 1), NOW).bond.vendor == "Acme"

    await heard(admin, withdraw())

    with pytest.raises(BadProof) as caught:
        vendors.judge(box, (), await bonds.listing(admin, 1), NOW + 10)
    assert caught.value.code == "bond-withdrawn"


async def test_an_older_statement_takes_nothing_back(admin, registry):
    await registry
    await accepted(admin, authorize(NOW + 5), now=NOW + 6)

    assert await refused(heard(admin, authorize(NOW + 4))) == "statement-replayed"
    assert await refused(heard(admin, withdraw(NOW + 5))) == "statement-replayed"


async def test_another_key_updates_and_withdraws_nothing(admin, registry):
    await registry
    made = await accepted(admin, authorize())

    for octets in (authorize(NOW + 1, OTHER), withdraw(NOW + 1, OTHER)):
        assert await refused(heard(admin, octets)) == "bond-missing"
    assert await refused(heard(admin, authorize(NOW + 1, vendor="Other"))) == "field-wrong"
    assert await bonds.listing(admin, 1) == [made]


FORGED = {
    "forged": lambda octets: octets.replace(jws.read(octets).signatures[0].protected.encode(), b"e30"),
    "other-payload": lambda octets: octets.replace(b'"payload":"', b'"payload":"e30'),
    "not-json": lambda _octets: b"x",
    "empty": lambda _octets: b"",
}


@pytest.mark.parametrize("how", sorted(FORGED))
async def test_what_is_not_signed_is_refused(admin, registry, how):
    await registry

    with pytest.raises(BadProof):
        await accepted(admin, FORGED[how](authorize()))
    assert await bonds.listing(admin, 1) == []


WRONG = {
    "stale": ({"iat": NOW - 40 * DAY, "exp": NOW - 1}, "statement-stale"),
    "future": ({"iat": NOW + 3600, "exp": NOW + 7200}, "statement-stale"),
    "too-long": ({"exp": NOW + 91 * DAY}, "statement-too-long"),
    "elsewhere": ({"aud": "elsewhere.example."}, "statement-not-for-us"),
    "unknown-field": ({"assurance": "attested"}, "field-unknown"),
    "a-home": ({"sub": "smith.homes.example."}, "vendor-has-no-say"),
    "a-nonce": ({"nonce": "AAAA"}, "field-wrong"),
    "another-act": ({"act": "enrol"}, "field-wrong"),
    "no-certificate": ({"anchors": ["AAAA"]}, "evidence-malformed"),
}


@pytest.mark.parametrize("what", sorted(WRONG))
async def test_what_it_must_not_say_is_refused_by_its_code(admin, registry, what):
    await registry
    changed, code = WRONG[what]

    assert await refused(accepted(admin, members(authorize(), **changed))) == code
    assert await bonds.listing(admin, 1) == []


async def test_two_signatures_are_no_vendors(admin, registry):
    await registry
    payload = jws.read(authorize()).payload
    octets = jws.sign(payload, [jws.shown(KEY), jws.shown(OTHER)])

    assert await refused(accepted(admin, octets)) == "statement-signature-wrong"


async def test_a_bond_that_makes_no_sense_is_none_by_a_signature_either(admin, registry):
    await registry

    for changed in ({"anchors": ()}, {"masa_keys": der(MAKER.anchor)}, {"until": NOW - 1}, {"masa_url": "http://x"}):
        with pytest.raises(CannotDo):
            await accepted(admin, authorize(**changed))
    assert await bonds.listing(admin, 1) == []


async def test_the_bond_key_has_no_say_over_homes(admin, registry):
    await registry
    await accepted(admin, authorize())

    assert await vendor_keys.speaks(admin, (jwk.of(KEY),))
    assert not await vendor_keys.speaks(admin, (jwk.of(OTHER),))
    with pytest.raises(BadProof) as caught:
        statements.read(jws.read(authorize()))
    assert caught.value.code == "field-wrong"


@pytest.fixture
def served(admin, registry, dsn_for, tmp_path):
    @asynccontextmanager
    async def opened():
        zone = await registry
        isp = await tenants.add(admin, "isp", "")
        await tenants.allow(admin, "isp", walls.REGISTRY)
        async with asking(dsn_for("ddns_web"), tmp_path, NOW + 5) as desk:
            mine = await desk.token(admin, 1, {"vendors"})
            yield desk, mine, await desk.token(admin, isp.id, {"vendors"}), zone

    return opened


async def test_by_the_api_an_operator_accepts_and_the_vendor_goes_on_alone(admin, served):
    async with served() as (desk, mine, theirs, _zone):
        post = "/v1/bonds?assurance=qr&models=gw-1"
        early = await desk.ask("POST", "/v1/vendors/statements", authorize(), **JOSE)
        nobody = await desk.ask("POST", post, authorize(), **JOSE)
        status, _, made = await desk.ask("POST", post, authorize(), token=mine, **JOSE)
        again = await desk.ask("POST", "/v1/bonds", authorize(), token=mine, **JOSE)
        own = await desk.ask("POST", "/v1/bonds", authorize(), token=theirs, **JOSE)
        later = await desk.ask("POST", "/v1/vendors/statements", authorize(NOW + 1, models=()), **JOSE)
        gone = await desk.ask("POST", "/v1/vendors/statements", withdraw(NOW + 2), **JOSE)
        mixed = await desk.ask("POST", "/v1/bonds?widen=true", {"vendor": "x", "anchors": "x"}, token=mine)

    assert (early[0], early[2]["code"], nobody[0]) == (403, "bond-missing", 401)
    assert (status, made["models"], made["assurance"], made["shared"]) == (201, ["gw-1"], "qr", True)
    assert (made["key"], again[2]) == (jwk.kid(jwk.of(KEY)), made)
    assert (own[0], own[2]["shared"]) == (201, False)
    assert later[2] == {"vendor": "Acme", "models": ["gw-1"], "assurance": "qr", "holds": True, "until": None}
    assert (gone[0], gone[2]["holds"]) == (200, False)
    assert (mixed[0], mixed[2]["code"]) == (422, "field-unknown")
    found = {one.tenant: one.holds(NOW + 5) for one in await bonds.listing(admin, 2)}
    assert found == {None: False, 2: True}  # what the vendor said to the registry is not said to its tenant
