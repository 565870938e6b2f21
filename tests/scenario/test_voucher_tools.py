"""Vouchers beside OpenSSL: what we sign, `openssl cms` verifies; what it signs, we read, and no more than we may."""

import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from makers import NOW, certificate, name
from tools import need

from ddns.proof import cms, voucher
from ddns.proof.bad import BadProof

KEYS = {
    "P-256": ec.generate_private_key(ec.SECP256R1()),
    "P-384": ec.generate_private_key(ec.SECP384R1()),
    "RSA": rsa.generate_private_key(65537, 2048),
}
SAID = voucher.Voucher(
    serial_number="SN-1",
    created_on=NOW,
    assertion=voucher.Assertion.LOGGED,
    pinned_domain_cert=b"pinned",
    nonce=b"n" * 16,
)


@pytest.fixture(params=KEYS)
def masa(request, tmp_path):
    """Return a MASA's certificate and key, which stand in files too."""
    key = KEYS[request.param]
    made = certificate(name("MASA"), key, name("MASA"), key, ca=True)
    (tmp_path / "m.pem").write_bytes(made.public_bytes(Encoding.PEM))
    (tmp_path / "m.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "v.json").write_bytes(voucher.voucher_json(SAID))
    return made, key


def openssl(folder, *words, good=True):
    done = subprocess.run([need("openssl"), *words], cwd=folder, capture_output=True, check=False)
    assert (done.returncode == 0) is good, done.stderr.decode()
    return done.stdout


def signed(folder, *words, kind=cms.VOUCHER_JSON):
    """Return what `openssl cms -sign` makes of the voucher."""
    return openssl(
        folder, "cms", "-sign", "-in", "v.json", "-binary", "-nodetach", "-signer", "m.pem", "-inkey", "m.key",
        "-outform", "DER", "-econtent_type", kind, "-md", "sha256", *words,
    )  # fmt: skip


def test_openssl_verifies_what_we_sign(masa, tmp_path):
    made, key = masa
    (tmp_path / "v.vcj").write_bytes(voucher.write_cms(voucher.voucher_json(SAID), made, key, NOW))

    told = openssl(
        tmp_path, "cms", "-verify", "-inform", "DER", "-in", "v.vcj", "-CAfile", "m.pem", "-purpose", "any", "-binary",
        "-no_check_time",
    )  # fmt: skip

    assert told == voucher.voucher_json(SAID)
    printed = openssl(tmp_path, "cms", "-cmsout", "-print", "-inform", "DER", "-in", "v.vcj")
    assert b"1.2.840.113549.1.9.16.1.40" in printed
    assert b"signingTime" in printed


def test_openssl_finds_what_was_changed_after_we_signed(masa, tmp_path):
    made, key = masa
    octets = voucher.write_cms(voucher.voucher_json(SAID), made, key, NOW)
    (tmp_path / "v.vcj").write_bytes(octets.replace(b"SN-1", b"SN-2"))

    openssl(
        tmp_path, "cms", "-verify", "-inform", "DER", "-in", "v.vcj", "-CAfile", "m.pem", "-purpose", "any", "-binary",
        "-no_check_time", good=False,
    )  # fmt: skip
    with pytest.raises(BadProof, match="another content"):
        voucher.read_voucher(octets.replace(b"SN-1", b"SN-2"), voucher.CMS)


@pytest.mark.parametrize("words", [(), ("-keyid",), ("-md", "sha384"), ("-nosmimecap",)], ids=lambda words: words[:1])
@pytest.mark.parametrize("kind", sorted(cms.CONTENT_TYPES))
def test_we_verify_what_openssl_signs(masa, tmp_path, words, kind):
    made, _ = masa
    if "-keyid" in words:
        made = with_key_identifier(masa, tmp_path)

    said, by = voucher.read_voucher(signed(tmp_path, *words, kind=kind), voucher.CMS)

    assert said == SAID
    assert by.signer == made
    assert by.verify(made)


def with_key_identifier(masa, folder):
    """Give the MASA a certificate that has a SubjectKeyIdentifier."""
    _, key = masa
    also = [(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)]
    made = certificate(name("MASA"), key, name("MASA"), key, ca=True, also=also)
    (folder / "m.pem").write_bytes(made.public_bytes(Encoding.PEM))
    return made


def test_without_signed_attributes_it_is_no_voucher(masa, tmp_path):
    with pytest.raises(BadProof, match="no signed attributes"):
        voucher.read_voucher(signed(tmp_path, "-noattr"), voucher.CMS)


def test_another_content_type_is_no_voucher(masa, tmp_path):
    with pytest.raises(BadProof, match=r"1\.2\.840\.113549\.1\.9\.16\.1\.4;"):
        voucher.read_voucher(signed(tmp_path, kind="1.2.840.113549.1.9.16.1.4"), voucher.CMS)


def test_a_detached_signature_holds_no_voucher(masa, tmp_path):
    octets = openssl(
        tmp_path, "cms", "-sign", "-in", "v.json", "-binary", "-signer", "m.pem", "-inkey", "m.key", "-outform", "DER",
        "-econtent_type", cms.VOUCHER_JSON,
    )  # fmt: skip

    with pytest.raises(BadProof, match="no content"):
        voucher.read_voucher(octets, voucher.CMS)


def test_a_streamed_structure_is_ber_and_told_so(masa, tmp_path):
    with pytest.raises(BadProof, match="write DER"):
        voucher.read_voucher(signed(tmp_path, "-stream"), voucher.CMS)


def test_without_its_certificate_the_signer_is_unknown_but_the_signature_holds(masa, tmp_path):
    made, _ = masa
    _, by = voucher.read_voucher(signed(tmp_path, "-nocerts"), voucher.CMS)

    assert by.signer is None
    assert by.verify(made)
