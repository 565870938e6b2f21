"""Zones and questions that want to hurt: every type and class, any octets in names, chains, crowds, zones in zones."""

import random
import struct

import dns.message
import dns.name
import pytest
from asking import TCP, UDP, Asker, aa, ede, query, rcode, read, section, tc
from published import image
from test_answer_rules import owners

from ddns.answer import compile as compiling
from ddns.answer.image import MAX_ITERATIONS, ZoneImage
from ddns.dns import names
from ddns.dns.codes import META_TYPES, Ede, Type
from ddns.dns.records import SignedRRset

HEAD = "$TTL 300\n@ SOA ns1 admin 7 7200 3600 1209600 60\n@ NS ns1\nns1 A 192.0.2.1\n"
ORIGIN = names.from_text("example.")
OPT = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"


def asker(text="", origin="example."):
    return Asker(image(HEAD + text, origin))


def message(name, rdtype=1, rdclass=1):
    """Return a question for *name*, octets of the wire."""
    return struct.pack("!6H", 1, 0, 1, 0, 0, 1) + name + struct.pack("!2H", rdtype, rdclass) + OPT


# ---- types and classes ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def varied():
    return asker(
        "www A 192.0.2.10\nalias CNAME www\nd DNAME wild\n*.wild A 192.0.2.11\nx.ent A 192.0.2.12\ncut NS ns.cut\n"
        "ns.cut A 192.0.2.13\ntypes TYPE65534 \\# 1 00\ntypes TYPE65535 \\# 1 00\n"
    )


@pytest.mark.parametrize(
    "name", ["www", "alias", "x.d", "x.wild", "ent", "x.cut", "cut", "types", "nowhere", "nowhere.elsewhere"]
)
def test_every_type_gets_an_answer_that_can_be_read(varied, name):
    """Of all 65,536 the first thousand and every 97th after; nobody's table grows by asking for them."""
    owner = dns.name.from_text(f"{name}.example.").to_wire()
    before = len(varied.table)

    for rdtype in {*range(1000), *range(1000, 65536, 97), 32768, 32769, 65534, 65535}:
        answer = read(varied.responder.respond(message(owner, rdtype), UDP))
        if rdtype in META_TYPES and rdtype != Type.ANY:
            assert rcode(answer) in ("FORMERR", "NOTIMP")
            assert ede(answer)[0] in (Ede.INVALID_QUERY_TYPE, Ede.NOT_SUPPORTED)
            assert not answer.answer
        else:
            assert rcode(answer) == ("NXDOMAIN" if "nowhere" in name else "NOERROR")
    assert len(varied.table) - before <= 4


def test_every_class_but_in_is_refused_with_the_reason(varied):
    owner = dns.name.from_text("www.example.").to_wire()

    for rdclass in {*range(300), *range(300, 65536, 257), 65535} - {1}:
        answer = dns.message.from_wire(varied.responder.respond(message(owner, 1, rdclass), UDP))
        assert (rcode(answer), answer.answer) == ("REFUSED", [])
        assert ede(answer)[0] == Ede.NOT_SUPPORTED


@pytest.mark.parametrize(
    "name",
    [
        b"\xc0\x0c",  # a pointer to itself
        b"\x03www\xc0\x0c",
        b"\xc0\x10\0\0",
        b"\xff\xff",
        b"\x40" + b"a" * 64 + b"\0",  # reserved label types (RFC 1035 §4.1.4)
        b"\x80\0",
        b"\x3f" + b"a" * 62 + b"\0",  # a label that runs over what follows
        (b"\x3f" + b"a" * 63) * 4 + b"\0",  # 257 octets
        (b"\x3f" + b"a" * 63) * 3 + b"\x3e" + b"a" * 62 + b"\0",  # 256
        b"\x01a" * 127 + b"\x01a\0",
    ],
)
def test_a_question_whose_name_is_none_is_a_format_error(varied, name):
    answer = varied.responder.respond(message(name), UDP)

    assert answer[3] & 15 == 1
    assert len(answer) <= len(message(name)) + 12


def test_the_longest_names_are_asked_for_without_harm(varied):
    """127 labels, and 255 octets: both of a name that is nowhere and below one that is."""
    for below in (b"\x07example\0", b"\x04wild\x07example\0", b"\x01d\x07example\0", b"\x03cut\x07example\0", b"\0"):
        count = (255 - len(below)) // 2
        wire = b"\x01a" * count + below
        assert read(varied.responder.respond(message(wire), UDP)).question
        padded = bytes((254 - len(below) - 64 * 3,)) if 254 - len(below) - 192 > 0 else b""
        longest = (b"\x3f" + b"b" * 63) * 3 + (padded + b"c" * padded[0] if padded else b"") + below
        assert read(varied.responder.respond(message(longest), UDP)).question


# ---- names of any octets -------------------------------------------------------------------------


def test_names_of_any_octets_are_found_by_their_octets_whatever_their_case():
    """Dots, spaces, NUL and octets above 127 are like others; only A to Z have two cases (RFC 4343 §3)."""
    dice = random.Random(20)
    labels = {bytes(dice.choices(range(256), k=dice.randint(1, 63))) for _ in range(300)}
    labels |= {b"\0", b".", b" ", b"\\", b'"', b"@", b"*.", b"\xc0\x0c", b"\xff" * 63, b"\0" * 63}
    found = {}
    for at, label in enumerate(sorted(labels)):
        found.setdefault(label.lower(), at.to_bytes(4, "big"))
    rrsets = [SignedRRset(names.prepend(label, ORIGIN), Type.A, 60, (rdata,), ()) for label, rdata in found.items()]
    table = asker().table
    server = Asker(ZoneImage(1, ORIGIN, 1, [*soa_of(table), *rrsets]))

    for label in labels:
        for spelled in (label, label.upper(), label.swapcase()):
            wire = bytes((len(spelled),)) + spelled + ORIGIN
            answer = server.wire(message(wire))
            assert answer[12 : 12 + len(wire)] == wire
            assert answer.endswith(found[label.lower()] + OPT)


def soa_of(table):
    """Return the SOA and NS of the small zone in *table*."""
    node = table.zones[ORIGIN].nodes[ORIGIN]
    return [SignedRRset(ORIGIN, one.type, one.ttl, tuple(compiling.rdatas(one)), ()) for one in node]


# ---- chains --------------------------------------------------------------------------------------


def test_a_chain_of_aliases_is_followed_so_far_and_no_further():
    chain = asker("".join(f"c{at} CNAME c{at + 1}\n" for at in range(40)) + "c40 A 192.0.2.9\n")
    hops = compiling.MAX_HOPS

    assert len(chain(f"c{40 - hops}.example.").answer) == hops + 1
    assert section(chain(f"c{40 - hops}.example.").answer)[-1].endswith("A 192.0.2.9")
    cut_off = chain("c0.example.")
    assert (rcode(cut_off), len(cut_off.answer)) == ("NOERROR", hops + 1)
    assert cut_off.authority == []


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"d{at} DNAME d{at + 1}\n" for at in range(60)),
        "d0 DNAME x.d0\n",
        "d0 DNAME d1\nd1 DNAME d0\n",
        "d0 DNAME y.x.d0\nx.d1 CNAME a.d0\n",
        "d0 DNAME d1\na.d1 CNAME a.d0\n",
        "*.d0 CNAME x.d0\n",
        "*.d0 CNAME a.a.d0\n",
        "*.d0 DNAME d0\n",
    ],
)
def test_names_that_lead_on_for_ever_end(text):
    for how in ({}, {"tcp": True}, {"do": True}):
        answer = asker(text)("a.d0.example.", **how)
        assert rcode(answer) in ("NOERROR", "NXDOMAIN", "YXDOMAIN")
        assert sum(len(rrset) for rrset in answer.answer) <= 2 * (compiling.MAX_HOPS + 1)


def test_a_name_of_many_labels_over_a_dname_stays_within_255_octets():
    """RFC 6672 §2.2: at 255 octets it is redirected, at 256 it is YXDOMAIN."""
    target = ".".join(["t" * 49] * 4)
    server = asker(f"d DNAME {target}\n")
    room = 255 - len(dns.name.from_text(f"{target}.example.").to_wire())

    assert rcode(server("a" * (room - 1) + ".d.example.")) == "NXDOMAIN"
    assert rcode(server("a" * room + ".d.example.")) == "YXDOMAIN"


# ---- wildcards, cuts and what lies beside --------------------------------------------------------


def test_a_wildcard_ends_at_cuts_and_at_empty_non_terminals():
    """RFC 4592 §2.2.2, §3.3.1 and §4.2."""
    server = asker(
        '*.w TXT "wild"\ncut.w NS ns.cut.w\nns.cut.w A 192.0.2.1\na.b.ent.w A 192.0.2.2\nd.w DNAME other\n'
        "*.*.deep TXT star\n"
    )

    assert section(server("x.w.example.", "TXT").answer) == ['x.w.example. TXT "wild"']
    for below in ("cut.w", "x.cut.w", "ns.cut.w"):
        assert owners(server(f"{below}.example.", "TXT").authority) == ["cut.w.example. NS"]
    for blocked in ("ent.w", "b.ent.w"):
        assert (rcode(server(f"{blocked}.example.", "TXT")), server(f"{blocked}.example.", "TXT").answer) == (
            "NOERROR",
            [],
        )
    for absent in ("x.ent.w", "x.b.ent.w", "x.a.b.ent.w"):
        assert rcode(server(f"{absent}.example.", "TXT")) == "NXDOMAIN"
    assert owners(server("x.d.w.example.", "TXT").answer) == ["d.w.example. DNAME", "x.d.w.example. CNAME"]
    assert section(server("x.y.deep.example.", "TXT").answer) == []
    assert section(server("x.*.deep.example.", "TXT").answer) == ['x.*.deep.example. TXT "star"']


def test_what_is_occluded_is_never_seen():
    """Below a cut and below a DNAME stands nothing, whatever the zone holds there (RFC 2136 §7.18, RFC 6672 §2.4)."""
    server = asker(
        "cut NS ns1\na.cut A 192.0.2.2\nb.cut NS ns1\nc.cut DNAME ns1\nd.cut CNAME ns1\n*.cut A 192.0.2.3\n"
        "e.cut DS 1 13 2 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n"
        "d DNAME ns1\na.d A 192.0.2.4\n*.d A 192.0.2.5\ncut.d NS ns1\n"
    )

    for below in ("a", "b", "x.b", "x.c", "d", "e", "x", "*"):
        for rdtype in ("A", "NS", "CNAME", "DNAME", "DS", "ANY"):
            answer = server(f"{below}.cut.example.", rdtype)
            assert (aa(answer), answer.answer, owners(answer.authority)) == (False, [], ["cut.example. NS"])
    for below in ("a", "x", "*", "cut", "x.cut"):
        for rdtype in ("A", "NS"):
            answer = server(f"{below}.d.example.", rdtype)
            assert owners(answer.answer)[0] in (f"{below}.d.example. CNAME", "d.example. DNAME")
            assert not any("192.0.2.4" in line or "192.0.2.5" in line for line in section(answer.answer))


def test_zones_in_zones_are_answered_by_the_nearest_and_their_ds_by_the_parent():
    """One has no delegation above it; the DS is that of the nearest zone above the apex (RFC 4035 §3.1.4.1)."""
    digest = "DS 12345 13 2 " + "ab" * 32
    texts = {
        ".": f"$TTL 60\n. SOA a. b. 1 2 3 4 5\n. NS ns.\ntest. NS ns.test.\ntest. {digest}\nns.test. A 192.0.2.1\n",
        "test.": f"{HEAD}a NS ns1\na {digest}\nx.a A 192.0.2.2\n",
        "a.test.": f"{HEAD}c.b NS ns1\nc.b {digest}\nb A 192.0.2.3\n",
        "lost.b.a.test.": HEAD,
        "c.b.a.test.": f'{HEAD}x TXT "child"\n',
    }
    server = Asker(*[image(text, origin, number) for number, (origin, text) in enumerate(texts.items(), start=1)])

    for name in ("test.", "a.test.", "c.b.a.test."):
        answer = server(name, "DS")
        assert (aa(answer), owners(answer.answer)) == (True, [f"{name} DS"])
        assert owners(server(name, "SOA").answer) == [f"{name} SOA"]
    undelegated = server("lost.b.a.test.", "DS")
    assert (aa(undelegated), owners(undelegated.authority)) == (True, ["lost.b.a.test. SOA"])
    assert section(server("x.c.b.a.test.", "TXT").answer) == ['x.c.b.a.test. TXT "child"']
    assert rcode(server("x.a.test.")) == "NXDOMAIN"
    assert owners(server(".", "DS").authority) == [". SOA"]
    assert owners(server("nowhere.", "A").authority) == [". SOA"]


# ---- crowds --------------------------------------------------------------------------------------


def test_an_answer_of_65535_octets_goes_over_tcp_and_one_more_is_a_server_failure():
    """With its OPT record, to the octet; the answer is never cut."""
    name = "big.example."
    head = 12 + len(dns.name.from_text(name).to_wire()) + 4 + 11
    # A TXT record of n octets of text takes 12 + 1 + n octets.
    whole, rest = divmod(65535 - head, 12 + 1 + 255)
    text = "".join(f'big TXT "{at:03}{"t" * 252}"\n' for at in range(whole))

    fits = asker(f'{text}big TXT "{"x" * (rest - 13)}"\n')
    does_not = asker(f'{text}big TXT "{"x" * (rest - 12)}"\n')

    answer = fits.responder.respond(query(name, "TXT"), TCP)
    assert len(answer) == 65535
    assert len(read(answer).answer[0]) == whole + 1
    assert rcode(does_not(name, "TXT", tcp=True)) == "SERVFAIL"
    assert tc(fits(name, "TXT"))
    assert read(fits.responder.respond(query(name, "TXT"), UDP)).answer == []


def test_a_crowd_of_hosts_costs_the_work_for_a_few():
    """Addresses that nobody requires are added for so many hosts, and for none where the answer itself is too long."""
    crowd = asker("".join(f"m MX 1 h{at}\nh{at} A 10.0.{at >> 8}.{at & 255}\n" for at in range(200)))

    over_tcp = crowd("m.example.", "MX", tcp=True)

    assert len(over_tcp.answer[0]) == 200
    assert len(over_tcp.additional) == compiling.MAX_HOSTS
    assert tc(crowd("m.example.", "MX"))


@pytest.mark.parametrize("payload", [512, 700, 1232])
@pytest.mark.parametrize("count", [1, 5, 20, 40, 100, 300])
def test_a_referral_is_whole_or_says_that_it_is_not(count, payload):
    """RFC 9471 §3.1: required glue is there, or TC is; whoever asked before."""
    text = "".join(f"cut NS n{at}.cut\nn{at}.cut A 10.0.{at >> 8}.{at & 255}\n" for at in range(count))
    server = asker(text)

    for _ in range(2):
        answer = server("x.cut.example.", payload=payload)
        whole = bool(answer.authority) and len(answer.additional) == count
        assert tc(answer) != whole
        assert len(server("x.cut.example.", tcp=True).additional) == count


def test_hashes_of_too_many_iterations_are_not_made():
    """RFC 9276 §3.2: validators do not follow them, and each name would cost so many."""

    def hashing(iterations):
        param = b"\1\0" + struct.pack("!HB", iterations, 0)
        rrsets = [*soa_of(asker().table), SignedRRset(ORIGIN, Type.NSEC3PARAM, 0, (param,), ())]
        return ZoneImage(1, ORIGIN, 1, rrsets).hashing

    assert hashing(MAX_ITERATIONS).iterations == MAX_ITERATIONS
    assert hashing(MAX_ITERATIONS + 1) is None
