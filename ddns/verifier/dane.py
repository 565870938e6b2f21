"""Trust a TLS server by its TLSA records alone (RFC 6698, RFC 7671): no authority is asked.

Law: the TLSA RRset given here has been proved by `chain`; the handshake itself proves that the peer
holds the private key of the certificate that it shows. Only DANE-EE (usage 3) is decided: the peer's
own certificate or key is the one that is published, and its names and dates do not count (RFC 7671 §5.1).
"""

from __future__ import annotations

import hashlib
import hmac
import socket
import ssl
from dataclasses import dataclass

import dns.rrset
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from dns.rdtypes.ANY.TLSA import TLSA

DANE_EE = 3  # RFC 7218 §2.1
_WHOLE, _SPKI = 0, 1  # selectors, RFC 7218 §2.2
_HASHES = {1: hashlib.sha256, 2: hashlib.sha512}  # matching types, RFC 7218 §2.3; 0 is the octets themselves
MAX_REPLY = 4096  # octets that are read from a trusted peer


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the peer is the one that the TLSA records name, why in one sentence, and what it then said."""

    trusted: bool
    sentence: str
    reply: bytes = b""


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
    # No authority is trusted; the certificate is judged below, before a single octet is sent.
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((address, port), timeout=timeout) as plain,
            context.wrap_socket(plain, server_hostname=name.rstrip(".")) as peer,
        ):
            verdict = match(peer.getpeercert(binary_form=True) or b"", tlsa)
            if not verdict.trusted or not request:
                return verdict
            peer.sendall(request)
            return Verdict(trusted=True, sentence=verdict.sentence, reply=peer.recv(MAX_REPLY))
    except OSError as error:
        return Verdict(trusted=False, sentence=f"No TLS with {address} port {port}: {error.strerror or error}.")


def match(certificate: bytes, tlsa: dns.rrset.RRset) -> Verdict:
    """Judge a peer's DER *certificate* by *tlsa* (RFC 6698 §2.1, RFC 7671 §5.1)."""
    try:
        parsed = x509.load_der_x509_certificate(certificate)
        key = parsed.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except ValueError:
        return Verdict(trusted=False, sentence="The peer shows no certificate that can be read.")
    owner = tlsa.name.to_text(omit_final_dot=True)
    usable = 0
    for record in tlsa:
        if not isinstance(record, TLSA) or record.usage != DANE_EE:
            continue
        selected = {_WHOLE: certificate, _SPKI: key}.get(record.selector)
        if selected is None or (record.mtype and record.mtype not in _HASHES):
            continue
        usable += 1
        expected = _HASHES[record.mtype](selected).digest() if record.mtype else selected
        if hmac.compare_digest(expected, record.cert):
            kind = f"{record.usage} {record.selector} {record.mtype}"
            what = "key" if record.selector == _SPKI else "certificate"
            return Verdict(trusted=True, sentence=f"The peer's {what} is the one in the TLSA {kind} of {owner}.")
    if not usable:
        return Verdict(trusted=False, sentence=f"No TLSA record of {owner} can be used here (usage 3 is needed).")
    return Verdict(trusted=False, sentence=f"The peer's key is not the one in the TLSA of {owner}.")
