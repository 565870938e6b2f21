"""Zones as they are published, made without our signer: master text, signed by BIND's or ldns's tools."""

import subprocess
from pathlib import Path

import dns.name
import dns.rdatatype
import dns.tokenizer
import dns.zone
import dns.zonefile
from tools import need

from ddns.answer.image import ZoneImage
from ddns.dns import names
from ddns.dns.records import SignedRRset


def wire(text, origin="."):
    """Return the name *text* as our `Name`."""
    return names.from_text(text, names.from_text(origin))


def read_zone(text, origin):
    """Return what the master file *text* publishes, RRSIGs beside what they cover, hostile content included."""
    zone = dns.zone.Zone(dns.name.from_text(origin), relativize=False)
    with zone.writer(replacement=True) as txn:
        dns.zonefile.Reader(dns.tokenizer.Tokenizer(text, filename="zone"), rdclass=zone.rdclass, txn=txn).read()
    sets, sigs = {}, {}
    for name, rdataset in zone.iterate_rdatasets():
        owner = name.to_digestable()
        data = [rdata.to_digestable() for rdata in rdataset]
        if rdataset.rdtype == dns.rdatatype.RRSIG:
            sigs.setdefault((owner, int(rdataset.covers)), []).extend(data)
        else:
            sets[owner, int(rdataset.rdtype)] = (rdataset.ttl, data)
    return [
        SignedRRset(owner, rdtype, ttl, tuple(sorted(set(data))), tuple(sorted(sigs.get((owner, rdtype), ()))))
        for (owner, rdtype), (ttl, data) in sets.items()
    ]


def image(text, origin, zone_id=1, edition=1):
    """Return an image of the master file *text*."""
    return ZoneImage(zone_id, names.from_text(origin), edition, read_zone(text, origin))


def sign(text, origin, folder, *, nsec3=True, opt_out=False, salt="-"):
    """Return the master file *text* signed by dnssec-signzone with a new P-256 key, as master text, and its DS text."""
    folder = Path(folder)
    label = origin.strip(".") or "root"
    plain, signed = folder / f"{label}.zone", folder / f"{label}.signed"
    plain.write_text(text)
    key = subprocess.run(
        [need("dnssec-keygen"), "-q", "-a", "13", "-f", "KSK", "-K", folder, origin],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    how = ["-3", salt, "-H", "0", *(["-A"] if opt_out else [])] if nsec3 else []
    where = ["-q", "-z", "-P", "-S", "-K", folder, "-d", folder, "-o", origin, "-N", "keep", "-O", "full"]
    subprocess.run([need("dnssec-signzone"), *where, *how, "-f", signed, plain], check=True, capture_output=True)
    ds = subprocess.run(
        [need("dnssec-dsfromkey"), "-2", folder / f"{key}.key"], check=True, capture_output=True, text=True
    ).stdout
    return signed.read_text(), ds
