"""The certificate of the encrypted transports: made, read, followed when its files change, and rolled."""

from __future__ import annotations

import base64
import hashlib
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tools import need
from twisted.internet.task import Clock

from ddns.net import certificate as certificates
from ddns.net.certificate import BadCertificate
from ddns.net.reloading import LOOK_EVERY, RETIRE, Reloading


def openssl(*words):
    return subprocess.run([need("openssl"), *map(str, words)], capture_output=True, check=True).stdout


def pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def test_a_self_made_certificate_is_one_that_openssl_reads(tmp_path):
    """A P-256 key that nobody else may read, and a certificate without an end (RFC 5280 §4.1.2.5)."""
    certificate, key = certificates.make(tmp_path / "tls", "ns1.exam.test.")

    text = openssl("x509", "-in", certificate, "-noout", "-text").decode()
    assert "DNS:ns1.exam.test" in text
    assert "prime256v1" in text
    assert "9999" in text
    assert key.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "tls").stat().st_mode & 0o777 == 0o700


def test_its_digest_is_that_of_the_public_key(tmp_path):
    """What stands in a TLSA 3 1 1, and, in base64, what RFC 7858 §4.2 pins."""
    certificate, key = certificates.make(tmp_path, "")
    spki = openssl("pkey", "-in", key, "-pubout", "-outform", "DER")

    loaded = certificates.load(certificate, key)

    assert loaded.digest == hashlib.sha256(spki).digest()
    assert base64.b64decode(loaded.pin) == loaded.digest


def test_a_key_that_is_there_is_kept(tmp_path):
    """Its digest may be published; a lost certificate is made anew for the same key."""
    files = certificates.make(tmp_path, "ns1.exam.test.")
    before = certificates.load(*files)
    assert certificates.make(tmp_path, "other.test.") == files
    files[0].unlink()

    after = certificates.load(*certificates.make(tmp_path, "a." * 40 + "test."))

    assert after.digest == before.digest
    assert after.chain != before.chain


def test_a_key_says_nothing_of_itself(tmp_path):
    loaded = certificates.load(*certificates.make(tmp_path, ""))

    assert "PRIVATE" not in repr(loaded)
    assert "certificate.Certificate object" in repr(loaded)


@pytest.mark.parametrize(
    ("certificate", "key", "says"),
    [
        (b"no PEM", None, "holds no certificate in PEM form"),
        (None, b"no PEM", "holds no private key in PEM form"),
        (b"x" * (certificates.LARGEST_FILE + 1), None, "is longer than"),
        (None, pem(dsa.generate_private_key(1024)), "use P-256, Ed25519, or RSA"),
        (None, pem(rsa.generate_private_key(65537, 1024)), "use P-256, Ed25519, or RSA"),
        (None, pem(ec.generate_private_key(ec.SECP256R1())), "is not that of the first certificate"),
    ],
    ids=["no certificate", "no key", "too long", "DSA", "short RSA", "another key"],
)
def test_what_cannot_be_used_is_named(tmp_path, certificate, key, says):
    files = certificates.make(tmp_path, "")
    for path, octets in zip(files, (certificate, key), strict=True):
        if octets is not None:
            path.write_bytes(octets)

    with pytest.raises(BadCertificate, match=says) as error:
        certificates.load(*files)

    assert str(tmp_path) in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadCertificate, match="nowhere cannot be read: No such file"):
        certificates.load(tmp_path / "nowhere", tmp_path / "nowhere")


class Followed:
    """A certificate that is followed on a clock; *shown* are the digests in the order in which they were shown."""

    def __init__(self, folder, roll=0.0):
        self.folder = folder
        self.clock = Clock()
        self.files = certificates.make(folder / "current", "")
        self.reloading = Reloading(*self.files, roll, self.clock)
        self.shown = []
        self.reloading.tell(lambda fresh: self.shown.append(fresh.digest))
        self.reloading.start()

    def fresh(self, name="fresh"):
        """Make another key and certificate, and return its digest."""
        self.made = certificates.make(self.folder / name, "")
        return certificates.load(*self.made).digest

    def put(self, *which):
        """Put the fresh certificate (0) or key (1), or both, in place."""
        for number in which or (0, 1):
            self.made[number].replace(self.files[number])

    def look(self, times=2):
        for _ in range(times):
            self.clock.advance(LOOK_EVERY)


def test_a_new_certificate_is_shown_without_a_restart(tmp_path):
    followed = Followed(tmp_path)
    digest = followed.fresh()

    followed.put()
    followed.look()

    assert followed.shown == [digest]
    assert followed.reloading.current.digest == digest


def test_certificate_and_key_may_come_one_after_the_other(tmp_path):
    """As long as they do not belong together the one before stays."""
    followed = Followed(tmp_path)
    digest = followed.fresh()

    followed.put(0)
    followed.look(3)
    assert followed.shown == []
    followed.put(1)
    followed.look()

    assert followed.shown == [digest]


def test_a_broken_file_keeps_the_one_before_and_is_not_read_again_and_again(tmp_path, monkeypatch):
    followed = Followed(tmp_path)
    before = followed.reloading.current
    read = []
    monkeypatch.setattr(certificates, "load", lambda *files: read.append(files) or _bad())

    followed.files[0].write_text("broken")
    followed.look(10)

    assert followed.reloading.current is before
    assert len(read) == 1


def _bad():
    raise BadCertificate("broken")


def test_files_that_are_gone_keep_the_one_before(tmp_path):
    followed = Followed(tmp_path)
    before = followed.reloading.current

    followed.files[1].unlink()
    followed.look(5)

    assert followed.reloading.current is before


def test_a_new_key_is_published_before_it_is_shown_and_the_old_one_some_time_longer(tmp_path):
    """RFC 7671 §8.1: no client may meet a key whose TLSA record it cannot have."""
    followed = Followed(tmp_path, roll=100)
    old, new = followed.reloading.current.digest, followed.fresh()
    followed.put()
    followed.look()
    assert (followed.shown, followed.reloading.digests()) == ([], {old, new})

    followed.look(51)
    assert (followed.shown, followed.reloading.digests()) == ([new], {old, new})
    followed.look(int(RETIRE / LOOK_EVERY) + 1)

    assert followed.reloading.digests() == {new}


def test_the_same_key_with_another_certificate_is_shown_at_once(tmp_path):
    """Nothing is rolled: what is published stays true."""
    followed = Followed(tmp_path, roll=100)
    digest = followed.reloading.current.digest
    followed.files[0].unlink()

    certificates.make(followed.files[0].parent, "another.test.")
    followed.look()

    assert followed.shown == [digest]


def test_a_key_that_comes_back_during_a_roll_ends_the_roll(tmp_path):
    followed = Followed(tmp_path, roll=100)
    old = followed.reloading.current.digest
    kept = [path.read_bytes() for path in followed.files]
    followed.fresh()
    followed.put()
    followed.look()

    for path, octets in zip(followed.files, kept, strict=True):
        path.write_bytes(octets)
    followed.look(100)

    assert followed.reloading.digests() == {old}
    assert followed.reloading.current.digest == old
