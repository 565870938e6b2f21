"""The algorithm of RFC 1034 §4.3.2 over small zones: each rule by a question and its whole answer."""

import dns.name
import dns.rdatatype
import pytest
from asking import Asker, aa, ede, query, rcode, section, tc
from published import image, read_zone

from ddns.answer.compile import NeedZone
from ddns.answer.image import ZoneImage
from ddns.dns import names

ZONE = r"""$TTL 300
@ 3600 SOA ns1 admin 7 7200 3600 1209600 60
@ NS ns1
@ NS ns.elsewhere.invalid.
ns1 A 192.0.2.1
ns1 AAAA 2001:db8::1
www A 192.0.2.10
www TXT "text"
mail MX 10 ns1
mail MX 20 ns.elsewhere.invalid.
srv SRV 1 2 443 www
svc HTTPS 1 www alpn=h2
svc SVCB 0 ns1
one.two.ent A 192.0.2.11
*.wild A 192.0.2.30
*.wild TXT "wild"
host.wild A 192.0.2.31
x.ent.wild A 192.0.2.32
*.alias CNAME www
a.*.star A 192.0.2.34
*.wildns NS ns1
*.wildns TXT "beside"
cut NS ns.cut
cut NS ns1
cut NS ns.sibling
ns.cut A 192.0.2.40
ns.cut AAAA 2001:db8::40
www.cut A 192.0.2.41
lower.cut NS ns.cut
secure NS ns1
secure DS 12345 13 2 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
sibling NS ns.sibling
ns.sibling A 192.0.2.42
c1 CNAME c2
c2 CNAME www
lost CNAME nowhere
out CNAME www.elsewhere.invalid.
tocut CNAME www.cut
towild CNAME any.wild
tochild CNAME www.child
loop1 CNAME loop2
loop2 CNAME loop1
self CNAME self
d DNAME target
d TXT "beside"
x.d A 192.0.2.51
a.target A 192.0.2.50
d1 DNAME d2
d2 DNAME target
dlong DNAME {long}
dloop DNAME x.dloop
child NS ns.child
ns.child A 192.0.2.60
below.child TXT "occluded"
TYPES TYPE65280 \# 2 beef
a\000b TXT "NUL"
a\.b TXT "dot"
a\ b TXT "space"
""".replace("{long}", ".".join(["w" * 60] * 3))

SOA = "example. SOA ns1.example. admin.example. 7 7200 3600 1209600 60"
CHILD = """$TTL 300
@ SOA ns admin 1 2 3 4 5
@ NS ns
ns A 192.0.2.60
www A 192.0.2.61
back CNAME www.example.
"""


@pytest.fixture(scope="module")
def ask():
    return Asker(image(ZONE, "example."))


@pytest.fixture
def both():
    return Asker(image(ZONE, "example."), image(CHILD, "child.example.", zone_id=2))


def owners(rrsets):
    return sorted(f"{rrset.name} {dns.rdatatype.to_text(rrset.rdtype)}" for rrset in rrsets)


def test_data_that_exists_is_answered_with_authority(ask):
    message = ask("www.example.")

    assert (rcode(message), aa(message)) == ("NOERROR", True)
    assert section(message.answer) == ["www.example. A 192.0.2.10"]
    assert message.authority == []
    assert message.additional == []


@pytest.mark.parametrize(
    ("name", "rdtype"),
    [
        ("www.example.", "AAAA"),
        ("example.", "TXT"),
        ("ent.example.", "A"),
        ("two.ent.example.", "A"),
        ("*.star.example.", "A"),
        ("x.star.example.", "A"),  # the wildcard is an empty non-terminal (RFC 4592 §4.9)
        ("host.wild.example.", "TXT"),
        ("x.wildns.example.", "NS"),  # a wildcard's delegation is not synthesized
        ("x.wildns.example.", "A"),
        ("d.example.", "A"),
    ],
)
def test_a_name_without_that_type_says_so_with_the_soa(ask, name, rdtype):
    """NOERROR, no answer, and the SOA with its MINIMUM as TTL (RFC 2308 §2.2 and §3, RFC 4592 §2.2.2)."""
    message = ask(name, rdtype)

    assert (rcode(message), aa(message), message.answer) == ("NOERROR", True, [])
    assert section(message.authority) == [SOA]
    assert message.authority[0].ttl == 60


@pytest.mark.parametrize(
    "name",
    [
        "nowhere.example.",
        "a.nowhere.example.",
        "x.www.example.",
        "x.host.wild.example.",  # what exists blocks the wildcard (RFC 4592 §3.3.1)
        "y.ent.wild.example.",
        "x.target.example.",
        r"a\000c.example.",
    ],
)
def test_a_name_that_does_not_exist_is_nxdomain(ask, name):
    message = ask(name)

    assert (rcode(message), aa(message), message.answer) == ("NXDOMAIN", True, [])
    assert section(message.authority) == [SOA]


@pytest.mark.parametrize(
    ("name", "rdtype", "lines"),
    [
        ("x.wild.example.", "A", ["x.wild.example. A 192.0.2.30"]),
        ("deep.x.wild.example.", "A", ["deep.x.wild.example. A 192.0.2.30"]),
        ("*.wild.example.", "A", ["*.wild.example. A 192.0.2.30"]),
        ("x.*.wild.example.", "A", []),
        ("x.alias.example.", "A", ["www.example. A 192.0.2.10", "x.alias.example. CNAME www.example."]),
        ("x.wildns.example.", "TXT", ['x.wildns.example. TXT "beside"']),
        ("types.example.", "TYPE65280", [r"types.example. TYPE65280 \# 2 beef"]),
        (r"a\000b.example.", "TXT", [r'a\000b.example. TXT "NUL"']),
        (r"a\.b.example.", "TXT", [r'a\.b.example. TXT "dot"']),
        ("a\\032b.example.", "TXT", ['a\\032b.example. TXT "space"']),
    ],
)
def test_wildcards_and_strange_names_are_answered_by_their_octets(ask, name, rdtype, lines):
    message = ask(name, rdtype)

    assert rcode(message) == ("NOERROR" if lines else "NXDOMAIN")
    assert section(message.answer) == lines


@pytest.mark.parametrize(
    ("name", "code", "answer", "authority"),
    [
        ("c1", "NOERROR", ["c1.example. CNAME", "c2.example. CNAME", "www.example. A"], []),
        ("lost", "NXDOMAIN", ["lost.example. CNAME"], ["example. SOA"]),
        ("out", "NOERROR", ["out.example. CNAME"], []),
        ("tocut", "NOERROR", ["tocut.example. CNAME"], ["cut.example. NS"]),
        ("towild", "NOERROR", ["any.wild.example. A", "towild.example. CNAME"], []),
        ("loop1", "NOERROR", ["loop1.example. CNAME", "loop2.example. CNAME"], []),
        ("self", "NOERROR", ["self.example. CNAME"], []),
        ("a.d", "NOERROR", ["a.d.example. CNAME", "a.target.example. A", "d.example. DNAME"], []),
        ("x.d", "NXDOMAIN", ["d.example. DNAME", "x.d.example. CNAME"], ["example. SOA"]),
        (
            "a.d1",
            "NOERROR",
            [
                "a.d1.example. CNAME",
                "a.d2.example. CNAME",
                "a.target.example. A",
                "d1.example. DNAME",
                "d2.example. DNAME",
            ],
            [],
        ),
    ],
)
def test_aliases_are_followed_and_the_last_name_gives_the_rcode(ask, name, code, answer, authority):
    """RFC 1034 §4.3.2 step 3, RFC 6672 §3.2, RFC 6604 §3."""
    message = ask(f"{name}.example.")

    assert (rcode(message), aa(message)) == (code, True)
    assert owners(message.answer) == answer
    assert owners(message.authority) == authority


def test_an_alias_that_is_asked_for_is_not_followed(ask):
    assert owners(ask("c1.example.", "CNAME").answer) == ["c1.example. CNAME"]
    assert owners(ask("a.d.example.", "CNAME").answer) == ["a.d.example. CNAME", "d.example. DNAME"]
    assert owners(ask("d.example.", "DNAME").answer) == ["d.example. DNAME"]


def test_the_synthesized_cname_has_the_ttl_of_the_dname(ask):
    dname, cname = ask("a.d.example.", "CNAME").answer

    assert (dname.ttl, cname.ttl) == (300, 300)
    assert str(cname[0]) == "a.target.example."


def test_a_dname_that_makes_the_name_too_long_is_yxdomain(ask):
    """RFC 6672 §2.2: the DNAME is shown, no CNAME can be."""
    message = ask("y" * 63 + "." + "z" * 20 + ".dlong.example.")

    assert rcode(message) == "YXDOMAIN"
    assert owners(message.answer) == ["dlong.example. DNAME"]


def test_a_dname_that_feeds_itself_ends(ask):
    message = ask("a.dloop.example.")

    assert rcode(message) in ("NOERROR", "YXDOMAIN")
    assert 1 < len(message.answer) <= 1 + 17


@pytest.mark.parametrize(
    ("name", "rdtype"),
    [
        ("cut.example.", "A"),
        ("cut.example.", "NS"),
        ("cut.example.", "ANY"),
        ("www.cut.example.", "A"),
        ("ns.cut.example.", "A"),
        ("nowhere.cut.example.", "A"),
        ("x.lower.cut.example.", "DS"),
        ("lower.cut.example.", "DS"),
    ],
)
def test_at_and_below_a_cut_stands_a_referral_with_all_glue(ask, name, rdtype):
    """AA=0; what lies below the cut is never answered; in-domain glue first (RFC 1034 §4.2.1, RFC 9471)."""
    message = ask(name, rdtype)

    assert (rcode(message), aa(message), message.answer) == ("NOERROR", False, [])
    assert section(message.authority) == [
        "cut.example. NS ns.cut.example.",
        "cut.example. NS ns.sibling.example.",
        "cut.example. NS ns1.example.",
    ]
    assert owners(message.additional) == [
        "ns.cut.example. A",
        "ns.cut.example. AAAA",
        "ns.sibling.example. A",
        "ns1.example. A",
        "ns1.example. AAAA",
    ]
    assert owners(message.additional[:2]) == ["ns.cut.example. A", "ns.cut.example. AAAA"]


def test_the_ds_of_a_cut_is_the_parents_to_answer(ask):
    """RFC 4035 §3.1.4.1."""
    held = ask("secure.example.", "DS")
    absent = ask("cut.example.", "DS")

    assert (aa(held), owners(held.answer)) == (True, ["secure.example. DS"])
    assert (aa(absent), absent.answer, section(absent.authority)) == (True, [], [SOA])


def test_a_referral_shows_the_ds_to_those_who_ask_for_dnssec(ask):
    assert owners(ask("x.secure.example.", do=True).authority) == ["secure.example. DS", "secure.example. NS"]
    assert owners(ask("x.secure.example.").authority) == ["secure.example. NS"]


def test_the_zone_nearest_to_the_name_answers(both):
    message = both("www.child.example.")

    assert section(message.answer) == ["www.child.example. A 192.0.2.61"]
    assert rcode(both("below.child.example.", "TXT")) == "NXDOMAIN"


def test_the_ds_of_a_zone_whose_parent_is_here_comes_from_the_parent(both):
    message = both("child.example.", "DS")

    assert aa(message)
    assert section(message.authority) == [SOA]


def test_the_ds_of_a_zone_whose_parent_is_elsewhere_is_denied_at_its_apex():
    message = Asker(image(CHILD, "child.example."))("child.example.", "DS")

    assert (rcode(message), aa(message), message.answer) == ("NOERROR", True, [])
    assert owners(message.authority) == ["child.example. SOA"]


def test_an_alias_leads_on_into_other_zones_that_are_served_here(both):
    assert owners(both("tochild.example.").answer) == ["tochild.example. CNAME", "www.child.example. A"]
    assert owners(both("back.child.example.").answer) == ["back.child.example. CNAME", "www.example. A"]


def test_a_zone_that_is_known_but_not_in_memory_is_asked_for(both):
    both.table.evict(2)

    assert both.wire(query("www.child.example.")) == NeedZone(2)
    assert both.wire(query("tochild.example.")) == NeedZone(2)

    both.table.install(image(CHILD, "child.example.", zone_id=2))

    assert rcode(both("www.child.example.")) == "NOERROR"


def test_a_name_in_no_zone_here_is_refused_with_the_reason(ask):
    """RFC 8914 §4.21; empty sections."""
    message = ask("www.elsewhere.invalid.")

    assert (rcode(message), aa(message)) == ("REFUSED", False)
    assert ede(message)[0] == 20
    assert message.answer == message.authority == []


@pytest.mark.parametrize(
    ("name", "rdtype", "additional"),
    [
        ("example.", "NS", ["ns1.example. A", "ns1.example. AAAA"]),
        ("mail.example.", "MX", ["ns1.example. A", "ns1.example. AAAA"]),
        ("srv.example.", "SRV", ["www.example. A"]),
        ("svc.example.", "HTTPS", ["www.example. A"]),
        ("svc.example.", "SVCB", ["ns1.example. A", "ns1.example. AAAA"]),
    ],
)
def test_addresses_that_the_answer_leads_to_are_added(ask, name, rdtype, additional):
    assert owners(ask(name, rdtype).additional) == additional


def test_any_over_udp_is_one_rrset_and_over_tcp_all(ask):
    """RFC 8482 §4.1 and §4.2."""
    assert len(ask("www.example.", "ANY").answer) == 1
    assert owners(ask("www.example.", "ANY", tcp=True).answer) == ["www.example. A", "www.example. TXT"]
    assert owners(ask("c1.example.", "ANY").answer) == ["c1.example. CNAME"]
    assert rcode(ask("nowhere.example.", "ANY")) == "NXDOMAIN"
    assert section(ask("ent.example.", "ANY").authority) == [SOA]


def test_the_root_zone_is_a_zone_like_any_other():
    root = Asker(
        image(
            "$TTL 60\n. SOA a.root. b. 1 2 3 4 5\n. NS a.root.\na.root. A 192.0.2.1\n"
            "com. NS ns.com.\nns.com. A 192.0.2.2\n",
            ".",
        )
    )

    assert owners(root("x.com.").authority) == ["com. NS"]
    assert owners(root("x.com.").additional) == ["ns.com. A"]
    assert section(root("nowhere.").authority) == [". SOA a.root. b. 1 2 3 4 5"]
    assert owners(root(".", "NS").answer) == [". NS"]
    assert owners(root(".", "DS").authority) == [". SOA"]


def test_a_name_of_255_octets_is_answered():
    """The longest name, exact, below and by wildcard."""
    long = ".".join(["a" * 63] * 3) + "." + "b" * 53
    text = f"$TTL 60\n@ SOA n a 1 2 3 4 5\n@ NS n\n{long} A 192.0.2.1\n*.w A 192.0.2.2\n"
    asker = Asker(image(text, "example."))
    widest = ".".join(["a" * 63] * 3) + "." + "b" * 51 + ".w.example."

    assert len(dns.name.from_text(f"{long}.example.").to_wire()) == 255
    assert owners(asker(f"{long}.example.").answer) == [f"{long}.example. A"]
    assert owners(asker(widest).answer) == [f"{widest} A"]


def test_required_glue_that_does_not_fit_truncates_and_other_addresses_do_not():
    """RFC 9471 §3.1: a referral keeps its delegation and what glue fits, and says TC."""
    hosts = [f"ns{number:02}" for number in range(13)]
    lines = [f"cut NS {host}.cut" for host in hosts] + [
        f"{host}.cut AAAA 2001:db8::{at}" for at, host in enumerate(hosts)
    ]
    lines += [f"other NS {host}" for host in hosts] + [f"{host} AAAA 2001:db8::1:{at}" for at, host in enumerate(hosts)]
    asker = Asker(image("$TTL 60\n@ SOA n a 1 2 3 4 5\n@ NS n\n" + "\n".join(lines) + "\n", "example."))

    truncated = asker("x.cut.example.", edns=False)
    whole = asker("x.cut.example.", edns=False, tcp=True)
    optional = asker("x.other.example.", edns=False)

    assert tc(truncated)
    assert len(truncated.authority[0]) == 13
    assert 0 < len(truncated.additional) < 13
    assert not tc(whole)
    assert len(whole.additional) == 13
    assert not tc(optional)
    assert len(optional.additional) < 13


def test_a_referral_that_was_written_before_is_cut_to_the_room_of_the_next_asker():
    hosts = "".join(f"cut NS ns{number:02}.cut\nns{number:02}.cut AAAA 2001:db8::{number}\n" for number in range(13))
    asker = Asker(image("$TTL 60\n@ SOA n a 1 2 3 4 5\n@ NS n\n" + hosts, "example."))

    assert not tc(asker("x.cut.example."))
    narrow = asker("y.cut.example.", payload=512)

    assert tc(narrow)
    assert len(narrow.authority[0]) == 13
    assert not tc(asker("z.cut.example."))


def test_addresses_below_a_dname_are_not_added():
    asker = Asker(
        image("$TTL 60\n@ SOA n a 1 2 3 4 5\n@ NS n\nd DNAME e\nh.d A 192.0.2.1\ncut NS h.d\nm MX 1 h.d\n", "example.")
    )

    assert asker("x.cut.example.").additional == []
    assert asker("m.example.", "MX").additional == []


def test_a_record_outside_the_zone_is_refused_when_the_zone_is_loaded():
    rrsets = read_zone("$TTL 60\n@ SOA n a 1 2 3 4 5\n", "example.")

    with pytest.raises(ValueError, match="not in the zone"):
        ZoneImage(1, names.from_text("other."), 1, rrsets)
