"""Homes that are away ask by the CDS and CSYNC that Knot shows, hastened by NOTIFY; DSYNC says where that goes."""

from __future__ import annotations

import dns.rdatatype
import own_servers
import pytest
from own_servers import ZONE, Own, notify, put_away
from registry import SECRETS
from service import eventually

from ddns.dns import ds as signer

SMITH, JONES, BROWN = (f"{label}.{ZONE}" for label in ("smith", "jones", "brown"))


@pytest.fixture(scope="module")
def parent():
    """Yield the registry with three homes."""
    with own_servers.registry("smith", "jones", "brown") as running:
        yield running


def ds_shown(parent, name):
    """Return the digest types of the DS that the registry shows."""
    answer = parent.ask(name, "DS")
    return sorted(one.digest_type for rrset in answer.answer if rrset.rdtype == dns.rdatatype.DS for one in rrset)


def test_a_home_that_is_away_is_referred_to_and_gets_the_ds_that_its_cds_ask_for(parent, tmp_path):
    """Knot names its key by SHA-256; the registry has the other digest of it, and follows."""
    with Own(tmp_path / "smith", SMITH, "127.0.0.2") as own:
        put_away(parent, own, digest=signer.SHA384)
        assert notify(parent, SMITH).rcode() == 0

        eventually(lambda: ds_shown(parent, SMITH) == [signer.SHA256], timeout=90)

        shown = parent.delegation("show", SMITH)
        assert None in [one["rule"] for one in shown["checks"] if one["by"] == "cds"]
        assert parent.referral(SMITH) == [f"ns1.{SMITH}"]


def test_csync_moves_a_home_to_servers_that_answer_and_to_no_others(parent, tmp_path):
    with Own(tmp_path / "jones", JONES, "127.0.0.3") as own:
        put_away(parent, own)
        own.change(f"add {JONES} 1 NS ns2.{JONES}", f"add ns2.{JONES} 1 A 127.0.0.9", f"add {JONES} 1 CSYNC 1 1 A NS")
        notify(parent, JONES, "CSYNC")

        def refused():
            return [one for one in parent.delegation("show", JONES)["checks"] if one["by"] == "csync"]

        (look, *_) = eventually(refused)
        assert look["rule"] in ("lame", "differs")
        assert parent.referral(JONES) == [f"ns1.{JONES}"]

        own.change(f"del ns2.{JONES} A", f"add ns2.{JONES} 1 A 127.0.0.3")
        eventually(lambda: parent.referral(JONES) == [f"ns1.{JONES}", f"ns2.{JONES}"], timeout=60)


def test_a_copy_is_taken_with_the_owners_key_proved_and_shown(parent, tmp_path):
    """Knot hands its zone out to one key alone, which the registry has under the name that the page says."""
    name = parent.home("green")
    key = f"copy.{name}", SECRETS["k512"]

    def copies():
        return [one["rule"] for one in parent.delegation("show", name)["checks"] if one["by"] == "copy"]

    with Own(tmp_path / "green", name, "127.0.0.6", key=key) as own:
        put_away(parent, own)
        assert eventually(copies) == ["no-copy"]
        parent.ddns("key", "add", key[0], "--algorithm", "hmac-sha256", "--secret", key[1])

        eventually(lambda: copies()[0] is None, timeout=90)

    assert "Copy        serial" in parent.ddns("delegation", "show", name)


def test_a_server_that_is_silent_is_told_of_and_changes_nothing(parent, tmp_path):
    with Own(tmp_path / "brown", BROWN, "127.0.0.4") as own:
        put_away(parent, own)
        eventually(lambda: parent.delegation("show", BROWN)["checks"])
    # It is stopped here, and nobody else answers: our own network may be what is silent.
    eventually(lambda: "delegation.nobody_answers" in parent.log.read_text())

    assert parent.stands(BROWN) == "away"
    assert parent.referral(BROWN) == [f"ns1.{BROWN}"]


def test_a_home_whose_servers_are_gone_is_told_while_another_answers_and_not_when_they_are_back(parent, tmp_path):
    here, gone = parent.home("here"), parent.home("gone")

    def told():
        return parent.delegation("show", gone)["tell"]

    with Own(tmp_path / "here", here, "127.0.0.8") as witness:
        put_away(parent, witness, continuity="none")
        with Own(tmp_path / "gone", gone, "127.0.0.10") as own:
            put_away(parent, own, continuity="none")
            eventually(lambda: parent.delegation("show", gone)["checks"])
            assert not told()

        eventually(lambda: told() == "See that the home's servers run and are reached.", timeout=60)
        assert parent.stands(gone) == "away"  # nobody stands in, as its owner wants it

        with Own(tmp_path / "back", gone, "127.0.0.10"):
            # It has made other keys: the DS do not lead to these, and that is what is told now.
            eventually(lambda: "no key of algorithm 13 that a DS names" in told(), timeout=60)


def test_the_registrys_zone_says_where_notify_and_update_go(parent):
    def text():
        return " ".join(parent.values(f"any.home._dsync.{ZONE}", "DSYNC"))

    found = eventually(text, timeout=90)  # the zone is looked at every minute

    for words in ("CDS {scheme} {port} {name}", "CSYNC {scheme} {port} {name}"):
        assert any(
            words.format(scheme=scheme, port=parent.port, name=f"ns1.{ZONE}") in found for scheme in ("1", "NOTIFY")
        ), found
    assert f"ANY 2 {parent.port} ns1.{ZONE}" in found
