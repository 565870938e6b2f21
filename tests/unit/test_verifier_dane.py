"""The DANE client against a real TLS server with a certificate of its own."""

import contextlib
import datetime as dt
import hashlib
import socket
import ssl
import threading

import dns.rrset
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from ddns.verifier import dane

OWNER = "_443._tcp.cam.smith.homes.test."


def certificate(folder, days=-1):
    """Make a self-made certificate for another name that ended *days* from now; return its DER and its PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "whoever")])
    end = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(end - dt.timedelta(days=9))
        .not_valid_after(end)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "cam.pem"
    pem.write_bytes(
        made.public_bytes(Encoding.PEM) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return made, pem


@contextlib.contextmanager
def serving(pem):
    """Answer one TLS client with what it said, in capitals."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            with contextlib.suppress(OSError):
                plain, _ = listener.accept()
                with plain, context.wrap_socket(plain, server_side=True) as peer:
                    heard.append(peer.recv(100))
                    peer.sendall(heard[-1].upper())

        heard = []
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], heard
        thread.join()


def tlsa(*texts):
    return dns.rrset.from_text(OWNER, 300, "IN", "TLSA", *texts)


def spki(made):
    return made.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def test_a_peer_whose_key_is_published_is_trusted_and_served(tmp_path):
    """No authority, another name in the certificate, an expired one at that: with DANE-EE none of it counts."""
    made, pem = certificate(tmp_path)
    records = tlsa(f"3 1 1 {'00' * 32}", f"3 1 1 {hashlib.sha256(spki(made)).hexdigest()}")

    with serving(pem) as (port, heard):
        verdict = dane.connect("127.0.0.1", port, "cam.smith.homes.test", records, request=b"hello")

    assert verdict.trusted, verdict.sentence
    assert verdict.reply == b"HELLO"
    assert heard == [b"hello"]


def test_a_peer_with_another_key_is_refused_before_it_hears_a_word(tmp_path):
    """The request goes to a trusted peer only."""
    _, pem = certificate(tmp_path)

    with serving(pem) as (port, heard):
        verdict = dane.connect("127.0.0.1", port, "cam.smith.homes.test", tlsa(f"3 1 1 {'00' * 32}"), request=b"hello")

    assert not verdict.trusted
    assert verdict.sentence == f"The peer's key is not the one in the TLSA of {OWNER}"
    assert heard in ([], [b""])


def test_one_flipped_bit_of_the_published_digest_is_refused(tmp_path):
    """Each of the 256 bits counts."""
    made, _ = certificate(tmp_path)
    octets = made.public_bytes(Encoding.DER)
    digest = int.from_bytes(hashlib.sha256(spki(made)).digest(), "big")

    assert dane.match(octets, tlsa(f"3 1 1 {digest:064x}")).trusted
    for bit in range(256):
        assert not dane.match(octets, tlsa(f"3 1 1 {digest ^ 1 << bit:064x}")).trusted


@pytest.mark.parametrize("kind", ["3 0 0", "3 0 1", "3 0 2", "3 1 0", "3 1 1", "3 1 2"])
def test_every_selector_and_matching_type_of_dane_ee_is_known(tmp_path, kind):
    """RFC 6698 §2.1.2 and §2.1.3."""
    made, _ = certificate(tmp_path)
    octets = made.public_bytes(Encoding.DER)
    selected = octets if kind[2] == "0" else spki(made)
    value = {"0": selected, "1": hashlib.sha256(selected).digest(), "2": hashlib.sha512(selected).digest()}[kind[4]]

    assert dane.match(octets, tlsa(f"{kind} {value.hex()}")).trusted


@pytest.mark.parametrize("kind", ["0 1 1", "1 1 1", "3 9 1", "3 1 9"])
def test_a_record_that_asks_for_an_authority_or_is_not_known_decides_nothing(tmp_path, kind):
    """The right digest under a usage that is not DANE-EE is no trust (RFC 6698 §4.1: unusable)."""
    made, _ = certificate(tmp_path)

    verdict = dane.match(made.public_bytes(Encoding.DER), tlsa(f"{kind} {hashlib.sha256(spki(made)).hexdigest()}"))

    assert not verdict.trusted
    assert "can be used" in verdict.sentence


def test_a_peer_that_speaks_no_tls_is_refused_in_a_sentence():
    """An HTTP server, or nobody at all."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    assert not dane.connect("127.0.0.1", port, "cam", tlsa(f"3 1 1 {'00' * 32}"), timeout=1).trusted


def test_of_two_digests_only_the_stronger_counts(tmp_path):
    """RFC 7671 §9: who breaks SHA-256 gains nothing where SHA-512 is there, and both must be rolled."""
    made, _ = certificate(tmp_path)
    octets, key = made.public_bytes(Encoding.DER), spki(made)
    weak, strong = hashlib.sha256(key).hexdigest(), hashlib.sha512(key).hexdigest()

    both = dane.match(octets, tlsa(f"3 1 1 {weak}", f"3 1 2 {strong}"))
    forged = dane.match(octets, tlsa(f"3 1 1 {weak}", f"3 1 2 {'00' * 64}"))

    assert both.trusted
    assert not forged.trusted
    assert [(one.usable, one.matches) for one in both.records] == [(False, False), (True, True)]


def test_a_peer_shows_its_whole_chain(tmp_path):
    """What a CA's record is compared with comes out of the handshake."""
    made, pem = certificate(tmp_path)
    other, more = certificate(tmp_path / "other") if (tmp_path / "other").mkdir() is None else (None, None)
    pem.write_bytes(pem.read_bytes() + more.read_bytes().split(b"-----BEGIN PRIVATE")[0])

    with serving(pem) as (port, _):
        verdict = dane.connect("127.0.0.1", port, "whoever", tlsa(f"2 1 1 {hashlib.sha256(spki(other)).hexdigest()}"))

    assert verdict.sentence.startswith("The CA in the TLSA of")
    assert "it did not issue the peer's certificate" in verdict.sentence
    assert made != other
