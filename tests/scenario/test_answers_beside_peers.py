"""The same hostile zones in NSD, BIND and Knot and in ours: rcode, AA, answer and authority of thousands of questions.

Where the peers differ among themselves, ours must side with one of them; `explained` knows which questions these are,
and docs/reference/differences.md says why. Ours answers without sockets: what is compared is the answers, not the
transports.
"""

import contextlib
import subprocess
from pathlib import Path

import differences
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import hostile
import pytest
from asking import TCP, read
from peers import Peer, as_read
from published import read_zone, sign
from tools import need

from ddns.answer.image import ZoneImage
from ddns.answer.responder import Responder
from ddns.answer.table import Table
from ddns.dns import names

QUESTIONS = 2400  # of each set of zones, the same ones every time
TREE = {"plain.test.": hostile.SIGNABLE, "other.test.": hostile.OTHER, "child.plain.test.": hostile.CHILD_ZONE}


def by_bind(zones, folder, **how):
    return {origin: sign(text, origin, folder, **how)[0] for origin, text in zones.items()}


def by_ldns(zones, folder):
    """Sign with ldns: NSEC3 with a salt and iterations, as older zones have it."""
    out = {}
    for origin, text in zones.items():
        plain = Path(folder) / f"{origin}zone"
        plain.write_text(f"$ORIGIN {origin}\n{text}")
        key = subprocess.run(
            [need("ldns-keygen"), "-k", "-a", "ECDSAP256SHA256", origin],
            check=True,
            capture_output=True,
            text=True,
            cwd=folder,
        ).stdout.strip()
        arguments = ["-n", "-s", "c0ffee", "-t", "3", "-o", origin, "-f", f"{origin}signed", plain.name, key]
        subprocess.run([need("ldns-signzone"), *arguments], check=True, capture_output=True, cwd=folder)
        out[origin] = (Path(folder) / f"{origin}signed").read_text()
    return out


# ldns 1.8 does not take every hostile label and type.
FOR_LDNS = {"plain.test.": hostile.HEAD + hostile.WILDCARDS + hostile.CUTS + hostile.ALIASES + hostile.CHILD}

SETS = {
    "unsigned": (lambda folder: {**TREE, "plain.test.": hostile.PLAIN}, False),
    "nsec": (lambda folder: by_bind(TREE, folder, nsec3=False), True),
    "nsec3": (lambda folder: by_bind(TREE, folder), True),
    "nsec3-without-do": (lambda folder: by_bind(TREE, folder), False),
    "optout": (lambda folder: by_bind(TREE, folder, opt_out=True, salt="abcd"), True),
    "ldns": (lambda folder: by_ldns(FOR_LDNS, folder), True),
    "root": (lambda folder: {".": hostile.ROOT}, False),
    "root-nsec": (lambda folder: by_bind({".": hostile.ROOT}, folder, nsec3=False), True),
    "root-nsec3": (lambda folder: by_bind({".": hostile.ROOT}, folder), True),
}


@pytest.fixture(params=SETS)
def served(request, tmp_path):
    """Yield our responder, the peers, the questions, and whether to ask for DNSSEC."""
    make, do = SETS[request.param]
    zones = make(tmp_path)
    table = Table()
    files, questions = {}, []
    for number, (origin, text) in enumerate(zones.items(), start=1):
        files[origin] = tmp_path / f"served{number}"
        files[origin].write_text(f"$ORIGIN {origin}\n{text}")
        rrsets = read_zone(text, origin)
        table.install(ZoneImage(number, names.from_text(origin), 1, rrsets))
        questions += hostile.questions(rrsets, origin, limit=QUESTIONS // len(zones))
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(Peer(name, tmp_path / name, files)) for name in ("nsd", "bind", "knot")]
        yield Responder(table), running, questions, do


def view(wire):
    """Return what is compared: rcode, AA, and the RRsets of answer and authority with their TTLs."""
    message = dns.message.from_wire(wire)
    answer, authority = (
        frozenset((r.name, r.rdtype, r.covers, r.ttl, frozenset(rdata.to_digestable() for rdata in r)) for r in section)
        for section in (message.answer, message.authority)
    )
    return dns.rcode.to_text(message.rcode()), bool(message.flags & dns.flags.AA), answer, authority


def show(compared):
    rcode, aa, *sections = compared
    return (
        rcode,
        aa,
        *(sorted(f"{name} {dns.rdatatype.to_text(rdtype)}" for name, rdtype, *_ in one) for one in sections),
    )


PLAIN = dns.name.from_text("plain.test.")
GLUE = dns.name.from_text("ns.child", PLAIN)
PROOF = {dns.rdatatype.NSEC, dns.rdatatype.NSEC3, dns.rdatatype.RRSIG}


def known(peer, why):
    """Tell whether *peer* may differ for the reason *why*; a release that nobody has read may."""
    return peer in differences.peers([why] if why else []) or not as_read(peer)


EXPLAINED = (
    "proof-alone",
    "nsec-at-a-cut",
    "cname-loop",
    "nsec-of-an-alias",
    "alias-into-another-zone",
    "glue-of-a-child",
)


def explained(peer, name, rdtype, ours, answers):
    """Return the id of docs/reference/differences.md by which *peer* answers this question otherwise, or nothing."""
    theirs = answers[peer]
    aliases = any(one[1] in (dns.rdatatype.CNAME, dns.rdatatype.DNAME) for one in ours[2])
    others = [answer for other, answer in answers.items() if other != peer]
    if (
        ours[:3] == theirs[:3]
        and all(other == ours for other in others)
        and {one[1] for one in ours[3] ^ theirs[3]} <= PROOF
    ):
        return "proof-alone"
    if peer == "bind" and rdtype == dns.rdatatype.NSEC and not ours[1] and theirs[1]:
        return "nsec-at-a-cut"
    if peer == "bind" and aliases and theirs[0] == "SERVFAIL":
        return "cname-loop"
    if peer == "nsd" and rdtype == dns.rdatatype.NSEC and not aliases and any(one[1] == 5 for one in theirs[2]):
        return "nsec-of-an-alias"
    if peer in ("bind", "knot") and aliases and ours[2] >= theirs[2] and ours == answers["nsd"]:
        return "alias-into-another-zone"
    if peer == "nsd" and name.is_subdomain(GLUE) and ours == answers["bind"] == answers["knot"]:
        return "glue-of-a-child"
    return ""


def test_answers_are_those_of_the_peers(served):
    """Every difference must be known, and then ours is never alone with its answer."""
    responder, running, questions, do = served
    unknown, alone = [], []

    for name, rdtype in questions:
        wire = dns.message.make_query(name, rdtype, want_dnssec=do, use_edns=0).to_wire()
        reply = responder.respond(wire, TCP)
        read(reply)
        ours = view(reply)
        theirs = {peer.name: view(peer.ask(wire)) for peer in running}
        what = f"{name} {dns.rdatatype.to_text(rdtype)}"
        for peer, other in theirs.items():
            if other != ours and not known(peer, explained(peer, name, rdtype, ours, theirs)):
                unknown.append((what, peer, show(other), show(ours)))
        if ours not in theirs.values():
            alone.append((what, show(ours), {peer: show(other) for peer, other in theirs.items()}))

    assert len(questions) > 1000
    assert not unknown, "\n".join(map(str, unknown[:20]))
    assert not alone, "\n".join(map(str, alone[:20]))
