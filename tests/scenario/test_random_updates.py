"""Hundreds of random updates, judged by the verifiers of three houses and by BIND's own result."""

import random
import threading

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.zone
import pytest
from registry import SIGNED, ZONE_FILE, change, full, run
from service import eventually

POOL = [
    "h1",
    "h2",
    "h3",
    "cam.h1",
    "a.b.c.h2",
    "c.h2",
    "_443._tcp.cam.h1",
    "*.h3",
    "h4",
    "x.h4",
    "@",
    "z",
    "\\000",
    "-",
    "H5",
]
PREREQUISITES = [
    ("present",),
    ("present", "A"),
    ("present", "A", "192.0.2.3"),
    ("absent",),
    ("absent", "A"),
    ("absent", "CNAME"),
]
CUTS = ["d1", "d2", "in.d1", "sub.h4"]


def random_change(zone, dice, key="k256"):
    """Return a random update of *zone*: one to four operations, conflicts included, delegations kept sane."""
    message = change(zone, key)
    for _ in range(dice.randrange(1, 5)):
        owner = dice.choice(POOL)
        action = dice.random()
        value = dice.randrange(1, 6)
        if action < 0.45:
            rdtype, rdata = dice.choice(
                [
                    ("A", f"192.0.2.{value}"),
                    ("AAAA", f"2001:db8::{value}"),
                    ("TXT", f'"{value}" "two"'),
                    ("TLSA", f"3 1 1 {value:064x}"),
                    ("SRV", f"0 0 {value} H{value}.{zone}"),
                    ("CAA", f'0 issue "{value}.example"'),
                    ("TYPE65281", f"\\# 1 0{value}"),
                ]
            )
            message.add(owner, dice.choice((60, 300)), rdtype, rdata)
        elif action < 0.5 and owner != "@":
            message.add(owner, 60, "CNAME", dice.choice(("www", f"nothing{value}")))  # no loops: a resolver gives up
        elif action < 0.6:
            message.delete(owner, dice.choice(("A", "AAAA", "TXT", "CNAME", "TLSA")))
        elif action < 0.7:
            message.delete(owner, "A", f"192.0.2.{value}")
        elif action < 0.78:
            message.delete(owner)
        elif action < 0.9:
            cut = dice.choice(CUTS)
            message.delete(cut)
            message.add(cut, 300, "NS", f"ns{value}.elsewhere.test.")
            if dice.random() < 0.5:
                message.add(cut, 300, "DS", f"{value} 13 2 {value:064x}")
        else:
            message.delete(dice.choice(CUTS))
    return message


@pytest.fixture(scope="module")
def shaken(registry):
    """Send three hundred random updates to each signed zone, several at a time."""

    def shake(zone, seed):
        dice = random.Random(seed)
        for _ in range(100):
            answer = registry.send(random_change(zone, dice))
            assert answer.rcode() == dns.rcode.NOERROR, answer

    failures = []

    def guarded(zone, seed):
        try:
            shake(zone, seed)
        except BaseException as error:  # noqa: BLE001 - told to the test below
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(zone, seed)) for zone in SIGNED for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    return registry


VERIFIERS = {
    "ldns-verify-zone": lambda file, zone: ["ldns-verify-zone", "-V", "2", file],
    "dnssec-verify": lambda file, zone: ["dnssec-verify", "-q", "-x", "-o", zone, file],
    "kzonecheck": lambda file, zone: ["kzonecheck", "-d", "on", "-o", zone, file],
}


@pytest.mark.parametrize("verifier", VERIFIERS)
@pytest.mark.parametrize("zone", SIGNED)
def test_the_zone_is_whole_after_hundreds_of_random_updates(shaken, zone, verifier):
    run(*VERIFIERS[verifier](shaken.export(zone), zone))


@pytest.mark.parametrize("zone", SIGNED)
def test_every_name_still_validates_after_hundreds_of_random_updates(shaken, unbound, zone):
    for owner in (*POOL, "missing", "x.y.h3", "deep.er.h1"):
        for rdtype in ("A", "TXT"):
            query = dns.message.make_query(full(owner, zone), rdtype, want_dnssec=True)
            answer = dns.query.udp_with_fallback(query, "127.0.0.1", port=unbound, timeout=30)[0]
            if any(full(owner, zone).lower().endswith(f".{full(cut, zone)}") for cut in CUTS):
                continue
            assert answer.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN), (owner, rdtype, answer)
            assert answer.flags & dns.flags.AD, (owner, rdtype, answer)


def content(zone):
    """Return a zone's records but its SOA, as a set that compares as the records do."""
    return {
        (name, rdataset.rdtype, rdataset.ttl, rdata)
        for name, rdataset in zone.iterate_rdatasets()
        if rdataset.rdtype != dns.rdatatype.SOA
        for rdata in rdataset
    }


def test_three_hundred_random_updates_leave_what_bind_makes_of_them(registry, named):
    fresh = registry.folder / "oracle.zone"
    fresh.write_text(ZONE_FILE)
    registry.ddns("zone", "import", fresh, "--origin", "plain.example.", "--denial", "none")
    eventually(lambda: registry.serial("plain.example.") == registry.committed_serial("plain.example."))
    dice = random.Random(2136)

    for number in range(300):
        message = random_change("plain.example.", dice)
        if dice.random() < 0.3:
            demand, *how = dice.choice(PREREQUISITES)
            getattr(message, demand)(dice.choice(POOL), *how)
        theirs = dns.query.udp(message, "127.0.0.1", port=named, timeout=30)
        ours = registry.send(message)
        assert ours.rcode() == theirs.rcode(), (number, message, ours, theirs)

    bind = dns.zone.from_xfr(
        dns.query.xfr("127.0.0.1", "plain.example.", port=named, relativize=False), relativize=False
    )
    text = registry.ddns("zone", "export", "plain.example.")
    assert content(dns.zone.from_text(text, "plain.example.", relativize=False)) == content(bind)
