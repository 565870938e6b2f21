"""What makers of boxes must not be able to do: they are needed once, and have no say after."""

import json
import secrets
import time

import pytest
from boxes import SETTINGS, Vendor
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from desk import Desk
from service import eventually
from townspeople import ACTS, SIGNERS, code, fields_of, key, kid

from ddns.proof import statements
from ddns.proof.statements import RevokeKey


@pytest.fixture(scope="module")
def desk():
    """A desk of its own, where makers are believed."""
    with Desk(settings=SETTINGS).running(policy="methods=invitation,voucher,attested") as desk:
        yield desk


@pytest.fixture(scope="module")
def acme(desk):
    with Vendor(desk, "Acme").running() as vendor:
        yield vendor


@pytest.fixture(scope="module")
def box(acme):
    """A box that is somebody's: it came with its maker's voucher."""
    one = acme.box("VENDOR-1")
    assert one.ask_voucher().status == 200
    one.home = one.took(one.enrol())
    eventually(lambda: acme.desk.values(one.home, "KEY"))  # the workers hear of it
    return one


def keys_of(vendor):
    """Return the maker's own keys: its CA's and its MASA's."""
    return [load_pem_private_key((vendor.folder / f"{stem}.key").read_bytes(), None) for stem in ("ca", "masa")]


def post(desk, kind, *signers, **fields):
    now = int(time.time())
    said = {"aud": "homes.example.", "iat": now, "exp": now + 600, "jti": secrets.token_urlsafe(16)} | fields
    octets = statements.sign(kind(**said), *signers)
    return desk.ask_web("POST", "/v1/statements", octets, headers={"Content-Type": "application/jose+json"})


@pytest.mark.parametrize("kind", ACTS, ids=lambda kind: kind.__name__)
def test_vendor_cannot_revoke_transfer_or_see_an_owned_home(desk, acme, box, kind):
    """Each act there is, signed by the maker's CA or MASA: refused, and the box's key stays where it is."""
    for private in keys_of(acme):
        count, place = SIGNERS[kind]
        signers = [key() for _ in range(count)]
        signers[place] = private
        refused = post(desk, kind, *signers, **{**fields_of(kind, box.home, box.key), "sub": box.home})
        assert refused.status in (400, 403, 422), refused
    assert desk.values(box.home, "KEY")


def test_vendor_cannot_ask_unseen_nor_fill_a_history(desk, acme, box):
    """Row 47: what its key signs about an owned home is refused, and that it tried stands there once a day."""
    for _ in range(3):
        refused = post(desk, RevokeKey, keys_of(acme)[0], sub=box.home, key=kid(key()), reason="we sold it again")
        assert (refused.status, refused.json["code"]) == (403, "vendor-has-no-say")

    tried = [line for line in desk.ddns("home", "history", box.home).splitlines() if "vendor-refused" in line]
    assert len(tried) == 1
    assert "vendor:Acme" in tried[0]


def test_vendor_cannot_end_a_home_by_stopping_its_box_or_selling_it_again(desk, acme, box):
    acme.say("stop", "VENDOR-1", "--reason", "we would rather not")

    assert desk.values(box.home, "KEY")
    assert box.enrol(verb="simplereenroll", files=box.given).status == 200


def test_vendor_cannot_stop_anything_by_being_away(desk, acme, box):
    acme.stop()
    try:
        assert desk.values(box.home, "KEY")
        assert box.enrol(verb="simplereenroll", files=box.given).status == 200
    finally:
        acme.start()


def test_vendor_cannot_enrol_an_owned_box_again(desk, acme, box):
    """It may sign what it likes for a box that is somebody's: there is no second home."""
    twin = acme.box("VENDOR-2")
    twin.certificate, twin.idevid, twin.files = box.certificate, box.idevid, box.files

    refused = twin.ask_voucher(twin.request(serial="VENDOR-1"))

    assert code(refused)[1] == "box-owned"


def test_vendor_cannot_enrol_another_vendors_serial(desk, acme):
    """A box of a maker whose bond there is none of, with a serial that another maker has given."""
    other = Vendor(desk, "Zenith")
    stranger = other.box("VENDOR-3")
    acme.box("VENDOR-3")

    assert code(stranger.ask_voucher())[1] == "idevid-unknown-issuer"
    waits = stranger.enrol()
    assert (waits.status, waits.body) == (202, b"")  # it may ask, and gets nothing


def test_vendor_cannot_raise_a_tier_above_its_bonds(desk):
    """A bond that gives the tier `qr` gives no more, whatever the voucher says."""
    with Vendor(desk, "Low").running("--assurance", "qr") as low:
        box = low.box("LOW-1")
        assert box.ask_voucher().status == 200
        home = box.took(box.enrol())

    shown = json.loads(desk.ddns("home", "show", home, "--json"))

    assert {one["assurance"] for one in shown["keys"]} == {"qr"}


def test_registrar_in_between_cannot_have_a_box_that_saw_another_one(acme, box):
    """The box names the registrar that it sees; a voucher for who stands between it and us is not asked for."""
    fresh = acme.box("VENDOR-4")
    between = x509.load_pem_x509_certificate((acme.folder / "tls.pem").read_bytes())

    refused = fresh.ask_voucher(fresh.request(near=between))

    assert code(refused) == (401, "registrar-not-named")
