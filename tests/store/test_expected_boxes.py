"""Boxes that a tenant expects: written down once, kept as digests, told of to those that proved themselves."""

import base64
import io
import json
import secrets
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from attesting import BOX, SIGNER, as_jwt
from committing import SEALER, House
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from makers import NOW, Maker
from psycopg import Rollback
from rows import n
from serving_desk import asking

from ddns.dns import names
from ddns.dns.refusal import Refusal
from ddns.homes import enrolment, registrar
from ddns.homes.methods import Wish
from ddns.homes.methods.attested import AttestedMethod
from ddns.homes.methods.invitation import InvitationMethod
from ddns.homes.methods.vouched import VoucherMethod
from ddns.operator import expected, home_policy, homes, tenants, vendors, verifiers
from ddns.operator.expected import Box
from ddns.operator.fault import CannotDo
from ddns.proof import b64, jwk, jws, nonce, statements, voucher
from ddns.proof.statements import Enrol, Evidence
from ddns.store import expected as stored
from ddns.store import owners
from ddns.store.pool import connect
from ddns.store.tenancy import entered

SECRET = b"s" * 32
ZONE = n("smith.example.")
MAKER, OTHER = Maker("Acme"), Maker("Zenith")
PERSON = UUID(int=7, version=4)
RULES = b'{"all": [{"claim": "dbgstat", "is": ["disabled-permanently"]}], "gives": "attested"}'


async def listed(conn, *boxes, tenant=1, now=NOW):
    async with conn.transaction():
        await entered(conn, tenant)
        return await expected.expect(conn, tenant, SECRET, boxes, now)


def numbers(report):
    return report.added, report.changed, report.kept, [one.reason for one in report.refused]


async def test_a_list_is_written_down_once_and_changed_where_it_says_something_else(admin):
    boxes = Box(serial="SN-1", label="Berg", note="van 3"), Box(serial="SN-2"), Box(ueid="AQEB")

    first, second = await listed(admin, *boxes), await listed(admin, *boxes)
    third = await listed(admin, Box(serial="SN-2", label="tal"), Box(serial="SN-2", vendor="Acme"))

    assert (numbers(first), numbers(second), numbers(third)) == ((3, 0, 0, []), (0, 0, 3, []), (1, 1, 0, []))
    found = {(one.kind, one.vendor, one.label, one.note) for one in await stored.page(admin, 1, b"", "", 10)}
    assert found == {
        ("serial", "", "berg", "van 3"), ("serial", "", "tal", ""), ("serial", "Acme", "", ""), ("ueid", "", "", ""),
    }  # fmt: skip


async def test_no_serial_number_is_kept(admin, owner):
    await listed(admin, Box(serial="SN-SECRET-1"))

    cursor = await owner.execute("SELECT expected_devices::text, length(digest) FROM expected_devices")
    ((row, length),) = await cursor.fetchall()

    assert length == 32
    assert "SECRET" not in row
    assert b"SN-SECRET-1".hex() not in row


@pytest.mark.parametrize(
    ("box", "why"),
    [
        (Box(), "write one of them"),
        (Box(serial="a", ueid="b"), "write one of them"),
        (Box(serial="x" * 65), "1 to 64"),
        (Box(serial="a\tb"), "printable"),
        (Box(serial="a", label="a.b"), "no label"),
        (Box(serial="a", label="_x"), "kept for services"),
        (Box(serial="a", owner="me"), "no such owner"),
        (Box(serial="a", owner=str(PERSON)), "no such owner"),
        (Box(serial="a", note="x" * 201), "note"),
        (Box(ueid="a", vendor="Acme"), "leave the vendor out"),
        (Box(serial="good"), "another line"),
    ],
    ids=["none", "both", "long", "tab", "label", "underscore", "odd-owner", "no-owner", "note", "vendor", "twice"],
)
async def test_a_line_that_makes_no_sense_is_named_and_stops_no_other(admin, box, why):
    report = await listed(admin, Box(serial="good"), box)

    assert (report.added, len(report.refused), report.refused[0].line) == (1, 1, 2)
    assert why in report.refused[0].reason


async def test_ten_thousand_boxes_come_in_by_one_file_however_often(admin):
    file = b"serial,label,note\n" + b"".join(
        b"SN-%05d,home-%05d,van %d\n" % (one, one, one % 7) for one in range(10_000)
    )

    first = await listed(admin, *expected.read(io.BytesIO(file)))
    second = await listed(admin, *expected.read(io.BytesIO(file)))

    assert (numbers(first), numbers(second)) == ((10_000, 0, 0, []), (0, 0, 10_000, []))
    with pytest.raises(CannotDo, match="more than 10000"):
        expected.read(io.BytesIO(file + b"SN-X,,\n"))


@pytest.mark.parametrize(
    ("file", "why"),
    [(b"", "no boxes"), (b"serial\n", "no boxes"), (b"colour\nred\n", "'colour'"), (b"label\nx\n", "serial or ueid"),
     (b"serial,serial\na,b\n", "each once"), (b"serial,note\na\n", "1 cells"), (b"serial\n\xff\n", "UTF-8")],
    ids=["empty", "head-alone", "unknown", "without", "twice", "short", "latin"],
)  # fmt: skip
def test_a_file_that_is_none_is_refused(file, why):
    with pytest.raises(CannotDo, match=why):
        expected.read(io.BytesIO(file))


# -- boxes that come


@pytest.fixture
def house(dsn_for, tmp_path):
    """What gives a registry with two bonded makers and a verifier, whose policy takes expected boxes alone."""

    @asynccontextmanager
    async def opened(**policy):
        async with House(dsn_for, tmp_path) as made:
            for maker, called in ((MAKER, "Acme"), (OTHER, "Zenith")):
                pem = [one.public_bytes(Encoding.PEM) for one in (maker.anchor, maker.masa)]
                await vendors.bond(made.admin, None, called, pem[0], "operator:x", NOW, masa_keys=pem[1])
            jwks = json.dumps(jwk.members(jwk.of(SIGNER))).encode()
            await verifiers.add(made.admin, None, "lab", RULES, "operator:x", NOW, keys=jwks)
            wanted = {"methods": "invitation,voucher,attested", "expected_only": True} | policy
            await home_policy.change(made.admin, 1, ZONE, wanted)
            yield made

    return opened


def by_voucher(serial="SN-1", maker=MAKER, key=None, number=1, proved=True, **said):
    """Return the method and the wish of a box that its maker vouches for."""
    made, idevid = maker.device(serial)
    gateway = key or ec.generate_private_key(ec.SECP256R1())
    near = registrar.of(SECRET, "ns1").ca.public_bytes(Encoding.DER)
    request = voucher.Request(serial_number=serial, created_on=NOW)
    given = maker.voucher(request, near, nonce=None, expires_on=NOW + 900)
    shown = base64.b64encode(made.public_bytes(Encoding.DER)).decode()
    fresh = nonce.make(SECRET, NOW + 600, number.to_bytes(12))
    payload = json.dumps({"nonce": fresh, "key": jwk.kid(jwk.of(gateway))}).encode()
    signer = idevid if proved else ec.generate_private_key(ec.SECP256R1())
    proof = jws.compact(payload, {"x5c": [shown]}, signer)
    fields = {"method": "voucher", "voucher": b64.encode(given), "proof": b64.encode(proof)} | said
    return VoucherMethod(SECRET, "ns1"), wish(gateway, fields, number)


def by_evidence(number=1):
    fields = {"method": "attested", "evidence": Evidence("application/eat+jwt", b64.encode(as_jwt()))}
    return AttestedMethod(SECRET), wish(BOX, fields, number)


def wish(gateway, fields, number):
    said = Enrol(aud="smith.example.", iat=NOW, exp=NOW + 600, jti=f"{number:016d}", **fields)
    signed = jws.read(statements.sign(said, gateway))
    return Wish(signed, said, jwk.of(gateway), None)


async def come(house, dsn_for, way, tenant=1):
    """Return the home that a box becomes, with its owner, or the code of a refusal, which undoes all as a desk does."""
    method, asked = way
    refusal = method.cheap(asked, NOW)
    if refusal is not None:
        return refusal.code
    async with await connect(dsn_for("ddns_web"), "ddns_web") as conn, conn.transaction() as transaction:
        await entered(conn, tenant)
        done = await enrolment.enrol(conn, house.running.client, method, asked, tenant, NOW, secrets.token_bytes)
        if isinstance(done, Refusal):
            raise Rollback(transaction)
    if isinstance(done, Refusal):
        return done.code
    cursor = await house.admin.execute(
        "SELECT homes.owner FROM homes JOIN zones ON zones.id = homes.zone WHERE origin = %s",
        [names.order_key(done.home)],
    )
    ((owner,),) = await cursor.fetchall()
    return done.shown, owner


async def counted(conn):
    cursor = await conn.execute("SELECT (SELECT count(*) FROM homes), (SELECT count(*) FROM devices)")
    return await cursor.fetchone()


async def test_a_box_comes_in_only_where_it_is_expected_with_the_name_and_the_owner_that_were_written(house, dsn_for):
    async with house() as one:
        async with one.admin.transaction():
            await owners.insert(one.admin, PERSON, NOW)
        early = await come(one, dsn_for, by_voucher())
        before = await counted(one.admin)
        boxes = Box(serial="SN-1", label="berg", owner=str(PERSON)), Box(serial="SN-2", label="tal")
        assert (await listed(one.admin, *boxes)).added == 2

        chosen = await come(one, dsn_for, by_voucher("SN-2", number=2, label="villa"))
        first = await come(one, dsn_for, by_voucher(number=3))
        second = await come(one, dsn_for, by_voucher("SN-2", number=4, label="tal"))
        came = {row.label: row.came_at for row in await stored.page(one.admin, 1, b"", "", 10)}

    assert (early, before) == ("box-not-expected", (0, 0))
    assert chosen == "label-not-allowed"
    assert (first, second) == (("berg", PERSON), ("tal", None))
    assert came == {"berg": NOW, "tal": NOW}


async def test_a_name_is_given_once_and_one_that_is_taken_is_said(house, dsn_for):
    async with house() as one:
        await listed(one.admin, Box(serial="SN-1", label="berg"), Box(serial="SN-2", label="berg"))

        first = await come(one, dsn_for, by_voucher())
        taken = await come(one, dsn_for, by_voucher("SN-2", number=2))
        await listed(one.admin, Box(serial="SN-2", label="tal"))
        mended = await come(one, dsn_for, by_voucher("SN-2", number=3))

    assert (first[0], taken, mended[0]) == ("berg", "label-unavailable", "tal")


async def test_another_makers_box_with_the_same_number_is_not_the_one_that_is_expected(house, dsn_for):
    async with house() as one:
        await listed(one.admin, Box(serial="SN-1", vendor="Acme", label="berg"))

        other = await come(one, dsn_for, by_voucher(maker=OTHER))
        mine = await come(one, dsn_for, by_voucher(number=2))

    assert (other, mine[0]) == ("box-not-expected", "berg")


async def test_what_another_tenant_expects_counts_for_nobody_else(house, dsn_for):
    async with house() as one:
        isp = await tenants.add(one.admin, "isp", "")
        await listed(one.admin, Box(serial="SN-1", label="berg"), tenant=isp.id)

        assert await come(one, dsn_for, by_voucher()) == "box-not-expected"


async def test_who_has_not_proved_to_be_a_box_learns_nothing_of_whether_it_is_expected(house, dsn_for):
    async with house() as one:
        stranger = Maker("Stranger")
        ways = [
            lambda number: by_voucher(number=number, proved=False),
            lambda number: by_voucher(number=number, maker=stranger),
            lambda number: by_voucher(number=number, voucher=b64.encode(b"x")),
        ]
        unexpected = [await come(one, dsn_for, way(number)) for number, way in enumerate(ways, 1)]
        await listed(one.admin, Box(serial="SN-1", label="berg"))

        assert [await come(one, dsn_for, way(number)) for number, way in enumerate(ways, 4)] == unexpected
    assert unexpected[:2] == ["box-proof-wrong", "idevid-unknown-issuer"]


async def test_evidence_is_expected_by_its_ueid_and_an_invitation_needs_no_expecting(house, dsn_for):
    async with house() as one:
        ueid = b64.encode(b"\1" * 17)
        early = await come(one, dsn_for, by_evidence())
        await listed(one.admin, Box(ueid=ueid, label="berg"))
        late = await come(one, dsn_for, by_evidence(2))
        home = n("guest.smith.example.")
        invited = await homes.invite(one.admin, SEALER, await one.row(), home, 4_000_000_000, NOW)
        key = ec.generate_private_key(ec.SECP256R1())
        said = Enrol(aud="smith.example.", iat=NOW, exp=NOW + 600, jti="0" * 16, method="invitation")
        signed = jws.read(statements.sign(said, key, (names.to_text(invited.key), invited.secret.reveal())))
        guest = await come(one, dsn_for, (InvitationMethod(SEALER), Wish(signed, said, jwk.of(key), None)))

    assert (early, late[0], guest[0]) == ("box-not-expected", "berg", "guest")


async def test_without_that_policy_others_come_too_and_the_name_is_still_given(house, dsn_for):
    async with house(expected_only=False) as one:
        await listed(one.admin, Box(serial="SN-1", label="berg"))

        named = await come(one, dsn_for, by_voucher())
        other = await come(one, dsn_for, by_voucher("SN-9", number=2, label="villa"))

    assert (named[0], other[0]) == ("berg", "villa")


async def test_by_the_api_a_tenant_says_what_it_expects_and_sees_no_others(admin, dsn_for, tmp_path):
    isp = await tenants.add(admin, "isp", "")
    csv = {"media": "text/csv"}
    async with asking(dsn_for("ddns_web"), tmp_path, NOW) as desk:
        mine, theirs = await desk.token(admin, 1, {"devices"}), await desk.token(admin, isp.id, {"devices"})
        reader = await desk.token(admin, 1, {"homes:read"})
        wanted = {"devices": [{"serial": "SN-1", "label": "Berg"}, {"ueid": "AQEB"}, {"serial": "", "note": "x"}]}
        status, _, report = await desk.ask("POST", "/v1/devices", wanted, token=mine)
        again = await desk.ask("POST", "/v1/devices", b"serial,label\nSN-1,berg\nSN-2,\n", token=mine, **csv)
        own = await desk.ask("POST", "/v1/devices", {"devices": [{"serial": "SN-1"}]}, token=theirs)
        pages = [(await desk.ask("GET", "/v1/devices?limit=2", token=mine))[2]]
        pages.append((await desk.ask("GET", f"/v1/devices?limit=2&after={pages[0]['next']}", token=mine))[2])
        foreign = await desk.ask("GET", f"/v1/devices?after={pages[0]['next']}", token=theirs)
        not_theirs = await desk.ask("DELETE", "/v1/devices?serial=SN-2", token=theirs)
        nobodys = await desk.ask("DELETE", "/v1/devices?serial=SN-9", token=theirs)
        gone = await desk.ask("DELETE", "/v1/devices?serial=SN-1", token=mine)
        wrong = [
            await desk.ask("DELETE", "/v1/devices", token=mine),
            await desk.ask("POST", "/v1/devices", b"colour\nred\n", token=mine, **csv),
            await desk.ask("POST", "/v1/devices", {"devices": []}, token=mine),
            await desk.ask("POST", "/v1/devices", {"devices": [{"serial": "x", "colour": "red"}]}, token=mine),
        ]
        refused = [
            await desk.ask(method, "/v1/devices", {"x": 1}, token=reader) for method in ("GET", "POST", "DELETE")
        ]

    assert (status, report) == (200, {"added": 2, "changed": 0, "kept": 0, "refused": 1, "reasons": [
        {"line": 3, "reason": "A box has a serial number, or a UEID where evidence names it by that; write one of them"}
    ]})  # fmt: skip
    assert (again[2]["added"], again[2]["kept"], own[2]["added"]) == (1, 1, 1)
    assert sorted(one["label"] for page in pages for one in page["devices"]) == ["", "", "berg"]
    assert pages[1]["next"] == ""
    assert (foreign[0], foreign[2]["code"]) == (422, "cursor-wrong")
    assert (not_theirs[0], not_theirs[2]) == (nobodys[0], nobodys[2])
    assert (not_theirs[0], gone[0]) == (404, 204)
    assert [one[0] for one in wrong] == [422] * 4
    assert {one[2]["code"] for one in refused} == {"right-missing"}
    assert len(await stored.page(admin, 1, b"", "", 10)) == 2
    assert len(await stored.page(admin, isp.id, b"", "", 10)) == 1
