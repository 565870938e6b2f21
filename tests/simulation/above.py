"""The zone above the registry's: signed by dnspython, kept by somebody who reads CDS when and if they like."""

from __future__ import annotations

import dns.dnssec
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.zone
from cryptography.hazmat.primitives.asymmetric import ec
from dns.dnssectypes import Algorithm, DSDigest

from ddns.dns.names import Name, from_text
from ddns.dns.records import Rdata, SignedRRset, canonical
from ddns.zone.edition import Edition

TTL = 4 * 3600  # of its records, DS among them
AGES = 60 * 365 * 86400  # for which it signs: less than half of what a signature's times can say (RFC 4034 §3.1.5)
ZONE = """
@ 3600 SOA ns.{top} host.{top} {serial} 7200 3600 1209600 300
@ 3600 NS ns.{top}
ns 3600 A 127.0.0.1
{child} 3600 NS ns.{child}
ns.{child} 3600 A 127.0.0.1
"""


class Above:
    """Zone *top*, in which *child* is delegated; `ds` is what it has for that. Its signatures begin at *start*."""

    def __init__(self, top: str, child: str, ident: int, start: int) -> None:
        self.origin: Name = from_text(top)
        self.id = ident
        self.ds: tuple[Rdata, ...] = ()
        self.history: list[tuple[Rdata, ...]] = []
        self.serial = 0
        self._top, self._child, self._start = top, child, start
        self._private = ec.derive_private_key(0x746573742E, ec.SECP256R1())
        self._dnskey = dns.dnssec.make_dnskey(self._private.public_key(), Algorithm.ECDSAP256SHA256, flags=257)
        self._shown: tuple[SignedRRset, ...] = ()

    @property
    def anchor(self) -> str:
        """Return the DS record of its key as text."""
        ds = dns.dnssec.make_ds(dns.name.from_text(self._top), self._dnskey, DSDigest.SHA256)
        return f"{self._top} DS {ds.to_text()}"

    def publish(self, ds: tuple[Rdata, ...]) -> Edition:
        """Return its next edition, with these DS records for the child."""
        self.ds = ds
        self.history.append(ds)
        self.serial += 1
        apex = dns.name.from_text(self._top)
        text = ZONE.format(top=self._top, child=self._child, serial=self.serial)
        zone = dns.zone.from_text(text, apex, relativize=False)
        if ds:
            rdatas = [dns.rdata.from_wire("IN", "DS", one, 0, len(one)) for one in ds]
            zone.replace_rdataset(self._child, dns.rdataset.from_rdata_list(TTL, rdatas))
        begin = self._start - 86400
        dns.dnssec.sign_zone(
            zone, keys=[(self._private, self._dnskey)], inception=begin, expiration=begin + AGES, dnskey_ttl=3600,
            policy=dns.dnssec.allow_all_policy,
        )  # fmt: skip
        before, self._shown = self._shown, tuple(rrsets_of(zone))
        gone = tuple(one for one in before if one not in self._shown)
        come = tuple(one for one in self._shown if one not in before)
        return Edition(self.id, self.serial, self.serial - 1 or 1, self.serial, gone, come)


def rrsets_of(zone: dns.zone.Zone) -> list[SignedRRset]:
    """Return what dnspython has signed."""
    found = []
    for owner, node in zone.items():
        name = owner.to_wire()
        for one in node.rdatasets:
            if one.rdtype == dns.rdatatype.RRSIG:
                continue
            sigs = node.get_rdataset(dns.rdataclass.IN, dns.rdatatype.RRSIG, one.rdtype)
            rdatas = sorted(canonical(int(one.rdtype), rdata.to_wire()) for rdata in one)
            made = () if sigs is None else tuple(sorted(sig.to_wire() for sig in sigs))
            found.append(SignedRRset(name, int(one.rdtype), one.ttl, tuple(rdatas), made))
    return found
