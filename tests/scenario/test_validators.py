"""What dig sees, and what validators that know only the DS say to it."""

import random
import subprocess

import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest
from ports import free_port
from registry import SIGNED, anchor, full, nsupdate, run, tsig, unbound_settings
from tools import need


@pytest.mark.parametrize("options", [[], ["+tcp"], ["+bufsize=512"], ["+noedns"], ["+nocookie", "+dnssec"]], ids=str)
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_dig_sees_an_update_at_once(registry, address, options):
    if address not in registry.addresses:
        pytest.skip("this machine has no IPv6 loopback address")
    value = f"198.51.100.{random.randrange(1, 255)}"
    assert (
        nsupdate(
            registry,
            tsig("k256"),
            "hash.example.",
            "update delete seen.hash.example.",
            f"update add seen.hash.example. 60 A {value}",
        )[0]
        == 0
    )

    said = run("dig", f"@{address}", "-p", registry.port, "+norec", *options, "seen.hash.example.", "A")

    assert "status: NOERROR" in said
    assert " aa" in said.split("flags:", 1)[1].split(";", 1)[0]
    assert value in said


QUESTIONS = [
    ("www", "A"),
    ("alias", "A"),
    ("below.wild", "A"),
    ("@", "SOA"),
    ("@", "DNSKEY"),
    ("@", "NS"),
    ("www", "AAAA"),
    ("er.name", "A"),
    ("nobody", "A"),
    ("no.bo.dy", "TXT"),
    ("below.wild", "TXT"),
    ("cut", "DS"),
]


@pytest.mark.parametrize("zone", SIGNED)
def test_delv_validates_answers_and_denials_from_the_ds(registry, zone):
    owner, ds = anchor(registry, zone)
    anchors = registry.folder / "anchors"
    anchors.write_text(f'trust-anchors {{ "{owner}" static-ds {" ".join(ds[:3])} "{"".join(ds[3:])}"; }};\n')

    for question_name, rdtype in QUESTIONS:
        said = run(
            "delv", "@127.0.0.1", "-p", registry.port, "-a", anchors, f"+root={zone}", full(question_name, zone), rdtype
        )
        assert "fully validated" in said, (question_name, rdtype, said)


@pytest.mark.parametrize("zone", SIGNED)
def test_delv_does_not_validate_with_another_ds(registry, zone):
    owner, ds = anchor(registry, zone)
    anchors = registry.folder / "anchors"
    digest = "".join(ds[3:])
    other = ("0" if digest[0] != "0" else "1") + digest[1:]
    anchors.write_text(f'trust-anchors {{ "{owner}" static-ds {" ".join(ds[:3])} "{other}"; }};\n')

    done = subprocess.run(
        [need("delv"), "@127.0.0.1", "-p", str(registry.port), "-a", anchors, f"+root={zone}", f"www.{zone}", "A"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "fully validated" not in done.stdout


@pytest.mark.parametrize("zone", SIGNED)
def test_a_resolver_finds_everything_secure(registry, unbound, zone):
    for owner, rdtype in QUESTIONS:
        query = dns.message.make_query(full(owner, zone), rdtype, want_dnssec=True)
        answer = dns.query.udp_with_fallback(query, "127.0.0.1", port=unbound, timeout=30)[0]

        assert answer.flags & dns.flags.AD, (owner, rdtype, answer)
        assert answer.rcode() == (dns.rcode.NXDOMAIN if owner in ("nobody", "no.bo.dy") else dns.rcode.NOERROR)


def test_a_resolver_takes_the_unsigned_zone_as_insecure(registry, unbound):
    query = dns.message.make_query("www.plain.example.", "A", want_dnssec=True)

    answer = dns.query.udp(query, "127.0.0.1", port=unbound, timeout=30)

    assert answer.rcode() == dns.rcode.NOERROR
    assert not answer.flags & dns.flags.AD


@pytest.mark.parametrize("zone", SIGNED)
def test_unbound_host_says_secure(registry, zone):
    settings = unbound_settings(registry, free_port())

    said = run("unbound-host", "-C", settings, "-v", "-t", "A", f"www.{zone}")

    assert "(secure)" in said
