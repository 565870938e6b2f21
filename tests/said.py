"""Builders of what a child's servers say: zones with real keys, signed by dnspython."""

from __future__ import annotations

import functools
import struct

import dns.dnssec
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from msgspec.structs import replace

from ddns.dns import ds as signer
from ddns.dns.codes import Type
from ddns.dns.names import from_text
from ddns.dns.records import RRset, SignedRRset
from ddns.zone.child import Child, ServerSaid

NOW = 1_800_000_000
REGISTRY, HOME = from_text("homes.test."), from_text("smith.homes.test.")
NS1, NS2 = from_text("ns1.smith.homes.test."), from_text("ns2.example.")


@functools.cache
def pair(name: str, algorithm: int = 13):
    """Return the private key called *name*, the same one each time, and its DNSKEY with flags 257."""
    private = ec.generate_private_key(ec.SECP256R1()) if algorithm == 13 else ed25519.Ed25519PrivateKey.generate()
    return private, dns.dnssec.make_dnskey(private.public_key(), algorithm, flags=257)


def dnskey(name: str, algorithm: int = 13) -> bytes:
    return pair(name, algorithm)[1].to_wire()


def ds(name: str, algorithm: int = 13, digest: int = 2) -> bytes:
    return signer.of(HOME, dnskey(name, algorithm), digest)


def sign(rrset: RRset, *by: str, algorithm: int = 13, begin: int = NOW - 3600, end: int = NOW + 3600) -> SignedRRset:
    """Return *rrset* with a signature by each key of HOME in *by*."""
    owner = dns.name.from_wire(rrset.name, 0)[0]
    rdatas = [
        dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.RdataType.make(rrset.type), one, 0, len(one))
        for one in rrset.rdatas
    ]
    data = dns.rrset.from_rdata_list(owner, rrset.ttl, rdatas)
    sigs = []
    for name in by:
        private, public = pair(name, algorithm)
        made = dns.dnssec.sign(
            data, private, dns.name.from_wire(HOME, 0)[0], public, inception=begin, expiration=end, verify=False
        )
        sigs.append(made.to_wire())
    return SignedRRset(rrset.name, rrset.type, rrset.ttl, rrset.rdatas, tuple(sorted(sigs)))


def soa(serial: int = 5) -> RRset:
    return RRset(HOME, Type.SOA, 60, (NS1 + NS1 + struct.pack("!5I", serial, 60, 60, 600, 60),))


def server(name: bytes = NS1, address: str = "11.0.0.1", **more) -> ServerSaid:
    """Return what a server says of HOME with the servers NS1 and NS2, signed by key a, but for what *more* has."""
    keys = RRset.of(HOME, Type.DNSKEY, 60, [dnskey("a")])
    known = {
        "asked": NOW, "authoritative": True, "serial": 5, "soa": sign(soa(), "a"), "dnskey": sign(keys, "a"),
        "ns": sign(RRset.of(HOME, Type.NS, 60, [NS1, NS2]), "a"),
    }  # fmt: skip
    return ServerSaid(name, address, **(known | more))


def servers(**more) -> list[ServerSaid]:
    """Return what NS1 and NS2 say, alike."""
    return [server(**more), server(NS2, "12.0.0.2", **more)]


def child(*ds_records: bytes, **more) -> Child:
    """Return the delegation of HOME to NS1, with glue, and NS2."""
    glue = (RRset.of(NS1, Type.A, 60, [bytes((11, 0, 0, 1))]),)
    return replace(Child((NS1, NS2), glue, ds_records or (ds("a"),)), **more)


def apex(rdtype: int, *rdatas: bytes, by: str = "a", **more) -> SignedRRset:
    """Return an RRset at the apex of HOME, signed."""
    return sign(RRset.of(HOME, rdtype, 60, rdatas), by, **more)


def cds(*ds_records: bytes, keys: tuple[bytes, ...], by: str = "a", **more) -> dict[str, SignedRRset]:
    """Return the CDS and CDNSKEY of a server."""
    return {"cds": apex(Type.CDS, *ds_records, by=by, **more), "cdnskey": apex(Type.CDNSKEY, *keys, by=by, **more)}


def csync(serial: int, flags: int, *types: int) -> SignedRRset:
    """Return a CSYNC with these types in its bitmap; all below 256."""
    bits = bytearray(max(types) // 8 + 1)
    for one in types:
        bits[one // 8] |= 0x80 >> one % 8
    return apex(Type.CSYNC, struct.pack("!IH", serial, flags) + bytes((0, len(bits))) + bytes(bits))
