"""Row 14: a phone scans a box, its maker's service says that the box is this owner's, the registry believes all three.

Phone, gateway, maker and registry are processes, as in draft-richardson-anima-smarkaklink; each refusal once, at the
box by the door that it opens, and at the registry by wishes whose parts are made here.
"""

import hashlib
import http.client
import json
import secrets
import shutil
import subprocess
import sys
import time

import msgspec
import pytest
from boxes import SETTINGS, Box, Vendor
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from desk import Desk
from enrolling import Home
from makers import Maker
from ports import free_port
from registrars import box_request
from service import eventually

from ddns.gateway import vouching
from ddns.masa import making
from ddns.proof import b64, dpp, jwe, jwk, jws, selfdevid, statements, voucher
from ddns.proof.statements import Enrol
from ddns.proof.voucher import Assertion, Voucher

REQUEST, VOUCHER = "/.well-known/brski/requestvoucherrequest", "/.well-known/est/voucher"


def key():
    return ec.generate_private_key(ec.SECP256R1())


def der(certificate):
    return certificate.public_bytes(Encoding.DER)


@pytest.fixture(scope="module")
def desk():
    with Desk(settings=SETTINGS).running(policy="methods=invitation,qr,voucher least=qr") as running:
        yield running


@pytest.fixture(scope="module")
def acme(desk):
    with Vendor(desk, "Acme").running() as vendor:
        yield vendor


class Carton(Home):
    """A box of *vendor*'s, with a code on it, and a phone before it."""

    def __init__(self, vendor, serial, curve="P-256"):
        super().__init__(vendor.desk, serial.lower())
        self.vendor, self.serial = vendor, serial
        self.code = json.loads(vendor.say("device", "add", serial, "--json"))["qr"]
        self.pem = vendor.folder / "boxes" / f"{serial}.pem"
        self.gateway.mkdir(mode=0o700)
        shutil.copy(self.pem.with_name(f"{serial}.qr.key"), self.gateway / "printed.pem")
        self.at_phone("make", "--curve", curve)
        self.port = free_port()
        self.door = None

    def __enter__(self):
        """Have the box wait for a phone."""
        words = (
            "gateway", "pair", "--listen", f"127.0.0.1:{self.port}", "--wait", "600", "--idevid", self.pem,
            self.pem.with_suffix(".key"), "--anchor", self.vendor.folder / "masa.pem", "--home", self.gateway,
        )  # fmt: skip
        self.door = subprocess.Popen(
            [sys.executable, "-m", "ddns.cli", *map(str, words)], env=self.desk.environment(),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert "Waiting at" in self.door.stdout.readline()
        return self

    def __exit__(self, *_how):
        self.door.kill()
        self.door.communicate()

    def scan(self, *words, status=0):
        where = ("--desk", f"https://localhost:{self.desk.web}", "--cafile", str(self.desk.certificate))
        at = ("--box", f"127.0.0.1:{self.port}", "--registry", "homes.example", "--label", self.serial.lower())
        maker = ("--maker-cafile", str(self.vendor.folder / "ca.pem"))
        return self.at_phone("scan", self.code, *at, *where, *maker, *words, status=status)

    def shown(self):
        return json.loads(self.desk.ddns("home", "show", self.name, "--json"))

    def post(self, path, body, media):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("POST", path, body, {"Content-Type": media})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def question(self, phone, nonce="n" * 43):
        """Return what a phone with the key *phone* asks the box."""
        shown = selfdevid.make(phone, int(time.time()), secrets.token_bytes(16))
        asked = vouching.Asked(nonce, b64.encode(der(shown)), int(time.time()))
        sealed = jwe.seal(msgspec.json.encode(asked), dpp.read(self.code).public_key, key(), secrets.token_bytes(12))
        return vouching.question(sealed), shown


def test_a_maker_says_whose_the_box_is_and_the_registry_believes_it(desk, acme):
    with Carton(acme, "SMARK-1") as box:
        scanned = box.scan()
        accepted = box.at_phone("accept")
        out, _ = box.door.communicate(timeout=60)

    assert "says that it may be yours" in scanned
    assert f"{box.name} is yours" in accepted
    assert "is this gateway's" in out
    assert box.shown()["keys"][0]["assurance"] == "voucher"
    (event,) = json.loads(acme.say("log", "SMARK-1", "--json"))["events"]
    assert event["assertion"] == "proximity"
    eventually(lambda: desk.values(box.name, "KEY"))
    box.at_gateway("publish", "cam", "--address", "2001:db8::4")
    eventually(lambda: desk.values(f"cam.{box.name}", "AAAA") == ["2001:db8::4"])
    assert "vouching.json" not in {one.name for one in box.gateway.iterdir()}
    again = Box(desk, box.pem, "SMARK-1").ask_voucher()
    assert (again.status, again.json["code"]) == (409, "box-owned")  # by its certificate it is the same box


def test_a_box_whose_maker_refuses_or_is_away_goes_on_without_its_word_at_the_lower_tier(acme):
    with Carton(acme, "SMARK-2") as box:
        acme.say("stop", "SMARK-2", "--reason", "it was stolen from the store")
        refused = box.scan(status=3)
        nothing = box.at_phone("accept", status=2)
        acme.stop()
        try:
            away = box.scan(status=4)
        finally:
            acme.start()
        box.scan("--without-maker")
        box.at_phone("accept")

    assert "Vouchers are not given for this box" in refused
    assert "--without-maker" in refused
    assert "nothing waits" in nothing.lower()
    assert "maker's service" in away
    assert box.shown()["keys"][0]["assurance"] == "qr"


def test_a_maker_names_no_owner_whose_key_it_cannot_write(acme):
    with Carton(acme, "SMARK-3", "Ed25519") as box:
        assert "P-256" in box.scan(status=2)


@pytest.fixture(scope="module")
def waiting(acme):
    with Carton(acme, "DOOR-1") as box:
        yield box


def signing(vendor):
    """Return the certificate and the key that sign the vouchers of *vendor*."""
    made = x509.load_pem_x509_certificate((vendor.folder / "masa.pem").read_bytes())
    return made, load_pem_private_key((vendor.folder / "masa.key").read_bytes(), None)


def given(vendor, serial, own_nonce, pinned, *, by=None, **changed):
    """Return a voucher of *vendor* but for what is *changed*."""
    now = int(time.time())
    fields = {"serial_number": serial, "created_on": now, "assertion": Assertion.PROXIMITY, "nonce": own_nonce}
    said = Voucher(**(fields | {"pinned_domain_cert": der(pinned)} | changed))
    return voucher.write_cms(voucher.voucher_json(said), *(by or signing(vendor)), now)


def stranger():
    maker = Maker("Stranger")
    return maker.masa, maker.masa_key


def elsewhere():
    return selfdevid.make(key(), int(time.time()), secrets.token_bytes(16))


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        (lambda: {"serial_number": "DOOR-2"}, "voucher-other-serial"),
        (lambda: {"nonce": b"x" * 16}, "voucher-nonce-wrong"),
        (lambda: {"expires_on": int(time.time()) - 60}, "voucher-expired"),
        (lambda: {"pinned_domain_cert": der(elsewhere())}, "voucher-other-domain"),
        (lambda: {"by": stranger()}, "voucher-signature-wrong"),
    ],
    ids=["serial", "nonce", "expired", "owner", "signer"],
)
def test_a_box_takes_no_voucher_that_is_not_its_makers_for_this_phone(acme, waiting, changed, code):
    body, shown = waiting.question(key())
    status, octets = waiting.post(REQUEST, body, vouching.MEDIA)
    asked, signed = voucher.read_request(octets, voucher.CMS)
    octets = given(acme, "DOOR-1", asked.nonce, shown, **changed())

    refused = waiting.post(VOUCHER, octets, voucher.CMS)
    again = waiting.post(VOUCHER, given(acme, "DOOR-1", asked.nonce, shown), voucher.CMS)

    assert status == 200
    assert signed.verify(signed.signer)
    assert asked.challenge == hashlib.sha256(b"n" * 43).digest()
    assert asked.proximity_registrar_cert == der(shown)
    assert (refused[0], json.loads(refused[1])["code"]) == (403, code)
    assert again[0] == 403, "a request whose voucher was bad is over"


def test_with_a_good_voucher_the_same_door_goes_on(acme, waiting):
    body, shown = waiting.question(key())
    _, octets = waiting.post(REQUEST, body, vouching.MEDIA)
    asked, _ = voucher.read_request(octets, voucher.CMS)

    status, said = waiting.post(VOUCHER, given(acme, "DOOR-1", asked.nonce, shown), voucher.CMS)

    assert (status, json.loads(said)) == (200, {"version": 1, "status": True})


def test_a_question_for_another_box_is_not_answered(acme, waiting):
    other = Carton(acme, "DOOR-3")
    body, _ = other.question(key())

    assert waiting.post(REQUEST, body, vouching.MEDIA)[0] == 403
    assert waiting.post(REQUEST, b"{}", vouching.MEDIA)[0] == 403


class Wish:
    """A wish with a voucher as a box of *vendor* and a phone make it; parts may be made otherwise."""

    def __init__(self, vendor, serial):
        self.vendor, self.desk, self.serial = vendor, vendor.desk, serial
        ca = making.read(vendor.folder, "ca")
        self.idevid, self.private = making.device(serial, f"localhost:{vendor.port}", ca, int(time.time()))
        self.gateway, self.owner, self.printed = key(), key(), key()
        self.shown = selfdevid.make(self.owner, int(time.time()), secrets.token_bytes(16))
        self.nonce = self.desk.ask_web("POST", "/v1/nonces", {}).json["nonce"]
        self.own = b"b" * 16  # the box's nonce

    def request(self, **changed):
        now = int(time.time())
        fields = {"near": der(self.shown), "serial": self.serial, "challenge": self.challenge}
        by = changed.pop("by", (self.idevid, self.private))
        return box_request(*by, **(fields | {"nonce": self.own, "at": now} | changed))

    @property
    def challenge(self):
        return hashlib.sha256(self.nonce.encode()).digest()

    def post(self, *, request=None, voucher=None, printed=None):
        said = {"nonce": self.nonce, "key": jwk.kid(jwk.of(self.gateway)), "owner": jwk.kid(jwk.of(self.owner))}
        proof = jws.sign(json.dumps(said).encode(), [jws.shown(printed or self.printed)])
        now = int(time.time())
        good = given(self.vendor, self.serial, self.own, self.shown)
        wish = Enrol(
            aud="homes.example.", iat=now, exp=now + 600, jti=secrets.token_urlsafe(16), method="qr",
            owner=said["owner"], proof=b64.encode(proof),
            request=b64.encode(self.request() if request is None else request),
            voucher=b64.encode(good if voucher is None else voucher),
        )  # fmt: skip
        octets = statements.sign(wish, self.gateway, self.owner)
        return self.desk.ask_web("POST", "/v1/enrol", octets, headers={"Content-Type": "application/jose+json"})


def by_stranger():
    return Maker("Stranger").device("WISH")


BAD = {
    "no-request": (lambda _: {"request": b""}, "voucher-missing"),
    "no-voucher": (lambda _: {"voucher": b""}, "voucher-missing"),
    "request-of-nobodys": (
        lambda one: {"request": one.request(by=by_stranger(), serial="WISH")}, "idevid-unknown-issuer",
    ),
    "request-signed-by-another": (
        lambda one: {"request": one.request(by=(one.idevid, key()))}, "voucher-signature-wrong",
    ),
    "request-of-another-serial": (lambda one: {"request": one.request(serial="OTHER")}, "voucher-other-serial"),
    "challenge": (lambda one: {"request": one.request(challenge=b"c" * 32)}, "qr-proof-wrong"),
    "no-challenge": (lambda one: {"request": one.request(challenge=b"")}, "qr-proof-wrong"),
    "request-for-another-owner": (lambda one: {"request": one.request(near=der(elsewhere()))}, "qr-proof-wrong"),
    "printed-is-the-certificates": (lambda one: {"printed": one.private}, "qr-proof-wrong"),
    "voucher-of-another-signer": (
        lambda one: {"voucher": given(one.vendor, one.serial, one.own, one.shown, by=stranger())},
        "voucher-signature-wrong",
    ),
    "voucher-of-the-box-itself": (
        lambda one: {"voucher": given(one.vendor, one.serial, one.own, one.shown, by=(one.idevid, one.private))},
        "voucher-signature-wrong",
    ),
    "voucher-of-another-serial": (
        lambda one: {"voucher": given(one.vendor, "OTHER", one.own, one.shown)}, "voucher-other-serial",
    ),
    "voucher-with-another-nonce": (
        lambda one: {"voucher": given(one.vendor, one.serial, b"x" * 16, one.shown)}, "voucher-nonce-wrong",
    ),
    "voucher-for-another-owner": (
        lambda one: {"voucher": given(one.vendor, one.serial, one.own, elsewhere())}, "voucher-other-domain",
    ),
    "voucher-over": (
        lambda one: {"voucher": given(one.vendor, one.serial, one.own, one.shown, expires_on=int(time.time()) - 9)},
        "voucher-expired",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(BAD))
def test_the_registry_refuses_each_part_that_does_not_belong_to_the_others(acme, case):
    """And with all parts as they ought to be the same box has a home, so nothing else was wrong."""
    change, code = BAD[case]
    wish = Wish(acme, f"WISH-{sorted(BAD).index(case)}")

    refused = wish.post(**change(wish))
    made = wish.post()

    assert refused.json["code"] == code, refused
    assert (made.status, made.json["assurance"]) == (201, "voucher"), made
