"""The words of RFC 7583 for what a key's records are doing."""

from __future__ import annotations

import pytest
from keys import NOW, H, O, R, U, key, ksk, moving, zsk

from zone_signer.keyview import Motion
from zone_signer.phase import Record


@pytest.mark.parametrize(
    ("view", "label"),
    [
        (key("a", "hhh"), "generated"),
        (key("a", "rhh"), "published"),
        (key("a", "rrh"), "published"),
        (key("a", "ohh"), "ready"),
        (key("a", "ohr"), "active"),
        (key("a", "orh"), "active"),
        (key("a", "ooo"), "active"),
        (ksk("a", "oh"), "ready"),
        (ksk("a", "or"), "active"),
        (zsk("a", "oh"), "ready"),
        (zsk("a", "oo"), "active"),
        (key("a", "ooo", stays=False), "active"),
        (key("a", "oho", stays=False), "active"),
        (key("a", "ohu", stays=False), "retired"),
        (zsk("a", "ou", stays=False), "retired"),
        (key("a", "ohh", stays=False), "dead"),
        (key("a", "uhh", stays=False), "dead"),
        (key("a", "hhh", stays=False), "removed"),
        (zsk("a", "hh", stays=False), "removed"),
    ],
)
def test_the_label_is_the_state_of_rfc_7583_section_3_1(view, label):
    assert view.label() == label


def test_a_record_that_settles_loses_its_motion_and_the_others_keep_theirs():
    view = moving(moving(key("a", "rrh"), Record.DNSKEY), Record.ZRRSIG)

    settled = view.with_phase(Record.DNSKEY, O, None)

    assert (settled.dnskey, settled.zrrsig, settled.ds) == (O, R, H)
    assert set(settled.motions) == {Record.ZRRSIG}


@pytest.mark.parametrize("record", list(Record))
def test_every_record_can_move(record):
    motion = Motion(NOW, 0, None, 5)

    view = key("a", "ooo").with_phase(record, U, motion)

    assert view.phase(record) is U
    assert dict(view.motions) == {record: motion}
    assert sum(phase is U for phase in view.phases) == 1


def test_a_key_of_which_no_cache_holds_anything_is_gone():
    assert ksk("a", "hh").is_gone()
    assert not ksk("a", "hu").is_gone()


def test_only_our_own_keys_that_are_not_removed_live():
    assert key("a", "ooo").is_living
    assert not key("a", "ooo", foreign=True).is_living
    assert not key("a", "hhh", removed=NOW).is_living
