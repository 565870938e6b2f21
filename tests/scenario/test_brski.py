"""Boxes of two makers come to a registry that has never seen them (RFC 8995): rows 9, 12, 39, 44, 46 and 47.

Makers, registry and boxes are processes and real connections; no test waits for a clock.
"""

import json
from base64 import b64encode

import dns.rdatatype
import pytest
from boxes import EST, SETTINGS, VOUCHER, Box, Vendor
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from desk import Desk
from makers import Maker
from registrars import box_request
from service import eventually

from ddns.auth import keys
from ddns.cli.vendor_statement import command as statement
from ddns.proof import cms, voucher

ALLOWED = "methods=invitation,voucher,attested"


@pytest.fixture(scope="module")
def desk():
    with Desk(settings=SETTINGS).running(policy=ALLOWED) as desk:
        yield desk


@pytest.fixture(scope="module")
def acme(desk):
    with Vendor(desk, "Acme").running() as vendor:
        yield vendor


@pytest.fixture(scope="module")
def zenith(desk):
    with Vendor(desk, "Zenith").running("--assurance", "qr") as vendor:
        yield vendor


def key_at(desk, home):
    """Return the KEY records of a home, as the registry answers for them."""
    answer = desk.ask(home, "KEY")
    return {one.to_wire() for rrset in answer.answer if rrset.rdtype == dns.rdatatype.KEY for one in rrset}


def files_of(folder, made, key):
    pem, own = folder / "x.pem", folder / "x.key"
    pem.write_bytes(made.public_bytes(Encoding.PEM))
    own.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return pem, own


@pytest.mark.parametrize("media", sorted(voucher.MEDIA))
def test_a_box_gets_a_voucher_that_its_maker_signed_for_this_registry(desk, acme, media):
    box = acme.box(f"V-{media[20:23]}")

    answer = box.ask_voucher(media=media)

    assert (answer.status, answer.headers["content-type"]) == (200, media)
    said, signed = voucher.read_voucher(answer.body, media)
    assert signed.verify(cms.certificate(_der(acme.folder / "masa.pem")))
    assert (said.serial_number, said.nonce) == (box.serial, b"n" * 16)
    told = {"version": "1", "status": True}
    assert box.ask("/.well-known/brski/voucher_status", json.dumps(told).encode(), "application/json").status == 200


def _der(path):
    return x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER)


def test_a_box_becomes_a_home_with_a_certificate_and_its_key_in_the_dns(desk, acme):
    box = acme.box("E-1")
    assert box.ask_voucher().status == 200
    assert box.ask(EST + "csrattrs").status == 200

    octets = box.csr()
    answer = box.enrol(octets)
    home = box.took(answer)

    eventually(lambda: keys.key_rdata(box.key) in key_at(desk, home))  # the workers hear of it
    assert box.enrol(octets).body == answer.body  # the same request again is the same home
    told = json.dumps({"version": 1, "status": True}).encode()
    assert box.ask("/.well-known/brski/enrollstatus", told, "application/json", box.given).status == 200
    assert "voucher" in desk.ddns("home", "show", home)
    brought = {one["serial"]: one for one in json.loads(desk.ddns("vendor", "vouchers", "--json"))}
    assert (brought["E-1"]["domains"], brought["E-1"]["status"]) == (1, "enrolment good")


def test_a_box_rolls_its_key_and_renews_its_certificate(desk, acme):
    box = acme.box("R-1")
    assert box.ask_voucher().status == 200
    home = box.took(box.enrol())
    again = box.enrol(verb="simplereenroll", files=box.given)
    assert box.took(again) == home

    fresh = ec.generate_private_key(ec.SECP256R1())
    before = box.given
    octets = box.csr(fresh)
    answer = box.enrol(octets, "simplereenroll", before)

    assert answer.status == 200, answer
    eventually(lambda: key_at(desk, home) == {keys.key_rdata(fresh)})
    old = files_of(desk.folder, *_loaded(before))
    assert box.enrol(box.csr(ec.generate_private_key(ec.SECP256R1())), "simplereenroll", old).status == 403
    assert box.enrol(octets, "simplereenroll", old).body == answer.body


def _loaded(files):
    return x509.load_pem_x509_certificate(files[0].read_bytes()), load_pem_private_key(files[1].read_bytes(), None)


def test_a_box_with_its_own_certificate_alone_renews_nothing(acme):
    box = acme.box("R-2")

    answer = box.enrol(verb="simplereenroll")

    assert (answer.status, answer.json["code"]) == (403, "not-yours")


def test_without_a_voucher_there_is_no_home(desk, acme):
    answer = acme.box("W-1").enrol()

    assert (answer.status, answer.json["code"]) == (403, "voucher-missing")


def test_two_makers_boxes_come_with_what_their_makers_word_is_worth(desk, acme, zenith):
    """Two vendors, two tiers, one code: row 55's sister for vouchers."""
    first, second = acme.box("T-1"), zenith.box("T-1")  # the same serial number: they are two boxes
    assert first.ask_voucher().status == second.ask_voucher().status == 200
    one, other = first.took(first.enrol()), second.took(second.enrol())

    assert one != other
    assert "voucher" in desk.ddns("home", "show", one)
    assert "qr" in desk.ddns("home", "show", other)


def test_a_box_that_is_somebodys_gets_no_voucher_and_no_second_home(desk, acme):
    """The maker's word moves no box that has a home: 409, and nothing changes."""
    box = acme.box("O-1")
    assert box.ask_voucher().status == 200
    home = box.took(box.enrol())
    eventually(lambda: keys.key_rdata(box.key) in key_at(desk, home))  # the workers hear of it
    before = key_at(desk, home)

    asked = box.ask_voucher(box.request(nonce=b"m" * 16))
    again = box.enrol(box.csr(ec.generate_private_key(ec.SECP256R1())))

    assert (asked.status, asked.json["code"]) == (409, "box-owned")
    assert (again.status, again.json["code"]) == (409, "box-owned")
    assert key_at(desk, home) == before


@pytest.mark.parametrize("path", [VOUCHER, EST + "simpleenroll", EST + "simplereenroll"])
def test_who_shows_no_certificate_is_told_to(desk, path):
    """A serial alone, or a scan, gives nothing: row 44."""
    media = voucher.CMS if path == VOUCHER else "application/pkcs10"

    answer = desk.ask_web("POST", path, b"AAAA", headers={"Content-Type": media}, devices=True)

    assert (answer.status, answer.json["code"]) == (401, "client-certificate-missing")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"serial": "SN-other"}, 403, "voucher-other-serial"),
        ({"near": Maker().anchor}, 401, "registrar-not-named"),
        ({"media": voucher.JWS}, 403, "evidence-malformed"),
    ],
    ids=["serial", "registrar", "media"],
)
def test_a_request_that_is_not_the_boxs_own_is_refused(acme, change, status, code):
    box = acme.box(f"B-{code[:12]}")

    answer = box.ask_voucher(box.request(**change))

    assert (answer.status, answer.json["code"]) == (status, code)


def test_a_request_that_another_box_signed_is_refused(acme):
    box, thief = acme.box("S-1"), acme.box("S-2")

    answer = thief.ask(VOUCHER, box.request(), voucher.CMS)

    assert (answer.status, answer.json["code"]) == (403, "voucher-signature-wrong")


def test_a_request_without_the_registrars_certificate_is_refused(acme):
    box = acme.box("N-1")

    answer = box.ask_voucher(box_request(box.certificate, box.idevid, b"", "N-1"))

    assert (answer.status, answer.json["code"]) == (401, "registrar-not-named")


def test_a_box_of_an_unknown_maker_waits_and_has_no_voucher(desk, acme):
    """Row 46: its certificate ends in the year 9999, and nobody here knows who issued it."""
    made, key = Maker("Nobody").device("U-1")
    pem, _ = files_of(desk.folder, made, key)
    box = Box(desk, pem, "U-1")

    asked, enrolled = box.ask_voucher(), box.enrol()

    assert (asked.status, asked.json["code"]) == (404, "idevid-unknown-issuer")
    assert (enrolled.status, enrolled.headers["retry-after"]) == (202, "3600")


def test_of_a_maker_who_is_bonded_later_the_box_that_waited_comes_in_at_a_low_tier(desk):
    maker = Maker("Late", url="")
    made, key = maker.device("L-1")
    pem, _ = files_of(desk.folder, made, key)
    box = Box(desk, pem, "L-1")
    assert box.enrol().status == 202
    anchor = desk.folder / "late.pem"
    anchor.write_bytes(maker.anchor.public_bytes(Encoding.PEM))

    desk.ddns("vendor", "bond", "Late", "--anchors", anchor, "--assurance", "open")
    answer = box.enrol()
    desk.ddns("policy", "set", "homes.example.", "least=open")
    taken = box.enrol()
    desk.ddns("policy", "set", "homes.example.", "least=token")

    assert (answer.status, answer.json["code"]) == (403, "assurance-below-policy")
    assert "open" in desk.ddns("home", "show", box.took(taken))


def test_the_same_request_again_is_answered_without_the_maker_and_another_one_waits_for_it(desk, zenith):
    """Row 47 for boxes that are half way: their maker is away."""
    box = zenith.box("A-1")
    octets = box.request()
    first = box.ask_voucher(octets)
    zenith.stop()
    try:
        again, fresh = box.ask_voucher(octets), box.ask_voucher(box.request(nonce=b"x" * 16))
        enrolled = box.enrol()
    finally:
        zenith.start()

    assert (first.status, again.status, again.body) == (200, 200, first.body)
    assert (fresh.status, fresh.headers["retry-after"]) == (202, "60")
    assert enrolled.status == 200


def test_a_bond_that_is_withdrawn_lets_no_box_in_and_changes_no_home(desk):
    with Vendor(desk, "Gone").running() as vendor:
        old, new = vendor.box("G-1"), vendor.box("G-2")
        assert old.ask_voucher().status == new.ask_voucher().status == 200
        home = old.took(old.enrol())
        desk.ddns("vendor", "withdraw", str(vendor.number), "--reason", "its keys were stolen")

    asked, enrolled = new.ask_voucher(), new.enrol()

    assert (asked.status, asked.json["code"]) == (403, "bond-withdrawn")
    assert (enrolled.status, enrolled.json["code"]) == (403, "bond-withdrawn")
    eventually(lambda: keys.key_rdata(old.key) in key_at(desk, home))
    assert old.enrol(verb="simplereenroll", files=old.given).status == 200


def test_a_maker_signs_for_its_bond_and_ends_it_itself_and_no_home_changes(desk):
    """Row 66: the trust bond, by the maker's own key, with the commands of both sides."""
    maker = Vendor(desk, "Signer")
    key = desk.folder / "bond.key"
    key.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    signed, end = desk.folder / "signer.jws", desk.folder / "end.jws"
    both = ("--registry", "homes.example", "--key", key)
    ca = maker.folder / "ca.pem"

    def sign(*words):  # in this process: it needs no database
        statement.main(list(map(str, words)), standalone_mode=False)

    sign(
        "make", "Signer", *both, "--anchors", ca, "--masa-keys", maker.folder / "masa.pem", "--masa",
        f"localhost:{maker.port}", "--masa-anchors", ca, "--out", signed,
    )  # fmt: skip
    made = json.loads(desk.ddns("vendor", "bond", signed, "--json"))
    try:
        maker.start()
        old, new = maker.box("S-1"), maker.box("S-2")
        assert old.ask_voucher().status == new.ask_voucher().status == 200
        home = old.took(old.enrol())
    finally:
        maker.stop()
    sign("withdraw", *both, "--reason", "sold", "--out", end)

    said = desk.ask_web(
        "POST", "/v1/vendors/statements", end.read_bytes(), headers={"Content-Type": "application/jose+json"}
    )

    assert (made["vendor"], len(made["key"])) == ("Signer", 43)
    assert (said.status, said.json["holds"]) == (200, False), said
    assert (new.enrol().status, new.enrol().json["code"]) == (403, "bond-withdrawn")
    eventually(lambda: keys.key_rdata(old.key) in key_at(desk, home))
    assert old.enrol(verb="simplereenroll", files=old.given).status == 200


def test_a_registry_takes_only_the_boxes_that_it_was_told_of_and_calls_them_as_it_was_told(desk, acme):
    """RFC 8995 §5.3: who is not accepted is told so with 404, once the box has shown which it is."""
    known, unknown = acme.box("LT-1"), acme.box("LT-2")
    inventory = desk.folder / "boxes.csv"
    inventory.write_text("serial,vendor,label,note\nLT-1,Acme,lighthouse,van 3\n")
    desk.ddns("policy", "set", "homes.example.", "expected_only=yes")
    try:
        first, second = (desk.ddns("device", "expect", inventory) for _ in range(2))
        taken, refused = known.ask_voucher(), unknown.ask_voucher()
        home = known.took(known.enrol())
        listed = json.loads(desk.ddns("device", "list", "--json"))
    finally:
        desk.ddns("policy", "set", "homes.example.", "expected_only=default")

    assert (first.split()[0], second.startswith("0 boxes added, 0 changed, 1 as they were")) == ("1", True)
    assert (taken.status, refused.status, refused.json["code"]) == (200, 404, "box-not-expected")
    assert home == "lighthouse.homes.example."
    (row,) = listed
    assert (row["label"], row["note"], row["came_at"] is not None) == ("lighthouse", "van 3", True)
    desk.ddns("device", "forget", "LT-1")
    assert "no such box" in desk.ddns("device", "forget", "LT-1", status=1)
    eventually(lambda: keys.key_rdata(known.key) in key_at(desk, home))


def test_programs_see_whose_word_counts_and_what_it_brought(desk, acme):
    box = acme.box("P-1")
    assert box.ask_voucher().status == 200
    token, other = desk.token("vendors"), desk.token("homes:read")

    bonds, verifiers, brought = (
        desk.ask_web("GET", f"/v1/{what}", token=token).json[what] for what in ("bonds", "verifiers", "vouchers")
    )

    assert ("Acme", True, True) in [(one["vendor"], one["shared"], one["holds"]) for one in bonds]
    assert verifiers == []
    assert ("P-1", 1) in [(one["serial"], one["domains"]) for one in brought]
    assert desk.ask_web("GET", "/v1/bonds", token=other).status == 403


@pytest.mark.parametrize("path", ["voucher_status", "enrollstatus"])
@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "body-malformed"),
        (b"[]", 400, "body-malformed"),
        (b'{"status": "fine"}', 422, "field-wrong"),
        (b"[" * 9000, 400, "body-malformed"),
    ],
)
def test_a_status_that_is_none_is_refused(acme, path, body, status, code):
    box = acme.box(f"X-{path[:3]}-{len(body)}")

    answer = box.ask(f"/.well-known/brski/{path}", body, "application/json")

    assert (answer.status, answer.json["code"]) == (status, code)


def test_a_box_that_had_no_voucher_has_none_to_speak_of(acme):
    told = json.dumps({"version": "1", "status": False, "reason": "no such thing", "more": 1}).encode()

    answer = acme.box("X-1").ask("/.well-known/brski/voucher_status", told, "application/json")

    assert (answer.status, answer.json["code"]) == (404, "voucher-unknown")


@pytest.mark.parametrize("body", [b"%", b"AAAA", b64encode(b"0" * 100)])
def test_a_certification_request_that_is_none_is_refused(acme, body):
    answer = acme.box(f"C-{len(body)}").enrol(body)

    assert answer.json["code"] in {"body-malformed", "evidence-malformed"}


def test_a_certification_request_for_another_box_is_refused(acme):
    box = acme.box("C-3")
    assert box.ask_voucher().status == 200

    answer = box.enrol(box.csr(serial="C-9"))

    assert (answer.status, answer.json["code"]) == (403, "voucher-other-serial")
