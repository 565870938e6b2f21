"""Trust a TLS peer by its TLSA records alone (RFC 6698, RFC 7671): no authority is asked that they do not name.

Law: the TLSA RRset given here has been proved by `chain`; the handshake itself proves that the peer holds the private
key of the certificate that it shows. With DANE-EE (usage 3) the peer's own certificate or key is the one that is
published, and its names and dates do not count (RFC 7671 §5.1). With DANE-TA (usage 2) a CA is published, and what it
issued is checked in full (`ddns.verifier.authority`). The other usages ask for public CAs and decide nothing here.
"""

from __future__ import annotations

import hashlib
import hmac
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass

import dns.rrset
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from dns.rdtypes.ANY.TLSA import TLSA

from ddns.verifier import authority

DANE_TA, DANE_EE = 2, 3  # RFC 7218 §2.1
WHOLE, SPKI = 0, 1  # selectors, RFC 7218 §2.2
_HASHES = {1: hashlib.sha256, 2: hashlib.sha512}  # matching types, RFC 7218 §2.3; 0 is the octets themselves
MAX_REPLY = 4096  # octets that are read from a trusted peer


@dataclass(frozen=True, slots=True)
class Record:
    """One TLSA record as it was judged: *digest* is its data in hex, *usable* says whether it can decide anything."""

    usage: int
    selector: int
    matching: int
    digest: str
    matches: bool = False
    usable: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the peer is the one that the TLSA records name, why in one sentence, and what it then said.

    *connected* says that there was a peer at all; *records* are all TLSA records, in their order.
    """

    trusted: bool
    sentence: str
    reply: bytes = b""
    connected: bool = True
    records: tuple[Record, ...] = ()


def connect(
    address: str,
    port: int,
    name: str,
    tlsa: dns.rrset.RRset,
    *,
    request: bytes = b"",
    timeout: float = 5.0,
) -> Verdict:
    """Speak TLS to *address* and *port* as *name* and judge the peer by *tlsa*.

    Only a trusted peer gets the *request*; its first octets come back as the reply. *timeout* is in seconds.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    # No authority is trusted; the certificates are judged below, before a single octet is sent.
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((address, port), timeout=timeout) as plain,
            context.wrap_socket(plain, server_hostname=name.rstrip(".")) as peer,
        ):
            verdict = judge(_shown(peer), tlsa, name)
            if not verdict.trusted or not request:
                return verdict
            peer.sendall(request)
            return Verdict(True, verdict.sentence, peer.recv(MAX_REPLY), records=verdict.records)
    except OSError as error:
        sentence = f"No TLS with {address} port {port}: {error.strerror or error}."
        return Verdict(False, sentence, connected=False, records=records_of(tlsa))


def match(certificate: bytes, tlsa: dns.rrset.RRset) -> Verdict:
    """Judge a peer by its own DER *certificate* alone (RFC 6698 §2.1, RFC 7671 §5.1)."""
    return judge((certificate,), tlsa, "")


def judge(
    shown: Sequence[bytes],
    tlsa: dns.rrset.RRset,
    name: str,
    *,
    client: bool = False,
    now: float | None = None,
) -> Verdict:
    """Judge a peer called *name* by the DER certificates that it has *shown*, its own first.

    A *client* is one that has come to us. *now* (seconds since 1970) matters to what a CA has issued.
    """
    try:
        certificates = [x509.load_der_x509_certificate(one) for one in shown]
        own = _selected(certificates[0])
    except (ValueError, IndexError):
        return Verdict(False, "The peer shows no certificate that can be read.", records=records_of(tlsa))
    owner = tlsa.name.to_text(omit_final_dot=True)
    records, winner, reason = [], "", ""
    for record in records_of(tlsa):
        matches = False
        if record.usable and record.usage == DANE_EE:
            matches = _equal(record, own)
            what = "key" if record.selector == SPKI else "certificate"
            why = f"The peer's {what} is the one in the TLSA {_kind(record)} of {owner}."
        elif record.usable:
            anchor = _anchor(record, certificates)
            fault = "" if anchor is None else authority.fault(certificates, anchor, name, client=client, now=_now(now))
            matches = anchor is not None and not fault
            why = f"The peer's certificate was issued by the CA in the TLSA {_kind(record)} of {owner}."
            reason = reason or (fault and f"The CA in the TLSA of {owner} is the peer's, but {fault}.")
        if matches:
            winner = winner or why
        records.append(Record(*_fields(record), matches=matches, usable=record.usable))
    if winner:
        return Verdict(True, winner, records=tuple(records))
    if not any(record.usable for record in records):
        reason = f"No TLSA record of {owner} can be used here (usage 3 or 2 is needed)."
    return Verdict(False, reason or f"The peer's key is not the one in the TLSA of {owner}.", records=tuple(records))


def records_of(tlsa: dns.rrset.RRset) -> tuple[Record, ...]:
    """Return the records of *tlsa*, of which those decide that are understood and not weaker than others.

    Of records of one usage and selector only those with the strongest digest count (RFC 7671 §9); before that, what
    is not understood is left out.
    """
    out = []
    for one in tlsa:
        if isinstance(one, TLSA):
            known = not one.mtype or one.mtype in _HASHES  # dnspython has compared the digest's length
            usable = known and one.usage in {DANE_TA, DANE_EE} and one.selector in {WHOLE, SPKI} and bool(one.cert)
            out.append(Record(one.usage, one.selector, one.mtype, one.cert.hex(), usable=usable))
    strongest: dict[tuple[int, int], int] = {}
    for record in out:
        if record.usable:
            kind = (record.usage, record.selector)
            strongest[kind] = max(strongest.get(kind, 0), record.matching)
    return tuple(
        Record(*_fields(one), usable=one.usable and one.matching in {0, strongest[one.usage, one.selector]})
        for one in out
    )


def _shown(peer: ssl.SSLSocket) -> tuple[bytes, ...]:
    """Return the DER certificates that *peer* has shown in the handshake, its own first."""
    own = peer.getpeercert(binary_form=True) or b""
    if hasattr(peer, "get_unverified_chain"):  # since Python 3.13
        return tuple(peer.get_unverified_chain()) or (own,)
    inner = getattr(peer, "_sslobj", None)
    if inner is None or not hasattr(inner, "get_unverified_chain"):
        return (own,)
    pems = [one.public_bytes() for one in inner.get_unverified_chain() or ()]
    return tuple(ssl.PEM_cert_to_DER_cert(one) for one in pems) or (own,)


def _selected(certificate: x509.Certificate) -> tuple[bytes, bytes]:
    """Return what the two selectors select of a certificate. Raises `ValueError`."""
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return certificate.public_bytes(Encoding.DER), key


def _equal(record: Record, selected: tuple[bytes, bytes]) -> bool:
    octets = selected[record.selector]
    expected = _HASHES[record.matching](octets).digest() if record.matching else octets
    return hmac.compare_digest(expected.hex(), record.digest)


def _anchor(record: Record, certificates: Sequence[x509.Certificate]) -> x509.Certificate | None:
    """Return the CA that *record* names: among those shown, or in the record itself where it is whole.

    RFC 7671 §5.2.2: a digest needs the CA's certificate in the handshake, `2 0 0` does not.
    """
    for one in certificates[1:]:
        try:
            if _equal(record, _selected(one)):
                return one
        except ValueError:
            continue
    if record.selector == WHOLE and not record.matching:
        try:
            return x509.load_der_x509_certificate(bytes.fromhex(record.digest))
        except ValueError:
            return None
    return None


def _kind(record: Record) -> str:
    return f"{record.usage} {record.selector} {record.matching}"


def _fields(record: Record) -> tuple[int, int, int, str]:
    return record.usage, record.selector, record.matching, record.digest


def _now(now: float | None) -> float:
    return time.time() if now is None else now
