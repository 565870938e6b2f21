"""What the service refuses, and that nothing changes when it does."""

import base64
import time

import dns.message
import dns.rcode
import messages
import pytest
from messages import IN, A, question, record, tsig_signed
from registry import SECRETS, knsupdate, nsupdate, tsig
from service import eventually

UPDATE_LINE = "update add new.hash.example. 60 A 198.51.100.66"
REFUSED = {
    # RFC 2136 §3.2: each prerequisite with the code that it fails with
    "a name that must be in use and is not": ("k256", ["prereq yxdomain none.hash.example.", UPDATE_LINE], "NXDOMAIN"),
    "an empty non-terminal is not in use": ("k256", ["prereq yxdomain er.name.hash.example.", UPDATE_LINE], "NXDOMAIN"),
    "a record that must exist and does not": ("k256", ["prereq yxrrset www.hash.example. TXT", UPDATE_LINE], "NXRRSET"),
    "a record with another value": ("k256", ["prereq yxrrset www.hash.example. A 192.0.2.1", UPDATE_LINE], "NXRRSET"),
    "a name that must not be in use and is": ("k256", ["prereq nxdomain www.hash.example.", UPDATE_LINE], "YXDOMAIN"),
    "a record that must not exist and does": ("k256", ["prereq nxrrset www.hash.example. A", UPDATE_LINE], "YXRRSET"),
    "a prerequisite out of the zone": ("k256", ["prereq yxdomain www.walk.example.", UPDATE_LINE], "NOTZONE"),
    # RFC 2136 §3.4.1
    "a name out of the zone": ("k256", ["update add www.walk.example. 60 A 198.51.100.66"], "NOTZONE"),
    # grants
    "a name out of the grant": ("narrow", [UPDATE_LINE], "REFUSED"),
    "a type out of the grant": ("narrow", ['update add sub.hash.example. 60 TXT "no"'], "REFUSED"),
    "one good and one bad name": (
        "narrow",
        ["update add sub.hash.example. 60 A 198.51.100.66", UPDATE_LINE],
        "REFUSED",
    ),
    "all types where two are granted": ("narrow", ["update delete sub.hash.example."], "REFUSED"),
    "a signature record": (
        "k256",
        ["update add www.hash.example. 60 RRSIG A 13 3 60 20300101000000 20200101000000 1 hash.example. AAAA"],
        "REFUSED",
    ),
    "a denial record": ("k256", ["update add www.hash.example. 60 NSEC hash.example. A"], "REFUSED"),
    "a zone key": (
        "k256",
        ["update add hash.example. 60 DNSKEY 257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4="],
        "REFUSED",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_update_is_refused_with_the_right_code_and_nothing_changes(registry, case):
    key, lines, code = REFUSED[case]
    before = registry.serial("hash.example.")

    status, words = nsupdate(registry, tsig(key), "hash.example.", *lines)

    assert status != 0
    assert f"update failed: {code}" in words
    assert registry.serial("hash.example.") == before
    assert registry.values("new.hash.example.", "A") == []


@pytest.mark.parametrize("case", REFUSED)
def test_knsupdate_hears_the_same_refusals(registry, case):
    key, lines, code = REFUSED[case]

    status, words = knsupdate(registry, tsig(key), "hash.example.", *lines)

    assert status != 0
    assert code in words


def test_a_prerequisite_that_holds_lets_the_update_through(registry):
    status, words = nsupdate(
        registry,
        tsig("k256"),
        "hash.example.",
        "prereq yxdomain www.hash.example.",
        "prereq yxrrset www.hash.example. A 192.0.2.1",
        "prereq yxrrset www.hash.example. A 192.0.2.2",
        "prereq nxrrset www.hash.example. AAAA",
        "prereq nxdomain held.hash.example.",
        "update add held.hash.example. 60 A 198.51.100.11",
    )

    assert status == 0, words
    assert registry.values("held.hash.example.", "A") == ["198.51.100.11"]


def test_a_zone_that_is_not_ours_is_notauth(registry):
    status, words = nsupdate(registry, tsig("k256"), "other.example.", "update add a.other.example. 60 A 192.0.2.1")

    assert status != 0
    assert "NOTAUTH" in words


def test_an_unsigned_update_is_refused_even_where_a_prerequisite_would_tell(registry):
    status, words = nsupdate(registry, [], "hash.example.", "prereq nxdomain www.hash.example.", UPDATE_LINE)

    assert status != 0
    assert "update failed: REFUSED" in words


@pytest.mark.parametrize(
    ("credentials", "code"),
    [
        (["-y", f"hmac-sha256:nobody:{SECRETS['k256']}"], "NOTAUTH(BADKEY)"),
        (["-y", f"hmac-sha384:k256:{SECRETS['k256']}"], "NOTAUTH(BADKEY)"),
        (["-y", f"hmac-sha256:k256:{SECRETS['k384']}"], "NOTAUTH(BADSIG)"),
    ],
    ids=["unknown key", "another algorithm", "wrong secret"],
)
def test_a_wrong_tsig_key_is_refused_as_rfc_8945_says(registry, credentials, code):
    before = registry.serial("hash.example.")

    status, words = nsupdate(registry, credentials, "hash.example.", UPDATE_LINE)

    assert status != 0
    assert code in words
    assert registry.serial("hash.example.") == before


@pytest.mark.parametrize("skew", [-1000, 1000], ids=["late", "early"])
def test_a_tsig_of_another_time_is_badtime_and_the_answer_says_our_time(registry, skew):
    wire = messages.update(
        [question("hash.example.")], updates=[record("late.hash.example.", A, IN, 60, b"\x01\x02\x03\x04")]
    )
    signed_at = int(time.time()) + skew

    answer = registry.exchange(tsig_signed(wire, "k256.", SECRETS["k256"], at=signed_at))

    parsed = dns.message.from_wire(answer, keyring=lambda message, name: False, ignore_trailing=False)
    error = parsed.tsig[0]
    assert parsed.rcode() == dns.rcode.NOTAUTH
    assert error.error == dns.rcode.BADTIME
    assert error.time_signed == signed_at
    assert error.mac
    assert abs(int.from_bytes(error.other, "big") - time.time()) < 60


@pytest.mark.parametrize(
    ("case", "arguments"),
    [
        ("stranger", {}),
        ("p256", {"at": time.time() - 5000}),
        ("p256", {"at": time.time() + 5000}),
        ("p256", {"tag": 1}),
        ("p256", {"signer": "gw.walk.example."}),
        ("p256", {"after": 86400}),
    ],
    ids=["not enrolled", "expired", "from the future", "wrong tag", "another's name", "valid for a day"],
)
def test_a_sig0_that_does_not_hold_changes_nothing(registry, case, arguments):
    key = registry.keys[case]
    owner = registry.keys["p256"].name
    wire = messages.update(
        [question("hash.example.")], updates=[record(f"sig0.{owner}", A, IN, 60, bytes([198, 51, 100, 66]))]
    )

    answer = dns.message.from_wire(registry.exchange(key.signed(wire, **arguments)))

    assert answer.rcode() in (dns.rcode.NOTAUTH, dns.rcode.REFUSED)
    assert registry.values(f"sig0.{owner}", "A") == []


def test_one_flipped_bit_of_a_sig0_update_is_refused(registry):
    owner = registry.keys["p256"].name
    wire = registry.keys["p256"].signed(
        messages.update(
            [question("hash.example.")], updates=[record(f"bit.{owner}", A, IN, 60, bytes([198, 51, 100, 66]))]
        )
    )
    flipped = wire.replace(bytes([198, 51, 100, 66]), bytes([198, 51, 100, 67]))

    answer = dns.message.from_wire(registry.exchange(flipped))

    assert answer.rcode() == dns.rcode.NOTAUTH
    assert registry.values(f"bit.{owner}", "A") == []


@pytest.mark.parametrize("owner", ["hash.example.", "www.hash.example.", "gw2.hash.example.", "agw.hash.example."])
def test_a_gateway_may_not_touch_what_is_not_below_its_name(registry, owner):
    status, words = nsupdate(
        registry,
        ["-k", registry.path("gw.hash.example.")],
        "hash.example.",
        f"update add {owner} 60 A 198.51.100.66",
    )

    assert status != 0
    assert "REFUSED" in words


def test_a_revoked_key_is_refused_with_the_next_message(registry):
    secret = base64.b64encode(bytes(range(32))).decode()
    registry.ddns("key", "add", "brief.", "--algorithm", "hmac-sha256", "--secret", secret)
    registry.ddns("grant", "add", "brief.", "hash.example.")
    words = ["-y", f"hmac-sha256:brief:{secret}"]
    eventually(
        lambda: nsupdate(registry, words, "hash.example.", "update add brief.hash.example. 60 A 192.0.2.1")[0] == 0
    )

    registry.ddns("key", "revoke", "brief.")

    status, said = nsupdate(registry, words, "hash.example.", "update add brief.hash.example. 60 A 192.0.2.2")
    assert status != 0
    assert "BADKEY" in said
    assert registry.values("brief.hash.example.", "A") == ["192.0.2.1"]


SILENT = {
    "deleting all NS of the apex": ["update delete hash.example. NS"],
    "deleting the apex": ["update delete ns1.hash.example. AAAA", "update delete hash.example. TXT"],
    "deleting the SOA": ["update delete hash.example. SOA"],
    "a CNAME beside other records": ["update add www.hash.example. 60 CNAME alias.hash.example."],
    "other records beside a CNAME": ["update add alias.hash.example. 60 A 198.51.100.66"],
    "a record that is there already": ["update add www.hash.example. 300 A 192.0.2.1"],
    "deleting what is not there": ["update delete none.hash.example.", "update delete www.hash.example. A 192.0.2.77"],
    "an SOA with an older serial": ["update add hash.example. 3600 SOA ns1.hash.example. h.hash.example. 1 1 1 1 1"],
}


@pytest.mark.parametrize("case", SILENT)
def test_an_update_that_changes_nothing_is_noerror_and_keeps_the_serial(registry, case):
    before = registry.serial("hash.example.")

    status, words = nsupdate(registry, tsig("k256"), "hash.example.", *SILENT[case])

    assert status == 0, words
    assert registry.serial("hash.example.") == before
    assert registry.values("hash.example.", "NS") == ["ns1.hash.example.", "ns2.hash.example."]


def test_an_soa_with_a_newer_serial_sets_it(registry):
    asked = registry.serial("plain.example.") + 1000

    status, words = nsupdate(
        registry,
        tsig("k256"),
        "plain.example.",
        f"update add plain.example. 3600 SOA ns1.plain.example. h.plain.example. {asked} 7200 3600 1209600 300",
    )

    assert status == 0, words
    assert registry.serial("plain.example.") == asked


def test_a_new_ttl_holds_for_the_whole_rrset(registry):
    owner = "ttl.hash.example."
    nsupdate(
        registry,
        tsig("k256"),
        "hash.example.",
        f"update add {owner} 60 A 192.0.2.1",
        f"update add {owner} 90 A 192.0.2.2",
    )

    answer = registry.ask(owner, "A").answer[0]

    assert answer.ttl == 90
    assert len(answer) == 2
