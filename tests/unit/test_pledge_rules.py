"""What a box makes of a voucher, and of what its registrar wants: RFC 8995 §5.6.1, RFC 9908."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from makers import NOW, Maker, certificate, name
from registrars import Registrar

from ddns.gateway import pledge
from ddns.proof import der, voucher
from ddns.proof.bad import BadProof

MAKER, REGISTRAR = Maker(), Registrar()
NONCE = b"n" * 16
SHOWN = (REGISTRAR.certificate,)


def files_of(folder, made, key):
    pem, own = folder / "id.pem", folder / "id.key"
    pem.write_bytes(made.public_bytes(Encoding.PEM))
    own.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return pem, own


@pytest.fixture
def box(tmp_path):
    return pledge.read_identity(*files_of(tmp_path, *MAKER.device("SN-1")))


def asked(box, media=voucher.CMS):
    said, signed = voucher.read_request(pledge.request(box, SHOWN[0], NONCE, NOW, media), media)
    assert signed.verify(box.idevid.certificate)
    return said


def judged(box, octets, media=voucher.CMS, *, anchors=(MAKER.masa,), shown=SHOWN, now=NOW):
    return pledge.judge(octets, media, box, NONCE, anchors, shown, now)


@pytest.mark.parametrize("media", sorted(voucher.MEDIA))
def test_a_voucher_that_answers_the_request_says_whom_to_trust(box, media):
    said = asked(box, media)

    found = judged(box, MAKER.voucher(said, REGISTRAR.ca.public_bytes(Encoding.DER), media=media), media)

    assert said.proximity_registrar_cert == REGISTRAR.octets
    assert (found.domain, found.at) == (REGISTRAR.ca, NOW)


def test_a_box_whose_clock_stands_still_has_the_time_from_its_maker(box):
    octets = MAKER.voucher(asked(box), REGISTRAR.ca.public_bytes(Encoding.DER))

    assert judged(box, octets, now=0).at == NOW


def test_a_voucher_may_name_the_registrars_own_certificate(box):
    octets = MAKER.voucher(asked(box), REGISTRAR.octets)

    assert judged(box, octets).domain == REGISTRAR.certificate


def test_the_signers_certificate_may_be_issued_by_the_anchor(box):
    """A maker with one CA for its services and another for its boxes."""
    ca = ec.generate_private_key(ec.SECP256R1())
    services = certificate(name("Services"), ca, name("Services"), ca, ca=True)
    signer = Maker()
    signer.masa = certificate(name("MASA"), signer.masa_key, name("Services"), ca)

    assert judged(box, signer.voucher(asked(box), REGISTRAR.octets), anchors=(services,))


def test_what_issues_boxes_leads_to_nobody_who_signs_vouchers(box):
    """Else each box of the maker could sign a voucher for each other."""
    thief = Maker()
    thief.masa, thief.masa_key = MAKER.device("SN-2")
    octets = thief.voucher(asked(box), REGISTRAR.octets)

    with pytest.raises(BadProof, match="not signed by whom"):
        judged(box, octets, anchors=(MAKER.anchor,))


def test_a_registrar_of_another_domain_is_not_whom_the_voucher_names(box):
    octets = MAKER.voucher(asked(box), REGISTRAR.ca.public_bytes(Encoding.DER))

    with pytest.raises(BadProof, match="to somebody else"):
        judged(box, octets, shown=(Registrar("Other").certificate,))


def test_a_box_with_an_rsa_key_asks_as_cms_and_never_as_jws(tmp_path):
    key = rsa.generate_private_key(65537, 2048)
    box = pledge.read_identity(*files_of(tmp_path, *MAKER.device("SN-R", key)))

    assert asked(box).serial_number == "SN-R"
    with pytest.raises(pledge.BadBox, match="leave --jws out"):
        pledge.request(box, SHOWN[0], NONCE, NOW, voucher.JWS)


def attributes(*parts):
    return der.sequence(*parts)


@pytest.mark.parametrize(
    "octets",
    [
        attributes(),
        attributes(der.oid("2.5.4.5")),
        attributes(der.sequence(der.oid("1.2.840.10045.2.1"), der.set_of(der.oid("1.2.840.10045.3.1.7")))),
    ],
    ids=["nothing", "serial", "p256"],
)
def test_what_a_registrar_wants_can_be_had(octets):
    pledge.check_attributes(octets)


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (attributes(der.sequence(der.oid("1.2.840.10045.2.1"), der.set_of(der.oid("1.3.132.0.34")))), "key-unfit"),
        (b"\x30\x05", "evidence-malformed"),
        (attributes(der.sequence(der.oid("2.5.4.5"))), "evidence-malformed"),
        (b"", "evidence-malformed"),
    ],
    ids=["p384", "cut", "half", "empty"],
)
def test_what_cannot_be_had_or_read_is_said(octets, code):
    with pytest.raises(BadProof) as caught:
        pledge.check_attributes(octets)

    assert caught.value.code == code


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (lambda made, key: (MAKER.masa, MAKER.masa_key), "has no serialNumber"),
        (lambda made, key: (made, ec.generate_private_key(ec.SECP256R1())), "is not the key"),
        (lambda made, key: (made, ed25519.Ed25519PrivateKey.generate()), "another key than IEEE 802.1AR has"),
    ],
    ids=["serial", "other", "ed25519"],
)
def test_files_that_are_not_the_boxs_are_said_to_be_so(tmp_path, files, sentence):
    with pytest.raises(pledge.BadBox, match=sentence):
        pledge.read_identity(*files_of(tmp_path, *files(*MAKER.device("SN-1"))))


def test_files_that_hold_something_else_are_said_to_be_so(tmp_path):
    pem, own = files_of(tmp_path, *MAKER.device("SN-1"))

    with pytest.raises(pledge.BadBox, match="no certificate"):
        pledge.read_identity(own, own)
    with pytest.raises(pledge.BadBox, match="no private key"):
        pledge.read_identity(pem, pem)
    with pytest.raises(pledge.BadBox, match="no certificate"):
        pledge.read_anchors(own.read_bytes())
