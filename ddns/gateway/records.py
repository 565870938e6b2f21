"""Records beside TLSA that a home publishes, made from the files and words that people have.

Law: nothing private is ever published: a file that holds a private key is refused, whatever else is in it. What is made
here is what its type allows; the registry looks again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import re
from pathlib import Path

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import BadName, Name
from ddns.dns.records import Rdata
from ddns.dns.spelling import type_to_text
from ddns.dns.text import rdata_to_text
from ddns.gateway.state import Record

CAA = 257  # RFC 8659 §4.1
SPELLED = {"https": int(Type.HTTPS), "svcb": int(Type.SVCB), "caa": CAA}  # said in words, not made from a file
_HASHED = 28  # octets of an address's local part (RFC 7929 §3, RFC 8162 §3)
_SHA256 = 2  # of SSHFP's fingerprint types (RFC 6594)
# SSHFP's numbers of the kinds of keys (RFC 4255 §3.1.1, RFC 6594, RFC 7479, RFC 8709).
_SSH = {
    "ssh-rsa": 1,
    "ecdsa-sha2-nistp256": 3,
    "ecdsa-sha2-nistp384": 3,
    "ecdsa-sha2-nistp521": 3,
    "ssh-ed25519": 4,
    "ssh-ed448": 6,
}
_RSA, _ECDSA, _EDDSA = 2, 3, 4  # IPSECKEY's algorithms (RFC 4025 §2.4, RFC 9373)
_NO_GATEWAY, _IPV4, _IPV6, _NAME = 0, 1, 2, 3  # its kinds of gateways (RFC 4025 §2.3)
_WHOLE_CERTIFICATE = bytes((3, 0, 0))  # of this very person, whole: senders encrypt to what they find (RFC 8162 §2)
_PGP_PUBLIC_KEY = 6  # RFC 9580 §5.5.1.1, the packet's type
_ARMOR = re.compile(
    rb"-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n(.*?)\r?\n-----END PGP PUBLIC KEY BLOCK-----", re.DOTALL
)


class BadRecord(ValueError):
    """Something from which no record can be made; the message says what and what to do."""


def ssh(name: Name, path: Path, ttl: int) -> list[Record]:
    """Return the SSHFP records of the host keys in *path*, a line each as `ssh-keygen` and `ssh-keyscan` write them.

    RFC 4255 §3, with SHA-256. Raises `BadRecord`.
    """
    out = []
    for line in _read(path).decode("utf-8", "replace").splitlines():
        words = line.split()
        at = next((at for at, word in enumerate(words) if word in _SSH), None)
        if line.startswith("#") or at is None or at + 1 >= len(words):
            continue
        kind = words[at]
        try:
            octets = base64.b64decode(words[at + 1], validate=True)
        except binascii.Error:
            raise BadRecord(f"{path} holds a key of type {kind} that is damaged; get it again") from None
        if octets[:4] != len(kind).to_bytes(4, "big") or octets[4 : 4 + len(kind)] != kind.encode():
            raise BadRecord(f"{path} holds a key that is not of the type {kind}, as it says; get it again")
        rdata = bytes((_SSH[kind], _SHA256)) + hashlib.sha256(octets).digest()
        out.append(record(name, Type.SSHFP, rdata, ttl))
    if not out:
        raise BadRecord(f"{path} holds no public host key; give a file such as /etc/ssh/ssh_host_ed25519_key.pub")
    return list(dict.fromkeys(out))


def ipsec(name: Name, path: Path, ttl: int, *, gateway: str = "", precedence: int = 10) -> list[Record]:
    """Return the IPSECKEY record of the public key in *path*, a certificate or a PEM key (RFC 4025 §2).

    *gateway* is the address or name of whom to speak to, nothing: the name itself. Raises `BadRecord`.
    """
    algorithm, key = _ipsec_key(path, _public_key(path))
    kind, where = _gateway(gateway)
    return [record(name, Type.IPSECKEY, bytes((precedence, kind, algorithm)) + where + key, ttl)]


def openpgp(name: Name, path: Path, address: str, ttl: int) -> list[Record]:
    """Return the OPENPGPKEY record of the key in *path*, in ASCII armor or not, for *address* (RFC 7929 §2, §3).

    Raises `BadRecord`.
    """
    octets = _read(path)
    found = _ARMOR.search(octets)
    if found is not None:
        body = re.split(rb"\r?\n\r?\n", found[1], maxsplit=1)[-1]  # behind the armor's headers
        try:
            octets = base64.b64decode(b"".join(one for one in body.split() if not one.startswith(b"=")), validate=True)
        except binascii.Error:
            raise BadRecord(f"{path} is damaged: its armor does not decode; export the key again") from None
    if not octets or _packet(octets[0]) != _PGP_PUBLIC_KEY:
        how = "gpg --export --export-options export-minimal ADDRESS"
        raise BadRecord(f"{path} holds no OpenPGP public key; `{how}` writes one")
    return [record(of_person(name, address, b"_openpgpkey"), Type.OPENPGPKEY, octets, ttl)]


def smime(name: Name, path: Path, address: str, ttl: int) -> list[Record]:
    """Return the SMIMEA record of the certificate in *path* for *address* (RFC 8162 §2, §3). Raises `BadRecord`."""
    octets = _read(path)
    load = x509.load_pem_x509_certificate if b"-----BEGIN" in octets else x509.load_der_x509_certificate
    try:
        certificate = load(octets)
    except ValueError:
        raise BadRecord(f"{path} is no certificate that can be read") from None
    rdata = _WHOLE_CERTIFICATE + certificate.public_bytes(Encoding.DER)
    return [record(of_person(name, address, b"_smimecert"), Type.SMIMEA, rdata, ttl)]


def said(name: Name, rdtype: int, text: str, home: Name, ttl: int) -> list[Record]:
    """Return the record of *rdtype* that *text* says as a master file does, names relative to *home*.

    For SVCB and HTTPS (RFC 9460 §2.1) and CAA (RFC 8659 §4.1.1). Raises `BadRecord`.
    """
    kind = dns.rdatatype.RdataType.make(rdtype)
    try:
        origin = dns.name.from_wire(home, 0)[0]
        parsed = dns.rdata.from_text(dns.rdataclass.IN, kind, text, origin=origin, relativize=False)
    except (dns.exception.DNSException, ValueError) as error:
        raise BadRecord(f"{text!r} is no {dns.rdatatype.to_text(kind)} record: {error}") from None
    return [record(name, rdtype, parsed.to_digestable(), ttl)]


def of_person(name: Name, address: str, label: bytes) -> Name:
    """Return the owner of the records of a mail *address* in *name* (RFC 7929 §3, RFC 8162 §3). Raises `BadRecord`.

    The local part is hashed as it is written: whether letters' case matters only its mail server knows.
    """
    local, mark, domain = address.rpartition("@")
    if not mark or not local:
        raise BadRecord(f"{address!r} is no mail address")
    try:
        where = names.from_text(domain)
    except BadName as error:
        raise BadRecord(f"{address!r} is no mail address: {error}") from None
    if where != name:
        raise BadRecord(f"{address} is not an address in {names.to_text(name)}; name the part behind the @")
    digest = hashlib.sha256(local.encode()).digest()[:_HASHED]
    return names.prepend(digest.hex().encode(), names.prepend(label, name))


def record(owner: Name, rdtype: int, rdata: Rdata, ttl: int) -> Record:
    """Return a record as the state keeps it."""
    return Record(names.to_text(owner), type_to_text(rdtype), rdata_to_text(rdtype, rdata), ttl)


def wire(one: Record) -> tuple[Name, int, Rdata]:
    """Return what a record is on the wire: its owner, type and data. Raises `BadRecord`."""
    try:
        kind = dns.rdatatype.from_text(one.type)
        rdata = dns.rdata.from_text(dns.rdataclass.IN, kind, one.data).to_digestable()
        return names.from_text(one.owner), int(kind), rdata
    except (dns.exception.DNSException, BadName, ValueError) as error:
        where = f"{one.owner} {one.type}"
        raise BadRecord(f"the gateway's state holds a record that does not parse ({where}): {error}") from None


def _read(path: Path) -> bytes:
    try:
        octets = path.read_bytes()
    except OSError as error:
        raise BadRecord(f"{path} cannot be read: {error.strerror}") from None
    if b"PRIVATE KEY" in octets:
        raise BadRecord(f"{path} holds a private key; give the public one alone, the private stays where it is")
    return octets


def _public_key(path: Path) -> PublicKeyTypes:
    octets = _read(path)
    try:
        if b"-----BEGIN CERTIFICATE-----" in octets:
            return x509.load_pem_x509_certificate(octets).public_key()
        if b"-----BEGIN" in octets:
            return load_pem_public_key(octets)
        return x509.load_der_x509_certificate(octets).public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise BadRecord(f"{path} is neither a certificate nor a public key that can be read") from None


def _ipsec_key(path: Path, key: PublicKeyTypes) -> tuple[int, bytes]:
    """Return IPSECKEY's algorithm for *key* and its octets (RFC 3110 §2, RFC 6605 §4, RFC 8080 §3)."""
    if isinstance(key, rsa.RSAPublicKey):
        public = key.public_numbers()
        exponent = public.e.to_bytes((public.e.bit_length() + 7) // 8, "big")
        size = bytes((len(exponent),)) if len(exponent) < 256 else b"\0" + len(exponent).to_bytes(2, "big")
        return _RSA, size + exponent + public.n.to_bytes((public.n.bit_length() + 7) // 8, "big")
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1):
        return _ECDSA, key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]
    if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        return _EDDSA, key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    raise BadRecord(f"{path} holds a key of a kind that IPSECKEY has no number for; take RSA, P-256, P-384 or Ed25519")


def _gateway(text: str) -> tuple[int, bytes]:
    """Return the kind and the octets of IPSECKEY's gateway (RFC 4025 §2.3, §2.5)."""
    if not text:
        return _NO_GATEWAY, b""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        try:
            return _NAME, names.from_text(text)
        except BadName as error:
            raise BadRecord(f"{text!r} is neither an address nor a name: {error}") from None
    return (_IPV4 if address.version == 4 else _IPV6), address.packed


def _packet(first: int) -> int:
    """Return the type of the OpenPGP packet that begins with the octet *first* (RFC 9580 §4.2); 0: it is none."""
    if not first & 0x80:
        return 0
    return first & 0x3F if first & 0x40 else first >> 2 & 0x0F
