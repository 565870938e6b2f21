"""A zone with compact denial (RFC 9824) before other people's validators, while it changes, and without its signer."""

import os
import signal
import subprocess
import sys

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import pytest
import resolving
from ports import free_port
from registry import SECRETS, ZONE_FILE, anchor, full, nsupdate, run, tsig, unbound_settings
from service import Service, eventually

ZONE = "black.example."
CO = 0x4000
REGISTRY = """
[[key]]
name = "k256."
algorithm = "hmac-sha256"
secret = "{secret}"
[[zone]]
name = "{zone}"
file = "zone"
denial = "{denial}"
grants = [{{ key = "k256." }}]
signing = "alone"
"""
# What is asked, and what a resolver says to it: whether there are answers.
QUESTIONS = [
    ("www", "A", True),
    ("alias", "A", True),
    ("below.wild", "A", True),
    ("deep.below.wild", "A", True),
    ("@", "DNSKEY", True),
    ("www", "AAAA", False),
    ("er.name", "A", False),
    ("name", "TXT", False),
    ("nobody", "A", False),
    ("no.bo.dy", "TXT", False),
    ("below.wild", "TXT", False),
    ("cut", "DS", False),
]


@pytest.fixture(scope="module")
def service():
    running = Service("--workers", "1", settings="[signer]\nwait = 25.0\n[compact]\nwait = 5.0\n")
    try:
        (running.folder / "zone").write_text(ZONE_FILE)
        # Nobody is asked what the parent shows: there is none.
        running.ddns("signing", "set", "alone", "parent_check=manual", "watch=none", "ds_ttl=1", "publish_safety=0")
        running.apply(REGISTRY.format(secret=SECRETS["k256"], zone=ZONE, denial="compact"))
        running.start()
        eventually(lambda: running.signed(ZONE))
        rest(running, ZONE)
        yield running
        running.stop()
    finally:
        running.remove()


def rest(service, zone):
    """Say that the zone's parent has its DS, and wait until its keys are at rest."""
    zone_signer(service, "ds-seen", zone, anchor(service, zone)[1][0], "--wait", "60")
    eventually(lambda: "DS of key" not in zone_signer(service, "plan", zone))


def zone_signer(service, *words):
    """Run a command of the signer's and return what it printed."""
    command = [sys.executable, "-m", "zone_signer.cli", *words]
    done = subprocess.run(command, env=service.environment(), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def unbound(service):
    """Yield the port of a resolver that knows the zone's DS, and uses what was denied for other names (RFC 8198)."""
    port = free_port()
    settings = unbound_settings(service, port, [ZONE], [ZONE])
    settings.write_text(settings.read_text().replace("server:", "server:\n  aggressive-nsec: yes", 1))
    with resolving.unbound(service.folder, settings, port, f"www.{ZONE}"):
        yield port


def resolved(port, name, rdtype):
    query = dns.message.make_query(name, rdtype, want_dnssec=True)
    return dns.query.udp(query, "127.0.0.1", port=port, timeout=20)


def denied(service, name, rdtype="A", *, do=True, co=False, cookie=False):
    """Ask by UDP alone, and return the answer."""
    query = dns.message.make_query(name, rdtype, want_dnssec=do, flags=0)
    if co:
        query.ednsflags |= CO
    return service.send(query)


def bitmap(answer):
    """Return the types of the only NSEC record in the authority section."""
    (found,) = [one for one in answer.authority if one.rdtype == dns.rdatatype.NSEC]
    return str(found[0]).split(" ", 1)[1].replace("TYPE128", "NXNAME")


def test_delv_validates_answers_and_denials_from_the_ds(service):
    owner, ds = anchor(service, ZONE)
    anchors = service.folder / "anchors"
    anchors.write_text(f'trust-anchors {{ "{owner}" static-ds {" ".join(ds[:3])} "{"".join(ds[3:])}"; }};\n')

    for question_name, rdtype, _ in QUESTIONS:
        said = run(
            "delv", "@127.0.0.1", "-p", service.port, "-a", anchors, f"+root={ZONE}", full(question_name, ZONE), rdtype
        )
        assert "fully validated" in said, (question_name, rdtype, said)


def test_unbound_finds_everything_secure_once_and_again(service, unbound):
    for _ in range(2):
        for question_name, rdtype, there in QUESTIONS:
            answer = resolved(unbound, full(question_name, ZONE), rdtype)

            assert answer.rcode() == dns.rcode.NOERROR, (question_name, rdtype)
            assert answer.flags & dns.flags.AD, (question_name, rdtype)
            assert bool(answer.answer) == there, (question_name, rdtype)


def test_what_unbound_remembers_of_one_name_hides_no_other(service, unbound):
    """RFC 8198 with records that speak of one name only, for names around it and below it."""
    order = ["nobody", "a.nobody", "nobody-else", "nobodx", r"\000.nobody", "www", "x.wild", "er.name", "deep.er.name"]
    for name in order + order[::-1]:
        answer = resolved(unbound, full(name, ZONE), "TXT" if name == "deep.er.name" else "A")

        assert answer.rcode() == dns.rcode.NOERROR, name
        assert answer.flags & dns.flags.AD, name
        assert bool(answer.answer) == (name in ("www", "x.wild", "deep.er.name")), name


def test_a_delegation_without_a_ds_is_proved_insecure(service, unbound):
    answer = resolved(unbound, f"cut.{ZONE}", "DS")

    assert (answer.rcode(), bool(answer.flags & dns.flags.AD)) == (dns.rcode.NOERROR, True)
    assert bitmap(denied(service, f"x.cut.{ZONE}")) == "NS RRSIG NSEC"


def test_who_asks_without_do_or_with_co_gets_nxdomain(service):
    name = f"nothing.{ZONE}"

    assert denied(service, name, do=False).rcode() == dns.rcode.NXDOMAIN
    plain, restored = denied(service, name), denied(service, name, co=True)
    assert (plain.rcode(), restored.rcode()) == (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)
    assert (plain.ednsflags & CO, restored.ednsflags & CO) == (0, CO)
    assert bitmap(plain) == bitmap(restored) == "RRSIG NSEC NXNAME"


def test_an_update_is_seen_at_once_while_its_name_is_denied(service):
    name = f"coming.{ZONE}"
    for _ in range(3):
        assert bitmap(denied(service, name)) == "RRSIG NSEC NXNAME"

        assert nsupdate(service, tsig("k256"), ZONE, f"update add x.{name} 60 A 192.0.2.7")[0] == 0
        assert bitmap(denied(service, name)) == "RRSIG NSEC"  # names below it: it exists, and has nothing

        assert nsupdate(service, tsig("k256"), ZONE, f"update add {name} 60 A 192.0.2.8")[0] == 0
        assert denied(service, name).answer
        assert bitmap(denied(service, name, "AAAA")) == "A RRSIG NSEC"

        script = (f"update delete {name}", f"update delete x.{name}")
        assert nsupdate(service, tsig("k256"), ZONE, *script)[0] == 0
    assert bitmap(denied(service, name)) == "RRSIG NSEC NXNAME"
    owner, ds = anchor(service, ZONE)
    anchors = service.folder / "anchors"
    anchors.write_text(f'trust-anchors {{ "{owner}" static-ds {" ".join(ds[:3])} "{"".join(ds[3:])}"; }};\n')
    said = run("delv", "@127.0.0.1", "-p", service.port, "-a", anchors, f"+root={ZONE}", name, "A")
    assert "fully validated" in said


def test_without_its_signer_a_zone_says_what_it_holds_and_honestly_that_it_cannot_say_the_rest(service):
    known = f"asked-before.{ZONE}"
    denied(service, known)
    (signer,) = service.pids("signer")
    os.kill(signer, signal.SIGSTOP)
    try:
        answer = denied(service, f"asked-meanwhile.{ZONE}")
        assert answer.rcode() == dns.rcode.SERVFAIL, answer
        assert answer.options[0].code == 14  # RFC 8914 §4.15
        assert "signer" in answer.options[0].text

        assert bitmap(denied(service, known)) == "RRSIG NSEC NXNAME"
        assert denied(service, f"www.{ZONE}").answer
        assert bitmap(denied(service, f"www.{ZONE}", "AAAA")) == "A RRSIG NSEC"
        assert bitmap(denied(service, f"er.name.{ZONE}")) == "RRSIG NSEC"
        assert denied(service, f"asked-meanwhile.{ZONE}", do=False).rcode() == dns.rcode.NXDOMAIN
        assert denied(service, f"one.wild.{ZONE}", do=False).answer
    finally:
        os.kill(signer, signal.SIGCONT)

    eventually(lambda: denied(service, f"asked-meanwhile.{ZONE}").rcode() == dns.rcode.NOERROR)


def test_its_signer_may_be_killed_and_come_back(service):
    (signer,) = service.pids("signer")
    os.kill(signer, signal.SIGKILL)

    assert denied(service, f"asked-after-that.{ZONE}").rcode() in (dns.rcode.SERVFAIL, dns.rcode.NOERROR)
    answer = eventually(
        lambda: (found := denied(service, f"asked-after-that.{ZONE}")).rcode() == dns.rcode.NOERROR and found
    )
    assert bitmap(answer) == "RRSIG NSEC NXNAME"


def test_it_is_not_transferred_and_no_rule_lets_anybody(service):
    said = service.ddns("transfer", "allow", ZONE, "--address", "127.0.0.0/8", status=1)
    assert "compact denial and cannot be transferred" in said
    said = service.ddns("transfer", "notify", ZONE, "127.0.0.1:5300", status=1)
    assert "compact denial and cannot be transferred" in said

    axfr = dns.message.make_query(ZONE, "AXFR")
    assert service.send(axfr, tcp=True).rcode() == dns.rcode.REFUSED


def test_a_zone_that_is_transferred_cannot_become_compact(service):
    service.ddns("zone", "add", "shared.example.")
    service.ddns("transfer", "allow", "shared.example.", "--address", "127.0.0.0/8")
    file = service.folder / "shared.zone"
    file.write_text(service.ddns("zone", "export", "shared.example."))

    said = service.ddns("zone", "import", file, "--origin", "shared.example.", "--denial", "compact", status=1)
    assert "has transfer rules and cannot have compact denial" in said

    service.ddns("transfer", "remove", "shared.example.")
    service.ddns("zone", "remove", "shared.example.")
    service.ddns("zone", "import", file, "--origin", "shared.example.", "--denial", "compact")
    eventually(lambda: "NXNAME" in bitmap_or_nothing(service, "nobody.shared.example."))


def bitmap_or_nothing(service, name):
    answer = denied(service, name)
    return bitmap(answer) if any(one.rdtype == dns.rdatatype.NSEC for one in answer.authority) else ""


@pytest.mark.parametrize("other", ["nsec", "nsec3"])
def test_another_way_to_deny_and_back_is_secure_at_every_moment(service, unbound, other):
    """A resolver that keeps asking finds nothing bogus, whatever it still remembers of the way before."""
    asked = 0

    def everything_is_secure():
        nonlocal asked
        for question_name, rdtype, there in QUESTIONS:
            for name in (question_name, f"n{asked}.{question_name}" if question_name == "no.bo.dy" else question_name):
                answer = resolved(unbound, full(name, ZONE), rdtype)
                assert answer.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN), (name, rdtype)
                assert answer.flags & dns.flags.AD, (name, rdtype)
                assert bool(answer.answer) == there, (name, rdtype)
        asked += 1

    for denial in (other, "compact"):
        everything_is_secure()
        before = service.serial(ZONE)
        if denial == "compact":
            service.ddns("zone", "import", "zone", "--origin", ZONE, "--denial", denial, "--wait", "0")
        else:
            said = service.ddns("zone", "denial", ZONE, denial, "--wait", "0")
            assert said == f"{ZONE} has {denial} denial from now on.\n"
        while service.serial(ZONE) == before:
            everything_is_secure()
        assert service.serial(ZONE) == before + 1  # one edition
        everything_is_secure()
    assert bitmap(denied(service, f"nobody-at-all.{ZONE}")) == "RRSIG NSEC NXNAME"
