"""What operations do (RFC 2136 §3.4.2): in message order, with the rules for SOA, NS, CNAME and DNAME."""

from __future__ import annotations

import pytest
from craft import ORIGIN, SOA, add, changed, delete, delete_record, message, name, rr, show, work, zone

from ddns.dns.codes import SIGNER_TYPES, Rcode
from ddns.dns.refusal import Refusal
from ddns.zone import update as updates
from ddns.zone.changes import ChangeSet
from ddns.zone.view import View

NOTHING: tuple[set[str], set[str]] = (set(), set())


def test_adding_makes_an_rrset():
    """A record at a name without its type is an RRset of its own."""
    assert changed(zone(), add("cam", 300, "A", "192.0.2.1")) == (set(), {"cam 300 A 192.0.2.1"})


def test_adding_joins_an_rrset_and_gives_it_its_ttl():
    """The whole RRset takes the TTL of the record that came last (RFC 2181 §5.2)."""
    gone, new = changed(zone("cam 300 A 192.0.2.1"), add("cam", 60, "A", "192.0.2.2"))

    assert gone == {"cam 300 A 192.0.2.1"}
    assert new == {"cam 60 A 192.0.2.1", "cam 60 A 192.0.2.2"}


def test_a_duplicate_with_another_ttl_changes_the_ttl():
    """The same data with another TTL is a change."""
    assert changed(zone("cam 300 A 192.0.2.1"), add("cam", 60, "A", "192.0.2.1")) == (
        {"cam 300 A 192.0.2.1"},
        {"cam 60 A 192.0.2.1"},
    )


def test_an_exact_duplicate_changes_nothing():
    """The change set is empty, so that the serial stays."""
    assert changed(zone("cam 300 A 192.0.2.1"), add("CAM", 300, "A", "192.0.2.1")) == NOTHING


def test_names_in_data_compare_without_case():
    """An MX that differs in case only is the same record (RFC 4343)."""
    assert changed(zone("@ 300 MX 10 mail"), add("@", 300, "MX", "10 MAIL.Smith.Example.")) == NOTHING


def test_deleting_an_rrset():
    """Class ANY with a type takes the RRset."""
    content = zone("cam 300 A 192.0.2.1", "cam 300 A 192.0.2.2", "cam 300 AAAA 2001:db8::1")

    assert changed(content, delete("cam", "A")) == ({"cam 300 A 192.0.2.1", "cam 300 A 192.0.2.2"}, set())


def test_deleting_a_name():
    """Class ANY with type ANY takes all RRsets of this name, and no other name."""
    content = zone("cam 300 A 192.0.2.1", "cam 300 TXT one", "sub.cam 300 A 192.0.2.3")

    assert changed(content, delete("cam")) == ({"cam 300 A 192.0.2.1", 'cam 300 TXT "one"'}, set())


def test_deleting_the_apex_keeps_soa_and_ns():
    """RFC 2136 §3.4.2.3."""
    assert changed(zone("@ 300 A 192.0.2.1"), delete("@")) == ({"@ 300 A 192.0.2.1"}, set())


@pytest.mark.parametrize("rdtype", ["SOA", "NS"])
def test_the_apex_keeps_soa_and_ns_asked_for_by_type(rdtype):
    """Deleting the SOA or NS RRset of the apex is ignored."""
    assert changed(zone(), delete("@", rdtype)) == NOTHING


def test_deleting_one_record():
    """Class NONE takes the record with these data, whatever its TTL."""
    content = zone("cam 300 A 192.0.2.1", "cam 300 A 192.0.2.2")

    assert changed(content, delete_record("cam", "A", "192.0.2.2")) == ({"cam 300 A 192.0.2.2"}, set())


def test_deleting_the_last_record_takes_the_rrset():
    """No empty RRset stays behind."""
    assert changed(zone("cam 300 A 192.0.2.1"), delete_record("cam", "A", "192.0.2.1")) == (
        {"cam 300 A 192.0.2.1"},
        set(),
    )


def test_deleting_what_is_not_there_changes_nothing():
    """NOERROR, and an empty change set."""
    content = zone("cam 300 A 192.0.2.1")

    assert changed(content, delete_record("cam", "A", "192.0.2.7"), delete("cam", "TXT"), delete("nobody")) == NOTHING


def test_the_last_ns_of_the_apex_stays():
    """RFC 2136 §3.4.2.4: one is always left, the first ones may go."""
    content = zone("@ 3600 NS ns2.example.")

    gone, new = changed(content, delete_record("@", "NS", "ns.example."), delete_record("@", "NS", "ns2.example."))

    assert (gone, new) == ({"@ 3600 NS ns.example."}, set())


def test_ns_below_the_apex_may_all_go():
    """A delegation can be taken away."""
    content = zone("sub 300 NS ns.example.")

    assert changed(content, delete_record("sub", "NS", "ns.example.")) == ({"sub 300 NS ns.example."}, set())


def test_the_soa_record_stays():
    """Deleting the SOA by its data is ignored."""
    assert changed(zone(), delete_record("@", "SOA", SOA.format(serial=10))) == NOTHING


@pytest.mark.parametrize(
    ("serial", "taken"), [(11, True), (10, False), (9, False), (10 + 2**31 - 1, True), (10 + 2**31, False), (0, False)]
)
def test_a_soa_only_goes_forward(serial, taken):
    """A SOA is taken if its serial is greater in the arithmetic of RFC 1982, else ignored."""
    gone, new = changed(zone(), add("@", 60, "SOA", SOA.format(serial=serial)))

    assert bool(gone) is bool(new) is taken


def test_a_soa_passes_the_wrap():
    """From the greatest serial, 0 is forward."""
    gone, _ = changed(zone(serial=2**32 - 1), add("@", 3600, "SOA", SOA.format(serial=0)))

    assert gone


def test_a_soa_below_the_apex_is_ignored():
    """There is one SOA in a zone."""
    assert changed(zone(), add("sub", 60, "SOA", SOA.format(serial=11))) == NOTHING


def test_a_cname_beside_other_data_is_ignored():
    """RFC 2136 §3.4.2.2: NOERROR, nothing changed."""
    assert changed(zone("cam 300 A 192.0.2.1"), add("cam", 60, "CNAME", "www")) == NOTHING
    assert changed(zone(), add("@", 60, "CNAME", "www")) == NOTHING


def test_other_data_beside_a_cname_is_ignored():
    """RFC 2136 §3.4.2.2."""
    assert changed(zone("cam 300 CNAME www"), add("cam", 60, "A", "192.0.2.1")) == NOTHING


def test_a_cname_replaces_a_cname():
    """There is one CNAME at a name."""
    assert changed(zone("cam 300 CNAME www"), add("cam", 60, "CNAME", "web")) == (
        {"cam 300 CNAME www.smith.example."},
        {"cam 60 CNAME web.smith.example."},
    )


def test_a_key_may_stand_beside_a_cname():
    """RFC 3007 §3.1.1, either way round."""
    key = "512 3 15 " + "A" * 32 + " " + "A" * 11 + "="

    assert changed(zone("cam 300 CNAME www"), add("cam", 60, "KEY", key))[1] == {f"cam 60 KEY {key}"}
    assert changed(zone(f"cam 300 KEY {key}"), add("cam", 60, "CNAME", "www"))[1] == {"cam 60 CNAME www.smith.example."}


@pytest.mark.parametrize(
    ("rdtype", "data"),
    [
        ("RRSIG", "A 13 3 60 20300101000000 20200101000000 1 smith.example. AAAA"),
        ("NSEC", "a.smith.example. A"),
        ("NSEC3", "1 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr A"),
    ],
)
def test_signatures_and_denials_are_never_a_clients_to_write(rdtype, data):
    """In a zone that is signed elsewhere neither: they come with the whole zone (BIND refuses them too)."""
    for operation in (add("cam", 60, rdtype, data), delete("cam", rdtype)):
        refusal = work(zone("cam 300 CNAME www"), message(operation), signed=False)

        assert isinstance(refusal, Refusal)
        assert refusal.code == "type-is-signers"


def test_a_dname_replaces_a_dname():
    """RFC 6672 §5.2."""
    assert changed(zone("cam 300 DNAME a.example."), add("cam", 60, "DNAME", "b.example.")) == (
        {"cam 300 DNAME a.example."},
        {"cam 60 DNAME b.example."},
    )


def test_dname_and_cname_exclude_each_other():
    """RFC 6672 §5.2: who comes second is ignored."""
    assert changed(zone("cam 300 DNAME a.example."), add("cam", 60, "CNAME", "b.example.")) == NOTHING
    assert changed(zone("cam 300 CNAME a.example."), add("cam", 60, "DNAME", "b.example.")) == NOTHING


def test_a_wks_replaces_that_of_its_address_and_protocol():
    """RFC 2136 §3.4.2.2."""
    content = zone("cam 300 WKS 192.0.2.1 6 25", "cam 300 WKS 192.0.2.1 17 53")

    gone, new = changed(content, add("cam", 300, "WKS", "192.0.2.1 6 80"))

    assert gone == {"cam 300 WKS 192.0.2.1 6 25"}
    assert new == {"cam 300 WKS 192.0.2.1 6 80"}


def test_operations_are_done_in_message_order():
    """Delete and add again is a replacement, add and delete is nothing, and a freed name takes a CNAME."""
    content = zone("cam 300 A 192.0.2.1")
    put = add("cam", 60, "A", "192.0.2.2")

    assert changed(content, delete("cam", "A"), put) == ({"cam 300 A 192.0.2.1"}, {"cam 60 A 192.0.2.2"})
    assert changed(content, put, delete("cam", "A")) == ({"cam 300 A 192.0.2.1"}, set())
    assert changed(zone(), put, delete("cam", "A")) == NOTHING
    assert changed(content, delete("cam"), add("cam", 60, "CNAME", "www"))[1] == {"cam 60 CNAME www.smith.example."}
    assert changed(content, add("cam", 60, "CNAME", "www"), delete("cam"))[1] == set()


def test_replacing_with_the_same_is_no_change():
    """A client that deletes and adds what was there anyway leaves the serial alone."""
    content = zone("cam 300 A 192.0.2.1", "cam 300 A 192.0.2.2")

    assert (
        changed(content, delete("cam", "A"), add("cam", 300, "A", "192.0.2.2"), add("cam", 300, "A", "192.0.2.1"))
        == NOTHING
    )


def test_a_wildcard_is_a_literal_owner():
    """RFC 2136 §7.18: `*` deletes and adds the record of that name alone."""
    content = zone("* 300 A 192.0.2.1", "cam 300 A 192.0.2.2")

    assert changed(content, delete("*")) == ({"* 300 A 192.0.2.1"}, set())


@pytest.mark.parametrize("rdtype", sorted(SIGNER_TYPES))
def test_the_signers_types_are_refused_in_signed_zones(rdtype):
    """A client may not delete what the signer makes."""
    refusal = work(zone(), message(add("cam", 60, "A", "192.0.2.1"), rr("cam", rdtype, 255)))

    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.rcode, refusal.ede) == ("type-is-signers", Rcode.REFUSED, 18)


@pytest.mark.parametrize(
    ("rdtype", "data"),
    [
        ("DNSKEY", "256 3 15 " + "A" * 43 + "="),
        ("NSEC3PARAM", "1 0 0 -"),
        ("CDS", "0 0 0 00"),
        ("NSEC", "a.smith.example. A"),
        ("CSYNC", "1 0 A"),
    ],
)
def test_the_signers_types_are_not_added_in_signed_zones(rdtype, data):
    """Nor add to it."""
    refusal = work(zone(), message(add("@", 60, rdtype, data)))

    assert isinstance(refusal, Refusal)
    assert refusal.code == "type-is-signers"


def test_deleting_a_whole_name_in_a_signed_zone_is_fine():
    """The signer's records are not among the unsigned ones, so they are not touched."""
    assert changed(zone("cam 300 A 192.0.2.1"), delete("cam"), signed=True) == ({"cam 300 A 192.0.2.1"}, set())


def test_the_types_are_data_in_unsigned_zones():
    """A zone without a signer here takes DNSKEY like any other type."""
    key = "256 3 15 " + "A" * 32 + " " + "A" * 11 + "="

    assert changed(zone(), add("@", 60, "DNSKEY", key), signed=False)[1] == {f"@ 60 DNSKEY {key}"}


def test_ds_at_the_apex_is_refused():
    """It belongs to the parent; below the apex it is data like others."""
    ds = "12345 13 2 " + "AB" * 32

    refusal = work(zone(), message(add("@", 60, "DS", ds)))

    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.rcode) == ("ds-at-apex", Rcode.REFUSED)
    assert changed(zone("sub 60 NS ns.example."), add("sub", 60, "DS", ds))[1] == {f"sub 60 DS {ds.lower()}"}


def test_a_refused_update_changes_nothing():
    """Applying is a question: the view is as before, whatever came first in the message."""
    wire = message(delete("cam"), rr("cam", "NSEC", 255))
    update = updates.parse(wire)
    assert not isinstance(update, Refusal)
    view = View({ORIGIN: zone()[ORIGIN], name("cam"): zone("cam 1 A 192.0.2.1")[name("cam")]})

    outcome = updates.apply(update, view, signed=True)

    assert isinstance(outcome, Refusal)
    assert show({name("cam"): view.get(name("cam"))}) == {"cam 1 A 192.0.2.1"}
    assert view.changes() == ChangeSet()


def test_a_view_folds_what_was_applied():
    """Two updates that undo each other leave no change, and `was` still tells the beginning."""
    content = zone("cam 300 A 192.0.2.1")
    view = View({ORIGIN: content[ORIGIN], name("cam"): content[name("cam")]})
    for operation in (delete("cam"), add("cam", 300, "A", "192.0.2.1")):
        update = updates.parse(message(operation))
        assert not isinstance(update, Refusal)
        outcome = updates.apply(update, view, signed=True)
        assert isinstance(outcome, ChangeSet)
        assert outcome
        view.apply(outcome)

    assert view.changes() == ChangeSet()
    assert view.was(name("cam")) == view.get(name("cam"))


def test_a_view_refuses_names_that_it_was_not_given():
    """An unknown name is a bug of ours, not a name without records."""
    with pytest.raises(KeyError):
        View({}).get(name("cam"))


def test_a_change_set_survives_the_journal():
    """What is unpacked is what was packed."""
    update = updates.parse(message(add("cam", 300, "A", "192.0.2.1"), delete("old")))
    assert not isinstance(update, Refusal)
    content = zone("old 300 A 192.0.2.1")
    changes = updates.apply(update, View({one: content.get(one, ()) for one in update.names}), signed=True)
    assert isinstance(changes, ChangeSet)

    assert ChangeSet.unpack(changes.pack()) == changes
