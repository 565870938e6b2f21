"""Proofs of denial from zones that BIND's signer signed: every signature checked, every statement reckoned anew."""

import base64

import dns.dnssec
import dns.name
import dns.rdatatype
import dns.rrset
import pytest
from asking import Asker, aa, rcode
from published import read_zone, sign

from ddns.answer.image import ZoneImage
from ddns.dns import names

ZONE = """$TTL 300
@ 3600 SOA ns1 admin 7 7200 3600 1209600 60
@ NS ns1
ns1 A 192.0.2.1
www A 192.0.2.10
mail MX 10 ns1
a.b.ent A 192.0.2.11
*.wild A 192.0.2.30
*.alias CNAME www
host.wild A 192.0.2.31
a.*.star A 192.0.2.34
cut NS ns.cut
ns.cut A 192.0.2.40
secure NS ns1
secure DS 12345 13 2 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
only.insecure.span NS ns1
d DNAME www
to CNAME nowhere
"""
WAYS = {
    "nsec": {"nsec3": False},
    "nsec3": {},
    "salted": {"salt": "c0ffee"},
    "optout": {"opt_out": True},
}


@pytest.fixture(scope="module", params=WAYS)
def way(request):
    return request.param


@pytest.fixture(scope="module")
def rrsets(way, tmp_path_factory):
    text, _ = sign(ZONE, "example.", tmp_path_factory.mktemp(way), **WAYS[way])
    return read_zone(text, "example.")


@pytest.fixture(scope="module")
def signed(way, rrsets):
    """Return how the zone was signed, one who asks, and its DNSKEY RRset."""
    asker = Asker(ZoneImage(1, names.from_text("example."), 1, rrsets))
    keys = asker("example.", "DNSKEY", do=True).answer[0]
    return way, asker, {keys.name: keys}


def check_signatures(message, keys):
    """Validate every RRset of answer and authority; only delegations and synthesized CNAMEs go without."""
    for part in (message.answer, message.authority):
        signatures = {(r.name, r.covers): r for r in part if r.rdtype == dns.rdatatype.RRSIG}
        dnames = {r.name for r in part if r.rdtype == dns.rdatatype.DNAME}
        for rrset in part:
            if rrset.rdtype == dns.rdatatype.RRSIG:
                continue
            covering = signatures.pop((rrset.name, rrset.rdtype), None)
            if covering is None:
                delegation = rrset.rdtype == dns.rdatatype.NS and not aa(message)
                assert delegation or (rrset.rdtype == dns.rdatatype.CNAME and dnames), rrset
                continue
            dns.dnssec.validate(rrset, covering, keys)
        assert not signatures


class Chain:
    """What the NSEC or NSEC3 records of one answer say."""

    def __init__(self, message):
        self.records = {r.name: r[0] for r in message.authority if r.rdtype in (47, 50)}
        self.hashed = any(r.rdtype == 50 for r in message.authority)

    def place(self, name):
        """Return *name* as it stands in the chain's order."""
        if not self.hashed:
            return name
        one = next(iter(self.records.values()))
        salt = one.salt.hex() if one.salt else None
        return dns.dnssec.nsec3_hash(name, salt, one.iterations, "SHA1").lower()

    def spans(self):
        for owner, rdata in self.records.items():
            if self.hashed:
                yield owner.labels[0].decode().lower(), base64.b32hexencode(rdata.next).decode().lower(), rdata
            else:
                yield owner, rdata.next, rdata

    def at(self, name):
        return next((rdata for start, _, rdata in self.spans() if start == self.place(name)), None)

    def covers(self, name):
        """Return the record whose span holds *name* strictly inside."""
        place = self.place(name)
        for start, end, rdata in self.spans():
            if start < place and (place < end or end <= start):
                return rdata
            if end <= start and place < end:
                return rdata
        return None

    def proves_no_type(self, name, rdtype):
        rdata = self.at(name)
        return rdata is not None and not any(
            bitmap[rdtype >> 3] & (0x80 >> (rdtype & 7))
            for window, bitmap in rdata.windows
            if window == 0 and len(bitmap) > rdtype >> 3
        )


def N(text):  # noqa: N802
    return dns.name.from_text(text)


@pytest.mark.parametrize(
    ("name", "encloser", "closer"),
    [
        ("nowhere.example.", "example.", "nowhere.example."),
        ("x.y.z.example.", "example.", "z.example."),
        ("x.www.example.", "www.example.", "x.www.example."),
        ("y.b.ent.example.", "b.ent.example.", "y.b.ent.example."),
        ("x.host.wild.example.", "host.wild.example.", "x.host.wild.example."),
    ],
)
def test_nxdomain_shows_that_neither_name_nor_wildcard_exists(signed, name, encloser, closer):
    """RFC 4035 §3.1.3.2; RFC 5155 §7.2.2: closest encloser, next closer, wildcard."""
    _, ask, keys = signed

    message = ask(name, do=True)
    chain = Chain(message)

    assert rcode(message) == "NXDOMAIN"
    check_signatures(message, keys)
    assert chain.covers(N(f"*.{encloser}"))
    if chain.hashed:
        assert chain.at(N(encloser))
        assert chain.covers(N(closer))
    else:
        assert chain.covers(N(name))
    assert len(chain.records) <= (3 if chain.hashed else 2)


@pytest.mark.parametrize("name", ["www.example.", "example.", "b.ent.example.", "ent.example."])
def test_nodata_shows_the_types_of_the_name(signed, name):
    """RFC 4035 §3.1.3.1; RFC 5155 §7.2.3; an empty non-terminal has a record in NSEC3 and is spanned in NSEC."""
    how, ask, keys = signed

    message = ask(name, "TXT", do=True)
    chain = Chain(message)

    assert (rcode(message), message.answer) == ("NOERROR", [])
    check_signatures(message, keys)
    if how == "nsec" and "ent" in name:
        assert chain.covers(N(name)).next.is_subdomain(N(name))
    else:
        assert chain.proves_no_type(N(name), dns.rdatatype.TXT)
    assert len(chain.records) == 1


@pytest.mark.parametrize("name", ["x.wild.example.", "x.y.wild.example."])
def test_a_wildcard_answer_shows_that_nothing_is_nearer(signed, name):
    """RFC 4035 §3.1.3.3; RFC 5155 §7.2.6."""
    _, ask, keys = signed

    message = ask(name, do=True)
    chain = Chain(message)

    assert message.answer[0].name == N(name)
    check_signatures(message, keys)
    assert chain.covers(N(name) if not chain.hashed else N(name.split(".", name.count(".") - 3)[-1]))
    assert len(chain.records) == 1


def test_a_wildcards_alias_carries_the_same_proof(signed):
    _, ask, keys = signed

    message = ask("x.alias.example.", do=True)

    assert [r.rdtype for r in message.answer if r.rdtype != 46] == [5, 1]
    check_signatures(message, keys)
    assert Chain(message).covers(N("x.alias.example."))


def test_wildcard_nodata_shows_the_wildcards_types_too(signed):
    """RFC 4035 §3.1.3.4; RFC 5155 §7.2.5."""
    _, ask, keys = signed

    message = ask("x.wild.example.", "TXT", do=True)
    chain = Chain(message)

    assert (rcode(message), message.answer) == ("NOERROR", [])
    check_signatures(message, keys)
    assert chain.covers(N("x.wild.example."))
    assert chain.proves_no_type(N("*.wild.example."), dns.rdatatype.TXT)
    if chain.hashed:
        assert chain.at(N("wild.example."))


def test_an_empty_wildcard_is_proved_to_be_empty(signed):
    _, ask, keys = signed

    message = ask("x.star.example.", "A", do=True)
    chain = Chain(message)

    assert rcode(message) == "NOERROR"
    check_signatures(message, keys)
    assert chain.covers(N("x.star.example."))


@pytest.mark.parametrize("name", ["cut.example.", "x.cut.example."])
def test_an_insecure_referral_shows_that_there_is_no_ds(signed, name):
    """RFC 4035 §3.1.4.1; RFC 5155 §7.2.7, in an opt-out span by the closest provable encloser."""
    how, ask, keys = signed

    message = ask(name, do=True)
    chain = Chain(message)

    assert (rcode(message), aa(message)) == ("NOERROR", False)
    check_signatures(message, keys)
    if how == "optout":
        assert chain.at(N("example."))
        assert chain.covers(N("cut.example.")).flags & 1
    else:
        assert chain.proves_no_type(N("cut.example."), dns.rdatatype.DS)
        assert not chain.proves_no_type(N("cut.example."), dns.rdatatype.NS)


def test_a_secure_referral_carries_the_signed_ds(signed):
    _, ask, keys = signed

    message = ask("x.secure.example.", do=True)

    assert [r.rdtype for r in message.authority] == [2, 43, 46]
    check_signatures(message, keys)


def test_the_ds_of_an_insecure_cut_is_denied_with_authority(signed):
    """RFC 5155 §7.2.4."""
    how, ask, keys = signed

    message = ask("cut.example.", "DS", do=True)
    chain = Chain(message)

    assert (rcode(message), aa(message)) == ("NOERROR", True)
    check_signatures(message, keys)
    if how == "optout":
        assert chain.covers(N("cut.example.")).flags & 1
    else:
        assert chain.proves_no_type(N("cut.example."), dns.rdatatype.DS)


def test_names_over_nothing_but_an_opt_out_span_are_still_answered(signed):
    """Empty non-terminals there may have no NSEC3 record: the nearest that has one is shown (RFC 5155 §7.2.2)."""
    _, ask, keys = signed

    for name, code in (
        ("span.example.", "NOERROR"),
        ("insecure.span.example.", "NOERROR"),
        ("x.span.example.", "NXDOMAIN"),
    ):
        message = ask(name, do=True)
        assert rcode(message) == code
        check_signatures(message, keys)
        assert Chain(message).records


def test_a_dname_answer_validates_without_its_cname(signed):
    _, ask, keys = signed

    message = ask("x.d.example.", do=True)

    check_signatures(message, keys)
    assert rcode(message) == "NXDOMAIN"


def test_an_alias_to_nowhere_is_proved_at_its_end(signed):
    _, ask, keys = signed

    message = ask("to.example.", do=True)

    assert rcode(message) == "NXDOMAIN"
    check_signatures(message, keys)
    assert Chain(message).covers(N("nowhere.example."))


def test_an_nsec3_owner_does_not_exist_for_those_who_ask(signed):
    """RFC 5155 §7.2.8."""
    how, ask, _ = signed
    if how == "nsec":
        return

    owner = next(r.name for r in ask("nowhere.example.", do=True).authority if r.rdtype == 50)

    for rdtype in ("NSEC3", "A", "RRSIG"):
        assert rcode(ask(owner, rdtype, do=True)) == "NXDOMAIN"


def test_without_do_nothing_is_proved(signed):
    """RFC 3225 §3."""
    _, ask, _ = signed

    for name, rdtype in (
        ("nowhere.example.", "A"),
        ("www.example.", "TXT"),
        ("x.wild.example.", "A"),
        ("x.cut.example.", "A"),
    ):
        message = ask(name, rdtype)
        assert not [r for r in message.answer + message.authority if r.rdtype in (46, 47, 50)]


def test_rrsig_questions_get_the_signatures_of_one_rrset(signed):
    _, ask, _ = signed

    for do in (False, True):
        message = ask("www.example.", "RRSIG", do=do)
        assert [r.rdtype for r in message.answer] == [46]
        assert len(message.answer[0]) == 1


def test_two_signatures_on_everything_are_written_as_well(tmp_path):
    """While an algorithm rolls there are two: the prepared pieces do not fit then."""
    sign(ZONE, "example.", tmp_path)  # leaves its key behind
    text, _ = sign(ZONE, "example.", tmp_path)
    ask = Asker(ZoneImage(1, names.from_text("example."), 1, read_zone(text, "example.")))
    keys = ask("example.", "DNSKEY", do=True).answer[0]

    message = ask("x.y.example.", do=True)

    assert len(keys) == 2
    assert all(len(r) == 2 for r in message.authority if r.rdtype == 46)
    check_signatures(message, {keys.name: keys})


@pytest.mark.parametrize("left", [0, 1, 2])
def test_a_chain_with_holes_does_not_stop_the_answers(rrsets, left):
    """A zone from a broken signer is answered with what proofs it has."""
    chain = [rrset for rrset in rrsets if rrset.type in (47, 50)]
    ask = Asker(ZoneImage(1, names.from_text("example."), 1, [*(set(rrsets) - set(chain)), *chain[:left]]))

    for name in ("nowhere.example.", "www.example.", "x.wild.example.", "cut.example.", "x.star.example."):
        assert rcode(ask(name, "TXT", do=True)) in ("NOERROR", "NXDOMAIN")


def test_a_zone_before_its_first_edition_is_not_ready():
    ask = Asker(ZoneImage(1, names.from_text("example."), 0, []))

    assert rcode(ask("www.example.")) == "SERVFAIL"
