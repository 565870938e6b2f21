"""CMS: ours is read again, each check of RFC 5652 fails by itself, and damage is met with a refusal."""

import hashlib
from base64 import b64decode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from makers import NOW, Maker, certificate, name

from ddns.proof import cms, der
from ddns.proof.bad import BadProof

VECTORS = Path(__file__).parents[1] / "vectors" / "vouchers"  # of the IETF's anima working group
KEYS = {
    "P-256": ec.generate_private_key(ec.SECP256R1()),
    "P-384": ec.generate_private_key(ec.SECP384R1()),
    "RSA-2048": rsa.generate_private_key(65537, 2048),
}
CONTENT = b'{"a": 1}'


def signed(key="P-256", kind=cms.VOUCHER_JSON, chain=()):
    own = KEYS[key]
    leaf = certificate(name("signer"), own, name("signer"), own, number=77)
    return leaf, cms.sign(CONTENT, kind, leaf, chain, own, NOW)


def swapped(octets, *, drop=(), **parts):
    """Return the structure with parts of its one SignerInfo changed: by name, or dropped."""
    kind, body = der.read(octets).children()
    (data,) = body.children()
    fields = list(data.children())
    (info,) = fields[-1].children()
    named = dict(
        zip(("version", "name", "digest", "attributes", "algorithm", "signature"), info.children(), strict=True)
    )
    made = [parts.get(what, one.raw) for what, one in named.items() if what not in drop]
    whole = der.sequence(*[one.raw for one in fields[:-1]], der.set_of(der.sequence(*made)))
    return der.sequence(kind.raw, der.value(0xA0, whole))


def attributes(*pairs):
    return der.value(0xA0, der.set_of(*[der.sequence(der.oid(one), der.set_of(held)) for one, held in pairs])[2:])


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("kind", sorted(cms.CONTENT_TYPES))
def test_what_is_signed_is_read_and_verified(key, kind):
    leaf, octets = signed(key, kind)
    found = cms.read(octets)

    assert (found.content, found.content_type, found.signer) == (CONTENT, kind, leaf)
    assert cms.verify(found, leaf.public_key())


def test_the_version_tells_a_voucher_from_plain_data():
    for kind, version in ((cms.DATA, 1), (cms.VOUCHER_JSON, 3)):  # RFC 5652 §5.1
        (_, body) = der.read(signed(kind=kind)[1]).children()
        assert der.read_integer(body.children()[0].children()[0]) == version


@pytest.mark.parametrize("other", ["P-384", "RSA-2048"])
def test_a_key_of_another_kind_did_not_sign(other):
    assert not cms.verify(cms.read(signed()[1]), KEYS[other].public_key())


def test_a_signature_by_another_key_wrong_key():
    assert not cms.verify(cms.read(signed()[1]), ec.generate_private_key(ec.SECP256R1()).public_key())


def test_an_rsa_key_that_is_too_short_signs_nothing_here():
    weak = rsa.generate_private_key(65537, 1024)
    leaf = certificate(name("signer"), KEYS["P-256"], name("signer"), KEYS["P-256"])

    assert not cms.verify(cms.read(cms.sign(CONTENT, cms.DATA, leaf, (), weak, NOW)), weak.public_key())


def test_other_content_under_the_same_signature_is_refused():
    with pytest.raises(BadProof, match="another content than it holds"):
        cms.read(signed()[1].replace(CONTENT, CONTENT.replace(b"1", b"2")))


def test_a_signed_type_that_is_not_the_contents_is_refused():
    other = attributes(
        ("1.2.840.113549.1.9.3", der.oid(cms.DATA)),
        ("1.2.840.113549.1.9.4", der.octet_string(hashlib.sha256(CONTENT).digest())),
    )
    with pytest.raises(BadProof, match="another type"):
        cms.read(swapped(signed()[1], attributes=other))


@pytest.mark.parametrize(
    "left", [("1.2.840.113549.1.9.3", der.oid(cms.VOUCHER_JSON)), ("1.2.840.113549.1.9.5", der.time(NOW))]
)
def test_signed_attributes_without_a_digest_are_refused(left):
    with pytest.raises(BadProof, match="lack"):
        cms.read(swapped(signed()[1], attributes=attributes(left)))


def test_a_signed_attribute_that_is_there_twice_is_refused():
    both = attributes(*[("1.2.840.113549.1.9.3", der.oid(cms.VOUCHER_JSON))] * 2)

    with pytest.raises(BadProof, match="twice"):
        cms.read(swapped(signed()[1], attributes=both))


def test_no_signed_attributes_no_voucher():
    with pytest.raises(BadProof, match="no signed attributes"):
        cms.read(swapped(signed()[1], drop=("attributes",)))


def test_another_content_type_is_refused_by_name():
    with pytest.raises(BadProof, match=r"1\.2\.3\.4"):
        cms.read(cms.sign(CONTENT, "1.2.3.4", signed()[0], (), KEYS["P-256"], NOW))


def test_an_algorithm_that_is_not_taken_is_refused_by_name():
    with pytest.raises(BadProof, match=r"1\.3\.14\.3\.2\.26"):
        cms.read(swapped(signed()[1], digest=der.sequence(der.oid("1.3.14.3.2.26"))))  # SHA-1


def test_a_signature_algorithm_with_another_digest_than_is_named_does_not_verify():
    sha384 = der.sequence(der.oid("1.2.840.10045.4.3.3"))

    assert not cms.verify(cms.read(swapped(signed()[1], algorithm=sha384)), KEYS["P-256"].public_key())


def test_a_signer_may_be_named_by_its_key():
    maker = Maker()
    octets = cms.sign(CONTENT, cms.DATA, maker.anchor, (), maker.key, NOW)
    by_key = der.value(0x80, cms.subject_key_identifier(maker.anchor))

    found = cms.read(swapped(octets, version=der.integer(3), name=by_key))

    assert found.signer == maker.anchor
    assert cms.verify(found, maker.key.public_key())
    with pytest.raises(BadProof, match="version"):
        cms.read(swapped(octets, name=by_key))


def test_certificates_are_counted():
    chain = tuple(certificate(name("x"), KEYS["P-256"], name("x"), KEYS["P-256"]) for _ in range(cms.MOST_CERTIFICATES))

    assert len(cms.read(signed(chain=chain[1:])[1]).certificates) == cms.MOST_CERTIFICATES
    with pytest.raises(BadProof, match="more than 8 certificates"):
        cms.read(signed(chain=chain)[1])


def test_a_signer_who_did_not_come_along_is_none():
    octets = signed()[1]

    assert cms.read(swapped(octets, name=_named(Maker().anchor))).signer is None
    assert cms.read(swapped(octets, name=_named(cms.read(octets).signer))).signer is not None


def _named(one):
    parts = der.read(one.tbs_certificate_bytes).children()
    return der.sequence(parts[3].raw, der.integer(one.serial_number))


@pytest.mark.parametrize("vector", ["voucher.cms.b64", "request.cms.b64"])
def test_what_others_made_is_verified(vector):
    found = cms.read(b64decode((VECTORS / vector).read_bytes()))

    assert found.content_type == cms.DATA
    assert cms.verify(found, found.signer.public_key())


@pytest.mark.parametrize("vector", ["voucher.cms.b64", "request.cms.b64"])
def test_a_structure_that_ends_early_truncated(vector):
    octets = b64decode((VECTORS / vector).read_bytes())

    for size in range(len(octets)):
        with pytest.raises(BadProof):
            cms.read(octets[:size])


def test_a_flipped_bit_never_verifies_as_the_same_signature():
    octets = b64decode((VECTORS / "voucher.cms.b64").read_bytes())
    whole = cms.read(octets)
    for at in range(0, len(octets), 3):
        damaged = bytearray(octets)
        damaged[at] ^= 1
        try:
            found = cms.read(bytes(damaged))
        except BadProof:
            continue
        if found.signer is None or not cms.verify(found, whole.signer.public_key()):
            continue
        assert (found.content, found.content_type) == (whole.content, whole.content_type)
