"""The validator against zones that BIND's own tools signed, asked over real sockets."""

import shutil
import socket
import socketserver
import subprocess
import threading
import time

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.zone
import pytest
from ports import free_port, servers_on

from ddns.verifier import chain, device
from ddns.verifier.chain import Anchor, Failure, Proof, Server, Why
from ddns.verifier.device import Standing

pytestmark = pytest.mark.skipif(not shutil.which("dnssec-signzone"), reason="BIND's dnssec-signzone is not here")

PARENT = """$TTL 300
@ IN SOA ns.homes.test. admin.homes.test. 1 3600 600 86400 300
@ IN NS ns
ns IN A 127.0.0.1
smith IN NS ns
*.wild IN TXT "any"
"""
CHILD = """$TTL 300
@ IN SOA ns.homes.test. admin.homes.test. 1 3600 600 86400 300
@ IN NS ns.homes.test.
cam IN A 192.0.2.1
cam IN AAAA 2001:db8::1
_443._tcp.cam IN TLSA 3 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
big IN TXT {big}
""".format(big=" ".join(f'"{"x" * 200}{n}"' for n in range(12)))


def sign(folder, origin, text, *options):
    """Sign *text* with fresh keys of algorithm 13 and return the zone and its DS records."""
    (folder / origin).write_text(text)
    for flags in ((), ("-f", "KSK")):
        subprocess.run(
            ["dnssec-keygen", "-q", "-K", folder, "-a", "13", *flags, origin],
            check=True,
            capture_output=True,
            timeout=60,
        )
    ds = folder / f"dsset-{origin}."
    subprocess.run(
        ["dnssec-signzone", "-q", "-S", "-K", folder, "-d", folder, "-o", origin, *options, folder / origin],
        check=True,
        capture_output=True,
        cwd=folder,
        timeout=60,
    )
    return dns.zone.from_file(str(folder / f"{origin}.signed"), origin, relativize=False), [
        line.split("DS", 1)[1] for line in ds.read_text().splitlines()
    ]


class Responder:
    """Answers from signed zones, exactly what is asked; *twist* may change an answer before it goes out."""

    def __init__(self, zones):
        self.zones = zones
        self.twist = lambda answer: None
        self.port = free_port()
        self.udp, self.tcp = servers_on(self.port, self._handler(stream=False), self._handler(stream=True))
        self.threads = [threading.Thread(target=one.serve_forever, args=(0.05,)) for one in (self.udp, self.tcp)]
        for thread in self.threads:
            thread.start()

    def close(self):
        for one in (self.udp, self.tcp):
            one.shutdown()
            one.server_close()
        for thread in self.threads:
            thread.join()

    def _handler(outer, *, stream):  # noqa: N805
        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                if stream:
                    size = int.from_bytes(self.request.recv(2), "big")
                    answer = outer.answer(self.request.recv(size)).to_wire(max_size=65535)
                    self.request.sendall(len(answer).to_bytes(2, "big") + answer)
                else:
                    octets, sock = self.request
                    answer = outer.answer(octets)
                    wire = answer.to_wire(max_size=65535)
                    if len(wire) > 1232:
                        answer.answer.clear()
                        answer.flags |= dns.flags.TC
                        wire = answer.to_wire()
                    sock.sendto(wire, self.client_address)

        return Handler

    def answer(self, octets):
        query = dns.message.from_wire(octets)
        question = query.question[0]
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA
        for zone in sorted(self.zones, key=lambda zone: -len(zone.origin)):
            below = question.name.is_subdomain(zone.origin)
            if below and not (question.rdtype == dns.rdatatype.DS and question.name == zone.origin):
                for covered in (dns.rdatatype.NONE, question.rdtype):
                    kind = dns.rdatatype.RRSIG if covered else question.rdtype
                    rdataset = zone.get_rdataset(question.name, kind, covered)
                    if rdataset is not None:
                        answer.answer.append(dns.rrset.from_rdata_list(question.name, rdataset.ttl, list(rdataset)))
                break
        self.twist(answer)
        return answer


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zones")
    child, child_ds = sign(folder, "smith.homes.test", CHILD)
    delegated = PARENT + "".join(f"smith IN DS {ds}\n" for ds in child_ds)
    parent, ds = sign(folder, "homes.test", delegated)
    return parent, child, ds


@pytest.fixture
def responder(signed):
    responder = Responder(signed[:2])
    yield responder
    responder.close()


@pytest.fixture
def ask(signed, responder):
    def ask(name, rdtype, *, anchor=None, now=None):
        anchor = anchor or Anchor.from_text("homes.test", *signed[2])
        return chain.validate(Server("127.0.0.1", responder.port, 20.0), anchor, name, rdtype, now=now)

    return ask


def test_a_record_in_a_delegated_zone_is_proved_from_the_registrys_ds(ask):
    """DS, DNSKEY, DS, DNSKEY, AAAA: five links, each with the zone that signed it."""
    proof = ask("cam.smith.homes.test", "AAAA")

    assert isinstance(proof, Proof), proof
    assert [rdata.to_text() for rdata in proof.rrset] == ["2001:db8::1"]
    assert [(step.type, step.zone) for step in proof.steps] == [
        ("DNSKEY", "homes.test"),
        ("DS", "homes.test"),
        ("DNSKEY", "smith.homes.test"),
        ("AAAA", "smith.homes.test"),
    ]
    assert proof.until > time.time()


def test_records_of_the_anchors_own_zone_are_proved(ask):
    """No delegation is in between."""
    assert isinstance(ask("ns.homes.test", "A"), Proof)
    assert isinstance(ask("smith.homes.test", "DS"), Proof)


def test_an_answer_too_long_for_udp_is_fetched_by_tcp(ask):
    """A truncated answer proves nothing; the whole one does."""
    proof = ask("big.smith.homes.test", "TXT")

    assert isinstance(proof, Proof), proof


@pytest.mark.parametrize(
    ("name", "rdtype"), [("cam.smith.homes.test", "A"), ("_443._tcp.cam.smith.homes.test", "TLSA")]
)
def test_one_flipped_bit_anywhere_in_the_record_is_refused(ask, responder, name, rdtype):
    """Every single bit of the RDATA counts."""
    bits = 32 if rdtype == "A" else 8 * 35
    for bit in range(0, bits, 7):
        responder.twist = lambda answer, bit=bit: flip(answer, rdtype, bit)

        verdict = ask(name, rdtype)

        assert isinstance(verdict, Failure)
        assert "does not verify" in verdict.sentence or "not signed" in verdict.sentence, verdict.sentence
        assert len(verdict.steps) == 3


def flip(answer, rdtype, bit):
    for index, rrset in enumerate(answer.answer):
        if rrset.rdtype == dns.rdatatype.from_text(rdtype):
            wire = bytearray(rrset[0].to_wire())
            wire[bit // 8] ^= 0x80 >> bit % 8
            rdata = dns.rdata.from_wire(rrset.rdclass, rrset.rdtype, bytes(wire), 0, len(wire))
            answer.answer[index] = dns.rrset.from_rdata(rrset.name, rrset.ttl, rdata)


def test_an_unsigned_answer_is_refused(ask, responder):
    """Taking the signatures away does not make an answer believable."""
    responder.twist = lambda answer: drop(answer, dns.rdatatype.RRSIG)

    verdict = ask("cam.smith.homes.test", "A")

    assert isinstance(verdict, Failure)
    assert "no signature" in verdict.sentence


def test_a_hidden_ds_leads_nowhere(ask, responder):
    """A server that hides the delegation's DS cannot make the child's records look like the parent's."""
    responder.twist = lambda answer: drop(answer, dns.rdatatype.DS)

    verdict = ask("cam.smith.homes.test", "A")

    assert isinstance(verdict, Failure)
    assert "by smith.homes.test, and the chain leads to homes.test" in verdict.sentence


def drop(answer, rdtype):
    answer.answer[:] = [rrset for rrset in answer.answer if rrset.rdtype != rdtype]


def test_another_registrys_ds_is_refused(ask):
    """The anchor decides, not the keys that the server shows."""
    verdict = ask("cam.smith.homes.test", "A", anchor=Anchor.from_text("homes.test", "12345 13 2 " + "ab" * 32))

    assert isinstance(verdict, Failure)
    assert verdict.sentence == "No key of homes.test is the one that its DS names."


def test_only_sha1_in_the_anchor_is_refused(ask, signed):
    """Digest type 1 is not trusted (RFC 8624)."""
    tag = signed[2][0].split()[0]

    verdict = ask("cam.smith.homes.test", "A", anchor=Anchor.from_text("homes.test", f"{tag} 13 1 {'ab' * 20}"))

    assert isinstance(verdict, Failure)
    assert "SHA-256" in verdict.sentence


@pytest.mark.parametrize(("days", "word"), [(365, "expired"), (-365, "not valid yet")])
def test_a_signature_out_of_its_time_is_refused(ask, days, word):
    """Signatures last from inception to expiration, by the validator's clock."""
    verdict = ask("cam.smith.homes.test", "A", now=time.time() + days * 86400)

    assert isinstance(verdict, Failure)
    assert word in verdict.sentence


def test_a_name_that_is_not_there_is_no_proof(ask):
    """Absence is not proved here, and not mistaken for anything."""
    verdict = ask("nobody.smith.homes.test", "A")

    assert isinstance(verdict, Failure)
    assert "has no A record" in verdict.sentence


def test_a_name_outside_the_anchor_is_refused(ask):
    """The anchor speaks for its own zone and what is below it."""
    assert "not below the trust anchor" in ask("example.org", "A").sentence


def test_what_a_wildcard_made_is_not_taken_for_a_names_own_record(ask, responder, signed):
    """A server must not be able to answer for any name with a wildcard's signature."""
    wild = dns.name.from_text("*.wild.homes.test")
    asked = dns.name.from_text("x.wild.homes.test")

    def expand(answer):
        if answer.question[0].name == asked and answer.question[0].rdtype == dns.rdatatype.TXT:
            for kind, covered in ((dns.rdatatype.TXT, 0), (dns.rdatatype.RRSIG, dns.rdatatype.TXT)):
                rdataset = signed[0].get_rdataset(wild, kind, covered)
                answer.answer.append(dns.rrset.from_rdata_list(asked, rdataset.ttl, list(rdataset)))

    responder.twist = expand

    assert "wildcard" in ask("x.wild.homes.test", "TXT").sentence
    responder.twist = lambda answer: None
    assert isinstance(ask("*.wild.homes.test", "TXT"), Proof)


def test_a_silent_server_is_a_failure_and_not_an_exception(signed):
    """Nobody listens there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        server = Server("127.0.0.1", sock.getsockname()[1], 0.2)

        verdict = chain.validate(server, Anchor.from_text("homes.test", *signed[2]), "ns.homes.test", "A")

    assert "did not answer" in verdict.sentence


def test_a_failure_says_of_which_kind_it_is(ask, responder, signed):
    """What is altered is another matter than what is not there, not signed, or not said."""
    kinds = [ask("nothing.smith.homes.test", "A").why]
    for rdtype in (dns.rdatatype.RRSIG, dns.rdatatype.DS):
        responder.twist = lambda answer, rdtype=rdtype: drop(answer, rdtype)
        kinds.append(ask("cam.smith.homes.test", "A").why)
    responder.twist = lambda answer: answer.set_rcode(dns.rcode.SERVFAIL)
    kinds.append(ask("cam.smith.homes.test", "A").why)
    anchor = Anchor.from_text("homes.test", *signed[2])
    kinds.append(chain.validate(Server("127.0.0.1", free_port(), 0.2), anchor, "cam.smith.homes.test", "A").why)

    assert kinds == [Why.MISSING, Why.UNSIGNED, Why.BOGUS, Why.SILENT, Why.SILENT]


def test_a_device_without_signatures_is_insecure_and_with_wrong_ones_untrusted(responder, signed):
    """And where nobody answers, nothing is known about it."""
    anchor = Anchor.from_text("homes.test", *signed[2])
    standings = []
    for rdtype in (dns.rdatatype.RRSIG, dns.rdatatype.DS):
        responder.twist = lambda answer, rdtype=rdtype: drop(answer, rdtype)
        found = device.server(Server("127.0.0.1", responder.port, 20.0), anchor, "cam.smith.homes.test.")
        standings.append(found.standing)
    away = device.server(Server("127.0.0.1", free_port(), 0.2), anchor, "cam.smith.homes.test.")

    assert standings == [Standing.INSECURE, Standing.UNTRUSTED]
    assert (away.standing, away.connected, away.records) == (Standing.UNKNOWN, False, ())
