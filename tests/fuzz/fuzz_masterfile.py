"""Master files: read or refused in one sentence; what was read comes back from what is written."""

import io

from ddns.dns import names
from ddns.dns.masterfile import BadMasterFile
from ddns.dns.zonefile import read_zone, write_zone

BOUND = 3_000_000  # calls: a $GENERATE may make 65,536 records out of a line
ORIGIN = names.from_text("exam.test.")
HEAD = "$TTL 1h\n@ IN SOA ns1 hostmaster ( 1 2h 1h 2w 5m )\n NS ns1\n"


def seeds():
    bodies = [
        'www 60 A 192.0.2.1\n  AAAA 2001:db8::1\ntxt TXT "a;b" c\\032d "\\"" ( e\n f )\n',
        "$ORIGIN sub\n*.x MX 10 mail\nt TYPE65280 \\# 3 abcdef\n$TTL 30\na.b.c CNAME d\n",
        "$GENERATE 1-3 host-$ A 192.0.2.$\n$GENERATE 0-6/2 h${0,3,x} CNAME host-$\n",
        "a\\000b A 192.0.2.1\na\\.b A 192.0.2.2\n\\@ A 192.0.2.3\n",
        's SVCB 1 www alpn=h2\nc CAA 0 issue "ca.test"\nd DNAME elsewhere.test.\nk KEY 512 3 13 AAAA\n',
        "w RRSIG A 13 3 300 20300101000000 20200101000000 1 exam.test. AAAA\nw NSEC x A\nw A 192.0.2.1\n",
        "$INCLUDE other\n",
    ]
    return [(HEAD + body).encode() for body in bodies]


def work(octets):
    try:
        return read_zone(io.BytesIO(octets), "file", ORIGIN, keep_signatures=len(octets) % 2 == 1, include=_nothing)
    except BadMasterFile as error:
        return error


def _nothing(path, _by):
    raise FileNotFoundError(path)


def judge(octets, outcome):
    if isinstance(outcome, BadMasterFile):
        assert "\n" not in str(outcome)
        assert str(outcome).startswith("file, line ") or "file" in str(outcome)
        return
    written = "".join(write_zone(ORIGIN, outcome.published())).encode()
    again = read_zone(io.BytesIO(written), "again", ORIGIN, keep_signatures=True)
    assert set(again.published()) == set(outcome.published())
