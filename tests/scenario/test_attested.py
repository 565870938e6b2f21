"""Boxes whose hardware says what holds their keys, over HTTPS and in EST: rows 39, 54, 55 and 56.

Two verifiers, one that signs JWT and one that signs CWT with a certificate, are data and nothing else; a token is made
by the box's hardware anew for each nonce.
"""

import json
import secrets
import time
from base64 import b64decode, b64encode

import dns.update
import psycopg
import pytest
from boxes import EST, SETTINGS, Vendor
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from desk import Desk
from enrolling import Home
from joserfc import jwt
from joserfc.jwk import ECKey
from makers import certificate, name
from service import eventually

from ddns import postgres
from ddns.auth import sig0
from ddns.dns import names
from ddns.gateway.invitation import Invitation
from ddns.homes.registrar import Registrar
from ddns.proof import b64, cbor, cose, csr, der, eat, jwk, jws, statements, voucher
from ddns.proof.statements import Enrol, Evidence

RULES = {"all": [{"claim": "dbgstat", "is": ["disabled-permanently"]}, {"claim": "oemid", "there": True}]}
ALLOWED = "methods=invitation,voucher,attested"


def key():
    return ec.generate_private_key(ec.SECP256R1())


class Lab:
    """A verifier: its key signs JWT; or it has a CA, and its certificate goes along with CWT."""

    def __init__(self, desk, called, *, chain, gives="attested"):
        self.key, self.chain = key(), ()
        rules = desk.folder / f"{called}.rules.json"
        rules.write_text(json.dumps(RULES | {"gives": gives}))
        if chain:
            ca = key()
            anchor = certificate(name(called), ca, name(called), ca, ca=True)
            self.chain = (certificate(name("signer"), self.key, name(called), ca).public_bytes(Encoding.DER),)
            file, option = desk.folder / f"{called}.pem", "--anchors"
            file.write_bytes(anchor.public_bytes(Encoding.PEM))
        else:
            file, option = desk.folder / f"{called}.jwks", "--keys"
            file.write_text(json.dumps({"keys": [jwk.members(jwk.of(self.key))]}))
        desk.ddns("verifier", "add", called, "--rules", rules, option, file)

    def says(self, held, nonce, **changed):
        """Return what it says of the key *held*, as the field `evidence` of a statement has it."""
        claims = {
            "eat_nonce": nonce,
            "dbgstat": "disabled-permanently",
            "oemid": "AAAA",
            "ueid": b64.encode(held.x[:17]),
        }
        claims |= {"cnf": jwk.members(held), "exp": int(time.time()) + 300} | changed
        if not self.chain:
            pem = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            said = claims | {"cnf": {"jwk": claims["cnf"]}}
            return Evidence(eat.JWT, b64.encode(jwt.encode({"alg": "ES256"}, said, ECKey.import_key(pem)).encode()))
        held_key = cose.members_of(jwk.from_members(claims["cnf"]))
        said = {
            10: claims["eat_nonce"].encode(), 263: 3 if claims["dbgstat"] == "disabled-permanently" else 0,
            258: b"\0\0\0", 256: held.x[:17], 8: {1: held_key}, 4: claims["exp"],
        }  # fmt: skip
        return Evidence(eat.CWT, b64.encode(cose.sign(cbor.write(said), self.key, x5chain=self.chain)))


@pytest.fixture(scope="module")
def desk():
    with Desk(settings=SETTINGS).running(policy=ALLOWED) as desk:
        desk.ddns("policy", "kind", "add", "lock", "homes.example.", "--labels", "lock", "--least", "attested")
        yield desk


@pytest.fixture(scope="module")
def labs(desk):
    return {"jwt": Lab(desk, "first", chain=False), "cwt": Lab(desk, "second", chain=True)}


def nonce(desk):
    made = desk.ask_web("POST", "/v1/nonces", {})
    assert made.status == 201, made
    return made.json["nonce"]


def enrol(desk, gateway, *also, **fields):
    """Post an enrolment that *gateway* and whoever is in *also* sign."""
    now = int(time.time())
    said = {"aud": "homes.example.", "iat": now, "exp": now + 300, "jti": secrets.token_urlsafe(16)}
    said = Enrol(**(said | {"method": "attested"} | fields))
    octets = statements.sign(said, gateway, *also)
    return desk.ask_web("POST", "/v1/enrol", octets, headers={"Content-Type": "application/jose+json"})


def code(answer):
    return answer.status, answer.json.get("code")


def write(desk, home, gateway, owner):
    """Write a record at *owner* in *home*, and return the response code."""
    origin = names.from_text(home)
    update = dns.update.UpdateMessage(home)
    update.add(owner, 60, "A", "192.0.2.7")
    wire = update.to_wire()
    return desk.exchange(sig0.sign_request(wire, gateway, origin, int(time.time())))[3] & 0x0F


@pytest.mark.parametrize("which", ["jwt", "cwt"])
def test_hardware_that_a_verifier_vouches_for_is_the_highest_tier(desk, labs, which):
    """Row 55: the same box by either verifier, and the code knows neither."""
    gateway = key()

    made = enrol(desk, gateway, evidence=labs[which].says(jwk.of(gateway), nonce(desk)))

    assert (made.status, made.json["assurance"]) == (201, "attested"), made
    assert "attested" in desk.ddns("home", "show", made.json["home"])


def test_evidence_beside_an_invitation_gives_the_higher_tier_and_without_it_the_base_tier(desk, labs):
    for label, more, tier in (("hard", True, "attested"), ("soft", False, "token")):
        invitation = Invitation.from_text(Home(desk, label).invite())
        gateway = key()
        evidence = labs["jwt"].says(jwk.of(gateway), nonce(desk)) if more else None
        by = (names.to_text(invitation.key), invitation.secret)

        made = enrol(desk, gateway, by, method="invitation", evidence=evidence)

        assert (made.status, made.json["assurance"]) == (201, tier), made


@pytest.mark.parametrize(
    ("which", "change", "status", "expected"),
    [
        ("jwt", {"dbgstat": "enabled"}, 403, "evidence-not-enough"),
        ("cwt", {"dbgstat": "enabled"}, 403, "evidence-not-enough"),
        ("jwt", {"eat_nonce": "x" * 43}, 403, "evidence-nonce-wrong"),
        ("cwt", {"eat_nonce": "x" * 43}, 403, "evidence-nonce-wrong"),
        ("jwt", {"exp": 1_000_000_000}, 403, "evidence-expired"),
        ("cwt", {"exp": 1_000_000_000}, 403, "evidence-expired"),
        ("jwt", {"nbf": 4_000_000_000}, 403, "evidence-not-yet"),
        ("jwt", {"cnf": jwk.members(jwk.of(key()))}, 403, "evidence-key-wrong"),
        ("cwt", {"cnf": jwk.members(jwk.of(key()))}, 403, "evidence-key-wrong"),
    ],
    ids=lambda one: str(one)[:30],
)
def test_each_lack_has_its_own_code(desk, labs, which, change, status, expected):
    """Row 56; and with what is mended the same box gets in, so nothing else was wrong."""
    gateway = key()

    refused = enrol(desk, gateway, evidence=labs[which].says(jwk.of(gateway), nonce(desk), **change))
    mended = enrol(desk, gateway, evidence=labs[which].says(jwk.of(gateway), nonce(desk)))

    assert code(refused) == (status, expected)
    assert mended.status == 201, mended


def test_a_verifier_that_nobody_named_says_nothing(desk, labs):
    gateway, stranger = key(), object.__new__(Lab)
    stranger.key, stranger.chain = key(), ()

    answer = enrol(desk, gateway, evidence=stranger.says(jwk.of(gateway), nonce(desk)))

    assert code(answer) == (403, "verifier-unknown")


def test_a_nonce_is_answered_once(desk, labs):
    once, gateways = nonce(desk), [key(), key()]

    answers = [enrol(desk, one, evidence=labs["jwt"].says(jwk.of(one), once)) for one in gateways]

    assert [one.status for one in answers] == [201, 403]
    assert answers[1].json["code"] == "nonce-wrong"


def test_a_box_that_names_itself_is_one_box(desk, labs):
    """Its hardware may make another key; its home is there already, and only its owner can change that."""
    gateway, again = key(), key()
    ueid = {"ueid": b64.encode(b"\x01one-of-its-kind!!")}
    first = enrol(desk, gateway, evidence=labs["jwt"].says(jwk.of(gateway), nonce(desk), **ueid))

    second = enrol(desk, again, evidence=labs["jwt"].says(jwk.of(again), nonce(desk), **ueid))

    assert first.status == 201
    assert code(second) == (409, "box-owned")


def test_without_evidence_there_is_nothing_to_judge(desk):
    assert code(enrol(desk, key())) == (403, "evidence-missing")


def test_evidence_that_is_none_is_refused(desk):
    for media in (eat.JWT, eat.CWT, "application/pkcs10"):
        assert code(enrol(desk, key(), evidence=Evidence(media, b64.encode(b"nothing"))))[1] == "evidence-malformed"


def test_a_lock_takes_hardware_and_nothing_else(desk, labs):
    """Row 54: one rule for all homes; the same update by two keys."""
    homes = {}
    for tier in ("attested", "token"):
        gateway = key()
        invitation = Invitation.from_text(Home(desk, f"with-{tier}").invite())
        evidence = labs["cwt"].says(jwk.of(gateway), nonce(desk)) if tier == "attested" else None
        by = (names.to_text(invitation.key), invitation.secret)
        made = enrol(desk, gateway, by, method="invitation", evidence=evidence)
        homes[tier] = (made.json["home"], gateway)
        eventually(lambda home=made.json["home"]: desk.values(home, "KEY"))  # the workers hear of it

    rcodes = {tier: (write(desk, home, own, f"lock.{home}"), write(desk, home, own, f"lamp.{home}"))
              for tier, (home, own) in homes.items()}  # fmt: skip

    assert rcodes == {"attested": (0, 0), "token": (5, 0)}


def requested(gateway, *tokens):
    """Return a certification request with attestation statements, as the lamps working group has them."""
    held = [der.sequence(der.oid("1.3.6.1.4.1.99999.7"), der.octet_string(b64.decode(one.value))) for one in tokens]
    return bundled(gateway, der.sequence(der.sequence(*held)))


def bundled(gateway, attestation):
    """Return a certification request of *gateway* with an *attestation*, an AttestationBundle."""
    plain = x509.CertificateSigningRequestBuilder().subject_name(name("box")).sign(gateway, hashes.SHA256())
    parts = der.read(plain.tbs_certrequest_bytes).children()
    attribute = der.sequence(der.oid(csr.ATTESTATION), der.set_of(attestation))
    info = der.sequence(*[one.raw for one in parts[:3]], der.value(0xA0, attribute))
    signed = gateway.sign(info, ec.ECDSA(hashes.SHA256()))
    algorithm = der.sequence(der.oid("1.2.840.10045.4.3.2"))
    return der.sequence(info, algorithm, der.value(der.BIT_STRING, b"\0" + signed))


@pytest.mark.parametrize("which", ["jwt", "cwt"])
def test_evidence_may_stand_in_a_certification_request(desk, labs, which):
    gateway, other = key(), key()
    token = labs[which].says(jwk.of(gateway), nonce(desk))

    stolen = enrol(desk, other, evidence=Evidence("application/pkcs10", b64.encode(requested(gateway, token))))
    made = enrol(desk, gateway, evidence=Evidence("application/pkcs10", b64.encode(requested(gateway, token))))

    assert code(stolen) == (403, "evidence-key-wrong")
    assert (made.status, made.json["assurance"]) == (201, "attested"), made


def test_est_takes_evidence_beside_the_makers_word(desk, labs):
    with Vendor(desk, "Hard").running() as vendor:
        box = vendor.box("H-1")
        assert box.ask_voucher().status == 200
    assert b"\x02;" in b64decode(box.ask(EST + "csrattrs").body)  # it is asked for: …16.2.59
    once = nonce(desk)

    home = box.took(box.enrol(b64encode(requested(box.key, labs["jwt"].says(jwk.of(box.key), once)))))

    assert "attested" in desk.ddns("home", "show", home)
    new = key()
    for answered, status in ((once, 403), (nonce(desk), 200)):
        token = labs["jwt"].says(jwk.of(new), answered)
        assert box.enrol(b64encode(requested(new, token)), "simplereenroll", box.given).status == status
    assert "attested" in desk.ddns("home", "show", home)
    with psycopg.connect(postgres.socket_dsn(postgres.running(desk.state), postgres.OWNER)) as conn:
        kept = conn.execute(
            "SELECT until FROM credentials LEFT JOIN appraisals ON credential = credentials.id"
            " WHERE credentials.name = %s AND revoked_at IS NULL",
            [names.order_key(names.from_text(home))],
        ).fetchall()
    assert len(kept) == 1
    assert kept[0][0] is not None  # what evidence gave lapses with it


def test_a_voucher_that_comes_as_a_file_makes_a_home(desk):
    """Row 39: signed before anybody knew the box's nonce, with an end; the box proves itself by its own certificate."""
    vendor = Vendor(desk, "Filed")
    vendor.bond()
    box, gateway = vendor.box("F-1"), key()
    secret = (desk.state / "secrets.key").read_bytes()
    pinned = Registrar(secret, "ns1.homes.example").ca.public_bytes(Encoding.DER)
    masa = x509.load_pem_x509_certificate((vendor.folder / "masa.pem").read_bytes())
    masa_key = _key(vendor.folder / "masa.key")
    now = int(time.time())
    document = voucher.voucher_json(
        voucher.Voucher(
            serial_number="F-1", created_on=now, assertion=voucher.Assertion.LOGGED, pinned_domain_cert=pinned,
            expires_on=now + 3600,
        )
    )  # fmt: skip
    given = b64.encode(voucher.write_cms(document, masa, masa_key, now))

    def proof(own, certificate, **members):
        payload = {"nonce": nonce(desk), "key": jwk.kid(jwk.of(gateway))} | members
        chain = [b64encode(certificate.public_bytes(Encoding.DER)).decode()]
        return b64.encode(jws.compact(json.dumps(payload).encode(), {"x5c": chain}, own))

    def ask(shown):
        return enrol(desk, gateway, method="voucher", voucher=given, proof=shown)

    thief = vendor.box("F-2")
    assert code(ask(proof(thief.idevid, box.certificate))) == (403, "box-proof-wrong")
    assert code(ask(proof(thief.idevid, thief.certificate))) == (403, "voucher-other-serial")
    assert code(ask(proof(box.idevid, box.certificate, nonce="x" * 43))) == (403, "box-proof-wrong")
    assert code(ask(proof(box.idevid, box.certificate, key=jwk.kid(jwk.of(key()))))) == (403, "box-proof-wrong")
    assert code(enrol(desk, gateway, method="voucher")) == (403, "voucher-missing")

    made = ask(proof(box.idevid, box.certificate))

    assert (made.status, made.json["assurance"]) == (201, "voucher"), made
    assert code(enrol(desk, key(), method="voucher", voucher=given, proof=proof(box.idevid, box.certificate))) == (
        403, "box-proof-wrong",
    )  # fmt: skip


def _key(path):
    return load_pem_private_key(path.read_bytes(), None)


class Chip:
    """Hardware that says nothing: its key has a certificate, and signs. *kind* names its signatures."""

    def __init__(self, desk, called, kind):
        self.ca, self.key, self.kind, self.called = key(), key(), kind, called
        anchor = certificate(name(called), self.ca, name(called), self.ca, ca=True)
        self.certificate = certificate(name("chip"), self.key, name(called), self.ca)
        rules, file = desk.folder / f"{called}.rules.json", desk.folder / f"{called}.pem"
        rules.write_text(json.dumps({"all": [{"claim": "key-signature", "is": [kind]}], "gives": "attested"}))
        file.write_bytes(anchor.public_bytes(Encoding.PEM))
        desk.ddns("verifier", "add", called, "--rules", rules, "--anchors", file)

    def request(self, gateway, fresh, *, by=None, kind=None, over=None, certificates=None):
        """Return a certification request of *gateway* in which the chip has signed *fresh* and the key."""
        held = (over or gateway).public_key()
        spki = held.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        made = (by or self.key).sign(fresh.encode() + spki, ec.ECDSA(hashes.SHA256()))
        said = der.sequence(der.octet_string(fresh.encode()), der.octet_string(made))
        statement = der.sequence(der.oid(kind or self.kind), said)
        along = [self.certificate] if certificates is None else certificates
        chain = der.sequence(*(one.public_bytes(Encoding.DER) for one in along))
        return bundled(gateway, der.sequence(der.sequence(statement), chain))


@pytest.fixture(scope="module")
def chip(desk):
    return Chip(desk, "chips", "1.3.6.1.4.1.99999.11")


def pkcs10(octets):
    return Evidence("application/pkcs10", b64.encode(octets))


def test_a_key_in_hardware_that_only_signs_is_evidence_too(desk, chip):
    gateway = key()

    made = enrol(desk, gateway, evidence=pkcs10(chip.request(gateway, nonce(desk))))

    assert (made.status, made.json["assurance"]) == (201, "attested"), made


def stranger(called="strange"):
    """Return a key and its certificate by a CA that nobody has named."""
    ca, own = key(), key()
    return own, certificate(name("own"), own, name(called), ca)


def _by_stranger(chip, gateway, fresh):
    own, made = stranger()
    return chip.request(gateway, fresh, by=own, certificates=[made])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda chip, gateway, fresh: chip.request(gateway, fresh, over=key()), "evidence-key-wrong"),
        (lambda chip, gateway, fresh: chip.request(gateway, fresh, by=key()), "evidence-key-wrong"),
        (lambda chip, gateway, _fresh: chip.request(gateway, "x" * 43), "evidence-nonce-wrong"),
        (lambda chip, gateway, fresh: chip.request(gateway, fresh, kind="1.3.6.1.4.1.99999.12"), "evidence-not-enough"),
        (lambda chip, gateway, fresh: chip.request(gateway, fresh, certificates=[]), "verifier-unknown"),
        (_by_stranger, "verifier-unknown"),
    ],
    ids=["other-key", "other-signer", "nonce", "kind", "no-chain", "strange-chain"],
)
def test_each_lack_of_such_a_signature_has_its_own_code(desk, chip, change, expected):
    """And the same gateway gets in with what the chip signs, so nothing else was wrong."""
    gateway = key()

    refused = enrol(desk, gateway, evidence=pkcs10(change(chip, gateway, nonce(desk))))
    mended = enrol(desk, gateway, evidence=pkcs10(chip.request(gateway, nonce(desk))))

    assert code(refused) == (403, expected), refused
    assert mended.status == 201, mended


def test_a_signature_answers_its_nonce_once_and_no_rules_that_were_not_written_for_it(desk, chip):
    fresh, (gateway, other) = nonce(desk), (key(), key())
    first = enrol(desk, gateway, evidence=pkcs10(chip.request(gateway, fresh)))
    again = enrol(desk, other, evidence=pkcs10(chip.request(other, fresh)))
    loose = Chip(desk, "loose", "1.3.6.1.4.1.99999.13")
    rules = desk.folder / "loose.rules.json"
    rules.write_text(json.dumps({"all": [{"claim": "dbgstat", "there": False}], "gives": "attested"}))
    desk.ddns("verifier", "withdraw", "loose", "--reason", "its rules change")
    desk.ddns("verifier", "add", "looser", "--rules", rules, "--anchors", desk.folder / "loose.pem")

    answer = enrol(desk, other, evidence=pkcs10(loose.request(other, nonce(desk))))

    assert first.status == 201, first
    assert code(again) == (403, "nonce-wrong")
    assert code(answer) == (403, "evidence-not-enough")
