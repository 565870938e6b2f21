"""Zones that are hostile on purpose, and the questions that go with them."""

import random

import dns.name
import dns.rdatatype

HEAD = """$TTL 300
@ 3600 SOA ns1 admin 7 7200 3600 1209600 600
@ 3600 NS ns1
@ 3600 NS ns.elsewhere.invalid.
ns1 A 192.0.2.1
ns1 AAAA 2001:db8::1
"""

LABELS = r"""
a\000b TXT "NUL in a label"
a\.b TXT "a dot in a label"
a\ b TXT "a space in a label"
\255\200 TXT "not ASCII"
MiXeD A 192.0.2.20
\@ A 192.0.2.21
www A 192.0.2.10
www AAAA 2001:db8::10
www TXT "one" "two"
mail MX 10 mx
mail MX 20 mx.elsewhere.invalid.
mail MX 30 mx.below.cut
mx A 192.0.2.25
a.b.c.ent A 192.0.2.11
long TXT "{filler}" "{filler}" "{filler}" "{filler}" "{filler}" "{filler}"
""".replace("{filler}", "f" * 250)

TYPES = r"""
types TYPE65280 \# 4 0a000001
types TYPE1234 \# 0
types CAA 0 issue "ca.test"
types TLSA 3 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
types SVCB 1 www alpn=h2
types HTTPS 1 . alpn=h2 port=8443
types NAPTR 10 20 "u" "sip+E2U" "!^.*$!sip:x@y!" .
types SSHFP 4 2 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
types URI 10 1 "https://x/"
types HINFO "PDP-11" "none"
types LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m
types KEY 512 3 13 FX2e3/RMkOkyLwzpnNxA1adbQCeuOdhhb0bUZfnWtXt5GYs0Z31U8by8ReOwdyN2/IpYkrNDWuRYUHjK0PhC/Q==
types RP admin www
types AFSDB 1 www
types SRV 1 2 443 www
types PTR www
"""

WILDCARDS = """
*.wild TXT "from the wildcard"
*.wild A 192.0.2.30
host.wild A 192.0.2.31
x.ent.wild A 192.0.2.32
sub.wild NS ns.sub.wild
ns.sub.wild A 192.0.2.33
*.alias CNAME www
*.lost CNAME nowhere
*.out CNAME www.elsewhere.invalid.
a.*.star A 192.0.2.34
*.*.star2 A 192.0.2.35
*.mailwild MX 10 mx
"""

CUTS = """
cut NS ns.cut
cut NS ns2.deeper.cut
ns.cut A 192.0.2.40
ns.cut AAAA 2001:db8::40
ns2.deeper.cut A 192.0.2.41
www.cut A 192.0.2.42
below.cut A 192.0.2.43
*.below.cut A 192.0.2.44
again.cut NS ns.again.cut
ns.again.cut A 192.0.2.45
secure NS ns.elsewhere.invalid.
secure DS 12345 13 2 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
sibling NS ns.cut
sibling NS ns1
deep.er.far NS ns.elsewhere.invalid.
"""

ALIASES = """
c1 CNAME c2
c2 CNAME c3
c3 CNAME www
to-nowhere CNAME nowhere
to-out CNAME www.elsewhere.invalid.
to-wild CNAME any.wild
to-wildalias CNAME any.alias
to-cut CNAME www.cut
to-ent CNAME c.ent
to-dname CNAME a.d
to-child CNAME www.child
to-other CNAME www.other.test.
to-othernowhere CNAME nowhere.other.test.
"""

LOOPS = """
loop1 CNAME loop2
loop2 CNAME loop1
self CNAME self
"""

DNAMES = """
d DNAME target
d TXT "beside the DNAME"
a.target A 192.0.2.50
b.target CNAME a.target
d1 DNAME d2
d2 DNAME d3
d3 DNAME target
dcut DNAME cut
dout DNAME elsewhere.invalid.
dlong DNAME {long}
""".replace("{long}", ".".join(["w" * 60] * 3))

CHILD = "child NS ns.child\nns.child A 192.0.2.60\n"

PLAIN = HEAD + LABELS + TYPES + WILDCARDS + CUTS + ALIASES + LOOPS + DNAMES + CHILD
# What signers can cope with: no loops through a DNAME, nothing that one of the tools refuses.
SIGNABLE = HEAD + LABELS + TYPES + WILDCARDS + CUTS + ALIASES + DNAMES + CHILD

OTHER = HEAD + "www A 192.0.2.70\n*.wild A 192.0.2.71\nback CNAME www.plain.test.\n"

CHILD_ZONE = HEAD + "www A 192.0.2.80\n"

# A zone that looks like the root: top-level delegations with glue, sibling glue, signed and unsigned.
ROOT = """$TTL 86400
. SOA a.root-servers.net. nstld.verisign-grs.com. 2024 1800 900 604800 86400
. NS a.root-servers.net.
. NS b.root-servers.net.
com. NS a.gtld-servers.net.
com. NS b.gtld-servers.net.
com. DS 19718 13 2 8acbb0cd28f41250a80a491389424d341522d946b0da0c0291f2d3d771d7805a
net. NS a.gtld-servers.net.
net. DS 37331 13 2 2f0bec2d6f79dfbd1d08fd21a3af92d0e39a4b9ef1e3f4111fff282490da453b
a.gtld-servers.net. A 192.0.2.90
a.gtld-servers.net. AAAA 2001:db8::90
b.gtld-servers.net. A 192.0.2.91
a.root-servers.net. A 192.0.2.92
b.root-servers.net. AAAA 2001:db8::92
uk. NS nsa.nic.uk.
nsa.nic.uk. A 192.0.2.93
xn--p1ai. NS a.dns.ripn.net.
aero. NS a0.aero.afilias-nst.info.
info. NS a0.info.afilias-nst.info.
a0.info.afilias-nst.info. A 192.0.2.94
a0.aero.afilias-nst.info. A 192.0.2.95
"""

ASKED_TYPES = tuple("A AAAA NS SOA MX CNAME DNAME TXT DS DNSKEY NSEC NSEC3PARAM TYPE65280 SRV".split())  # noqa: SIM905
EXTRA = {"types": tuple("CAA TLSA SVCB HTTPS NAPTR SSHFP URI HINFO LOC KEY RP AFSDB PTR TYPE1234".split())}  # noqa: SIM905


def questions(rrsets, origin, seed=1, types=ASKED_TYPES, limit=None):
    """Return (name, type) questions: every name, names beside, above and below each, in random case."""
    rng = random.Random(seed)
    apex = dns.name.from_text(origin)
    owners = {dns.name.from_wire(rrset.name, 0)[0] for rrset in rrsets if rrset.type != 50}
    asked = set(owners)
    for owner in owners:
        for label in (b"nowhere", b"*", b"a", b"\0"):
            try:
                asked.add(dns.name.Name((label, *owner.labels)))
                if owner != apex:
                    asked.add(dns.name.Name((label, *owner.labels[1:])))
                asked.add(dns.name.Name((b"two", label, *owner.labels)))
            except dns.name.NameTooLong:
                continue
        above = owner
        while above != apex:
            above = above.parent()
            asked.add(above)
    pairs = [(name, rdtype) for name in sorted(asked) for rdtype in types]
    for label, more in EXTRA.items():
        pairs += [(dns.name.from_text(label, apex), rdtype) for rdtype in more]
    if limit is not None and len(pairs) > limit:
        pairs = rng.sample(pairs, limit)
    return [(random_case(rng, name), dns.rdatatype.from_text(rdtype)) for name, rdtype in pairs]


def random_case(rng, name):
    """Spell *name* as 0x20 askers do."""
    return dns.name.Name([bytes(_either_case(rng, octet) for octet in label) for label in name.labels])


def _either_case(rng, octet):
    return rng.choice((octet, octet ^ 0x20)) if chr(octet).isascii() and chr(octet).isalpha() else octet
