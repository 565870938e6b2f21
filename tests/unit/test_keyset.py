"""What a zone publishes because of its keys, and who signs what."""

from __future__ import annotations

from keys import ORIGIN, POLICY, key, ksk, zsk
from msgspec.structs import replace

from zone_signer import keys as public
from zone_signer.keyset import DELETE_CDNSKEY, DELETE_CDS, KeySet


def of(*views, policy=POLICY, parent_here=False, insecure=False) -> KeySet:
    return KeySet.of(ORIGIN, 3, views, policy, parent_here=parent_here, insecure=insecure)


def test_a_csk_signs_all_and_a_ksk_only_the_apex():
    assert (of(key("a", "ooo")).apex, of(key("a", "ooo")).zone) == (("a",), ("a",))
    split = of(ksk("k", "oo"), zsk("z", "oo"))
    assert (split.apex, split.zone, len(split.dnskeys)) == (("k",), ("z",), 2)


def test_a_key_signs_exactly_while_what_it_signs_is_shown():
    rolling = of(key("a", "ouo"), key("b", "rrh"), key("c", "hrh"), key("d", "uhh"))

    assert rolling.apex == ("a", "b")
    assert rolling.zone == ("b", "c")
    assert set(rolling.dnskeys) == {key("a", "hhh").rdata, key("b", "hhh").rdata}


def test_cds_and_cdnskey_name_the_same_keys_while_a_ds_moves():
    a, b = key("a", "ooo"), key("b", "ohr")

    rolling = of(a, b)

    assert set(rolling.cds) == {public.ds(ORIGIN, a.rdata), public.ds(ORIGIN, b.rdata)} == set(rolling.ds)
    assert set(rolling.cdnskey) == {a.rdata, b.rdata}


def test_cds_are_withdrawn_when_nothing_moves_unless_the_policy_wants_them_always():
    assert of(key("a", "ooo")).cds == ()
    assert of(key("a", "ooo"), policy=replace(POLICY, cds="always")).cds == of(key("a", "ooo")).ds
    assert of(key("a", "oor"), policy=replace(POLICY, cds="never")).cds == ()


def test_a_zone_whose_parent_is_here_publishes_no_cds():
    here = of(key("a", "oor"), parent_here=True)

    assert (here.cds, here.cdnskey, len(here.ds)) == ((), (), 1)


def test_a_zone_that_is_to_lose_its_ds_says_so_as_rfc_8078_section_4_has_it():
    going = of(key("a", "oou"), insecure=True)

    assert (going.cds, going.cdnskey) == ((DELETE_CDS,), (DELETE_CDNSKEY,))
    assert (DELETE_CDS.hex(), DELETE_CDNSKEY.hex()) == ("0000000000", "0000030000")
    assert going.delete_ds
    assert going.ds == ()
    assert of(key("a", "ooh"), insecure=True).cds == ()


def test_the_number_does_not_make_a_difference_and_neither_does_a_ds_at_a_parent_here():
    assert of(key("a", "ooo")).same_zone(replace(of(key("a", "ooo")), number=9))
    assert of(key("a", "ooo"), parent_here=True).same_zone(of(key("a", "ooh"), parent_here=True))
    assert not of(key("a", "ooo")).same_zone(of(key("a", "ooo"), key("b", "rhh")))


def test_what_another_signer_publishes_here_is_shown_and_signs_nothing():
    foreign = of(key("a", "ooo"), key("f", "ohr", foreign=True))

    assert len(foreign.dnskeys) == 2
    assert (foreign.apex, foreign.zone) == (("a",), ("a",))
    assert len(foreign.ds) == 2
