"""Messages made by hand, octet by octet, for what no well-behaved client would send. Shares no code with ours."""

import base64
import hashlib
import hmac
import struct
import time
from pathlib import Path

import dns.name
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

UPDATE = 5 << 11
IN, NONE, ANY = 1, 254, 255
A, SOA, SIG, TSIG, AXFR, TYPE_ANY = 1, 6, 24, 250, 252, 255


def name(text):
    """Return a name's uncompressed wire form."""
    return dns.name.from_text(text).to_wire()


def record(owner, rdtype, rdclass, ttl=0, rdata=b""):
    """Return one record in wire form."""
    return name(owner) + struct.pack("!HHIH", rdtype, rdclass, ttl, len(rdata)) + rdata


def question(zone, rdtype=SOA, rdclass=IN):
    """Return an entry of the zone section."""
    return name(zone) + struct.pack("!HH", rdtype, rdclass)


def update(zones, prerequisites=(), updates=(), *, ident=4711):
    """Return an UPDATE message with these sections."""
    header = struct.pack("!6H", ident, UPDATE, len(zones), len(prerequisites), len(updates), 0)
    return header + b"".join((*zones, *prerequisites, *updates))


def transfer(zone, *, ident=4711):
    """Return a question for the whole of a zone (RFC 5936 §2.1)."""
    return struct.pack("!6H", ident, 0, 1, 0, 0, 0) + question(zone, AXFR)


def _append(wire, extra):
    (count,) = struct.unpack("!H", wire[10:12])
    return wire[:10] + struct.pack("!H", count + 1) + wire[12:] + extra


def tsig_signed(wire, key, secret, *, algorithm="hmac-sha256", at=None, fudge=300):
    """Return *wire* with a TSIG record (RFC 8945 §4.2, §4.3) by the shared base64 *secret*."""
    at = int(at or time.time())
    signed_at = struct.pack("!HI", at >> 32, at & 0xFFFFFFFF)
    owner, algorithm_name = name(key), name(algorithm)
    variables = owner + struct.pack("!HI", ANY, 0) + algorithm_name + signed_at + struct.pack("!HHH", fudge, 0, 0)
    digest = getattr(hashlib, algorithm.removeprefix("hmac-"))
    mac = hmac.new(base64.b64decode(secret), wire + variables, digest).digest()
    rdata = algorithm_name + signed_at + struct.pack("!HH", fudge, len(mac)) + mac + wire[:2] + struct.pack("!HH", 0, 0)
    return _append(wire, record(key, TSIG, ANY, 0, rdata))


class KeyFile:
    """A SIG(0) key as `dnssec-keygen -T KEY -n HOST` writes it; *path* names one of its two files."""

    def __init__(self, path):
        base = Path(path).parent / Path(path).name.removesuffix(".private").removesuffix(".key")
        words = Path(f"{base}.key").read_text().split("KEY", 1)[1].split()
        self.name, algorithm, tag = base.name[1:].rsplit("+", 2)
        self.algorithm, self.tag = int(algorithm), int(tag)
        self.rdata = " ".join([*words[:3], "".join(words[3:])])
        fields = dict(line.split(": ", 1) for line in Path(f"{base}.private").read_text().splitlines())
        octets = base64.b64decode(fields["PrivateKey"])
        if self.algorithm == 13:
            self._private = ec.derive_private_key(int.from_bytes(octets, "big"), ec.SECP256R1())
        else:
            self._private = ed25519.Ed25519PrivateKey.from_private_bytes(octets)

    def signed(self, wire, *, at=None, before=300, after=300, tag=None, signer=None):
        """Return *wire* with a SIG(0) record (RFC 2931 §3), valid from *before* to *after* seconds around *at*."""
        at = int(at or time.time())
        head = struct.pack(
            "!HBBIIIH", 0, self.algorithm, 0, 0, at + after, at - before, self.tag if tag is None else tag
        ) + name(signer or self.name)
        data = head + wire
        if self.algorithm == 13:
            r, s = utils.decode_dss_signature(self._private.sign(data, ec.ECDSA(hashes.SHA256())))
            signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        else:
            signature = self._private.sign(data)
        return _append(wire, record(".", SIG, ANY, 0, head + signature))
