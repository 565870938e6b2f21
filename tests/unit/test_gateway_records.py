"""Records made from the files that people have; dnspython reads them as the independent parser."""

import base64
import datetime as dt
import hashlib

import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.gateway import records
from ddns.gateway.records import BadRecord

HOME = names.from_text("smith.homes.example.")
CAM = names.from_text("cam", HOME)
RSA = rsa.generate_private_key(65537, 2048)
KEYS = {
    "rsa": RSA,
    "p256": ec.generate_private_key(ec.SECP256R1()),
    "p384": ec.generate_private_key(ec.SECP384R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
    "ed448": ed448.Ed448PrivateKey.generate(),
}
PGP = b"\x98\x33\x04" + bytes(50)  # an old-format packet of type 6; what is in it nobody here looks at


def pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def openssh(key):
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def certificate():
    key = KEYS["p256"]
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Anna")])
    day = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    return builder.serial_number(1).not_valid_before(day).not_valid_after(day).sign(key, hashes.SHA256())


@pytest.fixture
def file(tmp_path):
    """Write a file and return its path."""

    def file(content):
        path = tmp_path / "file"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return file


def parsed(one):
    """Return what dnspython reads from the record's octets."""
    _, rdtype, rdata = records.wire(one)
    return dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.RdataType.make(rdtype), rdata, 0, len(rdata))


@pytest.mark.parametrize(("key", "number"), [("rsa", 1), ("p256", 3), ("p384", 3), ("ed25519", 4)])
def test_a_host_key_is_published_as_its_sha256(file, key, number):
    """RFC 4255 §3.1: the fingerprint is that of the key as SSH sends it."""
    text = openssh(KEYS[key])

    (one,) = records.ssh(CAM, file(f"{text} root@cam\n"), 300)

    digest = hashlib.sha256(base64.b64decode(text.split()[1])).hexdigest()
    assert (one.owner, one.type, one.ttl) == ("cam.smith.homes.example.", "SSHFP", 300)
    assert str(parsed(one)) == f"{number} 2 {digest}"


def test_what_ssh_keyscan_says_is_read_too(file):
    """A host before the key, comments, the same key twice."""
    first, second = openssh(KEYS["rsa"]), openssh(KEYS["ed25519"])

    found = records.ssh(CAM, file(f"# cam:22 SSH-2.0\ncam {first}\ncam {second}\n\ncam {second}\n"), 300)

    assert [parsed(one).algorithm for one in found] == [1, 4]


@pytest.mark.parametrize("text", ["", "# nothing\n", "ssh-ed25519\n", "ssh-rot13 AAAA\n"])
def test_a_file_without_a_host_key_is_refused(file, text):
    with pytest.raises(BadRecord, match="holds no public host key"):
        records.ssh(CAM, file(text), 300)


def test_a_host_key_that_is_not_what_it_says_is_refused(file):
    """Another type in the octets than before them, or octets that do not decode."""
    octets = openssh(KEYS["p256"]).split()[1]

    with pytest.raises(BadRecord, match="not of the type"):
        records.ssh(CAM, file(f"ssh-ed25519 {octets}\n"), 300)
    with pytest.raises(BadRecord, match="damaged"):
        records.ssh(CAM, file("ssh-ed25519 ####\n"), 300)


def public_octets(kind, octets):
    """Return the key that IPSECKEY's octets mean, as an independent reading of RFC 3110, 6605 and 8080 has it."""
    if kind == "rsa":
        size = octets[0]
        exponent, modulus = octets[1 : 1 + size], octets[1 + size :]
        return rsa.RSAPublicNumbers(int.from_bytes(exponent, "big"), int.from_bytes(modulus, "big")).public_key()
    if kind in ("p256", "p384"):
        curve = ec.SECP256R1() if kind == "p256" else ec.SECP384R1()
        return ec.EllipticCurvePublicKey.from_encoded_point(curve, b"\x04" + octets)
    return (ed25519.Ed25519PublicKey if kind == "ed25519" else ed448.Ed448PublicKey).from_public_bytes(octets)


@pytest.mark.parametrize(("kind", "number"), [("rsa", 2), ("p256", 3), ("p384", 3), ("ed25519", 4), ("ed448", 4)])
def test_an_ipsec_key_is_the_key_in_the_file(file, kind, number):
    """RFC 4025 §2.4 and §2.6, RFC 9373."""
    (one,) = records.ipsec(HOME, file(pem(KEYS[kind])), 300)

    read = parsed(one)
    assert (read.precedence, read.gateway_type, read.algorithm) == (10, 0, number)
    assert public_octets(kind, read.key) == KEYS[kind].public_key()


@pytest.mark.parametrize(
    ("gateway", "kind", "shown"),
    [
        ("", 0, "."),
        ("192.0.2.38", 1, "192.0.2.38"),
        ("2001:db8::8", 2, "2001:db8::8"),
        ("vpn.example", 3, "vpn.example."),
    ],
)
def test_an_ipsec_gateway_is_nobody_an_address_or_a_name(file, gateway, kind, shown):
    """RFC 4025 §2.3 and §2.5."""
    (one,) = records.ipsec(HOME, file(pem(KEYS["p256"])), 300, gateway=gateway, precedence=7)

    read = parsed(one)
    assert str(read).split()[:4] == ["7", str(kind), "3", shown]


def test_a_key_may_come_in_a_certificate(file):
    """PEM or DER."""
    made = certificate()

    both = [records.ipsec(HOME, file(made.public_bytes(how)), 300) for how in (Encoding.PEM, Encoding.DER)]

    assert both[0] == both[1] == records.ipsec(HOME, file(pem(KEYS["p256"])), 300)


def test_what_ipsec_cannot_use_is_refused(file):
    """A kind of key that has no number, no key at all, a gateway that is none."""
    with pytest.raises(BadRecord, match="no number for"):
        records.ipsec(HOME, file(pem(x25519.X25519PrivateKey.generate())), 300)
    with pytest.raises(BadRecord, match="neither a certificate nor a public key"):
        records.ipsec(HOME, file("nonsense"), 300)
    with pytest.raises(BadRecord, match="neither an address nor a name"):
        records.ipsec(HOME, file(pem(KEYS["p256"])), 300, gateway="a..b")


@pytest.mark.parametrize("label", [b"_openpgpkey", b"_smimecert"])
def test_a_persons_records_stand_where_the_rfcs_say(label):
    """The example of RFC 7929 §3 and RFC 8162 §3: hugh@example.com."""
    owner = records.of_person(names.from_text("example.com."), "hugh@example.com", label)

    digest = "c93f1e400f26708f98cb19d936620da35eec8f72e57f9eec01c1afd6"
    assert names.to_text(owner) == f"{digest}.{label.decode()}.example.com."


@pytest.mark.parametrize("address", ["anna", "@smith.homes.example", "anna@jones.homes.example", "anna@a..b", ""])
def test_an_address_of_somebody_elses_is_refused(address):
    with pytest.raises(BadRecord, match="address"):
        records.of_person(HOME, address, b"_smimecert")


def armored(octets, headers=""):
    text = base64.encodebytes(octets).decode()
    return f"-----BEGIN PGP PUBLIC KEY BLOCK-----\n{headers}\n{text}=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n"


@pytest.mark.parametrize("content", [PGP, armored(PGP), armored(PGP, "Comment: hers\n"), b"\xc6" + PGP[1:]])
def test_an_openpgp_key_is_published_without_its_armor(file, content):
    """RFC 7929 §2.1: the transferable public key as it is."""
    (one,) = records.openpgp(HOME, file(content), "anna@smith.homes.example", 300)

    assert one.type == "OPENPGPKEY"
    assert parsed(one).key[1:] == PGP[1:]
    assert one.owner.endswith("._openpgpkey.smith.homes.example.")


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x95" + PGP[1:], b"\xc5" + PGP[1:], armored(b"\x95")])
def test_what_is_no_openpgp_public_key_is_refused(file, content):
    """A secret key above all."""
    with pytest.raises(BadRecord, match="holds no OpenPGP public key"):
        records.openpgp(HOME, file(content), "anna@smith.homes.example", 300)


def test_damaged_armor_is_refused(file):
    with pytest.raises(BadRecord, match="damaged"):
        records.openpgp(HOME, file(armored(PGP).replace("=abcd", "####")), "anna@smith.homes.example", 300)


def test_a_certificate_for_mail_is_published_whole(file):
    """RFC 8162 §2: who wants to encrypt needs all of it."""
    made = certificate()

    both = [
        records.smime(HOME, file(made.public_bytes(how)), "anna@smith.homes.example", 300)
        for how in (Encoding.PEM, Encoding.DER)
    ]

    read = parsed(both[0][0])
    assert both[0] == both[1]
    assert (read.usage, read.selector, read.mtype) == (3, 0, 0)
    assert x509.load_der_x509_certificate(read.cert) == made
    with pytest.raises(BadRecord, match="no certificate"):
        records.smime(HOME, file("nonsense"), "anna@smith.homes.example", 300)


@pytest.mark.parametrize(
    ("rdtype", "text", "shown"),
    [
        (Type.HTTPS, "1 . alpn=h2,h3", '1 . alpn="h2,h3"'),
        (Type.HTTPS, "0 cam", "0 cam.smith.homes.example."),
        (Type.SVCB, "1 dns.example. alpn=dot port=853", '1 dns.example. alpn="dot" port="853"'),
        (records.CAA, '0 issue "letsencrypt.org"', '0 issue "letsencrypt.org"'),
        (records.CAA, '0 issue ";"', '0 issue ";"'),
        (records.CAA, "128 iodef mailto:a@example", '128 iodef "mailto:a@example"'),
    ],
)
def test_services_and_issuers_are_said_in_words(rdtype, text, shown):
    """Names are relative to the home."""
    (one,) = records.said(HOME, rdtype, text, HOME, 300)

    assert str(parsed(one)) == shown


@pytest.mark.parametrize(
    ("rdtype", "text"),
    [
        (Type.HTTPS, ""),
        (Type.HTTPS, "1 . alpn=h2 alpn=h3"),
        (Type.HTTPS, "1 . mandatory=alpn"),
        (Type.SVCB, "x ."),
        (records.CAA, "0 issue"),
        (records.CAA, '256 issue ";"'),
    ],
)
def test_words_that_are_no_record_are_refused(rdtype, text):
    """RFC 9460 §2.2 and §8, RFC 8659 §4.1."""
    with pytest.raises(BadRecord, match="is no"):
        records.said(HOME, rdtype, text, HOME, 300)


PRIVATE = {
    "PKCS#8": KEYS["p256"].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    "OpenSSH": KEYS["ed25519"].private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
    "with its certificate": certificate().public_bytes(Encoding.PEM)
    + KEYS["p256"].private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
    "OpenPGP": b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nAAAA\n-----END PGP PRIVATE KEY BLOCK-----\n",
}


@pytest.mark.parametrize("content", PRIVATE.values(), ids=PRIVATE)
def test_a_file_with_a_private_key_is_refused_by_all(file, content):
    """Even where the public half is in it too."""
    path = file(content)

    for attempt in (
        lambda: records.ssh(HOME, path, 300),
        lambda: records.ipsec(HOME, path, 300),
        lambda: records.openpgp(HOME, path, "anna@smith.homes.example", 300),
        lambda: records.smime(HOME, path, "anna@smith.homes.example", 300),
    ):
        with pytest.raises(BadRecord, match="holds a private key"):
            attempt()


def test_a_file_that_cannot_be_read_is_said_so(tmp_path):
    with pytest.raises(BadRecord, match="cannot be read"):
        records.ssh(HOME, tmp_path / "none", 300)
